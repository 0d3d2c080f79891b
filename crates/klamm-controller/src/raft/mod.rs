//! The metadata quorum: the log that every decision goes through (`KafkaRaftClient`).
//!
//! [`Raft`] answers the requests of other controllers, sends its own, and is moved on by [`Raft::poll`] whenever
//! something happened or is due. What it decided the controller reads off it: who leads in which epoch, and how far
//! the log is committed.

mod batch;
mod connections;
mod election;
mod epoch;
mod fetches;
mod idle;
mod quorum_state;
mod replication;
mod snapshot;
mod storage;
mod view;

pub(crate) use batch::MAX_RECORDS_PER_BATCH;
pub(crate) use replication::Wanted;
pub(crate) use storage::storage_error;

use std::sync::Arc;
use std::time::Duration;

use klamm_log::disk::FlushId;
use klamm_log::{Disk, Log, LogError, LogManager, LogManagerSettings};
use klamm_metadata::{METADATA_TOPIC, METADATA_TOPIC_ID};
use klamm_node::config::{BrokerConfig, broker};
use klamm_node::{CallId, Ctx, Era, Eras, EventId, NodeId, Rng, SendError, Timestamp};
use klamm_wire::messages::ResponseKind;
use klamm_wire::{Request, Response, StrBytes, Uuid};

use crate::settings::ControllerSettings;
use connections::{Connections, Purpose};
use fetches::ParkedFetches;
use quorum_state::{ElectionState, State};
use snapshot::Snapshots;
use storage::{check_or_write_meta, log_config};

/// The controller's log directory on its disk.
const LOG_DIR: &str = "logs";
/// How long a leader that shuts down waits for a successor (`QuorumController`, `KafkaRaftManager.shutdown`).
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(5);

/// The quorum's settings.
#[derive(Debug, Clone, Copy)]
struct RaftConfig {
    election_timeout: Duration,
    fetch_timeout: Duration,
    election_backoff_max: Duration,
    request_timeout_ms: u32,
    retry_backoff: Duration,
    fetch_max_bytes: i32,
    fetch_snapshot_max_bytes: i32,
    retention_bytes: i64,
    retention_ms: i64,
    pre_vote: bool,
    check_quorum: bool,
}

impl RaftConfig {
    fn new(config: &BrokerConfig, eras: Eras) -> Self {
        let millis = |value: i32| Duration::from_millis(u64::from(value.unsigned_abs()));
        Self {
            election_timeout: millis(config.get(broker::CONTROLLER_QUORUM_ELECTION_TIMEOUT_MS)),
            fetch_timeout: millis(config.get(broker::CONTROLLER_QUORUM_FETCH_TIMEOUT_MS)),
            election_backoff_max: millis(config.get(broker::CONTROLLER_QUORUM_ELECTION_BACKOFF_MAX_MS)),
            request_timeout_ms: config.get(broker::CONTROLLER_QUORUM_REQUEST_TIMEOUT_MS).unsigned_abs(),
            retry_backoff: millis(config.get(broker::CONTROLLER_QUORUM_RETRY_BACKOFF_MS)),
            fetch_max_bytes: config.get(broker::CONTROLLER_QUORUM_FETCH_MAX_BYTES),
            fetch_snapshot_max_bytes: config.get(broker::CONTROLLER_QUORUM_FETCH_SNAPSHOT_MAX_BYTES),
            retention_bytes: config.get(broker::METADATA_MAX_RETENTION_BYTES),
            retention_ms: config.get(broker::METADATA_MAX_RETENTION_MS),
            pre_vote: eras.on(Era::Prevote),
            check_quorum: eras.on(Era::CheckQuorum),
        }
    }
}

