//! What a controller's part in the quorum looks like from outside.

use klamm_metadata::SnapshotId;
use klamm_node::NodeId;

use super::Raft;
use super::quorum_state::State;
use crate::inspect::QuorumView;

impl Raft {
    /// Whether a change of `quorum-state` is not durable yet: until it is, nobody may hear of what followed from it.
    pub(crate) const fn is_persisting(&self) -> bool {
        self.persisting.is_some()
    }

    /// Whether this controller leads the quorum.
    pub(crate) const fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader(_))
    }

    /// Whether this controller follows a leader that has answered it.
    pub(crate) const fn follows(&self) -> bool {
        matches!(&self.state, State::Follower(follower) if follower.has_fetched)
    }

    /// The epoch.
    pub(crate) const fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Where the epoch that this controller leads begins.
    pub(crate) const fn epoch_start(&self) -> Option<i64> {
        match &self.state {
            State::Leader(leader) => Some(leader.epoch_start),
            _ => None,
        }
    }

    /// The epoch of the last record.
    pub(super) fn last_epoch(&self) -> i32 {
        let of_snapshot = || self.snapshots.latest().map_or(0, |latest| latest.epoch);
        self.log.latest_epoch().unwrap_or_else(of_snapshot)
    }

    /// The first offset of the log.
    pub(crate) const fn log_start_offset(&self) -> i64 {
        self.log.log_start_offset()
    }

    /// The offset of the next record.
    pub(crate) const fn next_offset(&self) -> i64 {
        self.log.log_end_offset()
    }

    /// The end of what is known to be committed; 0 before it is known.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.high_watermark.unwrap_or(0)
    }

    /// The ids of the quorum's controllers.
    pub(crate) fn voters(&self) -> &[NodeId] {
        &self.voters
    }

    /// What others may see.
    pub(crate) fn view(&self) -> QuorumView {
        let snapshot = |id: SnapshotId| (id.end_offset, id.epoch);
        QuorumView {
            state: self.state.name(),
            epoch: self.epoch,
            leader: NodeId(self.leader_or_none()),
            voted_for: self.voted,
            log_start: self.log.log_start_offset(),
            log_end: self.log.log_end_offset(),
            flushed: self.log.recovery_point(),
            high_watermark: self.high_watermark.unwrap_or(-1),
            epoch_start: self.epoch_start(),
            earliest_snapshot: self.snapshots.earliest().map(snapshot),
            latest_snapshot: self.snapshots.latest().map(snapshot),
        }
    }
}
