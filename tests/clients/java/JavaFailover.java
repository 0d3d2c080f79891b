import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * A producer with acks=all and idempotence, while leaders crash under it: BOOTSTRAP TOPIC STOP-FILE.
 *
 * <p>It produces until the file exists, telling every so often how much has been acknowledged (`ACKED n`); then it reads
 * the whole topic and wants every record once, in order within its partition.
 */
public final class JavaFailover {
    private JavaFailover() { }

    public static void main(String[] arguments) {
        Program.main("java-failover", arguments, (bootstrap, unique) -> run(bootstrap, arguments[1], Path.of(arguments[2])));
    }

    private static String run(String bootstrap, String topic, Path stop) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "acks", "all", "enable.idempotence", true,
                "linger.ms", 5, "delivery.timeout.ms", 90_000, "request.timeout.ms", 5_000, "reconnect.backoff.max.ms", 500,
                "key.serializer", ByteArraySerializer.class, "value.serializer", ByteArraySerializer.class);
        Map<String, Integer> acked = new ConcurrentHashMap<>();
        AtomicReference<Exception> failed = new AtomicReference<>();
        int partitions;
        int n = 0;
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            partitions = producer.partitionsFor(topic).size();
            long told = 0;
            while (!Files.exists(stop)) {
                for (int i = 0; i < 20; i++) {
                    int number = n++;
                    producer.send(new ProducerRecord<>(topic, number % partitions, null, text(number)), (metadata, error) -> {
                        if (error != null) failed.compareAndSet(null, error);
                        else if (acked.put(metadata.partition() + "-" + metadata.offset(), number) != null) {
                            failed.compareAndSet(null, new IllegalStateException(metadata + " was acknowledged twice"));
                        }
                    });
                }
                while (n - acked.size() > 2000 && failed.get() == null) Thread.sleep(5);
                Thread.sleep(5);
                if (failed.get() != null) throw failed.get();
                if (System.nanoTime() - told > 50_000_000) {
                    told = System.nanoTime();
                    System.out.println("ACKED " + acked.size());
                }
            }
            producer.flush();
        }
        if (failed.get() != null) throw failed.get();
        Records.check(acked.size() == n, "%d of %d acknowledged", acked.size(), n);

        int total = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(Member.config(bootstrap))) {
            for (int p = 0; p < partitions; p++) {
                TopicPartition partition = new TopicPartition(topic, p);
                consumer.assign(List.of(partition));
                consumer.seekToBeginning(List.of(partition));
                long end = consumer.endOffsets(List.of(partition)).get(partition);
                List<ConsumerRecord<byte[], byte[]>> all = new ArrayList<>();
                Program.await("every record of " + partition, () -> {
                    consumer.poll(Duration.ofSeconds(1)).forEach(all::add);
                    return all.size() >= end;
                });
                for (int i = 0; i < all.size(); i++) {
                    int wanted = p + i * partitions;
                    String value = new String(all.get(i).value(), StandardCharsets.UTF_8);
                    Records.check(all.get(i).offset() == i, "%s: offset %d at %d", partition, all.get(i).offset(), i);
                    Records.check(value.equals(Integer.toString(wanted)), "%s-%d: record %s where %d was next", partition, i, value, wanted);
                    Records.check(acked.get(p + "-" + i) == wanted, "%s-%d was acknowledged as another record", partition, i);
                }
                total += all.size();
            }
        }
        Records.check(total == n, "%d records, not %d", total, n);
        return "records=" + n;
    }

    private static byte[] text(int number) {
        return Integer.toString(number).getBytes(StandardCharsets.UTF_8);
    }
}
