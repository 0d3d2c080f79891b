import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.LongDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams counting words while brokers, and its own threads, crash: BOOTSTRAP LINES-TOPIC COUNTS-TOPIC STOP-FILE STATE-FOLDER GUARANTEE.
 *
 * <p>Two instances of one application read lines, split them, repartition by word, count in a store with a changelog and a
 * standby, and write every new count; two threads fail in the middle of its work, and others take their place. A producer feeds lines until the stop file exists. It tells every so often the sum of
 * the last counts (`COUNTED n`) and the largest number of words that it may be (`SENT n`). With exactly_once_v2, a
 * read_committed reader sees each word counted 1, 2, 3 and so on up to exactly what was sent; with at_least_once, up to that
 * or more.
 */
public final class StreamsWordCount {
    private static final String APPLICATION = "word-count";
    private static final String[] WORDS = {"land", "surveyor", "castle", "village", "assistant", "letter", "snow", "inn", "bridge",
            "official", "messenger", "telephone", "teacher", "landlady"};

    private final String bootstrap;
    private final boolean exactlyOnce;
    private final AtomicReference<Throwable> failed = new AtomicReference<>();
    private final AtomicInteger replaced = new AtomicInteger();
    private final AtomicInteger processed = new AtomicInteger();
    private final Map<String, Long> sent = new TreeMap<>();
    private final Map<String, Long> counted = new TreeMap<>();

    private StreamsWordCount(String bootstrap, boolean exactlyOnce) {
        this.bootstrap = bootstrap;
        this.exactlyOnce = exactlyOnce;
    }

    public static void main(String[] arguments) {
        Program.main("streams-word-count", arguments, (bootstrap, unique) ->
                new StreamsWordCount(bootstrap, arguments[5].equals("exactly_once_v2"))
                        .run(arguments[1], arguments[2], Path.of(arguments[3]), Path.of(arguments[4]), arguments[5]));
    }

