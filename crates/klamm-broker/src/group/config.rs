//! What the group coordinator is configured with (Kafka's `GroupCoordinatorConfig`).

use klamm_node::config::{Key, group, share};
use klamm_wire::KafkaVersion;
use klamm_wire::record::compress::Compression;

use super::modern::assignor::Assignor;
use crate::config::BrokerConfig;

/// How long a new member's JoinGroup may wait before it is taken for a client that gave up, in milliseconds
/// (`CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`, not configurable in Kafka either).
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;

/// How much of a log is read at a time while it is loaded, in bytes (`offsets.load.buffer.size`).
pub(crate) const LOAD_BUFFER_SIZE: usize = 5 * 1024 * 1024;

/// The coordinator's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupConfig {
    /// `offsets.topic.num.partitions`.
    pub(crate) partitions: i32,
    /// `group.min.session.timeout.ms`.
    pub(crate) min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub(crate) max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`. 0 here, where Kafka has 3000: a test should not wait for consumers that never come.
    pub(crate) initial_rebalance_delay_ms: i32,
    /// `group.max.size`.
    pub(crate) max_size: usize,
    /// `offset.metadata.max.bytes`, in UTF-16 units as Kafka counts them.
    pub(crate) metadata_max_size: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub(crate) offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub(crate) offsets_retention_check_interval_ms: u64,
    /// `offsets.commit.timeout.ms`.
    pub(crate) commit_timeout_ms: u64,
    /// `offsets.topic.compression.codec`.
    pub(crate) compression: Compression,
    /// Which release's rules are followed where they changed.
    pub(crate) release: KafkaVersion,
    /// What consumer groups are configured with.
    pub(crate) consumer: ConsumerConfig,
    /// What share groups are configured with.
    pub(crate) share: ShareConfig,
}

/// The `group.share.*` keys of the group coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareConfig {
    /// `group.share.session.timeout.ms`.
    pub(crate) session_timeout_ms: i32,
    /// `group.share.heartbeat.interval.ms`.
    pub(crate) heartbeat_interval_ms: i32,
    /// `group.share.assignment.interval.ms`.
    pub(crate) assignment_interval_ms: i32,
    /// `group.share.initialize.retry.interval.ms`.
    pub(crate) initialize_retry_interval_ms: i32,
    /// `group.share.max.size`.
    pub(crate) max_size: usize,
}

impl ShareConfig {
    fn new(config: &BrokerConfig) -> Self {
        Self {
            session_timeout_ms: config.get(share::GROUP_SHARE_SESSION_TIMEOUT_MS),
            heartbeat_interval_ms: config.get(share::GROUP_SHARE_HEARTBEAT_INTERVAL_MS),
            assignment_interval_ms: config.get(share::GROUP_SHARE_ASSIGNMENT_INTERVAL_MS),
            initialize_retry_interval_ms: config.get(share::GROUP_SHARE_INITIALIZE_RETRY_INTERVAL_MS),
            max_size: usize::try_from(config.get(share::GROUP_SHARE_MAX_SIZE)).unwrap_or(0),
        }
    }
}

/// The `group.consumer.*` keys, but those that only bound others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerConfig {
    /// `group.consumer.session.timeout.ms`.
    pub(crate) session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub(crate) heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`.
    pub(crate) assignment_interval_ms: i32,
    /// `group.consumer.max.size`.
    pub(crate) max_size: usize,
    /// `group.consumer.assignors`.
    pub(crate) assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy`.
    pub(crate) migration: MigrationPolicy,
    /// `group.consumer.regex.refresh.interval.ms`.
    pub(crate) regex_refresh_interval_ms: i32,
}

impl ConsumerConfig {
    /// The assignor of groups whose members prefer none.
    pub(crate) fn default_assignor(&self) -> Assignor {
        self.assignors.first().copied().unwrap_or(Assignor::Uniform)
    }

    fn new(config: &BrokerConfig) -> Self {
        let size = |key: Key<i32>| usize::try_from(config.get(key)).unwrap_or(0);
        Self {
            session_timeout_ms: config.get(group::GROUP_CONSUMER_SESSION_TIMEOUT_MS),
            heartbeat_interval_ms: config.get(group::GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS),
            assignment_interval_ms: config.get(group::GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS),
            max_size: size(group::GROUP_CONSUMER_MAX_SIZE),
            assignors: config
                .get(group::GROUP_CONSUMER_ASSIGNORS)
                .iter()
                .filter_map(|name| Assignor::named(name))
                .collect(),
            migration: MigrationPolicy::named(&config.get(group::GROUP_CONSUMER_MIGRATION_POLICY)),
            regex_refresh_interval_ms: config.get(group::GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS),
        }
    }
}

/// Which way groups with members may change their protocol (Kafka's `ConsumerGroupMigrationPolicy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MigrationPolicy {
    /// None.
    Disabled,
    /// From classic to consumer.
    Upgrade,
    /// From consumer to classic.
    Downgrade,
    /// Both.
    Bidirectional,
}

impl MigrationPolicy {
    /// The policy of a name; case does not matter.
    fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "bidirectional" => Self::Bidirectional,
            "upgrade" => Self::Upgrade,
            "downgrade" => Self::Downgrade,
            _ => Self::Disabled,
        }
    }

    /// Whether a classic group may become a consumer group.
    pub(crate) const fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    /// Whether a consumer group may become a classic group.
    pub(crate) const fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

impl GroupConfig {
    /// Reads the broker's configuration. None of it changes while the broker runs.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let unsigned = |key: Key<i32>| u64::try_from(config.get(key)).unwrap_or(0);
        let size = |key: Key<i32>| usize::try_from(config.get(key)).unwrap_or(0);
        Self {
            partitions: config.get(group::OFFSETS_TOPIC_NUM_PARTITIONS),
            min_session_timeout_ms: config.get(group::GROUP_MIN_SESSION_TIMEOUT_MS),
            max_session_timeout_ms: config.get(group::GROUP_MAX_SESSION_TIMEOUT_MS),
            initial_rebalance_delay_ms: config.get(group::GROUP_INITIAL_REBALANCE_DELAY_MS).max(0),
            max_size: size(group::GROUP_MAX_SIZE),
            metadata_max_size: size(group::OFFSET_METADATA_MAX_BYTES),
            offsets_retention_ms: i64::from(config.get(group::OFFSETS_RETENTION_MINUTES)) * 60_000,
            offsets_retention_check_interval_ms: config
                .get(group::OFFSETS_RETENTION_CHECK_INTERVAL_MS)
                .unsigned_abs(),
            commit_timeout_ms: unsigned(group::OFFSETS_COMMIT_TIMEOUT_MS),
            compression: i16::try_from(config.get(group::OFFSETS_TOPIC_COMPRESSION_CODEC))
                .ok()
                .and_then(Compression::from_attributes)
                .unwrap_or(Compression::None),
            release: config.release(),
            consumer: ConsumerConfig::new(config),
            share: ShareConfig::new(config),
        }
    }

    /// The epoch of a consumer group that nobody has joined yet; it was 0 before 4.3.
    pub(crate) fn first_group_epoch(&self) -> i32 {
        i32::from(self.release >= KafkaVersion::V4_3)
    }
}
