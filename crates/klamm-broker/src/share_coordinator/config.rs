//! What the share coordinator is configured with (`ShareCoordinatorConfig`).

use klamm_node::config::{Key, share};
use klamm_wire::record::compress::Compression;

use crate::config::BrokerConfig;

/// The coordinator's configuration. None of it changes while the broker runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareCoordinatorConfig {
    /// `share.coordinator.state.topic.num.partitions`
    pub(crate) partitions: i32,
    /// `share.coordinator.snapshot.update.records.per.snapshot`
    pub(crate) updates_per_snapshot: i32,
    /// `share.coordinator.write.timeout.ms`
    pub(crate) write_timeout_ms: u64,
    /// `share.coordinator.load.buffer.size`
    pub(crate) load_buffer_size: usize,
    /// `share.coordinator.state.topic.compression.codec`
    pub(crate) compression: Compression,
    /// `share.coordinator.state.topic.prune.interval.ms`
    pub(crate) prune_interval_ms: u64,
    /// `share.coordinator.cold.partition.snapshot.interval.ms`
    pub(crate) cold_snapshot_interval_ms: i64,
}

impl ShareCoordinatorConfig {
    /// Reads the broker's configuration.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let unsigned = |key: Key<i32>| u64::try_from(config.get(key)).unwrap_or(0);
        Self {
            partitions: config.get(share::SHARE_COORDINATOR_STATE_TOPIC_NUM_PARTITIONS),
            updates_per_snapshot: config.get(share::SHARE_COORDINATOR_SNAPSHOT_UPDATE_RECORDS_PER_SNAPSHOT),
            write_timeout_ms: unsigned(share::SHARE_COORDINATOR_WRITE_TIMEOUT_MS),
            load_buffer_size: usize::try_from(config.get(share::SHARE_COORDINATOR_LOAD_BUFFER_SIZE))
                .unwrap_or(1),
            compression: i16::try_from(config.get(share::SHARE_COORDINATOR_STATE_TOPIC_COMPRESSION_CODEC))
                .ok()
                .and_then(Compression::from_attributes)
                .unwrap_or(Compression::None),
            prune_interval_ms: unsigned(share::SHARE_COORDINATOR_STATE_TOPIC_PRUNE_INTERVAL_MS),
            cold_snapshot_interval_ms: config
                .get(share::SHARE_COORDINATOR_COLD_PARTITION_SNAPSHOT_INTERVAL_MS)
                .into(),
        }
    }
}
