//! What a broker does to its logs from time to time: checkpoints, retention, removal (`LogManager`'s and `ReplicaManager`'s
//! scheduled tasks).

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::LogError;
use klamm_log::disk::FlushOutcome;
use klamm_node::Ctx;
use klamm_node::config::broker;

use crate::core::{Core, Timer};
use crate::log_dirs::Dir;

impl Core {
    /// Sets the first deadlines of what recurs.
    pub(crate) fn schedule_log_tasks(&mut self, ctx: &Ctx<'_>) {
        self.timers.set(Timer::CheckpointLogs, ctx.now + self.config.hot.flush_checkpoint_interval);
        self.timers.set(Timer::Retention, ctx.now + self.config.hot.retention_check_interval);
        self.timers.set(
            Timer::CheckpointHighWatermarks,
            ctx.now + self.config.hot.high_watermark_checkpoint_interval,
        );
        self.schedule_isr_check(ctx);
        self.schedule_cleaning(ctx);
        self.schedule_flush(ctx);
    }

    /// R3: half `replica.lag.time.max.ms` from now.
    pub(crate) fn schedule_isr_check(&mut self, ctx: &Ctx<'_>) {
        self.timers.set(Timer::ShrinkIsrs, ctx.now + self.isr_check_interval());
    }

    pub(crate) fn isr_check_interval(&self) -> Duration {
        let half = u64::try_from(self.config.hot.replica_lag_time_max_ms / 2).unwrap_or(1).max(1);
        Duration::from_millis(half)
    }

    /// Runs one of the tasks of a directory in each that works; a directory in which it fails goes offline.
    fn in_each_directory(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut task: impl FnMut(&mut Self, Dir) -> Result<(), LogError>,
    ) {
        for dir in self.replicas.dirs.online() {
            if let Err(error) = task(self, dir) {
                self.on_log_failure(ctx, dir, &error);
            }
        }
    }

    fn write_high_watermarks(&mut self, dir: Dir) -> Result<(), LogError> {
        let here = self.replicas.iter().filter(|(_, p)| p.dir == dir);
        let offsets: BTreeMap<(String, i32), i64> = here
            .map(|(_, p)| ((p.name.topic.to_string(), p.name.partition), p.log.high_watermark()))
            .collect();
        match self.replicas.dirs.manager_mut(dir) {
            Some(manager) => manager.checkpoint_high_watermarks(&mut *self.disk, &offsets),
            None => Ok(()),
        }
    }

    /// Writes `replication-offset-checkpoint`, if a high watermark moved.
    pub(crate) fn checkpoint_high_watermarks(&mut self, ctx: &mut Ctx<'_>) {
        if std::mem::take(&mut self.replicas.checkpoint_due) {
            self.in_each_directory(ctx, Self::write_high_watermarks);
        }
        self.timers.set(
            Timer::CheckpointHighWatermarks,
            ctx.now + self.config.hot.high_watermark_checkpoint_interval,
        );
    }

    /// Writes recovery points and log start offsets down.
    pub(crate) fn checkpoint_logs(&mut self, ctx: &mut Ctx<'_>) {
        self.in_each_directory(ctx, |core, dir| {
            let metadata = (dir == Dir::METADATA).then(|| core.metadata.log());
            let (dirs, partitions) = core.replicas.dirs_and_partitions();
            let logs = partitions.filter(|p| p.dir == dir).map(|partition| &partition.log);
            match dirs.manager_mut(dir) {
                Some(manager) => {
                    manager.checkpoint_logs(&mut *core.disk, &mut metadata.into_iter().chain(logs))
                }
                None => Ok(()),
            }
        });
        self.in_each_directory(ctx, Self::checkpoint_cleaner);
        self.timers.set(Timer::CheckpointLogs, ctx.now + self.config.hot.flush_checkpoint_interval);
    }

    /// Deletes what retention lets go of logs that are not compacted; those are the cleaner's, where there is one.
    pub(crate) fn apply_retention(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.wall.millis();
        for slot in self.replicas.slots() {
            let Some(partition) = self.replicas.get_mut(slot) else { continue };
            let (dir, compacted) = (partition.dir, partition.log.config().compact);
            if let Err(error) = partition.log.on_time(&mut *self.disk, now) {
                self.on_log_failure(ctx, dir, &error);
            } else if !compacted {
                self.delete_old_segments(ctx, slot);
            }
        }
        self.timers.set(Timer::Retention, ctx.now + self.config.hot.retention_check_interval);
    }

