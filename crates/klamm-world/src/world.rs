//! The world itself: `handle`, `next_deadline`, and how one step leads to the next.

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_log::disk::{FlushJob, FlushOutcome};
use klamm_log::{Disk, MemoryDisk};
use klamm_node::{
    ConnectionId, Effect, Incoming, NodeId, ReplyTo, Rng, SendError, Timestamp, Trace, TraceEvent,
};
use klamm_wire::{Response, StrBytes};

use crate::client::scripted::History;
use crate::client::{ClientEvent, ClientId, ClientSlot, Sent};
use crate::clocks::Clocks;
use crate::connection::Connections;
use crate::fault::Faults;
use crate::fault::engine::faulty_disk::FaultyDisk;
use crate::input::{ClientRequest, Command, Input, Output};
use crate::network::{Message, Network};
use crate::node::{Node, Slot};
use crate::schedule::Schedule;
use crate::settings::WorldSettings;
use crate::stall::{Stall, StepBudget};
use crate::tap::Tapped;

/// A whole cluster: every broker and controller, their disks, and the network between them.
///
/// The contract with whoever drives it:
/// 1. call [`World::handle`] with a time that does not go back, whenever something happens outside;
/// 2. perform the [`Output`]s it pushed, in order;
/// 3. call it with [`Input::Tick`] no later than [`World::next_deadline`].
///
/// A late call is no problem: everything that was due is done at the time it was due.
#[derive(Debug)]
pub struct World {
    pub(crate) settings: WorldSettings,
    cluster_id: StrBytes,
    now: Timestamp,
    /// Every node, in order of node ids.
    pub(crate) slots: Vec<Slot>,
    pub(crate) network: Network,
    pub(crate) schedule: Schedule<Event>,
    pub(crate) connections: Connections,
    pub(crate) clients: Vec<ClientSlot>,
    pub(crate) client_history: History,
    pub(crate) trace: Trace,
    pub(crate) faults: Faults,
    budget: StepBudget,
    stall: Option<Stall>,
    /// Empty between steps; kept for its capacity.
    effects: Vec<Effect>,
    /// As `effects`, for what clients send.
    sent: Vec<Sent>,
    /// The brokers' ids: the `bootstrap.servers` of simulated clients.
    brokers: Vec<NodeId>,
    /// What passed between nodes and whoever talks to them, while somebody listens.
    pub(crate) tap: Option<Vec<Tapped>>,
    /// The node that last took a step.
    pub(crate) stepped: Option<NodeId>,
}

/// Something that happens at its time.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A message arrives.
    Arrival(Message),
    /// A connection's broker turns to the next request.
    NextRequest(ConnectionId),
    /// A simulated client's request arrives; `opens` says that it is the first on its connection.
    FromClient { broker: NodeId, opens: bool, request: Box<ClientRequest> },
    /// A simulated client has closed a connection.
    ClosedByClient(ConnectionId),
    /// Something happens to a simulated client.
    ToClient(ClientId, ClientEvent),
    /// A request reaches its node, past the faults that might have hit it.
    Enter { node: NodeId, incarnation: u32, incoming: Box<Incoming> },
    /// An answer leaves its node, past the faults that might have hit it.
    Answer { node: NodeId, to: ReplyTo, response: Response },
    /// A step that took time is done.
    Effects { node: NodeId, incarnation: u32, effects: Vec<Effect> },
    /// A client's request arrives from outside, over a network with faults.
    FromOutside { broker: NodeId, request: Box<ClientRequest> },
    /// Something for a client outside gets through a network with faults.
    ToOutside { broker: NodeId, output: Output },
    /// A broker learns that a connection is gone.
    Gone { broker: NodeId, connection: ConnectionId },
    /// An fsync that a node's disk asked for is done.
    Flushed { node: NodeId, outcome: FlushOutcome },
    /// A node is told to stop in order.
    Stop(NodeId),
    /// A node that has stopped in order starts again.
    Restart(NodeId),
}

