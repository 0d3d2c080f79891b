//! Moving a replica from one log directory to another (`ReplicaAlterLogDirsThread`, KIP-113, KIP-858).
//!
//! The replica's records are copied into a future log in the other directory, a piece at a time. When that has all that the replica
//! has, the controller is told of the directory; once it knows, and the future log still has everything, it takes the replica's place.

use std::time::Duration;

use klamm_log::{FetchIsolation, Log, LogError, ReadError};
use klamm_node::{Ctx, TopicIdPartition, TraceKind};
use klamm_wire::ErrorCode;

use crate::core::{Core, Timer};
use crate::log_dirs::Dir;
use crate::partition::Slot;

/// Between two pieces of a copy.
const PAUSE: Duration = Duration::from_millis(1);
/// Until a copy is tried again that the quota held back.
const THROTTLED: Duration = Duration::from_millis(100);

/// How far a move has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promotion {
    /// The future log has less than the replica, or the controller has not been told.
    Copying,
    /// The controller is being told of the new directory.
    Queued,
}

/// A log that will take a replica's place.
#[derive(Debug, Clone)]
pub(crate) struct FutureReplica {
    /// The directory that it is in.
    pub(crate) dir: Dir,
    /// What it has so far.
    pub(crate) log: Log,
    /// How far the move has come.
    pub(crate) promotion: Promotion,
}

impl Core {
    /// Begins to move a replica to another directory, or changes where it goes (`ReplicaManager.alterReplicaLogDirs`).
    pub(crate) fn alter_log_dir(&mut self, ctx: &mut Ctx<'_>, slot: Slot, to: Dir) -> Result<(), ErrorCode> {
        let now = ctx.wall.millis();
        let Some(partition) = self.replicas.get(slot) else { return Err(ErrorCode::ReplicaNotAvailable) };
        let (from, name, topic_id) = (partition.dir, partition.name.clone(), partition.topic_id);
        let going = partition.future.as_ref().map(|future| future.dir);
        if going.is_some_and(|going| going != to) {
            self.drop_future(ctx, slot, true);
        }
        if from == to || going == Some(to) {
            return Ok(());
        }
        // Where a directory is offline, the future log may be there already.
        if self.replicas.dirs.any_offline() {
            return Err(ErrorCode::KafkaStorageError);
        }
        let config = self.replicas.get(slot).map(|partition| partition.log.config().clone());
        let (Some(config), Some(manager)) = (config, self.replicas.dirs.manager_mut(to)) else {
            return Err(ErrorCode::KafkaStorageError);
        };
        let disk = &mut *self.disk;
        let created =
            manager.create_future_log(disk, &name.topic, name.partition, Some(topic_id), config, now);
        let log = match created {
            Ok(log) => log,
            Err(error) => {
                self.on_log_failure(ctx, to, &error);
                return Err(error.code());
            }
        };
        let directory = self.replicas.dirs.path(to);
        ctx.trace(TraceKind::ReplicaMoveBegan { partition: name, directory });
        self.begin_copy(ctx, slot, to, log)
    }

    /// Has a future log filled. Compaction would work on a log that is about to go.
    pub(crate) fn begin_copy(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        dir: Dir,
        log: Log,
    ) -> Result<(), ErrorCode> {
        let Some(partition) = self.replicas.get_mut(slot) else { return Err(ErrorCode::ReplicaNotAvailable) };
        let from = partition.dir;
        let ended = partition.log.abort_cleaning(&mut *self.disk);
        partition.future = Some(Box::new(FutureReplica { dir, log, promotion: Promotion::Copying }));
        self.timers.set(Timer::MoveReplicas, ctx.now + PAUSE);
        if let Err(error) = ended {
            self.on_log_failure(ctx, from, &error);
            return Err(ErrorCode::KafkaStorageError);
        }
        Ok(())
    }

