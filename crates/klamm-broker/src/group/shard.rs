//! One partition of `__consumer_offsets`: its groups, their offsets, and what waits for its high watermark
//! (Kafka's `GroupCoordinatorShard` and the part of `CoordinatorRuntime` around it).
//!
//! A write is applied to memory once it is in the local log; what depends on its being committed waits as a [`Done`] in
//! a queue ordered by offset. An operation that writes nothing but answers from state that is not committed yet waits in the
//! same queue.

use std::collections::VecDeque;
use std::time::Duration;

use klamm_node::config::Key;
use klamm_node::config::group_resource::{
    CONSUMER_ASSIGNMENT_INTERVAL_MS, CONSUMER_HEARTBEAT_INTERVAL_MS, CONSUMER_SESSION_TIMEOUT_MS,
};
use klamm_node::{Ctx, GroupEvent, Timestamp, TopicPartition};
use klamm_wire::{ErrorCode, StrBytes};

use super::GroupTimer;
use super::classic::ClassicGroup;
use super::config::{GroupConfig, LOAD_BUFFER_SIZE};
use super::done::Done;
use super::gather::Gathers;
use super::groups::{Group, Groups};
use super::host::Host;
use super::offsets::Offsets;
use super::pending::PendingOffsets;
use super::records::{Record, encode};
use super::state::ClassicState;

/// What an operation works with.
pub(crate) struct Env<'e, 'c> {
    /// The broker.
    pub(crate) host: &'e mut dyn Host,
    /// The step.
    pub(crate) ctx: &'e mut Ctx<'c>,
    /// The configuration.
    pub(crate) config: &'e GroupConfig,
    /// Answers that are put together from several groups.
    pub(crate) gathers: &'e mut Gathers,
}

impl Env<'_, '_> {
    /// The wall clock in milliseconds.
    pub(crate) const fn wall_ms(&self) -> i64 {
        self.ctx.wall.millis()
    }

    /// Sets a deadline unless it is set already.
    pub(crate) fn set_timer_if_absent(&mut self, timer: GroupTimer, after_ms: i32) {
        if !self.host.has_timer(&timer) {
            self.set_timer(timer, after_ms);
        }
    }

    /// How long a member of a consumer group may be silent, in milliseconds.
    pub(crate) fn consumer_session_timeout_ms(&self, group: &StrBytes) -> i32 {
        self.of_group(group, CONSUMER_SESSION_TIMEOUT_MS, self.config.consumer.session_timeout_ms)
    }

    /// How often a member of a consumer group sends heartbeats, in milliseconds.
    pub(crate) fn consumer_heartbeat_interval_ms(&self, group: &StrBytes) -> i32 {
        self.of_group(group, CONSUMER_HEARTBEAT_INTERVAL_MS, self.config.consumer.heartbeat_interval_ms)
    }

    /// How far apart a consumer group's targets are at least, in milliseconds.
    pub(crate) fn consumer_assignment_interval_ms(&self, group: &StrBytes) -> i32 {
        self.of_group(group, CONSUMER_ASSIGNMENT_INTERVAL_MS, self.config.consumer.assignment_interval_ms)
    }

    /// A number that is set on a group, or else for all of them.
    pub(crate) fn of_group(&self, group: &StrBytes, key: Key<i32>, default: i32) -> i32 {
        let own = self.host.group_override(group, key.name());
        own.and_then(|value| value.trim().parse().ok()).unwrap_or(default)
    }

    /// Sets a deadline some milliseconds from now; a negative wait is over already.
    pub(crate) fn set_timer(&mut self, timer: GroupTimer, after_ms: i32) {
        let at = self.ctx.now + Duration::from_millis(u64::try_from(after_ms).unwrap_or(0));
        self.host.set_timer(timer, at);
    }
}

/// What became of the records that an operation had, if it had any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Wrote {
    /// There was nothing to write.
    Nothing,
    /// They are in the log.
    Appended,
    /// They are not, and what depended on them has been told.
    Failed(ErrorCode),
}

/// Why a write did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What clients are told.
    pub(crate) error: ErrorCode,
    /// Whether the records are in the log all the same: then they may still be committed, and the state must agree with them.
    pub(crate) in_log: bool,
}

