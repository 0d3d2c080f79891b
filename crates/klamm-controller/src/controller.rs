//! The controller's door.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::disk::FlushOutcome;
use klamm_log::{AppendError, Disk, LogError};
use klamm_metadata::{MetadataImage, MetadataRecord};
use klamm_node::config::{BrokerConfig, broker};
use klamm_node::{
    CallId, Ctx, Effect, Era, EventId, Incoming, ReplyTo, SendError, TimerTable, Timestamp, TraceKind,
};
use klamm_wire::messages::ResponseKind;
use klamm_wire::throttle::{set_throttle_time, throttle_time};
use klamm_wire::{ErrorCode, Request, Response};

use crate::api_error::ApiError;
use crate::handlers;
use crate::mutation_quota::MutationQuotas;
use crate::raft::{MAX_RECORDS_PER_BATCH, Raft};
use crate::settings::ControllerSettings;
use crate::snapshots::SnapshotGenerator;
use crate::state::ClusterState;
use crate::{decisions, replication_control};

/// How soon a periodic task that was not done runs again (`PeriodicTask.DEFAULT_IMMEDIATE_PERIOD_NS`).
const IMMEDIATELY: Duration = Duration::from_millis(10);

/// Why the controller wants to be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// Look for a broker whose session ended (`maybeFenceStaleBroker`).
    FenceStaleBroker,
    /// Give leadership back to preferred replicas (`electPreferred`).
    BalanceLeaders,
    /// Elect leaders uncleanly where that is allowed (`electUnclean`).
    ElectUncleanLeaders,
}

/// An answer that waits until records are committed.
#[derive(Debug, Clone)]
pub(crate) struct Deferred {
    pub(crate) to: ReplyTo,
    pub(crate) response: Response,
    since: Timestamp,
}

/// One controller (`QuorumController`): a state machine over requests, answers and timers.
///
/// The one that leads the quorum is active: it decides, on a state that may be ahead of what is committed. The others
/// fold in what is committed, so that any of them can take over.
#[derive(Debug, Clone)]
pub struct Controller {
    pub(crate) settings: ControllerSettings,
    pub(crate) raft: Raft,
    pub(crate) state: ClusterState,
    pub(crate) timers: TimerTable<Timer>,
    /// The epoch in which this controller is active.
    pub(crate) active: Option<i32>,
    /// The offset of the next record to be folded into the state.
    pub(crate) applied: i64,
    pub(crate) snapshots: SnapshotGenerator,
    /// How fast clients may have partitions created and deleted.
    pub(crate) mutation_quotas: MutationQuotas,
    /// Answers that wait for the records before this offset to be committed.
    pub(crate) deferred: BTreeMap<i64, Vec<Deferred>>,
    /// What nobody may see before this controller's vote or epoch is durable.
    held: Vec<Effect>,
    /// Set once the metadata log cannot be written, or is closed: nothing more is answered.
    pub(crate) failed: bool,
}