/// This controller's part in the quorum.
#[derive(Debug, Clone)]
pub(crate) struct Raft {
    disk: Box<dyn Disk>,
    manager: LogManager,
    log: Log,
    me: NodeId,
    directory_id: Uuid,
    cluster_id: StrBytes,
    voters: Vec<NodeId>,
    config: RaftConfig,
    /// Its own stream, so that elections do not disturb other draws.
    rng: Rng,
    epoch: i32,
    /// Whom we voted for in the epoch.
    voted: Option<NodeId>,
    state: State,
    /// The end of what is known to be committed.
    high_watermark: Option<i64>,
    snapshots: Snapshots,
    connections: Connections,
    fetches: ParkedFetches,
    /// What `quorum-state` holds, or will when the write that is under way is done.
    written: Option<ElectionState>,
    /// The write of `quorum-state` that is under way.
    persisting: Option<FlushId>,
    /// When there is something to be sent again.
    retry_at: Option<Timestamp>,
    /// The event of the last change of state, from which the state's deadlines follow.
    since: Option<EventId>,
    /// When a shutdown in order stops waiting.
    closing: Option<Timestamp>,
}

impl Raft {
    /// Opens the log on a disk, new or left by an earlier incarnation.
    pub(crate) fn open(
        settings: &ControllerSettings,
        config: &BrokerConfig,
        mut disk: Box<dyn Disk>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Self, LogError> {
        if !settings.voters.contains(&settings.node) {
            return Err(LogError::Invalid(format!(
                "controller {} is not one of the voters {:?}",
                settings.node,
                settings.voters.iter().map(|voter| voter.0).collect::<Vec<_>>()
            )));
        }
        let log_config = Arc::new(log_config(config));
        let now_ms = ctx.wall.millis();
        let (mut manager, loaded) =
            LogManager::open(disk.as_mut(), LogManagerSettings::new(LOG_DIR), now_ms, &mut |_| {
                Arc::clone(&log_config)
            })?;
        let directory_id = check_or_write_meta(&manager, settings, disk.as_mut(), ctx)?;
        let found = loaded.into_iter().find(|log| log.topic == METADATA_TOPIC && log.partition == 0);
        let log = match found {
            Some(loaded) => loaded.log,
            None => manager.create_log(
                disk.as_mut(),
                METADATA_TOPIC,
                0,
                Some(METADATA_TOPIC_ID),
                log_config,
                now_ms,
            )?,
        };
        let snapshots = Snapshots::open(disk.as_mut(), log.dir())?;
        let stream = format!("quorum {} from {}", settings.node, ctx.now.0);
        let mut raft = Self {
            manager,
            log,
            me: settings.node,
            directory_id,
            cluster_id: settings.cluster_id.clone(),
            voters: settings.voters.clone(),
            config: RaftConfig::new(config, settings.eras),
            rng: Rng::stream(directory_id.as_u64_pair().1, &stream),
            epoch: 0,
            voted: None,
            state: State::Unattached { leader: None, deadline: Timestamp::MAX },
            high_watermark: None,
            snapshots,
            connections: Connections::default(),
            fetches: ParkedFetches::default(),
            written: None,
            persisting: None,
            retry_at: None,
            since: None,
            closing: None,
            disk,
        };
        raft.voters.sort_unstable();
        raft.truncate_to_latest_snapshot(now_ms)?;
        Ok(raft)
    }

    /// Takes up the state that the last incarnation left (`QuorumState.initialize`).
    pub(crate) fn start(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        let left = ElectionState::read(self.disk.as_ref(), self.log.dir())?;
        self.epoch = left.epoch;
        self.voted = left.voted;
        self.written = Some(left);
        self.flush(ctx.wall.millis())?;
        let deadline = self.election_deadline(ctx);
        let last_epoch = self.last_epoch();
        if left.epoch < last_epoch {
            // The log knows of a later epoch than the file does.
            let state = State::Unattached { leader: None, deadline };
            self.transition(ctx, last_epoch, None, state, "started")?;
        } else if left.leader == Some(self.me) {
            // We must not vote for another in an epoch that we led, nor write two records at one place of it.
            let successors: Vec<NodeId> = self.others().collect();
            let state =
                State::Resigned { unacked: successors.iter().copied().collect(), successors, deadline };
            self.transition(ctx, left.epoch, left.voted, state, "led the epoch before its restart")?;
        } else if left.voted == Some(self.me) {
            self.resume_candidacy(ctx)?;
        } else if let Some(leader) = left.leader.filter(|leader| self.voters.contains(leader)) {
            self.become_follower(ctx, left.epoch, leader, "followed it before its restart")?;
        } else {
            let state = State::Unattached { leader: None, deadline };
            self.transition(ctx, left.epoch, left.voted, state, "started")?;
        }
        if self.is_only_voter() && !self.is_leader() {
            self.stand(ctx, "is the only voter")?;
        }
        self.poll(ctx)
    }

    fn others(&self) -> impl Iterator<Item = NodeId> + use<'_> {
        self.voters.iter().copied().filter(|voter| *voter != self.me)
    }

