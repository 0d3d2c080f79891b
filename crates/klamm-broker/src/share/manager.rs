//! The share-partitions that this broker leads, the sessions of those who read them, and what waits for them (`SharePartitionManager`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_log::special_timestamp;
use klamm_node::{ConnectionId, Ctx, ShareEvent, TopicPartition};
use klamm_wire::{ErrorCode, StrBytes};

use super::acquire::Span;
use super::config::{OffsetReset, ShareConfig};
use super::fetch::{Wait, Watch};
use super::key::SharePartitionKey;
use super::partition::SharePartition;
use super::pending::{Pending, PendingId};
use super::session::{SessionKey, ShareSessions, TopicPartitionId};
use super::timer::ShareTimer;
use crate::core::{Core, Timer};
use crate::purgatory::{OpId, Purgatory};
use crate::share_coordinator::ask::{Answer, Ask};
use crate::share_coordinator::state::{StateBatch, UNINITIALIZED_START_OFFSET};

/// What an answer of the share coordinator is for.
#[derive(Debug, Clone)]
pub(crate) enum Done {
    /// A share-partition's state.
    Load(SharePartitionKey, u64),
    /// What a member said of records, or gave back; the place of the answer in a response, if there is one.
    Changes(SharePartitionKey, u64, Vec<StateBatch>, Option<(PendingId, usize)>),
    /// Records that members lost.
    Expiry(SharePartitionKey, u64),
    /// One of several questions on behalf of a group.
    Group(u64),
}

/// A share-partition, under a name that is never used again.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) instance: u64,
    pub(super) partition: SharePartition,
    /// The fetch that had it loaded: it is told when that fails.
    pub(super) loading_for: Option<OpId>,
}

/// The share-partitions that this broker leads.
#[derive(Debug, Clone)]
pub(crate) struct SharePartitionManager {
    pub(super) config: ShareConfig,
    pub(super) sessions: ShareSessions,
    pub(super) partitions: BTreeMap<SharePartitionKey, Held>,
    pub(super) waiting: Purgatory<Watch, Wait>,
    pub(super) parked: BTreeMap<ConnectionId, OpId>,
    pub(super) pending: BTreeMap<PendingId, Pending>,
    pub(super) next_id: u64,
    /// Fetches to look at again before the step ends.
    pub(super) checks: BTreeSet<OpId>,
}

impl SharePartitionManager {
    /// A manager of nothing.
    pub(crate) fn new(core: &Core) -> Self {
        Self {
            config: ShareConfig::new(&core.config),
            sessions: ShareSessions::default(),
            partitions: BTreeMap::new(),
            waiting: Purgatory::default(),
            parked: BTreeMap::new(),
            pending: BTreeMap::new(),
            next_id: 0,
            checks: BTreeSet::new(),
        }
    }

    /// Begins a member's session with these partitions; what it reads.
    ///
    /// # Errors
    /// `SHARE_SESSION_LIMIT_REACHED`
    pub(crate) fn begin_session(
        &mut self,
        key: &SessionKey,
        partitions: &[TopicPartitionId],
        connection: Option<ConnectionId>,
    ) -> Result<Vec<TopicPartitionId>, ErrorCode> {
        self.sessions.create(key.clone(), partitions, connection, self.config.max_sessions)?;
        Ok(self.sessions.get_mut(key).map(|session| session.partitions()).unwrap_or_default())
    }

    /// Goes on with a member's session; what it reads.
    ///
    /// # Errors
    /// `SHARE_SESSION_NOT_FOUND`, `INVALID_SHARE_SESSION_EPOCH`
    pub(crate) fn go_on(
        &mut self,
        key: &SessionKey,
        epoch: i32,
        added: &[TopicPartitionId],
        forgotten: &BTreeSet<TopicPartitionId>,
    ) -> Result<Vec<TopicPartitionId>, ErrorCode> {
        let session = self.sessions.go_on(key, epoch)?;
        session.update(added, forgotten);
        Ok(session.partitions())
    }

    /// Whether a member has a session.
    pub(crate) fn has_session(&self, key: &SessionKey) -> bool {
        self.sessions.contains(key)
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.pending.len()
    }

