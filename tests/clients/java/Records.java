import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Record number n, and the checker of what comes back. The same records in every language: see ../README.md. */
final class Records {
    static final int PER_CODEC = 20_000;

    final List<String> codecs;
    final long base = System.currentTimeMillis() - 600_000;
    final int total;
    private final byte[][] ramps = new byte[256][16 + 113];

    Records(List<String> codecs) {
        this.codecs = codecs;
        this.total = PER_CODEC * codecs.size();
        for (int n = 0; n < 256; n++) {
            for (int j = 0; j < ramps[n].length; j++) {
                ramps[n][j] = (byte) (n + 31 * j);
            }
        }
    }

    byte[] key(int n) {
        return String.format("key-%03d", n % 997).getBytes(StandardCharsets.UTF_8);
    }

    byte[] value(int n) {
        if (n % 1000 == 999) return null;
        if (n % 1000 == 500) return new byte[0];
        return Arrays.copyOf(ramps[n & 255], 16 + n % 113);
    }

    List<Header> headers(int n) {
        String codec = codecs.get(Math.min(n / PER_CODEC, codecs.size() - 1));
        return List.of(
                new RecordHeader("seq", Integer.toString(n).getBytes(StandardCharsets.UTF_8)),
                new RecordHeader("codec", codec.getBytes(StandardCharsets.UTF_8)),
                new RecordHeader("bin", new byte[] {0, (byte) 255, (byte) n}),
                new RecordHeader("empty", new byte[0]),
                new RecordHeader("null", null),
                new RecordHeader("twice", new byte[] {1}),
                new RecordHeader("twice", new byte[] {2}));
    }

    ProducerRecord<byte[], byte[]> record(String topic, int n) {
        return new ProducerRecord<>(topic, null, base + n, key(n), value(n), headers(n));
    }

    static int number(ConsumerRecord<byte[], byte[]> record) {
        return Integer.parseInt(new String(record.headers().lastHeader("seq").value(), StandardCharsets.UTF_8));
    }

    static void check(boolean condition, String message, Object... arguments) {
        if (!condition) throw new IllegalStateException(String.format(message, arguments));
    }

    /** Every record once, byte for byte, in order within its key and without a gap within its partition. */
    final class Checker {
        final int first;
        final int expected;
        final Map<Integer, Long> next = new HashMap<>();
        private final Set<Integer> seen = new HashSet<>();
        private final Map<String, Integer> lastOfKey = new HashMap<>();
        private final Map<String, Integer> homeOfKey = new HashMap<>();
        private final Map<Integer, Map<Long, Integer>> where = new HashMap<>();

        Checker(int first, int last) {
            this.first = first;
            this.expected = last - first;
        }

        synchronized void accept(ConsumerRecord<byte[], byte[]> record) {
            int n = number(record);
            check(Arrays.equals(record.key(), key(n)), "record %d: another key", n);
            check(Arrays.equals(record.value(), value(n)), "record %d: another value", n);
            check(Arrays.asList(record.headers().toArray()).equals(headers(n)), "record %d: headers %s", n, record.headers());
            check(record.timestamp() == base + n, "record %d: timestamp %d", n, record.timestamp());
            check(n >= first, "record %d belongs to what was committed before", n);
            check(seen.add(n), "record %d came twice (%d-%d)", n, record.partition(), record.offset());
            long wanted = next.getOrDefault(record.partition(), record.offset());
            check(record.offset() == wanted, "partition %d: offset %d, not %d", record.partition(), record.offset(), wanted);
            next.put(record.partition(), wanted + 1);
            String key = new String(record.key(), StandardCharsets.UTF_8);
            Integer before = lastOfKey.put(key, n);
            check(before == null || before < n, "key %s: %d after %d", key, n, before);
            Integer home = homeOfKey.putIfAbsent(key, record.partition());
            check(home == null || home == record.partition(), "key %s in two partitions", key);
            where.computeIfAbsent(record.partition(), p -> new HashMap<>()).put(record.offset(), n);
        }

        synchronized int count() {
            return seen.size();
        }

        synchronized boolean complete() {
            return seen.size() == expected;
        }

        synchronized int numberAt(int partition, long offset) {
            return where.get(partition).get(offset);
        }

        /** The first offset of a partition whose record is n or later. */
        synchronized long offsetAt(int partition, int n) {
            return where.get(partition).entrySet().stream()
                    .filter(entry -> entry.getValue() >= n).mapToLong(Map.Entry::getKey).min().orElse(-1);
        }
    }
}
