//! What a broker does to its logs from time to time: checkpoints, retention, removal (`LogManager`'s and `ReplicaManager`'s
//! scheduled tasks).

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::disk::FlushOutcome;
use klamm_log::{CleanerSettings, LogError};
use klamm_node::Ctx;
use klamm_node::config::broker;

use crate::core::{Core, Timer};
use crate::partition::Changes;

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
        let half = u64::try_from(self.config.hot.replica_lag_time_max_ms / 2).unwrap_or(1).max(1);
        self.timers.set(Timer::ShrinkIsrs, ctx.now + Duration::from_millis(half));
    }

    fn write_high_watermarks(&mut self) -> Result<(), LogError> {
        let offsets: BTreeMap<(String, i32), i64> = self
            .replicas
            .iter()
            .map(|(_, p)| ((p.name.topic.to_string(), p.name.partition), p.log.high_watermark()))
            .collect();
        self.replicas.log_manager.checkpoint_high_watermarks(&mut *self.disk, &offsets)
    }

    /// Writes `replication-offset-checkpoint`, if a high watermark moved.
    pub(crate) fn checkpoint_high_watermarks(&mut self, ctx: &mut Ctx<'_>) {
        if std::mem::take(&mut self.replicas.checkpoint_due)
            && !self.replicas.offline
            && let Err(error) = self.write_high_watermarks()
        {
            return self.on_storage_failure(ctx, &error.to_string());
        }
        self.timers.set(
            Timer::CheckpointHighWatermarks,
            ctx.now + self.config.hot.high_watermark_checkpoint_interval,
        );
    }

    /// Writes recovery points and log start offsets down.
    pub(crate) fn checkpoint_logs(&mut self, ctx: &mut Ctx<'_>) {
        if !self.replicas.offline {
            let metadata = std::iter::once(self.metadata.log());
            let (manager, partitions) = self.replicas.manager_and_partitions();
            let logs = partitions.map(|partition| &partition.log);
            let result = manager.checkpoint_logs(&mut *self.disk, &mut metadata.chain(logs));
            if let Err(error) = result {
                return self.on_storage_failure(ctx, &error.to_string());
            }
        }
        self.timers.set(Timer::CheckpointLogs, ctx.now + self.config.hot.flush_checkpoint_interval);
    }

    /// Deletes what retention lets go, and rolls what is old enough.
    pub(crate) fn apply_retention(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.wall.millis();
        for slot in self.replicas.slots() {
            if self.replicas.offline {
                break;
            }
            let Some(partition) = self.replicas.get_mut(slot) else { continue };
            let start = partition.log.log_start_offset();
            let result = partition
                .log
                .delete_old_segments(&mut *self.disk, now)
                .and_then(|_| partition.log.on_time(&mut *self.disk, now));
            if partition.log.log_start_offset() != start {
                partition.changes.add(Changes::LOG_START);
            }
            self.replicas.note(slot);
            if let Err(error) = result {
                self.on_storage_failure(ctx, &error.to_string());
            }
        }
        self.timers.set(Timer::Retention, ctx.now + self.config.hot.retention_check_interval);
    }

    fn schedule_cleaning(&mut self, ctx: &Ctx<'_>) {
        if self.config.get(broker::LOG_CLEANER_ENABLE) {
            let backoff = u64::try_from(self.config.get(broker::LOG_CLEANER_BACKOFF_MS)).unwrap_or(0);
            self.timers.set(Timer::Clean, ctx.now + Duration::from_millis(backoff.max(1)));
        }
    }

    /// Compacts the logs that need it, the filthiest first.
    pub(crate) fn clean_logs(&mut self, ctx: &mut Ctx<'_>) {
        while !self.replicas.offline {
            let now = ctx.wall.millis();
            let cleaned = {
                let (manager, partitions) = self.replicas.manager_and_partitions();
                let mut logs = partitions.map(|partition| &mut partition.log);
                manager.clean_filthiest(&mut *self.disk, &mut logs, &CleanerSettings::default(), now)
            };
            match cleaned {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.on_storage_failure(ctx, &error.to_string()),
            }
        }
        self.schedule_cleaning(ctx);
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
        let mut result = Ok(());
        if !self.replicas.offline {
            let (_, partitions) = self.replicas.manager_and_partitions();
            for partition in partitions {
                let log = &mut partition.log;
                if now.saturating_sub(log.last_flush_ms()) >= log.config().flush_ms && result.is_ok() {
                    result = log.flush(&mut *self.disk, now);
                }
            }
        }
        if let Err(error) = result {
            self.on_storage_failure(ctx, &error.to_string());
        }
        self.schedule_flush(ctx);
    }

    /// An fsync that a log asked for has ended.
    pub(crate) fn note_flush(&mut self, ctx: &Ctx<'_>, outcome: &FlushOutcome) {
        let metadata = std::iter::once(self.metadata.log_mut());
        let (manager, partitions) = self.replicas.manager_and_partitions();
        let logs = partitions.map(|partition| &mut partition.log);
        manager.on_flushed(&mut *self.disk, outcome, &mut metadata.chain(logs), ctx.wall.millis());
    }

    /// Some log was deleted: its files go later.
    pub(crate) fn schedule_log_deletion(&mut self, ctx: &mut Ctx<'_>) {
        self.remove_deleted_logs(ctx);
    }

    /// Removes the files of logs that were deleted long enough ago.
    pub(crate) fn remove_deleted_logs(&mut self, ctx: &mut Ctx<'_>) {
        if self.replicas.offline {
            return;
        }
        let now = ctx.wall.millis();
        match self.replicas.log_manager.on_time(&mut *self.disk, now) {
            Ok(Some(next)) => {
                let delay = Duration::from_millis(u64::try_from(next - now).unwrap_or(0).max(1));
                self.timers.set(Timer::RemoveDeletedLogs, ctx.now + delay);
            }
            Ok(None) => {}
            Err(error) => self.on_storage_failure(ctx, &error.to_string()),
        }
    }

    /// Ends the logs in order: flushed, with snapshots, checkpoints and the mark of a clean shutdown.
    pub(crate) fn close_logs(&mut self, ctx: &mut Ctx<'_>) {
        if self.replicas.offline {
            return;
        }
        let epoch = Some(self.lifecycle.epoch).filter(|epoch| *epoch >= 0);
        let mut result = self.write_high_watermarks();
        if result.is_ok() {
            let now = ctx.wall.millis();
            let mut logs = vec![self.metadata.log_mut()];
            let (manager, partitions) = self.replicas.manager_and_partitions();
            logs.extend(partitions.map(|partition| &mut partition.log));
            result = manager.close(&mut *self.disk, &mut logs, epoch, now);
        }
        if let Err(error) = result {
            self.on_storage_failure(ctx, &error.to_string());
        }
    }
}
