//! Starting new segments, snapshots of producer state, and flushing.

use crate::disk::{Disk, DiskError, FlushOutcome, FlushState};
use crate::error::LogError;
use crate::log::{Log, PendingFlush};
use crate::names;
use crate::producer_state::write_snapshot;
use crate::segment::Segment;

impl Log {
    /// Starts a new active segment if the current one cannot or should not take these batches.
    pub(crate) fn maybe_roll(
        &mut self,
        disk: &mut dyn Disk,
        bytes: usize,
        first_offset: i64,
        last_offset: i64,
        max_timestamp: i64,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let active = self.active();
        if active.should_roll(&self.config, bytes as u64, last_offset, max_timestamp, now_ms) {
            self.roll_at(disk, first_offset, now_ms)?;
        }
        Ok(())
    }

    /// Starts a new active segment at the log end offset. An active segment that is empty stays.
    pub fn roll(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        self.roll_at(disk, self.log_end_offset, now_ms)
    }

    pub(crate) fn roll_at(&mut self, disk: &mut dyn Disk, offset: i64, now_ms: i64) -> Result<(), LogError> {
        let offset = offset.max(self.log_end_offset);
        if self.active().base_offset == offset && self.active().size() == 0 {
            return Ok(());
        }
        self.active_mut().seal(disk)?;
        for kind in names::SEGMENT_FILES {
            disk.delete(&names::file(&self.dir, offset, kind))?;
        }
        let jitter = self.roll_jitter_ms(offset);
        self.segments.push(Segment::open(disk, &self.dir, offset, "", &self.config, jitter, now_ms)?);
        // A snapshot at each segment's beginning lets a segment be recovered without those before it.
        self.producers.set_map_end_offset(offset);
        self.take_snapshot(disk)?;
        self.flush_up_to(disk, offset, now_ms)
    }

    /// Writes the producers' state at the offset up to which the log was taken in, unless that is on disk.
    pub(crate) fn take_snapshot(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let offset = self.producers.map_end_offset();
        if self.snapshots.last().is_some_and(|last| *last >= offset) {
            return Ok(());
        }
        disk.write_file(&names::file(&self.dir, offset, names::SNAPSHOT), &write_snapshot(&self.producers))?;
        self.snapshots.push(offset);
        Ok(())
    }

    /// Removes the producer snapshots for which `gone` holds.
    pub(crate) fn remove_snapshots(
        &mut self,
        disk: &mut dyn Disk,
        gone: impl Fn(i64) -> bool,
    ) -> Result<(), DiskError> {
        for offset in self.snapshots.iter().copied().filter(|o| gone(*o)) {
            disk.delete(&names::file(&self.dir, offset, names::SNAPSHOT))?;
        }
        self.snapshots.retain(|offset| !gone(*offset));
        Ok(())
    }

    /// Asks that everything below the log end offset become durable; the recovery point follows when it is.
    pub fn flush(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        self.flush_up_to(disk, self.log_end_offset, now_ms)
    }

    fn flush_up_to(&mut self, disk: &mut dyn Disk, offset: i64, now_ms: i64) -> Result<(), LogError> {
        if offset <= self.recovery_point {
            return Ok(());
        }
        let from = self.floor_segment(self.recovery_point).unwrap_or(0);
        let mut waiting = Vec::new();
        for segment in self.segments[from..].iter().take_while(|s| s.base_offset < offset) {
            for file in segment.files() {
                if let FlushState::Pending(id) = disk.request_flush(file)? {
                    waiting.push(id);
                }
            }
        }
        if waiting.is_empty() {
            self.mark_flushed(offset, now_ms);
        } else {
            self.flushes.push(PendingFlush { waiting, offset });
        }
        Ok(())
    }

    /// Whether fsyncs of this log are under way.
    pub const fn is_flushing(&self) -> bool {
        !self.flushes.is_empty()
    }

    /// Notes how an fsync ended. False when this log did not ask for it.
    pub fn on_flushed(&mut self, outcome: &FlushOutcome, now_ms: i64) -> bool {
        let asked = self.flushes.iter_mut().find(|flush| flush.waiting.contains(&outcome.id));
        let Some(flush) = asked else { return self.on_cleaning_flushed(outcome) };
        if outcome.result.is_err() {
            // What is not durable now must be asked for again; until then the recovery point stays.
            self.flushes.retain(|flush| !flush.waiting.contains(&outcome.id));
            return true;
        }
        flush.waiting.retain(|id| *id != outcome.id);
        while self.flushes.first().is_some_and(|flush| flush.waiting.is_empty()) {
            let offset = self.flushes.remove(0).offset;
            self.mark_flushed(offset.min(self.log_end_offset), now_ms);
        }
        true
    }

    fn mark_flushed(&mut self, offset: i64, now_ms: i64) {
        if offset > self.recovery_point {
            self.recovery_point = offset;
            self.last_flush_ms = now_ms;
        }
    }

    /// Everything below it is durable.
    pub const fn recovery_point(&self) -> i64 {
        self.recovery_point
    }

    /// When the log was last flushed, in milliseconds.
    pub const fn last_flush_ms(&self) -> i64 {
        self.last_flush_ms
    }

    /// Ends the log's use in order: completes its indexes, writes a snapshot, flushes and gives up its files.
    pub fn close(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        self.abort_cleaning(disk)?;
        self.producers.set_map_end_offset(self.log_end_offset);
        self.take_snapshot(disk)?;
        self.active_mut().seal(disk)?;
        let unflushed = self.floor_segment(self.recovery_point).unwrap_or(0);
        for segment in &self.segments[unflushed..] {
            for file in segment.files() {
                disk.flush(file)?;
            }
        }
        self.flushes.clear();
        self.mark_flushed(self.log_end_offset, now_ms);
        for segment in &self.segments {
            segment.close(disk);
        }
        Ok(())
    }
}
