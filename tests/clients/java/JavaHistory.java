import java.io.BufferedWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.StringJoiner;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.errors.TransactionAbortedException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Java clients whose history is checked: BOOTSTRAP TOPIC STOP-FILE ENDS-FILE HISTORY-FILE TRANSACTIONAL SEED.
 *
 * <p>Two idempotent producers, and TRANSACTIONAL transactional ones, send values, each once, until the stop file exists. Meanwhile
 * one consumer reads uncommitted and one committed what they assign to themselves, and now and then go back; and two groups of
 * two, one of the classic and one of the consumer protocol (KIP-848), reading committed, commit. Everything that is sent, heard and polled is a line of the history file
 * (`klamm_tests::history`). What goes on is told every so often: `ACKED n`, `COMMITTED n` (transactions), `POLLED uncommitted
 * committed classic consumer`. When all producers have ended (`QUIET`), the ends file appears, which holds each partition's end
 * offset; every kind of reader goes on to there, and a last one reads everything from the beginning.
 */
public final class JavaHistory {
    private static final long PATIENCE_MS = 150_000;
    private static final Map<String, Map<String, Object>> GROUPS = Map.of(
            "classic", Map.of("group.id", "classic", "heartbeat.interval.ms", 300, "session.timeout.ms", 10_000,
                    "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"),
            "consumer", Map.of("group.id", "consumer", "group.protocol", "consumer"));

    private final String bootstrap;
    private final String topic;
    private final Path stop;
    private final Book book;
    private final long seed;
    private final AtomicInteger acked = new AtomicInteger();
    private final AtomicInteger committed = new AtomicInteger();
    private int partitions;
    private volatile long[] ends;
    private volatile boolean done;

    private JavaHistory(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        topic = arguments[1];
        stop = Path.of(arguments[2]);
        book = new Book(Path.of(arguments[4]));
        seed = Long.parseLong(arguments[6]);
    }

    public static void main(String[] arguments) {
        Program.main("java-history", arguments, (bootstrap, unique) ->
                new JavaHistory(arguments).run(Path.of(arguments[3]), Integer.parseInt(arguments[5])));
    }

    private String run(Path endsFile, int transactional) throws Exception {
        try (KafkaConsumer<byte[], byte[]> asking = new KafkaConsumer<>(Member.config(bootstrap))) {
            partitions = asking.partitionsFor(topic, Duration.ofSeconds(30)).size();
        }
        List<Producer> producers = new ArrayList<>();
        for (int i = 0; i < 2 + transactional; i++) producers.add(new Producer(i, i >= 2));
        Consumer loose = new Consumer("uncommitted", "read_uncommitted", null);
        Consumer strict = new Consumer("committed", "read_committed", null);
        List<Consumer> classic = List.of(new Consumer("classic0", "read_committed", "classic"), new Consumer("classic1", "read_committed", "classic"));
        List<Consumer> modern = List.of(new Consumer("consumer0", "read_committed", "consumer"), new Consumer("consumer1", "read_committed", "consumer"));
        List<Worker> everyone = new ArrayList<>(producers);
        everyone.addAll(List.of(loose, strict));
        everyone.addAll(classic);
        everyone.addAll(modern);
        everyone.forEach(Thread::start);
        while (!Files.exists(stop)) {
            everyone.forEach(Worker::rethrow);
            System.out.println("ACKED " + acked);
            System.out.println("COMMITTED " + committed);
            System.out.printf("POLLED %d %d %d %d%n", loose.count, strict.count, classic.get(0).count + classic.get(1).count,
                    modern.get(0).count + modern.get(1).count);
            Thread.sleep(100);
        }
        for (Producer producer : producers) {
            producer.join(PATIENCE_MS);
            Records.check(!producer.isAlive(), "%s does not end", producer.getName());
        }
        everyone.forEach(Worker::rethrow);
        System.out.println("QUIET");
        await("the ends", () -> Files.exists(endsFile));
        ends = Files.readAllLines(endsFile).stream().mapToLong(Long::parseLong).toArray();
        Consumer last = new Consumer("last", "read_committed", null);
        last.last = true;
        everyone.add(last);
        last.start();
        for (List<Consumer> readers : List.of(List.of(loose), List.of(strict), classic, modern, List.of(last))) {
            await("the end, by " + readers.get(0).getName(), () -> {
                everyone.forEach(Worker::rethrow);
                Set<Integer> reached = new HashSet<>();
                readers.forEach(reader -> reached.addAll(reader.reached));
                return reached.size() == partitions;
            });
        }
        done = true;
        for (Worker worker : everyone) {
            worker.join(Program.WAIT_MS);
            Records.check(!worker.isAlive(), "%s does not end", worker.getName());
            worker.rethrow();
        }
        book.close();
        return "acked=" + acked + " committed=" + committed;
    }

