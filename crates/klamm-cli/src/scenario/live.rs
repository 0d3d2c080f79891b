//! A cluster on real listeners, whose clock the scenario moves: the same steps as in virtual time, over sockets.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use klamm_node::{NodeId, Timestamp};
use klamm_scenario::Setting;
use klamm_scenario::theatre::{Answer, Theatre, Ticket, Wire};
use klamm_server::{Server, ServerSettings, block_on};
use klamm_wire::{ApiKey, Request};
use klamm_world::{Command, World};

use super::sockets::Sockets;

/// How long nothing must arrive before nothing is on its way any more, in real time.
const QUIET: Duration = Duration::from_millis(2);
/// How long a request may be on its way to its broker, and the news of a closed connection on its way back, in real time.
const ON_ITS_WAY: Duration = Duration::from_millis(30);

/// A served cluster.
pub(crate) struct Live {
    server: Arc<Server>,
    sockets: Sockets,
    stopping: Vec<JoinHandle<Result<(), String>>>,
    trouble: Vec<String>,
}

impl Live {
    pub(crate) fn open(setting: &Setting<'_>) -> Result<Self, String> {
        let cluster = setting.cluster;
        let eras = cluster.eras.old().map(|(era, on)| format!("{era}={}", if on { "on" } else { "off" }));
        let racks =
            (1..=cluster.brokers).map(|id| cluster.racks.get(&NodeId(id)).cloned().unwrap_or_default());
        let settings = ServerSettings {
            brokers: u16::try_from(cluster.brokers).map_err(|error| error.to_string())?,
            controllers: u16::try_from(cluster.controllers).map_err(|error| error.to_string())?,
            config: cluster.configs.clone(),
            kafka_version: Some(cluster.release.to_string()),
            eras: eras.collect(),
            racks: if cluster.racks.is_empty() { Vec::new() } else { racks.collect() },
            seed: Some(setting.seed),
            link: klamm_world::LinkSettings {
                latency: cluster.latency + setting.slower.latency,
                jitter: cluster.jitter + setting.slower.jitter,
            },
            trace_capacity: 1 << 20,
            ..ServerSettings::default()
        };
        let server = Server::start(settings).map_err(|error| error.to_string())?;
        server.pause_clock();
        Ok(Self {
            server: Arc::new(server),
            sockets: Sockets::default(),
            stopping: Vec::new(),
            trouble: Vec::new(),
        })
    }

    /// Waits in real time until nothing is on its way to a client. The cluster's time stands still.
    fn settle(&mut self) {
        let mut since = Instant::now();
        while self.sockets.is_waiting() && since.elapsed() < QUIET {
            if self.sockets.pump() {
                since = Instant::now();
            } else {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
    }

    fn address(&self, broker: NodeId) -> String {
        let endpoint = self.server.brokers().iter().find(|endpoint| endpoint.id == broker.0);
        endpoint.map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port)).unwrap_or_default()
    }

    fn note(&mut self, result: Result<(), String>) {
        self.trouble.extend(result.err());
    }
}

impl Wire for Live {
    fn now(&self) -> Timestamp {
        Timestamp(u64::try_from(self.server.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn wall_millis(&self) -> i64 {
        self.server.look(|world| world.settings().wall_epoch.millis()) + self.now().as_millis()
    }

    fn ask(&mut self, client: u32, broker: NodeId, key: ApiKey, version: i16, request: Request) -> Ticket {
        let address = self.address(broker);
        let ticket = self.sockets.ask(client, broker, &address, (key, version), &request);
        // It may wait at the broker for time that does not pass meanwhile, or have no answer at all.
        let asked = Instant::now();
        while !self.sockets.is_answered(ticket) && asked.elapsed() < ON_ITS_WAY {
            if !self.sockets.pump() {
                std::thread::sleep(Duration::from_micros(50));
            }
        }
        self.sockets.end_unanswered();
        ticket
    }

    fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.sockets.answer(ticket)
    }

    fn give_up(&mut self, ticket: Ticket) {
        self.sockets.give_up(ticket);
    }

    fn brokers(&self) -> Vec<NodeId> {
        self.server.brokers().iter().map(|endpoint| NodeId(endpoint.id)).collect()
    }
}

impl Theatre for Live {
    fn look<R>(&self, f: impl FnOnce(&World) -> R) -> Option<R> {
        Some(self.server.look(f))
    }

    fn boot(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn step(&mut self, end: Timestamp) -> bool {
        let due = self.server.look(World::next_deadline).filter(|at| *at <= end);
        let now = self.now();
        self.server.advance_clock(due.unwrap_or(end).since(now));
        self.settle();
        for at in (0..self.stopping.len()).rev() {
            if self.stopping[at].is_finished() {
                let stopped = self.stopping.remove(at).join();
                self.note(stopped.unwrap_or_else(|_| Err("a node could not be stopped".to_owned())));
            }
        }
        due.is_some()
    }

    fn command(&mut self, command: Command) {
        let server = Arc::clone(&self.server);
        let result = match command {
            Command::Start(node) => block_on(server.start_node(node.0)).map_err(|error| error.to_string()),
            Command::Crash(node) => block_on(server.crash_node(node.0)).map_err(|error| error.to_string()),
            Command::PowerLoss(node) => {
                block_on(server.power_loss(node.0)).map_err(|error| error.to_string())
            }
            Command::Stop(node) => {
                // It ends only while time passes, and this is who lets it pass.
                self.stopping.push(std::thread::spawn(move || {
                    block_on(server.stop_node(node.0)).map_err(|error| error.to_string())
                }));
                Ok(())
            }
            command => {
                server.command(command);
                Ok(())
            }
        };
        self.note(result);
        self.settle();
    }

    fn name_client(&mut self, client: u32, name: &str) {
        self.sockets.name(client, name);
    }

    fn take_trouble(&mut self) -> Vec<String> {
        std::mem::take(&mut self.trouble)
    }

    fn take_refusals(&mut self) -> Vec<String> {
        Vec::new()
    }
}
