//! The states of a voter (`QuorumState`, `EpochState`), and `quorum-state`: what it must remember across restarts
//! (`FileQuorumStateStore`).

use std::collections::BTreeSet;

use klamm_log::disk::FlushState;
use klamm_log::{Disk, LogError};
use klamm_node::{Ctx, NodeId, Timestamp, TraceKind};

use super::Raft;
use super::election::Election;
use super::replication::LeaderState;
use super::snapshot::SnapshotDownload;

/// What a voter does in its epoch.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Waits for a leader to show up; votes for whoever stands first.
    Unattached {
        leader: Option<NodeId>,
        deadline: Timestamp,
    },
    /// Asks whether it would be elected, without beginning an epoch (KIP-996).
    Prospective {
        leader: Option<NodeId>,
        election: Election,
        deadline: Timestamp,
    },
    /// Stands for election, having voted for itself. Without pre-votes it may also be waiting for its next attempt.
    Candidate {
        election: Election,
        deadline: Timestamp,
        retries: u32,
        backing_off: bool,
    },
    Leader(LeaderState),
    Follower(FollowerState),
    /// Led the epoch and does so no more; tells the others, and lets one of them come first.
    Resigned {
        unacked: BTreeSet<NodeId>,
        successors: Vec<NodeId>,
        deadline: Timestamp,
    },
}

/// A voter that follows a leader.
#[derive(Debug, Clone)]
pub(super) struct FollowerState {
    pub(super) leader: NodeId,
    /// When it gives its leader up.
    pub(super) fetch_deadline: Timestamp,
    /// Whether the leader has answered a fetch: then it is alive, and nobody else gets this voter's pre-vote.
    pub(super) has_fetched: bool,
    pub(super) download: Option<SnapshotDownload>,
}

impl State {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Unattached { .. } => "Unattached",
            Self::Prospective { .. } => "Prospective",
            Self::Candidate { .. } => "Candidate",
            Self::Leader(_) => "Leader",
            Self::Follower(_) => "Follower",
            Self::Resigned { .. } => "Resigned",
        }
    }
}

/// Whom a voter follows and voted for: what `quorum-state` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ElectionState {
    pub(super) leader: Option<NodeId>,
    pub(super) epoch: i32,
    pub(super) voted: Option<NodeId>,
}

impl ElectionState {
    fn path(log_dir: &str) -> String {
        format!("{log_dir}/quorum-state")
    }

    /// Reads the file in a log's directory; epoch 0 without a leader where there is none.
    pub(super) fn read(disk: &dyn Disk, log_dir: &str) -> Result<Self, LogError> {
        let path = Self::path(log_dir);
        let Some(bytes) = disk.read_file(&path)? else {
            return Ok(Self { leader: None, epoch: 0, voted: None });
        };
        let text = String::from_utf8_lossy(&bytes);
        let field = |name: &str| {
            number_after(&text, &format!("\"{name}\":"))
                .ok_or_else(|| LogError::Corrupt { path: path.clone(), message: format!("no {name}") })
        };
        let node = |id: i32| (id >= 0).then_some(NodeId(id));
        Ok(Self {
            leader: node(field("leaderId")?),
            epoch: field("leaderEpoch")?,
            voted: node(field("votedId")?),
        })
    }

    /// Writes the file as Kafka does where the voters are fixed (`kraft.version` 0, hence data version 0).
    fn write(&self, disk: &mut dyn Disk, log_dir: &str, voters: &[NodeId]) -> Result<FlushState, LogError> {
        let id = |node: Option<NodeId>| node.map_or(-1, |node| node.0);
        let voters: Vec<String> = voters.iter().map(|voter| format!("{{\"voterId\":{voter}}}")).collect();
        let text = format!(
            "{{\"clusterId\":\"\",\"leaderId\":{},\"leaderEpoch\":{},\"votedId\":{},\"appliedOffset\":0,\
             \"currentVoters\":[{}],\"data_version\":0}}",
            id(self.leader),
            self.epoch,
            id(self.voted),
            voters.join(",")
        );
        Ok(disk.replace_file(&Self::path(log_dir), text.as_bytes())?)
    }
}