    /// How many sessions are open.
    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// One thing that is left to do before the step ends; false when there is nothing.
    pub(crate) fn settle_one(&mut self, core: &mut Core, ctx: &mut Ctx<'_>) -> bool {
        if let Some((done, answer)) = core.persister.answered.pop_front() {
            self.on_answer(core, ctx, done, answer);
            return true;
        }
        if let Some((partition, lost)) = core.share_wakes.pop_first() {
            self.on_log_changed(core, ctx, partition, lost);
            return true;
        }
        if let Some(id) = self.checks.pop_first() {
            self.check(core, ctx, id, false);
            return true;
        }
        core.ask_with_share_topic(ctx)
    }

    /// A deadline has come.
    pub(crate) fn on_timer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, timer: ShareTimer) {
        match timer {
            ShareTimer::Retry(id) => core.retry_share_ask(ctx, id),
            ShareTimer::Locks(key) => self.expire_locks(core, ctx, &key),
        }
    }

    /// Takes records from members whose time is over.
    fn expire_locks(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, key: &SharePartitionKey) {
        let limits = self.config.limits(core, &key.group);
        let Some(held) = self.partitions.get_mut(key) else { return };
        let changes = held.partition.expire(limits, ctx.now);
        let instance = held.instance;
        self.watch_locks(core, key);
        if changes.is_empty() {
            return;
        }
        trace_changes(core, ctx, key, &changes, "acquisition lock timed out");
        self.persist(core, ctx, key, changes, |_| Done::Expiry(key.clone(), instance));
        self.wake(key);
    }

    /// Has the share coordinator keep changes of a share-partition.
    pub(super) fn persist(
        &self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        key: &SharePartitionKey,
        changes: Vec<StateBatch>,
        done: impl FnOnce(Vec<StateBatch>) -> Done,
    ) {
        let Some(Held { partition, .. }) = self.partitions.get(key) else { return };
        let ask = Ask::Write {
            state_epoch: partition.state_epoch,
            leader_epoch: partition.leader_epoch,
            start_offset: partition.start_offset,
            batches: changes.clone(),
        };
        core.ask_share_coordinator(ctx, key.clone(), ask, done(changes));
    }

    /// Sets the deadline of the next member that loses records.
    pub(super) fn watch_locks(&self, core: &mut Core, key: &SharePartitionKey) {
        let timer = Timer::Share(ShareTimer::Locks(key.clone()));
        match self.partitions.get(key).and_then(|held| held.partition.first_lock()) {
            Some(at) => core.set_timer(timer, at),
            None => drop(core.cancel_timer(&timer)),
        }
    }

    /// A share-partition may have something to give.
    pub(super) fn wake(&mut self, key: &SharePartitionKey) {
        let watch = Watch::Group(key.clone());
        self.checks.extend(self.waiting.watchers(watch.clone()..=watch).into_iter().map(|(_, id)| id));
    }

    fn on_log_changed(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        (topic, partition): TopicPartitionId,
        lost: bool,
    ) {
        if lost {
            let keys =
                self.partitions.keys().filter(|key| key.topic_id == topic && key.partition == partition);
            for key in keys.cloned().collect::<Vec<_>>() {
                self.drop_partition(core, ctx, &key, "not the partition's leader any more");
            }
        }
        let watch = Watch::Log(topic, partition);
        self.checks.extend(self.waiting.watchers(watch.clone()..=watch).into_iter().map(|(_, id)| id));
    }

    /// Forgets a share-partition: whoever reads it next has its state read again.
    pub(super) fn drop_partition(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        key: &SharePartitionKey,
        cause: &'static str,
    ) {
        if self.partitions.remove(key).is_none() {
            return;
        }
        core.cancel_timer(&Timer::Share(ShareTimer::Locks(key.clone())));
        core.share_active = !self.partitions.is_empty();
        if ctx.tracing() {
            let (group, partition) = (key.group.clone(), trace_name(core, key));
            ctx.trace(ShareEvent::SharePartitionDropped { group, partition, cause });
        }
        self.wake(key);
    }

    /// The share-partition that a fetch reads; it is loaded if it is not there.
    pub(super) fn partition(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        key: &SharePartitionKey,
    ) -> Result<&mut Held, ErrorCode> {
        if !self.partitions.contains_key(key) {
            let name = TopicPartition {
                topic: core.topic_name(key.topic_id).ok_or(ErrorCode::UnknownTopicId)?,
                partition: key.partition,
            };
            let slot = core.local_partition(&name)?;
            let partition = core.replicas.get(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
            if !partition.is_leader() {
                return Err(ErrorCode::NotLeaderOrFollower);
            }
            let leader_epoch = partition.leader_epoch;
            let instance = self.next_id;
            self.next_id += 1;
            let held = Held { instance, partition: SharePartition::new(leader_epoch), loading_for: None };
            self.partitions.insert(key.clone(), held);
            core.share_active = true;
            let done = Done::Load(key.clone(), instance);
            core.ask_share_coordinator(ctx, key.clone(), Ask::Read { leader_epoch }, done);
        }
        self.partitions.get_mut(key).ok_or(ErrorCode::NotLeaderOrFollower)
    }

    fn on_answer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, done: Done, answer: Answer) {
        match done {
            Done::Load(key, instance) => self.on_loaded(core, ctx, &key, instance, &answer),
            Done::Changes(key, instance, changes, place) => {
                let written = answer.error == ErrorCode::None;
                let mut moved = false;
                if let Some(held) = self.held(&key, instance) {
                    moved = held.partition.end_changes(&changes, written, ctx.now);
                    self.watch_locks(core, &key);
                }
                let error = persister_error(answer.error);
                if !written {
                    self.fence(core, ctx, &key, error);
                }
                if moved || !written {
                    self.wake(&key);
                }
                if let Some((pending, slot)) = place {
                    self.acknowledged(core, ctx, pending, slot, error, answer.message.filter(|_| !written));
                }
            }
            // These are put together by the persister.
            Done::Group(_) => {}
            Done::Expiry(key, instance) => {
                if let Some(held) = self.held(&key, instance)
                    && held.partition.expiry_written()
                {
                    self.wake(&key);
                }
            }
        }
    }

    fn held(&mut self, key: &SharePartitionKey, instance: u64) -> Option<&mut Held> {
        self.partitions.get_mut(key).filter(|held| held.instance == instance)
    }

    /// Forgets a share-partition that others have taken over (`fencedSharePartitionHandler`).
    pub(super) fn fence(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        key: &SharePartitionKey,
        error: ErrorCode,
    ) {
        if matches!(
            error,
            ErrorCode::NotLeaderOrFollower
                | ErrorCode::FencedStateEpoch
                | ErrorCode::GroupIdNotFound
                | ErrorCode::UnknownTopicOrPartition
        ) {
            self.drop_partition(core, ctx, key, "fenced by the share coordinator");
        }
    }

    fn on_loaded(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        key: &SharePartitionKey,
        instance: u64,
        answer: &Answer,
    ) {
        let Some(held) = self.held(key, instance) else { return };
        let leader_epoch = held.partition.leader_epoch;
        let loaded = match answer.error {
            ErrorCode::None => {
                start_offset(core, ctx, key, leader_epoch, answer.start_offset).and_then(|start| {
                    let loaded = held.partition.load(answer.state_epoch, start, &answer.batches);
                    if loaded { Ok(start) } else { Err(ErrorCode::UnknownServerError) }
                })
            }
            error => Err(persister_error(error)),
        };
        let loading_for = held.loading_for.take();
        match loaded {
            Ok(start_offset) => {
                if ctx.tracing() {
                    let (group, partition) = (key.group.clone(), trace_name(core, key));
                    ctx.trace(ShareEvent::SharePartitionLoaded { group, partition, start_offset });
                }
                self.wake(key);
            }
            Err(error) => {
                if let Some(Wait::Fetch(op)) = loading_for.and_then(|id| self.waiting.get_mut(id)) {
                    op.failed.insert((key.topic_id, key.partition), (error, answer.message.clone()));
                }
                self.drop_partition(core, ctx, key, "its state could not be read");
            }
        }
    }

    /// A client went away: its session ends, and what it has is free again.
    pub(crate) fn on_disconnect(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, connection: ConnectionId) {
        if let Some(id) = self.parked.remove(&connection)
            && let Some(Wait::Fetch(op)) = self.waiting.take(id)
        {
            self.pending.remove(&op.pending);
        }
        let Some((key, live)) = self.sessions.disconnect(connection) else { return };
        if live {
            self.release_session(core, ctx, &key, "connection closed");
        }
        let group = key.0;
        if !self.sessions.has_group(&group) {
            let from = SharePartitionKey {
                group: group.clone(),
                topic_id: klamm_wire::Uuid::nil(),
                partition: i32::MIN,
            };
            let of_group = self.partitions.range(from..).take_while(|(key, _)| key.group == group);
            for key in of_group.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
                self.drop_partition(core, ctx, &key, "the group has no session left");
            }
        }
    }

    /// Ends a member's session: what it has is free again.
    pub(super) fn release_session(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        (group, member): &SessionKey,
        cause: &'static str,
    ) {
        let Some(session) = self.sessions.remove(&(group.clone(), member.clone())) else { return };
        let limits = self.config.limits(core, group);
        for (topic_id, partition) in session.partitions() {
            let key = SharePartitionKey { group: group.clone(), topic_id, partition };
            let Some(held) = self.partitions.get_mut(&key) else { continue };
            let changes = held.partition.release(member, limits);
            let instance = held.instance;
            if changes.is_empty() {
                continue;
            }
            trace_changes(core, ctx, &key, &changes, cause);
            self.persist(core, ctx, &key, changes, |changes| {
                Done::Changes(key.clone(), instance, changes, None)
            });
            self.wake(&key);
        }
    }
}

