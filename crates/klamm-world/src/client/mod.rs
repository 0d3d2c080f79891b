//! Simulated clients: they live in the world, speak the protocol as values, and see the cluster only through it.

pub(crate) mod aborted;
mod consumer;
mod leaders;
mod outside;
mod producer;
pub mod scripted;
pub(crate) mod transactional;
mod watcher;
mod world;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{ConnectionId, EventId, NodeId, Rng, Timestamp, WallTime};
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use self::consumer::Consumer;
pub use self::consumer::{ConsumerReport, ConsumerSpec, SeenRecord};
pub use self::outside::{Does, Heard, OutsideClient};
pub(crate) use self::producer::DELIVERY_TIMEOUT;
use self::producer::Producer;
pub use self::producer::{Acknowledged, ProducerReport, ProducerSpec};
use self::scripted::{
    AdminSpec, ClientError, ClientOp, HistoryEvent, OpId, OpResult, Ops, Scripted, ScriptedConsumerSpec,
    ScriptedProducerSpec,
};
use self::transactional::Transactional;
pub use self::transactional::{TransactionOutcome, TransactionalReport, TransactionalSpec};
use self::watcher::Watcher;
pub use self::watcher::WatcherSpec;

/// A simulated client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// What a simulated client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientSpec {
    /// Produces.
    Producer(ProducerSpec),
    /// Produces in transactions.
    Transactional(TransactionalSpec),
    /// Consumes.
    Consumer(ConsumerSpec),
    /// Asks where partitions end.
    Watcher(WatcherSpec),
    /// Produces what it is told to.
    ScriptedProducer(ScriptedProducerSpec),
    /// Consumes what it is told to.
    ScriptedConsumer(ScriptedConsumerSpec),
    /// Asks what it is told to.
    Admin(AdminSpec),
}

/// Connections of simulated clients have this bit; those of a driver must not.
const SIMULATED: u64 = 1 << 63;
/// How long a client waits for an answer before it gives its connection up (`request.timeout.ms`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client waits before it tries again what failed (`retry.backoff.ms`).
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// The address of a broker for a connection of its own, beside the usual one (Java's clients have one for a group's
/// coordinator).
pub(crate) const fn second_connection(broker: NodeId) -> NodeId {
    NodeId(i32::MAX - broker.0)
}

/// The broker that an address is of.
pub(crate) const fn broker_at(address: NodeId) -> NodeId {
    if address.0 > i32::MAX / 2 { second_connection(address) } else { address }
}

/// Whether a connection is a simulated client's, and whose.
pub(crate) fn owner(connection: ConnectionId) -> Option<ClientId> {
    (connection.0 & SIMULATED != 0).then_some(ClientId((connection.0 >> 32 & 0x7fff_ffff) as u32))
}

/// A client's name on the network.
pub(crate) fn node_of(client: ClientId) -> NodeId {
    NodeId(-1 - i32::try_from(client.0).unwrap_or(i32::MAX - 1))
}

/// Whether this is a client's name on the network.
pub(crate) const fn is_client(node: NodeId) -> bool {
    node.0 < 0
}

/// What a client is handed for one step.
#[derive(Debug)]
pub(crate) struct ClientCtx<'a> {
    pub(crate) now: Timestamp,
    pub(crate) wall: WallTime,
    pub(crate) rng: &'a mut Rng,
    /// The brokers' node ids: its `bootstrap.servers`.
    pub(crate) brokers: &'a [NodeId],
    calls: &'a mut Calls,
    sent: &'a mut Vec<Sent>,
    news: &'a mut Vec<News>,
}

/// What a scripted client has to tell.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// Something happened.
    Happened(Option<OpId>, HistoryEvent),
    /// An operation ended.
    Ended(OpId, OpResult),
}

/// How a request ended.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The broker answered.
    Response(Response),
    /// The connection broke.
    Disconnected,
    /// No answer came in time, and the connection was given up.
    TimedOut,
}

/// A request that a client sends.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) to: NodeId,
    pub(crate) correlation_id: i32,
    pub(crate) api_key: ApiKey,
    pub(crate) api_version: i16,
    pub(crate) request: Request,
}

