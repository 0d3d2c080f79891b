//! Clients that do what they are told, in clusters that go wrong around them.

mod consumer;
mod group;
mod modern;
mod producer;
mod property;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp, WallTime};
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::{CreateTopicsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, KafkaVersion, Request, Response};
use klamm_world::scripted::{
    AdminSpec, ClientOp, ClientSettings, OpId, OpResult, OpValue, Produced, RequestOp, ScriptedConsumerSpec,
    ScriptedProducerSpec, SendOp,
};
use klamm_world::{
    BrokerSpec, ClientId, ClientSpec, Command, Input, LinkSettings, Output, PartitionStatus, World,
    WorldSettings,
};

pub(crate) const CONTROLLER: NodeId = NodeId(WorldSettings::FIRST_CONTROLLER);
pub(crate) const TOPIC: &str = "t";

/// A cluster that is up, with an administrator.
pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) admin: ClientId,
    clients: u32,
}

impl Stage {
    /// Three brokers; links take a millisecond.
    pub(crate) fn new(seed: u64, config: &[(&str, &str)]) -> Self {
        Self::of_release(KafkaVersion::NEWEST, seed, config)
    }

    /// The same, as a Kafka of an older release.
    pub(crate) fn of_release(release: KafkaVersion, seed: u64, config: &[(&str, &str)]) -> Self {
        let settings = WorldSettings {
            seed,
            brokers: (1..=3)
                .map(|id| BrokerSpec {
                    node: NodeId(id),
                    host: "localhost".into(),
                    port: 9091 + id as u16,
                    rack: None,
                })
                .collect(),
            config: config.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            link: LinkSettings { latency: Duration::from_millis(1), jitter: Duration::ZERO },
            wall_epoch: WallTime(1_700_000_000_000),
            trace_capacity: 1 << 16,
            ..WorldSettings::default()
        };
        let settings = settings.of_release(release);
        let mut stage = Self { world: World::new(settings, BTreeMap::new()), admin: ClientId(0), clients: 0 };
        for node in [CONTROLLER, NodeId(1), NodeId(2), NodeId(3)] {
            stage.command(Command::Start(node));
        }
        stage.run(Duration::from_secs(1));
        assert!(stage.world.is_ready(), "{}", stage.world.status());
        stage.admin = stage.add(ClientSpec::Admin(AdminSpec { client: ClientSettings::named("admin") }));
        stage
    }

    /// The same, with the topic `t`: one partition, led by broker 1, replicas on 1, 2 and 3.
    pub(crate) fn with_topic(seed: u64, config: &[(&str, &str)]) -> Self {
        let mut stage = Self::new(seed, config);
        stage.create_topic(TOPIC, &[&[1, 2, 3]]);
        stage
    }

