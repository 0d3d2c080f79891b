//! Sessions and states of brokers, between the metadata records about them (`BrokerHeartbeatManager`,
//! `BrokerHeartbeatTracker`). Nothing here outlives the controller: a new one gives every broker a fresh session.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{EventId, NodeId, Timestamp};

/// What the controller lets a broker do (`BrokerControlState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerState {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

impl BrokerState {
    pub(crate) const fn is_fenced(self) -> bool {
        matches!(self, Self::Fenced | Self::ShutdownNow)
    }
}

/// What a heartbeat asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeartbeatFacts {
    pub(crate) metadata_offset: i64,
    pub(crate) want_fence: bool,
    pub(crate) want_shut_down: bool,
    /// The offset of the broker's registration: it must have read that far to be unfenced.
    pub(crate) register_offset: i64,
    /// Whether it leads a partition.
    pub(crate) leads: bool,
}

#[derive(Debug, Clone)]
struct Broker {
    fenced: bool,
    metadata_offset: i64,
    /// Where the metadata log stood when the broker's leaderships were moved; -1 outside a controlled shutdown.
    controlled_shutdown_offset: i64,
}

impl Broker {
    const fn is_shutting_down(&self) -> bool {
        self.controlled_shutdown_offset >= 0
    }
}

/// The sessions and states of every registered broker.
#[derive(Debug, Clone)]
pub(crate) struct HeartbeatManager {
    session_timeout: Duration,
    brokers: BTreeMap<NodeId, Broker>,
    /// The last contact with each incarnation, by broker and epoch, and what that followed from.
    contacts: BTreeMap<(NodeId, i64), (Timestamp, Option<EventId>)>,
}

impl HeartbeatManager {
    pub(crate) const fn new(session_timeout: Duration) -> Self {
        Self { session_timeout, brokers: BTreeMap::new(), contacts: BTreeMap::new() }
    }

    /// Forgets everybody.
    pub(crate) fn clear(&mut self) {
        self.brokers.clear();
        self.contacts.clear();
    }

    pub(crate) fn contact(&mut self, id: NodeId, epoch: i64, now: Timestamp, cause: Option<EventId>) {
        self.contacts.insert((id, epoch), (now, cause));
    }

    /// Ends the session of an incarnation that is gone for good.
    pub(crate) fn end_session(&mut self, id: NodeId, epoch: i64) {
        self.contacts.remove(&(id, epoch));
    }

    pub(crate) fn has_valid_session(&self, id: NodeId, epoch: i64, now: Timestamp) -> bool {
        self.contacts.get(&(id, epoch)).is_some_and(|(last, _)| !self.is_expired(*last, now))
    }

    /// An incarnation with a session was heard of again, of which nothing else follows.
    pub(crate) fn contact_again(&mut self, id: NodeId, epoch: i64, at: Timestamp) {
        if let Some((last, _)) = self.contacts.get_mut(&(id, epoch)) {
            *last = at;
        }
    }

    /// When this incarnation was last heard of, while it has a session.
    pub(crate) fn last_contact(&self, id: NodeId, epoch: i64) -> Option<Timestamp> {
        self.contacts.get(&(id, epoch)).map(|(last, _)| *last)
    }

    /// When the first session ends of those that nobody keeps; `None` for never.
    pub(crate) fn next_expiry(&self, is_kept: impl Fn(&(NodeId, i64)) -> bool) -> Option<Timestamp> {
        let silent = self.contacts.iter().filter(|(session, _)| !is_kept(session));
        silent.map(|(_, (last, _))| *last + self.session_timeout).min()
    }

    fn is_expired(&self, last: Timestamp, now: Timestamp) -> bool {
        last + self.session_timeout < now
    }

    /// Takes out one incarnation whose session ended, with what its last contact followed from.
    pub(crate) fn remove_expired(&mut self, now: Timestamp) -> Option<((NodeId, i64), Option<EventId>)> {
        let (key, (_, cause)) = self.contacts.iter().find(|(_, (last, _))| self.is_expired(*last, now))?;
        let (key, cause) = (*key, *cause);
        self.contacts.remove(&key);
        Some((key, cause))
    }

    /// Follows a registration, or a change of one, in the metadata log.
    pub(crate) fn register(&mut self, id: NodeId, fenced: bool) {
        let metadata_offset = match self.brokers.get(&id) {
            Some(broker) if broker.fenced != fenced => broker.metadata_offset,
            _ => -1,
        };
        self.brokers.entry(id).or_insert(Broker {
            fenced,
            metadata_offset: -1,
            controlled_shutdown_offset: -1,
        });
        self.touch(id, fenced, metadata_offset);
    }

    pub(crate) fn remove(&mut self, id: NodeId) {
        self.brokers.remove(&id);
    }

    pub(crate) fn touch(&mut self, id: NodeId, fenced: bool, metadata_offset: i64) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            broker.fenced = fenced;
            broker.metadata_offset = metadata_offset;
            if fenced {
                broker.controlled_shutdown_offset = -1;
            }
        }
    }

    pub(crate) fn fence(&mut self, id: NodeId) {
        if let Some(broker) = self.brokers.get_mut(&id) {
            broker.fenced = true;
        }
    }

    pub(crate) fn is_shutting_down(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(Broker::is_shutting_down)
    }

    /// Notes where the log stood when a broker's leaderships had been moved; only the first time counts.
    pub(crate) fn note_controlled_shutdown(&mut self, id: NodeId, offset: i64) {
        if let Some(broker) = self.brokers.get_mut(&id)
            && broker.controlled_shutdown_offset < 0
        {
            broker.controlled_shutdown_offset = offset;
        }
    }

    /// How far the slowest active broker has read the metadata log; beyond everything when none is active.
    fn lowest_active_offset(&self) -> i64 {
        self.brokers
            .values()
            .filter(|broker| !broker.fenced && !broker.is_shutting_down())
            .map(|broker| broker.metadata_offset)
            .min()
            .unwrap_or(i64::MAX)
    }

    /// A broker's state and the next one, after a heartbeat.
    pub(crate) fn next_state(&self, id: NodeId, facts: HeartbeatFacts) -> (BrokerState, BrokerState) {
        use BrokerState::{ControlledShutdown, Fenced, ShutdownNow, Unfenced};
        let Some(broker) = self.brokers.get(&id) else { return (Fenced, Fenced) };
        if broker.is_shutting_down() {
            // It may go once it leads nothing and every active broker knows that.
            let done = !facts.leads && broker.controlled_shutdown_offset <= self.lowest_active_offset();
            return (ControlledShutdown, if done { ShutdownNow } else { ControlledShutdown });
        }
        if broker.fenced {
            let caught_up = facts.metadata_offset >= facts.register_offset;
            let next = match (facts.want_shut_down, facts.want_fence) {
                (true, _) => ShutdownNow,
                (false, false) if caught_up => Unfenced,
                (false, _) => Fenced,
            };
            return (Fenced, next);
        }
        let next = match (facts.want_fence, facts.want_shut_down) {
            (true, true) => ShutdownNow,
            (true, false) => Fenced,
            (false, true) if facts.leads => ControlledShutdown,
            (false, true) => ShutdownNow,
            (false, false) => Unfenced,
        };
        (Unfenced, next)
    }
}
