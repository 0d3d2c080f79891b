//! Every partition with a replica on this broker, by name and by id; appends and reads across them (`ReplicaManager`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use klamm_log::{AppendAs, AppendError, AppendOrigin, LogAppendInfo, LogConfig, LogLimits};
use klamm_node::{Ctx, TopicIdPartition, TopicPartition, TraceKind};
use klamm_wire::record::inspect::{BatchFacts, InspectedBatch};
use klamm_wire::{ErrorCode, RecordBatch, StrBytes, Uuid};
use rustc_hash::FxHashMap;

use crate::core::{CoordinatorEvent, Core, InternalAppend, leader_env};
use crate::log_dirs::{Dir, Found, LogDirs};
use crate::partition::{Changes, Partition, Slot};

/// The partitions of a broker.
#[derive(Debug, Clone)]
pub(crate) struct ReplicaManager {
    /// The log directories.
    pub(crate) dirs: LogDirs,
    /// Logs found on the disk that no metadata has claimed yet.
    pub(crate) unclaimed: Found,
    /// Future logs found on the disk, of replicas that were being moved.
    pub(crate) unclaimed_futures: Found,
    /// The directories that replicas shall be made in that are not there yet (`LogManager.preferredLogDirs`).
    pub(crate) preferred_dirs: BTreeMap<TopicPartition, Dir>,
    /// Replicas in directories that failed, with their topics' ids where they are known (`HostedPartition.Offline`).
    pub(crate) offline: BTreeMap<TopicPartition, Option<Uuid>>,
    /// Whether a high watermark moved since the last checkpoint.
    pub(crate) checkpoint_due: bool,
    /// Whether followers check the CRC of what their leaders send.
    verify_crcs: bool,
    /// What the logs share in settings, where it is not what they were opened with.
    log_limits: Option<LogLimits>,
    slots: Vec<Option<Partition>>,
    free: Vec<Slot>,
    by_id: FxHashMap<TopicIdPartition, Slot>,
    by_name: FxHashMap<TopicPartition, Slot>,
    configs: BTreeMap<StrBytes, Arc<LogConfig>>,
    changed: VecDeque<Slot>,
}

impl ReplicaManager {
    /// A manager of the logs that were found on the disk.
    pub(crate) fn new(dirs: LogDirs, unclaimed: Found, unclaimed_futures: Found) -> Self {
        Self {
            dirs,
            unclaimed,
            unclaimed_futures,
            preferred_dirs: BTreeMap::new(),
            offline: BTreeMap::new(),
            checkpoint_due: false,
            verify_crcs: false,
            log_limits: None,
            slots: Vec::new(),
            free: Vec::new(),
            by_id: FxHashMap::default(),
            by_name: FxHashMap::default(),
            configs: BTreeMap::new(),
            changed: VecDeque::new(),
        }
    }

    /// The place of a partition by its topic's id.
    pub(crate) fn slot_by_id(&self, topic_id: Uuid, partition: i32) -> Option<Slot> {
        self.by_id.get(&TopicIdPartition { topic_id, partition }).copied()
    }

    /// The place of a partition by its name.
    pub(crate) fn slot_by_name(&self, name: &TopicPartition) -> Option<Slot> {
        self.by_name.get(name).copied()
    }

    /// A partition.
    pub(crate) fn get(&self, slot: Slot) -> Option<&Partition> {
        self.slots.get(slot.0 as usize)?.as_ref()
    }

    /// A partition. Call [`ReplicaManager::note`] after a change.
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Partition> {
        self.slots.get_mut(slot.0 as usize)?.as_mut()
    }

    /// A partition by its name.
    pub(crate) fn by_name(&self, name: &TopicPartition) -> Option<&Partition> {
        self.get(self.slot_by_name(name)?)
    }

