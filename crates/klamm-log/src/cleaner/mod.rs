//! Compaction (`LogCleaner`, `Cleaner`): of each key the last record stays, tombstones and markers for a while.
//!
//! Nothing runs in the background: a compaction is begun and then gone on with, a piece at a call ([`Log::continue_cleaning`]).

mod filter;
mod hash;
mod job;
mod offset_map;
mod transactions;

use crate::log::Log;
use crate::segment::Segment;

pub(crate) use job::CleaningJob;

/// How the cleaner works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CleanerSettings {
    /// This cleaner's share of `log.cleaner.dedupe.buffer.size`, in bytes: 24 for each key. What does not fit waits for the next
    /// cleaning.
    pub dedupe_buffer_bytes: u64,
    /// `log.cleaner.io.buffer.load.factor`: how full that may get.
    pub load_factor: f64,
}

impl Default for CleanerSettings {
    fn default() -> Self {
        Self { dedupe_buffer_bytes: 128 * 1024 * 1024, load_factor: 0.9 }
    }
}

/// What of a log could be compacted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cleanable {
    /// First offset that was not compacted yet.
    pub first_dirty_offset: i64,
    /// First offset that must not be compacted yet.
    pub first_uncleanable_offset: i64,
    /// Bytes not compacted yet, as a part of all that could be.
    pub ratio: f64,
    /// Whether the ratio is above `min.cleanable.dirty.ratio`, or a record has waited `max.compaction.lag.ms`.
    pub is_due: bool,
}

/// What a cleaning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanReport {
    /// First offset that was not clean before.
    pub start_offset: i64,
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of the segments after.
    pub bytes_after: u64,
    /// Offset up to which the log is clean.
    pub end_offset: i64,
}

impl Log {
    /// What of this log could be compacted now; `None` for a log that is not compacted, or has nothing that could be.
    pub fn cleanable(&self, now_ms: i64) -> Option<Cleanable> {
        if !self.config.compact || self.is_cleaning() {
            return None;
        }
        let start = self.log_start_offset;
        let checkpoint = self.cleaner_checkpoint.unwrap_or(start);
        let dirty = if (start..=self.log_end_offset).contains(&checkpoint) { checkpoint } else { start };
        let active = self.active().base_offset;
        let closed = &self.segments[..self.segments.len() - 1];
        let dirty_closed = &closed[self.floor_segment(dirty).unwrap_or(0).min(closed.len())..];
        let lag = self.config.min_compaction_lag_ms;
        let too_new = |s: &&Segment| lag > 0 && s.largest_timestamp() > now_ms.saturating_sub(lag);
        let too_new = dirty_closed.iter().find(too_new).map_or(i64::MAX, |s| s.base_offset);
        let limit = self.last_stable_offset().min(active).min(too_new).max(dirty);
        // Whole segments only: the one that holds the limit stays.
        let holds_limit = self.floor_segment(limit).map_or(active, |at| self.segments[at].base_offset);
        let uncleanable = holds_limit.min(active);
        let size = |from: i64, to: i64| -> u64 {
            let within = self.segments.iter().filter(|s| s.base_offset >= from && s.base_offset < to);
            within.map(Segment::size).sum()
        };
        let first = self.floor_segment(dirty).map_or(dirty, |at| self.segments[at].base_offset);
        let (clean, dirty_bytes) = (size(i64::MIN, first.min(uncleanable)), size(first, uncleanable));
        if clean + dirty_bytes == 0 {
            return None;
        }
        let ratio = dirty_bytes as f64 / (clean + dirty_bytes) as f64;
        let oldest = dirty_closed.iter().filter_map(Segment::first_batch_timestamp).filter(|t| *t > 0).min();
        let overdue =
            oldest.is_some_and(|t| t < now_ms.saturating_sub(self.config.max_compaction_lag_ms.max(0)));
        let is_due = (overdue && dirty_bytes > 0) || ratio > self.config.min_cleanable_dirty_ratio;
        Some(Cleanable { first_dirty_offset: dirty, first_uncleanable_offset: uncleanable, ratio, is_due })
    }
}
