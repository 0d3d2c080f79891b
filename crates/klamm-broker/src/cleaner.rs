//! Which logs are compacted when (`LogCleaner`, `LogCleanerManager`).
//!
//! A cleaner reads `log.cleaner.io.buffer.size` at a time, halved and shared among the cleaners as Kafka's is; between two such
//! pieces the broker serves requests.

use std::collections::BTreeSet;
use std::time::Duration;

use klamm_log::{CleanReport, CleanerSettings, DeletedSegments, LogError};
use klamm_node::config::broker;
use klamm_node::{Ctx, TopicPartition, TraceKind};

use crate::core::{Core, Timer};
use crate::log_dirs::Dir;
use crate::partition::{Changes, Slot};

/// Between two pieces of a compaction, where `log.cleaner.io.max.bytes.per.second` does not make it longer.
const PAUSE: Duration = Duration::from_millis(1);
/// The least that one piece reads, in bytes.
const LEAST_PIECE: u64 = 4096;

/// What the cleaners are at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cleaners {
    /// The logs that are being compacted.
    running: Vec<(Slot, TopicPartition)>,
    /// Those that could not be read, and are left alone from then on.
    uncleanable: BTreeSet<TopicPartition>,
}

impl Cleaners {
    /// Whether no log is being compacted.
    pub(crate) const fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Whether a log could not be read, and is left alone.
    pub(crate) fn leaves_alone(&self, name: &TopicPartition) -> bool {
        self.uncleanable.contains(name)
    }
}

impl Core {
    /// How many logs are compacted at a time, and how each is.
    fn cleaner_settings(&self) -> (usize, CleanerSettings) {
        let threads = usize::try_from(self.config.get(broker::LOG_CLEANER_THREADS)).unwrap_or(0);
        let share = u64::try_from(self.config.get(broker::LOG_CLEANER_DEDUPE_BUFFER_SIZE)).unwrap_or(0)
            / threads.max(1) as u64;
        let load_factor = self.config.get(broker::LOG_CLEANER_IO_BUFFER_LOAD_FACTOR);
        (threads, CleanerSettings { dedupe_buffer_bytes: share.min(i32::MAX as u64), load_factor })
    }

    /// `log.cleaner.backoff.ms`.
    pub(crate) fn cleaner_backoff(&self) -> Duration {
        let backoff = u64::try_from(self.config.get(broker::LOG_CLEANER_BACKOFF_MS)).unwrap_or(0);
        Duration::from_millis(backoff.max(1))
    }

    /// Sets the next time at which the cleaners look for something to do.
    pub(crate) fn schedule_cleaning(&mut self, ctx: &Ctx<'_>) {
        if self.config.get(broker::LOG_CLEANER_ENABLE) {
            self.timers.set(Timer::Clean, ctx.now + self.cleaner_backoff());
        }
    }

    /// Begins to compact the logs that need it most, and goes on with those that were begun.
    pub(crate) fn clean_logs(&mut self, ctx: &mut Ctx<'_>) {
        let (threads, settings) = self.cleaner_settings();
        let mut running = std::mem::take(&mut self.cleaners.running);
        running.retain(|(slot, name)| {
            self.replicas.get(*slot).is_some_and(|p| p.name == *name && p.log.is_cleaning())
        });
        while running.len() < threads {
            let Some(next) = self.begin_filthiest(ctx, &settings) else { break };
            running.push(next);
        }
        if running.is_empty() {
            self.apply_compacted_retention(ctx);
            return self.schedule_cleaning(ctx);
        }
        let io_buffer = u64::try_from(self.config.get(broker::LOG_CLEANER_IO_BUFFER_SIZE)).unwrap_or(0);
        let piece = (io_buffer / threads.max(1) as u64 / 2).max(LEAST_PIECE);
        let read = piece.saturating_mul(running.len() as u64);
        let mut finished = false;
        running.retain(|(slot, _)| {
            let goes_on = self.clean_piece(ctx, *slot, piece);
            finished |= !goes_on;
            goes_on
        });
        self.cleaners.running = running;
        if finished {
            // Kafka's cleaner deletes what retention lets go of compacted logs after each log that it has compacted.
            self.apply_compacted_retention(ctx);
        }
        let rate = self.config.get(broker::LOG_CLEANER_IO_MAX_BYTES_PER_SECOND);
        let pause = Duration::try_from_secs_f64(read as f64 / rate).unwrap_or(PAUSE).max(PAUSE);
        self.timers.set(Timer::Clean, ctx.now + pause);
    }

    /// Begins to compact the log with the largest dirty part of those that are due (`grabFilthiestCompactedLog`).
    fn begin_filthiest(
        &mut self,
        ctx: &Ctx<'_>,
        settings: &CleanerSettings,
    ) -> Option<(Slot, TopicPartition)> {
        let now = ctx.wall.millis();
        let mut filthiest: Option<(f64, Slot)> = None;
        for (slot, partition) in self.replicas.iter() {
            if partition.log.config().compact
                && partition.future.is_none()
                && !self.cleaners.uncleanable.contains(&partition.name)
                && let Some(cleanable) = partition.log.cleanable(now)
                && cleanable.is_due
                && cleanable.first_uncleanable_offset > cleanable.first_dirty_offset
                && filthiest.as_ref().is_none_or(|(ratio, _)| cleanable.ratio > *ratio)
            {
                filthiest = Some((cleanable.ratio, slot));
            }
        }
        let (_, slot) = filthiest?;
        let partition = self.replicas.get_mut(slot)?;
        partition.log.begin_cleaning(settings, now).then(|| (slot, partition.name.clone()))
    }