    /// Every partition with its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, &Partition)> {
        self.slots.iter().enumerate().filter_map(|(i, p)| p.as_ref().map(|p| (Slot(i as u32), p)))
    }

    /// The log directories, and every partition beside them.
    pub(crate) fn dirs_and_partitions(&mut self) -> (&mut LogDirs, impl Iterator<Item = &mut Partition>) {
        (&mut self.dirs, self.slots.iter_mut().filter_map(Option::as_mut))
    }

    /// The directories that work, the one with the fewest logs first: where a new log goes (`LogManager.nextLogDirs`).
    pub(crate) fn next_dirs(&self) -> Vec<Dir> {
        let mut dirs = self.dirs.online();
        if dirs.len() > 1 {
            let of_partitions = self.iter().map(|(_, partition)| partition.dir);
            let mut counts: BTreeMap<Dir, usize> = BTreeMap::new();
            for dir in of_partitions.chain(self.unclaimed.values().map(|(dir, _)| *dir)) {
                *counts.entry(dir).or_default() += 1;
            }
            dirs.sort_by_key(|dir| counts.get(dir).copied().unwrap_or(0));
        }
        dirs
    }

    /// The places of the replicas that move to another directory.
    pub(crate) fn moving(&self) -> impl Iterator<Item = Slot> {
        self.iter().filter(|(_, partition)| partition.future.is_some()).map(|(slot, _)| slot)
    }

    /// Every place that holds a partition.
    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.iter().map(|(slot, _)| slot).collect()
    }

    /// Has followers check the CRC of what their leaders send, or not.
    pub(crate) fn set_verify_crcs(&mut self, verify: bool) {
        self.verify_crcs = verify;
        for partition in self.slots.iter_mut().flatten() {
            partition.log.set_verify_crcs(verify);
        }
    }

    /// Takes what the logs share in settings, for those that there are and those to come.
    pub(crate) fn set_log_limits(&mut self, limits: LogLimits) {
        self.log_limits = Some(limits);
        for partition in self.slots.iter_mut().flatten() {
            partition.log.set_limits(limits);
        }
    }

    /// Takes a partition in.
    pub(crate) fn insert(&mut self, mut partition: Partition) -> Slot {
        partition.log.set_verify_crcs(self.verify_crcs);
        if let Some(limits) = self.log_limits {
            partition.log.set_limits(limits);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot((self.slots.len() - 1) as u32)
        });
        let id = TopicIdPartition { topic_id: partition.topic_id, partition: partition.name.partition };
        self.by_id.insert(id, slot);
        self.by_name.insert(partition.name.clone(), slot);
        self.slots[slot.0 as usize] = Some(partition);
        slot
    }

    /// Takes a partition out. Its place is free at once: whoever remembers the place must be told before.
    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Partition> {
        let partition = self.slots.get_mut(slot.0 as usize)?.take()?;
        let id = TopicIdPartition { topic_id: partition.topic_id, partition: partition.name.partition };
        self.by_id.remove(&id);
        self.by_name.remove(&partition.name);
        self.free.push(slot);
        Some(partition)
    }

    /// The configuration of a topic's logs, shared by its partitions.
    pub(crate) fn log_config(
        &mut self,
        topic: &StrBytes,
        read: impl FnOnce() -> Arc<LogConfig>,
    ) -> Arc<LogConfig> {
        self.configs.entry(topic.clone()).or_insert_with(read).clone()
    }

    /// Forgets the configuration of a topic's logs, or of all: it is read again when asked for.
    pub(crate) fn forget_config(&mut self, topic: Option<&StrBytes>) {
        match topic {
            Some(topic) => {
                self.configs.remove(topic);
            }
            None => self.configs.clear(),
        }
    }

    /// Queues a partition for those who wait for it, if anything happened to it.
    pub(crate) fn note(&mut self, slot: Slot) {
        if let Some(Some(partition)) = self.slots.get_mut(slot.0 as usize)
            && !partition.changes.is_empty()
            && !partition.queued
        {
            partition.queued = true;
            self.changed.push_back(slot);
        }
    }

    /// The next partition to which something happened, and what.
    pub(crate) fn next_changed(&mut self) -> Option<(Slot, Changes)> {
        while let Some(slot) = self.changed.pop_front() {
            if let Some(Some(partition)) = self.slots.get_mut(slot.0 as usize) {
                partition.queued = false;
                let changes = std::mem::take(&mut partition.changes);
                if !changes.is_empty() {
                    return Some((slot, changes));
                }
            }
        }
        None
    }
}

impl Core {
    /// Where a partition's replica is, or the error that Kafka answers without one (`getPartitionOrException`).
    pub(crate) fn local_partition(&self, name: &TopicPartition) -> Result<Slot, ErrorCode> {
        match self.replicas.slot_by_name(name) {
            Some(slot) => Ok(slot),
            None if self.replicas.offline.contains_key(name) => Err(ErrorCode::KafkaStorageError),
            None if self.metadata.has_partition(name) => Err(ErrorCode::NotLeaderOrFollower),
            None => Err(ErrorCode::UnknownTopicOrPartition),
        }
    }

    /// Appends to a partition that this broker leads.
    pub(crate) fn append(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        batches: &[InspectedBatch],
        how: impl Into<AppendAs>,
        needs_all: bool,
    ) -> Result<LogAppendInfo, AppendError> {
        let env = leader_env!(self, ctx);
        let Some(partition) = self.replicas.get_mut(slot) else {
            return Err(AppendError::new(ErrorCode::NotLeaderOrFollower, "The replica is gone."));
        };
        let dir = partition.dir;
        let result =
            partition.append_as_leader(&mut *self.disk, batches, how.into(), needs_all, &self.sessions, env);
        self.replicas.note(slot);
        if let Err(AppendError { storage: Some(error), .. }) = &result {
            self.on_log_failure(ctx, dir, error);
        }
        result
    }

