//! Dropping records: from the end (a follower that diverged), or all of them, or from the start.

use crate::disk::Disk;
use crate::error::{LogError, ReadError};
use crate::log::Log;
use crate::segment::Segment;

impl Log {
    /// Drops every record at or above `offset`; false when there was none.
    pub fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64, now_ms: i64) -> Result<bool, LogError> {
        if offset < 0 {
            return Err(LogError::Invalid(format!(
                "Cannot truncate {} to a negative offset ({offset})",
                self.dir
            )));
        }
        if offset >= self.log_end_offset {
            // A leader may have noted its epoch and then appended nothing: that entry conflicts with the next leader's.
            if self.leader_epochs.truncate_from_end(self.log_end_offset) {
                self.write_epochs(disk)?;
            }
            return Ok(false);
        }
        self.abort_cleaning(disk)?;
        if self.segments[0].base_offset > offset {
            self.truncate_fully_and_start_at(disk, offset, None, now_ms)?;
            return Ok(true);
        }
        let keep = self.segments.partition_point(|s| s.base_offset <= offset);
        let gone = self.segments.split_off(keep);
        self.delete_segments_later(disk, &gone, now_ms)?;
        self.active_mut().truncate_to(disk, offset, now_ms)?;
        self.set_end(offset);
        if self.leader_epochs.truncate_from_end(offset) {
            self.write_epochs(disk)?;
        }
        self.log_start_offset = self.log_start_offset.min(offset);
        self.rebuild_producer_state(disk, offset, false, now_ms)?;
        self.update_high_watermark(self.high_watermark);
        Ok(true)
    }

    /// Drops every record; the log then ends at `new_offset`, and begins there or at `log_start_offset` if given.
    pub fn truncate_fully_and_start_at(
        &mut self,
        disk: &mut dyn Disk,
        new_offset: i64,
        log_start_offset: Option<i64>,
        now_ms: i64,
    ) -> Result<(), LogError> {
        self.abort_cleaning(disk)?;
        let gone = std::mem::take(&mut self.segments);
        self.delete_segments_later(disk, &gone, now_ms)?;
        self.remove_snapshots(disk, |_| true)?;
        let jitter = self.roll_jitter_ms(new_offset);
        self.segments.push(Segment::open(disk, &self.dir, new_offset, "", &self.config, jitter, now_ms)?);
        if self.leader_epochs.clear() {
            self.write_epochs(disk)?;
        }
        self.set_end(new_offset);
        self.log_start_offset = log_start_offset.unwrap_or(new_offset);
        self.producers.reset(new_offset);
        self.take_snapshot(disk)?;
        self.update_high_watermark(new_offset);
        Ok(())
    }

    fn set_end(&mut self, offset: i64) {
        self.log_end_offset = offset;
        self.recovery_point = self.recovery_point.min(offset);
        self.cleaner_checkpoint = self.cleaner_checkpoint.map(|c| c.min(offset));
        for flush in &mut self.flushes {
            flush.offset = flush.offset.min(offset);
        }
    }

    /// Raises the log start offset; true when it moved. Refuses an offset above the high watermark with `OFFSET_OUT_OF_RANGE`.
    pub fn maybe_increment_log_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        offset: i64,
    ) -> Result<bool, ReadError> {
        if offset > self.high_watermark {
            return Err(ReadError::OffsetOutOfRange {
                offset,
                log_start_offset: self.log_start_offset,
                log_end_offset: self.high_watermark,
            });
        }
        if offset <= self.log_start_offset {
            return Ok(false);
        }
        self.log_start_offset = offset;
        if self.leader_epochs.truncate_from_start(offset) {
            self.write_epochs(disk)?;
        }
        self.producers.forget_decided_below(offset);
        if self.producers.map_end_offset() < offset {
            self.producers.set_map_end_offset(offset);
        }
        self.refresh_first_unstable_offset();
        Ok(true)
    }
}