    fn is_only_voter(&self) -> bool {
        self.voters == [self.me]
    }

    /// Does what is due, and sends what the state asks for (`pollCurrentState`).
    pub(crate) fn poll(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        self.expire_fetches(ctx);
        self.clean_snapshots(ctx)?;
        if [self.state_deadline(), self.retry_at].into_iter().flatten().any(|at| at <= ctx.now) {
            ctx.follow(self.since);
        }
        // Each state that is left here has a successor with a deadline in the future, or none at all.
        for _ in 0..4 {
            let before = (self.epoch, self.state.name());
            self.poll_state(ctx)?;
            if before == (self.epoch, self.state.name()) {
                break;
            }
        }
        self.retry_at = self.connections.next_ready(ctx.now);
        Ok(())
    }

    fn poll_state(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        let now = ctx.now;
        if self.closing.is_some() {
            if matches!(self.state, State::Leader(_)) {
                self.become_resigned(ctx, "shuts down")?;
            }
            self.send_end_epoch(ctx);
            return Ok(());
        }
        match &self.state {
            State::Unattached { deadline, .. } if *deadline <= now => {
                self.stand(ctx, "has no leader for an election timeout")
            }
            State::Unattached { .. } => {
                self.send_fetch(ctx);
                Ok(())
            }
            State::Follower(follower) if follower.fetch_deadline <= now => {
                self.stand(ctx, "its leader has not answered for a fetch timeout")
            }
            State::Follower(_) if self.is_installing() => Ok(()),
            State::Follower(_) => {
                self.send_fetch(ctx);
                Ok(())
            }
            State::Prospective { deadline, .. } if *deadline <= now => {
                self.give_up_prospect(ctx, "got too few pre-votes in time")
            }
            State::Candidate { deadline, backing_off: true, retries, .. } if *deadline <= now => {
                let retries = retries + 1;
                self.become_candidate(ctx, retries, "stands again after its pause")
            }
            State::Candidate { deadline, backing_off: false, .. } if *deadline <= now => {
                if self.config.pre_vote {
                    self.stand(ctx, "got too few votes in time")
                } else {
                    self.back_off_candidacy(ctx);
                    Ok(())
                }
            }
            State::Prospective { .. } | State::Candidate { .. } => {
                self.send_votes(ctx);
                Ok(())
            }
            State::Leader(leader) => {
                if leader.check_quorum_at().is_some_and(|at| at <= now) {
                    return self.become_resigned(
                        ctx,
                        "a majority has not fetched for one and a half fetch timeouts",
                    );
                }
                self.send_begin_epoch(ctx);
                Ok(())
            }
            State::Resigned { deadline, .. } if *deadline <= now => {
                self.become_unattached(ctx, self.epoch + 1, None, "resigned an election timeout ago")
            }
            State::Resigned { .. } => {
                self.send_end_epoch(ctx);
                Ok(())
            }
        }
    }

    /// When [`poll`](Self::poll) wants to be called next.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        [self.state_deadline(), self.retry_at, self.fetches.next_deadline(), self.snapshots.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Ends a step: the deadlines that it set follow from `cause`.
    pub(crate) fn stamp_timers(&mut self, cause: Option<EventId>) {
        self.fetches.stamp(cause);
    }