    /// Appends a coordinator's records to a partition that this broker leads, as acks=all without a wait
    /// (Kafka's `CoordinatorPartitionWriter`). `batch` is one built batch whose base offset is 0; the log stamps offset
    /// and leader epoch. The commit is told later as [`CoordinatorEvent::HighWatermark`].
    ///
    /// `NOT_LEADER_OR_FOLLOWER`, `NOT_ENOUGH_REPLICAS`, `MESSAGE_TOO_LARGE`, `RECORD_LIST_TOO_LARGE`, `KAFKA_STORAGE_ERROR` …
    pub(crate) fn append_internal(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: &TopicPartition,
        batch: RecordBatch,
    ) -> Result<InternalAppend, ErrorCode> {
        self.append_internal_as(ctx, partition, batch, AppendOrigin::Coordinator.into())
    }

    /// As [`Core::append_internal`], of a batch that belongs to a transaction: records with the guard that lets them in, or a marker
    /// with its `transaction.version`.
    pub(crate) fn append_internal_as(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: &TopicPartition,
        batch: RecordBatch,
        how: AppendAs,
    ) -> Result<InternalAppend, ErrorCode> {
        let slot = self.local_partition(partition)?;
        // This broker built the batch: what inspecting it would find is known.
        let facts = BatchFacts {
            max_timestamp: batch.header.max_timestamp,
            min_timestamp: batch.header.base_timestamp,
            max_timestamp_delta: 0,
            first_null_key: -1,
        };
        let batches = [InspectedBatch { batch, facts }];
        let info = self.append(ctx, slot, &batches, how, true).map_err(|error| error.code)?;
        Ok(InternalAppend { base_offset: info.first_offset, next_offset: info.last_offset + 1 })
    }

