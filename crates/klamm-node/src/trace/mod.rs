//! The stream of decisions: what the cluster decided, where, when, why, and what followed from what.
//!
//! Every event has a number, and where it is known the number of the event that caused it: what a node decides in a step
//! follows from the event that the message it answers to followed from, and what a deadline sets off follows from the last event of
//! the step that set the deadline. What a client or a command from outside sets off has no cause in the trace.

mod client;
mod event;
mod group;
mod hash;
mod names;
mod pattern;
mod render;
mod share;
mod transaction;

pub use client::ClientDid;
pub use event::{EventId, TraceEvent, TraceKind};
pub use group::GroupEvent;
pub use names::{EventKind, UnknownKind};
pub use pattern::TracePattern;
pub use share::ShareEvent;
pub use transaction::TransactionEvent;

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use self::hash::RollingHash;
use crate::ids::NodeId;
use crate::time::Timestamp;

/// The trace of a world: the newest events, and a rolling hash over all of them.
#[derive(Debug, Clone)]
pub struct Trace {
    events: VecDeque<Arc<TraceEvent>>,
    capacity: usize,
    recorded: u64,
    hash: RollingHash,
    /// The world's time, where the clock of the node that records does not show it.
    clock: Option<Timestamp>,
    /// What whatever is recorded now follows from.
    cause: Option<EventId>,
    /// The last event since the cause was set.
    last: Option<EventId>,
    /// Where a step went over from one cause to another: how many effects it had by then, and what those follow from.
    turns: Vec<(usize, Option<EventId>)>,
    /// Events for those who listen, since they were last taken; `None` while nobody does.
    heard: Option<Vec<Arc<TraceEvent>>>,
}

impl Trace {
    /// A trace that keeps the newest `capacity` events.
    pub fn new(capacity: usize) -> Self {
        Self {
            events: VecDeque::new(),
            capacity,
            recorded: 0,
            hash: RollingHash::default(),
            clock: None,
            cause: None,
            last: None,
            turns: Vec::new(),
            heard: None,
        }
    }

    /// Whether events are kept or listened to.
    pub const fn is_enabled(&self) -> bool {
        self.capacity > 0 || self.heard.is_some()
    }

    /// Sets the time of the events to come, whatever those who record them believe; `None` leaves it to them.
    pub const fn set_clock(&mut self, clock: Option<Timestamp>) {
        self.clock = clock;
    }