/// Where a share-partition starts: as stored, or where the group's configuration says.
fn start_offset(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    key: &SharePartitionKey,
    leader_epoch: i32,
    stored: i64,
) -> Result<i64, ErrorCode> {
    if stored != UNINITIALIZED_START_OFFSET {
        return Ok(stored);
    }
    let reset = core.share_offset_reset(&key.group);
    let slot = core.replicas.slot_by_id(key.topic_id, key.partition).ok_or(ErrorCode::NotLeaderOrFollower)?;
    let partition = core.replicas.get(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
    if !partition.is_leader() {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    partition.check_epoch(Some(leader_epoch))?;
    let timestamp = match reset {
        OffsetReset::Latest => return Ok(partition.log.high_watermark()),
        OffsetReset::Earliest => special_timestamp::EARLIEST,
        OffsetReset::ByDuration(millis) => ctx.wall.millis().saturating_sub(millis).max(0),
    };
    let dir = partition.dir;
    match partition.log.fetch_offset_by_timestamp(&*core.disk, timestamp) {
        Ok(Some(found)) if found.offset >= 0 => Ok(found.offset),
        Ok(_) => Err(ErrorCode::OffsetNotAvailable),
        Err(error) => {
            let code = error.code();
            core.on_log_failure(ctx, dir, &error);
            Err(code)
        }
    }
}

/// What a member is told of an error of the share coordinator (`SharePartition.fetchPersisterError`).
const fn persister_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::NotCoordinator
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::FencedLeaderEpoch | ErrorCode::FencedStateEpoch => ErrorCode::NotLeaderOrFollower,
        ErrorCode::None | ErrorCode::GroupIdNotFound | ErrorCode::UnknownTopicOrPartition => error,
        _ => ErrorCode::UnknownServerError,
    }
}

