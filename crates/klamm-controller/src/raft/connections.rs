//! What is under way to each other controller (`RequestManager`): one request at a time, and a pause after a failure.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{CallId, NodeId, Rng, Timestamp};

/// The first pause after a connection broke (`KafkaRaftManager.buildNetworkClient`).
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// The longest such pause.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_millis(500);

/// What a call to another controller was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Vote { pre_vote: bool },
    BeginQuorumEpoch,
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot,
}

#[derive(Debug, Clone, Copy)]
enum Connection {
    Awaiting(CallId, Purpose),
    BackingOff(Timestamp),
}

/// The state of the way to each other controller; one that is not listed is free.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections {
    open: BTreeMap<NodeId, Connection>,
    /// How often in a row a node could not be reached.
    unreachable: BTreeMap<NodeId, u32>,
}

impl Connections {
    /// Whether a request may be sent to a node now.
    pub(super) fn is_ready(&self, node: NodeId, now: Timestamp) -> bool {
        match self.open.get(&node) {
            None => true,
            Some(Connection::Awaiting(..)) => false,
            Some(Connection::BackingOff(until)) => *until <= now,
        }
    }

    /// Whether a fetch is under way to anybody.
    pub(super) fn is_fetching(&self) -> bool {
        let fetching = |connection: &Connection| {
            matches!(connection, Connection::Awaiting(_, Purpose::Fetch | Purpose::FetchSnapshot))
        };
        self.open.values().any(fetching)
    }

    /// The fetch of the log that is under way to a node.
    pub(super) fn fetching_from(&self, node: NodeId) -> Option<CallId> {
        match self.open.get(&node) {
            Some(Connection::Awaiting(call, Purpose::Fetch)) => Some(*call),
            _ => None,
        }
    }

    pub(super) fn sent(&mut self, node: NodeId, call: CallId, purpose: Purpose) {
        self.open.insert(node, Connection::Awaiting(call, purpose));
    }

    /// Whose answer a call brings and what it was for; `None` when nobody waits for it any more.
    pub(super) fn answered(&mut self, call: CallId) -> Option<(NodeId, Purpose)> {
        let waiting = self.open.iter().find_map(|(node, connection)| match connection {
            Connection::Awaiting(id, purpose) if *id == call => Some((*node, *purpose)),
            _ => None,
        });
        if let Some((node, _)) = waiting {
            self.open.remove(&node);
        }
        waiting
    }

    /// A node answered, whatever it said.
    pub(super) fn reached(&mut self, node: NodeId) {
        self.unreachable.remove(&node);
    }

    /// Whether a node could not be reached the last time.
    pub(super) fn is_unreachable(&self, node: NodeId) -> bool {
        self.unreachable.contains_key(&node)
    }

    /// A node is not to be asked again for a while.
    pub(super) fn back_off(&mut self, node: NodeId, until: Timestamp) {
        self.open.insert(node, Connection::BackingOff(until));
    }

    /// A node could not be reached: the pause doubles from time to time, give or take a fifth.
    pub(super) fn disconnected(&mut self, node: NodeId, now: Timestamp, rng: &mut Rng) {
        let failures = self.unreachable.entry(node).or_default();
        let pause = RECONNECT_BACKOFF.saturating_mul(1 << (*failures).min(4)).min(RECONNECT_BACKOFF_MAX);
        *failures += 1;
        let permille = 800 + u32::try_from(rng.below(401)).unwrap_or(0);
        let pause = pause * permille / 1000;
        self.back_off(node, now + pause);
    }

    /// Forgets what is under way: answers to it are not heeded any more.
    pub(super) fn reset(&mut self) {
        self.open.clear();
    }

    /// When the next pause ends.
    pub(super) fn next_ready(&self, now: Timestamp) -> Option<Timestamp> {
        let pauses = self.open.values().filter_map(|connection| match connection {
            Connection::BackingOff(until) if *until > now => Some(*until),
            _ => None,
        });
        pauses.min()
    }
}
