//! What the group coordinator is configured with (Kafka's `GroupCoordinatorConfig`, the classic half).

use crate::config::BrokerConfig;

/// How long a new member's JoinGroup may wait before it is taken for a client that gave up, in milliseconds
/// (`CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`, not configurable in Kafka either).
pub(crate) const NEW_MEMBER_JOIN_TIMEOUT_MS: i32 = 5 * 60 * 1000;

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
    /// `offsets.load.buffer.size`, in bytes.
    pub(crate) load_buffer_size: usize,
}

impl GroupConfig {
    /// Reads the broker's configuration. Values out of range are brought into it; the configuration's own check
    /// has refused them before.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let int = |key, default: i32| i32::try_from(config.i64(key, i64::from(default))).unwrap_or(default);
        let at_least_1 = |key, default: i64| config.i64(key, default).max(1);
        Self {
            partitions: int("offsets.topic.num.partitions", 50).max(1),
            min_session_timeout_ms: int("group.min.session.timeout.ms", 6_000),
            max_session_timeout_ms: int("group.max.session.timeout.ms", 1_800_000),
            initial_rebalance_delay_ms: int("group.initial.rebalance.delay.ms", 0).max(0),
            max_size: usize::try_from(int("group.max.size", i32::MAX)).unwrap_or(1).max(1),
            metadata_max_size: usize::try_from(int("offset.metadata.max.bytes", 4096)).unwrap_or(0),
            offsets_retention_ms: at_least_1("offsets.retention.minutes", 7 * 24 * 60).saturating_mul(60_000),
            offsets_retention_check_interval_ms: at_least_1("offsets.retention.check.interval.ms", 600_000)
                .unsigned_abs(),
            commit_timeout_ms: at_least_1("offsets.commit.timeout.ms", 5_000).unsigned_abs(),
            load_buffer_size: usize::try_from(at_least_1("offsets.load.buffer.size", 5 * 1024 * 1024))
                .unwrap_or(usize::MAX),
        }
    }
}
