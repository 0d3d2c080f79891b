//! One partition of `__share_group_state`: the share-partitions whose state it keeps, and what waits for its high watermark
//! (`ShareCoordinatorShard`, and the part of `CoordinatorRuntime` around it).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use klamm_node::{Ctx, ShareEvent, Timestamp, TopicPartition};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::ask::{Answer, Ask, GatherId, Gathers};
use super::config::ShareCoordinatorConfig;
use super::records::{Change, Record, decode, encode};
use super::state::{ShareState, StateBatch, UNINITIALIZED_START_OFFSET, combine};
use super::timer::ShareCoordinatorTimer;
use crate::core::{Core, SHARE_GROUP_STATE_TOPIC, Timer};
use crate::group::coordinator_error;
use crate::share::key::SharePartitionKey;

/// What an operation works with.
pub(crate) struct Env<'e, 'c> {
    /// The broker.
    pub(crate) core: &'e mut Core,
    /// The step.
    pub(crate) ctx: &'e mut Ctx<'c>,
    /// The configuration.
    pub(crate) config: &'e ShareCoordinatorConfig,
    /// Responses that are put together from several share-partitions.
    pub(crate) gathers: &'e mut Gathers,
}

/// Where a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardState {
    /// It reads its log; the offset is where to go on.
    Loading(i64),
    /// It serves.
    Active,
}

/// Where an answer goes.
pub(crate) type Slot = (GatherId, usize);

/// An answer that waits for the high watermark.
#[derive(Debug, Clone)]
struct Waiting {
    offset: i64,
    deadline: Timestamp,
    slot: Slot,
    answer: Answer,
}

/// One share-partition's state, and what fences those who would change it.
#[derive(Debug, Clone, Default)]
struct Entry {
    state: ShareState,
    /// The highest leader epoch seen.
    leader_epoch: i32,
    /// The highest state epoch seen in a snapshot.
    state_epoch: Option<i32>,
    /// Updates since they were last counted from the start.
    updates: i32,
    /// Where the last snapshot is.
    snapshot_at: i64,
}

/// One partition of `__share_group_state`.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    partition: i32,
    /// The leader epoch that it was loaded in.
    pub(super) leader_epoch: i32,
    /// Where it stands.
    pub(super) state: ShardState,
    entries: BTreeMap<SharePartitionKey, Entry>,
    written: i64,
    committed: i64,
    waiting: VecDeque<Waiting>,
    /// The offset of the last tombstone: what lies before it is redundant when there is nothing else.
    tombstone_at: Option<i64>,
}

