import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.IntFunction;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache's own consumer with group.protocol=consumer (KIP-848): both assignors, expressions, static members, migration. */
public final class JavaConsumerProtocol {
    private static final int PARTITIONS = 6;
    private static final Map<String, Object> NEW = Map.of("group.protocol", "consumer");

    private final String bootstrap;
    private final String topic;
    private final Records records = new Records(List.of("none"));
    private final Admin admin;

    private JavaConsumerProtocol(String bootstrap, String unique) {
        this.bootstrap = bootstrap;
        this.topic = unique;
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
    }

    public static void main(String[] arguments) {
        Program.main("java-consumer-protocol", arguments, (bootstrap, unique) -> new JavaConsumerProtocol(bootstrap, unique).run());
    }

    private String run() throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, PARTITIONS, (short) 3))).all());
        produce();
        for (String assignor : List.of("uniform", "range")) dance(assignor);
        expression();
        staticMembers();
        migration();
        return "records=" + records.total + " version=" + org.apache.kafka.common.utils.AppInfoParser.getVersion();
    }

    private void produce() throws Exception {
        Map<String, Object> config = Map.of("bootstrap.servers", bootstrap, "acks", "all", "linger.ms", 5,
                "key.serializer", ByteArraySerializer.class, "value.serializer", ByteArraySerializer.class);
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int n = 0; n < records.total; n++) sent.add(producer.send(records.record(topic, n)));
            for (Future<RecordMetadata> future : sent) future.get(Program.WAIT_MS, TimeUnit.MILLISECONDS);
        }
    }

    /** Three members, then four, then two, while the records flow: each record once. */
    private void dance(String assignor) throws Exception {
        String group = topic + "-" + assignor;
        Records.Checker checker = records.new Checker(0, records.total);
        Map<String, Object> more = new HashMap<>(NEW);
        more.put("group.remote.assignor", assignor);
        IntFunction<Member> make = i -> new Member("m" + i, checker, bootstrap, topic, group, more);
        List<Member> members = new ArrayList<>(List.of(make.apply(0), make.apply(1), make.apply(2)));
        members.forEach(Thread::start);
        Program.await("2+2+2 partitions", () -> owns(members, 2, 2, 2));
        members.add(make.apply(3));
        members.get(3).start();
        Program.await("1+1+2+2 partitions", () -> owns(members, 1, 1, 2, 2));
        ConsumerGroupDescription four = Program.await("a stable group of four", () -> {
            ConsumerGroupDescription now = describe(group);
            return now.groupState() == GroupState.STABLE && now.members().size() == 4 ? now : null;
        });
        check(four.type() == GroupType.CONSUMER && four.partitionAssignor().equals(assignor), "%s", four);
        check(four.groupEpoch().equals(four.targetAssignmentEpoch()), "%s", four);
        Set<TopicPartition> all = new TreeSet<>(java.util.Comparator.comparing(TopicPartition::toString));
        for (MemberDescription member : four.members()) {
            check(member.upgraded().orElse(false) && member.memberEpoch().equals(four.groupEpoch()), "%s", member);
            check(member.assignment().equals(member.targetAssignment().orElseThrow()), "%s", member);
            all.addAll(member.assignment().topicPartitions());
        }
        check(all.size() == PARTITIONS, "%s", four);
        check(get(admin.listGroups(new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER))).all()).stream()
                .anyMatch(listed -> listed.groupId().equals(group)), "the group is not listed by its type");
        check(get(admin.listGroups(new ListGroupsOptions().withTypes(Set.of(GroupType.CLASSIC))).all()).stream()
                .noneMatch(listed -> listed.groupId().equals(group)), "the group is listed as a classic one");
        if (assignor.equals("uniform")) tool(group);
        for (Member member : List.copyOf(members.subList(0, 2))) {
            member.leave();
            members.remove(member);
        }
        Program.await("3+3 partitions", () -> owns(members, 3, 3));
        Program.await("all records", () -> owns(members) | checker.complete());
        for (Member member : members) member.leave();
        Program.await("an empty group", () -> describe(group).groupState() == GroupState.EMPTY);
        Map<Integer, Long> committed = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).entrySet()
                .stream().collect(Collectors.toMap(e -> e.getKey().partition(), e -> e.getValue().offset()));
        check(committed.equals(checker.next), "committed %s, not %s", committed, checker.next);
        if (assignor.equals("range")) get(admin.deleteConsumerGroups(List.of(group)).all());
    }

    /** What kafka-consumer-groups says of a group of four, and a timeout of the group's own. */
    private void tool(String group) throws Exception {
        String[] whole = {"--bootstrap-server", bootstrap, "--describe", "--group", group};
        String state = groups(with(whole, "--state", "--verbose"));
        check(state.contains("uniform") && state.contains("Stable") && state.contains("TARGET-ASSIGNMENT-EPOCH"), "%s", state);
        String members = groups(with(whole, "--members", "--verbose"));
        check(members.lines().filter(line -> line.startsWith(group)).count() == 4, "%s", members);
        check(members.contains("CURRENT-EPOCH") && members.contains(topic + ":"), "%s", members);
        String offsets = groups(whole);
        check(offsets.lines().filter(line -> line.startsWith(group)).count() == PARTITIONS, "%s", offsets);
        String listed = groups("--bootstrap-server", bootstrap, "--list", "--type", "consumer", "--state");
        check(listed.lines().anyMatch(line -> line.matches(group + "\\s+Consumer\\s+Stable\\s*")), "%s", listed);
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(
                new ConfigEntry("consumer.session.timeout.ms", "50000"), AlterConfigOp.OpType.SET)))).all());
        Program.await("the group's timeout", () -> {
            try {
                ConfigEntry entry = get(admin.describeConfigs(List.of(resource)).all()).get(resource).get("consumer.session.timeout.ms");
                return entry.value().equals("50000") && entry.source() == ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG;
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
    }

    private static String[] with(String[] arguments, String... more) {
        return java.util.stream.Stream.concat(Arrays.stream(arguments), Arrays.stream(more)).toArray(String[]::new);
    }

    private static String groups(String... arguments) throws Exception {
        Tool.Result result = Tool.run(org.apache.kafka.tools.consumer.group.ConsumerGroupCommand::main, true, arguments);
        check(result.code() == 0, "%s: %s", Arrays.toString(arguments), result.text());
        return result.text();
    }

    /** An expression that the broker resolves, before and after another topic matches. */
    private void expression() throws Exception {
        String group = topic + "-pattern";
        Records.Checker checker = records.new Checker(0, records.total);
        Member member = new Member("p", checker, bootstrap, topic, group, NEW)
                .pattern(new SubscriptionPattern(topic.substring(0, topic.length() - 1) + "[0-9].*"));
        member.start();
        Program.await("all records", () -> owns(List.of(member), PARTITIONS) & checker.complete());
        member.leave();
    }

    /** A static member that comes back has its partitions; a second one of its name is refused. */
    private void staticMembers() throws Exception {
        String group = topic + "-static";
        Records.Checker checker = records.new Checker(0, records.total);
        IntFunction<Member> make = i -> {
            Map<String, Object> more = new HashMap<>(NEW);
            more.put("group.instance.id", "instance-" + i);
            return new Member("s" + i, checker, bootstrap, topic, group, more);
        };
        List<Member> members = new ArrayList<>(List.of(make.apply(0), make.apply(1)));
        members.forEach(Thread::start);
        Program.await("3+3 partitions", () -> owns(members, 3, 3));
        Program.await("all records", () -> owns(members) | checker.complete());
        Member second = make.apply(0);
        second.start();
        Program.await("a refusal", () -> second.error != null);
        check(second.error instanceof org.apache.kafka.common.errors.UnreleasedInstanceIdException, "%s", second.error);
        Set<TopicPartition> before = Set.copyOf(members.get(0).mine);
        int epoch = describe(group).groupEpoch().orElseThrow();
        members.get(0).leave();
        members.set(0, make.apply(0));
        members.get(0).start();
        Program.await("its partitions", () -> owns(members, 3, 3));
        check(members.get(0).mine.equals(before), "%s, not %s", members.get(0).mine, before);
        check(describe(group).groupEpoch().orElseThrow() == epoch, "the group rebalanced");
        for (Member member : members) member.leave();
    }

    /** A classic group takes a member of the new protocol in and becomes one of it, until that member is gone again. */
    private void migration() throws Exception {
        String group = topic + "-migration";
        Records.Checker checker = records.new Checker(0, records.total);
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 2; i++) members.add(new Member("c" + i, checker, bootstrap, topic, group, Map.of()));
        members.forEach(Thread::start);
        Program.await("3+3 partitions", () -> owns(members, 3, 3));
        check(describe(group).type() == GroupType.CLASSIC, "%s", describe(group));
        Member upgraded = new Member("n", checker, bootstrap, topic, group, NEW);
        upgraded.start();
        members.add(upgraded);
        Program.await("2+2+2 partitions", () -> owns(members, 2, 2, 2));
        ConsumerGroupDescription mixed = describe(group);
        check(mixed.type() == GroupType.CONSUMER, "%s", mixed);
        check(mixed.members().stream().filter(m -> m.upgraded().orElse(false)).count() == 1, "%s", mixed);
        Program.await("all records", () -> owns(members) | checker.complete());
        upgraded.leave();
        members.remove(upgraded);
        Program.await("3+3 partitions again", () -> owns(members, 3, 3));
        check(describe(group).type() == GroupType.CLASSIC, "%s", describe(group));
        for (Member member : members) member.leave();
        // Without members the other protocol just takes over.
        Member alone = new Member("a", checker, bootstrap, topic, group, NEW);
        alone.start();
        Program.await("6 partitions", () -> owns(List.of(alone), PARTITIONS));
        check(describe(group).type() == GroupType.CONSUMER, "%s", describe(group));
        alone.leave();
    }

    private static boolean owns(List<Member> members, int... sizes) {
        members.forEach(Member::rethrow);
        return Arrays.equals(members.stream().mapToInt(m -> m.mine.size()).sorted().toArray(), sizes);
    }

    private ConsumerGroupDescription describe(String group) {
        try {
            return get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(Program.WAIT_MS, TimeUnit.MILLISECONDS);
    }

    private static void check(boolean condition, String message, Object... arguments) {
        Records.check(condition, message, arguments);
    }
}
