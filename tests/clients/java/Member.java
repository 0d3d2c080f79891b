import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** A group member in its own thread; commits what it has processed before it gives a partition up. */
final class Member extends Thread implements ConsumerRebalanceListener {
    volatile Throwable error;
    final Set<TopicPartition> mine = ConcurrentHashMap.newKeySet();
    private final Map<TopicPartition, OffsetAndMetadata> positions = new HashMap<>();
    private final Records.Checker checker;
    private final String topic;
    private final Map<String, Object> config;
    private volatile boolean leaving;
    private KafkaConsumer<byte[], byte[]> consumer;
    private SubscriptionPattern pattern;

    Member(String name, Records.Checker checker, String bootstrap, String topic, String group, Map<String, Object> more) {
        super(name);
        setDaemon(true);
        this.checker = checker;
        this.topic = topic;
        this.config = new HashMap<>(config(bootstrap));
        config.putAll(Map.of("group.id", group, "client.id", name, "auto.offset.reset", "earliest",
                "heartbeat.interval.ms", 300, "session.timeout.ms", 20_000));
        config.putAll(more);
        if (config.get("group.protocol") instanceof String protocol && protocol.equals("consumer")) {
            // The broker decides these.
            config.keySet().removeAll(Set.of("heartbeat.interval.ms", "session.timeout.ms"));
        }
    }

    /** Subscribes to an expression that the broker resolves, instead of to the topic. */
    Member pattern(SubscriptionPattern pattern) {
        this.pattern = pattern;
        return this;
    }

    static Map<String, Object> config(String bootstrap) {
        return Map.of("bootstrap.servers", bootstrap, "enable.auto.commit", false, "fetch.max.wait.ms", 100,
                "key.deserializer", ByteArrayDeserializer.class, "value.deserializer", ByteArrayDeserializer.class);
    }

    @Override
    public void run() {
        try {
            consumer = new KafkaConsumer<>(config);
            if (pattern == null) consumer.subscribe(List.of(topic), this);
            else consumer.subscribe(pattern, this);
            while (!leaving) {
                poll();
            }
            commitLast();
            consumer.close();
        } catch (Throwable failure) {
            error = failure;
        }
    }

    private void poll() {
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
            checker.accept(record);
            positions.put(new TopicPartition(topic, record.partition()),
                    new OffsetAndMetadata(record.offset() + 1, "m" + record.offset()));
        }
    }

    /** Commits before leaving. In the middle of a rebalance the client refuses to: the rebalance comes first. */
    private void commitLast() {
        while (true) {
            try {
                commit(mine);
                return;
            } catch (RebalanceInProgressException rebalancing) {
                poll();
            }
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
        mine.addAll(partitions);
    }

    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        commit(partitions);
        mine.removeAll(partitions);
    }

    @Override
    public void onPartitionsLost(Collection<TopicPartition> partitions) {
        // Closing while another member's departure has begun a rebalance: everything is committed, nothing is lost.
        if (leaving && positions.isEmpty()) return;
        error = new IllegalStateException(getName() + " lost " + partitions);
    }

    private void commit(Collection<TopicPartition> partitions) {
        Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>(positions);
        offsets.keySet().retainAll(partitions);
        if (!offsets.isEmpty()) consumer.commitSync(offsets, Duration.ofMillis(Program.WAIT_MS));
        positions.keySet().removeAll(partitions);
    }

    void rethrow() {
        if (error != null) throw new IllegalStateException(getName(), error);
    }

    void leave() throws InterruptedException {
        leaving = true;
        join(Program.WAIT_MS);
        Records.check(!isAlive(), "%s did not leave", getName());
        rethrow();
    }
}
