//! The world itself: `handle`, `next_deadline`, and how one step leads to the next.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use klamm_broker::{Broker, BrokerSettings};
use klamm_controller::{Controller, ControllerSettings};
use klamm_log::disk::{FlushJob, FlushOutcome};
use klamm_log::{Disk, MemoryDisk};
use klamm_node::{
    CallId, ConnectionId, Ctx, Effect, Incoming, NodeId, Origin, ReplyTo, Rng, SendError, Timestamp, Trace,
    TraceEvent, TraceKind, WallTime,
};
use klamm_wire::api::api_of;
use klamm_wire::{Request, Response, StrBytes};

use crate::client::scripted::History;
use crate::client::{self, ClientEvent, ClientId, ClientSlot, ConsumerReport, ProducerReport, Sent};
use crate::clocks::Clocks;
use crate::connection::{Connections, MAX_QUEUED};
use crate::fault::engine::faulty_disk::FaultyDisk;
use crate::fault::engine::network::OUTSIDE;
use crate::fault::{Faults, Messages};
use crate::input::{ClientRequest, Command, Damage, Input, Output};
use crate::network::{Body, Message, Network};
use crate::node::{Node, Slot};
use crate::schedule::Schedule;
use crate::settings::WorldSettings;
use crate::stall::{Stall, StepBudget};
use crate::tap::{Tapped, Traffic};

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

/// How a node's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Shutdown,
    Crash,
    PowerLoss,
}

