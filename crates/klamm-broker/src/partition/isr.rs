//! The in-sync replicas: who joins, who leaves, and what is on its way to the controller (KIP-497, KIP-841, KIP-903).

use klamm_metadata::{ClusterImage, LeaderRecoveryState};
use klamm_node::{Era, Eras, NodeId};
use klamm_wire::ErrorCode;

use crate::partition::replica::Replica;
use crate::partition::{Changes, LeaderEnv, Partition};

/// An ISR that the leader wants, with each member's broker epoch (-1 where the leader does not know it).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IsrProposal {
    /// The leader's epoch when it proposed.
    pub(crate) leader_epoch: i32,
    /// The partition's epoch when it proposed.
    pub(crate) partition_epoch: i32,
    /// The recovery state to commit.
    pub(crate) leader_recovery_state: LeaderRecoveryState,
    /// The members.
    pub(crate) isr: Vec<(NodeId, i64)>,
}

/// Whether the leader has proposed another ISR (`PartitionState`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IsrState {
    /// Nothing is on its way.
    Committed,
    /// A follower is to join. It counts already, which is only the stricter.
    PendingExpand {
        /// The follower.
        replica: NodeId,
        /// What was sent.
        sent: IsrProposal,
    },
    /// Followers are to leave. They count until the controller has committed it.
    PendingShrink {
        /// What was sent.
        sent: IsrProposal,
    },
}

impl IsrState {
    /// Whether a proposal is on its way.
    pub(crate) const fn is_inflight(&self) -> bool {
        !matches!(self, Self::Committed)
    }

    /// The proposal on its way.
    pub(crate) const fn sent(&self) -> Option<&IsrProposal> {
        match self {
            Self::Committed => None,
            Self::PendingExpand { sent, .. } | Self::PendingShrink { sent } => Some(sent),
        }
    }
}

/// Whether a replica may join the ISR: not fenced, not shutting down, and known by the broker epoch that it fetches with.
pub(crate) fn is_eligible(cluster: &ClusterImage, replica: &Replica, eras: Eras) -> bool {
    let Some(stored) = replica.broker_epoch else { return false };
    (cluster.is_active(replica.id) || eras.on(Era::NoIsrFencing))
        && (stored == -1 || cluster.epoch(replica.id) == Some(stored))
}

impl Partition {
    /// Whether a replica is in the maximal ISR: committed, or about to join.
    pub(crate) fn in_maximal_isr(&self, id: NodeId) -> bool {
        let state = self.leading.as_ref().map(|l| &l.isr_state);
        if self.eras.on(Era::NoMaximalIsr) {
            let kept =
                state.and_then(IsrState::sent).is_none_or(|sent| sent.isr.iter().any(|(m, _)| *m == id));
            return kept && self.isr.contains(&id);
        }
        self.isr.contains(&id)
            || matches!(state, Some(IsrState::PendingExpand { replica, .. }) if *replica == id)
    }

    /// The size of the maximal ISR.
    pub(crate) fn maximal_isr_len(&self) -> usize {
        let Some(state) = &self.leading else { return self.isr.len() };
        match &state.isr_state {
            IsrState::PendingExpand { .. } if !self.eras.on(Era::NoMaximalIsr) => self.isr.len() + 1,
            IsrState::PendingShrink { sent } if self.eras.on(Era::NoMaximalIsr) => sent.isr.len(),
            _ => self.isr.len(),
        }
    }

    /// `min.insync.replicas`, but never more than there are replicas.
    pub(crate) fn effective_min_isr(&self) -> usize {
        let configured = usize::try_from(self.log.config().min_insync_replicas).unwrap_or(1);
        if self.eras.on(Era::StrictMinIsr) { configured.min(self.replicas.len()) } else { configured }
    }

    /// Whether the committed ISR is smaller than `min.insync.replicas` asks.
    pub(crate) fn is_under_min_isr(&self) -> bool {
        self.isr.len() < self.effective_min_isr()
    }

