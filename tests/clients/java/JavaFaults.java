import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.LogTruncationException;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;

/**
 * A consumer while things go wrong: BOOTSTRAP TOPIC ENDS-FILE READ-FILE assign|group.
 *
 * <p>It reads the topic from its beginning without a reset policy, telling every so often how many records it has read
 * (`READ n`). If the log was truncated below it, it tells so (`TRUNCATED partition position offset epoch`) and goes where the logs
 * parted. Once the ends file exists, which holds each partition's end offset, it reads up to there, and writes down what it
 * read, in order: partition, offset, number. As a group it commits after each poll, and in the end its commits are those
 * ends.
 */
public final class JavaFaults {
    private static final String GROUP = "watchers";

    private JavaFaults() { }

    public static void main(String[] arguments) {
        Program.main("java-faults", arguments, (bootstrap, unique) -> run(bootstrap, arguments[1], Path.of(arguments[2]),
                Path.of(arguments[3]), arguments[4].equals("group")));
    }

    private static String run(String bootstrap, String topic, Path ends, Path read, boolean group) throws Exception {
        Map<String, Object> config = new HashMap<>(Member.config(bootstrap));
        config.putAll(Map.of("client.id", "consumer", "auto.offset.reset", group ? "earliest" : "none", "request.timeout.ms", 2000,
                "retry.backoff.ms", 50, "reconnect.backoff.max.ms", 200, "metadata.max.age.ms", 1000,
                "default.api.timeout.ms", (int) Program.WAIT_MS, "heartbeat.interval.ms", 300, "session.timeout.ms", 10_000));
        if (group) config.put("group.id", GROUP);
        List<String> lines = new ArrayList<>();
        int commits = 0;
        long told = 0;
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(config)) {
            List<TopicPartition> partitions = new ArrayList<>();
            consumer.partitionsFor(topic).forEach(info -> partitions.add(new TopicPartition(topic, info.partition())));
            if (group) {
                consumer.subscribe(List.of(topic));
            } else {
                consumer.assign(partitions);
                partitions.forEach(partition -> consumer.seek(partition, 0));
            }
            while (!reached(consumer, topic, ends)) {
                ConsumerRecords<byte[], byte[]> records;
                try {
                    records = consumer.poll(Duration.ofMillis(50));
                } catch (LogTruncationException truncated) {
                    for (Map.Entry<TopicPartition, OffsetAndMetadata> entry : truncated.divergentOffsets().entrySet()) {
                        OffsetAndMetadata to = entry.getValue();
                        System.out.printf("TRUNCATED %d %d %d %d%n", entry.getKey().partition(),
                                truncated.offsetOutOfRangePartitions().get(entry.getKey()), to.offset(), to.leaderEpoch().orElse(-1));
                        consumer.seek(entry.getKey(), to);
                    }
                    continue;
                }
                for (ConsumerRecord<byte[], byte[]> record : records) {
                    lines.add(record.partition() + " " + record.offset() + " " + new String(record.value(), StandardCharsets.US_ASCII));
                }
                if (group && !records.isEmpty()) commits += commit(consumer);
                if (System.nanoTime() - told > 50_000_000) {
                    told = System.nanoTime();
                    System.out.println("READ " + lines.size());
                    if (group) System.out.println("COMMITTED " + commits);
                }
            }
            if (group) checkCommits(consumer, partitions, ends);
        }
        Files.write(read, lines);
        return "records=" + lines.size() + " commits=" + commits;
    }

    /** Whether the consumer has come to every end that the file names. */
    private static boolean reached(KafkaConsumer<byte[], byte[]> consumer, String topic, Path ends) throws Exception {
        if (!Files.exists(ends) || consumer.assignment().isEmpty()) return false;
        List<String> offsets = Files.readAllLines(ends);
        for (int partition = 0; partition < offsets.size(); partition++) {
            if (consumer.position(new TopicPartition(topic, partition)) < Long.parseLong(offsets.get(partition))) return false;
        }
        return true;
    }

    /** Commits; 0 if it has to be tried again later. */
    private static int commit(KafkaConsumer<byte[], byte[]> consumer) {
        try {
            consumer.commitSync(Duration.ofSeconds(15));
            return 1;
        } catch (RetriableException | RebalanceInProgressException later) {
            return 0;
        }
    }

    private static void checkCommits(KafkaConsumer<byte[], byte[]> consumer, List<TopicPartition> partitions, Path ends)
            throws Exception {
        consumer.commitSync();
        List<String> offsets = Files.readAllLines(ends);
        Map<TopicPartition, OffsetAndMetadata> committed = consumer.committed(new java.util.HashSet<>(partitions));
        for (TopicPartition partition : partitions) {
            OffsetAndMetadata at = committed.get(partition);
            Records.check(at != null && at.offset() == Long.parseLong(offsets.get(partition.partition())),
                    "%s: committed %s, not %s", partition, at, offsets.get(partition.partition()));
        }
    }
}