/// Something that waits for the high watermark.
#[derive(Debug, Clone)]
struct Waiting {
    /// The high watermark it waits for.
    offset: i64,
    /// When it is given up.
    deadline: Timestamp,
    /// What it is.
    done: Done,
}

/// Where a shard stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShardState {
    /// It reads its log; the offset is where to go on.
    Loading(i64),
    /// It serves.
    Active,
}

/// One partition's groups.
#[derive(Debug, Clone)]
pub(crate) struct Shard {
    pub(super) partition: i32,
    pub(super) leader_epoch: i32,
    pub(super) state: ShardState,
    pub(super) groups: Groups,
    pub(super) offsets: Offsets,
    /// What open transactions committed.
    pub(super) pending: PendingOffsets,
    /// The log end after the last append of this shard.
    written: i64,
    /// The high watermark.
    committed: i64,
    waiting: VecDeque<Waiting>,
}

impl Shard {
    /// A shard that has to load its log from `log_start`.
    pub(crate) fn new(config: &GroupConfig, partition: i32, leader_epoch: i32, log_start: i64) -> Self {
        Self {
            partition,
            leader_epoch,
            state: ShardState::Loading(log_start),
            groups: Groups::new(config.first_group_epoch()),
            offsets: Offsets::default(),
            pending: PendingOffsets::default(),
            written: log_start,
            committed: log_start,
            waiting: VecDeque::new(),
        }
    }

    /// How many operations wait for the high watermark.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Appends records as one batch and applies them, then does `done` once they are committed (at once if they could not
    /// even be appended). With `replay` false the caller has changed the state itself.
    pub(crate) fn write(
        &mut self,
        env: &mut Env<'_, '_>,
        records: Vec<Record>,
        replay: bool,
        done: Done,
    ) -> Wrote {
        let appended = encode(&records, env.wall_ms(), env.config.compression)
            .and_then(|batch| env.host.append(env.ctx, self.partition, batch));
        match appended {
            Ok(append) => {
                if replay {
                    for (offset, record) in (append.base_offset..).zip(records) {
                        self.replay(offset, record);
                    }
                }
                self.appended_up_to(env, append.next_offset, done);
                Wrote::Appended
            }
            Err(error) => {
                let error = coordinator_error(error);
                self.finish(env, done, Err(Failure { error, in_log: false }));
                Wrote::Failed(error)
            }
        }
    }

    /// Notes an append up to `next_offset`, and does `done` once it is committed.
    pub(crate) fn appended_up_to(&mut self, env: &mut Env<'_, '_>, next_offset: i64, done: Done) {
        self.written = next_offset;
        self.wait(env, next_offset, done);
    }

    /// Does `done` once everything written so far is committed.
    pub(crate) fn after_writes(&mut self, env: &mut Env<'_, '_>, done: Done) {
        if self.committed >= self.written {
            self.finish(env, done, Ok(()));
        } else {
            self.wait(env, self.written, done);
        }
    }

    fn wait(&mut self, env: &mut Env<'_, '_>, offset: i64, done: Done) {
        let deadline = env.ctx.now + Duration::from_millis(env.config.commit_timeout_ms);
        if self.waiting.is_empty() {
            env.host.set_timer(GroupTimer::WriteTimeout { partition: self.partition }, deadline);
        }
        self.waiting.push_back(Waiting { offset, deadline, done });
        if let Some(high_watermark) = env.host.high_watermark(self.partition) {
            self.on_high_watermark(env, high_watermark);
        }
    }

    /// The high watermark is at `offset`: what waited for it is done.
    pub(crate) fn on_high_watermark(&mut self, env: &mut Env<'_, '_>, offset: i64) {
        if offset <= self.committed {
            return;
        }
        self.committed = offset;
        self.offsets.commit(offset);
        if self.waiting.is_empty() {
            return;
        }
        while self.waiting.front().is_some_and(|w| w.offset <= self.committed) {
            if let Some(waiting) = self.waiting.pop_front() {
                self.finish(env, waiting.done, Ok(()));
            }
        }
        self.watch_front(env);
    }

    /// Gives up what was not committed in time. Its records may still be, later: the state stays as it is.
    pub(crate) fn on_write_timeout(&mut self, env: &mut Env<'_, '_>) {
        while self.waiting.front().is_some_and(|w| w.deadline <= env.ctx.now) {
            if let Some(waiting) = self.waiting.pop_front() {
                let error = coordinator_error(ErrorCode::RequestTimedOut);
                self.finish(env, waiting.done, Err(Failure { error, in_log: true }));
            }
        }
        self.watch_front(env);
    }

