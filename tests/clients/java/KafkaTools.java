import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Kafka's own command-line tools: topics, configs, consumer groups, offsets, records, log directories, console producer
 * and consumer, and the performance tests. They run in this process, except the console consumers that form a group.
 */
public final class KafkaTools {
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    private static final int PER_CODEC = 20_000;
    private static final int TOTAL = PER_CODEC * CODECS.size();
    private static final int PARTITIONS = 6;

    private final String bootstrap;
    private final String topic;
    private final String group;

    private KafkaTools(String bootstrap, String unique) {
        this.bootstrap = bootstrap;
        this.topic = unique;
        this.group = "g-" + unique;
    }

    public static void main(String[] arguments) {
        PrintStream out = System.out;
        Program.main("kafka-tools", arguments, (bootstrap, unique) -> {
            try {
                return new KafkaTools(bootstrap, unique).run();
            } finally {
                System.setOut(out);
            }
        });
    }

    /** Runs a tool as its script does and gives back what it printed. */
    private String tool(Tool.Main main, String... arguments) throws Exception {
        List<String> all = new ArrayList<>(List.of("--bootstrap-server", bootstrap));
        all.addAll(Arrays.asList(arguments));
        Tool.Result result = Tool.run(main, false, all.toArray(String[]::new));
        check(result.code() == 0, "%s ended with %d: %s", String.join(" ", arguments), result.code(), result.text());
        return result.text();
    }

    private String topics(String... arguments) throws Exception {
        return tool(org.apache.kafka.tools.TopicCommand::main, arguments);
    }

    private String configs(String... arguments) throws Exception {
        return tool(kafka.admin.ConfigCommand::main, arguments);
    }

    private String groups(String... arguments) throws Exception {
        return tool(org.apache.kafka.tools.consumer.group.ConsumerGroupCommand::main, arguments);
    }

    private String offsets(String time) throws Exception {
        return tool(org.apache.kafka.tools.GetOffsetShell::main, "--topic", topic, "--time", time);
    }

    private static String value(int n) {
        return n + ":" + "abcdefghijklmnopqrstuvwxyz".substring(n % 26).repeat(n % 4);
    }

    private static String headers(int n) {
        return "seq:" + n + ",codec:" + CODECS.get(Math.min(n / PER_CODEC, CODECS.size() - 1)) + ",empty:";
    }

    private static String key(int n) {
        return String.format("key-%03d", n % 997);
    }