    /// Goes on with a move that a restart interrupted. A future log that the controller knows as the replica's takes its place
    /// (`LogManager.recoverAbandonedFutureLogs`), once it has everything.
    pub(crate) fn resume_move(&mut self, ctx: &mut Ctx<'_>, slot: Slot) {
        let Some(partition) = self.replicas.get(slot) else { return };
        let (from, topic_id) = (partition.dir, partition.topic_id);
        let (config, name) = (partition.log.config().clone(), partition.name.clone());
        let Some((dir, mut loaded)) = self.replicas.unclaimed_futures.remove(&name) else { return };
        if dir == from || loaded.topic_id != Some(topic_id) {
            return self.delete_log(ctx, dir, loaded.log);
        }
        loaded.log.update_config(config);
        // A directory that fails now was traced, and ends the move.
        let _ = self.begin_copy(ctx, slot, dir, loaded.log);
    }

    /// Gives a move up. The controller, if it was told of the new directory, is told of the old one.
    pub(crate) fn drop_future(&mut self, ctx: &mut Ctx<'_>, slot: Slot, delete: bool) {
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let Some(mut future) = partition.future.take() else { return };
        let (name, dir) = (partition.name.clone(), partition.dir);
        let key = TopicIdPartition { topic_id: partition.topic_id, partition: name.partition };
        if future.promotion == Promotion::Queued
            && let Some(id) = self.replicas.dirs.id(dir)
        {
            self.assignments.tell(key, id);
        }
        let directory = self.replicas.dirs.path(future.dir);
        ctx.trace(TraceKind::ReplicaMoveEnded { partition: name, directory, moved: false });
        if delete {
            self.delete_log(ctx, future.dir, future.log);
        } else {
            future.log.give_up(&mut *self.disk);
        }
    }

    /// Copies a piece of each replica that moves, and ends the moves that are complete.
    pub(crate) fn move_replicas(&mut self, ctx: &mut Ctx<'_>) {
        let moving: Vec<Slot> = self.replicas.moving().collect();
        let mut again: Option<Duration> = None;
        for slot in moving {
            let now = ctx.wall.millis();
            let pause = if self.quotas.alter_log_dirs.is_exceeded(now) {
                Some(THROTTLED)
            } else {
                match self.move_piece(ctx, slot) {
                    Ok(true) => Some(PAUSE),
                    Ok(false) => None,
                    Err((dir, error)) => {
                        self.on_log_failure(ctx, dir, &error);
                        None
                    }
                }
            };
            again = again.into_iter().chain(pause).min();
        }
        if let Some(pause) = again {
            self.timers.set(Timer::MoveReplicas, ctx.now + pause);
        }
    }

    /// A replica's log changed, or the metadata of its partition did: its future log has something to do.
    pub(crate) fn note_move(&mut self, ctx: &Ctx<'_>) {
        if self.timers.deadline(&Timer::MoveReplicas).is_none() {
            self.timers.set(Timer::MoveReplicas, ctx.now);
        }
    }

    /// Goes on with one move; true when there is more to copy. The directory that failed, otherwise.
    fn move_piece(&mut self, ctx: &mut Ctx<'_>, slot: Slot) -> Result<bool, (Dir, LogError)> {
        let now = ctx.wall.millis();
        let most = usize::try_from(self.config.hot.replica_fetch_max_bytes).unwrap_or(0);
        let Some(partition) = self.replicas.get_mut(slot) else { return Ok(false) };
        let Some(future) = &mut partition.future else { return Ok(false) };
        let (from, to) = (partition.dir, future.dir);
        let disk = &mut *self.disk;
        follow(&partition.log, &mut future.log, disk, now).map_err(|error| (to, error))?;
        let (source, copy) = (&partition.log, &mut future.log);
        let offset = copy.log_end_offset();
        if offset < source.log_end_offset() {
            let read = source.read(disk, offset, most, FetchIsolation::LogEnd, true);
            let read = match read {
                Ok(read) => read,
                Err(ReadError::Log(error)) => return Err((from, error)),
                // The log begins later by now: the next piece begins there.
                Err(_) => return Ok(true),
            };
            let appended = copy.append_as_follower(disk, &read.records, partition.leader_epoch, now);
            if let Err(error) = appended {
                let error = error.storage.map_or_else(|| LogError::Invalid(error.message), |error| *error);
                return Err((to, error));
            }
            self.quotas.alter_log_dirs.record(read.size, now);
        }
        copy.update_high_watermark(source.high_watermark());
        let behind = copy.log_end_offset() < source.log_end_offset();
        if behind {
            return Ok(true);
        }
        let key = TopicIdPartition { topic_id: partition.topic_id, partition: partition.name.partition };
        let promotion = future.promotion;
        let registered = self.metadata.image().topics.partition(key.topic_id, key.partition);
        let registered = registered.and_then(|registration| registration.directory(self.settings.node));
        let target = self.replicas.dirs.id(to);
        if target.is_some() && registered == target {
            return self.promote(ctx, slot).map(|()| false);
        }
        if promotion == Promotion::Copying
            && let Some(target) = target
        {
            self.assignments.tell(key, target);
            if let Some(future) = self.replicas.get_mut(slot).and_then(|p| p.future.as_mut()) {
                future.promotion = Promotion::Queued;
            }
        }
        // What comes next wakes it: another record, or the metadata that names the new directory.
        Ok(false)
    }