    fn watch_front(&self, env: &mut Env<'_, '_>) {
        let timer = GroupTimer::WriteTimeout { partition: self.partition };
        match self.waiting.front() {
            Some(front) => env.host.set_timer(timer, front.deadline),
            None => env.host.cancel_timer(timer),
        }
    }

    /// A group that is not known has committed an offset: its members manage their partitions themselves.
    pub(crate) fn know_group(&mut self, group: &StrBytes, at_ms: i64) {
        if !self.groups.contains(group) {
            self.groups.insert(Group::Classic(Box::new(ClassicGroup::new(group.clone(), at_ms))));
        }
    }

    /// Applies a record of the log.
    pub(crate) fn replay(&mut self, offset: i64, record: Record) {
        match record {
            Record::Offset { group, topic, partition, value } => {
                match &value {
                    Some(value) => self.know_group(&group, value.commit_timestamp),
                    None => self.pending.forget(&group, &topic, partition),
                }
                self.offsets.apply(offset, &group, &topic, partition, value);
            }
            Record::Group { group, value: Some(value) } => {
                self.groups.insert(Group::Classic(Box::new(value.into_group(group))));
            }
            Record::Group { group, value: None } => {
                if self.groups.classic(&group).is_some() {
                    self.groups.remove(&group);
                }
            }
            Record::Consumer { group, record } => self.groups.replay_consumer(&group, record),
            Record::Share { group, record } => self.groups.replay_share(&group, record),
        }
    }

    /// Loads the next piece of the log. True once everything is loaded and the shard serves.
    pub(crate) fn load(&mut self, env: &mut Env<'_, '_>) -> Result<bool, ErrorCode> {
        let ShardState::Loading(offset) = self.state else { return Ok(true) };
        let piece = env.host.read(env.ctx, self.partition, offset, LOAD_BUFFER_SIZE)?;
        let high_watermark = env.host.high_watermark(self.partition).unwrap_or(0);
        if !piece.batches.is_empty() && piece.next_offset > offset {
            for batch in &piece.batches {
                if batch.header.is_control() {
                    self.replay_control(batch);
                }
                for (offset, record) in super::records::decode(batch) {
                    self.replay_of(batch.header.producer_id, offset, record);
                }
            }
            self.offsets.commit(high_watermark);
            self.state = ShardState::Loading(piece.next_offset);
            return Ok(false);
        }
        self.state = ShardState::Active;
        self.written = offset;
        self.committed = high_watermark.min(offset);
        self.offsets.commit(self.committed);
        self.on_loaded(env);
        Ok(true)
    }

