//! When a snapshot of the metadata is due (`SnapshotGenerator`).

use std::time::Duration;

use klamm_node::Timestamp;
use klamm_node::config::{BrokerConfig, broker};

/// What was written since the last snapshot.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotGenerator {
    max_bytes: u64,
    /// `None` where time alone is no reason.
    max_interval: Option<Duration>,
    bytes: u64,
    last: Timestamp,
    last_record_ms: i64,
}

impl SnapshotGenerator {
    pub(crate) fn new(config: &BrokerConfig, now: Timestamp) -> Self {
        let interval = config.get(broker::METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS).unsigned_abs();
        Self {
            max_bytes: config.get(broker::METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS).unsigned_abs(),
            max_interval: (interval > 0).then(|| Duration::from_millis(interval)),
            bytes: 0,
            last: now,
            last_record_ms: 0,
        }
    }

    /// Notes records that were folded in: their size, and the wall time of the last.
    pub(crate) const fn note_records(&mut self, bytes: u64, timestamp_ms: i64) {
        self.bytes += bytes;
        self.last_record_ms = timestamp_ms;
    }

    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.bytes >= self.max_bytes
            || (self.bytes > 0 && self.max_interval.is_some_and(|interval| self.last + interval <= now))
    }

    /// When time alone makes a snapshot due; `None` for never, as long as nothing more is written.
    pub(crate) fn due_at(&self) -> Option<Timestamp> {
        self.max_interval.filter(|_| self.bytes > 0).map(|interval| self.last + interval)
    }

    pub(crate) const fn last_record_ms(&self) -> i64 {
        self.last_record_ms
    }

    pub(crate) const fn reset(&mut self, now: Timestamp) {
        self.bytes = 0;
        self.last = now;
    }
}