    /// When the state that this controller is in wants something done.
    fn state_deadline(&self) -> Option<Timestamp> {
        let state = match &self.state {
            State::Unattached { deadline, .. }
            | State::Prospective { deadline, .. }
            | State::Candidate { deadline, .. }
            | State::Resigned { deadline, .. } => Some(*deadline),
            State::Follower(follower) => Some(follower.fetch_deadline),
            State::Leader(leader) if self.is_only_voter() => leader.check_quorum_at(),
            State::Leader(leader) => Some(
                leader.check_quorum_at().map_or(leader.begin_epoch_at, |at| at.min(leader.begin_epoch_at)),
            ),
        };
        if self.closing.is_some() { self.closing } else { state }
    }

    /// Sends a request to another controller.
    fn send(&mut self, ctx: &mut Ctx<'_>, to: NodeId, version: i16, request: Request, purpose: Purpose) {
        let call = ctx.send(to, version, request, self.config.request_timeout_ms);
        self.connections.sent(to, call, purpose);
    }

    /// Another controller answered a call of ours, or did not.
    pub(crate) fn on_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        call: CallId,
        result: Result<Response, SendError>,
    ) -> Result<(), LogError> {
        let Some((from, purpose)) = self.connections.answered(call) else { return Ok(()) };
        let Ok(response) = result else {
            self.connections.disconnected(from, ctx.now, &mut self.rng);
            return Ok(());
        };
        self.connections.reached(from);
        let before = self.epoch;
        let well = match (purpose, response) {
            (Purpose::Fetch, Response::Fetch(response)) => self.on_fetch_response(ctx, response)?,
            (Purpose::Vote { pre_vote }, Response::Other(kind)) => match *kind {
                ResponseKind::Vote(response) => self.on_vote_response(ctx, from, pre_vote, &response)?,
                _ => false,
            },
            (Purpose::BeginQuorumEpoch, Response::Other(kind)) => match *kind {
                ResponseKind::BeginQuorumEpoch(response) => self.on_begin_epoch_response(ctx, &response)?,
                _ => false,
            },
            (Purpose::EndQuorumEpoch, Response::Other(kind)) => match *kind {
                ResponseKind::EndQuorumEpoch(response) => self.on_end_epoch_response(ctx, from, &response)?,
                _ => false,
            },
            (Purpose::FetchSnapshot, Response::Other(kind)) => match *kind {
                ResponseKind::FetchSnapshot(response) => self.on_fetch_snapshot_response(ctx, response)?,
                _ => false,
            },
            _ => false,
        };
        if !well && before == self.epoch {
            // Asked again at once it would only say the same.
            self.connections.back_off(from, ctx.now + self.config.retry_backoff);
        }
        Ok(())
    }

    /// The disk, for its faults and for flushes.
    pub(crate) fn disk_mut(&mut self) -> &mut dyn Disk {
        self.disk.as_mut()
    }

    /// Ends the process; its disk goes to the next incarnation.
    pub(crate) fn into_disk(self) -> Box<dyn Disk> {
        self.disk
    }

    /// Begins to leave in order: a leader resigns and waits for a successor.
    pub(crate) fn begin_shutdown(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        self.closing = Some(ctx.now + SHUTDOWN_TIMEOUT);
        self.poll(ctx)
    }

    /// Whether a shutdown in order need not wait any longer (`maybeCompleteShutdown`): another leads, nobody else can,
    /// or the time is over.
    pub(crate) fn may_close(&self, now: Timestamp) -> bool {
        let Some(deadline) = self.closing else { return false };
        let another_leads = self.leader().is_some_and(|leader| leader != self.me);
        let was_leader = matches!(self.state, State::Leader(_) | State::Resigned { .. });
        let alone = self.others().all(|other| self.connections.is_unreachable(other));
        deadline <= now || another_leads || !was_leader || alone
    }

    /// Ends the process in order.
    pub(crate) fn close(&mut self, now_ms: i64) -> Result<(), LogError> {
        self.manager.close(self.disk.as_mut(), &mut [&mut self.log], None, now_ms)
    }

    /// The metadata log.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// The disk.
    pub(crate) fn disk(&self) -> &dyn Disk {
        self.disk.as_ref()
    }
}