    /// Puts the future log in the replica's place (`LogManager.replaceCurrentWithFutureLog`).
    fn promote(&mut self, ctx: &mut Ctx<'_>, slot: Slot) -> Result<(), (Dir, LogError)> {
        let Some(partition) = self.replicas.get_mut(slot) else { return Ok(()) };
        let Some(future) = partition.future.take() else { return Ok(()) };
        let FutureReplica { dir: to, mut log, .. } = *future;
        let name = partition.name.clone();
        // Epochs that have no record yet are in no batch.
        for entry in partition.log.leader_epochs().entries().to_vec() {
            log.assign_epoch_start_offset(&mut *self.disk, entry.epoch, entry.start_offset)
                .map_err(|error| (to, error))?;
        }
        let Some(manager) = self.replicas.dirs.manager_mut(to) else { return Ok(()) };
        manager
            .promote_log(&mut *self.disk, &mut log, &name.topic, name.partition)
            .map_err(|error| (to, error))?;
        let Some(partition) = self.replicas.get_mut(slot) else { return Ok(()) };
        log.adopt(&partition.log);
        let old = std::mem::replace(&mut partition.log, log);
        let from = std::mem::replace(&mut partition.dir, to);
        self.replicas.checkpoint_due = true;
        self.delete_log(ctx, from, old);
        let directory = self.replicas.dirs.path(to);
        ctx.trace(TraceKind::ReplicaMoveEnded { partition: name, directory, moved: true });
        for dir in [from, to] {
            self.checkpoint_cleaner(dir).map_err(|error| (dir, error))?;
        }
        Ok(())
    }
}

/// Brings a copy into line with a log that was cut at either end since.
fn follow(source: &Log, copy: &mut Log, disk: &mut dyn klamm_log::Disk, now_ms: i64) -> Result<(), LogError> {
    let start = source.log_start_offset();
    if copy.log_end_offset() < start {
        return copy.truncate_fully_and_start_at(disk, start, None, now_ms);
    }
    if let Some(epoch) = copy.latest_epoch() {
        let theirs = source.end_offset_for_epoch(epoch);
        let common = match theirs {
            Some(end) if end.epoch == epoch => end.end_offset,
            Some(end) => {
                copy.end_offset_for_epoch(end.epoch).map_or(start, |own| own.end_offset.min(end.end_offset))
            }
            None => start,
        };
        if common < copy.log_end_offset() {
            copy.truncate_to(disk, common.max(start), now_ms)?;
        }
    }
    if copy.log_end_offset() > source.log_end_offset() {
        copy.truncate_to(disk, source.log_end_offset(), now_ms)?;
    }
    if copy.log_start_offset() < start {
        copy.update_high_watermark(source.high_watermark().min(copy.log_end_offset()));
        // What is beyond the copy's end is for later.
        let moved = copy.maybe_increment_log_start_offset(disk, start.min(copy.high_watermark()));
        if let Err(ReadError::Log(error)) = moved {
            return Err(error);
        }
    }
    Ok(())
}
