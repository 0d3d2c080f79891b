//! One assigned partition: where the consumer is in it, and whether it knows that place to be right
//! (`SubscriptionState.TopicPartitionState`).

use std::collections::VecDeque;

use klamm_node::{NodeId, Timestamp};

use crate::client::scripted::metadata::KnownLeader;
use crate::client::scripted::op::ConsumedRecord;

/// The offset to read next, and what is known of the log there (`FetchPosition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) offset: i64,
    /// The leader epoch of the record before it; `None` when unknown.
    pub(super) epoch: Option<i32>,
    /// The leader under which it was last found right.
    pub(super) leader: Option<KnownLeader>,
}

/// What has to happen before the partition can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody has said where to begin.
    Unset,
    /// The log's beginning or end (a ListOffsets timestamp) is asked for.
    AwaitReset(i64),
    /// A new leader has to say whether the position is still in its log (KIP-320).
    AwaitValidation,
    /// Nothing.
    Fetching,
}

#[derive(Debug, Clone)]
pub(super) struct Assigned {
    pub(super) state: State,
    pub(super) position: Option<Position>,
    /// What was fetched and not handed out yet, and the position behind it.
    pub(super) fetched: VecDeque<ConsumedRecord>,
    pub(super) behind_fetched: Option<Position>,
    /// The broker and the end that `fetched` was read up to.
    pub(super) fetched_from: (NodeId, i64),
    /// Nothing is asked about it before this.
    pub(super) retry_at: Timestamp,
    /// A request about it is under way.
    pub(super) asked: bool,
    /// The replica to read from instead of the leader, and until when (KIP-392).
    pub(super) preferred: Option<(NodeId, Timestamp)>,
}

impl Assigned {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Unset,
            position: None,
            fetched: VecDeque::new(),
            behind_fetched: None,
            fetched_from: (NodeId(-1), -1),
            retry_at: Timestamp::ZERO,
            asked: false,
            preferred: None,
        }
    }

    /// Goes to a position and forgets what was fetched elsewhere.
    pub(super) fn seek(&mut self, position: Position, state: State) {
        self.position = Some(position);
        self.state = state;
        self.fetched.clear();
        self.behind_fetched = None;
        self.asked = false;
        self.retry_at = Timestamp::ZERO;
    }

    /// Goes wherever the log begins or ends.
    pub(super) fn reset(&mut self, timestamp: i64) {
        self.state = State::AwaitReset(timestamp);
        self.fetched.clear();
        self.behind_fetched = None;
        self.asked = false;
        self.retry_at = Timestamp::ZERO;
    }

    /// Compares the leader that metadata knows with the one under which the position was found right
    /// (`maybeValidatePosition`).
    pub(super) fn saw_leader(&mut self, leader: KnownLeader) {
        if !matches!(self.state, State::Fetching | State::AwaitValidation) || leader.leader.is_none() {
            return;
        }
        let Some(position) = &mut self.position else { return };
        if position.leader == Some(leader) {
            return;
        }
        position.leader = Some(leader);
        self.preferred = None;
        self.asked = false;
        self.retry_at = Timestamp::ZERO;
        self.state = if position.epoch.is_some() && leader.epoch >= 0 {
            State::AwaitValidation
        } else {
            State::Fetching
        };
    }
}