impl End {
    const fn cause(self) -> &'static str {
        match self {
            Self::Shutdown => "shutdown",
            Self::Crash => "crash",
            Self::PowerLoss => "power loss",
        }
    }
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
            tap: None,
            stepped: None,
            settings,
        }
    }

    /// Lets everything happen that is due by `now`, each thing at its own time; then `input`, and what follows from it
    /// at that moment. A `now` before an earlier call's counts as that call's.
    pub fn handle(&mut self, now: Timestamp, input: Input, out: &mut Vec<Output>) {
        self.budget.reset();
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
            for call in self.slots[slot].calls.expire(self.now) {
                self.respond(slot, call, Err(SendError::TimedOut), out);
            }
        } else if let Some(client) = self.clients.iter().position(|client| client.deadline <= self.now) {
            if self.take_step(out, || format!("timer of client {client}")) {
                self.client_step(client, ClientEvent::Time);
            }
        } else {
            return false;
        }
        true
    }

    fn apply(&mut self, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Tick => {}
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

    fn connect(&mut self, id: ConnectionId, broker: NodeId, host: StrBytes, out: &mut Vec<Output>) {
        if self.slot(broker).is_some_and(|slot| self.slots[slot].node.is_some()) {
            self.connections.open(id, broker, host);
        } else {
            self.emit(broker, Output::Close { connection: id }, out);
        }
    }

    fn on_disconnect(&mut self, id: ConnectionId, out: &mut Vec<Output>) {
        if self.faults.network.is_armed()
            && let Some(broker) = self.connections.get(id).map(|connection| connection.broker)
        {
            self.travel(OUTSIDE, broker, Messages::Requests, Event::ClosedByClient(id));
        } else {
            self.disconnect(id, out);
        }
    }

    pub(crate) fn disconnect(&mut self, id: ConnectionId, out: &mut Vec<Output>) {
        if let Some(connection) = self.connections.close(id) {
            if !self.faults.answers.is_empty() {
                self.forget_struck(
                    |_, to| matches!(to, ReplyTo::Client { connection, .. } if *connection == id),
                );
            }
            self.gone(connection.broker, id, out);
        }
    }

    fn gone(&mut self, broker: NodeId, connection: ConnectionId, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(broker) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].door.wait(Event::Gone { broker, connection });
        } else {
            self.step(slot, out, |node, ctx| node.on_disconnect(ctx, connection));
        }
    }

    fn on_flushed(&mut self, node: NodeId, outcome: FlushOutcome, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(node) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].door.wait(Event::Flushed { node, outcome });
        } else {
            self.step(slot, out, |node, ctx| node.on_flushed(ctx, &outcome));
        }
    }

    fn on_request(&mut self, request: ClientRequest, out: &mut Vec<Output>) {
        if self.faults.network.is_armed()
            && let Some(broker) = self.connections.get(request.connection).map(|connection| connection.broker)
        {
            let event = Event::FromOutside { broker, request: Box::new(request) };
            self.travel(OUTSIDE, broker, Messages::Requests, event);
        } else {
            self.request(request, out);
        }
    }

    /// A request from a client that is gone, or unknown, is dropped.
    fn request(&mut self, request: ClientRequest, out: &mut Vec<Output>) {
        let id = request.connection;
        let Some(connection) = self.connections.get(id) else { return };
        let broker = connection.broker;
        if connection.in_flight.is_none() && connection.queue.is_empty() {
            self.begin(request, out);
        } else if connection.queue.len() < MAX_QUEUED {
            connection.queue.push_back(request);
        } else {
            self.emit(broker, Output::Close { connection: id }, out);
            self.disconnect(id, out);
        }
    }

    /// Hands a request to its connection's broker.
    fn begin(&mut self, request: ClientRequest, out: &mut Vec<Output>) {
        let Some(connection) = self.connections.get(request.connection) else { return };
        let ordinal = connection.begin(&request);
        let broker = connection.broker;
        let incoming = Incoming {
            reply_to: ReplyTo::Client { connection: request.connection, ordinal },
            origin: Origin::Client { connection: request.connection, host: connection.host.clone() },
            api_version: request.api_version,
            client_id: request.client_id,
            request: request.request,
            inspected: request.inspected,
        };
        self.reach(broker, incoming, out);
    }

    /// A request is at a node's door, where faults may hit it.
    fn reach(&mut self, node: NodeId, incoming: Incoming, out: &mut Vec<Output>) {
        if self.faults.requests.is_empty() {
            self.enter(node, incoming, out);
        } else if let Some(incoming) = self.strike_request(node, Box::new(incoming), out) {
            self.enter(node, *incoming, out);
        }
    }

    fn enter(&mut self, node: NodeId, incoming: Incoming, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(node) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            let incarnation = self.slots[slot].incarnation;
            self.slots[slot].door.wait(Event::Enter { node, incarnation, incoming: Box::new(incoming) });
            return;
        }
        let step = || match &incoming.origin {
            Origin::Client { .. } => format!("{} from a client to node {node}", name(&incoming.request)),
            Origin::Node(from) => format!("{} from node {from} to node {node}", name(&incoming.request)),
        };
        if !self.take_step(out, step) {
            return;
        }
        self.listen(node, incoming.reply_to, || Traffic::Request {
            api_version: incoming.api_version,
            request: incoming.request.clone(),
        });
        self.step(slot, out, |node, ctx| node.on_request(ctx, incoming));
    }

    /// Lets in one who waited at a node's door, if one can.
    fn admit_one(&mut self, out: &mut Vec<Output>) -> bool {
        for slot in 0..self.slots.len() {
            if let Some(event) = self.slots[slot].door.admit(self.now) {
                self.happen(event, out);
                self.slots[slot].door.admitted();
                return true;
            }
        }
        false
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

    fn arrive(&mut self, message: Message, out: &mut Vec<Output>) {
        let Message { from, to, body } = message;
        match body {
            Body::Request { call, incarnation, api_version, request } => {
                let slot = self.slot(to).filter(|slot| {
                    let slot = &self.slots[*slot];
                    slot.node.is_some() && incarnation.is_none_or(|sent_to| sent_to == slot.incarnation)
                });
                if slot.is_none() {
                    self.send(to, from, Body::Failure { call, error: SendError::Disconnected });
                    return;
                }
                let incoming = Incoming {
                    reply_to: ReplyTo::Node { node: from, call },
                    origin: Origin::Node(from),
                    api_version,
                    client_id: None,
                    request: *request,
                    inspected: None,
                };
                self.reach(to, incoming, out);
            }
            body @ (Body::Response { .. } | Body::Failure { .. }) if self.is_shut(to) => {
                if let Some(slot) = self.slot(to) {
                    self.slots[slot].door.wait(Event::Arrival(Message { from, to, body }));
                }
            }
            Body::Response { call, response } => self.respond_to(to, call, Ok(response), out),
            Body::Failure { call, error } => self.respond_to(to, call, Err(error), out),
        }
    }

    /// Ends a call with its result, if it has not ended (timed out, or died with its caller's process).
    fn respond_to(
        &mut self,
        caller: NodeId,
        call: CallId,
        result: Result<Response, SendError>,
        out: &mut Vec<Output>,
    ) {
        if let Some(slot) = self.slot(caller)
            && self.slots[slot].calls.close(call)
        {
            self.respond(slot, call, result, out);
        }
    }

    fn respond(
        &mut self,
        slot: usize,
        call: CallId,
        result: Result<Response, SendError>,
        out: &mut Vec<Output>,
    ) {
        let caller = self.slots[slot].id;
        if self.take_step(out, || format!("a response to node {caller}")) {
            self.step(slot, out, |node, ctx| node.on_response(ctx, call, result));
        }
    }

    /// Runs one step of a node, then does what it asked for.
    pub(crate) fn step(
        &mut self,
        slot: usize,
        out: &mut Vec<Output>,
        step: impl FnOnce(&mut Node, &mut Ctx<'_>),
    ) {
        let mut effects = std::mem::take(&mut self.effects);
        self.stepped = Some(self.slots[slot].id);
        self.slots[slot].step(self.now, &mut self.trace, &mut effects, step);
        self.schedule.follow(self.trace.effect());
        if self.faults.doors
            && let Some(done) = self.slow_down(slot)
        {
            let (node, incarnation) = (self.slots[slot].id, self.slots[slot].incarnation);
            let effects = std::mem::take(&mut effects);
            self.schedule.push(self.now, done, Event::Effects { node, incarnation, effects });
        } else {
            self.perform(slot, &mut effects, out);
        }
        self.effects = effects;
    }

    fn is_shut(&self, node: NodeId) -> bool {
        self.slot(node).is_some_and(|slot| self.slots[slot].door.is_shut(self.now))
    }

    fn perform(&mut self, slot: usize, effects: &mut Vec<Effect>, out: &mut Vec<Output>) {
        let node = self.slots[slot].id;
        for effect in effects.drain(..) {
            self.listen_to_effect(node, &effect);
            match effect {
                Effect::Send { to, call, api_version, request, timeout_ms } => {
                    let times_out = self.now + Duration::from_millis(u64::from(timeout_ms));
                    self.slots[slot].calls.open(call, to, times_out);
                    let incarnation = self.slot(to).and_then(|to| {
                        let to = &self.slots[to];
                        to.node.is_some().then_some(to.incarnation)
                    });
                    self.send(node, to, Body::Request { call, incarnation, api_version, request });
                }
                Effect::Reply { to, response } if !self.faults.hit_answers() => {
                    self.answer(node, to, response, None, out);
                }
                Effect::Reply { to, response } => {
                    if let Some(response) = self.strike_answer(node, to, response, out) {
                        self.answer(node, to, response, None, out);
                    }
                }
                Effect::NoReply { to } => {
                    if !self.faults.answers.is_empty() && self.strike_no_answer(to) {
                        self.close_reply(node, to, out);
                    } else if let ReplyTo::Client { connection, ordinal } = to {
                        self.finish(connection, ordinal, None, None, out);
                    }
                }
                Effect::Close { to } => {
                    self.faults.answers.remove(&to);
                    self.close_reply(node, to, out);
                }
                Effect::Reached { fault, at, partition } => self.reached(node, fault, at, &partition),
                Effect::Halt => self.end(node, End::Shutdown, out),
            }
        }
    }

    /// Sends an answer to whom it is for. Only a client outside can be sent a damaged one.
    pub(crate) fn answer(
        &mut self,
        node: NodeId,
        to: ReplyTo,
        response: Response,
        damage: Option<Damage>,
        out: &mut Vec<Output>,
    ) {
        match to {
            ReplyTo::Node { node: caller, call } => {
                self.send(node, caller, Body::Response { call, response })
            }
            ReplyTo::Client { connection, ordinal } => {
                self.finish(connection, ordinal, Some(response), damage, out);
            }
        }
    }

    /// Closes the connection that a request came over.
    pub(crate) fn close_reply(&mut self, node: NodeId, to: ReplyTo, out: &mut Vec<Output>) {
        match to {
            ReplyTo::Node { node: caller, call } => {
                self.send(node, caller, Body::Failure { call, error: SendError::Disconnected });
            }
            ReplyTo::Client { connection, ordinal } => {
                if self.connections.get(connection).is_some_and(|open| open.end(ordinal).is_some()) {
                    self.connections.close(connection);
                    self.emit(node, Output::Close { connection }, out);
                }
            }
        }
    }

    /// Ends a client's request; its connection's next may begin.
    fn finish(
        &mut self,
        connection: ConnectionId,
        ordinal: u64,
        response: Option<Response>,
        damage: Option<Damage>,
        out: &mut Vec<Output>,
    ) {
        let Some(open) = self.connections.get(connection) else { return };
        let Some(request) = open.end(ordinal) else { return };
        if !open.queue.is_empty() {
            self.schedule.push(self.now, self.now, Event::NextRequest(connection));
        }
        let (broker, correlation_id) = (open.broker, request.correlation_id);
        if let Some(Damage::Truncate { .. }) = damage {
            self.connections.close(connection);
        }
        let output = match (response, damage) {
            (Some(response), Some(damage)) => Output::Damaged {
                connection,
                correlation_id,
                api_key: request.api_key,
                api_version: request.api_version,
                response,
                damage,
            },
            (Some(response), None) => Output::Response {
                connection,
                correlation_id,
                api_key: request.api_key,
                api_version: request.api_version,
                response,
            },
            (None, _) => Output::NoResponse { connection, correlation_id },
        };
        self.emit(broker, output, out);
    }

    /// Hands an output of a broker's to the driver, or to the simulated client whose it is.
    fn emit(&mut self, broker: NodeId, output: Output, out: &mut Vec<Output>) {
        let (owner, event) = match output {
            Output::Response { connection, correlation_id, response, .. }
                if client::owner(connection).is_some() =>
            {
                (client::owner(connection), ClientEvent::Answer { connection, correlation_id, response })
            }
            Output::NoResponse { connection, .. } if client::owner(connection).is_some() => return,
            Output::Close { connection } if client::owner(connection).is_some() => {
                (client::owner(connection), ClientEvent::Lost(connection))
            }
            output if self.faults.network.is_armed() => {
                self.travel(broker, OUTSIDE, Messages::Answers, Event::ToOutside { broker, output });
                return;
            }
            output => {
                out.push(output);
                return;
            }
        };
        let Some(owner) = owner else { return };
        let Some(client) = self.client(owner).map(ClientSlot::node) else { return };
        self.depart(broker, client, Messages::Answers, Event::ToClient(owner, event));
    }

    pub(crate) fn client_step(&mut self, index: usize, event: ClientEvent) {
        let brokers: Vec<_> = self.settings.brokers.iter().map(|broker| broker.node).collect();
        let wall = WallTime(self.settings.wall_epoch.millis() + self.now.as_millis());
        let (mut sent, mut news) = (Vec::new(), Vec::new());
        let slot = &mut self.clients[index];
        let given_up = slot.step(self.now, wall, &brokers, event, &mut sent, &mut news);
        let (id, from) = (slot.id, slot.node());
        self.note_client_news(index, news);
        self.schedule.follow(self.trace.effect());
        for Sent { to, correlation_id, api_key, api_version, request } in sent {
            let slot = &mut self.clients[index];
            let (connection, opens) = slot.connection(to);
            let request = Box::new(ClientRequest {
                connection,
                correlation_id,
                api_key,
                api_version,
                client_id: Some(slot.name()),
                request,
                inspected: None,
            });
            let broker = client::broker_at(to);
            self.depart(from, broker, Messages::Requests, Event::FromClient { broker, opens, request });
        }
        for connection in given_up {
            self.close_from_client(id, connection);
        }
    }

    fn close_from_client(&mut self, client: ClientId, connection: ConnectionId) {
        let broker = self.connections.get(connection).map(|open| open.broker);
        if let (Some(broker), Some(from)) = (broker, self.client(client).map(ClientSlot::node)) {
            self.depart(from, broker, Messages::Requests, Event::ClosedByClient(connection));
        }
    }

    pub(crate) fn client(&self, id: ClientId) -> Option<&ClientSlot> {
        self.clients.get(id.0 as usize)
    }

    pub(crate) fn has_client(&self, id: ClientId) -> bool {
        self.client(id).is_some()
    }

    pub(crate) fn client_mut(&mut self, id: ClientId) -> Option<&mut ClientSlot> {
        self.clients.get_mut(id.0 as usize)
    }

    /// What a simulated producer has done.
    pub fn producer(&self, id: ClientId) -> Option<&ProducerReport> {
        self.client(id)?.producer()
    }

    /// What a simulated consumer has seen.
    pub fn consumer(&self, id: ClientId) -> Option<&ConsumerReport> {
        self.client(id)?.consumer()
    }

    fn send(&mut self, from: NodeId, to: NodeId, body: Body) {
        let kind = if matches!(body, Body::Request { .. }) { Messages::Requests } else { Messages::Answers };
        self.depart(from, to, kind, Event::Arrival(Message { from, to, body }));
    }

    /// Sends a message on its way.
    fn depart(&mut self, from: NodeId, to: NodeId, kind: Messages, event: Event) {
        if self.faults.network.is_armed() {
            self.travel(from, to, kind, event);
            return;
        }
        let at = self.network.arrival(self.now, from, to);
        self.schedule.push(self.now, at, event);
    }

    pub(crate) fn start(&mut self, id: NodeId, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(id) else {
            out.push(Output::NodeFailed { node: id, message: format!("there is no node {id}") });
            return;
        };
        if self.slots[slot].node.is_some() {
            return;
        }
        self.trace.record(self.now, Some(id), TraceKind::NodeStarted);
        let mut effects = std::mem::take(&mut self.effects);
        let booted = match self.broker_settings(id) {
            Some(settings) => self.slots[slot].boot(self.now, &mut self.trace, &mut effects, |disk, ctx| {
                let booted = Broker::boot(settings, disk, ctx).map(|node| Node::Broker(Box::new(node)));
                booted.map_err(|failure| (failure.error, Some(failure.disk)))
            }),
            None => {
                let settings = self.controller_settings(id);
                self.slots[slot].boot(self.now, &mut self.trace, &mut effects, |disk, ctx| {
                    let booted = Controller::boot(settings, disk, ctx);
                    booted.map(|node| Node::Controller(Box::new(node))).map_err(|error| (error, None))
                })
            }
        };
        if !self.faults.registry.is_empty() {
            self.arm_breakpoints_of(slot, out);
            self.check_checksums(slot);
            self.note_disk(slot);
        }
        match booted {
            Some(Ok(())) => out.push(Output::NodeStarted { node: id }),
            Some(Err((error, disk))) => {
                if let Some(mut disk) = disk {
                    disk.crash();
                    self.slots[slot].disk = Some(disk);
                }
                out.push(Output::NodeFailed { node: id, message: error.to_string() });
            }
            None => out.push(Output::NodeFailed {
                node: id,
                message: "its disk was lost when an earlier start failed".to_owned(),
            }),
        }
        self.schedule.follow(self.trace.effect());
        self.perform(slot, &mut effects, out);
        self.effects = effects;
    }

    pub(crate) fn stop(&mut self, id: NodeId, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(id) else { return };
        if self.slots[slot].door.is_shut(self.now) {
            self.slots[slot].door.wait(Event::Stop(id));
            return;
        }
        let mut in_order = true;
        self.step(slot, out, |node, ctx| in_order = node.begin_shutdown(ctx));
        if !in_order {
            self.end(id, End::Shutdown, out);
        }
    }

    pub(crate) fn end(&mut self, id: NodeId, how: End, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(id) else { return };
        let Some(disk) = self.slots[slot].end() else { return };
        if how == End::PowerLoss {
            let mut torn = Rng::stream(self.settings.seed, &format!("power loss of {id} at {}", self.now.0));
            disk.power_loss(&mut |_, unflushed| torn.below(unflushed.saturating_add(1)));
        } else {
            disk.crash();
        }
        self.trace.record(self.now, Some(id), TraceKind::NodeStopped { cause: how.cause() });
        self.schedule.follow(self.trace.effect());
        if self.faults.disks {
            self.note_disk(slot);
        }
        for connection in self.connections.close_all(id) {
            self.emit(id, Output::Close { connection }, out);
        }
        // Whoever waits for this node's answer sees the connection break.
        for caller in 0..self.slots.len() {
            let calls: Vec<_> = self.slots[caller].calls.to(id).collect();
            let caller = self.slots[caller].id;
            for call in calls {
                self.send(id, caller, Body::Failure { call, error: SendError::Disconnected });
            }
        }
        out.push(Output::NodeStopped { node: id, cause: how.cause() });
        if let Some(pause) = self.slots[slot].door.reset() {
            self.faults.registry.disarm(pause);
        }
        self.forget_struck(|node, _| node == id);
        if std::mem::take(&mut self.slots[slot].restarts) && how == End::Shutdown {
            self.schedule.push(self.now, self.now, Event::Restart(id));
        }
    }

    fn broker_settings(&self, id: NodeId) -> Option<BrokerSettings> {
        let spec = self.settings.brokers.iter().find(|broker| broker.node == id)?;
        Some(BrokerSettings {
            node: id,
            cluster_id: self.cluster_id.clone(),
            host: spec.host.clone(),
            port: spec.port,
            rack: spec.rack.clone(),
            controllers: self.settings.controllers.clone(),
            config: self.settings.config.clone(),
            kafka_version: self.settings.kafka_version,
            eras: self.settings.eras,
        })
    }

    fn controller_settings(&self, id: NodeId) -> ControllerSettings {
        let mut settings = ControllerSettings::new(id, self.cluster_id.clone());
        settings.voters.clone_from(&self.settings.controllers);
        settings.config.clone_from(&self.settings.config);
        settings.of_release(self.settings.kafka_version, self.settings.eras)
    }

    pub(crate) fn slot(&self, id: NodeId) -> Option<usize> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok()
    }

    /// Counts a step; false when the budget is used up, which stops the world.
    fn take_step(&mut self, out: &mut Vec<Output>, name: impl FnOnce() -> String) -> bool {
        match self.budget.take(self.now, name) {
            Ok(()) => true,
            Err(stall) => {
                self.schedule.clear();
                self.trace.record(self.now, None, TraceKind::Note { text: stall.to_string() });
                self.stall = Some(stall.clone());
                out.push(Output::Stalled(stall));
                false
            }
        }
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

/// A request's kind, for a person.
fn name(request: &Request) -> &'static str {
    api_of(request).map_or("a request", |api| api.name)
}

mod fork;

pub use fork::CannotFork;

#[cfg(test)]
mod tests;