    /// Wakes everybody who waits for a partition to which something happened.
    pub(crate) fn on_partition_changed(&mut self, ctx: &mut Ctx<'_>, slot: Slot, mut changes: Changes) {
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let high_watermark = partition.log.high_watermark();
        let log_end = partition.log.log_end_offset();
        let leads = partition.is_leader();
        let moves = partition.future.is_some();
        if ctx.tracing() {
            let name = &partition.name;
            if changes.has(Changes::LOG_END) && log_end > partition.seen_log_end {
                let (from, to) = (partition.seen_log_end, log_end);
                ctx.trace(TraceKind::Appended { partition: name.clone(), from, to });
            }
            if high_watermark != partition.seen_high_watermark {
                let (from, to) = (partition.seen_high_watermark, high_watermark);
                ctx.trace(TraceKind::HighWatermarkMoved { partition: name.clone(), from, to });
            }
            let (from, to) = (partition.seen_last_stable_offset, partition.log.last_stable_offset());
            if from != to && (from != partition.seen_high_watermark || to != high_watermark) {
                ctx.trace(TraceKind::LastStableOffsetMoved { partition: name.clone(), from, to });
            }
        }
        partition.seen_last_stable_offset = partition.log.last_stable_offset();
        let high_watermark_moved = high_watermark != partition.seen_high_watermark;
        partition.seen_log_end = log_end;
        partition.seen_high_watermark = high_watermark;
        let internal = partition.is_internal.then(|| partition.name.clone());
        let enough = partition.effective_min_isr() <= partition.maximal_isr_len();

        if high_watermark_moved {
            self.replicas.checkpoint_due = true;
        }
        if moves {
            self.note_move(ctx);
        }
        if !self.pauses.is_empty()
            && leads
            && self.is_held_behind_high_watermark(ctx, slot, high_watermark_moved)
        {
            changes = changes.without(Changes::HIGH_WATERMARK);
        }
        if !self.produce_ops.is_idle() && (changes.has(Changes::HIGH_WATERMARK) || changes.has(Changes::ROLE))
        {
            if leads {
                let error = if enough { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
                self.settle_produces(ctx, slot, high_watermark, error);
            } else {
                self.settle_produces(ctx, slot, i64::MAX, ErrorCode::NotLeaderOrFollower);
            }
        }
        if !self.delete_ops.is_idle() {
            self.settle_delete_records(ctx, slot);
        }
        if self.share_active
            && (changes.has(Changes::HIGH_WATERMARK) || changes.has(Changes::ROLE))
            && let Some(partition) = self.replicas.get(slot)
        {
            self.share_wakes.insert(((partition.topic_id, partition.name.partition), !leads));
        }
        self.wake_fetches(slot, changes);
        if let Some(name) = internal
            && leads
            && high_watermark_moved
        {
            self.coordinator_events.push_back(CoordinatorEvent::HighWatermark {
                topic: name.topic,
                partition: name.partition,
                offset: high_watermark,
            });
        }
    }

    fn settle_produces(&mut self, ctx: &mut Ctx<'_>, slot: Slot, reached: i64, error: ErrorCode) {
        for (key, id) in self.produce_ops.watchers((slot, i64::MIN)..=(slot, reached)) {
            let Some(op) = self.produce_ops.get_mut(id) else { continue };
            if op.settle(slot, reached, error) {
                if let Some(op) = self.produce_ops.take(id) {
                    self.complete_produce(ctx, op);
                }
            } else {
                self.produce_ops.unwatch(id, &key);
            }
        }
    }

    fn settle_delete_records(&mut self, ctx: &mut Ctx<'_>, slot: Slot) {
        let low = match self.replicas.get(slot) {
            Some(partition) => {
                partition.low_watermark(&self.metadata.image().cluster).ok_or(ErrorCode::NotLeaderOrFollower)
            }
            None => Err(ErrorCode::NotLeaderOrFollower),
        };
        for (_, id) in self.delete_ops.watchers(slot..=slot) {
            let Some(op) = self.delete_ops.get_mut(id) else { continue };
            if op.settle(slot, low)
                && let Some(op) = self.delete_ops.take(id)
            {
                op.complete(ctx);
            }
        }
    }

    /// Lets the fetches look again whose partition changed in a way that they can see.
    fn wake_fetches(&mut self, slot: Slot, changes: Changes) {
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let (sessions, checks) = (&mut self.sessions, &mut self.fetch_checks);
        partition.subscribers.retain(|(session_id, index)| {
            let Some(session) = sessions.get_mut(*session_id) else { return false };
            let data = if session.privileged { Changes::LOG_END } else { Changes::HIGH_WATERMARK };
            let visible = changes.has(Changes::HIGH_WATERMARK)
                || changes.has(Changes::LOG_START)
                || changes.has(Changes::ROLE);
            if !session.privileged && !visible {
                return true;
            }
            session.touch(*index);
            if (changes.has(data) || changes.has(Changes::ROLE))
                && let Some(op) = session.parked
            {
                checks.insert(op);
                // Subscribes again if it goes on waiting.
            } else if session.parked.is_some() {
                return true;
            }
            if let Some(cached) = session.get_mut(*index) {
                cached.subscribed = false;
            }
            false
        });
        for (_, id) in self.fetch_ops.watchers(slot..=slot) {
            self.fetch_checks.insert(id);
        }
    }

    /// Takes a partition's replica away from everybody who knows its place, then removes it. Who waits for it is answered
    /// with `error`.
    pub(crate) fn evict_partition(
        &mut self,
        ctx: &mut Ctx<'_>,
        slot: Slot,
        error: ErrorCode,
    ) -> Option<Partition> {
        let partition = self.replicas.get_mut(slot)?;
        partition.leading = None;
        partition.queued = false;
        let subscribers = std::mem::take(&mut partition.subscribers);
        let internal = partition.is_internal.then(|| partition.name.clone());
        self.settle_produces(ctx, slot, i64::MAX, error);
        for (_, id) in self.delete_ops.watchers(slot..=slot) {
            let Some(op) = self.delete_ops.get_mut(id) else { continue };
            if op.settle(slot, Err(error))
                && let Some(op) = self.delete_ops.take(id)
            {
                op.complete(ctx);
            }
        }
        for (session_id, index) in subscribers {
            let Some(session) = self.sessions.get_mut(session_id) else { continue };
            if let Some(cached) = session.get_mut(index) {
                cached.slot = None;
                cached.subscribed = false;
            }
            session.touch(index);
            if let Some(op) = session.parked {
                self.fetch_checks.insert(op);
            }
        }
        for (_, id) in self.fetch_ops.watchers(slot..=slot) {
            self.fetch_checks.insert(id);
            self.fetch_ops.unwatch(id, &slot);
        }
        if let Some(name) = internal {
            self.coordinator_events
                .push_back(CoordinatorEvent::Resigned { topic: name.topic, partition: name.partition });
        }
        self.fetchers.remove(slot);
        let evicted = self.replicas.remove(slot);
        if let Some(partition) = evicted.as_ref().filter(|_| self.share_active) {
            self.share_wakes.insert(((partition.topic_id, partition.name.partition), true));
        }
        evicted
    }
}
