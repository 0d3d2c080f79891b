//! The keys of the group coordinator (`GroupCoordinatorConfig`) that klamm honours.

use super::def::{Valid, config_keys};

config_keys! {
    /// The group coordinator's keys, by name. They are broker keys.
    GROUP_COORDINATOR_KEYS {
        /// How far apart the targets of a consumer group are at least, in milliseconds (KIP-1263).
        GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS: i32 = "group.consumer.assignment.interval.ms", default "1000", Valid::AtLeast(0), Medium, ReadOnly;
        /// The server-side assignors that consumers may ask for; the first is that of groups whose members ask for none.
        GROUP_CONSUMER_ASSIGNORS: Vec<String> = "group.consumer.assignors", default "uniform,range", Valid::NonEmptyListOf(&["uniform", "range"]), Medium, ReadOnly;
        /// How often the members of a consumer group send heartbeats, in milliseconds.
        GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS: i32 = "group.consumer.heartbeat.interval.ms", default "5000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The longest assignment interval that may be configured for one group, in milliseconds.
        GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS: i32 = "group.consumer.max.assignment.interval.ms", default "15000", Valid::AtLeast(0), Medium, ReadOnly;
        /// The longest heartbeat interval that may be configured for one group, in milliseconds.
        GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS: i32 = "group.consumer.max.heartbeat.interval.ms", default "15000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The longest session timeout that may be configured for one group, in milliseconds.
        GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS: i32 = "group.consumer.max.session.timeout.ms", default "60000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The most members of one consumer group.
        GROUP_CONSUMER_MAX_SIZE: i32 = "group.consumer.max.size", default "2147483647", Valid::AtLeast(1), Medium, ReadOnly;
        /// Which way groups with members may change between the classic and the consumer protocol: disabled, upgrade, downgrade or bidirectional.
        GROUP_CONSUMER_MIGRATION_POLICY: String = "group.consumer.migration.policy", default "bidirectional", Valid::WordOf(&["disabled", "upgrade", "downgrade", "bidirectional"]), Medium, ReadOnly;
        /// The shortest assignment interval that may be configured for one group, in milliseconds.
        GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS: i32 = "group.consumer.min.assignment.interval.ms", default "0", Valid::AtLeast(0), Medium, ReadOnly;
        /// The shortest heartbeat interval that may be configured for one group, in milliseconds.
        GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS: i32 = "group.consumer.min.heartbeat.interval.ms", default "5000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The shortest session timeout that may be configured for one group, in milliseconds.
        GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS: i32 = "group.consumer.min.session.timeout.ms", default "45000", Valid::AtLeast(1), Medium, ReadOnly;
        /// How old what a subscribed regular expression stands for may become, in milliseconds.
        GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS: i32 = "group.consumer.regex.refresh.interval.ms", default "600000", Valid::AtLeast(10_000), Medium, ReadOnly;
        /// How long a member of a consumer group may be silent, in milliseconds.
        GROUP_CONSUMER_SESSION_TIMEOUT_MS: i32 = "group.consumer.session.timeout.ms", default "45000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The group protocols that are on.
        GROUP_COORDINATOR_REBALANCE_PROTOCOLS: Vec<String> = "group.coordinator.rebalance.protocols", default "classic,consumer", Valid::NonEmptyListOf(&["classic", "consumer", "share", "streams"]), Medium, ReadOnly;
        /// How long the first join of an empty group waits for more members, in milliseconds.
        GROUP_INITIAL_REBALANCE_DELAY_MS: i32 = "group.initial.rebalance.delay.ms", default "0", Valid::Any, Medium, ReadOnly;
        /// The longest session timeout that a member may ask for, in milliseconds.
        GROUP_MAX_SESSION_TIMEOUT_MS: i32 = "group.max.session.timeout.ms", default "1800000", Valid::Any, Medium, ReadOnly;
        /// The most members of one group.
        GROUP_MAX_SIZE: i32 = "group.max.size", default "2147483647", Valid::AtLeast(1), Medium, ReadOnly;
        /// The shortest session timeout that a member may ask for, in milliseconds.
        GROUP_MIN_SESSION_TIMEOUT_MS: i32 = "group.min.session.timeout.ms", default "6000", Valid::Any, Medium, ReadOnly;
        /// The most bytes of metadata that a committed offset carries.
        OFFSET_METADATA_MAX_BYTES: i32 = "offset.metadata.max.bytes", default "4096", Valid::Any, High, ReadOnly;
        /// How long a commit waits for the replicas of `__consumer_offsets`, in milliseconds.
        OFFSETS_COMMIT_TIMEOUT_MS: i32 = "offsets.commit.timeout.ms", default "5000", Valid::AtLeast(1), High, ReadOnly;
        /// How often the coordinator looks for committed offsets that have expired, in milliseconds.
        OFFSETS_RETENTION_CHECK_INTERVAL_MS: i64 = "offsets.retention.check.interval.ms", default "600000", Valid::AtLeast(1), High, ReadOnly;
        /// How long a group's committed offsets are kept once nobody uses them, in minutes.
        OFFSETS_RETENTION_MINUTES: i32 = "offsets.retention.minutes", default "10080", Valid::AtLeast(1), High, ReadOnly;
        /// The codec that commits are stored with, by its number in a batch: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        OFFSETS_TOPIC_COMPRESSION_CODEC: i32 = "offsets.topic.compression.codec", default "0", Valid::Any, High, ReadOnly;
        /// How many partitions `__consumer_offsets` is created with.
        OFFSETS_TOPIC_NUM_PARTITIONS: i32 = "offsets.topic.num.partitions", default "50", Valid::AtLeast(1), High, ReadOnly;
        /// How many replicas `__consumer_offsets` is created with.
        OFFSETS_TOPIC_REPLICATION_FACTOR: i16 = "offsets.topic.replication.factor", default "3", Valid::AtLeast(1), High, ReadOnly;
        /// The segment size of `__consumer_offsets`, in bytes.
        OFFSETS_TOPIC_SEGMENT_BYTES: i32 = "offsets.topic.segment.bytes", default "104857600", Valid::AtLeast(1), High, ReadOnly;
    }
}