/// The integer that follows `marker`.
fn number_after(text: &str, marker: &str) -> Option<i32> {
    let rest = text[text.find(marker)? + marker.len()..].trim_start();
    let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl Raft {
    /// The leader of the epoch, where it is known. One that resigned is still its epoch's leader.
    pub(crate) const fn leader(&self) -> Option<NodeId> {
        match &self.state {
            State::Unattached { leader, .. } | State::Prospective { leader, .. } => *leader,
            State::Candidate { .. } => None,
            State::Leader(_) | State::Resigned { .. } => Some(self.me),
            State::Follower(follower) => Some(follower.leader),
        }
    }

    fn election_state(&self) -> ElectionState {
        // A leader's vote for itself is of no use any more.
        let voted =
            if matches!(self.state, State::Leader(_) | State::Resigned { .. }) { None } else { self.voted };
        ElectionState { leader: self.leader(), epoch: self.epoch, voted }
    }

    /// Goes over to another state. What must outlive this process is on its way to the disk when this returns; until it
    /// is there, nobody hears of it.
    pub(super) fn transition(
        &mut self,
        ctx: &mut Ctx<'_>,
        epoch: i32,
        voted: Option<NodeId>,
        state: State,
        cause: &'static str,
    ) -> Result<(), LogError> {
        debug_assert!(epoch >= self.epoch, "epochs only grow");
        let from = self.state.name();
        self.epoch = epoch;
        self.voted = voted;
        self.state = state;
        self.retry_at = None;
        if ctx.tracing() {
            let (to, leader) = (self.state.name(), self.leader());
            ctx.trace(TraceKind::QuorumState { from, to, epoch, leader, cause });
        }
        self.since = ctx.trace.effect();
        self.connections.reset();
        self.persist()
    }

    /// Writes down what changed of the epoch, its leader and our vote.
    pub(super) fn persist(&mut self) -> Result<(), LogError> {
        let state = self.election_state();
        if self.written == Some(state) || self.persisting.is_some() {
            // A write that is under way is followed by another when it is done.
            return Ok(());
        }
        self.written = Some(state);
        match state.write(self.disk.as_mut(), self.log.dir(), &self.voters)? {
            FlushState::Done => {}
            FlushState::Pending(flush) => self.persisting = Some(flush),
        }
        Ok(())
    }

    /// An epoch greater than ours was seen, or the hope for one in this epoch given up.
    pub(super) fn become_unattached(
        &mut self,
        ctx: &mut Ctx<'_>,
        epoch: i32,
        leader: Option<NodeId>,
        cause: &'static str,
    ) -> Result<(), LogError> {
        let kept = match &self.state {
            State::Candidate { deadline, backing_off: false, .. }
            | State::Unattached { deadline, .. }
            | State::Resigned { deadline, .. } => Some(*deadline),
            State::Prospective { election, deadline, .. } if !election.is_rejected() => Some(*deadline),
            _ => None,
        };
        let deadline = match kept {
            Some(deadline) => deadline,
            None => self.election_deadline(ctx),
        };
        let voted = if epoch == self.epoch { self.voted } else { None };
        self.transition(ctx, epoch, voted, State::Unattached { leader, deadline }, cause)
    }

    pub(super) fn become_follower(
        &mut self,
        ctx: &mut Ctx<'_>,
        epoch: i32,
        leader: NodeId,
        cause: &'static str,
    ) -> Result<(), LogError> {
        let follower = FollowerState {
            leader,
            fetch_deadline: ctx.now + self.config.fetch_timeout,
            has_fetched: false,
            download: None,
        };
        let voted = if epoch == self.epoch { self.voted } else { None };
        self.transition(ctx, epoch, voted, State::Follower(follower), cause)
    }

    /// Leads no more, without knowing who will.
    pub(super) fn become_resigned(&mut self, ctx: &mut Ctx<'_>, cause: &'static str) -> Result<(), LogError> {
        let State::Leader(leader) = &self.state else { return Ok(()) };
        let successors = leader.voters_by_progress(self.me);
        let unacked = successors.iter().copied().collect();
        let deadline = self.election_deadline(ctx);
        let voted = self.voted;
        self.transition(ctx, self.epoch, voted, State::Resigned { unacked, successors, deadline }, cause)
    }

    /// One to two election timeouts from now, at random so that voters do not stand all at once.
    pub(super) fn election_deadline(&mut self, ctx: &Ctx<'_>) -> Timestamp {
        let timeout = self.config.election_timeout;
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        let extra = if millis == 0 { 0 } else { self.rng.below(millis) };
        ctx.now + timeout + std::time::Duration::from_millis(extra)
    }
}
