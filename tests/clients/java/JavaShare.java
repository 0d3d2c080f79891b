import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/** Apache's own share consumer (KIP-932): several members on one partition, every way of acknowledging, and members that keep what they got. */
public final class JavaShare {
    private static final int RECORDS = 2_000;

    private final String bootstrap;
    private final String topic;
    private final Admin admin;

    private JavaShare(String bootstrap, String unique) {
        this.bootstrap = bootstrap;
        this.topic = unique;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] arguments) {
        Program.main("java-share", arguments, (bootstrap, unique) -> new JavaShare(bootstrap, unique).run());
    }

    private String run() throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, 1, (short) 3))).all());
        produce();
        implicit();
        explicit();
        expired();
        renewed();
        limited();
        tools();
        return "records=" + RECORDS + " version=" + org.apache.kafka.common.utils.AppInfoParser.getVersion();
    }

    private void produce() throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 5, "batch.size", 1_000,
                "key.serializer", StringSerializer.class, "value.serializer", StringSerializer.class);
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(config)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = 0; n < RECORDS; n++) sent.add(producer.send(new ProducerRecord<>(topic, "" + n)));
            for (Future<RecordMetadata> future : sent) future.get(Program.WAIT_MS, TimeUnit.MILLISECONDS);
        }
    }

    /** A group reads everything and is deleted; the next one of its name reads everything again. */
    private void implicit() throws Exception {
        String group = group("implicit");
        readAll(group);
        get(admin.deleteShareGroups(List.of(group)).all());
        set(group, "share.auto.offset.reset", "earliest");
        readAll(group);
    }

    /** One member that takes every record for processed when it polls again: each record once. */
    private void readAll(String group) throws Exception {
        Map<Long, Integer> seen = new HashMap<>();
        try (KafkaShareConsumer<String, String> consumer = consumer(group, "implicit")) {
            long end = System.currentTimeMillis() + Program.WAIT_MS;
            while (seen.size() < RECORDS && System.currentTimeMillis() < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    seen.merge(record.offset(), 1, Integer::sum);
                }
            }
        }
        check(seen.size() == RECORDS, "%s of %s records", seen.size(), RECORDS);
        check(seen.values().stream().allMatch(times -> times == 1), "records came twice");
    }

    /** Three members accept most records, release every tenth once and reject every seventh; one leaves with what it holds. */
    private void explicit() throws Exception {
        String group = group("explicit");
        // Each member holds its first records until every member has some.
        set(group, "share.record.lock.duration.ms", "60000");
        Map<Long, Integer> accepted = new ConcurrentHashMap<>();
        Set<Long> rejected = ConcurrentHashMap.newKeySet();
        KafkaShareConsumer<String, String> leaver = consumer(group, "explicit");
        List<Long> held = new ArrayList<>();
        long end = System.currentTimeMillis() + Program.WAIT_MS;
        while (held.isEmpty() && System.currentTimeMillis() < end) {
            leaver.poll(Duration.ofMillis(200)).forEach(record -> held.add(record.offset()));
        }
        check(!held.isEmpty(), "the member that leaves got nothing");
        List<Thread> members = new ArrayList<>();
        List<Throwable> failed = new ArrayList<>();
        CountDownLatch all = new CountDownLatch(3);
        for (int i = 0; i < 3; i++) {
            members.add(new Thread(() -> {
                try (KafkaShareConsumer<String, String> consumer = consumer(group, "explicit")) {
                    boolean first = true;
                    while (accepted.size() + rejected.size() < RECORDS && System.currentTimeMillis() < end) {
                        ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                        if (first && !records.isEmpty()) {
                            // No member goes on before each of them has a part of the partition.
                            first = false;
                            all.countDown();
                            check(all.await(Program.WAIT_MS, TimeUnit.MILLISECONDS), "%s members got no records", all.getCount());
                        }
                        for (ConsumerRecord<String, String> record : records) {
                            AcknowledgeType type = AcknowledgeType.ACCEPT;
                            if (record.offset() % 7 == 0) type = AcknowledgeType.REJECT;
                            else if (record.offset() % 10 == 0 && record.deliveryCount().orElse((short) 1) < 3) type = AcknowledgeType.RELEASE;
                            consumer.acknowledge(record, type);
                            if (type == AcknowledgeType.ACCEPT) accepted.merge(record.offset(), 1, Integer::sum);
                            if (type == AcknowledgeType.REJECT) rejected.add(record.offset());
                        }
                        for (var error : consumer.commitSync().entrySet()) {
                            if (error.getValue().isPresent()) throw error.getValue().get();
                        }
                    }
                } catch (Throwable error) {
                    synchronized (failed) {
                        failed.add(error);
                    }
                }
            }));
        }
        members.forEach(Thread::start);
        Program.await("a stable group of four", () -> {
            ShareGroupDescription now = describe(group);
            return now.groupState() == GroupState.STABLE && now.members().size() == 4;
        });
        check(get(admin.listGroups(new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE))).all()).stream()
                .anyMatch(listed -> listed.groupId().equals(group)), "the group is not listed by its type");
        leaver.close(Duration.ZERO);
        for (Thread member : members) member.join(Program.WAIT_MS);
        for (Throwable error : failed) throw new IllegalStateException(error);
        check(accepted.size() + rejected.size() == RECORDS, "%s accepted and %s rejected", accepted.size(), rejected.size());
        check(accepted.values().stream().allMatch(times -> times == 1), "a record was accepted twice");
        Program.await("an empty group", () -> describe(group).groupState() == GroupState.EMPTY);
    }

    /** What a member holds for too long is given to another one, and is no longer the first one's to accept. */
    private void expired() throws Exception {
        String group = group("expired");
        set(group, "share.record.lock.duration.ms", "1000");
        List<ConsumerRecord<String, String>> held = new ArrayList<>();
        try (KafkaShareConsumer<String, String> holder = consumer(group, "explicit");
                KafkaShareConsumer<String, String> other = consumer(group, "explicit")) {
            Program.await("records", () -> {
                holder.poll(Duration.ofMillis(200)).forEach(held::add);
                return !held.isEmpty();
            });
            long first = held.get(0).offset();
            Program.await("a record that another member held", () -> {
                boolean came = false;
                for (ConsumerRecord<String, String> record : other.poll(Duration.ofMillis(200))) {
                    came |= record.offset() == first && record.deliveryCount().orElse((short) 0) > 1;
                    other.acknowledge(record, AcknowledgeType.ACCEPT);
                }
                return came;
            });
            // Nothing is committed yet: late acknowledgements of what is done with are passed over in silence.
            for (ConsumerRecord<String, String> record : held) holder.acknowledge(record, AcknowledgeType.ACCEPT);
            var errors = holder.commitSync().values();
            check(errors.stream().anyMatch(error -> error.orElse(null) instanceof InvalidRecordStateException), "late acknowledgements: %s", errors);
        }
    }

    /** What a member says that it still works on stays its own for as long as it says so, and counts as one delivery. */
    private void renewed() throws Exception {
        int lock = 3_000;
        String group = group("renewed");
        set(group, "share.record.lock.duration.ms", "" + lock);
        Map<Long, ConsumerRecord<String, String>> held = new HashMap<>();
        try (KafkaShareConsumer<String, String> holder = consumer(group, "explicit");
                KafkaShareConsumer<String, String> other = consumer(group, "explicit")) {
            Program.await("records", () -> {
                holder.poll(Duration.ofMillis(200)).forEach(record -> held.put(record.offset(), record));
                return !held.isEmpty();
            });
            check(holder.acquisitionLockTimeoutMs().orElse(0) == lock, "a lock of %s", holder.acquisitionLockTimeoutMs());
            Map<Long, ConsumerRecord<String, String>> now = new HashMap<>(held);
            int others = 0;
            long end = System.currentTimeMillis() + 3 * lock;
            while (System.currentTimeMillis() < end) {
                now.values().forEach(record -> holder.acknowledge(record, AcknowledgeType.RENEW));
                now.clear();
                // What was renewed is handed out again, and nothing else before that. Renewals wait for the fetch that is on its way.
                Program.await("what was renewed", () -> {
                    holder.poll(Duration.ofMillis(100)).forEach(record -> now.put(record.offset(), record));
                    return !now.isEmpty();
                });
                check(now.keySet().equals(held.keySet()), "%s instead of %s", now.keySet(), held.keySet());
                for (ConsumerRecord<String, String> record : other.poll(Duration.ofMillis(100))) {
                    check(!held.containsKey(record.offset()), "%s was given to another member", record.offset());
                    other.acknowledge(record, AcknowledgeType.ACCEPT);
                    others++;
                }
            }
            check(others > 0, "the other member got nothing");
            for (ConsumerRecord<String, String> record : now.values()) {
                check(record.deliveryCount().orElse((short) 0) == 1, "%s was delivered %s times", record.offset(), record.deliveryCount());
                holder.acknowledge(record, AcknowledgeType.ACCEPT);
            }
            var errors = holder.commitSync().values();
            check(!errors.isEmpty() && errors.stream().allMatch(java.util.Optional::isEmpty), "acknowledgements: %s", errors);
        }
    }

    /** A member that wants no more than a few records at a time gets no more, though the log's batches hold many. */
    private void limited() {
        int most = 7;
        String group = group("limited");
        Properties config = config(group, "explicit");
        config.putAll(Map.of("share.acquire.mode", "record_limit", "max.poll.records", most));
        Map<Long, Integer> seen = new HashMap<>();
        try (KafkaShareConsumer<String, String> consumer = consumer(config)) {
            long end = System.currentTimeMillis() + Program.WAIT_MS;
            while (seen.size() < 20 * most && System.currentTimeMillis() < end) {
                ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(200));
                check(records.count() <= most, "%s records at once", records.count());
                for (ConsumerRecord<String, String> record : records) {
                    seen.merge(record.offset(), 1, Integer::sum);
                    consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                }
            }
        }
        check(seen.size() == 20 * most, "%s records", seen.size());
        check(seen.keySet().stream().allMatch(offset -> offset < 20 * most), "not the first ones: %s", seen.keySet());
        check(seen.values().stream().allMatch(times -> times == 1), "records came twice");
    }

    /** Kafka's own share consumer on the command line, and the tool that looks at its group. */
    private void tools() throws Exception {
        String group = group("tools");
        String read = tool(org.apache.kafka.tools.consumer.ConsoleShareConsumer::main, "--topic", topic, "--group", group,
                "--max-messages", "" + RECORDS, "--timeout-ms", "" + Program.WAIT_MS);
        check(read.lines().distinct().count() == RECORDS, "the console consumer read %s", read);
        check(share("--list").lines().anyMatch(group::equals), "the group is not listed");
        Program.await("an empty group", () -> describe(group).groupState() == GroupState.EMPTY);
        String state = share("--describe", "--state", "--group", group);
        check(state.contains("Empty"), "its state: %s", state);
        // What is kept is the start with which the last change was written: not yet the end.
        String offsets = share("--describe", "--offsets", "--group", group);
        check(offsets.lines().anyMatch(line -> line.matches(".*" + topic + " +0 .*[1-9].*")), "its offsets: %s", offsets);
        try (KafkaShareConsumer<String, String> consumer = consumer(group, "implicit")) {
            Program.await("a member", () -> {
                consumer.poll(Duration.ofMillis(100));
                return !describe(group).members().isEmpty();
            });
            String members = share("--describe", "--members", "--group", group);
            check(members.contains(topic), "its members: %s", members);
        }
        Program.await("an empty group", () -> describe(group).groupState() == GroupState.EMPTY);
        share("--reset-offsets", "--to-earliest", "--execute", "--group", group, "--topic", topic);
        String reset = share("--describe", "--offsets", "--group", group);
        check(reset.lines().anyMatch(line -> line.matches(".*" + topic + " +0 +0( .*)?")), "its offsets after a reset: %s", reset);
        String forgotten = share("--delete-offsets", "--group", group, "--topic", topic);
        check(forgotten.lines().anyMatch(line -> line.matches(topic + " +Successful *")), "the deletion of its offsets: %s", forgotten);
        String nothing = share("--describe", "--offsets", "--group", group);
        check(nothing.contains("has no offset information"), "its offsets after their deletion: %s", nothing);
        String deleted = share("--delete", "--group", group);
        check(deleted.contains("successful"), "its deletion: %s", deleted);
    }

    private String share(String... arguments) throws Exception {
        return tool(org.apache.kafka.tools.consumer.group.ShareGroupCommand::main, arguments);
    }

    private String tool(Tool.Main main, String... arguments) throws Exception {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", bootstrap));
        all.addAll(List.of(arguments));
        Tool.Result result = Tool.run(main, false, all.toArray(String[]::new));
        check(result.code() == 0, "%s ended with %s: %s", all, result.code(), result.text());
        return result.text();
    }

    /** A group that begins with the first record. */
    private String group(String name) {
        String group = topic + "-" + name;
        set(group, "share.auto.offset.reset", "earliest");
        return group;
    }

    private void set(String group, String key, String value) {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        AlterConfigOp set = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(set))).all());
    }

    private KafkaShareConsumer<String, String> consumer(String group, String mode) {
        return consumer(config(group, mode));
    }

    private KafkaShareConsumer<String, String> consumer(Properties config) {
        KafkaShareConsumer<String, String> consumer = new KafkaShareConsumer<>(config);
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    private Properties config(String group, String mode) {
        Properties config = new Properties();
        config.putAll(Map.of("bootstrap.servers", bootstrap, "group.id", group, "share.acknowledgement.mode", mode, "max.poll.records", 100,
                "key.deserializer", StringDeserializer.class.getName(), "value.deserializer", StringDeserializer.class.getName()));
        return config;
    }

    private ShareGroupDescription describe(String group) {
        return get(admin.describeShareGroups(List.of(group)).all()).get(group);
    }

    private static void check(boolean holds, String message, Object... arguments) {
        Records.check(holds, message, arguments);
    }

    private static <T> T get(KafkaFuture<T> future) {
        try {
            return future.get(Program.WAIT_MS, TimeUnit.MILLISECONDS);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }
}