impl World {
    /// A world in which nothing runs yet: [`Command::Start`] starts each node. A node without a disk in `disks` gets an
    /// empty one in memory.
    pub fn new(settings: WorldSettings, mut disks: BTreeMap<NodeId, Box<dyn Disk>>) -> Self {
        let cluster_id = settings.cluster_id.clone().unwrap_or_else(|| cluster_id(settings.seed));
        let mut ids: Vec<_> = settings.brokers.iter().map(|broker| broker.node).collect();
        ids.extend(&settings.controllers);
        ids.sort_unstable();
        ids.dedup();
        let slots = ids
            .into_iter()
            .map(|id| {
                let disk = disks.remove(&id).unwrap_or_else(|| empty_disk(&settings));
                let disk = Box::new(FaultyDisk::new(disk));
                Slot::new(id, settings.seed, Clocks::new(settings.wall_epoch.millis()), disk)
            })
            .collect();
        Self {
            cluster_id,
            now: Timestamp::ZERO,
            slots,
            network: Network::new(settings.seed, settings.link),
            schedule: Schedule::default(),
            connections: Connections::default(),
            clients: Vec::new(),
            client_history: History::new(settings.client_history),
            trace: Trace::new(settings.trace_capacity),
            faults: Faults::default(),
            budget: StepBudget::new(settings.step_budget),
            stall: None,
            effects: Vec::new(),
            sent: Vec::new(),
            brokers: settings.brokers.iter().map(|broker| broker.node).collect(),
            tap: None,
            stepped: None,
            settings,
        }
    }

