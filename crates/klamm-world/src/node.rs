//! A node's place in the world: its process when it runs, its disk when it does not, its clocks, its open calls.

use klamm_broker::Broker;
use klamm_controller::Controller;
use klamm_log::Disk;
use klamm_log::disk::FlushOutcome;
use klamm_node::idle::{IdleClock, IdlePeers, IdleTraffic};
use klamm_node::{
    CallId, ConnectionId, Ctx, Effect, EventId, Incoming, NodeId, Rng, SendError, Timestamp, Trace,
};
use klamm_wire::Response;

use crate::clocks::Clocks;
use crate::fault::engine::door::Door;
use crate::network::Calls;
use crate::world::Event;

/// A running node.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// A broker.
    Broker(Box<Broker>),
    /// A controller.
    Controller(Box<Controller>),
    /// A node that a test of the world itself plays.
    #[cfg(test)]
    Probe(crate::probe::Probe),
}

impl Node {
    pub(crate) fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        match self {
            Self::Broker(node) => node.on_request(ctx, incoming),
            Self::Controller(node) => node.on_request(ctx, incoming),
            #[cfg(test)]
            Self::Probe(node) => node.on_request(ctx, incoming),
        }
    }

    pub(crate) fn on_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        call: CallId,
        result: Result<Response, SendError>,
    ) {
        match self {
            Self::Broker(node) => node.on_response(ctx, call, result),
            Self::Controller(node) => node.on_response(ctx, call, result),
            #[cfg(test)]
            Self::Probe(node) => node.on_response(ctx, call, result),
        }
    }

    pub(crate) fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        match self {
            Self::Broker(node) => node.on_timer(ctx),
            Self::Controller(node) => node.on_timer(ctx),
            #[cfg(test)]
            Self::Probe(node) => node.on_timer(ctx),
        }
    }

    /// Ends a step: the deadlines that it set follow from `cause`.
    fn stamp_timers(&mut self, cause: Option<EventId>) {
        match self {
            Self::Broker(node) => node.stamp_timers(cause),
            Self::Controller(node) => node.stamp_timers(cause),
            #[cfg(test)]
            Self::Probe(_) => {}
        }
    }

    pub(crate) fn on_disconnect(&mut self, ctx: &mut Ctx<'_>, connection: ConnectionId) {
        if let Self::Broker(node) = self {
            node.on_disconnect(ctx, connection);
        }
    }

    pub(crate) fn on_flushed(&mut self, ctx: &mut Ctx<'_>, outcome: &FlushOutcome) {
        match self {
            Self::Broker(node) => node.on_flushed(ctx, outcome),
            Self::Controller(node) => node.on_flushed(ctx, outcome),
            #[cfg(test)]
            Self::Probe(_) => {}
        }
    }

    pub(crate) fn disk_mut(&mut self) -> Option<&mut dyn Disk> {
        match self {
            Self::Broker(node) => Some(node.disk_mut()),
            Self::Controller(node) => Some(node.disk_mut()),
            #[cfg(test)]
            Self::Probe(_) => None,
        }
    }

    /// Begins to stop in order; false when such a node just stops.
    pub(crate) fn begin_shutdown(&mut self, ctx: &mut Ctx<'_>) -> bool {
        match self {
            Self::Broker(node) => {
                node.begin_controlled_shutdown(ctx);
                true
            }
            Self::Controller(node) => {
                node.shut_down(ctx);
                true
            }
            #[cfg(test)]
            Self::Probe(_) => false,
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Broker(node) => node.next_deadline(),
            Self::Controller(node) => node.next_deadline(),
            #[cfg(test)]
            Self::Probe(node) => node.next_deadline(),
        }
    }

    /// The traffic of the node that may be idle.
    pub(crate) fn idle_traffic(&self) -> IdleTraffic {
        match self {
            Self::Broker(node) => node.idle_traffic(),
            Self::Controller(node) => node.idle_traffic(),
            #[cfg(test)]
            Self::Probe(_) => IdleTraffic::default(),
        }
    }

    /// Until when the node does nothing that is not idle.
    pub(crate) fn idle_until(&self, clock: IdleClock, peers: &IdlePeers) -> Timestamp {
        match self {
            Self::Broker(node) => node.idle_until(clock, peers),
            Self::Controller(node) => node.idle_until(clock, peers),
            #[cfg(test)]
            Self::Probe(node) => node.next_deadline().unwrap_or(Timestamp::MAX),
        }
    }

    pub(crate) fn into_disk(self) -> Box<dyn Disk> {
        match self {
            Self::Broker(node) => node.into_disk(),
            Self::Controller(node) => node.into_disk(),
            #[cfg(test)]
            Self::Probe(_) => Box::new(klamm_log::MemoryDisk::default()),
        }
    }
}

/// A node's place.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) id: NodeId,
    /// The process, while it runs.
    pub(crate) node: Option<Node>,
    /// The disk, while it does not.
    pub(crate) disk: Option<Box<dyn Disk>>,
    /// How often the node was started.
    pub(crate) incarnation: u32,
    /// When the node's next timer is due, in the world's time.
    pub(crate) deadline: Timestamp,
    pub(crate) clocks: Clocks,
    pub(crate) calls: Calls,
    /// Keeps out what comes while the node cannot step.
    pub(crate) door: Door,
    /// Whether it starts again when it has stopped in order.
    pub(crate) restarts: bool,
    rng: Rng,
    next_call: u64,
}

