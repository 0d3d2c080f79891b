//! The keys of share groups and of the share coordinator (`ShareGroupConfig`, `ShareCoordinatorConfig`) that klamm honours.

use super::def::{Valid, config_keys};

config_keys! {
    /// The keys of share groups and of the share coordinator, by name. They are broker keys.
    SHARE_KEYS {
        /// How far apart two assignments of a share group are at least, in milliseconds.
        GROUP_SHARE_ASSIGNMENT_INTERVAL_MS: i32 = "group.share.assignment.interval.ms", default "1000", Valid::AtLeast(0), Medium, ReadOnly;
        /// How often a record is delivered before it is given up.
        GROUP_SHARE_DELIVERY_COUNT_LIMIT: i32 = "group.share.delivery.count.limit", default "5", Valid::Between(2, 10), Medium, ReadOnly;
        /// How often the members of a share group send heartbeats, in milliseconds.
        GROUP_SHARE_HEARTBEAT_INTERVAL_MS: i32 = "group.share.heartbeat.interval.ms", default "5000", Valid::AtLeast(1), Medium, ReadOnly;
        /// How long the share coordinator has for keeping a partition's state before it is asked again, in milliseconds.
        GROUP_SHARE_INITIALIZE_RETRY_INTERVAL_MS: i32 = "group.share.initialize.retry.interval.ms", default "30000", Valid::AtLeast(1), Low, ReadOnly, internal true;
        /// The longest assignment interval that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS: i32 = "group.share.max.assignment.interval.ms", default "15000", Valid::AtLeast(0), Medium, ReadOnly;
        /// The most deliveries of a record that may be configured for one share group.
        GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT: i32 = "group.share.max.delivery.count.limit", default "10", Valid::Between(5, 25), Medium, ReadOnly;
        /// The longest heartbeat interval that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS: i32 = "group.share.max.heartbeat.interval.ms", default "15000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The most records in flight that may be configured for one share group.
        GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS: i32 = "group.share.max.partition.max.record.locks", default "4000", Valid::Between(2_000, 10_000), Medium, ReadOnly;
        /// The longest time for a record to be held that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS: i32 = "group.share.max.record.lock.duration.ms", default "60000", Valid::Between(30_000, 3_600_000), Medium, ReadOnly;
        /// The longest session timeout that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MAX_SESSION_TIMEOUT_MS: i32 = "group.share.max.session.timeout.ms", default "60000", Valid::AtLeast(1), Medium, ReadOnly;
        /// How many share sessions the broker keeps open.
        GROUP_SHARE_MAX_SHARE_SESSIONS: i32 = "group.share.max.share.sessions", default "2000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The most members of one share group.
        GROUP_SHARE_MAX_SIZE: i32 = "group.share.max.size", default "200", Valid::Between(1, 1_000), Medium, ReadOnly;
        /// The shortest assignment interval that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS: i32 = "group.share.min.assignment.interval.ms", default "0", Valid::AtLeast(0), Medium, ReadOnly;
        /// The fewest deliveries of a record that may be configured for one share group.
        GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT: i32 = "group.share.min.delivery.count.limit", default "2", Valid::Between(2, 5), Medium, ReadOnly;
        /// The shortest heartbeat interval that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS: i32 = "group.share.min.heartbeat.interval.ms", default "5000", Valid::AtLeast(1), Medium, ReadOnly;
        /// The fewest records in flight that may be configured for one share group.
        GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS: i32 = "group.share.min.partition.max.record.locks", default "100", Valid::Between(100, 2_000), Medium, ReadOnly;
        /// The shortest time for a record to be held that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS: i32 = "group.share.min.record.lock.duration.ms", default "15000", Valid::Between(1_000, 30_000), Medium, ReadOnly;
        /// The shortest session timeout that may be configured for one share group, in milliseconds.
        GROUP_SHARE_MIN_SESSION_TIMEOUT_MS: i32 = "group.share.min.session.timeout.ms", default "45000", Valid::AtLeast(1), Medium, ReadOnly;
        /// How many records of one share-partition may be in flight at a time.
        GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS: i32 = "group.share.partition.max.record.locks", default "2000", Valid::Between(100, 10_000), Medium, ReadOnly;
        /// How long a share consumer may hold a record before it is given to another, in milliseconds.
        GROUP_SHARE_RECORD_LOCK_DURATION_MS: i32 = "group.share.record.lock.duration.ms", default "30000", Valid::Between(1_000, 3_600_000), Medium, ReadOnly;
        /// How long a member of a share group may be silent, in milliseconds.
        GROUP_SHARE_SESSION_TIMEOUT_MS: i32 = "group.share.session.timeout.ms", default "45000", Valid::AtLeast(1), Medium, ReadOnly;
        /// How often a share-partition that nobody uses gets a new snapshot in `__share_group_state`, in milliseconds.
        SHARE_COORDINATOR_COLD_PARTITION_SNAPSHOT_INTERVAL_MS: i32 = "share.coordinator.cold.partition.snapshot.interval.ms", default "300000", Valid::AtLeast(1), Low, ReadOnly, internal true;
        /// How much of `__share_group_state` is read at a time while it is loaded, in bytes.
        SHARE_COORDINATOR_LOAD_BUFFER_SIZE: i32 = "share.coordinator.load.buffer.size", default "5242880", Valid::AtLeast(1), High, ReadOnly;
        /// How many updates of a share-partition's state are written between two snapshots of it.
        SHARE_COORDINATOR_SNAPSHOT_UPDATE_RECORDS_PER_SNAPSHOT: i32 = "share.coordinator.snapshot.update.records.per.snapshot", default "500", Valid::Between(0, 500), Medium, ReadOnly;
        /// The codec that share-group state is stored with, by its number in a batch: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
        SHARE_COORDINATOR_STATE_TOPIC_COMPRESSION_CODEC: i32 = "share.coordinator.state.topic.compression.codec", default "0", Valid::Any, High, ReadOnly;
        /// The `min.insync.replicas` that `__share_group_state` is created with.
        SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR: i16 = "share.coordinator.state.topic.min.isr", default "2", Valid::AtLeast(1), High, ReadOnly;
        /// How many partitions `__share_group_state` is created with.
        SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS: i32 = "share.coordinator.state.topic.num.partitions", default "50", Valid::AtLeast(1), High, ReadOnly;
        /// How often the coordinator deletes what newer snapshots have made redundant in `__share_group_state`, in milliseconds.
        SHARE_COORDINATOR_STATE_TOPIC_PRUNE_INTERVAL_MS: i32 = "share.coordinator.state.topic.prune.interval.ms", default "300000", Valid::AtLeast(1), Low, ReadOnly, internal true;
        /// How many replicas `__share_group_state` is created with.
        SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR: i16 = "share.coordinator.state.topic.replication.factor", default "3", Valid::AtLeast(1), High, ReadOnly;
        /// The segment size of `__share_group_state`, in bytes.
        SHARE_COORDINATOR_STATE_TOPIC_SEGMENT_BYTES: i32 = "share.coordinator.state.topic.segment.bytes", default "104857600", Valid::AtLeast(1), High, ReadOnly;
        /// How long the coordinator waits for the replicas of `__share_group_state`, in milliseconds.
        SHARE_COORDINATOR_WRITE_TIMEOUT_MS: i32 = "share.coordinator.write.timeout.ms", default "5000", Valid::AtLeast(1), High, ReadOnly;
    }
}