impl Controller {
    /// Starts a controller on its disk: opens the metadata log and takes up its part in the quorum. Where it is the only
    /// voter it leads at once, and writes the records of a new cluster where the log is empty.
    ///
    /// # Errors
    /// When the disk fails, when it holds a log that is not this cluster's, or when a server property has a value that
    /// its key does not take.
    pub fn boot(
        settings: ControllerSettings,
        disk: Box<dyn Disk>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Self, LogError> {
        let config = BrokerConfig::of_release(settings.kafka_version, settings.config.clone())
            .map_err(|error| LogError::Invalid(error.to_string()))?;
        let raft = Raft::open(&settings, &config, disk, ctx)?;
        let snapshots = SnapshotGenerator::new(&config, ctx.now);
        let mutation_quotas = MutationQuotas::new(&config);
        let state = ClusterState::new(settings.node, settings.cluster_id.clone(), config, settings.eras);
        let mut controller = Self {
            settings,
            raft,
            state,
            timers: TimerTable::default(),
            active: None,
            applied: 0,
            snapshots,
            mutation_quotas,
            deferred: BTreeMap::new(),
            held: Vec::new(),
            failed: false,
        };
        let begin = ctx.effects.len();
        controller.raft.start(ctx)?;
        controller.settle(ctx)?;
        controller.hold_back(ctx, begin);
        Ok(controller)
    }

    /// Whether this controller decides for the cluster.
    pub const fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Whether this controller does its work: it is active, or follows the one that is.
    pub fn is_ready(&self) -> bool {
        self.is_active() || self.raft.follows()
    }

    /// Runs one step: `step`, and everything that follows from it in the quorum.
    fn step(
        &mut self,
        ctx: &mut Ctx<'_>,
        step: impl FnOnce(&mut Self, &mut Ctx<'_>) -> Result<(), LogError>,
    ) {
        let begin = ctx.effects.len();
        if let Err(error) = step(self, ctx).and_then(|()| self.settle(ctx)) {
            self.halt(ctx, &error.to_string());
        }
        self.hold_back(ctx, begin);
    }

    /// Brings the controller in line with the quorum: who leads, and what is committed.
    fn settle(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        if self.failed {
            return Ok(());
        }
        self.raft.poll(ctx)?;
        if let Some(epoch) = self.active
            && !(self.raft.is_leader() && self.raft.epoch() == epoch)
        {
            self.renounce(ctx)?;
        }
        self.apply_committed(ctx)?;
        // What a leader must know of the epochs before its own it knows once a record of its own is committed.
        if self.active.is_none() && self.raft.epoch_start().is_some_and(|start| self.applied > start) {
            self.claim(ctx)?;
        }
        self.answer_committed(ctx);
        self.maybe_take_snapshot(ctx)?;
        if self.raft.may_close(ctx.now) {
            self.close(ctx);
        }
        Ok(())
    }

    /// Keeps what was done since `begin` to itself while what it depends on is not durable, and lets go of what was kept.
    fn hold_back(&mut self, ctx: &mut Ctx<'_>, begin: usize) {
        if self.raft.is_persisting() && !self.failed {
            self.held.extend(ctx.effects.drain(begin..));
        } else if !self.held.is_empty() {
            let later = ctx.effects.split_off(begin);
            ctx.effects.append(&mut self.held);
            ctx.effects.extend(later);
        }
    }

    pub(crate) fn start_timers(&mut self, now: Timestamp) {
        self.timers.set(Timer::FenceStaleBroker, now + self.fence_interval());
        if self.state.eras.on(Era::UncleanSweep) {
            self.timers.set(Timer::ElectUncleanLeaders, now + self.unclean_interval());
        }
        if self.state.config.get(broker::AUTO_LEADER_REBALANCE_ENABLE) {
            self.timers.set(Timer::BalanceLeaders, now + self.balance_interval());
        }
    }

    /// How long after one run of a task the next comes, where the first found nothing to do.
    pub(crate) fn interval(&self, timer: Timer) -> Duration {
        match timer {
            Timer::FenceStaleBroker => self.fence_interval(),
            Timer::BalanceLeaders => self.balance_interval(),
            Timer::ElectUncleanLeaders => self.unclean_interval(),
        }
    }

    fn fence_interval(&self) -> Duration {
        millis(i64::from(self.state.config.get(broker::BROKER_SESSION_TIMEOUT_MS))) / 8
    }

    fn balance_interval(&self) -> Duration {
        millis(self.state.config.get(broker::LEADER_IMBALANCE_CHECK_INTERVAL_SECONDS).saturating_mul(1000))
    }

    fn unclean_interval(&self) -> Duration {
        millis(self.state.config.get(broker::UNCLEAN_LEADER_ELECTION_INTERVAL_MS))
    }

    /// A request has been read that must wait until this node can step. What Kafka's request threads do is done at once: they keep the
    /// sessions of brokers, so that none ends because the controller has no time for its heartbeats (`trackBrokerHeartbeat`).
    pub fn on_arrival(&mut self, now: Timestamp, incoming: &Incoming, cause: Option<EventId>) {
        if let Request::BrokerHeartbeat(request) = &incoming.request
            && !self.failed
            && self.is_active()
        {
            handlers::broker_heartbeat::track(self, now, request, cause);
        }
    }

    /// When a request that still waits is not carried out any more; those that are over that come before all others. Heartbeats and what has a timeout of
    /// its own are queued with a deadline, and nothing else is (`ControllerApis`, `ControllerRequestContext.requestTimeoutMsToDeadlineNs`). What asks for
    /// nothing is not queued at all (`QuorumController.createTopics` and so on).
    pub fn deadline(&self, incoming: &Incoming) -> Option<Timestamp> {
        let timeout_ms = match &incoming.request {
            Request::BrokerHeartbeat(_) => return Some(incoming.arrived? + self.heartbeat_patience()),
            Request::CreateTopics(r) if !r.topics.is_empty() => r.timeout_ms,
            Request::DeleteTopics(r) if !(r.topics.is_empty() && r.topic_names.is_empty()) => r.timeout_ms,
            Request::CreatePartitions(r) if !r.topics.is_empty() => r.timeout_ms,
            Request::AlterPartitionReassignments(r) if !r.topics.is_empty() => r.timeout_ms,
            Request::ElectLeaders(r) if r.topic_partitions.as_ref().is_none_or(|asked| !asked.is_empty()) => {
                r.timeout_ms
            }
            _ => return None,
        };
        let patience = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
        Some(incoming.arrived? + patience)
    }

    /// Whether a request has waited for too long.
    pub(crate) fn is_expired(&self, now: Timestamp, incoming: &Incoming) -> bool {
        self.deadline(incoming).is_some_and(|deadline| deadline <= now)
    }

    fn heartbeat_patience(&self) -> Duration {
        millis(i64::from(self.state.config.get(broker::BROKER_HEARTBEAT_INTERVAL_MS))) / 2
    }

    /// Handles a request.
    pub fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        if self.failed {
            ctx.close(incoming.reply_to);
            return;
        }
        self.step(ctx, |controller, ctx| handlers::dispatch(controller, ctx, incoming));
    }

    /// Handles the answer to a call of this controller's.
    pub fn on_response(&mut self, ctx: &mut Ctx<'_>, call: CallId, result: Result<Response, SendError>) {
        if !self.failed {
            self.step(ctx, |controller, ctx| controller.raft.on_response(ctx, call, result));
        }
    }

    /// Handles every timer that is due.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        if self.failed {
            return;
        }
        self.step(ctx, |controller, ctx| {
            while let Some((timer, cause)) = controller.timers.pop_due(ctx.now) {
                ctx.follow(cause);
                controller.run_task(ctx, timer)?;
                controller.stamp_timers(ctx.trace.effect());
            }
            Ok(())
        });
    }

    /// Does one of the tasks of an active controller.
    fn run_task(&mut self, ctx: &mut Ctx<'_>, timer: Timer) -> Result<(), LogError> {
        let mut records = Vec::new();
        match timer {
            Timer::FenceStaleBroker => self.fence_stale_broker(ctx),
            Timer::BalanceLeaders => {
                let more = replication_control::balance_leaders(&self.state, &mut records);
                let interval = if more { IMMEDIATELY } else { self.balance_interval() };
                self.timers.set(timer, ctx.now + interval);
                self.write(ctx, &records, "preferred leader election").map_err(crate::raft::storage_error)
            }
            Timer::ElectUncleanLeaders => {
                let more = replication_control::elect_unclean_leaders(&self.state, &mut records);
                let interval = if more { IMMEDIATELY } else { self.unclean_interval() };
                self.timers.set(timer, ctx.now + interval);
                self.write(ctx, &records, "unclean leader election").map_err(crate::raft::storage_error)
            }
        }
    }

    /// Fences at most one broker a pass, so that the effect of each is visible before the next
    /// (`maybeFenceOneStaleBroker`).
    fn fence_stale_broker(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        let expired = self.state.heartbeats.remove_expired(ctx.now);
        let interval = if expired.is_some() { IMMEDIATELY } else { self.fence_interval() };
        self.timers.set(Timer::FenceStaleBroker, ctx.now + interval);
        let Some(((id, epoch), cause)) = expired else { return Ok(()) };
        ctx.follow(cause);
        match self.state.image.cluster.broker(id) {
            None => self.state.heartbeats.remove(id),
            Some(broker) if broker.epoch == epoch => {
                let mut records = Vec::new();
                replication_control::broker_fenced(&self.state, id, &mut records);
                self.state.heartbeats.fence(id);
                self.write(ctx, &records, "session timed out").map_err(crate::raft::storage_error)?;
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Ends a step: the deadlines that it set follow from `cause`.
    pub fn stamp_timers(&mut self, cause: Option<EventId>) {
        self.timers.stamp(cause);
        self.raft.stamp_timers(cause);
    }

    /// When `on_timer` wants to be called next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.failed {
            return None;
        }
        [self.timers.next(), self.raft.next_deadline()].into_iter().flatten().min()
    }

    /// Begins to end the process in order: a leader resigns and waits for a successor. [`Effect::Halt`] says that it is
    /// done.
    pub fn shut_down(&mut self, ctx: &mut Ctx<'_>) {
        if !self.failed {
            self.step(ctx, |controller, ctx| controller.raft.begin_shutdown(ctx));
        }
    }

    /// Ends the process: the log is closed as Kafka closes it, so that the next start need not recover it. Where the disk
    /// fails it is as after a crash.
    fn close(&mut self, ctx: &mut Ctx<'_>) {
        self.failed = true;
        if let Err(error) = self.raft.close(ctx.wall.millis()) {
            ctx.trace(TraceKind::MetadataLogNotClosed { cause: error.to_string() });
        }
        ctx.effects.push(Effect::Halt);
    }

    /// Ends the controller; its disk goes to the next incarnation.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.raft.into_disk()
    }

    /// The controller's disk.
    pub fn disk(&self) -> &dyn Disk {
        self.raft.disk()
    }

    /// The controller's disk, for its faults and for flushes.
    pub fn disk_mut(&mut self) -> &mut dyn Disk {
        self.raft.disk_mut()
    }

    /// Notes how an fsync ended that [`Disk::take_flush_jobs`] handed out.
    pub fn on_flushed(&mut self, ctx: &mut Ctx<'_>, outcome: &FlushOutcome) {
        if self.failed {
            self.raft.disk_mut().complete_flush(outcome);
        } else {
            self.step(ctx, |controller, ctx| controller.raft.on_flushed(ctx, outcome));
        }
    }

    /// The cluster's metadata as this controller has it.
    pub const fn image(&self) -> &MetadataImage {
        &self.state.image
    }

    /// The offset after the last committed record of the metadata log.
    pub fn high_watermark(&self) -> i64 {
        self.raft.high_watermark()
    }

    /// The epoch of the metadata quorum.
    pub const fn epoch(&self) -> i32 {
        self.raft.epoch()
    }

    /// Appends records, folds them in and lets the log's fetchers know.
    pub(crate) fn write(
        &mut self,
        ctx: &mut Ctx<'_>,
        records: &[MetadataRecord],
        cause: &'static str,
    ) -> Result<(), AppendError> {
        if records.is_empty() {
            return Ok(());
        }
        for chunk in records.chunks(MAX_RECORDS_PER_BATCH) {
            let (size, now_ms) = (self.raft.log().size(), ctx.wall.millis());
            let first = self.raft.append(chunk, now_ms)?;
            self.snapshots.note_records(self.raft.log().size().saturating_sub(size), now_ms);
            let delta = self
                .state
                .replay(first, self.raft.epoch(), chunk)
                .map_err(|error| AppendError::new(ErrorCode::UnknownServerError, error.to_string()))?;
            decisions::trace(ctx, &self.state, &delta, cause);
        }
        self.applied = self.raft.next_offset();
        self.raft.advance(ctx)?;
        Ok(())
    }

    /// Writes records that nobody asked for, in a step of their own.
    pub(crate) fn write_in_step(
        &mut self,
        ctx: &mut Ctx<'_>,
        records: &[MetadataRecord],
        cause: &'static str,
    ) {
        if self.is_active() && !self.failed {
            self.step(ctx, |controller, ctx| {
                controller.write(ctx, records, cause).map_err(crate::raft::storage_error)
            });
        }
    }

    fn halt(&mut self, ctx: &mut Ctx<'_>, error: &str) {
        self.failed = true;
        ctx.trace(TraceKind::NodeHalted { cause: format!("the metadata log cannot be written: {error}") });
        ctx.effects.push(Effect::Halt);
    }

    /// Writes records and answers once they are committed. A controller that cannot write its log is of no use and
    /// stops, as Kafka's does.
    pub(crate) fn commit(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        records: &[MetadataRecord],
        cause: &'static str,
        response: ResponseKind,
    ) {
        if let Err(error) = self.write(ctx, records, cause) {
            self.halt(ctx, &error.to_string());
            ctx.close(to);
            return;
        }
        let offset = self.raft.next_offset();
        let response = response.into();
        self.deferred.entry(offset).or_default().push(Deferred { to, response, since: ctx.now });
        self.answer_committed(ctx);
    }

    fn answer_committed(&mut self, ctx: &mut Ctx<'_>) {
        let high_watermark = self.raft.high_watermark();
        while let Some(entry) = self.deferred.first_entry() {
            if *entry.key() > high_watermark {
                return;
            }
            for Deferred { to, mut response, since } in entry.remove() {
                // A client that is told to wait has waited for its answer too (`AbstractControllerMutationQuota`).
                let throttle_ms = throttle_time(&response);
                if throttle_ms > 0 {
                    let waited = i32::try_from(ctx.now.since(since).as_millis()).unwrap_or(i32::MAX);
                    set_throttle_time(&mut response, throttle_ms.saturating_sub(waited).max(0));
                }
                ctx.reply(to, response);
            }
        }
    }
}

/// A user's operation is written as one batch, so it must fit one (`MAX_RECORDS_PER_USER_OP`).
pub(crate) fn check_size(records: &[MetadataRecord]) -> Result<(), ApiError> {
    if records.len() > MAX_RECORDS_PER_BATCH {
        return Err(ApiError::new(
            ErrorCode::PolicyViolation,
            "Unable to perform excessively large batch operation.",
        ));
    }
    Ok(())
}

fn millis(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0).max(1))
}