impl ClientCtx<'_> {
    /// Asks a broker; the answer comes under the returned correlation id.
    fn ask(&mut self, to: NodeId, api_key: ApiKey, api_version: i16, request: Request) -> i32 {
        self.ask_within(to, api_key, api_version, request, REQUEST_TIMEOUT)
    }

    /// Asks a broker, and gives its connection up when no answer comes in time.
    fn ask_within(
        &mut self,
        to: NodeId,
        api_key: ApiKey,
        api_version: i16,
        request: Request,
        timeout: Duration,
    ) -> i32 {
        let correlation_id = self.calls.next;
        self.calls.next += 1;
        self.calls.open.insert(correlation_id, (to, self.now + timeout));
        self.sent.push(Sent { to, correlation_id, api_key, api_version, request });
        correlation_id
    }

    /// Tells a broker; no answer comes.
    fn tell(&mut self, to: NodeId, api_key: ApiKey, api_version: i16, request: Request) {
        let correlation_id = self.calls.next;
        self.calls.next += 1;
        self.sent.push(Sent { to, correlation_id, api_key, api_version, request });
    }

    /// How many requests to a broker are not answered yet.
    fn in_flight(&self, broker: NodeId) -> usize {
        self.calls.open.values().filter(|(to, _)| *to == broker).count()
    }

    /// Notes what happened.
    fn happened(&mut self, op: Option<OpId>, event: HistoryEvent) {
        self.news.push(News::Happened(op, event));
    }

    /// Ends an operation.
    fn end(&mut self, op: OpId, result: OpResult) {
        self.news.push(News::Ended(op, result));
    }

    /// Ends an operation that the client cannot do.
    fn refuse(&mut self, op: OpId, why: impl Into<String>) {
        self.end(op, Err(ClientError::Unsupported(why.into())));
    }

    /// Any broker.
    fn any_broker(&mut self) -> Option<NodeId> {
        let count = u64::try_from(self.brokers.len()).ok().filter(|count| *count > 0)?;
        self.brokers.get(self.rng.below(count) as usize).copied()
    }
}

/// Requests that are not answered yet: to whom, and until when.
#[derive(Debug, Clone, Default)]
struct Calls {
    open: BTreeMap<i32, (NodeId, Timestamp)>,
    next: i32,
}

#[derive(Debug, Clone)]
enum Client {
    Producer(Producer),
    Transactional(Box<Transactional>),
    Consumer(Consumer),
    Watcher(Watcher),
    Scripted(Box<Scripted>),
}

impl Client {
    fn ask(&mut self, ctx: &mut ClientCtx<'_>, id: OpId, op: ClientOp) {
        match self {
            Self::Producer(_) | Self::Transactional(_) | Self::Consumer(_) | Self::Watcher(_) => {
                ctx.refuse(id, "a client that makes a load takes no orders; ask a scripted one");
            }
            Self::Scripted(client) => client.ask(ctx, id, op),
        }
    }

    fn on_lost(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        if let Self::Scripted(client) = self {
            client.on_lost(ctx, broker);
        }
    }

    fn on_answer(&mut self, ctx: &mut ClientCtx<'_>, correlation_id: i32, answer: Answer) {
        let response = |answer| if let Answer::Response(response) = answer { Some(response) } else { None };
        match self {
            Self::Producer(client) => client.on_answer(ctx, correlation_id, response(answer)),
            Self::Transactional(client) => client.on_answer(ctx, correlation_id, answer),
            Self::Consumer(client) => client.on_answer(ctx, correlation_id, response(answer)),
            Self::Watcher(client) => client.on_answer(ctx, correlation_id, response(answer)),
            Self::Scripted(client) => client.on_answer(ctx, correlation_id, answer),
        }
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        match self {
            Self::Producer(client) => client.go_on(ctx),
            Self::Transactional(client) => client.go_on(ctx),
            Self::Consumer(client) => client.go_on(ctx),
            Self::Watcher(client) => client.go_on(ctx),
            Self::Scripted(client) => client.go_on(ctx),
        }
    }

    /// Every time at which it may have something to do.
    fn next_deadlines(&self) -> Box<dyn Iterator<Item = Timestamp> + '_> {
        match self {
            Self::Producer(client) => Box::new(client.next_deadlines()),
            Self::Transactional(client) => Box::new(client.next_deadlines()),
            Self::Consumer(client) => Box::new(client.next_deadlines()),
            Self::Watcher(client) => Box::new(client.next_deadlines()),
            Self::Scripted(client) => client.next_deadlines(),
        }
    }
}