impl Slot {
    pub(crate) fn new(id: NodeId, seed: u64, clocks: Clocks, disk: Box<dyn Disk>) -> Self {
        Self {
            id,
            node: None,
            disk: Some(disk),
            incarnation: 0,
            deadline: Timestamp::MAX,
            clocks,
            calls: Calls::default(),
            door: Door::default(),
            restarts: false,
            rng: Rng::stream(seed, &format!("node {id}")),
            next_call: 0,
        }
    }

    /// Runs one step of the node with its context; nothing when the node is down.
    pub(crate) fn step<T>(
        &mut self,
        now: Timestamp,
        trace: &mut Trace,
        effects: &mut Vec<Effect>,
        step: impl FnOnce(&mut Node, &mut Ctx<'_>) -> T,
    ) -> Option<T> {
        let node = self.node.as_mut()?;
        let mut ctx = Ctx {
            now: self.clocks.monotonic(now),
            wall: self.clocks.wall(now),
            node: self.id,
            rng: &mut self.rng,
            trace,
            effects,
            next_call: &mut self.next_call,
        };
        if !self.clocks.is_true() {
            ctx.trace.set_clock(Some(now));
        }
        let result = step(node, &mut ctx);
        trace.set_clock(None);
        node.stamp_timers(trace.effect());
        self.refresh_deadline();
        Some(result)
    }

    /// The node's clocks, for time that is passed over.
    pub(crate) fn idle_clock(&self, now: Timestamp) -> IdleClock {
        IdleClock { now: self.clocks.monotonic(now), wall: self.clocks.wall(now) }
    }

    /// Works out again when the node's next timer is due.
    pub(crate) fn refresh_deadline(&mut self) {
        let next = self.node.as_ref().and_then(Node::next_deadline);
        self.deadline = next.map_or(Timestamp::MAX, |at| self.clocks.to_world(at));
    }

    /// A request has come that must wait. A process that is stopped does not know of it yet; any other has read it, and does at
    /// once what needs no waiting.
    pub(crate) fn note_arrival(&mut self, now: Timestamp, incoming: &mut Incoming, cause: Option<EventId>) {
        if self.door.paused.is_none() {
            note_arrival(&mut self.node, self.clocks.monotonic(now), incoming, cause);
        }
    }

    /// The process goes on, and reads what has come meanwhile.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.door.paused = None;
        for (incoming, cause) in self.door.requests_mut() {
            note_arrival(&mut self.node, self.clocks.monotonic(now), incoming, cause);
        }
    }

    /// Lets in one who waits at the door, if one can; [`Door::admitted`] must follow.
    pub(crate) fn admit(&mut self, now: Timestamp) -> Option<(Event, Option<EventId>)> {
        let shown = self.clocks.monotonic(now);
        let node = &self.node;
        let expired = |incoming: &Incoming| match node {
            Some(Node::Controller(controller)) => {
                controller.deadline(incoming).filter(|deadline| *deadline <= shown)
            }
            _ => None,
        };
        self.door.admit(now, self.deadline.min(self.calls.earliest_timeout()), expired)
    }

    /// When the node next has something to do.
    pub(crate) fn next(&self) -> Timestamp {
        self.door.opens_for(self.deadline.min(self.calls.earliest_timeout()))
    }

    /// Starts the node's process with `boot`, which is handed the disk.
    pub(crate) fn boot<E>(
        &mut self,
        now: Timestamp,
        trace: &mut Trace,
        effects: &mut Vec<Effect>,
        boot: impl FnOnce(Box<dyn Disk>, &mut Ctx<'_>) -> Result<Node, E>,
    ) -> Option<Result<(), E>> {
        let disk = self.disk.take()?;
        let mut ctx = Ctx {
            now: self.clocks.monotonic(now),
            wall: self.clocks.wall(now),
            node: self.id,
            rng: &mut self.rng,
            trace,
            effects,
            next_call: &mut self.next_call,
        };
        if !self.clocks.is_true() {
            ctx.trace.set_clock(Some(now));
        }
        let booted = boot(disk, &mut ctx);
        trace.set_clock(None);
        let mut node = match booted {
            Ok(node) => node,
            Err(error) => return Some(Err(error)),
        };
        node.stamp_timers(trace.effect());
        self.incarnation += 1;
        self.deadline = node.next_deadline().map_or(Timestamp::MAX, |at| self.clocks.to_world(at));
        self.node = Some(node);
        Some(Ok(()))
    }

    /// Ends the process and returns its disk to its place.
    pub(crate) fn end(&mut self) -> Option<&mut Box<dyn Disk>> {
        let node = self.node.take()?;
        self.deadline = Timestamp::MAX;
        self.calls = Calls::default();
        Some(self.disk.insert(node.into_disk()))
    }
}

fn note_arrival(node: &mut Option<Node>, now: Timestamp, incoming: &mut Incoming, cause: Option<EventId>) {
    if incoming.arrived.is_none() {
        incoming.arrived = Some(now);
        if let Some(Node::Controller(controller)) = node {
            controller.on_arrival(now, incoming, cause);
        }
    }
}