    /// Sets the time at which the files of deleted segments go.
    pub(crate) fn schedule_segment_removal(&mut self, ctx: &Ctx<'_>) {
        let next = self.replicas.iter().filter_map(|(_, p)| p.log.next_deletion_ms()).min();
        if let Some(next) = next {
            let delay = Duration::from_millis(u64::try_from(next - ctx.wall.millis()).unwrap_or(0).max(1));
            self.timers.set(Timer::RemoveDeletedSegments, ctx.now + delay);
        }
    }

    /// Removes the files of segments that were deleted `file.delete.delay.ms` ago.
    pub(crate) fn remove_deleted_segments(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.wall.millis();
        self.in_each_directory(ctx, |core, dir| {
            let (_, partitions) = core.replicas.dirs_and_partitions();
            for partition in partitions.filter(|p| p.dir == dir) {
                partition.log.remove_deleted_segments(&mut *core.disk, now)?;
            }
            Ok(())
        });
        self.schedule_segment_removal(ctx);
    }

    /// Kafka's default is never: replication is what keeps records.
    fn schedule_flush(&mut self, ctx: &Ctx<'_>) {
        let interval = self.config.get(broker::LOG_FLUSH_SCHEDULER_INTERVAL_MS);
        if interval < i64::MAX {
            let interval = u64::try_from(interval).unwrap_or(0).max(1);
            self.timers.set(Timer::Flush, ctx.now + Duration::from_millis(interval));
        }
    }

    /// Asks that logs become durable whose `flush.ms` has passed (`LogManager.flushDirtyLogs`).
    pub(crate) fn flush_logs(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.wall.millis();
        self.in_each_directory(ctx, |core, dir| {
            let (_, partitions) = core.replicas.dirs_and_partitions();
            for partition in partitions.filter(|p| p.dir == dir) {
                let log = &mut partition.log;
                if now.saturating_sub(log.last_flush_ms()) >= log.config().flush_ms {
                    log.flush(&mut *core.disk, now)?;
                }
            }
            Ok(())
        });
        self.schedule_flush(ctx);
    }

    /// An fsync that a log asked for has ended. When it failed, nobody knows what is durable: the directory goes offline.
    pub(crate) fn note_flush(&mut self, ctx: &mut Ctx<'_>, outcome: &FlushOutcome) {
        self.disk.complete_flush(outcome);
        let now = ctx.wall.millis();
        let (_, mut partitions) = self.replicas.dirs_and_partitions();
        let asked = if self.metadata.log_mut().on_flushed(outcome, now) {
            Some(Dir::METADATA)
        } else {
            partitions.find_map(|p| {
                let future = p.future.as_mut();
                if let Some(future) = future
                    && future.log.on_flushed(outcome, now)
                {
                    return Some(future.dir);
                }
                p.log.on_flushed(outcome, now).then_some(p.dir)
            })
        };
        drop(partitions);
        if let (Some(dir), Err(error)) = (asked, &outcome.result) {
            self.on_directory_failure(ctx, dir, &error.to_string());
        }
    }

    /// Removes the files of logs that were deleted long enough ago.
    pub(crate) fn remove_deleted_logs(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.wall.millis();
        let delay = self.config.get(broker::LOG_SEGMENT_DELETE_DELAY_MS);
        let mut next: Option<i64> = None;
        self.in_each_directory(ctx, |core, dir| {
            if let Some(manager) = core.replicas.dirs.manager_mut(dir)
                && let Some(due) = manager.on_time(&mut *core.disk, now, delay)?
            {
                next = Some(next.map_or(due, |next| next.min(due)));
            }
            Ok(())
        });
        if let Some(next) = next {
            let delay = Duration::from_millis(u64::try_from(next - now).unwrap_or(0).max(1));
            self.timers.set(Timer::RemoveDeletedLogs, ctx.now + delay);
        }
    }

    /// Ends the logs in order: flushed, with snapshots, checkpoints and the mark of a clean shutdown.
    pub(crate) fn close_logs(&mut self, ctx: &mut Ctx<'_>) {
        let epoch = Some(self.lifecycle.epoch).filter(|epoch| *epoch >= 0);
        let now = ctx.wall.millis();
        self.in_each_directory(ctx, |core, dir| {
            core.write_high_watermarks(dir)?;
            let metadata = (dir == Dir::METADATA).then(|| core.metadata.log_mut());
            let (dirs, partitions) = core.replicas.dirs_and_partitions();
            let logs = partitions.flat_map(|partition| {
                let own = (partition.dir == dir).then_some(&mut partition.log);
                let future = partition.future.as_mut().filter(|future| future.dir == dir);
                own.into_iter().chain(future.map(|future| &mut future.log))
            });
            let mut logs: Vec<_> = metadata.into_iter().chain(logs).collect();
            match dirs.manager_mut(dir) {
                Some(manager) => manager.close(&mut *core.disk, &mut logs, epoch, now),
                None => Ok(()),
            }
        });
    }
}
