//! The controller's door.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::disk::FlushOutcome;
use klamm_log::{AppendError, Disk, LogError};
use klamm_metadata::record::AbortTransactionRecord;
use klamm_metadata::{MetadataImage, MetadataPublisher, MetadataRecord, Provenance};
use klamm_node::config::{BrokerConfig, broker};
use klamm_node::{CallId, Ctx, Effect, Era, Incoming, ReplyTo, SendError, TimerTable, Timestamp, TraceKind};
use klamm_wire::messages::ResponseKind;
use klamm_wire::{ErrorCode, Response, StrBytes};

use crate::api_error::ApiError;
use crate::handlers;
use crate::handlers::fetch::ParkedFetches;
use crate::raft::{MAX_RECORDS_PER_BATCH, Raft};
use crate::settings::ControllerSettings;
use crate::state::ClusterState;
use crate::{decisions, feature_control, replication_control};

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
    /// A parked fetch has waited long enough.
    Fetch(u64),
}

/// One controller (`QuorumController`): a state machine over requests, answers and timers.
#[derive(Debug)]
pub struct Controller {
    pub(crate) disk: Box<dyn Disk>,
    pub(crate) raft: Raft,
    pub(crate) state: ClusterState,
    pub(crate) timers: TimerTable<Timer>,
    pub(crate) fetches: ParkedFetches,
    /// Answers that wait for the records before this offset to be committed.
    deferred: BTreeMap<i64, Vec<(ReplyTo, Response)>>,
    /// Set once the metadata log cannot be written, or is closed: nothing more is answered.
    pub(crate) failed: bool,
}

impl Controller {
    /// Starts a controller on its disk: loads the metadata log, becomes the quorum's leader where it is alone, and
    /// writes the records of a new cluster where the log is empty.
    ///
    /// # Errors
    /// When the disk fails, when it holds a log that is not this cluster's, or when a server property has a value that
    /// its key does not take.
    pub fn boot(
        settings: ControllerSettings,
        mut disk: Box<dyn Disk>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Self, LogError> {
        let config = BrokerConfig::of_release(settings.kafka_version, settings.config.clone())
            .map_err(|error| LogError::Invalid(error.to_string()))?;
        let mut publisher = MetadataPublisher::new();
        let mut raft = Raft::open(&settings, disk.as_mut(), ctx, &mut publisher)?;
        let open_transaction = publisher.has_open_transaction();
        let mut state = ClusterState::new(settings.node, settings.cluster_id.clone(), config, settings.eras);
        state.load(publisher);

        raft.become_leader(settings.node, disk.as_mut(), ctx.wall.millis()).map_err(storage_error)?;
        ctx.trace(TraceKind::ControllerElected { epoch: raft.epoch() });
        state.image.provenance =
            Provenance { last_contained_offset: raft.next_offset() - 1, last_contained_epoch: raft.epoch() };
        state.activate(ctx.now);
        let mut controller = Self {
            disk,
            raft,
            state,
            timers: TimerTable::default(),
            fetches: ParkedFetches::default(),
            deferred: BTreeMap::new(),
            failed: false,
        };
        let mut records = Vec::new();
        if open_transaction {
            let reason = Some(StrBytes::from_static_str("Controller failover"));
            records.push(MetadataRecord::AbortTransaction(AbortTransactionRecord { reason }));
        }
        if controller.state.image.features.iter().len() == 0 {
            records.extend(feature_control::bootstrap_records(
                &settings.bootstrap_features,
                &controller.state.config,
            ));
        }
        controller.write(ctx, &records, "bootstrap").map_err(storage_error)?;
        controller.start_timers(ctx.now);
        Ok(controller)
    }

    fn start_timers(&mut self, now: Timestamp) {
        self.timers.set(Timer::FenceStaleBroker, now + self.fence_interval());
        if self.state.eras.on(Era::UncleanSweep) {
            self.timers.set(Timer::ElectUncleanLeaders, now + self.unclean_interval());
        }
        if self.state.config.get(broker::AUTO_LEADER_REBALANCE_ENABLE) {
            self.timers.set(Timer::BalanceLeaders, now + self.balance_interval());
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

    /// Handles a request.
    pub fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        if self.failed {
            ctx.close(incoming.reply_to);
            return;
        }
        handlers::dispatch(self, ctx, incoming);
    }

    /// Handles the answer to a call of this controller's. A controller that is alone in its quorum makes none.
    pub fn on_response(&mut self, ctx: &mut Ctx<'_>, call: CallId, result: Result<Response, SendError>) {
        let _ = (ctx, call, result);
    }

    /// Handles every timer that is due.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(timer) = self.timers.pop_due(ctx.now) {
            if self.failed {
                return;
            }
            match timer {
                Timer::FenceStaleBroker => self.fence_stale_broker(ctx),
                Timer::BalanceLeaders => {
                    let mut records = Vec::new();
                    let more = replication_control::balance_leaders(&self.state, &mut records);
                    let interval = if more { IMMEDIATELY } else { self.balance_interval() };
                    self.timers.set(timer, ctx.now + interval);
                    self.write_or_halt(ctx, &records, "preferred leader election");
                }
                Timer::ElectUncleanLeaders => {
                    let mut records = Vec::new();
                    let more = replication_control::elect_unclean_leaders(&self.state, &mut records);
                    let interval = if more { IMMEDIATELY } else { self.unclean_interval() };
                    self.timers.set(timer, ctx.now + interval);
                    self.write_or_halt(ctx, &records, "unclean leader election");
                }
                Timer::Fetch(id) => handlers::fetch::time_out(self, ctx, id),
            }
        }
    }

