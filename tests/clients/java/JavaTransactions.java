import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Consume, transform and produce in transactions (KIP-447, KIP-890), while brokers crash: BOOTSTRAP TOPIC STOP-FILE.
 *
 * <p>A feeder numbers records into the topic until the file exists. Two workers, members of one group and each with a
 * transactional id of its own, copy them to TOPIC-copy; a batch's copies and its offsets are one transaction. Every so many a
 * worker aborts one of its own accord, with its copies in the log, and copies the batch again. A reader of committed records
 * tells every so often how many copies it has seen (`ACKED n`). In the end it has seen every number once, in order within its
 * partition, and nothing of what was aborted; and a producer whose transactional id another one takes over is fenced.
 */
public final class JavaTransactions {
    private static final String GROUP = "copiers";
    private static final int ABORT_EVERY = 9;
    private static final AtomicReference<Throwable> FAILED = new AtomicReference<>();
    private static final AtomicInteger SEEN = new AtomicInteger();
    private static final AtomicInteger ABORTED = new AtomicInteger();
    private static final AtomicInteger DELIBERATELY = new AtomicInteger();
    private static volatile boolean leaving;

    private JavaTransactions() { }

    public static void main(String[] arguments) {
        Program.main("java-transactions", arguments, (bootstrap, unique) -> run(bootstrap, arguments[1], Path.of(arguments[2])));
    }

