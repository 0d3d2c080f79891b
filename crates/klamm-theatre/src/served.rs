//! A served cluster whose time the scenario moves: clients come over sockets, and what happens in the cluster is gone through
//! again on this side, so that it can be looked at.
//!
//! The cluster is in this process (`--live`) or behind the control door of another (`--control`). Either way nothing goes by
//! real time: what was sent is taken in when the cluster says so, and what the cluster answered is waited for until it is here.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use klamm_node::{NodeId, Timestamp, WallTime};
use klamm_scenario::Setting;
use klamm_scenario::theatre::{Answer, Theatre, Ticket, Wire};
use klamm_server::{Followed, Mirror, Server, ServerSettings, Visit};
use klamm_wire::{ApiKey, Request, StrBytes};
use klamm_world::{BrokerSpec, Command, Input, LinkSettings, World, WorldSettings};

use crate::seen::Seen;
use crate::sockets::{Sockets, correlation_id};

/// How long anything may take that has nothing to wait for but the machine, in real time.
const PATIENCE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_micros(50);
/// What wall clocks show when a cluster begins: 2024-01-01.
const WALL_EPOCH: i64 = 1_704_067_200_000;
/// Trace events that are kept.
const TRACE_CAPACITY: usize = 1 << 20;

/// A served cluster.
pub struct Served {
    way: Way,
    mirror: Mirror,
    seen: Seen,
    sockets: Sockets,
    trouble: Vec<String>,
}

/// The way to the cluster.
enum Way {
    Here { server: Box<Server>, told: Receiver<Followed> },
    Door(Visit),
}

/// The world that a scenario asks for.
fn settings(setting: &Setting<'_>) -> WorldSettings {
    let cluster = setting.cluster;
    let broker = |id: i32| BrokerSpec {
        node: NodeId(id),
        host: StrBytes::from_static_str("127.0.0.1"),
        port: 0,
        rack: cluster.racks.get(&NodeId(id)).map(|rack| StrBytes::from(rack.clone())),
    };
    WorldSettings {
        seed: setting.seed,
        brokers: (1..=cluster.brokers).map(broker).collect(),
        controllers: (0..cluster.controllers)
            .map(|at| NodeId(WorldSettings::FIRST_CONTROLLER + at))
            .collect(),
        config: cluster.configs.clone(),
        link: LinkSettings {
            latency: cluster.latency + setting.slower.latency,
            jitter: cluster.jitter + setting.slower.jitter,
        },
        wall_epoch: WallTime(WALL_EPOCH),
        trace_capacity: TRACE_CAPACITY,
        kafka_version: cluster.release,
        eras: cluster.eras,
        ..WorldSettings::default()
    }
}

impl Way {
    /// What is told next; `None` when nothing is within `wait`.
    fn next(&self, wait: Duration) -> Result<Option<Followed>, String> {
        match self {
            Self::Here { told, .. } => match told.recv_timeout(wait) {
                Ok(told) => Ok(Some(told)),
                Err(RecvTimeoutError::Timeout) => Ok(None),
                Err(RecvTimeoutError::Disconnected) => Err("the cluster is gone".to_owned()),
            },
            Self::Door(visit) => visit.next(wait),
        }
    }
}

impl Served {
    /// A cluster in this process.
    pub fn here(setting: &Setting<'_>) -> Result<Self, String> {
        let world = settings(setting);
        let (follow, told) = channel();
        let racks: Vec<_> = world
            .brokers
            .iter()
            .map(|broker| broker.rack.as_deref().unwrap_or_default().to_owned())
            .collect();
        let eras = world.eras.old().map(|(era, on)| format!("{era}={}", if on { "on" } else { "off" }));
        let server = Server::start(ServerSettings {
            brokers: u16::try_from(world.brokers.len()).map_err(|error| error.to_string())?,
            controllers: u16::try_from(world.controllers.len()).map_err(|error| error.to_string())?,
            config: world.config.clone(),
            kafka_version: Some(world.kafka_version.to_string()),
            eras: eras.collect(),
            racks: if racks.iter().all(String::is_empty) { Vec::new() } else { racks },
            seed: Some(world.seed),
            link: world.link,
            wall_epoch: Some(world.wall_epoch),
            trace_capacity: world.trace_capacity,
            paused: true,
            follow: Some(follow),
            ..ServerSettings::default()
        });
        let server = Box::new(server.map_err(|error| error.to_string())?);
        Self::begin(Way::Here { server, told })
    }