/// A client's place in the world.
#[derive(Debug, Clone)]
pub(crate) struct ClientSlot {
    pub(crate) id: ClientId,
    pub(crate) deadline: Timestamp,
    /// What each of its deadlines follows from: the last event of the step after which it was there.
    causes: Vec<(Timestamp, Option<EventId>)>,
    client: Client,
    name: StrBytes,
    running: bool,
    rng: Rng,
    calls: Calls,
    connections: BTreeMap<NodeId, ConnectionId>,
    next_connection: u32,
    ops: Ops,
}

/// Something that happens to a client.
#[derive(Debug, Clone)]
pub(crate) enum ClientEvent {
    /// Nothing but time.
    Time,
    /// An answer; `None` for a request that has none.
    Answer { connection: ConnectionId, correlation_id: i32, response: Response },
    /// A connection broke.
    Lost(ConnectionId),
    /// The client is asked to do something.
    Op(OpId, Box<ClientOp>),
}

impl ClientSlot {
    pub(crate) fn new(id: ClientId, seed: u64, spec: ClientSpec) -> Self {
        let client = match spec {
            ClientSpec::Producer(spec) => Client::Producer(Producer::new(id, spec)),
            ClientSpec::Transactional(spec) => Client::Transactional(Box::new(Transactional::new(id, spec))),
            ClientSpec::Consumer(spec) => Client::Consumer(Consumer::new(spec)),
            ClientSpec::Watcher(spec) => Client::Watcher(Watcher::new(spec)),
            ClientSpec::ScriptedProducer(spec) => Client::Scripted(Box::new(Scripted::producer(spec))),
            ClientSpec::ScriptedConsumer(spec) => Client::Scripted(Box::new(Scripted::consumer(spec))),
            ClientSpec::Admin(spec) => Client::Scripted(Box::new(Scripted::admin(spec))),
        };
        let name = match &client {
            Client::Producer(_) | Client::Transactional(_) | Client::Consumer(_) | Client::Watcher(_) => {
                StrBytes::from(format!("client-{}", id.0))
            }
            Client::Scripted(client) => client.settings().client_id.clone(),
        };
        Self {
            id,
            deadline: Timestamp::ZERO,
            causes: Vec::new(),
            client,
            name,
            running: true,
            rng: Rng::stream(seed, &format!("client {}", id.0)),
            calls: Calls::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
            ops: Ops::default(),
        }
    }

    /// The client's name on the network.
    pub(crate) fn node(&self) -> NodeId {
        node_of(self.id)
    }

    /// Its `client.id`.
    pub(crate) fn name(&self) -> StrBytes {
        self.name.clone()
    }

    /// Its connection to a broker; the flag says that it is a new one.
    pub(crate) fn connection(&mut self, to: NodeId) -> (ConnectionId, bool) {
        if let Some(open) = self.connections.get(&to) {
            return (*open, false);
        }
        let id = ConnectionId(SIMULATED | u64::from(self.id.0) << 32 | u64::from(self.next_connection));
        self.next_connection += 1;
        self.connections.insert(to, id);
        (id, true)
    }

    /// Ends a step: the deadlines that it set follow from `cause`.
    pub(crate) fn stamp_timers(&mut self, now: Timestamp, cause: Option<EventId>) {
        let deadlines = self.client.next_deadlines().filter(|at| *at > now);
        let known = |at| self.causes.iter().find(|(known, _)| *known == at).map(|(_, cause)| *cause);
        self.causes = deadlines
            .chain(self.calls.open.values().map(|(_, times_out)| *times_out))
            .map(|at| (at, known(at).unwrap_or(cause)))
            .collect();
    }

    /// What its next deadline follows from.
    pub(crate) fn timer_cause(&self) -> Option<EventId> {
        self.causes.iter().find(|(at, _)| *at == self.deadline).and_then(|(_, cause)| *cause)
    }

    /// Ends it: it does nothing more.
    pub(crate) fn stop(&mut self) -> Vec<ConnectionId> {
        self.running = false;
        self.deadline = Timestamp::MAX;
        std::mem::take(&mut self.connections).into_values().collect()
    }