/// Why a share-partition's state cannot be asked for or changed.
type Refusal = (ErrorCode, &'static str);

const NEGATIVE_PARTITION: &str = "The partition id cannot be a negative number.";
const NEGATIVE_LEADER_EPOCH: &str = "The leader epoch cannot be a negative number.";
const NEGATIVE_STATE_EPOCH: &str = "The state epoch cannot be a negative number.";
const READ_UNINITIALIZED: &str = "Read operation on uninitialized share partition not allowed.";
const WRITE_UNINITIALIZED: &str = "Write operation on uninitialized share partition not allowed.";
const WRONG_BATCH: &str = "A state batch ends before it begins.";
const UNKNOWN_PARTITION: Refusal = (ErrorCode::UnknownTopicOrPartition, crate::handlers::UNKNOWN_PARTITION);
const FENCED_LEADER: Refusal =
    (ErrorCode::FencedLeaderEpoch, "The leader epoch in the request is older than the epoch on the broker.");
const FENCED_STATE: Refusal = (
    ErrorCode::FencedStateEpoch,
    "The share coordinator rejected the request because the share-group state epoch did not match.",
);

impl Shard {
    /// Whether it serves and keeps nothing: there is nothing to do for it from time to time.
    pub(super) fn is_empty(&self) -> bool {
        self.state == ShardState::Active
            && self.entries.is_empty()
            && self.waiting.is_empty()
            && self.tombstone_at.is_none()
    }

    /// A shard that has to load its log from `log_start`.
    pub(crate) const fn new(partition: i32, leader_epoch: i32, log_start: i64) -> Self {
        Self {
            partition,
            leader_epoch,
            state: ShardState::Loading(log_start),
            entries: BTreeMap::new(),
            written: log_start,
            committed: log_start,
            waiting: VecDeque::new(),
            tombstone_at: None,
        }
    }

    fn topic_partition(&self) -> TopicPartition {
        TopicPartition::new(StrBytes::from_static_str(SHARE_GROUP_STATE_TOPIC), self.partition)
    }

    /// Answers a question about one share-partition, once what it writes is committed.
    pub(crate) fn ask(&mut self, env: &mut Env<'_, '_>, key: SharePartitionKey, ask: Ask, slot: Slot) {
        let partition = key.partition;
        let outcome = self.check(env.core, &key, &ask).map(|()| self.decide(env, &key, ask));
        match outcome {
            Err((error, message)) => self.after_writes(env, slot, Answer::error(partition, error, message)),
            Ok((None, answer)) => self.after_writes(env, slot, answer),
            Ok((Some(change), answer)) => {
                if let Err(error) = self.append(env, vec![Record { key, change }]) {
                    let message = "The share-group state could not be written.";
                    return env.gathers.answer(
                        env.ctx,
                        slot.0,
                        slot.1,
                        Answer::error(partition, error, message),
                    );
                }
                self.wait(env, slot, answer);
            }
        }
    }

    fn check(&self, core: &Core, key: &SharePartitionKey, ask: &Ask) -> Result<(), Refusal> {
        let invalid = |message| Err((ErrorCode::InvalidRequest, message));
        if key.partition < 0 {
            return invalid(NEGATIVE_PARTITION);
        }
        let entry = self.entries.get(key);
        match ask {
            Ask::Initialize { state_epoch, .. } => {
                if *state_epoch < 0 {
                    return invalid(NEGATIVE_STATE_EPOCH);
                }
                if entry.and_then(|entry| entry.state_epoch).is_some_and(|known| known > *state_epoch) {
                    return Err(FENCED_STATE);
                }
            }
            Ask::Read { leader_epoch } => {
                if *leader_epoch < 0 {
                    return invalid(NEGATIVE_LEADER_EPOCH);
                }
                let Some(entry) = entry else { return invalid(READ_UNINITIALIZED) };
                if entry.leader_epoch > *leader_epoch {
                    return Err(FENCED_LEADER);
                }
            }
            Ask::Write { state_epoch, leader_epoch, batches, .. } => {
                if *leader_epoch < 0 {
                    return invalid(NEGATIVE_LEADER_EPOCH);
                }
                if *state_epoch < 0 {
                    return invalid(NEGATIVE_STATE_EPOCH);
                }
                let Some(entry) = entry else { return invalid(WRITE_UNINITIALIZED) };
                if entry.leader_epoch > *leader_epoch {
                    return Err(FENCED_LEADER);
                }
                if entry.state_epoch.is_some_and(|known| known > *state_epoch) {
                    return Err(FENCED_STATE);
                }
                if batches.iter().any(|batch| batch.first > batch.last || batch.last == i64::MAX) {
                    // Kafka runs into an exception that nobody expects.
                    return Err((ErrorCode::UnknownServerError, WRONG_BATCH));
                }
            }
            Ask::Delete | Ask::Summary => {}
        }
        let topic = core.metadata.image().topics.by_id(key.topic_id);
        if topic.is_none_or(|topic| topic.partitions.len() as i64 <= i64::from(key.partition)) {
            return Err(UNKNOWN_PARTITION);
        }
        Ok(())
    }

    /// What to write for a question that is in order, and what to answer.
    fn decide(&self, env: &Env<'_, '_>, key: &SharePartitionKey, ask: Ask) -> (Option<Change>, Answer) {
        let entry = self.entries.get(key);
        let ok = Answer::ok(key.partition);
        match (ask, entry) {
            (Ask::Initialize { state_epoch, start_offset }, _) => {
                let now = env.ctx.wall.millis();
                let state = ShareState {
                    snapshot_epoch: entry.map_or(0, |entry| entry.state.snapshot_epoch.wrapping_add(1)),
                    state_epoch,
                    leader_epoch: 0,
                    start_offset,
                    delivery_complete_count: if start_offset == UNINITIALIZED_START_OFFSET { -1 } else { 0 },
                    create_timestamp: now,
                    write_timestamp: now,
                    batches: Vec::new(),
                };
                (Some(Change::Snapshot(state)), ok)
            }
            (Ask::Read { leader_epoch }, Some(entry)) => {
                let state = &entry.state;
                let answer = Answer {
                    state_epoch: state.state_epoch,
                    start_offset: state.start_offset,
                    batches: state.batches.clone(),
                    ..ok
                };
                let change = (entry.leader_epoch != leader_epoch).then(|| {
                    let complete = state.delivery_complete_count;
                    entry.next(env, leader_epoch, state.start_offset, complete, &[])
                });
                (change, answer)
            }
            (Ask::Write { start_offset, batches, .. }, Some(entry)) => {
                // Requests of this version do not tell how many records are done with.
                let leader_epoch = entry.state.leader_epoch;
                (Some(entry.next(env, leader_epoch, start_offset, -1, &batches)), ok)
            }
            (Ask::Delete, Some(_)) => (Some(Change::Tombstone), ok),
            (Ask::Summary, Some(entry)) => {
                let state = &entry.state;
                let answer = Answer {
                    state_epoch: state.state_epoch,
                    leader_epoch: state.leader_epoch,
                    start_offset: state.start_offset,
                    ..ok
                };
                (None, answer)
            }
            (Ask::Summary, None) => (None, Answer { start_offset: UNINITIALIZED_START_OFFSET, ..ok }),
            (Ask::Read { .. } | Ask::Write { .. } | Ask::Delete, None) => (None, ok),
        }
    }

    /// Appends records as one batch, and applies them.
    fn append(&mut self, env: &mut Env<'_, '_>, records: Vec<Record>) -> Result<(), ErrorCode> {
        let appended = encode(&records, env.ctx.wall.millis(), env.config.compression)
            .and_then(|batch| env.core.append_internal(env.ctx, &self.topic_partition(), batch))
            .map_err(coordinator_error)?;
        for (offset, record) in (appended.base_offset..).zip(records) {
            self.replay(env.config, offset, record);
        }
        self.written = appended.next_offset;
        Ok(())
    }

    fn replay(&mut self, config: &ShareCoordinatorConfig, offset: i64, Record { key, change }: Record) {
        match change {
            Change::Snapshot(state) => {
                let entry = self.entries.entry(key).or_default();
                entry.leader_epoch = entry.leader_epoch.max(state.leader_epoch);
                entry.state_epoch = entry.state_epoch.max(Some(state.state_epoch));
                entry.state = state;
                entry.snapshot_at = offset;
                if entry.updates >= config.updates_per_snapshot {
                    entry.updates = 0;
                }
            }
            Change::Update(update) => {
                let entry = self.entries.entry(key).or_insert_with(|| Entry {
                    state: ShareState { batches: Vec::new(), ..update.clone() },
                    snapshot_at: offset,
                    ..Entry::default()
                });
                entry.leader_epoch = entry.leader_epoch.max(update.leader_epoch);
                entry.updates = entry.updates.saturating_add(1);
                let state = &mut entry.state;
                if update.start_offset != UNINITIALIZED_START_OFFSET {
                    state.start_offset = update.start_offset;
                }
                if update.leader_epoch != -1 {
                    state.leader_epoch = update.leader_epoch;
                }
                state.delivery_complete_count = update.delivery_complete_count;
                state.batches = combine(&state.batches, &update.batches, state.start_offset);
            }
            Change::Tombstone => {
                self.entries.remove(&key);
                self.tombstone_at = Some(offset);
            }
        }
    }

    /// Answers once everything written so far is committed.
    fn after_writes(&mut self, env: &mut Env<'_, '_>, slot: Slot, answer: Answer) {
        if self.committed >= self.written {
            env.gathers.answer(env.ctx, slot.0, slot.1, answer);
        } else {
            self.wait(env, slot, answer);
        }
    }

    fn wait(&mut self, env: &mut Env<'_, '_>, slot: Slot, answer: Answer) {
        let deadline = env.ctx.now + Duration::from_millis(env.config.write_timeout_ms);
        self.waiting.push_back(Waiting { offset: self.written, deadline, slot, answer });
        self.watch_front(env);
        if let Some(high_watermark) = env.core.high_watermark(&self.topic_partition()) {
            self.on_high_watermark(env, high_watermark);
        }
    }

    /// The high watermark is at `offset`: what waited for it is answered.
    pub(crate) fn on_high_watermark(&mut self, env: &mut Env<'_, '_>, offset: i64) {
        self.committed = self.committed.max(offset);
        if self.waiting.is_empty() {
            return;
        }
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.offset <= self.committed) {
            env.gathers.answer(env.ctx, waiting.slot.0, waiting.slot.1, waiting.answer);
        }
        self.watch_front(env);
    }

    /// Gives up what was not committed in time. It may still be, later: the state stays as it is.
    pub(crate) fn on_write_timeout(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.now;
        while let Some(waiting) = self.waiting.pop_front_if(|waiting| waiting.deadline <= now) {
            fail(env, waiting, coordinator_error(ErrorCode::RequestTimedOut));
        }
        self.watch_front(env);
    }

    fn watch_front(&self, env: &mut Env<'_, '_>) {
        let timer = Timer::ShareCoordinator(ShareCoordinatorTimer::WriteTimeout(self.partition));
        match self.waiting.front() {
            Some(front) => env.core.set_timer(timer, front.deadline),
            None => drop(env.core.cancel_timer(&timer)),
        }
    }

    /// Loads the next piece of the log. True once everything is loaded and the shard serves.
    pub(crate) fn load(&mut self, env: &mut Env<'_, '_>) -> Result<bool, ErrorCode> {
        let ShardState::Loading(offset) = self.state else { return Ok(true) };
        let name = self.topic_partition();
        let piece = env.core.read_log(env.ctx, &name, offset, env.config.load_buffer_size)?;
        if !piece.batches.is_empty() && piece.next_offset > offset {
            for batch in &piece.batches {
                for (offset, record) in decode(batch) {
                    self.replay(env.config, offset, record);
                }
            }
            self.state = ShardState::Loading(piece.next_offset);
            return Ok(false);
        }
        self.state = ShardState::Active;
        self.written = offset;
        self.committed = env.core.high_watermark(&name).unwrap_or(0).min(offset);
        if env.ctx.tracing() && !self.entries.is_empty() {
            let (epoch, count) = (self.leader_epoch, self.entries.len());
            env.ctx.trace(ShareEvent::ShareStateLoaded { partition: name, epoch, share_partitions: count });
        }
        Ok(true)
    }

    /// The partition is led elsewhere: whoever waits is sent there.
    pub(crate) fn unload(mut self, env: &mut Env<'_, '_>) {
        env.core.cancel_timer(&Timer::ShareCoordinator(ShareCoordinatorTimer::Load(self.partition)));
        for waiting in std::mem::take(&mut self.waiting) {
            fail(env, waiting, ErrorCode::NotCoordinator);
        }
        self.watch_front(env);
    }

    /// Forgets what it kept of topics that are gone (`maybeCleanupShareState`).
    pub(crate) fn topics_deleted(&mut self, env: &mut Env<'_, '_>, deleted: &[Uuid]) {
        let gone = self.entries.keys().filter(|key| deleted.contains(&key.topic_id));
        let records: Vec<_> =
            gone.map(|key| Record { key: key.clone(), change: Change::Tombstone }).collect();
        self.append_all(env, records);
    }

    /// Writes a new snapshot of what nobody changed for a while, so that older records can go (`snapshotColdPartitions`).
    pub(crate) fn snapshot_cold(&mut self, env: &mut Env<'_, '_>) {
        let now = env.ctx.wall.millis();
        let is_hot = |entry: &Entry| entry.state.create_timestamp == entry.state.write_timestamp;
        if !self.entries.values().any(is_hot) {
            return;
        }
        let old = |entry: &Entry| now - entry.state.write_timestamp >= env.config.cold_snapshot_interval_ms;
        let cold = self.entries.iter().filter(|(_, entry)| old(entry));
        let records: Vec<_> = cold
            .map(|(key, entry)| {
                let snapshot_epoch = entry.state.snapshot_epoch.wrapping_add(1);
                let state = ShareState { snapshot_epoch, write_timestamp: now, ..entry.state.clone() };
                Record { key: key.clone(), change: Change::Snapshot(state) }
            })
            .collect();
        self.append_all(env, records);
    }

    /// Nobody waits for these: what cannot be written now is left for the next time.
    fn append_all(&mut self, env: &mut Env<'_, '_>, records: Vec<Record>) {
        for chunk in records.chunks(1000) {
            if self.append(env, chunk.to_vec()).is_err() {
                return;
            }
        }
    }

    /// The offset below which every record is redundant (`ShareCoordinatorOffsetsManager`).
    pub(crate) fn redundant_below(&self) -> Option<i64> {
        let oldest = self.entries.values().map(|entry| entry.snapshot_at).min();
        oldest.or(self.tombstone_at).filter(|offset| *offset > 0)
    }
}