    private String run(String lines, String counts, Path stop, Path state, String guarantee) throws Exception {
        List<KafkaStreams> instances = new ArrayList<>();
        for (String name : List.of("one", "two")) instances.add(instance(lines, counts, state.resolve(name), guarantee));
        instances.forEach(KafkaStreams::start);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "acks", "all",
                     "linger.ms", 5, "delivery.timeout.ms", 90_000, "request.timeout.ms", 5_000, "reconnect.backoff.max.ms", 500),
                     new StringSerializer(), new StringSerializer());
             KafkaConsumer<String, Long> reader = new KafkaConsumer<>(Map.of("bootstrap.servers", bootstrap, "isolation.level",
                     "read_committed", "auto.offset.reset", "earliest", "fetch.max.wait.ms", 100, "reconnect.backoff.max.ms", 500),
                     new StringDeserializer(), new LongDeserializer())) {
            List<TopicPartition> all = new ArrayList<>();
            reader.partitionsFor(counts).forEach(info -> all.add(new TopicPartition(counts, info.partition())));
            reader.assign(all);
            reader.seekToBeginning(all);
            long told = 0;
            for (int n = 0; !Files.exists(stop); n++) {
                send(producer, lines, n);
                read(reader);
                if (System.nanoTime() - told > 50_000_000) {
                    told = System.nanoTime();
                    tell();
                }
            }
            producer.flush();
            Program.await("every word counted", () -> {
                read(reader);
                return sent.entrySet().stream().allMatch(entry -> counted.getOrDefault(entry.getKey(), 0L) >= entry.getValue());
            });
            // Had anything been counted twice, it would come now.
            long quiet = System.nanoTime() + 500_000_000;
            while (System.nanoTime() < quiet) read(reader);
        }
        tell();
        Records.check(!exactlyOnce || counted.equals(sent), "counted %s, sent %s", counted, sent);
        Records.check(replaced.get() > 0, "no thread failed");
        checkInternalTopics();
        for (KafkaStreams instance : instances) {
            Records.check(instance.close(Duration.ofMillis(Program.WAIT_MS)), "an instance does not close");
        }
        long total = sent.values().stream().mapToLong(Long::longValue).sum();
        return "words=" + total + " counted=" + sum() + " threads-replaced=" + replaced.get();
    }

    private KafkaStreams instance(String lines, String counts, Path state, String guarantee) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(lines, Consumed.with(Serdes.Integer(), Serdes.String()))
                .peek((key, line) -> fail())
                .flatMap((key, line) -> Arrays.stream(line.split(" ")).map(word -> new KeyValue<>(word, 1)).toList())
                .groupByKey(Grouped.with("by-word", Serdes.String(), Serdes.Integer()))
                .count(Materialized.<String, Long>as(Stores.inMemoryKeyValueStore("counts")).withCachingDisabled())
                .toStream()
                .to(counts, Produced.with(Serdes.String(), Serdes.Long()));
        Properties config = new Properties();
        config.putAll(Map.of("application.id", APPLICATION, "bootstrap.servers", bootstrap, "processing.guarantee", guarantee,
                "replication.factor", 3, "num.standby.replicas", 1, "num.stream.threads", 1, "commit.interval.ms", 200,
                "state.dir", state.toString(), "repartition.purge.interval.ms", 1000));
        config.putAll(Map.of("consumer.auto.offset.reset", "earliest", "consumer.session.timeout.ms", 6_000,
                "consumer.heartbeat.interval.ms", 300, "request.timeout.ms", 5_000, "reconnect.backoff.max.ms", 500,
                "fetch.max.wait.ms", 100, "producer.delivery.timeout.ms", 60_000, "producer.linger.ms", 5,
                "default.api.timeout.ms", 30_000, "acceptable.recovery.lag", 1_000_000));
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        streams.setUncaughtExceptionHandler(error -> {
            System.err.println(error);
            replaced.incrementAndGet();
            return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        return streams;
    }

    /** Fails twice; the line is processed again, by another thread, and what was made of those before it may have been aborted. */
    private void fail() {
        int n = processed.incrementAndGet();
        if (n == 150 || n == 1500) throw new IllegalStateException("the thread had a bad day");
    }

    private void send(KafkaProducer<String, String> producer, String topic, int n) throws Exception {
        StringBuilder line = new StringBuilder();
        for (int i = 0; i <= n % 4; i++) {
            String word = WORDS[(n * 7 + i * 5) % WORDS.length];
            line.append(i == 0 ? "" : " ").append(word);
            sent.merge(word, 1L, Long::sum);
        }
        producer.send(new ProducerRecord<>(topic, line.toString()), (metadata, error) -> {
            if (error != null) failed.compareAndSet(null, error);
        });
        if (failed.get() != null) throw new IllegalStateException(failed.get());
    }

    private void read(KafkaConsumer<String, Long> reader) {
        for (ConsumerRecord<String, Long> record : reader.poll(Duration.ofMillis(5))) {
            long before = counted.getOrDefault(record.key(), 0L);
            Records.check(!exactlyOnce || record.value() == before + 1, "%s was counted %d after %d, at %s-%d@%d", record.key(),
                    record.value(), before, record.topic(), record.partition(), record.offset());
            counted.merge(record.key(), record.value(), Math::max);
        }
    }

    private long sum() {
        return counted.values().stream().mapToLong(Long::longValue).sum();
    }

    private void tell() {
        System.out.println("COUNTED " + sum());
    }

    /** Kafka Streams made them with the configuration that it needs, and deletes what it has repartitioned. */
    private void checkInternalTopics() throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Set<String> names = admin.listTopics().names().get();
            Map<String, String> wanted = new HashMap<>();
            wanted.put(APPLICATION + "-counts-changelog", "compact");
            wanted.put(APPLICATION + "-by-word-repartition", "delete");
            for (Map.Entry<String, String> topic : wanted.entrySet()) {
                Records.check(names.contains(topic.getKey()), "%s is not among %s", topic.getKey(), names);
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic.getKey());
                Config config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
                String policy = config.get("cleanup.policy").value();
                Records.check(policy.equals(topic.getValue()), "%s: cleanup.policy=%s", topic.getKey(), policy);
            }
        }
    }
}