    pub(crate) fn create_topic(&mut self, topic: &str, assignment: &[&[i32]]) {
        use klamm_wire::messages::BrokerId;
        use klamm_wire::messages::create_topics_request::CreatableReplicaAssignment;
        let assignments = assignment.iter().enumerate().map(|(partition, replicas)| {
            CreatableReplicaAssignment::default()
                .with_partition_index(partition as i32)
                .with_broker_ids(replicas.iter().map(|id| BrokerId(*id)).collect())
        });
        let creatable = CreatableTopic::default()
            .with_name(TopicName(topic.to_owned().into()))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(assignments.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(10_000);
        let response = self.request(ApiKey::CreateTopics, Request::CreateTopics(request));
        let ResponseKind::CreateTopics(response) = response else { panic!("{response:?}") };
        assert_eq!(response.topics[0].error_code, 0, "{response:?}");
        self.run(Duration::from_millis(100));
        assert!(self.world.is_topic_ready(topic), "{}", self.world.status());
    }

    /// The administrator asks; the answer, whatever it says.
    pub(crate) fn request(&mut self, key: ApiKey, request: Request) -> ResponseKind {
        let op = self.ask(self.admin, ClientOp::Request(RequestOp::any(key, request)));
        match self.result(self.admin, op) {
            Ok(OpValue::Response(response)) => match *response {
                Response::Other(response) => *response,
                Response::Fetch(response) => panic!("{response:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        let now = self.world.now();
        self.world.handle(now, input, &mut out);
        fail_on(&self.world, &out);
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    pub(crate) fn crash(&mut self, node: i32) {
        self.command(Command::Crash(NodeId(node)));
    }

    pub(crate) fn start(&mut self, node: i32) {
        self.command(Command::Start(NodeId(node)));
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.world.now() + time;
        self.world.run_until(end, |world, out| fail_on(world, out));
    }

    /// Runs until a condition holds, for an hour at most.
    pub(crate) fn run_until(&mut self, what: &str, mut holds: impl FnMut(&World) -> bool) {
        let end = self.world.now() + Duration::from_secs(3600);
        let mut out = Vec::new();
        while !holds(&self.world) {
            let at = self.world.next_deadline().filter(|at| *at <= end);
            let at =
                at.unwrap_or_else(|| panic!("{what} never came\n{}{}", self.story(), self.world.status()));
            self.world.handle(at, Input::Tick, &mut out);
            fail_on(&self.world, &out);
            out.clear();
        }
    }

    pub(crate) fn add(&mut self, spec: ClientSpec) -> ClientId {
        let id = ClientId(self.clients);
        self.clients += 1;
        self.command(Command::AddClient(spec));
        id
    }

    pub(crate) fn producer(&mut self, spec: ScriptedProducerSpec) -> ClientId {
        self.add(ClientSpec::ScriptedProducer(spec))
    }

    pub(crate) fn consumer(&mut self, spec: ScriptedConsumerSpec) -> ClientId {
        self.add(ClientSpec::ScriptedConsumer(spec))
    }

    pub(crate) fn ask(&mut self, client: ClientId, op: ClientOp) -> OpId {
        let id = self.world.next_client_op(client).unwrap();
        self.command(Command::Client { client, op: Box::new(op) });
        id
    }

    /// Runs until an operation has ended; how.
    pub(crate) fn result(&mut self, client: ClientId, op: OpId) -> OpResult {
        self.run_until("the end of an operation", |world| {
            world.client_op(client, op).unwrap().ended.is_some()
        });
        self.world.client_op(client, op).unwrap().result().unwrap().clone()
    }

    pub(crate) fn send(&mut self, client: ClientId, value: &'static str) -> OpId {
        self.ask(client, ClientOp::Send(SendOp::new(TOPIC, 0, [value])))
    }

    /// Sends a value; where it is.
    pub(crate) fn sent(&mut self, client: ClientId, value: &'static str) -> Produced {
        let op = self.send(client, value);
        self.result(client, op).unwrap().produced().unwrap().clone()
    }

    /// Sends a value; the error's name.
    pub(crate) fn refused(&mut self, client: ClientId, value: &'static str) -> &'static str {
        let op = self.send(client, value);
        self.result(client, op).unwrap_err().name()
    }

    pub(crate) fn partition(&self) -> PartitionStatus {
        self.world.partition(TOPIC, 0).unwrap()
    }

    /// When an operation ended.
    pub(crate) fn ended_at(&self, client: ClientId, op: OpId) -> Timestamp {
        self.world.client_op(client, op).unwrap().ended.as_ref().unwrap().0
    }

    pub(crate) fn story(&self) -> String {
        self.world.trace().events().map(|event| format!("{event}\n")).collect()
    }
}

fn fail_on(world: &World, out: &[Output]) {
    let wrong = out.iter().find(|output| {
        matches!(output, Output::Stalled(_) | Output::NodeFailed { .. } | Output::FaultRefused { .. })
    });
    assert!(wrong.is_none(), "{wrong:?} at {}", world.now());
}