    /// Lets everything happen that is due by `now`, each thing at its own time; then `input`, and what follows from it
    /// at that moment. A `now` before an earlier call's counts as that call's.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        self.budget.reset();
        if let Input::Pass { from } = input {
            self.advance(from.min(now), out);
            self.pass(now, out);
        }
        self.advance(now, out);
        if self.stall.is_none() {
            self.trace.begin(None);
            self.schedule.follow(None);
            self.apply(input, out);
            self.settle(out);
        }
    }

    /// Drives the world through virtual time until `end`, jumping from one event to the next. `observe` sees the world
    /// after each, and takes what it wants of the outputs.
    pub fn run_until(&mut self, end: Timestamp, mut observe: impl FnMut(&Self, &mut Vec<Output>)) {
        let mut out = Vec::new();
        while let Some(at) = self.next_deadline().filter(|at| *at <= end) {
            self.handle(at, Input::Tick, &mut out);
            observe(self, &mut out);
            out.clear();
        }
        self.handle(end, Input::Tick, &mut out);
        observe(self, &mut out);
    }

    /// When the world next wants to be handed an [`Input::Tick`]; `None` when nothing will happen by itself.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let at = self.next_event();
        (at != Timestamp::MAX && self.stall.is_none()).then_some(at.max(self.now))
    }

    /// The time of the last call of [`World::handle`].
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// What the world is made of.
    pub const fn settings(&self) -> &WorldSettings {
        &self.settings
    }

    /// The cluster's id.
    pub const fn cluster_id(&self) -> &StrBytes {
        &self.cluster_id
    }

    /// What was decided so far.
    pub const fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Begins or ends to set trace events aside for [`World::take_heard`].
    pub fn listen_to_trace(&mut self, on: bool) {
        self.trace.listen(on);
    }

    /// The trace events since the last call, while somebody listens.
    pub fn take_heard(&mut self) -> Vec<Arc<TraceEvent>> {
        self.trace.take_heard()
    }

    /// Why the world has stopped, if it has.
    pub const fn stall(&self) -> Option<&Stall> {
        self.stall.as_ref()
    }

    /// How many clients' connections are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// How many messages nodes have sent each other: requests, responses, broken connections.
    pub const fn messages(&self) -> u64 {
        self.network.sent()
    }

    /// Things that wait: events on their way and calls that are not answered.
    pub fn pending(&self) -> usize {
        self.schedule.len() + self.slots.iter().map(|slot| slot.calls.len()).sum::<usize>()
    }

    fn next_event(&self) -> Timestamp {
        let nodes = self.slots.iter().fold(self.schedule.next(), |earliest, slot| earliest.min(slot.next()));
        self.clients.iter().fold(nodes, |earliest, client| earliest.min(client.deadline))
    }

    fn advance(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        while self.stall.is_none() {
            let next = self.next_event();
            if next > now {
                break;
            }
            if next > self.now {
                self.now = next;
                self.budget.reset();
            }
            self.settle(out);
        }
        self.now = self.now.max(now);
    }

    /// Lets `input` happen now, and nothing of what follows from it: that is for [`World::step_next`].
    pub fn input(&mut self, input: Input, out: &mut Vec<Output>) {
        self.stepped = None;
        self.budget.reset();
        if self.stall.is_none() {
            self.trace.begin(None);
            self.schedule.follow(None);
            self.apply(input, out);
        }
    }

    /// Lets the next thing happen that is due by `end`, and only that; false when there is none, and then it is `end`. For those
    /// who look at the world after each step.
    pub fn step_next(&mut self, end: Timestamp, out: &mut Vec<Output>) -> bool {
        self.stepped = None;
        let next = self.next_event();
        if self.stall.is_some() || next > end || next == Timestamp::MAX {
            self.now = self.now.max(end);
            return false;
        }
        if next > self.now {
            self.now = next;
            self.budget.reset();
        }
        self.settle_one(out);
        true
    }

    /// Lets happen what is due at this moment, until nothing is.
    fn settle(&mut self, out: &mut Vec<Output>) {
        while self.stall.is_none() && self.settle_one(out) {}
    }

    /// Lets one thing happen that is due at this moment; false when nothing is.
    fn settle_one(&mut self, out: &mut Vec<Output>) -> bool {
        let due = self.schedule.pop_due(self.now);
        self.trace.begin(self.schedule.cause());
        if let Some(event) = due {
            self.happen(event, out);
        } else if self.faults.doors && self.admit_one(out) {
            // Somebody who waited at a node's door is in.
        } else if let Some(slot) =
            self.slots.iter().position(|slot| slot.deadline <= self.now && slot.door.can_step(self.now))
        {
            let node = self.slots[slot].id;
            if self.take_step(out, || format!("timer of node {node}")) {
                self.step(slot, out, |node, ctx| node.on_timer(ctx));
            }
        } else if let Some(slot) = self
            .slots
            .iter()
            .position(|slot| slot.calls.earliest_timeout() <= self.now && slot.door.can_step(self.now))
        {
            for (call, cause) in self.slots[slot].calls.expire(self.now) {
                self.trace.begin(cause);
                self.respond(slot, call, Err(SendError::TimedOut), out);
            }
        } else if let Some(client) = self.clients.iter().position(|client| client.deadline <= self.now) {
            if self.take_step(out, || format!("timer of client {client}")) {
                self.trace.begin(self.clients[client].timer_cause());
                self.client_step(client, ClientEvent::Time);
            }
        } else {
            return false;
        }
        true
    }

    fn apply(&mut self, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Tick | Input::Pass { .. } => {}
            Input::Connect { connection, broker, host } => self.connect(connection, broker, host, out),
            Input::Disconnect { connection } => self.on_disconnect(connection, out),
            Input::Request(request) => self.on_request(request, out),
            Input::Command(command) => self.command(command, out),
            Input::Flushed { node, outcome } => self.on_flushed(node, outcome, out),
        }
    }

    /// The fsyncs that nodes have asked for and nobody has performed. Run each without the world, and report it with
    /// [`Input::Flushed`]. Disks in memory ask only where [`WorldSettings::deferred_flush`] says so.
    pub fn take_flush_jobs(&mut self) -> Vec<(NodeId, FlushJob)> {
        let mut jobs = Vec::new();
        for slot in &mut self.slots {
            if let Some(disk) = slot.node.as_mut().and_then(Node::disk_mut) {
                jobs.extend(disk.take_flush_jobs().into_iter().map(|job| (slot.id, job)));
            }
        }
        jobs
    }

    fn command(&mut self, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Start(node) => self.start(node, out),
            Command::Stop(node) => self.stop(node, out),
            Command::Crash(node) => self.end(node, End::Crash, out),
            Command::PowerLoss(node) => self.end(node, End::PowerLoss, out),
            Command::SetLink { from, to, link } => self.network.set(from, to, link),
            Command::SetWallSkew { node, millis } => {
                if let Some(slot) = self.slot(node) {
                    self.slots[slot].clocks.wall_skew = millis;
                }
            }
            Command::AddClient(spec) => {
                let id = ClientId(u32::try_from(self.clients.len()).unwrap_or(u32::MAX));
                self.clients.push(ClientSlot::new(id, self.settings.seed, spec));
            }
            Command::Client { client, op } => self.ask_client(client, op),
            Command::StopClient(id) => {
                for connection in self.stop_client(id) {
                    self.close_from_client(id, connection);
                }
            }
            Command::Inject { id, fault } => self.inject_fault(id, *fault, out),
            Command::Heal(id) => self.heal_fault(id, out),
            Command::HealAll => self.heal_all_faults(out),
        }
    }

    fn happen(&mut self, event: Event, out: &mut Vec<Output>) {
        match event {
            Event::Arrival(message) => self.arrive(message, out),
            Event::NextRequest(id) => {
                if let Some(connection) = self.connections.get(id)
                    && connection.in_flight.is_none()
                    && let Some(request) = connection.queue.pop_front()
                {
                    self.begin(request, out);
                }
            }
            Event::FromClient { broker, opens, request } => {
                if opens {
                    let host = StrBytes::from_static_str("simulated");
                    self.connect(request.connection, broker, host, out);
                }
                self.request(*request, out);
            }
            Event::ClosedByClient(connection) => self.disconnect(connection, out),
            Event::ToClient(client, event) => {
                if let Some(index) = self.clients.iter().position(|slot| slot.id == client)
                    && self.take_step(out, || format!("an answer to client {}", client.0))
                {
                    self.client_step(index, event);
                }
            }
            Event::Enter { node, incarnation, incoming } => {
                let is_there = self.slot(node).is_some_and(|slot| {
                    self.slots[slot].node.is_some() && self.slots[slot].incarnation == incarnation
                });
                if is_there {
                    self.enter(node, *incoming, out);
                }
            }
            Event::Answer { node, to, response } => self.answer(node, to, response, None, out),
            Event::Effects { node, incarnation, mut effects } => {
                if let Some(slot) = self.slot(node)
                    && self.slots[slot].node.is_some()
                    && self.slots[slot].incarnation == incarnation
                {
                    self.perform(slot, &mut effects, out);
                }
            }
            Event::FromOutside { request, .. } => self.request(*request, out),
            Event::ToOutside { output, .. } => out.push(output),
            Event::Gone { broker, connection } => self.gone(broker, connection, out),
            Event::Flushed { node, outcome } => self.on_flushed(node, outcome, out),
            Event::Stop(node) => self.stop(node, out),
            Event::Restart(node) => self.start(node, out),
        }
    }

    pub(crate) fn slot(&self, id: NodeId) -> Option<usize> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok()
    }
}

fn empty_disk(settings: &WorldSettings) -> Box<dyn Disk> {
    Box::new(if settings.deferred_flush { MemoryDisk::with_deferred_flush() } else { MemoryDisk::new() })
}

/// The id of a cluster with this seed, as Kafka prints one: 16 bytes in URL-safe base64, which is 22 characters.
pub fn cluster_id(seed: u64) -> StrBytes {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bits = u128::from_be_bytes(Rng::stream(seed, "cluster id").uuid().into_bytes());
    let text: String = (0..22)
        .map(|i| {
            let shifted = if i == 21 { bits << 4 } else { bits >> (122 - 6 * i) };
            char::from(ALPHABET[(shifted & 0x3f) as usize])
        })
        .collect();
    StrBytes::from(text)
}

mod clients;
mod fork;
mod idle;
mod lifecycle;
mod step;

pub use fork::CannotFork;
pub(crate) use lifecycle::End;

#[cfg(test)]
mod tests;