    fn on_loaded(&mut self, env: &mut Env<'_, '_>) {
        if env.ctx.tracing() && !(self.groups.is_empty() && self.offsets.len() == 0) {
            env.ctx.trace(GroupEvent::GroupsLoaded {
                partition: TopicPartition::new("__consumer_offsets", self.partition),
                epoch: self.leader_epoch,
                groups: self.groups.iter().len(),
                offsets: self.offsets.len(),
            });
        }
        self.schedule_expiry(env);
        let ids: Vec<StrBytes> = self.groups.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.schedule_consumer_sessions(env, &id, true);
            self.schedule_share_sessions(env, &id);
            let Some(group) = self.groups.classic(&id) else { continue };
            for member in group.members() {
                let timer = GroupTimer::Session {
                    partition: self.partition,
                    group: id.clone(),
                    member: member.id.clone(),
                };
                env.set_timer(timer, member.session_timeout_ms);
            }
            if group.members().len() > env.config.max_size {
                let _ = self.prepare_rebalance(env, &id, "over capacity when loaded");
            }
        }
    }

    /// The partition is led elsewhere: whoever waits is sent there.
    pub(crate) fn unload(mut self, env: &mut Env<'_, '_>) {
        let partition = self.partition;
        for timer in [
            GroupTimer::Load { partition },
            GroupTimer::WriteTimeout { partition },
            GroupTimer::ExpireOffsets { partition },
        ] {
            env.host.cancel_timer(timer);
        }
        for (id, group) in self.groups.take() {
            let mut group = match group {
                Group::Classic(group) => group,
                Group::Consumer(group) => {
                    for member in group.members() {
                        self.cancel_member_timers(env, &id, &member.id);
                    }
                    continue;
                }
                Group::Share(group) => {
                    for member in group.members() {
                        self.cancel_session(env, &id, &member.id);
                    }
                    continue;
                }
            };
            env.host.cancel_timer(GroupTimer::Join { partition, group: id.clone() });
            env.host.cancel_timer(GroupTimer::Sync { partition, group: id.clone() });
            let sessions: Vec<StrBytes> =
                group.members().map(|m| m.id.clone()).chain(group.pending_members().cloned()).collect();
            for member in sessions {
                env.host.cancel_timer(GroupTimer::Session { partition, group: id.clone(), member });
            }
            self.set_state(env, &mut group, ClassicState::Dead, "coordinator moved");
            for member in group.members_mut() {
                let member_id = member.id.clone();
                if let Some(parked) = member.joining.take() {
                    super::reply::join_error(env.ctx, parked, member_id, ErrorCode::NotCoordinator);
                }
                if let Some(parked) = member.syncing.take() {
                    super::reply::sync_error(env.ctx, parked, ErrorCode::NotCoordinator);
                }
            }
        }
        // The groups are gone, so nothing that was waiting can start another rebalance.
        for waiting in std::mem::take(&mut self.waiting) {
            let failure = Failure { error: ErrorCode::NotCoordinator, in_log: true };
            self.finish(env, waiting.done, Err(failure));
        }
    }

    /// Changes a group's state and says so.
    pub(crate) fn set_state(
        &self,
        env: &mut Env<'_, '_>,
        group: &mut ClassicGroup,
        next: ClassicState,
        cause: &'static str,
    ) {
        let from = group.state();
        group.become_state(next, env.wall_ms());
        trace_state(env.ctx, group, from, cause);
    }

    /// Starts (again) the time that a member, or an id that has not joined yet, may be silent.
    pub(crate) fn restart_session(
        &self,
        env: &mut Env<'_, '_>,
        group: &StrBytes,
        member: &StrBytes,
        timeout_ms: i32,
    ) {
        // The timer keeps the group's own names, not those of a request.
        let Some(group) = self.groups.classic(group) else { return };
        let Some(member) = group.known_id(member) else { return };
        let timer = GroupTimer::Session {
            partition: self.partition,
            group: group.id().clone(),
            member: member.clone(),
        };
        env.set_timer(timer, timeout_ms);
    }

    /// Ends the time that a member may be silent.
    pub(crate) fn cancel_session(&self, env: &mut Env<'_, '_>, group: &StrBytes, member: &StrBytes) {
        env.host.cancel_timer(GroupTimer::Session {
            partition: self.partition,
            group: group.clone(),
            member: member.clone(),
        });
    }

    /// The deadline of a group's join phase.
    pub(crate) fn join_timer(&self, group: &StrBytes) -> GroupTimer {
        GroupTimer::Join { partition: self.partition, group: group.clone() }
    }

    /// The deadline of a group's sync phase.
    pub(crate) fn sync_timer(&self, group: &StrBytes) -> GroupTimer {
        GroupTimer::Sync { partition: self.partition, group: group.clone() }
    }
}

/// Says that a group changed state.
pub(crate) fn trace_state(ctx: &mut Ctx<'_>, group: &ClassicGroup, from: ClassicState, cause: &'static str) {
    if ctx.tracing() {
        ctx.trace(GroupEvent::GroupState {
            group: group.id().clone(),
            from: from.name(),
            to: group.state().name(),
            generation: group.generation(),
            cause,
        });
    }
}

/// Says that a member was removed.
pub(crate) fn trace_removed(ctx: &mut Ctx<'_>, group: &StrBytes, member: &StrBytes, cause: &'static str) {
    if ctx.tracing() {
        ctx.trace(GroupEvent::MemberRemoved { group: group.clone(), member: member.clone(), cause });
    }
}

/// The error that a client of the coordinator is told, for an error of the log beneath it
/// (Kafka's `CoordinatorOperationExceptionHelper`).
pub(crate) const fn coordinator_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NetworkException => ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}
