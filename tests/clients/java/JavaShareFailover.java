import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Share consumers, while the brokers crash that lead what they read and keep where they are: BOOTSTRAP TOPIC STOP-FILE.
 *
 * <p>A producer goes on until the file exists. Two members accept what they get, and release every tenth record when it comes for the
 * first time, telling every so often how many were accepted (`ACKED n`). In the end every record came to somebody, none was accepted
 * twice, and what was released came again with a higher delivery count. Only acknowledgements that were answered without an error count:
 * the others may have been written down or not.
 */
public final class JavaShareFailover {
    /** So many records may be on their way. */
    private static final int AHEAD = 500;

    private final String bootstrap;
    private final String topic;
    private final String group;
    private final Set<String> produced = ConcurrentHashMap.newKeySet();
    private final Set<String> came = ConcurrentHashMap.newKeySet();
    private final Set<String> accepted = ConcurrentHashMap.newKeySet();
    /** Of the records that were released and did not come again yet, whether that was answered. */
    private final Map<String, Boolean> released = new ConcurrentHashMap<>();
    private final AtomicReference<Throwable> failed = new AtomicReference<>();
    private volatile boolean done;

    private JavaShareFailover(String bootstrap, String topic, String group) {
        this.bootstrap = bootstrap;
        this.topic = topic;
        this.group = group;
    }

    public static void main(String[] arguments) {
        Program.main("java-share-failover", arguments, (bootstrap, unique) ->
                new JavaShareFailover(bootstrap, arguments[1], unique).run(Path.of(arguments[2])));
    }

    private String run(Path stop) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
            AlterConfigOp set = new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all().get(Program.WAIT_MS, TimeUnit.MILLISECONDS);
        }
        List<Thread> members = List.of(new Thread(this::member), new Thread(this::member));
        members.forEach(Thread::start);
        int sent = 0;
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "acks", "all", "enable.idempotence", true,
                "linger.ms", 5, "delivery.timeout.ms", 90_000, "request.timeout.ms", 5_000, "reconnect.backoff.max.ms", 500,
                "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            int partitions = producer.partitionsFor(topic).size();
            long told = 0;
            while (!Files.exists(stop)) {
                for (int i = 0; i < 20 && sent - came.size() < AHEAD; i++) {
                    producer.send(new ProducerRecord<>(topic, sent % partitions, null, "" + sent), (metadata, error) -> {
                        if (error != null) failed.compareAndSet(null, error);
                        else produced.add(metadata.partition() + "-" + metadata.offset());
                    });
                    sent++;
                }
                Thread.sleep(5);
                if (failed.get() != null) throw new IllegalStateException(failed.get());
                if (System.nanoTime() - told > 50_000_000) {
                    told = System.nanoTime();
                    System.out.println("ACKED " + accepted.size());
                }
            }
            producer.flush();
        }
        Records.check(produced.size() == sent, "%d of %d produced", produced.size(), sent);
        Program.await("every record, and what was released once more", () -> {
            if (failed.get() != null) throw new IllegalStateException(failed.get());
            return came.containsAll(produced) && released.isEmpty();
        });
        done = true;
        for (Thread member : members) member.join(Program.WAIT_MS);
        if (failed.get() != null) throw new IllegalStateException(failed.get());
        return "records=" + sent + " accepted=" + accepted.size();
    }

    private void member() {
        Properties config = new Properties();
        config.putAll(Map.of("bootstrap.servers", bootstrap, "group.id", group, "share.acknowledgement.mode", "explicit",
                "max.poll.records", 100, "reconnect.backoff.max.ms", 500,
                "key.deserializer", StringDeserializer.class.getName(), "value.deserializer", StringDeserializer.class.getName()));
        try {
            KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(config);
            consumer.subscribe(List.of(topic));
            while (!done) round(consumer);
            // By itself it takes half a minute, for it cannot end a session that has not begun anew with a broker that was restarted.
            consumer.close(Duration.ofSeconds(1));
        } catch (Throwable error) {
            failed.compareAndSet(null, error);
        }
    }

    /** Polls, says of each record what becomes of it, and believes that only when it was answered. */
    private void round(KafkaShareConsumer<String, String> consumer) {
        List<ConsumerRecord<String, String>> accept = new ArrayList<>();
        List<ConsumerRecord<String, String>> release = new ArrayList<>();
        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
            int deliveries = record.deliveryCount().orElseThrow();
            Boolean answered = released.remove(name(record));
            Records.check(answered == null || !answered || deliveries > 1, "%s was released, and came at delivery %s", name(record), deliveries);
            Records.check(!accepted.contains(name(record)), "%s came again after it was accepted", name(record));
            came.add(name(record));
            boolean again = deliveries == 1 && record.offset() % 10 == 0;
            consumer.acknowledge(record, again ? AcknowledgeType.RELEASE : AcknowledgeType.ACCEPT);
            (again ? release : accept).add(record);
            // Before it is sent: another member may get the record before this one hears that it was let go.
            if (again) released.put(name(record), false);
        }
        Map<TopicIdPartition, Optional<KafkaException>> answers = consumer.commitSync();
        for (ConsumerRecord<String, String> record : accept) {
            if (holds(answers, record)) Records.check(accepted.add(name(record)), "%s was accepted twice", name(record));
        }
        for (ConsumerRecord<String, String> record : release) {
            released.computeIfPresent(name(record), (name, before) -> holds(answers, record) ? true : null);
        }
    }

    private static boolean holds(Map<TopicIdPartition, Optional<KafkaException>> answers, ConsumerRecord<String, String> record) {
        return answers.entrySet().stream().anyMatch(answer -> answer.getKey().partition() == record.partition() && answer.getValue().isEmpty());
    }

    private static String name(ConsumerRecord<String, String> record) {
        return record.partition() + "-" + record.offset();
    }
}
