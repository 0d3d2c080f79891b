//! Deleting old segments, and the files they leave.

use crate::disk::{Disk, DiskError};
use crate::error::LogError;
use crate::log::Log;
use crate::names;
use crate::segment::Segment;

/// How many segments retention deleted, by what let them go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeletedSegments {
    /// They lay below the log start offset.
    pub by_log_start: usize,
    /// `retention.bytes`.
    pub by_size: usize,
    /// `retention.ms`.
    pub by_time: usize,
}

impl DeletedSegments {
    /// All of them.
    pub const fn total(self) -> usize {
        self.by_log_start + self.by_size + self.by_time
    }
}

impl Log {
    /// Deletes segments by retention time, retention size and log start offset; tells how many went.
    ///
    /// No segment at or above the high watermark goes. When every segment goes, an empty one takes their place. A log that is being
    /// compacted is left alone until that is done.
    pub fn delete_old_segments(
        &mut self,
        disk: &mut dyn Disk,
        now_ms: i64,
    ) -> Result<DeletedSegments, LogError> {
        let mut deleted = DeletedSegments::default();
        if self.is_cleaning() {
            return Ok(deleted);
        }
        let start = self.log_start_offset;
        deleted.by_log_start = self.delete_while(disk, now_ms, |_, next| next.is_some_and(|n| n <= start))?;
        if !self.config.delete {
            return Ok(deleted);
        }
        let (size, most) = (self.size(), self.config.retention_bytes);
        if let Ok(most) = u64::try_from(most) {
            let mut excess = size.saturating_sub(most);
            deleted.by_size = self.delete_while(disk, now_ms, |segment, _| {
                let gone = size >= most && excess >= segment.size();
                if gone {
                    excess -= segment.size();
                }
                gone
            })?;
        }
        let retention = self.config.retention_ms;
        if retention >= 0 {
            deleted.by_time = self.delete_while(disk, now_ms, |segment, _| {
                now_ms.saturating_sub(segment.largest_timestamp()) > retention
            })?;
        }
        Ok(deleted)
    }

    /// Deletes segments from the oldest on while `gone` holds of a segment and the next one's base offset.
    fn delete_while(
        &mut self,
        disk: &mut dyn Disk,
        now_ms: i64,
        mut gone: impl FnMut(&Segment, Option<i64>) -> bool,
    ) -> Result<usize, LogError> {
        let mut count = 0;
        for (at, segment) in self.segments.iter().enumerate() {
            let next = self.segments.get(at + 1).map(|s| s.base_offset);
            let committed = self.high_watermark >= next.unwrap_or(self.log_end_offset);
            let last_and_empty = next.is_none() && segment.size() == 0;
            if !committed || last_and_empty || !gone(segment, next) {
                break;
            }
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        if count == self.segments.len() {
            self.roll(disk, now_ms)?;
        }
        let rest = self.segments.split_off(count);
        let old = std::mem::replace(&mut self.segments, rest);
        let first = self.segments[0].base_offset;
        // Below the high watermark, as every deleted segment is: this cannot be refused.
        let _ = self.maybe_increment_log_start_offset(disk, first);
        self.delete_segments_later(disk, &old, now_ms)?;
        Ok(count)
    }

    /// Renames the files of segments that are no part of the log any more, and has them removed `file.delete.delay.ms` later.
    pub(crate) fn delete_segments_later(
        &mut self,
        disk: &mut dyn Disk,
        segments: &[Segment],
        now_ms: i64,
    ) -> Result<(), DiskError> {
        let mut files = Vec::new();
        for segment in segments {
            segment.close(disk);
            files.extend(segment.rename(disk, &self.dir, "", names::DELETED)?);
            let base = segment.base_offset;
            // Compaction puts a segment in the place of the first it replaces; the snapshot is as good for that one.
            if self.segments.iter().all(|kept| kept.base_offset != base) {
                self.remove_snapshots(disk, |offset| offset == base)?;
            }
        }
        if !files.is_empty() {
            let due = now_ms.saturating_add(self.config.file_delete_delay_ms);
            // Those that were deleted under a longer delay may still be waiting.
            let at = self.deletions.partition_point(|(other, _)| *other <= due);
            self.deletions.insert(at, (due, files));
        }
        Ok(())
    }

    /// Removes files whose segments were deleted `file.delete.delay.ms` ago.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove_deleted_segments(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        while let Some((due, _)) = self.deletions.front()
            && *due <= now_ms
        {
            for path in self.deletions.pop_front().map(|(_, files)| files).unwrap_or_default() {
                disk.delete(&path)?;
            }
        }
        Ok(())
    }

    /// [Removes files](Self::remove_deleted_segments) of deleted segments, and forgets producers silent for
    /// `producer.id.expiration.ms` (Kafka looks every ten minutes). Flushes what has waited for `flush.ms`.
    pub fn on_time(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        self.remove_deleted_segments(disk, now_ms)?;
        self.producers.expire(now_ms, self.limits.producer_id_expiration_ms);
        if now_ms.saturating_sub(self.last_flush_ms) >= self.config.flush_ms {
            self.flush(disk, now_ms)?;
        }
        Ok(())
    }

    /// When files of deleted segments are due to be removed, in milliseconds.
    pub fn next_deletion_ms(&self) -> Option<i64> {
        self.deletions.front().map(|(due, _)| *due)
    }
}
