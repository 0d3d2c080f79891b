import static java.util.stream.Collectors.toMap;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache's own client: idempotent producers, eager and cooperative groups, static members, and the admin client. */
public final class JavaClient {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final int PARTITIONS = 6;
    private static final short REPLICAS = 3;

    private final String bootstrap;
    private final String topic;
    private final Records records = new Records(CODECS);
    private final Admin admin;

    private JavaClient(String bootstrap, String unique) {
        this.bootstrap = bootstrap;
        this.topic = unique;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] arguments) {
        Program.main("java", arguments, (bootstrap, unique) -> new JavaClient(bootstrap, unique).run());
    }

    private String run() throws Exception {
        create();
        for (int c = 0; c < CODECS.size(); c++) {
            produce(CODECS.get(c), c * Records.PER_CODEC, (c + 1) * Records.PER_CODEC);
        }
        Map<Integer, Long> ends = null;
        Records.Checker first = null;
        List<String> groups = new ArrayList<>();
        for (Class<?> assignor : List.of(RangeAssignor.class, CooperativeStickyAssignor.class)) {
            String group = topic + "-" + assignor.getSimpleName();
            groups.add(group);
            Records.Checker checker = records.new Checker(0, records.total);
            dance(group, assignor, checker);
            ends = Map.copyOf(checker.next);
            check(committed(group).equals(ends), "committed %s, not %s", committed(group), ends);
            first = checker;
        }
        int last = records.total + 500;
        produce("none", records.total, last);
        Records.Checker resumed = records.new Checker(records.total, last);
        resumed.next.putAll(ends);
        Member member = new Member("resumed", resumed, bootstrap, topic, groups.get(0), Map.of());
        member.start();
        Program.await("the resumed records", () -> member.error != null || resumed.complete());
        member.leave();
        Map<Integer, Long> all = Map.copyOf(resumed.next);
        seekAndLookUp(first, all);
        staticMembers();
        describe(groups.get(0), all);
        // Left behind for a test that looks at them.
        if (System.getenv("KLAMM_CLIENT_KEEP") == null) clean(groups);
        return "records=" + (2 * records.total + 500) + " codecs=" + CODECS.size() + " version="
                + org.apache.kafka.common.utils.AppInfoParser.getVersion();
    }

    private void create() throws Exception {
        DescribeClusterResult cluster = admin.describeCluster();
        check(get(cluster.nodes()).size() == 3 && get(cluster.clusterId()) != null, "cluster %s", get(cluster.nodes()));
        check(get(cluster.controller()) != null, "no controller");
        NewTopic wanted = new NewTopic(topic, PARTITIONS, REPLICAS).configs(Map.of("retention.ms", "86400000"));
        get(admin.createTopics(List.of(wanted), new CreateTopicsOptions().validateOnly(true)).all());
        check(!get(admin.listTopics().names()).contains(topic), "validate-only made the topic");
        CreateTopicsResult created = admin.createTopics(List.of(wanted));
        check(get(created.numPartitions(topic)) == PARTITIONS, "partitions");
        check(get(created.config(topic)).get("retention.ms").value().equals("86400000"), "config of the new topic");
        try {
            get(admin.createTopics(List.of(wanted)).all());
            check(false, "the topic was created twice");
        } catch (ExecutionException error) {
            check(error.getCause() instanceof TopicExistsException, "%s", error.getCause());
        }
        TopicDescription described = Program.await("in-sync replicas", () -> {
            TopicDescription now = description();
            return now != null && now.partitions().stream().allMatch(p -> p.leader() != null && p.isr().size() == REPLICAS)
                    ? now : null;
        });
        check(described.partitions().size() == PARTITIONS, "%s", described);
        check(get(created.topicId(topic)).equals(described.topicId()), "topic id");
        Map<Integer, Long> leaders = described.partitions().stream()
                .collect(java.util.stream.Collectors.groupingBy(p -> p.leader().id(), java.util.stream.Collectors.counting()));
        check(leaders.values().stream().allMatch(count -> count == 2), "leaders are not spread: %s", leaders);
    }

    private TopicDescription description() {
        try {
            return get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
        } catch (Exception notYet) {
            return null;
        }
    }

    private void produce(String codec, int from, int to) throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "acks", "all", "enable.idempotence", true,
                "compression.type", codec, "linger.ms", 5, "key.serializer", ByteArraySerializer.class,
                "value.serializer", ByteArraySerializer.class);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            check(producer.partitionsFor(topic).size() == PARTITIONS, "partitionsFor");
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = from; n < to; n++) {
                sent.add(producer.send(records.record(topic, n)));
            }
            for (Future<RecordMetadata> future : sent) {
                check(future.get(Program.WAIT_MS, TimeUnit.MILLISECONDS).hasOffset(), "%s: an ack without an offset", codec);
            }
        }
    }

    /** Three members, then four, then two, while the records flow. */
    private void dance(String group, Class<?> assignor, Records.Checker checker) throws Exception {
        Map<String, Object> more = Map.of("partition.assignment.strategy", assignor.getName());
        IntFunction<Member> make = i -> new Member("m" + i, checker, bootstrap, topic, group, more);
        List<Member> members = new ArrayList<>(List.of(make.apply(0), make.apply(1), make.apply(2)));
        members.forEach(Thread::start);
        Program.await("2+2+2 partitions", () -> owns(members, 2, 2, 2));
        Program.await("a quarter of the records", () -> owns(members) | checker.count() >= checker.expected / 4);
        members.add(make.apply(3));
        members.get(3).start();
        Program.await("1+1+2+2 partitions", () -> owns(members, 1, 1, 2, 2));
        ConsumerGroupDescription four = Program.await("a stable group of four", () -> {
            ConsumerGroupDescription now = describeGroup(group);
            return now.groupState() == GroupState.STABLE && now.members().size() == 4 ? now : null;
        });
        check(four.members().stream().mapToInt(m -> m.assignment().topicPartitions().size()).sum() == PARTITIONS, "%s", four);
        check(four.partitionAssignor().equals(assignor == RangeAssignor.class ? "range" : "cooperative-sticky"), "%s", four);
        try {
            get(admin.deleteConsumerGroups(List.of(group)).all());
            check(false, "a group with members was deleted");
        } catch (ExecutionException error) {
            check(error.getCause() instanceof GroupNotEmptyException, "%s", error.getCause());
        }
        Program.await("half of the records", () -> owns(members) | checker.count() >= checker.expected / 2);
        for (Member member : List.copyOf(members.subList(0, 2))) {
            member.leave();
            members.remove(member);
        }
        Program.await("3+3 partitions", () -> owns(members, 3, 3));
        Program.await("all records", () -> owns(members) | checker.complete());
        for (Member member : members) {
            member.leave();
        }
    }

    private static boolean owns(List<Member> members, int... sizes) {
        members.forEach(Member::rethrow);
        return java.util.Arrays.equals(members.stream().mapToInt(m -> m.mine.size()).sorted().toArray(), sizes);
    }

    private ConsumerGroupDescription describeGroup(String group) {
        try {
            return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private Map<Integer, Long> committed(String group) throws Exception {
        return get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).entrySet().stream()
                .collect(toMap(entry -> entry.getKey().partition(), entry -> entry.getValue().offset()));
    }

    private void seekAndLookUp(Records.Checker checker, Map<Integer, Long> ends) {
        List<TopicPartition> partitions = IntStream.range(0, PARTITIONS).mapToObj(p -> new TopicPartition(topic, p)).toList();
        int middle = records.total / 2;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(Member.config(bootstrap))) {
            consumer.assign(partitions);
            consumer.offsetsForTimes(partitions.stream().collect(toMap(tp -> tp, tp -> records.base + middle)))
                    .forEach((tp, found) -> {
                        long wanted = checker.offsetAt(tp.partition(), middle);
                        check(found.offset() == wanted, "timestamp: %s is %s, not %d", tp, found, wanted);
                        check(found.timestamp() == records.base + checker.numberAt(tp.partition(), wanted), "%s", found);
                    });
            check(consumer.offsetsForTimes(Map.of(partitions.get(0), records.base + 10_000_000L)).get(partitions.get(0)) == null,
                    "a timestamp past the end has an offset");
            check(consumer.beginningOffsets(partitions).values().stream().allMatch(offset -> offset == 0), "beginnings");
            consumer.endOffsets(partitions).forEach((tp, end) -> check(end.equals(ends.get(tp.partition())), "end of %s: %d", tp, end));
            for (TopicPartition tp : partitions) {
                consumer.assign(List.of(tp));
                long end = ends.get(tp.partition());
                for (long start : new long[] {end / 2, end / 3, 0}) {
                    consumer.seek(tp, start);
                    read(consumer, tp, start, checker);
                }
                consumer.seekToEnd(List.of(tp));
                check(consumer.position(tp) == end, "seek to the end of %s: %d", tp, consumer.position(tp));
                consumer.seekToBeginning(List.of(tp));
                read(consumer, tp, 0, checker);
            }
        }
    }

    private static void read(KafkaConsumer<byte[], byte[]> consumer, TopicPartition tp, long start, Records.Checker checker) {
        List<ConsumerRecord<byte[], byte[]>> got = new ArrayList<>();
        Program.await("records after seek", () -> {
            got.addAll(consumer.poll(Duration.ofSeconds(1)).records(tp));
            return got.size() >= 10;
        });
        for (int i = 0; i < 10; i++) {
            check(got.get(i).offset() == start + i, "seek %s-%d: %d", tp, start, got.get(i).offset());
            check(Records.number(got.get(i)) == checker.numberAt(tp.partition(), start + i), "seek %s-%d", tp, start + i);
        }
    }

    /** KIP-345: a static member that comes back keeps its partitions without a rebalance; an administrator removes it. */
    private void staticMembers() throws Exception {
        String group = topic + "-static";
        Records.Checker checker = records.new Checker(0, records.total + 500);
        IntFunction<Member> make = i -> new Member("s" + i, checker, bootstrap, topic, group,
                Map.of("group.instance.id", "instance-" + i, "internal.leave.group.on.close", false));
        List<Member> members = new ArrayList<>(List.of(make.apply(0), make.apply(1)));
        members.forEach(Thread::start);
        Program.await("3+3 partitions", () -> owns(members, 3, 3));
        Program.await("all records", () -> owns(members) | checker.complete());
        List<TopicPartition> before = List.copyOf(members.get(0).mine);
        members.get(0).leave();
        check(describeGroup(group).members().size() == 2, "a static member left by closing");
        members.set(0, make.apply(0));
        members.get(0).start();
        Program.await("the same partitions", () -> owns(members, 3, 3));
        check(members.get(0).mine.containsAll(before), "%s, not %s", members.get(0).mine, before);
        for (Member member : members) member.leave();
        get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(List.of(
                new MemberToRemove("instance-0"), new MemberToRemove("instance-1")))).all());
        check(describeGroup(group).groupState() == GroupState.EMPTY, "%s", describeGroup(group));
        get(admin.deleteConsumerGroups(List.of(group)).all());
    }

    private void describe(String group, Map<Integer, Long> ends) throws Exception {
        check(get(admin.listTopics().names()).contains(topic), "topic not listed");
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        check(config(resource, "retention.ms").equals("86400000"), "retention.ms");
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("max.message.bytes", "2000000"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
                new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)))).all());
        Program.await("the changed config", () -> config(resource, "max.message.bytes").equals("2000000"));
        check(config(resource, "retention.ms").equals("604800000"), "deleted config");
        check(config(resource, "cleanup.policy").equals("delete,compact"), "appended %s", config(resource, "cleanup.policy"));
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
        check(config(broker, "log.retention.hours").equals("168"), "broker config");
        get(admin.incrementalAlterConfigs(Map.of(broker, List.of(new AlterConfigOp(
                new ConfigEntry("log.cleaner.backoff.ms", "14000"), AlterConfigOp.OpType.SET)))).all());
        Program.await("the changed broker config", () -> config(broker, "log.cleaner.backoff.ms").equals("14000"));

        check(get(admin.listGroups(ListGroupsOptions.forConsumerGroups()).all()).stream()
                .anyMatch(g -> g.groupId().equals(group) && g.groupState().equals(Optional.of(GroupState.EMPTY))), "group not listed");
        check(describeGroup(group).groupState() == GroupState.EMPTY, "the group is not empty");

        Map<TopicPartition, Long> latest = offsets(OffsetSpec.latest());
        latest.forEach((tp, offset) -> check(offset.equals(ends.get(tp.partition())), "latest %s: %d", tp, offset));
        offsets(OffsetSpec.maxTimestamp())
                .forEach((tp, offset) -> check(offset == ends.get(tp.partition()) - 1, "max timestamp %s: %d", tp, offset));
        offsets(OffsetSpec.earliest()).forEach((tp, offset) -> check(offset == 0, "earliest %s: %d", tp, offset));

        TopicPartition zero = new TopicPartition(topic, 0);
        TopicPartition one = new TopicPartition(topic, 1);
        get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(7, "seven"))).all());
        check(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).get(zero).metadata().equals("seven"), "altered");
        get(admin.deleteConsumerGroupOffsets(group, java.util.Set.of(one)).all());
        check(!committed(group).containsKey(1), "the deleted offset is still there");

        check(get(admin.deleteRecords(Map.of(one, RecordsToDelete.beforeOffset(100))).lowWatermarks().get(one)).lowWatermark() == 100,
                "low watermark");
        check(offsets(OffsetSpec.earliest()).get(one) == 100, "earliest after deleting records");
        Map<Integer, Map<String, LogDirDescription>> dirs = get(admin.describeLogDirs(List.of(1, 2, 3)).allDescriptions());
        long replicas = dirs.values().stream().flatMap(d -> d.values().stream()).flatMap(d -> d.replicaInfos().entrySet().stream())
                .filter(r -> r.getKey().topic().equals(topic) && r.getValue().size() > 0).count();
        check(replicas == PARTITIONS * REPLICAS, "log dirs hold %d replicas", replicas);
        check(get(admin.describeFeatures().featureMetadata()).finalizedFeatures().containsKey("metadata.version"), "features");

        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(PARTITIONS + 1))).all());
        Program.await("a seventh partition", () -> description() != null && description().partitions().size() == PARTITIONS + 1);
    }

    private Map<TopicPartition, Long> offsets(OffsetSpec spec) throws Exception {
        Map<TopicPartition, OffsetSpec> wanted = new HashMap<>();
        for (int p = 0; p < PARTITIONS; p++) wanted.put(new TopicPartition(topic, p), spec);
        return get(admin.listOffsets(wanted).all()).entrySet().stream().collect(toMap(Map.Entry::getKey, e -> e.getValue().offset()));
    }

    private String config(ConfigResource resource, String name) {
        try {
            return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name).value();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private void clean(List<String> groups) throws Exception {
        get(admin.deleteConsumerGroups(groups).all());
        org.apache.kafka.common.Uuid id = description().topicId();
        get(admin.deleteTopics(org.apache.kafka.common.TopicCollection.ofTopicIds(List.of(id))).all());
        Program.await("the topic to be gone", () -> {
            try {
                return !get(admin.listTopics().names()).contains(topic);
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(Program.WAIT_MS, TimeUnit.MILLISECONDS);
    }

    private static void check(boolean condition, String message, Object... arguments) {
        Records.check(condition, message, arguments);
    }
}