    /// Adds an event.
    pub fn record(&mut self, at: Timestamp, node: Option<NodeId>, kind: TraceKind) {
        self.recorded += 1;
        if !self.is_enabled() {
            return;
        }
        let id = EventId(self.recorded);
        let at = self.clock.unwrap_or(at);
        (at, node, &kind).hash(&mut self.hash);
        let event = Arc::new(TraceEvent { id, cause: self.cause, at, node, kind });
        self.last = Some(id);
        if let Some(heard) = &mut self.heard {
            heard.push(Arc::clone(&event));
        }
        if self.capacity == 0 {
            return;
        }
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// What is recorded from now on follows from `cause`.
    pub const fn begin(&mut self, cause: Option<EventId>) {
        self.cause = cause;
        self.last = None;
    }

    /// Within a step that has asked for `effects` effects so far: what is recorded from now on follows from another `cause`.
    pub fn turn(&mut self, cause: Option<EventId>, effects: usize) {
        if effects > self.turns.last().map_or(0, |(before, _)| *before) {
            self.turns.push((effects, self.effect()));
        }
        self.begin(cause);
    }

    /// The turns of the step that is over, each with how many effects the step had by then and what they follow from. What came
    /// after the last of them follows from [`Trace::effect`].
    pub fn take_turns(&mut self) -> Vec<(usize, Option<EventId>)> {
        std::mem::take(&mut self.turns)
    }

    /// What a message that leaves now follows from: the last event of this step, or else what the step follows from.
    pub const fn effect(&self) -> Option<EventId> {
        match self.last {
            Some(last) => Some(last),
            None => self.cause,
        }
    }

    /// Begins or ends to set events aside for [`Trace::take_heard`].
    pub fn listen(&mut self, on: bool) {
        if on != self.heard.is_some() {
            self.heard = on.then(Vec::new);
        }
    }

    /// The events since the last call, while somebody listens.
    pub fn take_heard(&mut self) -> Vec<Arc<TraceEvent>> {
        self.heard.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The kept events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &TraceEvent> + ExactSizeIterator {
        self.events.iter().map(|event| &**event)
    }

    /// The kept event with this number.
    pub fn event(&self, id: EventId) -> Option<&TraceEvent> {
        let first = self.events.front()?.id;
        let at = usize::try_from(id.0.checked_sub(first.0)?).ok()?;
        self.events.get(at).map(|event| &**event)
    }

    /// Why an event came about: the event, what caused it, what caused that, as far as the kept events go.
    pub fn why(&self, id: EventId) -> Vec<&TraceEvent> {
        let mut chain = Vec::new();
        let mut next = Some(id);
        while let Some(event) = next.and_then(|id| self.event(id)) {
            chain.push(event);
            next = event.cause;
        }
        chain
    }

    /// How many events were ever recorded.
    pub const fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The rolling hash over every event while events are kept or listened to.
    pub fn hash(&self) -> u64 {
        self.hash.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(trace: &mut Trace, node: i32) -> EventId {
        trace.record(Timestamp(u64::from(node.unsigned_abs())), Some(NodeId(node)), TraceKind::NodeStarted);
        EventId(trace.recorded())
    }

    #[test]
    fn an_event_knows_what_it_follows_from() {
        let mut trace = Trace::new(10);
        let first = started(&mut trace, 1);
        let effect = trace.effect();
        trace.begin(effect);
        let second = started(&mut trace, 2);
        trace.begin(None);
        let alone = started(&mut trace, 3);
        trace.begin(Some(second));
        assert_eq!(trace.effect(), Some(second), "a step that decides nothing hands its cause on");
        let third = started(&mut trace, 4);
        let why = |id| trace.why(id).iter().map(|event| event.id).collect::<Vec<_>>();
        assert_eq!(why(third), [third, second, first]);
        assert_eq!(why(alone), [alone]);
    }

    #[test]
    fn a_step_may_follow_from_several_things() {
        let mut trace = Trace::new(10);
        let first = started(&mut trace, 1);
        trace.begin(None);
        let second = started(&mut trace, 2);
        trace.turn(Some(first), 2);
        trace.turn(None, 2);
        trace.turn(Some(first), 3);
        assert_eq!(trace.take_turns(), [(2, Some(second)), (3, None)]);
        assert_eq!(trace.effect(), Some(first), "and what came after the last turn");
        assert!(trace.take_turns().is_empty());
    }

    #[test]
    fn old_events_go_and_numbers_stay() {
        let mut trace = Trace::new(2);
        let ids: Vec<_> = (1..=5).map(|node| started(&mut trace, node)).collect();
        assert_eq!(trace.events().map(|event| event.id).collect::<Vec<_>>(), ids[3..]);
        assert!(trace.event(ids[2]).is_none());
        assert_eq!(trace.event(ids[4]).unwrap().node, Some(NodeId(5)));
    }

    #[test]
    fn listeners_get_each_event_once_and_need_none_kept() {
        let mut trace = Trace::new(0);
        started(&mut trace, 1);
        trace.listen(true);
        started(&mut trace, 2);
        started(&mut trace, 3);
        let heard = trace.take_heard();
        assert_eq!(heard.iter().map(|event| event.id.0).collect::<Vec<_>>(), [2, 3]);
        assert!(trace.take_heard().is_empty() && trace.events().len() == 0);
    }

    #[test]
    fn the_hash_is_of_every_field_and_of_the_order() {
        let hash = |order: &[i32]| {
            let mut trace = Trace::new(1);
            for node in order {
                started(&mut trace, *node);
            }
            trace.hash()
        };
        assert_eq!(hash(&[1, 2]), hash(&[1, 2]));
        assert_ne!(hash(&[1, 2]), hash(&[2, 1]));
        assert_ne!(hash(&[1]), hash(&[1, 1]));
        // The same on every machine.
        assert_eq!(hash(&[1, 2]), 7_168_539_140_388_199_726);
    }
}
