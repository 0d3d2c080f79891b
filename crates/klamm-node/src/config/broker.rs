//! The keys of a broker or controller that klamm honours, and those that follow from the cluster's shape.
//!
//! Kafka has several hundred. One that would do nothing here is not here: setting it is refused, not ignored.

use super::def::{Synonym, Valid, config_keys};

const fn same(name: &'static str) -> Synonym {
    Synonym::same(name)
}

const ROLL: &[Synonym] = &[same("log.roll.ms"), same("log.roll.hours")];
const ROLL_JITTER: &[Synonym] = &[same("log.roll.jitter.ms"), same("log.roll.jitter.hours")];
const RETENTION: &[Synonym] =
    &[same("log.retention.ms"), same("log.retention.minutes"), same("log.retention.hours")];
const FLUSH: &[Synonym] = &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")];

config_keys! {
    /// The keys of a broker, by name.
    BROKER_KEYS {
        /// How long a leader asks for partitions to be added to a transaction before it tells the client that the last one is not complete, in milliseconds.
        ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MAX_MS: i32 = "add.partitions.to.txn.retry.backoff.max.ms", default "100", Valid::AtLeast(0), High, ReadOnly;
        /// How long a leader waits before it asks again for partitions to be added to a transaction, in milliseconds.
        ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MS: i32 = "add.partitions.to.txn.retry.backoff.ms", default "20", Valid::AtLeast(1), High, ReadOnly;
        /// The addresses that clients are told to connect to.
        ADVERTISED_LISTENERS: Option<Vec<String>> = "advertised.listeners", default null, Valid::Any, High, Managed;
        /// Over how many samples the rate of what replicas move between log directories is taken.
        ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_NUM: i32 = "alter.log.dirs.replication.quota.window.num", default "11", Valid::AtLeast(1), Low, ReadOnly;
        /// How long one of these samples is, in seconds.
        ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_SIZE_SECONDS: i32 = "alter.log.dirs.replication.quota.window.size.seconds", default "1", Valid::AtLeast(1), Low, ReadOnly;
        /// Whether asking for the metadata of a topic that does not exist creates it, where the client allows that.
        AUTO_CREATE_TOPICS_ENABLE: bool = "auto.create.topics.enable", default "true", Valid::Any, High, ReadOnly;
        /// Whether the controller gives leadership back to preferred replicas from time to time.
        AUTO_LEADER_REBALANCE_ENABLE: bool = "auto.leader.rebalance.enable", default "true", Valid::Any, High, ReadOnly;
        /// How often a broker tells the controller that it lives, in milliseconds.
        BROKER_HEARTBEAT_INTERVAL_MS: i32 = "broker.heartbeat.interval.ms", default "2000", Valid::Any, Medium, ReadOnly;
        /// The broker's id, by its older name.
        BROKER_ID: Option<i32> = "broker.id", default "-1", Valid::Any, High, Managed;
        /// The rack that the broker stands in, for placement and for reading from a near replica.
        BROKER_RACK: Option<String> = "broker.rack", default null, Valid::Any, Medium, Managed;
        /// How long the controller waits for a heartbeat before it fences a broker, in milliseconds.
        BROKER_SESSION_TIMEOUT_MS: i32 = "broker.session.timeout.ms", default "9000", Valid::Any, Medium, ReadOnly;
        /// The default of a topic's key of the same name.
        COMPRESSION_GZIP_LEVEL: i32 = "compression.gzip.level", default "-1", Valid::GzipLevel, Medium, ClusterWide;
        /// The default of a topic's key of the same name.
        COMPRESSION_LZ4_LEVEL: i32 = "compression.lz4.level", default "9", Valid::Between(1, 17), Medium, ClusterWide;
        /// The default of a topic's key of the same name.
        COMPRESSION_TYPE: String = "compression.type", default "producer",
            Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), High, ClusterWide;
        /// The default of a topic's key of the same name.
        COMPRESSION_ZSTD_LEVEL: i32 = "compression.zstd.level", default "3", Valid::Between(-131_072, 22), Medium, ClusterWide;
        /// After how many milliseconds without a request a connection is closed; a negative value never closes it.
        CONNECTIONS_MAX_IDLE_MS: i64 = "connections.max.idle.ms", default "600000", Valid::Any, Medium, ReadOnly;
        /// How long the follower that shall not be the first to stand for election waits after its leader resigned, at most, in milliseconds.
        CONTROLLER_QUORUM_ELECTION_BACKOFF_MAX_MS: i32 = "controller.quorum.election.backoff.max.ms", default "1000", Valid::AtLeast(0), High, ReadOnly;
        /// How long a controller waits without a leader before it stands for election, in milliseconds: up to twice as long, at random.
        CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS: i32 = "controller.quorum.election.timeout.ms", default "1000", Valid::AtLeast(0), High, ReadOnly;
        /// How much a controller or broker asks for in one fetch of the metadata log, in bytes.
        CONTROLLER_QUORUM_FETCH_MAX_BYTES: i32 = "controller.quorum.fetch.max.bytes", default "1048576", Valid::AtLeast(1), Low, ReadOnly;
        /// How much a controller or broker asks for in one fetch of a metadata snapshot, in bytes.
        CONTROLLER_QUORUM_FETCH_SNAPSHOT_MAX_BYTES: i32 = "controller.quorum.fetch.snapshot.max.bytes", default "1048576", Valid::AtLeast(1), Low, ReadOnly;
        /// How long a controller follows a leader that it cannot fetch from, in milliseconds. A leader that a majority has not fetched from for one and a half of it resigns.
        CONTROLLER_QUORUM_FETCH_TIMEOUT_MS: i32 = "controller.quorum.fetch.timeout.ms", default "2000", Valid::AtLeast(0), High, ReadOnly;
        /// How long a controller waits for another one's answer, in milliseconds.
        CONTROLLER_QUORUM_REQUEST_TIMEOUT_MS: i32 = "controller.quorum.request.timeout.ms", default "2000", Valid::AtLeast(0), Medium, ReadOnly;
        /// How long a controller or broker waits before it asks a controller again that answered with an error, in milliseconds.
        CONTROLLER_QUORUM_RETRY_BACKOFF_MS: i32 = "controller.quorum.retry.backoff.ms", default "20", Valid::AtLeast(0), Low, ReadOnly;
        /// Over how many samples the permits of a client's quota of created and deleted partitions are saved up.
        CONTROLLER_QUOTA_WINDOW_NUM: i32 = "controller.quota.window.num", default "11", Valid::AtLeast(1), Low, ReadOnly;
        /// How long one of these samples is, in seconds.
        CONTROLLER_QUOTA_WINDOW_SIZE_SECONDS: i32 = "controller.quota.window.size.seconds", default "1", Valid::AtLeast(1), Low, ReadOnly;
        /// How many replicas a topic gets that is created without saying how many, or created by being asked for.
        DEFAULT_REPLICATION_FACTOR: i32 = "default.replication.factor", default "1", Valid::Any, Medium, ReadOnly;
        /// Whether topics can be deleted.
        DELETE_TOPIC_ENABLE: bool = "delete.topic.enable", default "true", Valid::Any, High, ReadOnly;
        /// The most bytes that one fetch response holds, whatever the client asks for.
        FETCH_MAX_BYTES: i32 = "fetch.max.bytes", default "57671680", Valid::AtLeast(1024), Medium, ReadOnly;
        /// How many bytes a second this broker takes in, as a follower, for the replicas that
        /// `follower.replication.throttled.replicas` names; where it is not set, as many as there are.
        FOLLOWER_REPLICATION_THROTTLED_RATE: Option<i64> = "follower.replication.throttled.rate", default null, Valid::AtLeast(0), Medium, ClusterWide, internal true;
        /// How often the controller looks for partitions led by another than their preferred replica, in seconds.
        LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS: i64 = "leader.imbalance.check.interval.seconds", default "300", Valid::AtLeast(1), High, ReadOnly;
        /// As Kafka with ZooKeeper had it until 3.9: leadership goes back to a broker only when more than this many per cent of
        /// the partitions that prefer it are led by others. KRaft has no such bound, and gives all of them back.
        LEADER_IMBALANCE_PER_BROKER_PERCENTAGE: Option<i32> = "leader.imbalance.per.broker.percentage", default null, Valid::Any, High, ReadOnly, internal true;
        /// How many bytes a second this broker gives out, as a leader, for the replicas that
        /// `leader.replication.throttled.replicas` names; where it is not set, as many as there are.
        LEADER_REPLICATION_THROTTLED_RATE: Option<i64> = "leader.replication.throttled.rate", default null, Valid::AtLeast(0), Medium, ClusterWide, internal true;
        /// The addresses that the broker listens on.
        LISTENERS: Vec<String> = "listeners", default "PLAINTEXT://:9092", Valid::NonEmptyListOf(&[]), High, Managed;
        /// How long the log cleaner waits when it found nothing to clean, in milliseconds.
        LOG_CLEANER_BACKOFF_MS: i64 = "log.cleaner.backoff.ms", default "15000", Valid::AtLeast(0), Medium, ClusterWide;
        /// How much memory the log cleaners have together for the keys of the logs that they compact, in bytes: 24 for each key.
        LOG_CLEANER_DEDUPE_BUFFER_SIZE: i64 = "log.cleaner.dedupe.buffer.size", default "134217728", Valid::Any, Medium, ClusterWide;
        /// The default of a topic's `delete.retention.ms`.
        LOG_CLEANER_DELETE_RETENTION_MS: i64 = "log.cleaner.delete.retention.ms", default "86400000", Valid::AtLeast(0), Medium, ClusterWide;
        /// Whether compacted topics are compacted at all.
        LOG_CLEANER_ENABLE: bool = "log.cleaner.enable", default "true", Valid::Any, Medium, ReadOnly;
        /// How full the memory for keys may get before the rest of a log waits for the next compaction.
        LOG_CLEANER_IO_BUFFER_LOAD_FACTOR: f64 = "log.cleaner.io.buffer.load.factor", default "0.9", Valid::Any, Medium, ClusterWide;
        /// How many bytes the log cleaners read at a time: half of this, shared among them. In between the broker serves requests.
        LOG_CLEANER_IO_BUFFER_SIZE: i32 = "log.cleaner.io.buffer.size", default "524288", Valid::AtLeast(0), Medium, ClusterWide;
        /// How many bytes a second the log cleaners read at most, together.
        LOG_CLEANER_IO_MAX_BYTES_PER_SECOND: f64 = "log.cleaner.io.max.bytes.per.second", default "1.7976931348623157E308", Valid::Any, Medium, ClusterWide;
        /// The default of a topic's `max.compaction.lag.ms`.
        LOG_CLEANER_MAX_COMPACTION_LAG_MS: i64 = "log.cleaner.max.compaction.lag.ms", default "9223372036854775807", Valid::AtLeast(1), Medium, ClusterWide;
        /// The default of a topic's `min.cleanable.dirty.ratio`.
        LOG_CLEANER_MIN_CLEANABLE_RATIO: f64 = "log.cleaner.min.cleanable.ratio", default "0.5", Valid::Between(0, 1), Medium, ClusterWide;
        /// The default of a topic's `min.compaction.lag.ms`.
        LOG_CLEANER_MIN_COMPACTION_LAG_MS: i64 = "log.cleaner.min.compaction.lag.ms", default "0", Valid::AtLeast(0), Medium, ClusterWide;
        /// How many logs of a broker are compacted at a time.
        LOG_CLEANER_THREADS: i32 = "log.cleaner.threads", default "1", Valid::AtLeast(0), Medium, ClusterWide;
        /// The default of a topic's `cleanup.policy`.
        LOG_CLEANUP_POLICY: Vec<String> = "log.cleanup.policy", default "delete", Valid::ListOf(&["compact", "delete"]), Medium, ClusterWide;
        /// How long a broker goes on that cannot tell the controller of a failed log directory, in milliseconds.
        LOG_DIR_FAILURE_TIMEOUT_MS: i64 = "log.dir.failure.timeout.ms", default "30000", Valid::AtLeast(1), Low, ReadOnly;
        /// The directories of the broker's logs, each within the broker's own disk; `/logs` where none is given.
        LOG_DIRS: Option<Vec<String>> = "log.dirs", default null, Valid::Any, High, ReadOnly;
        /// The default of a topic's `flush.messages`.
        LOG_FLUSH_INTERVAL_MESSAGES: i64 = "log.flush.interval.messages", default "9223372036854775807", Valid::AtLeast(1), High, ClusterWide;
        /// The default of a topic's `flush.ms`; where it is not set, `log.flush.scheduler.interval.ms` is.
        LOG_FLUSH_INTERVAL_MS: Option<i64> = "log.flush.interval.ms", default null, Valid::Any, High, ClusterWide, synonyms FLUSH;
        /// How often the recovery point of every log is written down, in milliseconds.
        LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS: i32 = "log.flush.offset.checkpoint.interval.ms", default "60000", Valid::AtLeast(0), High, ReadOnly;
        /// How often the broker looks for logs that are due to be flushed, in milliseconds.
        LOG_FLUSH_SCHEDULER_INTERVAL_MS: i64 = "log.flush.scheduler.interval.ms", default "9223372036854775807", Valid::Any, High, ReadOnly;
        /// The default of a topic's `index.interval.bytes`.
        LOG_INDEX_INTERVAL_BYTES: i32 = "log.index.interval.bytes", default "4096", Valid::AtLeast(0), Medium, ClusterWide;
        /// The default of a topic's `segment.index.bytes`.
        LOG_INDEX_SIZE_MAX_BYTES: i32 = "log.index.size.max.bytes", default "10485760", Valid::AtLeast(4), Medium, ClusterWide;
        /// The default of a topic's `message.timestamp.after.max.ms`.
        LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS: i64 = "log.message.timestamp.after.max.ms", default "3600000", Valid::AtLeast(0), Medium, ClusterWide;
        /// The default of a topic's `message.timestamp.before.max.ms`.
        LOG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS: i64 = "log.message.timestamp.before.max.ms", default "9223372036854775807", Valid::AtLeast(0), Medium, ClusterWide;
        /// The default of a topic's `message.timestamp.type`.
        LOG_MESSAGE_TIMESTAMP_TYPE: String = "log.message.timestamp.type", default "CreateTime",
            Valid::OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide;
        /// The default of a topic's `retention.bytes`.
        LOG_RETENTION_BYTES: i64 = "log.retention.bytes", default "-1", Valid::Any, High, ClusterWide;
        /// How often the broker looks for segments that retention discards, in milliseconds.
        LOG_RETENTION_CHECK_INTERVAL_MS: i64 = "log.retention.check.interval.ms", default "300000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The default of a topic's `retention.ms`, in hours; `log.retention.ms` and `log.retention.minutes` come first.
        LOG_RETENTION_HOURS: i32 = "log.retention.hours", default "168", Valid::Any, High, ReadOnly, synonyms RETENTION;
        /// The default of a topic's `retention.ms`, in minutes; `log.retention.ms` comes first.
        LOG_RETENTION_MINUTES: Option<i32> = "log.retention.minutes", default null, Valid::Any, High, ReadOnly, synonyms RETENTION;
        /// The default of a topic's `retention.ms`.
        LOG_RETENTION_MS: Option<i64> = "log.retention.ms", default null, Valid::Any, High, ClusterWide, synonyms RETENTION;
        /// The default of a topic's `segment.ms`, in hours; `log.roll.ms` comes first.
        LOG_ROLL_HOURS: i32 = "log.roll.hours", default "168", Valid::AtLeast(1), High, ReadOnly, synonyms ROLL;
        /// The default of a topic's `segment.jitter.ms`, in hours; `log.roll.jitter.ms` comes first.
        LOG_ROLL_JITTER_HOURS: i32 = "log.roll.jitter.hours", default "0", Valid::AtLeast(0), High, ReadOnly, synonyms ROLL_JITTER;
        /// The default of a topic's `segment.jitter.ms`.
        LOG_ROLL_JITTER_MS: Option<i64> = "log.roll.jitter.ms", default null, Valid::Any, High, ClusterWide, synonyms ROLL_JITTER;
        /// The default of a topic's `segment.ms`.
        LOG_ROLL_MS: Option<i64> = "log.roll.ms", default null, Valid::Any, High, ClusterWide, synonyms ROLL;
        /// The default of a topic's `segment.bytes`.
        LOG_SEGMENT_BYTES: i32 = "log.segment.bytes", default "1073741824", Valid::AtLeast(1_048_576), High, ClusterWide;
        /// The default of a topic's `file.delete.delay.ms`.
        LOG_SEGMENT_DELETE_DELAY_MS: i64 = "log.segment.delete.delay.ms", default "60000", Valid::AtLeast(0), High, ClusterWide;
        /// How many incremental fetch sessions the broker remembers.
        MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS: i32 = "max.incremental.fetch.session.cache.slots", default "1000", Valid::AtLeast(0), Medium, ReadOnly;
        /// The most partitions that one DescribeTopicPartitions response holds.
        MAX_REQUEST_PARTITION_SIZE_LIMIT: i32 = "max.request.partition.size.limit", default "2000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The default of a topic's `max.message.bytes`.
        MESSAGE_MAX_BYTES: i32 = "message.max.bytes", default "1048588", Valid::AtLeast(0), High, ClusterWide;
        /// After how many bytes of new records a snapshot of the metadata is written.
        METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS: i64 = "metadata.log.max.record.bytes.between.snapshots", default "20971520", Valid::AtLeast(1), High, ReadOnly;
        /// After how many milliseconds a snapshot of the metadata is written where there are new records; 0 for never.
        METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS: i64 = "metadata.log.max.snapshot.interval.ms", default "3600000", Valid::AtLeast(0), High, ReadOnly;
        /// The size at which the metadata log begins a new segment, in bytes.
        METADATA_LOG_SEGMENT_BYTES: i32 = "metadata.log.segment.bytes", default "1073741824", Valid::AtLeast(8_388_608), High, ReadOnly;
        /// The age at which the metadata log begins a new segment, in milliseconds.
        METADATA_LOG_SEGMENT_MS: i64 = "metadata.log.segment.ms", default "604800000", Valid::Any, High, ReadOnly;
        /// The size of the metadata log and its snapshots together above which old ones go, in bytes.
        METADATA_MAX_RETENTION_BYTES: i64 = "metadata.max.retention.bytes", default "104857600", Valid::Any, High, ReadOnly;
        /// The age above which old snapshots of the metadata go, in milliseconds.
        METADATA_MAX_RETENTION_MS: i64 = "metadata.max.retention.ms", default "604800000", Valid::Any, High, ReadOnly;
        /// The default of a topic's key of the same name.
        MIN_INSYNC_REPLICAS: i32 = "min.insync.replicas", default "1", Valid::AtLeast(1), High, ClusterWide;
        /// The broker's id.
        NODE_ID: Option<i32> = "node.id", default null, Valid::Any, High, Managed;
        /// How many partitions a topic gets that is created without saying how many, or created by being asked for.
        NUM_PARTITIONS: i32 = "num.partitions", default "1", Valid::AtLeast(1), Medium, ReadOnly;
        /// What the process is: a broker, a controller, or both.
        PROCESS_ROLES: Vec<String> = "process.roles", default "broker", Valid::NonEmptyListOf(&["broker", "controller"]), High, Managed;
        /// How long the state of an idempotent producer is kept after its last batch, in milliseconds.
        PRODUCER_ID_EXPIRATION_MS: i32 = "producer.id.expiration.ms", default "86400000", Valid::AtLeast(1), Low, ClusterWide;
        /// Over how many samples the rate of what a client produces or fetches is taken.
        QUOTA_WINDOW_NUM: i32 = "quota.window.num", default "11", Valid::AtLeast(1), Low, ReadOnly;
        /// How long one of these samples is, in seconds.
        QUOTA_WINDOW_SIZE_SECONDS: i32 = "quota.window.size.seconds", default "1", Valid::AtLeast(1), Low, ReadOnly;
        /// How many bytes a second this broker copies when replicas move from one of its log directories to another; where it is
        /// not set, as many as there are.
        REPLICA_ALTER_LOG_DIRS_IO_MAX_BYTES_PER_SECOND: Option<i64> = "replica.alter.log.dirs.io.max.bytes.per.second", default null, Valid::AtLeast(0), Medium, ClusterWide, internal true;
        /// How long a follower leaves a partition alone after an error in fetching it, in milliseconds.
        REPLICA_FETCH_BACKOFF_MS: i32 = "replica.fetch.backoff.ms", default "1000", Valid::AtLeast(0), Medium, ReadOnly;
        /// How many bytes a follower asks for from each partition.
        REPLICA_FETCH_MAX_BYTES: i32 = "replica.fetch.max.bytes", default "1048576", Valid::AtLeast(0), Medium, ReadOnly;
        /// How many bytes must be there before a leader answers a follower's fetch at once.
        REPLICA_FETCH_MIN_BYTES: i32 = "replica.fetch.min.bytes", default "1", Valid::Any, High, ReadOnly;
        /// How many bytes a follower asks for in one fetch.
        REPLICA_FETCH_RESPONSE_MAX_BYTES: i32 = "replica.fetch.response.max.bytes", default "10485760", Valid::AtLeast(0), Medium, ReadOnly;
        /// How long a leader lets a follower's fetch wait for new records, in milliseconds.
        REPLICA_FETCH_WAIT_MAX_MS: i32 = "replica.fetch.wait.max.ms", default "500", Valid::Any, High, ReadOnly;
        /// How often the high watermark of every partition is written down, in milliseconds.
        REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS: i64 = "replica.high.watermark.checkpoint.interval.ms", default "5000", Valid::Any, High, ReadOnly;
        /// How long a follower may be behind its leader before it leaves the in-sync set, in milliseconds.
        REPLICA_LAG_TIME_MAX_MS: i64 = "replica.lag.time.max.ms", default "30000", Valid::Any, High, ReadOnly;
        /// How a leader chooses which replica a consumer reads from: the leader itself, or, with
        /// `org.apache.kafka.common.replica.RackAwareReplicaSelector`, an in-sync replica in the rack that the consumer names
        /// (`client.rack`).
        REPLICA_SELECTOR_CLASS: Option<String> = "replica.selector.class", default null, Valid::OneOf(&["org.apache.kafka.common.replica.RackAwareReplicaSelector"]), Medium, ReadOnly;
        /// Over how many samples the rate of throttled replication is taken.
        REPLICATION_QUOTA_WINDOW_NUM: i32 = "replication.quota.window.num", default "11", Valid::AtLeast(1), Low, ReadOnly;
        /// How long one of these samples is, in seconds.
        REPLICATION_QUOTA_WINDOW_SIZE_SECONDS: i32 = "replication.quota.window.size.seconds", default "1", Valid::AtLeast(1), Low, ReadOnly;
        /// How long a node waits for another node's answer, a follower for that to its fetch, in milliseconds.
        REQUEST_TIMEOUT_MS: i32 = "request.timeout.ms", default "30000", Valid::Any, High, ReadOnly;
        /// The largest request that a listener reads, in bytes.
        SOCKET_REQUEST_MAX_BYTES: i32 = "socket.request.max.bytes", default "104857600", Valid::AtLeast(1), High, ReadOnly;
        /// Whether records of a transaction are refused where the transaction's coordinator does not know that it has reached.
        TRANSACTION_PARTITION_VERIFICATION_ENABLE: bool = "transaction.partition.verification.enable", default "true", Valid::Any, Low, ClusterWide;
        /// The default of a topic's key of the same name.
        UNCLEAN_LEADER_ELECTION_ENABLE: bool = "unclean.leader.election.enable", default "false", Valid::Any, High, ClusterWide;
        /// How often the controller looks for partitions that an unclean election would bring back, in milliseconds.
        UNCLEAN_LEADER_ELECTION_INTERVAL_MS: i64 = "unclean.leader.election.interval.ms", default "300000", Valid::AtLeast(1), Medium, ReadOnly, internal true;
    }
}