    /// R4: after a fetch of `follower`, proposes the ISR with it when it is in sync and may join.
    pub(crate) fn maybe_expand_isr(&mut self, follower: NodeId, env: LeaderEnv<'_>) -> Option<IsrProposal> {
        let state = self.leading.as_ref()?;
        if state.isr_state.is_inflight() || self.isr.contains(&follower) {
            return None;
        }
        let replica = state.remote(follower)?;
        let in_sync = replica.log_end_offset >= self.log.high_watermark()
            && (replica.log_end_offset >= state.epoch_start_offset || self.eras.on(Era::IsrExpandHwOnly));
        if !in_sync || !is_eligible(env.cluster, replica, self.eras) {
            return None;
        }
        let mut isr = self.isr.clone();
        isr.push(follower);
        let sent = self.proposal(&isr, env);
        self.leading.as_mut()?.isr_state = IsrState::PendingExpand { replica: follower, sent: sent.clone() };
        Some(sent)
    }

    /// R3: proposes the ISR without the members that fell behind. Not while another proposal is on its way.
    pub(crate) fn maybe_shrink_isr(&mut self, env: LeaderEnv<'_>) -> Option<IsrProposal> {
        let state = self.leading.as_ref()?;
        if state.isr_state.is_inflight() {
            return None;
        }
        let log_end = self.log.log_end_offset();
        let stays = |id: &NodeId| {
            *id == env.me
                || state.remote(*id).is_some_and(|r| r.is_caught_up(log_end, env.now_ms, env.max_lag_ms))
        };
        let isr: Vec<NodeId> = self.isr.iter().copied().filter(stays).collect();
        if isr.len() == self.isr.len() {
            return None;
        }
        let sent = self.proposal(&isr, env);
        self.leading.as_mut()?.isr_state = IsrState::PendingShrink { sent: sent.clone() };
        if self.eras.on(Era::NoMaximalIsr) {
            self.maybe_increment_high_watermark(env);
        }
        Some(sent)
    }

    fn proposal(&self, isr: &[NodeId], env: LeaderEnv<'_>) -> IsrProposal {
        let epoch = |id: NodeId| {
            if id == env.me {
                env.my_epoch
            } else {
                let remote = self.leading.as_ref().and_then(|l| l.remote(id));
                remote.and_then(|r| r.broker_epoch).unwrap_or(-1)
            }
        };
        IsrProposal {
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            leader_recovery_state: self.leader_recovery_state,
            isr: isr.iter().map(|id| (*id, epoch(*id))).collect(),
        }
    }

    /// The controller refused a proposal. True when it should be sent again.
    pub(crate) fn on_alter_partition_error(&mut self, sent: &IsrProposal, error: ErrorCode) -> bool {
        let Some(state) = self.leading.as_mut().filter(|l| l.isr_state.sent() == Some(sent)) else {
            return false;
        };
        match error {
            // The controller says that our epochs are right and that nothing was applied.
            ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica => {
                state.isr_state = IsrState::Committed;
                self.changes.add(Changes::ISR);
                false
            }
            // Our view is old: the proposal stays pending until metadata says what is.
            ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::InvalidUpdateVersion
            | ErrorCode::InvalidRequest
            | ErrorCode::NewLeaderElected => false,
            _ => true,
        }
    }

    /// The controller committed a proposal, or found it to be the state already.
    pub(crate) fn on_alter_partition_success(
        &mut self,
        sent: &IsrProposal,
        leader_epoch: i32,
        partition_epoch: i32,
        isr: Vec<NodeId>,
        recovery: LeaderRecoveryState,
        env: LeaderEnv<'_>,
    ) {
        let Some(state) = self.leading.as_mut().filter(|l| l.isr_state.sent() == Some(sent)) else { return };
        if leader_epoch != self.leader_epoch || partition_epoch < self.partition_epoch {
            return;
        }
        state.isr_state = IsrState::Committed;
        self.changes.add(Changes::ISR);
        self.isr = isr;
        self.leader_recovery_state = recovery;
        self.partition_epoch = partition_epoch;
        // The ISR may be down to the leader alone.
        self.maybe_increment_high_watermark(env);
    }
}