    private static String run(String bootstrap, String topic, Path stop) throws Exception {
        String copy = topic + "-copy";
        int n = 0;
        List<Thread> workers = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> feeder = new KafkaProducer<>(producer(bootstrap, Map.of("delivery.timeout.ms", 90_000)))) {
            int partitions = feeder.partitionsFor(topic).size();
            for (int i = 0; i < 2; i++) {
                String name = "worker-" + i;
                workers.add(start(name, () -> work(bootstrap, topic, copy, name)));
            }
            start("reader", () -> read(bootstrap, copy, partitions));
            long told = 0;
            while (!Files.exists(stop)) {
                if (n - SEEN.get() < 3000) {
                    for (int i = 0; i < 30; i++) {
                        feeder.send(new ProducerRecord<>(topic, n % partitions, null, text(n)), (metadata, error) -> {
                            if (error != null) FAILED.compareAndSet(null, error);
                        });
                        n++;
                    }
                }
                Thread.sleep(10);
                healthy();
                if (System.nanoTime() - told > 50_000_000) {
                    told = System.nanoTime();
                    System.out.println("ACKED " + SEEN.get());
                }
            }
            feeder.flush();
        }
        int fed = n;
        Program.await("every copy", () -> healthy() && SEEN.get() == fed);
        leaving = true;
        for (Thread worker : workers) worker.join(Program.WAIT_MS);
        zombie(bootstrap, copy);
        Thread.sleep(500);
        healthy();
        Records.check(SEEN.get() == fed, "%d copies of %d records", SEEN.get(), fed);
        Records.check(DELIBERATELY.get() > 0, "no transaction was aborted deliberately");
        return "records=" + fed + " deliberately=" + DELIBERATELY.get() + " aborted=" + ABORTED.get();
    }

    private static Map<String, Object> producer(String bootstrap, Map<String, Object> more) {
        Map<String, Object> config = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 5, "request.timeout.ms", 5_000,
                "reconnect.backoff.max.ms", 500, "key.serializer", ByteArraySerializer.class,
                "value.serializer", ByteArraySerializer.class));
        config.putAll(more);
        return config;
    }

    /** A producer in a transaction of nobody's. */
    private static KafkaProducer<byte[], byte[]> transactional(String bootstrap, String id) {
        KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(producer(bootstrap,
                Map.of("transactional.id", id, "transaction.timeout.ms", 30_000, "delivery.timeout.ms", 20_000, "max.block.ms", 20_000)));
        insist(producer::initTransactions);
        return producer;
    }

    /** Does it again for as long as the client says that it may be done again. */
    private static void insist(Runnable step) {
        long end = System.currentTimeMillis() + 60_000;
        while (true) {
            try {
                step.run();
                return;
            } catch (TimeoutException again) {
                if (System.currentTimeMillis() > end) throw again;
            }
        }
    }

    private static void work(String bootstrap, String topic, String copy, String name) {
        Map<String, Object> config = new HashMap<>(Member.config(bootstrap));
        config.putAll(Map.of("group.id", GROUP, "client.id", name, "auto.offset.reset", "earliest", "isolation.level", "read_committed",
                "max.poll.records", 100, "heartbeat.interval.ms", 300, "session.timeout.ms", 10_000, "request.timeout.ms", 5_000,
                "default.api.timeout.ms", 60_000));
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            consumer.subscribe(List.of(topic));
            KafkaProducer<byte[], byte[]> producer = transactional(bootstrap, name);
            int batches = 0;
            while (!leaving) {
                ConsumerRecords<byte[], byte[]> batch = consumer.poll(Duration.ofMillis(100));
                if (batch.isEmpty()) continue;
                boolean deliberate = ++batches % ABORT_EVERY == 0;
                boolean committed = false;
                try {
                    copy(producer, batch, copy);
                    if (deliberate) {
                        // Else the client would drop what it has not sent yet.
                        producer.flush();
                        // With the offsets in the transaction, and without.
                        if (DELIBERATELY.getAndIncrement() % 2 == 0) sendOffsets(consumer, producer, batch);
                        insist(producer::abortTransaction);
                    } else {
                        sendOffsets(consumer, producer, batch);
                        insist(producer::commitTransaction);
                        committed = true;
                    }
                } catch (KafkaException error) {
                    System.err.println(name + ": " + error);
                    ABORTED.incrementAndGet();
                    try {
                        insist(producer::abortTransaction);
                    } catch (KafkaException fatal) {
                        System.err.println(name + ": " + fatal);
                        producer.close(Duration.ZERO);
                        producer = transactional(bootstrap, name);
                    }
                }
                if (!committed) rewind(consumer);
            }
            producer.close();
        }
    }

    private static void copy(KafkaProducer<byte[], byte[]> producer, ConsumerRecords<byte[], byte[]> batch, String copy) {
        producer.beginTransaction();
        for (ConsumerRecord<byte[], byte[]> record : batch) {
            producer.send(new ProducerRecord<>(copy, record.partition(), null, record.value()));
        }
    }

    private static void sendOffsets(KafkaConsumer<byte[], byte[]> consumer, KafkaProducer<byte[], byte[]> producer,
            ConsumerRecords<byte[], byte[]> batch) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
        for (TopicPartition partition : batch.partitions()) {
            List<ConsumerRecord<byte[], byte[]>> records = batch.records(partition);
            offsets.put(partition, new OffsetAndMetadata(records.get(records.size() - 1).offset() + 1));
        }
        insist(() -> producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata()));
    }

    /** Goes back to what is committed: what was read since is to be read again. */
    private static void rewind(KafkaConsumer<byte[], byte[]> consumer) {
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(consumer.assignment());
        committed.forEach((partition, offset) -> {
            if (offset == null) consumer.seekToBeginning(List.of(partition));
            else consumer.seek(partition, offset);
        });
    }

    /** Sees what is committed, in order and once. */
    private static void read(String bootstrap, String copy, int partitions) {
        Map<String, Object> config = new HashMap<>(Member.config(bootstrap));
        config.put("isolation.level", "read_committed");
        int[] next = new int[partitions];
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < partitions; p++) {
            next[p] = p;
            all.add(new TopicPartition(copy, p));
        }
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            while (true) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                    int number = Integer.parseInt(new String(record.value(), StandardCharsets.UTF_8));
                    int wanted = next[record.partition()];
                    Records.check(number == wanted, "%s-%d: %d at %d where %d was next", copy, record.partition(), number, record.offset(), wanted);
                    next[record.partition()] += partitions;
                    SEEN.incrementAndGet();
                }
            }
        }
    }

    /** A producer that another one of the same id has replaced can do nothing any more. */
    private static void zombie(String bootstrap, String copy) throws Exception {
        KafkaProducer<byte[], byte[]> old = transactional(bootstrap, "zombie");
        old.beginTransaction();
        old.send(new ProducerRecord<>(copy, 0, null, text(-1))).get();
        KafkaProducer<byte[], byte[]> fresh = transactional(bootstrap, "zombie");
        try {
            old.commitTransaction();
            throw new IllegalStateException("the zombie's transaction was committed");
        } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
            System.err.println("zombie: " + fenced);
        }
        fresh.beginTransaction();
        fresh.commitTransaction();
        fresh.close();
        old.close(Duration.ZERO);
    }

    private static Thread start(String name, Runnable body) {
        Thread thread = new Thread(() -> {
            try {
                body.run();
            } catch (Throwable error) {
                FAILED.compareAndSet(null, error);
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    private static boolean healthy() {
        if (FAILED.get() != null) throw new IllegalStateException(FAILED.get());
        return true;
    }

    private static byte[] text(int number) {
        return Integer.toString(number).getBytes(StandardCharsets.UTF_8);
    }
}