impl Entry {
    /// The record of a change: an update, or a snapshot when there were enough updates.
    fn next(
        &self,
        env: &Env<'_, '_>,
        leader_epoch: i32,
        start_offset: i64,
        complete: i32,
        batches: &[StateBatch],
    ) -> Change {
        let current = &self.state;
        let start = start_offset.max(current.start_offset);
        let delivery_complete_count = match start_offset.cmp(&current.start_offset) {
            std::cmp::Ordering::Less => current.delivery_complete_count,
            std::cmp::Ordering::Equal => complete.max(current.delivery_complete_count),
            std::cmp::Ordering::Greater => complete,
        };
        if self.updates < env.config.updates_per_snapshot {
            return Change::Update(ShareState {
                snapshot_epoch: current.snapshot_epoch,
                leader_epoch,
                start_offset: start,
                delivery_complete_count,
                batches: combine(&[], batches, start),
                ..ShareState::default()
            });
        }
        let now = env.ctx.wall.millis();
        Change::Snapshot(ShareState {
            snapshot_epoch: current.snapshot_epoch.wrapping_add(1),
            state_epoch: current.state_epoch,
            leader_epoch,
            start_offset: start,
            delivery_complete_count,
            create_timestamp: now,
            write_timestamp: now,
            batches: combine(&current.batches, batches, start),
        })
    }
}

fn fail(env: &mut Env<'_, '_>, waiting: Waiting, error: ErrorCode) {
    let answer = Answer::error(waiting.answer.partition, error, "The share-group state was not committed.");
    env.gathers.answer(env.ctx, waiting.slot.0, waiting.slot.1, answer);
}
