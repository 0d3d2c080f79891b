//! Simulated clients: they live in the world, speak the protocol as values, and see the cluster only through it.

mod consumer;
mod leaders;
mod producer;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{ConnectionId, NodeId, Rng, Timestamp, WallTime};
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use self::consumer::Consumer;
pub use self::consumer::{ConsumerReport, ConsumerSpec};
use self::producer::Producer;
pub use self::producer::{Acknowledged, ProducerReport, ProducerSpec};

/// A simulated client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u32);

/// What a simulated client does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientSpec {
    /// Produces.
    Producer(ProducerSpec),
    /// Consumes.
    Consumer(ConsumerSpec),
}

/// Connections of simulated clients have this bit; those of a driver must not.
const SIMULATED: u64 = 1 << 63;
/// How long a client waits for an answer before it gives its connection up (`request.timeout.ms`).
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client waits before it tries again what failed (`retry.backoff.ms`).
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// Whether a connection is a simulated client's, and whose.
pub(crate) fn owner(connection: ConnectionId) -> Option<ClientId> {
    (connection.0 & SIMULATED != 0).then_some(ClientId((connection.0 >> 32 & 0x7fff_ffff) as u32))
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
}

/// A request that a client sends.
#[derive(Debug)]
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
        let correlation_id = self.calls.next;
        self.calls.next += 1;
        self.calls.open.insert(correlation_id, (to, self.now + REQUEST_TIMEOUT));
        self.sent.push(Sent { to, correlation_id, api_key, api_version, request });
        correlation_id
    }

    /// Tells a broker; no answer comes.
    fn tell(&mut self, to: NodeId, api_key: ApiKey, api_version: i16, request: Request) {
        let correlation_id = self.calls.next;
        self.calls.next += 1;
        self.sent.push(Sent { to, correlation_id, api_key, api_version, request });
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
    Consumer(Consumer),
}

impl Client {
    fn on_answer(&mut self, ctx: &mut ClientCtx<'_>, correlation_id: i32, answer: Option<Response>) {
        match self {
            Self::Producer(client) => client.on_answer(ctx, correlation_id, answer),
            Self::Consumer(client) => client.on_answer(ctx, correlation_id, answer),
        }
    }

    /// Does whatever can be done now.
    fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        match self {
            Self::Producer(client) => client.go_on(ctx),
            Self::Consumer(client) => client.go_on(ctx),
        }
    }

    /// Every time at which it may have something to do.
    fn next_deadlines(&self) -> Box<dyn Iterator<Item = Timestamp> + '_> {
        match self {
            Self::Producer(client) => Box::new(client.next_deadlines()),
            Self::Consumer(client) => Box::new(client.next_deadlines()),
        }
    }
}

/// A client's place in the world.
#[derive(Debug, Clone)]
pub(crate) struct ClientSlot {
    pub(crate) id: ClientId,
    pub(crate) deadline: Timestamp,
    client: Client,
    running: bool,
    rng: Rng,
    calls: Calls,
    connections: BTreeMap<NodeId, ConnectionId>,
    next_connection: u32,
}

/// Something that happens to a client.
#[derive(Debug)]
pub(crate) enum ClientEvent {
    /// Nothing but time.
    Time,
    /// An answer; `None` for a request that has none.
    Answer { connection: ConnectionId, correlation_id: i32, response: Response },
    /// A connection broke.
    Lost(ConnectionId),
}

impl ClientSlot {
    pub(crate) fn new(id: ClientId, seed: u64, spec: ClientSpec) -> Self {
        let client = match spec {
            ClientSpec::Producer(spec) => Client::Producer(Producer::new(id, spec)),
            ClientSpec::Consumer(spec) => Client::Consumer(Consumer::new(spec)),
        };
        Self {
            id,
            deadline: Timestamp::ZERO,
            client,
            running: true,
            rng: Rng::stream(seed, &format!("client {}", id.0)),
            calls: Calls::default(),
            connections: BTreeMap::new(),
            next_connection: 0,
        }
    }

    /// The client's name on the network.
    pub(crate) fn node(&self) -> NodeId {
        NodeId(-1 - i32::try_from(self.id.0).unwrap_or(i32::MAX - 1))
    }

    /// Its `client.id`.
    pub(crate) fn name(&self) -> StrBytes {
        StrBytes::from(format!("client-{}", self.id.0))
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
    ) -> Vec<ConnectionId> {
        if !self.running {
            return Vec::new();
        }
        let mut given_up = Vec::new();
        let mut failed = Vec::new();
        let mut answered = None;
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
                    failed.extend(self.calls.fail(broker));
                }
            }
        }
        while let Some(broker) = self.calls.overdue(now) {
            given_up.extend(self.connections.remove(&broker));
            failed.extend(self.calls.fail(broker));
        }
        let mut ctx = ClientCtx { now, wall, rng: &mut self.rng, brokers, calls: &mut self.calls, sent };
        for correlation_id in failed {
            self.client.on_answer(&mut ctx, correlation_id, None);
        }
        if let Some((correlation_id, response)) = answered {
            self.client.on_answer(&mut ctx, correlation_id, Some(response));
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
            Client::Consumer(_) => None,
        }
    }

    /// What a consumer has seen; `None` for another client.
    pub(crate) const fn consumer(&self) -> Option<&ConsumerReport> {
        match &self.client {
            Client::Consumer(client) => Some(client.report()),
            Client::Producer(_) => None,
        }
    }
}

impl Calls {
    /// Ends every call to a broker.
    fn fail(&mut self, broker: NodeId) -> Vec<i32> {
        self.open.extract_if(.., |_, (to, _)| *to == broker).map(|(id, _)| id).collect()
    }

    /// A broker that has not answered in time.
    fn overdue(&self, now: Timestamp) -> Option<NodeId> {
        self.open.values().find(|(_, times_out)| *times_out <= now).map(|(to, _)| *to)
    }
}