    /// Fences at most one broker a pass, so that the effect of each is visible before the next
    /// (`maybeFenceOneStaleBroker`).
    fn fence_stale_broker(&mut self, ctx: &mut Ctx<'_>) {
        let expired = self.state.heartbeats.remove_expired(ctx.now);
        let interval = if expired.is_some() { IMMEDIATELY } else { self.fence_interval() };
        self.timers.set(Timer::FenceStaleBroker, ctx.now + interval);
        let Some((id, epoch)) = expired else { return };
        match self.state.image.cluster.broker(id) {
            None => self.state.heartbeats.remove(id),
            Some(broker) if broker.epoch == epoch => {
                let mut records = Vec::new();
                replication_control::broker_fenced(&self.state, id, &mut records);
                self.state.heartbeats.fence(id);
                self.write_or_halt(ctx, &records, "session timed out");
            }
            Some(_) => {}
        }
    }

    /// When `on_timer` wants to be called next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        if self.failed { None } else { self.timers.next() }
    }

    /// Ends the process in order: the log is closed as Kafka closes it, so that the next start need not recover it.
    /// Where the disk fails it is as after a crash.
    pub fn shut_down(&mut self, ctx: &mut Ctx<'_>) {
        self.failed = true;
        if let Err(error) = self.raft.close(self.disk.as_mut(), ctx.wall.millis()) {
            ctx.trace(TraceKind::Note { text: format!("the metadata log was not closed in order: {error}") });
        }
    }

    /// Ends the controller; its disk goes to the next incarnation.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.disk
    }

    /// The controller's disk, for its faults and for flushes.
    pub fn disk_mut(&mut self) -> &mut dyn Disk {
        self.disk.as_mut()
    }

    /// Notes how an fsync ended that [`Disk::take_flush_jobs`] handed out.
    pub fn on_flushed(&mut self, ctx: &mut Ctx<'_>, outcome: &FlushOutcome) {
        if let Err(error) = self.raft.on_flushed(self.disk.as_mut(), outcome, ctx.wall.millis()) {
            self.halt(ctx, &error.to_string());
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
    fn write(
        &mut self,
        ctx: &mut Ctx<'_>,
        records: &[MetadataRecord],
        cause: &'static str,
    ) -> Result<(), AppendError> {
        if records.is_empty() {
            return Ok(());
        }
        for chunk in records.chunks(MAX_RECORDS_PER_BATCH) {
            let first = self.raft.append(self.disk.as_mut(), chunk, ctx.wall.millis())?;
            let delta = self
                .state
                .replay(first, self.raft.epoch(), chunk)
                .map_err(|error| AppendError::new(ErrorCode::UnknownServerError, error.to_string()))?;
            decisions::trace(ctx, &self.state, &delta, cause);
        }
        handlers::fetch::complete(self, ctx);
        Ok(())
    }

    /// Writes records; a controller that cannot write its log is of no use and stops, as Kafka's does.
    pub(crate) fn write_or_halt(
        &mut self,
        ctx: &mut Ctx<'_>,
        records: &[MetadataRecord],
        cause: &'static str,
    ) -> bool {
        match self.write(ctx, records, cause) {
            Ok(()) => true,
            Err(error) => {
                self.halt(ctx, &error.to_string());
                false
            }
        }
    }

    fn halt(&mut self, ctx: &mut Ctx<'_>, error: &str) {
        self.failed = true;
        ctx.trace(TraceKind::Note { text: format!("the metadata log cannot be written: {error}") });
        ctx.effects.push(Effect::Halt);
    }

    /// Writes records and answers once they are committed.
    pub(crate) fn commit(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        records: &[MetadataRecord],
        cause: &'static str,
        response: ResponseKind,
    ) {
        if !self.write_or_halt(ctx, records, cause) {
            ctx.close(to);
            return;
        }
        let offset = self.raft.next_offset();
        self.deferred.entry(offset).or_default().push((to, response.into()));
        self.answer_committed(ctx);
    }

    fn answer_committed(&mut self, ctx: &mut Ctx<'_>) {
        let high_watermark = self.raft.high_watermark();
        while let Some(entry) = self.deferred.first_entry() {
            if *entry.key() > high_watermark {
                return;
            }
            for (to, response) in entry.remove() {
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

fn storage_error(error: AppendError) -> LogError {
    match error.storage {
        Some(storage) => *storage,
        None => LogError::Invalid(error.message),
    }
}