    /// Runs one step. Returns the connections that the client gave up.
    pub(crate) fn step(
        &mut self,
        now: Timestamp,
        wall: WallTime,
        brokers: &[NodeId],
        event: ClientEvent,
        sent: &mut Vec<Sent>,
        news: &mut Vec<News>,
    ) -> Vec<ConnectionId> {
        if !self.running {
            if let ClientEvent::Op(id, _) = event {
                news.push(News::Ended(id, Err(ClientError::Stopped)));
            }
            return Vec::new();
        }
        let mut given_up = Vec::new();
        let mut lost = Vec::new();
        let mut failed = Vec::new();
        let mut answered = None;
        let mut asked = None;
        match event {
            ClientEvent::Time => {}
            ClientEvent::Answer { connection, correlation_id, response } => {
                if self.connections.values().any(|open| *open == connection)
                    && self.calls.open.remove(&correlation_id).is_some()
                {
                    answered = Some((correlation_id, response));
                }
            }
            ClientEvent::Lost(connection) => {
                let broker = self.connections.iter().find(|(_, open)| **open == connection);
                if let Some(broker) = broker.map(|(broker, _)| *broker) {
                    self.connections.remove(&broker);
                    lost.push(broker);
                    failed.extend(self.calls.fail(broker).map(|id| (id, Answer::Disconnected)));
                }
            }
            ClientEvent::Op(id, op) => asked = Some((id, op)),
        }
        while let Some(broker) = self.calls.overdue(now) {
            given_up.extend(self.connections.remove(&broker));
            lost.push(broker);
            failed.extend(self.calls.fail(broker).map(|id| (id, Answer::TimedOut)));
        }
        let mut ctx =
            ClientCtx { now, wall, rng: &mut self.rng, brokers, calls: &mut self.calls, sent, news };
        for broker in lost {
            self.client.on_lost(&mut ctx, broker);
        }
        for (correlation_id, answer) in failed {
            self.client.on_answer(&mut ctx, correlation_id, answer);
        }
        if let Some((correlation_id, response)) = answered {
            self.client.on_answer(&mut ctx, correlation_id, Answer::Response(response));
        }
        if let Some((id, op)) = asked {
            self.client.ask(&mut ctx, id, *op);
        }
        self.client.go_on(&mut ctx);
        let overdue = self.calls.open.values().map(|(_, times_out)| *times_out).min();
        // What is due now and was not done waits for something other than time.
        let next = self.client.next_deadlines().filter(|at| *at > now).min();
        self.deadline = next.into_iter().chain(overdue).min().unwrap_or(Timestamp::MAX);
        given_up
    }

    /// What a producer has done; `None` for another client.
    pub(crate) const fn producer(&self) -> Option<&ProducerReport> {
        match &self.client {
            Client::Producer(client) => Some(client.report()),
            _ => None,
        }
    }

    /// What a transactional producer has done; `None` for another client.
    pub(crate) const fn transactional(&self) -> Option<&TransactionalReport> {
        if let Client::Transactional(client) = &self.client { Some(client.report()) } else { None }
    }

    /// A producer's records made before `at` of which nothing is known yet.
    pub(crate) fn undecided_since(&self, at: Timestamp) -> u64 {
        match &self.client {
            Client::Producer(client) => client.undecided_since(at),
            Client::Transactional(client) => client.undecided_since(at),
            Client::Consumer(_) | Client::Watcher(_) | Client::Scripted(_) => 0,
        }
    }

    /// What a consumer has seen; `None` for another client.
    pub(crate) const fn consumer(&self) -> Option<&ConsumerReport> {
        match &self.client {
            Client::Consumer(client) => Some(client.report()),
            _ => None,
        }
    }
}

impl Calls {
    /// Ends every call to a broker.
    fn fail(&mut self, broker: NodeId) -> impl Iterator<Item = i32> {
        self.open.extract_if(.., move |_, (to, _)| *to == broker).map(|(id, _)| id)
    }

    /// A broker that has not answered in time.
    fn overdue(&self, now: Timestamp) -> Option<NodeId> {
        self.open.values().find(|(_, times_out)| *times_out <= now).map(|(to, _)| *to)
    }
}