    private void produce(String codec, int from, int to) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int n = from; n < to; n++) {
            lines.append(headers(n)).append('\t').append(key(n)).append('\t').append(value(n)).append('\n');
        }
        System.setIn(new ByteArrayInputStream(lines.toString().getBytes(StandardCharsets.UTF_8)));
        tool(org.apache.kafka.tools.ConsoleProducer::main, "--topic", topic, "--compression-codec", codec,
                "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
                "--command-property", "enable.idempotence=true", "--command-property", "linger.ms=5",
                "--request-required-acks", "all");
    }

    private static final String[] FORMAT = {
        "--formatter-property", "print.partition=true", "--formatter-property", "print.offset=true",
        "--formatter-property", "print.headers=true", "--formatter-property", "print.key=true",
        "--formatter-property", "print.timestamp=true",
    };

    /**
     * The lines of console consumers, checked: every record once; at the end, in order within its key and no gap in a
     * partition. (Lines of several processes come through several pipes, so not in the order they were consumed.)
     */
    private static final class Checker {
        final Set<Integer> seen = new HashSet<>();
        final Map<Integer, Long> next = new TreeMap<>();
        final Map<Integer, TreeMap<Long, Integer>> numbers = new HashMap<>();
        final Map<Integer, TreeMap<Long, Long>> times = new HashMap<>();

        // CreateTime:1700000000000 Partition:3 Offset:17 seq:5,codec:none,empty: key value
        synchronized void accept(String line) {
            String[] part = line.split("\t", -1);
            check(part.length == 6, "a line of another shape: %s", line);
            int partition = Integer.parseInt(part[1].substring("Partition:".length()));
            long offset = Long.parseLong(part[2].substring("Offset:".length()));
            int n = Integer.parseInt(part[5].substring(0, part[5].indexOf(':')));
            check(part[3].equals(headers(n)), "record %d: headers %s", n, part[3]);
            check(part[4].equals(key(n)) && part[5].equals(value(n)), "record %d: %s", n, line);
            check(seen.add(n), "record %d came twice (%d-%d)", n, partition, offset);
            next.merge(partition, offset + 1, Math::max);
            numbers.computeIfAbsent(partition, p -> new TreeMap<>()).put(offset, n);
            times.computeIfAbsent(partition, p -> new TreeMap<>()).put(offset, Long.parseLong(part[0].substring("CreateTime:".length())));
        }

        synchronized void finish() {
            Map<String, Integer> lastOfKey = new HashMap<>();
            numbers.forEach((partition, log) -> {
                check(log.size() == next.get(partition), "partition %d: %d records up to %d", partition, log.size(), next.get(partition));
                log.values().forEach(n -> {
                    Integer before = lastOfKey.put(key(n), n);
                    check(before == null || before < n, "%s: %d after %d", key(n), n, before);
                });
            });
        }

        synchronized int count() {
            return seen.size();
        }
    }

    /** A console consumer in a process of its own. */
    private final class Member extends Thread {
        final Process process;
        final Checker checker;
        volatile Throwable error;

        Member(String name, Checker checker) throws Exception {
            super(name);
            this.checker = checker;
            List<String> command = new ArrayList<>(List.of(
                    Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1",
                    "-XX:+UseSerialGC", "-Xmx128m", "-cp", System.getProperty("java.class.path"),
                    "org.apache.kafka.tools.consumer.ConsoleConsumer", "--bootstrap-server", bootstrap, "--topic", topic,
                    "--group", group, "--from-beginning", "--command-property", "client.id=" + name,
                    "--command-property", "heartbeat.interval.ms=300", "--command-property", "session.timeout.ms=20000",
                    "--command-property", "fetch.max.wait.ms=100"));
            command.addAll(List.of(FORMAT));
            process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
            setDaemon(true);
            start();
        }

        @Override
        public void run() {
            try (BufferedReader lines = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    if (line.startsWith("Processed a total of")) continue;
                    checker.accept(line);
                }
            } catch (Throwable failure) {
                error = failure;
            }
        }

        void leave() throws Exception {
            // Not Process.destroy: that closes our end of its output too, with records still in it.
            process.toHandle().destroy();
            join(Program.WAIT_MS);
            check(!isAlive() && error == null, "%s: %s", getName(), error);
        }
    }

    /** The sizes of the members' assignments, as kafka-consumer-groups prints them. */
    private String sizes(List<Member> members) {
        for (Member member : members) {
            check(member.error == null, "%s: %s", member.getName(), member.error);
        }
        try {
            return groups("--describe", "--group", group, "--members").lines().map(line -> line.trim().split("\\s+"))
                    .filter(words -> words.length >= 5 && words[0].equals(group)).map(words -> words[4]).sorted().toList().toString();
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private String run() throws Exception {
        topics("--create", "--topic", topic, "--partitions", "6", "--replication-factor", "3", "--config", "retention.ms=86400000");
        check(topics("--list").lines().anyMatch(topic::equals), "topic not listed");
        Program.await("in-sync replicas", () -> {
            try {
                String described = topics("--describe", "--topic", topic);
                return described.lines().filter(line -> line.matches(".*Leader: [123].*Isr: [123],[123],[123].*")).count() == 6;
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        });
        for (int c = 0; c < CODECS.size(); c++) {
            produce(CODECS.get(c), c * PER_CODEC, (c + 1) * PER_CODEC);
        }
        Checker checker = new Checker();
        dance(checker);
        String described = groups("--describe", "--group", group);
        checker.next.forEach((p, end) -> check(described.lines().anyMatch(line ->
                line.matches(group + "\\s+" + topic + "\\s+" + p + "\\s+" + end + "\\s+" + end + "\\s+0\\s.*")), "lag: %s", described));
        check(groups("--describe", "--group", group, "--state").contains("Empty"), "state");
        check(groups("--list", "--state").lines().anyMatch(line -> line.matches(group + "\\s+Empty\\s*")), "group not listed");

        produce("none", TOTAL, TOTAL + 500);
        String resumed = consume("--group", group, "--max-messages", "500");
        resumed.lines().forEach(checker::accept);
        check(checker.count() == TOTAL + 500, "%d records", checker.count());
        checker.finish();

        seekAndLookUp(checker);
        change();
        perf();
        groups("--delete", "--group", group);
        topics("--delete", "--topic", topic);
        check(tool(org.apache.kafka.tools.BrokerApiVersionsCommand::main).contains("Produce(0): 0 to"), "api versions");
        check(tool(org.apache.kafka.tools.FeatureCommand::main, "describe").contains("metadata.version"), "features");
        return "records=" + (TOTAL + 500) + " codecs=" + CODECS.size();
    }

    private void dance(Checker checker) throws Exception {
        List<Member> members = new ArrayList<>();
        for (int i = 0; i < 3; i++) members.add(new Member("m" + i, checker));
        Program.await("2+2+2 partitions", () -> sizes(members).equals("[2, 2, 2]"));
        Program.await("a quarter of the records", () -> checker.count() >= TOTAL / 4);
        members.add(new Member("m3", checker));
        Program.await("1+1+2+2 partitions", () -> sizes(members).equals("[1, 1, 2, 2]"));
        Program.await("half of the records", () -> checker.count() >= TOTAL / 2);
        members.remove(0).leave();
        members.remove(0).leave();
        Program.await("3+3 partitions", () -> sizes(members).equals("[3, 3]"));
        Program.await("all records", () -> checker.count() == TOTAL);
        for (Member member : members) member.leave();
    }

    private String consume(String... arguments) throws Exception {
        List<String> all = new ArrayList<>(List.of("--topic", topic, "--timeout-ms", "" + Program.WAIT_MS, "--command-property", "fetch.max.wait.ms=100"));
        all.addAll(List.of(FORMAT));
        all.addAll(List.of(arguments));
        return tool(org.apache.kafka.tools.consumer.ConsoleConsumer::main, all.toArray(String[]::new));
    }

    private void seekAndLookUp(Checker checker) throws Exception {
        for (int p : IntStream.range(0, PARTITIONS).toArray()) {
            long end = checker.next.get(p);
            check(offsets("-1").lines().anyMatch((topic + ":" + p + ":" + end)::equals), "latest of %d", p);
            check(offsets("earliest").lines().anyMatch((topic + ":" + p + ":0")::equals), "earliest of %d", p);
            TreeMap<Long, Long> times = checker.times.get(p);
            long sought = times.get(end / 2);
            long wanted = times.entrySet().stream().filter(entry -> entry.getValue() >= sought).findFirst().orElseThrow().getKey();
            String found = offsets(Long.toString(sought));
            check(found.lines().anyMatch((topic + ":" + p + ":" + wanted)::equals), "timestamp of %d: %s, not %d", p, found, wanted);
            for (long start : new long[] {end / 2, 0}) {
                List<String> lines = consume("--partition", Integer.toString(p), "--offset", Long.toString(start), "--max-messages", "10").lines().toList();
                check(lines.size() == 10, "seek %d-%d: %d lines", p, start, lines.size());
                for (int i = 0; i < 10; i++) check(lines.get(i).contains("\tOffset:" + (start + i) + "\t"), "seek: %s", lines.get(i));
            }
        }
    }

    private void change() throws Exception {
        String[] entity = {"--entity-type", "topics", "--entity-name", topic};
        check(configs(with(entity, "--describe")).contains("retention.ms=86400000"), "described config");
        configs(with(entity, "--alter", "--add-config", "max.message.bytes=2000000,cleanup.policy=[compact,delete]"));
        Program.await("the changed config", () -> contains(() -> configs(with(entity, "--describe")), "max.message.bytes=2000000"));
        configs(with(entity, "--alter", "--delete-config", "retention.ms,cleanup.policy"));
        Program.await("the deleted config", () -> !contains(() -> configs(with(entity, "--describe")), "retention.ms=86400000"));
        check(configs("--entity-type", "brokers", "--entity-name", "1", "--describe", "--all").contains("log.retention.hours=168"), "broker config");

        groups("--reset-offsets", "--group", group, "--topic", topic, "--to-earliest", "--execute");
        check(groups("--describe", "--group", group).lines().anyMatch(line -> line.matches(group + "\\s+" + topic + "\\s+0\\s+0\\s.*")), "reset offsets");
        groups("--delete-offsets", "--group", group, "--topic", topic + ":1");
        check(groups("--describe", "--group", group).lines().noneMatch(line -> line.matches(group + "\\s+" + topic + "\\s+1\\s+\\d.*")), "deleted offset");

        Path cut = Files.createTempFile("klamm", ".json");
        Files.writeString(cut, "{\"partitions\": [{\"topic\": \"" + topic + "\", \"partition\": 1, \"offset\": 100}], \"version\": 1}");
        tool(org.apache.kafka.tools.DeleteRecordsCommand::main, "--offset-json-file", cut.toString());
        Files.delete(cut);
        check(offsets("-2").lines().anyMatch((topic + ":1:100")::equals), "records are still there");
        check(tool(org.apache.kafka.tools.LogDirsCommand::main, "--describe", "--topic-list", topic).contains("\"partition\":\"" + topic + "-5\""), "log dirs");
        topics("--alter", "--topic", topic, "--partitions", "7");
        Program.await("a seventh partition", () -> contains(() -> topics("--describe", "--topic", topic), "PartitionCount: 7"));
    }

    /** The performance tests agree with each other about how many records there are. */
    private void perf() throws Exception {
        String other = topic + "-perf";
        topics("--create", "--topic", other, "--partitions", "3", "--replication-factor", "3");
        String produced = tool(org.apache.kafka.tools.ProducerPerformance::main, "--topic", other, "--num-records", "20000",
                "--record-size", "100", "--throughput", "-1", "--command-property", "acks=all");
        check(produced.contains("20000 records sent"), "producer test: %s", produced);
        String consumed = tool(org.apache.kafka.tools.ConsumerPerformance::main, "--topic", other, "--num-records", "20000",
                "--group", group + "-perf", "--timeout", "" + Program.WAIT_MS, "--hide-header");
        check(Arrays.asList(consumed.split("[,\\s]+")).contains("20000"), "consumer test: %s", consumed);
        topics("--delete", "--topic", other);
    }

    interface Text {
        String get() throws Exception;
    }

    private static boolean contains(Text text, String part) {
        try {
            return text.get().contains(part);
        } catch (Exception error) {
            throw new IllegalStateException(error);
        }
    }

    private static String[] with(String[] some, String... more) {
        List<String> all = new ArrayList<>(List.of(some));
        all.addAll(List.of(more));
        return all.toArray(String[]::new);
    }

    private static void check(boolean condition, String message, Object... arguments) {
        Records.check(condition, message, arguments);
    }
}