    /// The cluster behind a control door, made anew.
    pub fn behind(door: &str, setting: &Setting<'_>) -> Result<Self, String> {
        Self::begin(Way::Door(Visit::begin(door, &settings(setting))?))
    }

    fn begin(way: Way) -> Result<Self, String> {
        let Some(Followed::Inputs(first)) = way.next(PATIENCE)? else {
            return Err("the cluster does not say what it is made of".to_owned());
        };
        let mirror = Mirror::begin(first).map_err(|error| error.to_string())?;
        let (seen, sockets) = (Seen::default(), Sockets::default());
        let mut served = Self { way, mirror, seen, sockets, trouble: Vec::new() };
        let began = Instant::now();
        while !served.mirror.world().is_ready() {
            if !served.follow(Duration::from_millis(10)) && began.elapsed() > PATIENCE {
                return Err(format!("the cluster did not come up:\n{}", served.mirror.world().status()));
            }
        }
        Ok(served)
    }

    /// Goes through the next thing that the cluster went through; whether there was any within `wait`.
    fn follow(&mut self, wait: Duration) -> bool {
        match self.way.next(wait) {
            Ok(Some(followed)) => {
                self.take(followed);
                true
            }
            Ok(None) => false,
            Err(why) => {
                self.fail(why);
                false
            }
        }
    }

    /// Goes through something; whether it is as far as was asked.
    fn take(&mut self, followed: Followed) -> bool {
        match followed {
            Followed::Inputs(bytes) => {
                let seen = &mut self.seen;
                if let Err(error) = self.mirror.feed(bytes, |input, outputs| seen.see(input, outputs)) {
                    self.fail(error.to_string());
                }
                false
            }
            Followed::Reached { events, hash } => {
                if !self.mirror.is(events, hash) {
                    self.fail(format!(
                        "the cluster decided {events} times, and going through the same again {} times or otherwise: klamm has a bug",
                        self.mirror.world().trace().recorded()
                    ));
                }
                true
            }
        }
    }

    fn fail(&mut self, why: String) {
        if self.trouble.is_empty() {
            self.trouble.push(why);
        }
    }

    /// Lets time pass until `at` and `input` happen, and goes through all of it.
    fn play(&mut self, at: Timestamp, input: Input) {
        match &mut self.way {
            Way::Here { server, .. } => server.play(at, input),
            Way::Door(visit) => {
                if let Err(error) = visit.play(at, &input) {
                    return self.fail(format!("the control door is gone: {error}"));
                }
            }
        }
        let began = Instant::now();
        while self.trouble.is_empty() {
            match self.way.next(PAUSE) {
                Ok(Some(followed)) => {
                    if self.take(followed) {
                        break;
                    }
                }
                Ok(None) if began.elapsed() < PATIENCE => {}
                Ok(None) => self.fail("the cluster does not answer its owner".to_owned()),
                Err(why) => self.fail(why),
            }
        }
        self.settle();
    }

    /// Goes through everything that has happened by now. No time passes.
    fn sync(&mut self) {
        let now = self.now();
        self.play(now, Input::Tick);
    }

    /// Waits until this side knows what the cluster has told its clients.
    fn settle(&mut self) {
        let began = Instant::now();
        while !self.has_arrived() {
            if !self.sockets.pump() {
                std::thread::sleep(PAUSE);
            }
            if began.elapsed() > PATIENCE {
                return self.fail("what a broker answered does not arrive".to_owned());
            }
        }
    }

    fn has_arrived(&mut self) -> bool {
        self.sockets.pump();
        let Self { seen, sockets, .. } = self;
        let waits = |id: &i32| ticket(*id).is_some_and(|ticket| sockets.is_waiting(ticket));
        seen.taken.retain(|id, _| waits(id));
        seen.answered.retain(waits);
        // Where no request waits, it is noticed with the next one.
        seen.closed.retain(|connection| seen.taken.values().any(|taken| taken == connection));
        let arrived = seen.answered.is_empty() && seen.closed.is_empty();
        for correlation_id in std::mem::take(&mut seen.unanswered) {
            if let Some(ticket) = ticket(correlation_id)
                && sockets.is_waiting(ticket)
            {
                sockets.end(ticket, Answer::Nothing);
            }
        }
        arrived
    }

