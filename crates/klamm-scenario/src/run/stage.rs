//! The world that a scenario happens in, its virtual time, and what connects clients to it.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{ConnectionId, NodeId, Timestamp, WallTime};
use klamm_wire::{ApiKey, Request, StrBytes};
use klamm_world::{BrokerSpec, ClientRequest, Command, Input, LinkSettings, Output, World, WorldSettings};

use crate::plan::ClusterSpec;
use crate::theatre::{Answer, Theatre, Ticket, Wire};

/// Trace events that are kept.
const TRACE_CAPACITY: usize = 1 << 20;
/// How long after a look for idle time that found none the next is taken.
const PATIENCE: Duration = Duration::from_millis(100);
/// What wall clocks show when a world begins: 2024-01-01.
const WALL_EPOCH: i64 = 1_704_067_200_000;

/// A world and the requests of scripted clients in it.
#[derive(Debug)]
pub(crate) struct Stage {
    world: World,
    /// The clients' `client.id`s.
    names: BTreeMap<u32, String>,
    connections: BTreeMap<(u32, NodeId), ConnectionId>,
    next_connection: u64,
    next_ticket: u64,
    open: BTreeMap<(ConnectionId, i32), Ticket>,
    answers: BTreeMap<Ticket, Answer>,
    /// What went wrong that no scenario asks for: a node that could not start, a world that stalled.
    trouble: Vec<String>,
    /// Why a fault was refused.
    refused: Vec<String>,
    look_for_idle_time_at: Timestamp,
}

impl Stage {
    pub(crate) fn new(cluster: &ClusterSpec, seed: u64, extra: LinkSettings) -> Self {
        let link =
            LinkSettings { latency: cluster.latency + extra.latency, jitter: cluster.jitter + extra.jitter };
        let settings = WorldSettings {
            seed,
            brokers: (1..=cluster.brokers)
                .map(|id| BrokerSpec {
                    node: NodeId(id),
                    host: StrBytes::from_static_str("localhost"),
                    port: u16::try_from(9091 + id).unwrap_or(9092),
                    rack: cluster.racks.get(&NodeId(id)).map(|rack| StrBytes::from(rack.clone())),
                })
                .collect(),
            controllers: (0..cluster.controllers)
                .map(|at| NodeId(WorldSettings::FIRST_CONTROLLER + at))
                .collect(),
            config: cluster.configs.clone(),
            link,
            wall_epoch: WallTime(WALL_EPOCH),
            trace_capacity: TRACE_CAPACITY,
            kafka_version: cluster.release,
            eras: cluster.eras,
            ..WorldSettings::default()
        };
        Self {
            world: World::new(settings, BTreeMap::new()),
            names: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 0,
            next_ticket: 0,
            open: BTreeMap::new(),
            answers: BTreeMap::new(),
            trouble: Vec::new(),
            refused: Vec::new(),
            look_for_idle_time_at: Timestamp::ZERO,
        }
    }

    fn tick(&mut self, at: Timestamp) {
        let mut out = Vec::new();
        self.world.handle(at, Input::Tick, &mut out);
        self.take(out);
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.world.handle(self.world.now(), input, &mut out);
        self.take(out);
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Response { connection, correlation_id, response, .. } => {
                    self.end(connection, correlation_id, Answer::Response(Box::new(response)));
                }
                Output::NoResponse { connection, correlation_id } => {
                    self.end(connection, correlation_id, Answer::Nothing);
                }
                Output::Close { connection } => self.closed(connection),
                Output::NodeFailed { node, message } => {
                    self.trouble.push(format!("node {node} failed: {message}"))
                }
                Output::FaultRefused { error, .. } => self.refused.push(error.to_string()),
                Output::Stalled(stall) => self.trouble.push(stall.to_string()),
                _ => {}
            }
        }
    }

    fn end(&mut self, connection: ConnectionId, correlation_id: i32, answer: Answer) {
        if let Some(ticket) = self.open.remove(&(connection, correlation_id)) {
            self.answers.insert(ticket, answer);
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        self.connections.retain(|_, open| *open != connection);
        for (_, ticket) in self.open.extract_if(.., |(over, _), _| *over == connection) {
            self.answers.insert(ticket, Answer::Closed);
        }
    }
}

impl Wire for Stage {
    fn now(&self) -> Timestamp {
        self.world.now()
    }

    fn wall_millis(&self) -> i64 {
        WALL_EPOCH + self.world.now().as_millis()
    }

    fn ask(&mut self, client: u32, broker: NodeId, key: ApiKey, version: i16, request: Request) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        // The ticket is the correlation id: one for every request of every client.
        let correlation_id = i32::try_from(ticket.0 & 0x7fff_ffff).unwrap_or_default();
        let connection = match self.connections.get(&(client, broker)) {
            Some(connection) => *connection,
            None => {
                let connection = ConnectionId(self.next_connection);
                self.next_connection += 1;
                self.connections.insert((client, broker), connection);
                self.open.insert((connection, correlation_id), ticket);
                self.input(Input::Connect {
                    connection,
                    broker,
                    host: StrBytes::from_static_str("127.0.0.1"),
                });
                if !self.connections.contains_key(&(client, broker)) {
                    return ticket;
                }
                connection
            }
        };
        self.open.insert((connection, correlation_id), ticket);
        self.input(Input::Request(ClientRequest {
            connection,
            correlation_id,
            api_key: key,
            api_version: version,
            client_id: Some(StrBytes::from(
                self.names.get(&client).cloned().unwrap_or_else(|| "klamm".to_owned()),
            )),
            request,
            inspected: None,
        }));
        ticket
    }

    fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.answers.remove(&ticket)
    }

    fn give_up(&mut self, ticket: Ticket) {
        let connection =
            self.open.iter().find(|(_, open)| **open == ticket).map(|((connection, _), _)| *connection);
        if let Some(connection) = connection {
            self.closed(connection);
            self.input(Input::Disconnect { connection });
        }
    }

    fn brokers(&self) -> Vec<NodeId> {
        self.world.settings().brokers.iter().map(|broker| broker.node).collect()
    }
}

impl Theatre for Stage {
    fn look<R>(&self, f: impl FnOnce(&World) -> R) -> Option<R> {
        Some(f(&self.world))
    }

    fn name_client(&mut self, client: u32, name: &str) {
        self.names.insert(client, name.to_owned());
    }

    fn boot(&mut self) -> Result<(), String> {
        let settings = self.world.settings();
        let brokers = settings.brokers.iter().map(|broker| broker.node);
        let nodes: Vec<_> = settings.controllers.iter().copied().chain(brokers).collect();
        for node in nodes {
            self.command(Command::Start(node));
        }
        let end = self.now() + Duration::from_secs(60);
        while !self.world.is_ready() {
            if !self.trouble.is_empty() || !self.step(end) {
                return Err(format!(
                    "the cluster did not come up:\n{}\n{}",
                    self.trouble.join("\n"),
                    self.world.status()
                ));
            }
        }
        Ok(())
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    fn step(&mut self, end: Timestamp) -> bool {
        match self.world.next_deadline().filter(|at| *at <= end) {
            Some(at) => {
                self.tick(at);
                true
            }
            None => {
                self.tick(end);
                false
            }
        }
    }

    fn skip(&mut self, end: Timestamp) {
        let now = self.world.now();
        if now >= self.look_for_idle_time_at && !self.world.skip_idle(end) {
            self.look_for_idle_time_at = now + PATIENCE;
        }
    }

    fn take_trouble(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trouble)
    }

    fn take_refusals(&mut self) -> Vec<String> {
        std::mem::take(&mut self.refused)
    }
}