/// A share-partition's partition, as traces name it.
pub(super) fn trace_name(core: &Core, key: &SharePartitionKey) -> TopicPartition {
    let topic = core.topic_name(key.topic_id).unwrap_or_else(|| StrBytes::from_static_str("?"));
    TopicPartition { topic, partition: key.partition }
}

/// Says what became of records.
pub(super) fn trace_changes(
    core: &Core,
    ctx: &mut Ctx<'_>,
    key: &SharePartitionKey,
    changes: &[StateBatch],
    cause: &'static str,
) {
    if !ctx.tracing() {
        return;
    }
    for change in changes {
        let state = super::record_state::RecordState::from_id(change.state).map_or("?", |state| state.name());
        ctx.trace(ShareEvent::ShareRecordsChanged {
            group: key.group.clone(),
            partition: trace_name(core, key),
            first: change.first,
            last: change.last,
            state,
            deliveries: change.count,
            cause,
        });
    }
}

/// Says that a member keeps records for longer.
pub(super) fn trace_renewed(
    core: &Core,
    ctx: &mut Ctx<'_>,
    key: &SharePartitionKey,
    member: &StrBytes,
    renewed: &[Span],
) {
    if !ctx.tracing() {
        return;
    }
    for (first, last) in renewed {
        ctx.trace(ShareEvent::ShareRecordsRenewed {
            group: key.group.clone(),
            member: member.clone(),
            partition: trace_name(core, key),
            first: *first,
            last: *last,
        });
    }
}
