//! A random cluster under a random load with random failures, all from one seed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use klamm_node::{ConnectionId, NodeId, Rng, WallTime};
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::{CreateTopicsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, Request, Response};
use klamm_world::{
    BrokerSpec, ClientId, ClientRequest, ClientSpec, Command, ConsumerSpec, Input, LinkSettings, Output,
    ProducerSpec, World, WorldSettings,
};

pub(crate) const TOPIC: &str = "t";
const SECOND: Duration = Duration::from_secs(1);

/// What may happen to nodes in a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) crashes: bool,
    pub(crate) power_losses: bool,
    pub(crate) skew: bool,
}

/// A run: the world, what it was made of, and what came out of it.
pub(crate) struct Simulation {
    pub(crate) world: World,
    pub(crate) brokers: u64,
    pub(crate) producers: Vec<(ClientId, ProducerSpec)>,
    pub(crate) consumer: ClientId,
    /// Everything that the run made known, as text.
    pub(crate) story: String,
    rng: Rng,
    told: u64,
}

impl Simulation {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::stream(seed, "test");
        let brokers = 1 + rng.below(5);
        let link = LinkSettings {
            latency: Duration::from_micros(rng.below(3) * 700),
            jitter: Duration::from_micros(rng.below(3) * 3_000),
        };
        let config = [("min.insync.replicas", 1 + rng.below(2)), ("replica.lag.time.max.ms", 3_000)];
        let settings = WorldSettings {
            seed,
            brokers: (1..=brokers)
                .map(|id| BrokerSpec {
                    node: NodeId(id as i32),
                    host: "localhost".into(),
                    port: 9091 + id as u16,
                    rack: None,
                })
                .collect(),
            config: config.map(|(key, value)| (key.to_owned(), value.to_string())).into(),
            link,
            wall_epoch: WallTime(1_700_000_000_000),
            trace_capacity: 1 << 16,
            ..WorldSettings::default()
        };
        let mut simulation = Self {
            world: World::new(settings, BTreeMap::new()),
            brokers,
            producers: Vec::new(),
            consumer: ClientId(0),
            story: String::new(),
            rng,
            told: 0,
        };
        simulation.command(Command::Start(NodeId(WorldSettings::FIRST_CONTROLLER)));
        for id in 1..=brokers {
            simulation.command(Command::Start(NodeId(id as i32)));
        }
        simulation.run_for(SECOND);
        assert!(simulation.world.is_ready(), "seed {seed}: {}", simulation.world.status());
        simulation.create_topic();
        simulation.add_clients();
        simulation
    }

    fn create_topic(&mut self) {
        let partitions = 1 + self.rng.below(5);
        let replicas = 1 + self.rng.below(self.brokers.min(3));
        let topic = CreatableTopic::default()
            .with_name(TopicName(TOPIC.into()))
            .with_num_partitions(partitions as i32)
            .with_replication_factor(replicas as i16);
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let connection = ConnectionId(1);
        self.input(Input::Connect { connection, broker: NodeId(1), host: "127.0.0.1".into() });
        self.input(Input::Request(ClientRequest {
            connection,
            correlation_id: 1,
            api_key: ApiKey::CreateTopics,
            api_version: 7,
            client_id: None,
            request: Request::CreateTopics(request),
            inspected: None,
        }));
        self.run_for(SECOND);
        assert!(self.world.is_topic_ready(TOPIC), "{}\n{}", self.story, self.world.status());
    }

    fn add_clients(&mut self) {
        for id in 0..=self.rng.below(3) {
            let idempotent = self.rng.chance(0.6);
            let spec = ProducerSpec {
                topic: TOPIC.into(),
                acks: if idempotent { -1 } else { [0, 1, -1][self.rng.below(3) as usize] },
                idempotent,
                records: 3_000,
                batch: 1 + self.rng.below(10) as u32,
                interval: Duration::from_millis(1 + self.rng.below(50)),
                in_flight: 1 + self.rng.below(5) as usize,
            };
            self.command(Command::AddClient(ClientSpec::Producer(spec.clone())));
            self.producers.push((ClientId(id as u32), spec));
        }
        self.consumer = ClientId(self.producers.len() as u32);
        let spec = ConsumerSpec { topic: TOPIC.into(), max_wait_ms: 500, read_committed: false };
        self.command(Command::AddClient(ClientSpec::Consumer(spec)));
    }

    /// Lets `faults` happen at random for a while; then everything runs again, and time passes until all is quiet.
    pub(crate) fn run(&mut self, faults: Faults) {
        for _ in 0..20 {
            let pause = Duration::from_millis(self.rng.below(6_000));
            self.run_for(pause);
            let node = NodeId(1 + self.rng.below(self.brokers) as i32);
            let command = match self.rng.below(8) {
                0 | 1 if faults.crashes => Command::Crash(node),
                2 if faults.power_losses => Command::PowerLoss(node),
                3 if faults.crashes => Command::Stop(node),
                4 if faults.crashes => Command::Crash(NodeId(WorldSettings::FIRST_CONTROLLER)),
                5 if faults.skew => {
                    Command::SetWallSkew { node, millis: self.rng.below(20_000) as i64 - 10_000 }
                }
                6 => {
                    let to = NodeId(1 + self.rng.below(self.brokers) as i32);
                    let link = LinkSettings {
                        latency: Duration::from_millis(self.rng.below(30)),
                        jitter: Duration::from_millis(self.rng.below(30)),
                    };
                    Command::SetLink { from: node, to, link }
                }
                _ => {
                    self.command(Command::Start(NodeId(WorldSettings::FIRST_CONTROLLER)));
                    Command::Start(node)
                }
            };
            self.command(command);
        }
        // A slow link may make the load last for hours.
        let nodes = (1..=self.brokers).map(|id| NodeId(id as i32));
        let pairs: Vec<_> = nodes.clone().flat_map(|from| nodes.clone().map(move |to| (from, to))).collect();
        for (from, to) in pairs {
            self.command(Command::SetLink { from, to, link: LinkSettings::default() });
        }
        // Twice: a broker may still be stopping in order, which takes until a controller lives.
        for seconds in [90, 200] {
            self.command(Command::Start(NodeId(WorldSettings::FIRST_CONTROLLER)));
            for id in 1..=self.brokers {
                self.command(Command::Start(NodeId(id as i32)));
            }
            self.run_for(seconds * SECOND);
        }
    }

    pub(crate) fn command(&mut self, command: Command) {
        let _ = writeln!(self.story, "{} {command:?}", self.world.now());
        self.input(Input::Command(command));
    }

    fn input(&mut self, input: Input) {
        let now = self.world.now();
        let mut out = Vec::new();
        self.world.handle(now, input, &mut out);
        note(&self.world, &mut out, &mut self.story, &mut self.told);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.world.now() + time;
        let Self { world, story, told, .. } = self;
        world.run_until(end, |world, out| note(world, out, story, told));
    }
}

/// Writes down what the world has made known since it was last asked.
fn note(world: &World, out: &mut Vec<Output>, story: &mut String, told: &mut u64) {
    for output in out.drain(..) {
        if matches!(output, Output::Stalled(_) | Output::NodeFailed { .. }) {
            let last: Vec<_> = story.lines().rev().take(40).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            panic!("{}\n{output:#?}", last.join("\n"));
        }
        if let Output::Response { response: Response::Other(response), .. } = &output
            && let ResponseKind::CreateTopics(response) = &**response
        {
            assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        }
        let _ = writeln!(story, "{} {output:?}", world.now());
    }
    let trace = world.trace();
    let new = trace.recorded() - *told;
    *told = trace.recorded();
    let skip = trace.events().len().saturating_sub(new as usize);
    for event in trace.events().skip(skip) {
        let _ = writeln!(story, "{event}");
    }
}
