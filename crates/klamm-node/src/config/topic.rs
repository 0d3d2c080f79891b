//! Every key of a topic (`TopicConfig`, `LogConfig`), as DescribeConfigs lists them.

use super::def::{Synonym, Valid, config_keys};

const fn same(name: &'static str) -> Synonym {
    Synonym::same(name)
}

config_keys! {
    /// The keys of a topic, by name.
    TOPIC_KEYS {
        /// What happens to old segments: `delete` discards them, `compact` keeps the newest record of each key, both do
        /// both, and an empty list keeps everything.
        CLEANUP_POLICY: Vec<String> = "cleanup.policy", default "delete", Valid::ListOf(&["compact", "delete"]), Medium, ClusterWide,
            synonyms &[same("log.cleanup.policy")];
        /// The gzip level with which the broker recompresses when `compression.type` is gzip; -1 is zlib's own choice.
        COMPRESSION_GZIP_LEVEL: i32 = "compression.gzip.level", default "-1", Valid::GzipLevel, Medium, ClusterWide,
            synonyms &[same("compression.gzip.level")];
        /// The lz4 level with which the broker recompresses when `compression.type` is lz4.
        COMPRESSION_LZ4_LEVEL: i32 = "compression.lz4.level", default "9", Valid::Between(1, 17), Medium, ClusterWide,
            synonyms &[same("compression.lz4.level")];
        /// The codec that batches are stored with: `producer` keeps the one they came with, any other recompresses.
        COMPRESSION_TYPE: String = "compression.type", default "producer",
            Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Medium, ClusterWide,
            synonyms &[same("compression.type")];
        /// The zstd level with which the broker recompresses when `compression.type` is zstd.
        COMPRESSION_ZSTD_LEVEL: i32 = "compression.zstd.level", default "3", Valid::Between(-131_072, 22), Medium, ClusterWide,
            synonyms &[same("compression.zstd.level")];
        /// How long a compacted topic keeps tombstones and transaction markers after they have been cleaned once, in
        /// milliseconds.
        DELETE_RETENTION_MS: i64 = "delete.retention.ms", default "86400000", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.cleaner.delete.retention.ms")];
        /// Whether share groups may use the topic as a dead-letter queue.
        ERRORS_DEADLETTERQUEUE_GROUP_ENABLE: bool = "errors.deadletterqueue.group.enable", default "false", Valid::Any, Medium, ClusterWide;
        /// How long a deleted segment's files stay on disk, renamed, before they are removed, in milliseconds.
        FILE_DELETE_DELAY_MS: i64 = "file.delete.delay.ms", default "60000", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.segment.delete.delay.ms")];
        /// After how many records a partition's log is flushed to disk.
        FLUSH_MESSAGES: i64 = "flush.messages", default "9223372036854775807", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("log.flush.interval.messages")];
        /// After how many milliseconds without a flush a partition's log is flushed to disk.
        FLUSH_MS: i64 = "flush.ms", default "9223372036854775807", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")];
        /// Which replicas' outgoing fetches count as throttled on the follower: `*`, or `partition:broker` pairs.
        FOLLOWER_REPLICATION_THROTTLED_REPLICAS: Vec<String> = "follower.replication.throttled.replicas", default "",
            Valid::ThrottledReplicas, Medium, ClusterWide;
        /// After how many bytes of log the offset index, and with it the time index, gets its next entry.
        INDEX_INTERVAL_BYTES: i32 = "index.interval.bytes", default "4096", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.index.interval.bytes")];
        /// A segment size below the 1 MiB that `segment.bytes` allows, for tests; where set, it wins.
        INTERNAL_SEGMENT_BYTES: Option<i32> = "internal.segment.bytes", default null, Valid::Any, Medium, ClusterWide, internal true;
        /// Which replicas' fetches count as throttled on the leader: `*`, or `partition:broker` pairs.
        LEADER_REPLICATION_THROTTLED_REPLICAS: Vec<String> = "leader.replication.throttled.replicas", default "",
            Valid::ThrottledReplicas, Medium, ClusterWide;
        /// With tiered storage, how many bytes a partition keeps on local disk; -2 follows `retention.bytes`.
        LOCAL_RETENTION_BYTES: i64 = "local.retention.bytes", default "-2", Valid::AtLeast(-2), Medium, ClusterWide,
            synonyms &[same("log.local.retention.bytes")];
        /// With tiered storage, how long a segment stays on local disk in milliseconds; -2 follows `retention.ms`.
        LOCAL_RETENTION_MS: i64 = "local.retention.ms", default "-2", Valid::AtLeast(-2), Medium, ClusterWide,
            synonyms &[same("log.local.retention.ms")];
        /// The longest a record may stay uncompacted, in milliseconds; it also bounds how long a segment stays active.
        MAX_COMPACTION_LAG_MS: i64 = "max.compaction.lag.ms", default "9223372036854775807", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("log.cleaner.max.compaction.lag.ms")];
        /// The largest record batch that the broker accepts, in bytes as it comes over the wire.
        MAX_MESSAGE_BYTES: i32 = "max.message.bytes", default "1048588", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("message.max.bytes")];
        /// How far a record's timestamp may lie ahead of the broker's clock, in milliseconds; not with `LogAppendTime`.
        MESSAGE_TIMESTAMP_AFTER_MAX_MS: i64 = "message.timestamp.after.max.ms", default "3600000", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.message.timestamp.after.max.ms")];
        /// How far a record's timestamp may lie behind the broker's clock, in milliseconds; not with `LogAppendTime`.
        MESSAGE_TIMESTAMP_BEFORE_MAX_MS: i64 = "message.timestamp.before.max.ms", default "9223372036854775807", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.message.timestamp.before.max.ms")];
        /// Whose time a record carries: the producer's (`CreateTime`) or the broker's at the append (`LogAppendTime`).
        MESSAGE_TIMESTAMP_TYPE: String = "message.timestamp.type", default "CreateTime",
            Valid::OneOf(&["CreateTime", "LogAppendTime"]), Medium, ClusterWide,
            synonyms &[same("log.message.timestamp.type")];
        /// Which share of a compacted log must be uncleaned before it is worth cleaning.
        MIN_CLEANABLE_DIRTY_RATIO: f64 = "min.cleanable.dirty.ratio", default "0.5", Valid::Between(0, 1), Medium, ClusterWide,
            synonyms &[same("log.cleaner.min.cleanable.ratio")];
        /// The least time that a record stays uncompacted, in milliseconds.
        MIN_COMPACTION_LAG_MS: i64 = "min.compaction.lag.ms", default "0", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.cleaner.min.compaction.lag.ms")];
        /// How many replicas must be in sync, the leader among them, for a produce with acks=all to be accepted.
        MIN_INSYNC_REPLICAS: i32 = "min.insync.replicas", default "1", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("min.insync.replicas")];
        /// Whether the file of a new segment takes its full size on disk at once; a log in memory takes nothing before it is used.
        PREALLOCATE: bool = "preallocate", default "false", Valid::Any, Medium, ClusterWide,
            synonyms &[same("log.preallocate")];
        /// With tiered storage, how many newer bytes must follow a segment before it is copied; -1 follows local retention.
        REMOTE_COPY_LAG_BYTES: i64 = "remote.copy.lag.bytes", default "-1", Valid::AtLeast(-1), Medium, ClusterWide,
            synonyms &[same("log.remote.copy.lag.bytes")];
        /// With tiered storage, how old a segment must be in milliseconds before it is copied; -1 follows local retention.
        REMOTE_COPY_LAG_MS: i64 = "remote.copy.lag.ms", default "0", Valid::AtLeast(-1), Medium, ClusterWide,
            synonyms &[same("log.remote.copy.lag.ms")];
        /// With tiered storage, whether no more segments are copied to it.
        REMOTE_LOG_COPY_DISABLE: bool = "remote.log.copy.disable", default "false", Valid::Any, Medium, ClusterWide;
        /// Whether a topic's remote segments are deleted when its tiered storage is switched off.
        REMOTE_LOG_DELETE_ON_DISABLE: bool = "remote.log.delete.on.disable", default "false", Valid::Any, Medium, ClusterWide;
        /// Whether the topic uses tiered storage.
        REMOTE_STORAGE_ENABLE: bool = "remote.storage.enable", default "false", Valid::Any, Medium, ClusterWide;
        /// How large a partition may grow in bytes before `delete` discards its oldest segments; -1 is no limit.
        RETENTION_BYTES: i64 = "retention.bytes", default "-1", Valid::Any, Medium, ClusterWide,
            synonyms &[same("log.retention.bytes")];
        /// How old a segment may grow in milliseconds before `delete` discards it; -1 is no limit.
        RETENTION_MS: i64 = "retention.ms", default "604800000", Valid::AtLeast(-1), Medium, ClusterWide,
            synonyms &[same("log.retention.ms"), Synonym::minutes("log.retention.minutes"), Synonym::hours("log.retention.hours")];
        /// The size in bytes at which a segment is closed and the next begins.
        SEGMENT_BYTES: i32 = "segment.bytes", default "1073741824", Valid::AtLeast(1_048_576), Medium, ClusterWide,
            synonyms &[same("log.segment.bytes")];
        /// The size of a segment's offset index in bytes; a segment whose index is full is closed.
        SEGMENT_INDEX_BYTES: i32 = "segment.index.bytes", default "10485760", Valid::AtLeast(4), Medium, ClusterWide,
            synonyms &[same("log.index.size.max.bytes")];
        /// The largest random part subtracted from `segment.ms`, so that many partitions do not roll at one moment.
        SEGMENT_JITTER_MS: i64 = "segment.jitter.ms", default "0", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("log.roll.jitter.ms"), Synonym::hours("log.roll.jitter.hours")];
        /// The age in milliseconds at which a segment is closed even if it is not full.
        SEGMENT_MS: i64 = "segment.ms", default "604800000", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("log.roll.ms"), Synonym::hours("log.roll.hours")];
        /// Whether a replica outside the in-sync set may become leader when no other can, at the price of records.
        UNCLEAN_LEADER_ELECTION_ENABLE: bool = "unclean.leader.election.enable", default "false", Valid::Any, Medium, ClusterWide,
            synonyms &[same("unclean.leader.election.enable")];
    }
}

/// Keys that are kept and shown, because tools expect every topic to have them, but change nothing: klamm has no tiered storage, and
/// its share groups no dead-letter queues.
pub static NO_EFFECT: &[&str] = &[
    "errors.deadletterqueue.group.enable",
    "local.retention.bytes",
    "local.retention.ms",
    "remote.copy.lag.bytes",
    "remote.copy.lag.ms",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
];