    private static void await(String what, java.util.function.BooleanSupplier condition) throws InterruptedException {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!condition.getAsBoolean()) {
            Records.check(System.currentTimeMillis() < end, "waited in vain for %s", what);
            Thread.sleep(20);
        }
    }

    private String name(int partition) {
        return topic + "-" + partition;
    }

    /** The history: one line a thing, in the order in which they happened to this program. */
    private static final class Book {
        private final BufferedWriter out;

        Book(Path path) throws Exception {
            out = Files.newBufferedWriter(path, StandardCharsets.US_ASCII);
        }

        /** `more` are fields of JSON as they are. */
        synchronized void write(String who, String did, String more) {
            try {
                out.write("{\"who\":\"" + who + "\",\"did\":\"" + did + "\"" + (more.isEmpty() ? "" : ",") + more + "}\n");
            } catch (java.io.IOException failure) {
                throw new IllegalStateException(failure);
            }
        }

        synchronized void close() throws Exception {
            out.close();
        }
    }

    private abstract class Worker extends Thread {
        final Random random;
        volatile Throwable error;

        Worker(String name) {
            super(name);
            setDaemon(true);
            random = new Random(seed * 31 + name.hashCode());
        }

        abstract void work() throws Exception;

        @Override
        public final void run() {
            try {
                work();
            } catch (Throwable failure) {
                failure.printStackTrace();
                error = failure;
            }
        }

        final void rethrow() {
            if (error != null) throw new IllegalStateException(getName(), error);
        }
    }

    /** A producer, and those that take its place when it can go on no more. */
    private final class Producer extends Worker {
        private final boolean transactional;
        private final AtomicInteger underWay = new AtomicInteger();
        private long nextValue;
        private int life;
        private int transactions;
        private String who;
        private KafkaProducer<byte[], byte[]> producer;

        Producer(int index, boolean transactional) {
            super((transactional ? "t" : "p") + index);
            this.transactional = transactional;
            nextValue = (index + 1) * 1_000_000L;
        }

        @Override
        void work() throws Exception {
            while (!Files.exists(stop)) {
                open();
                try {
                    if (transactional) liveInTransactions();
                    else live();
                    producer.close(Duration.ofSeconds(90));
                } catch (KafkaException failure) {
                    System.err.println(who + " ends: " + failure);
                    producer.close(Duration.ZERO);
                    Thread.sleep(100);
                }
            }
        }

        /** Another life begins. */
        private void open() {
            who = getName() + "." + ++life;
            Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "client.id", who, "acks", "all",
                    "enable.idempotence", true, "linger.ms", 2, "delivery.timeout.ms", transactional ? 14_000 : 60_000,
                    "request.timeout.ms", 3_000, "retry.backoff.ms", 50, "retry.backoff.max.ms", 300));
            config.putAll(Map.of("reconnect.backoff.ms", 20, "reconnect.backoff.max.ms", 300, "metadata.max.age.ms", 5_000,
                    "max.block.ms", 60_000));
            if (transactional) config.putAll(Map.of("transactional.id", getName(), "transaction.timeout.ms", 15_000));
            producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
            book.write(who, "produce", "\"acks\":\"all\",\"idempotent\":true");
        }

        private void send(String transaction) {
            long value = nextValue++;
            int partition = random.nextInt(partitions);
            String me = who;
            book.write(me, "send", "\"value\":" + value + ",\"to\":\"" + name(partition) + "\""
                    + (transaction == null ? "" : ",\"transaction\":\"" + transaction + "\""));
            underWay.incrementAndGet();
            byte[] bytes = Long.toString(value).getBytes(StandardCharsets.US_ASCII);
            producer.send(new ProducerRecord<>(topic, partition, null, bytes), (metadata, error) -> {
                underWay.decrementAndGet();
                String outcome;
                if (error == null) {
                    acked.incrementAndGet();
                    outcome = "\"ok\",\"offset\":" + metadata.offset();
                } else {
                    // What was never sent, since its transaction had come to nothing before, certainly is not there.
                    boolean certain = error instanceof RecordTooLargeException || error instanceof TransactionAbortedException;
                    outcome = (certain ? "\"failed\"" : "\"unknown\"") + ",\"why\":\"" + error.getClass().getSimpleName() + "\"";
                }
                book.write(me, "sent", "\"value\":" + value + ",\"outcome\":" + outcome);
            });
        }

        private void live() throws Exception {
            while (!Files.exists(stop)) {
                for (int i = 1 + random.nextInt(3); i > 0; i--) send(null);
                Thread.sleep(30);
                while (underWay.get() > 300) Thread.sleep(5);
            }
            producer.flush();
        }

        private void liveInTransactions() throws Exception {
            insist(producer::initTransactions);
            while (!Files.exists(stop)) {
                String transaction = getName() + "/" + ++transactions;
                boolean commit = random.nextInt(4) > 0;
                producer.beginTransaction();
                try {
                    for (int i = 1 + random.nextInt(5); i > 0; i--) {
                        send(transaction);
                        Thread.sleep(random.nextInt(20));
                    }
                    end(transaction, commit);
                } catch (KafkaException failure) {
                    // A producer that can still abort has not committed; one that cannot says so again.
                    System.err.println(who + " aborts: " + failure);
                    end(transaction, false);
                }
                Thread.sleep(20);
            }
        }

        private void end(String transaction, boolean commit) throws Exception {
            String name = "\"transaction\":\"" + transaction + "\"";
            book.write(who, commit ? "commit" : "abort", name);
            insist(commit ? producer::commitTransaction : producer::abortTransaction);
            book.write(who, "ended", name + ",\"outcome\":\"" + (commit ? "committed" : "aborted") + "\"");
            if (commit) committed.incrementAndGet();
        }

        /** Calls what may be called again until it is answered for good. */
        private void insist(Runnable call) {
            long end = System.currentTimeMillis() + PATIENCE_MS;
            while (true) {
                try {
                    call.run();
                    return;
                } catch (TimeoutException later) {
                    if (System.currentTimeMillis() > end) throw later;
                }
            }
        }
    }

    /** A consumer, of the group or on its own; on its own it now and then goes back. */
    private final class Consumer extends Worker implements ConsumerRebalanceListener {
        private final String isolation;
        private final boolean member;
        private final String group;
        /** Whether it begins at the beginning, when all is over, and ends at the ends. */
        boolean last;
        volatile int count;
        /** The partitions in which it has come to the end, once that is known. */
        final Set<Integer> reached = ConcurrentHashMap.newKeySet();
        private KafkaConsumer<byte[], byte[]> consumer;

        /** `group` is null for one that assigns itself everything. */
        Consumer(String name, String isolation, String group) {
            super(name);
            this.isolation = isolation;
            this.group = group;
            member = group != null;
        }

        @Override
        void work() throws Exception {
            Map<String, Object> config = new HashMap<>(Member.config(bootstrap));
            config.putAll(Map.of("client.id", getName(), "isolation.level", isolation, "auto.offset.reset", "earliest",
                    "request.timeout.ms", 3_000, "retry.backoff.ms", 50, "retry.backoff.max.ms", 300, "reconnect.backoff.max.ms", 300,
                    "metadata.max.age.ms", 5_000, "default.api.timeout.ms", 20_000));
            if (member) config.putAll(GROUPS.get(group));
            try (KafkaConsumer<byte[], byte[]> opened = new KafkaConsumer<>(config)) {
                consumer = opened;
                book.write(getName(), "consume", "\"isolation\":\"" + isolation + "\"");
                begin();
                long wandered = System.nanoTime();
                long committed = wandered;
                while (!(last ? reached.size() == partitions : done)) {
                    poll();
                    look();
                    // Whoever comes next reads again from the last commit that arrived: at least once.
                    if (member && System.nanoTime() - committed > 100_000_000L) {
                        committed = System.nanoTime();
                        consumer.commitAsync();
                    }
                    if (!member && !last && System.nanoTime() - wandered > 4_000_000_000L) {
                        wandered = System.nanoTime();
                        wander();
                    }
                }
                if (last) readAll();
            }
        }

        private void begin() {
            if (member) {
                consumer.subscribe(List.of(topic), this);
                return;
            }
            List<TopicPartition> all = new ArrayList<>();
            for (int p = 0; p < partitions; p++) all.add(new TopicPartition(topic, p));
            moved(all);
            consumer.assign(all);
            all.forEach(partition -> consumer.seek(partition, 0));
        }

        private void poll() {
            ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(50));
            if (records.isEmpty()) return;
            Map<String, StringJoiner> lists = new LinkedHashMap<>();
            for (ConsumerRecord<byte[], byte[]> record : records) {
                String value = new String(record.value(), StandardCharsets.US_ASCII);
                lists.computeIfAbsent(name(record.partition()), name -> new StringJoiner(",", "\"" + name + "\":[", "]"))
                        .add("[" + record.offset() + "," + value + "]");
            }
            book.write(getName(), "poll", "\"records\":{" + String.join(",", lists.values().stream().map(Object::toString).toList()) + "}");
            count += records.count();
        }

        /** Sees how far it has come, once it is known how far there is to go. */
        private void look() {
            long[] to = ends;
            if (to == null) return;
            for (TopicPartition partition : consumer.assignment()) {
                try {
                    long position = consumer.position(partition, Duration.ofMillis(100));
                    if (position >= to[partition.partition()]) reached.add(partition.partition());
                } catch (TimeoutException later) {
                    // It is not known yet.
                }
            }
        }

        private void wander() {
            List<TopicPartition> assigned = new ArrayList<>(consumer.assignment());
            TopicPartition partition = assigned.get(random.nextInt(assigned.size()));
            long position = consumer.position(partition, Duration.ofSeconds(60));
            moved(List.of(partition));
            consumer.seek(partition, new OffsetAndMetadata(Math.max(0, position - 1 - random.nextInt(200))));
        }

        private void readAll() {
            StringJoiner all = new StringJoiner(",", "\"ends\":{", "}");
            for (int p = 0; p < partitions; p++) all.add("\"" + name(p) + "\":" + ends[p]);
            book.write(getName(), "read-all", all.toString());
        }

        /** Positions in these partitions begin anew. */
        private void moved(Collection<TopicPartition> moved) {
            if (moved.isEmpty()) return;
            String[] names = moved.stream().map(partition -> "\"" + name(partition.partition()) + "\"").toArray(String[]::new);
            book.write(getName(), "move", "\"to\":[" + String.join(",", Arrays.asList(names)) + "]");
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> assigned) {
            moved(assigned);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> revoked) {
            moved(revoked);
        }
    }
}