    fn address(&self, broker: NodeId) -> String {
        let mut brokers = self.mirror.world().settings().brokers.iter();
        let found = brokers.find(|spec| spec.node == broker);
        found.map(|spec| format!("{}:{}", spec.host, spec.port)).unwrap_or_default()
    }

    /// Sends a request until the cluster has taken it in, or cannot be reached.
    fn send(
        &mut self,
        ticket: Ticket,
        client: u32,
        broker: NodeId,
        (key, version): (ApiKey, i16),
        request: &Request,
    ) -> bool {
        let address = self.address(broker);
        self.seen.expected = Some(correlation_id(ticket));
        let began = Instant::now();
        while self.trouble.is_empty() {
            let sent = self.sockets.send(ticket, client, broker, &address, (key, version), request);
            while sent && self.sockets.is_waiting(ticket) && self.seen.expected.is_some() {
                self.follow(PAUSE);
                self.sockets.pump();
                if began.elapsed() > PATIENCE {
                    self.fail(format!("broker {broker} does not take in what it is asked"));
                    return false;
                }
            }
            if self.seen.expected.is_none() {
                return true;
            }
            // The connection was refused, or closed: the broker is down, or its listener a moment behind.
            self.sync();
            if self.seen.expected.is_none() {
                return true;
            }
            if let Some(answer) = self.sockets.answer(ticket)
                && !matches!(answer, Answer::Closed)
            {
                // It was answered without the world, which does not know the version.
                self.sockets.end(ticket, answer);
                return true;
            }
            if !self.mirror.world().is_up(broker) {
                return false;
            }
            if began.elapsed() > PATIENCE {
                self.fail(format!("broker {broker} is up, and nothing gets to {address}"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

/// The ticket of a correlation id.
fn ticket(correlation_id: i32) -> Option<Ticket> {
    u64::try_from(correlation_id).ok().map(Ticket)
}

impl Wire for Served {
    fn now(&self) -> Timestamp {
        self.mirror.world().now()
    }

    fn wall_millis(&self) -> i64 {
        self.mirror.world().settings().wall_epoch.millis() + self.now().as_millis()
    }

    fn ask(&mut self, client: u32, broker: NodeId, key: ApiKey, version: i16, request: Request) -> Ticket {
        let ticket = self.sockets.ticket();
        if self.send(ticket, client, broker, (key, version), &request) {
            self.sync();
        } else {
            self.sockets.end(ticket, Answer::Closed);
        }
        ticket
    }

    fn answer(&mut self, ticket: Ticket) -> Option<Answer> {
        self.sockets.answer(ticket)
    }

    fn give_up(&mut self, ticket: Ticket) {
        let connection = self.seen.taken.get(&correlation_id(ticket)).copied();
        let connection = connection.filter(|_| self.sockets.is_waiting(ticket));
        self.sockets.give_up(ticket);
        let began = Instant::now();
        while let Some(connection) = connection
            && !self.seen.gone.contains(&connection)
            && self.trouble.is_empty()
        {
            self.follow(PAUSE);
            if began.elapsed() > PATIENCE {
                self.fail("a broker does not notice that its client is gone".to_owned());
            }
        }
    }

    fn brokers(&self) -> Vec<NodeId> {
        self.mirror.world().settings().brokers.iter().map(|broker| broker.node).collect()
    }
}

impl Theatre for Served {
    fn look<R>(&self, f: impl FnOnce(&World) -> R) -> Option<R> {
        Some(f(self.mirror.world()))
    }

    fn boot(&mut self) -> Result<(), String> {
        self.sync();
        Ok(())
    }

    fn step(&mut self, end: Timestamp) -> bool {
        let due = self.mirror.world().next_deadline().filter(|at| *at <= end);
        self.play(due.unwrap_or(end), Input::Tick);
        due.is_some() && self.trouble.is_empty()
    }

    fn skip(&mut self, end: Timestamp) {
        let from = self.now();
        let until = self.mirror.world().idle_until(end);
        if until >= from + Duration::from_secs(1) {
            self.play(until, Input::Pass { from });
        }
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        self.play(now, Input::Command(command));
    }

    fn name_client(&mut self, client: u32, name: &str) {
        self.sockets.name(client, name);
    }

    fn take_trouble(&mut self) -> Vec<String> {
        // What this side has no way around stays.
        let mut trouble = self.trouble.clone();
        trouble.append(&mut self.seen.trouble);
        trouble
    }

    fn take_refusals(&mut self) -> Vec<String> {
        std::mem::take(&mut self.seen.refusals)
    }
}
