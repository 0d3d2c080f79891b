//! When a log that nobody uses next has something to do. All times are of the wall clock, in milliseconds; they may be early, never
//! late.

use crate::log::Log;
use crate::segment::Segment;

impl Log {
    /// When [`Log::on_time`] might do something; `None` for never.
    pub fn next_on_time_ms(&self) -> Option<i64> {
        let flush = self.config.flush_ms;
        let flush = (flush < i64::MAX).then(|| self.last_flush_ms.saturating_add(flush));
        let producers = self.producers.next_expiry_ms(self.limits.producer_id_expiration_ms);
        [flush, producers, self.next_deletion_ms()].into_iter().flatten().min()
    }

    /// When [`Log::delete_old_segments`] might do something; `None` for never.
    pub fn next_retention_ms(&self) -> Option<i64> {
        // From the oldest segment on: where that one stays, all stay.
        let segment = self.segments.first()?;
        let next = self.segments.get(1).map(|segment| segment.base_offset);
        if self.high_watermark < next.unwrap_or(self.log_end_offset) {
            return None;
        }
        if next.is_some_and(|next| next <= self.log_start_offset) {
            return Some(i64::MIN);
        }
        if !self.config.delete || (next.is_none() && segment.size() == 0) {
            return None;
        }
        let size = self.size();
        let too_large = u64::try_from(self.config.retention_bytes)
            .is_ok_and(|most| size >= most && size - most >= segment.size());
        if too_large {
            return Some(i64::MIN);
        }
        let retention = self.config.retention_ms;
        (retention >= 0).then(|| segment.largest_timestamp().saturating_add(retention).saturating_add(1))
    }

    /// When this log may become due to be compacted that is not now; `None` for never. Now is [`Log::cleanable`]'s to say.
    pub fn next_cleaning_ms(&self, now_ms: i64) -> Option<i64> {
        if !self.config.compact {
            return None;
        }
        let closed = &self.segments[..self.segments.len() - 1];
        let lag = self.config.min_compaction_lag_ms.max(0);
        let old_enough = closed.iter().map(|segment| segment.largest_timestamp().saturating_add(lag));
        let most = self.config.max_compaction_lag_ms.max(0);
        let overdue = closed.iter().filter_map(Segment::first_batch_timestamp);
        let overdue = overdue.map(|first| first.saturating_add(most).saturating_add(1));
        old_enough.chain(overdue).filter(|at| *at > now_ms).min()
    }
}