    /// Goes on with a compaction; false when it has ended.
    fn clean_piece(&mut self, ctx: &mut Ctx<'_>, slot: Slot, max_bytes: u64) -> bool {
        let now = ctx.wall.millis();
        let Some(partition) = self.replicas.get_mut(slot) else { return false };
        let dir = partition.dir;
        match partition.log.continue_cleaning(&mut *self.disk, max_bytes, now) {
            Ok(None) => partition.log.is_cleaning(),
            Ok(Some(report)) => {
                self.on_compacted(ctx, slot, dir, &report);
                false
            }
            Err(LogError::Disk(error)) => {
                self.on_log_failure(ctx, dir, &LogError::Disk(error));
                false
            }
            Err(error) => {
                let (partition, cause) = (partition.name.clone(), error.to_string());
                self.cleaners.uncleanable.insert(partition.clone());
                ctx.trace(TraceKind::LogUncleanable { partition, cause });
                false
            }
        }
    }

    fn on_compacted(&mut self, ctx: &mut Ctx<'_>, slot: Slot, dir: Dir, report: &CleanReport) {
        let Some(partition) = self.replicas.get(slot) else { return };
        ctx.trace(TraceKind::LogCompacted {
            partition: partition.name.clone(),
            from: report.start_offset,
            to: report.end_offset,
            bytes_before: report.bytes_before,
            bytes_after: report.bytes_after,
        });
        self.schedule_segment_removal(ctx);
        if let Err(error) = self.checkpoint_cleaner(dir) {
            self.on_log_failure(ctx, dir, &error);
        }
    }

    /// Writes `cleaner-offset-checkpoint` of a directory, if that has changed.
    pub(crate) fn checkpoint_cleaner(&mut self, dir: Dir) -> Result<(), LogError> {
        let (dirs, partitions) = self.replicas.dirs_and_partitions();
        let mut logs = partitions.filter(|p| p.dir == dir).map(|partition| &partition.log);
        match dirs.manager_mut(dir) {
            Some(manager) => manager.checkpoint_cleaner(&mut *self.disk, &mut logs),
            None => Ok(()),
        }
    }

    /// Compacts a replica's log here and now, whether that is due or not, where there is anything to compact.
    pub(crate) fn compact_now(&mut self, ctx: &mut Ctx<'_>, name: &TopicPartition) {
        let Some(slot) = self.replicas.slot_by_name(name) else { return };
        let (_, settings) = self.cleaner_settings();
        let now = ctx.wall.millis();
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        if partition.future.is_some() {
            return;
        }
        if partition.log.is_cleaning() || partition.log.begin_cleaning(&settings, now) {
            while self.clean_piece(ctx, slot, u64::MAX) {
                let partition = self.replicas.get(slot);
                if !partition.is_some_and(|partition| partition.log.is_cleaning_flushed()) {
                    // The rest follows when it is durable.
                    self.cleaners.running.retain(|(running, _)| *running != slot);
                    self.cleaners.running.push((slot, name.clone()));
                    self.timers.set(Timer::Clean, ctx.now + PAUSE);
                    return;
                }
            }
        }
    }

    /// Begins a new segment of a replica's log here and now.
    pub(crate) fn roll_now(&mut self, ctx: &mut Ctx<'_>, name: &TopicPartition) {
        let Some(slot) = self.replicas.slot_by_name(name) else { return };
        let now = ctx.wall.millis();
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let dir = partition.dir;
        if let Err(error) = partition.log.roll(&mut *self.disk, now) {
            self.on_log_failure(ctx, dir, &error);
        }
    }

    /// Deletes what retention lets go of compacted logs: the cleaner's work, where there is one.
    fn apply_compacted_retention(&mut self, ctx: &mut Ctx<'_>) {
        let known = &self.cleaners.uncleanable;
        let compacted = self.replicas.iter().filter(|(_, p)| p.log.config().compact);
        let slots: Vec<_> =
            compacted.filter(|(_, p)| !known.contains(&p.name)).map(|(slot, _)| slot).collect();
        for slot in slots {
            self.delete_old_segments(ctx, slot);
        }
        self.cleaners.uncleanable.retain(|name| self.replicas.slot_by_name(name).is_some());
    }

    /// Deletes what retention lets go of one log.
    pub(crate) fn delete_old_segments(&mut self, ctx: &mut Ctx<'_>, slot: Slot) {
        let now = ctx.wall.millis();
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let (dir, start) = (partition.dir, partition.log.log_start_offset());
        let result = partition.log.delete_old_segments(&mut *self.disk, now);
        let log_start = partition.log.log_start_offset();
        if log_start != start {
            partition.changes.add(Changes::LOG_START);
        }
        if let Ok(DeletedSegments { by_log_start, by_size, by_time }) = result {
            let causes = [
                (by_log_start, "below the log start"),
                (by_size, "retention.bytes"),
                (by_time, "retention.ms"),
            ];
            let name = partition.name.clone();
            for (segments, cause) in causes.into_iter().filter(|(segments, _)| *segments > 0) {
                ctx.trace(TraceKind::SegmentsDeleted { partition: name.clone(), segments, log_start, cause });
            }
        }
        self.replicas.note(slot);
        match result {
            Ok(deleted) if deleted.total() > 0 => self.schedule_segment_removal(ctx),
            Ok(_) => {}
            Err(error) => self.on_log_failure(ctx, dir, &error),
        }
    }
}
