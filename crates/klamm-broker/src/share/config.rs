//! What a share group is configured with: the broker's keys, and the group's own over them (`ShareGroupConfigProvider`).

use klamm_log::FetchIsolation;
use klamm_metadata::ConfigResource;
use klamm_node::config::{Key, duration_ms, group_resource as own, share};
use klamm_wire::StrBytes;

use super::partition::Limits;
use crate::config::BrokerConfig;
use crate::core::Core;

/// The broker's keys. None of them changes while the broker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ShareConfig {
    limits: Limits,
    /// `group.share.max.share.sessions`
    pub(crate) max_sessions: usize,
}

/// Where a share-partition begins that nobody has read (`ShareGroupAutoOffsetResetStrategy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetReset {
    /// At the first record.
    Earliest,
    /// After the last record.
    Latest,
    /// At the first record that is at most so many milliseconds old.
    ByDuration(i64),
}

impl ShareConfig {
    /// Reads the broker's configuration.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        Self {
            limits: Limits {
                max_in_flight: config.get(share::GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS),
                max_deliveries: i16::try_from(config.get(share::GROUP_SHARE_DELIVERY_COUNT_LIMIT))
                    .unwrap_or(i16::MAX),
                lock_ms: u64::try_from(config.get(share::GROUP_SHARE_RECORD_LOCK_DURATION_MS)).unwrap_or(0),
                renews: true,
            },
            max_sessions: usize::try_from(config.get(share::GROUP_SHARE_MAX_SHARE_SESSIONS)).unwrap_or(0),
        }
    }

    /// A group's limits.
    pub(crate) fn limits(&self, core: &Core, group: &StrBytes) -> Limits {
        let number = |key: Key<i32>| {
            core.group_config(group, key.name()).and_then(|value| value.trim().parse::<i32>().ok())
        };
        let mut limits = self.limits;
        if let Some(value) = number(own::SHARE_PARTITION_MAX_RECORD_LOCKS) {
            limits.max_in_flight = value;
        }
        if let Some(value) = number(own::SHARE_DELIVERY_COUNT_LIMIT).and_then(|v| i16::try_from(v).ok()) {
            limits.max_deliveries = value;
        }
        if let Some(value) = number(own::SHARE_RECORD_LOCK_DURATION_MS).and_then(|v| u64::try_from(v).ok()) {
            limits.lock_ms = value;
        }
        if let Some(value) = core.group_config(group, own::SHARE_RENEW_ACKNOWLEDGE_ENABLE.name()) {
            limits.renews = !value.trim().eq_ignore_ascii_case("false");
        }
        limits
    }
}

impl Core {
    /// A key as set on a group.
    fn group_config(&self, group: &StrBytes, key: &str) -> Option<StrBytes> {
        self.metadata.image().configs.value(&ConfigResource::group(group.clone()), key).cloned()
    }

    /// How far a share group sees: `share.isolation.level`.
    pub(crate) fn share_isolation(&self, group: &StrBytes) -> FetchIsolation {
        match self.group_config(group, own::SHARE_ISOLATION_LEVEL.name()).as_deref() {
            Some("read_committed") => FetchIsolation::TxnCommitted,
            _ => FetchIsolation::HighWatermark,
        }
    }

    /// Where a share group begins: `share.auto.offset.reset`.
    pub(crate) fn share_offset_reset(&self, group: &StrBytes) -> OffsetReset {
        match self.group_config(group, own::SHARE_AUTO_OFFSET_RESET.name()).as_deref() {
            Some("earliest") => OffsetReset::Earliest,
            Some(text) => text
                .strip_prefix("by_duration:")
                .and_then(duration_ms)
                .map_or(OffsetReset::Latest, OffsetReset::ByDuration),
            None => OffsetReset::Latest,
        }
    }
}
