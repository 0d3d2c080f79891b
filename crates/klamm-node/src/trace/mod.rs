//! The stream of decisions: what the cluster decided, where, when and why.

mod event;

pub use event::{TraceEvent, TraceKind};

use std::collections::VecDeque;

use crate::ids::NodeId;
use crate::time::Timestamp;

/// The trace of a world: the newest events, and a rolling hash over all of them.
#[derive(Debug, Clone)]
pub struct Trace {
    events: VecDeque<TraceEvent>,
    capacity: usize,
    recorded: u64,
    hash: u64,
    /// The world's time, where the clock of the node that records does not show it.
    clock: Option<Timestamp>,
}

impl Trace {
    /// A trace that keeps the newest `capacity` events.
    pub fn new(capacity: usize) -> Self {
        Self { events: VecDeque::new(), capacity, recorded: 0, hash: 0xcbf2_9ce4_8422_2325, clock: None }
    }

    /// Whether events are kept.
    pub const fn is_enabled(&self) -> bool {
        self.capacity > 0
    }

    /// Sets the time of the events to come, whatever those who record them believe; `None` leaves it to them.
    pub const fn set_clock(&mut self, clock: Option<Timestamp>) {
        self.clock = clock;
    }

    /// Adds an event.
    pub fn record(&mut self, at: Timestamp, node: Option<NodeId>, kind: TraceKind) {
        let event = TraceEvent { at: self.clock.unwrap_or(at), node, kind };
        self.recorded += 1;
        if self.capacity == 0 {
            return;
        }
        self.mix(event.to_string().as_bytes());
        if self.events.len() == self.capacity {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Folds bytes into the rolling hash (FNV-1a).
    pub fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The kept events, oldest first.
    pub fn events(&self) -> impl ExactSizeIterator<Item = &TraceEvent> {
        self.events.iter()
    }

    /// How many events were ever recorded.
    pub const fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The rolling hash over every event while events are kept.
    pub const fn hash(&self) -> u64 {
        self.hash
    }
}
