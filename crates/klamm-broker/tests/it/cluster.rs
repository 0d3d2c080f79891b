//! A simulated cluster and a client that speaks to it in requests.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_log::Disk;
use klamm_node::{ConnectionId, Eras, NodeId, Timestamp, WallTime};
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::elect_leaders_request::TopicPartitions;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::produce_response::PartitionProduceResponse;
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, ElectLeadersRequest, FetchRequest, IncrementalAlterConfigsRequest, ProduceRequest,
    ResponseKind, TopicName,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ApiKey, ErrorCode, FetchResponse, Request, Response, StrBytes, Uuid};
use klamm_world::{
    BrokerSpec, ClientRequest, Command, Input, LinkSettings, Output, PartitionStatus, World, WorldSettings,
};

/// A request that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sent {
    connection: ConnectionId,
    correlation_id: i32,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Answered(Response),
    NoResponse,
    Closed,
}

pub(crate) struct Cluster {
    pub(crate) world: World,
    pub(crate) now: Timestamp,
    next_connection: u64,
    next_correlation: i32,
    /// `timeout_ms` of what is produced.
    pub(crate) produce_timeout_ms: i32,
    /// The topic that a test is about, where it does not say.
    pub(crate) topic: &'static str,
    /// The `client.id` of what is sent.
    pub(crate) client_id: &'static str,
    connections: BTreeMap<i32, ConnectionId>,
    outcomes: BTreeMap<Sent, Outcome>,
    waiting: Vec<Sent>,
}

impl Cluster {
    pub(crate) fn start(brokers: i32, config: &[(&str, &str)]) -> Self {
        Self::with_link(brokers, config, LinkSettings::default())
    }

    pub(crate) fn with_link(brokers: i32, config: &[(&str, &str)], link: LinkSettings) -> Self {
        Self::build(brokers, config, Eras::NEWEST, link, BTreeMap::new())
    }

    pub(crate) fn with_eras(brokers: i32, config: &[(&str, &str)], eras: Eras) -> Self {
        Self::build(brokers, config, eras, LinkSettings::default(), BTreeMap::new())
    }

    pub(crate) fn with_disks(
        brokers: i32,
        config: &[(&str, &str)],
        disks: BTreeMap<NodeId, Box<dyn Disk>>,
    ) -> Self {
        Self::build(brokers, config, Eras::NEWEST, LinkSettings::default(), disks)
    }

    fn build(
        brokers: i32,
        config: &[(&str, &str)],
        eras: Eras,
        link: LinkSettings,
        disks: BTreeMap<NodeId, Box<dyn Disk>>,
    ) -> Self {
        let settings = WorldSettings {
            seed: 7,
            brokers: (1..=brokers)
                .map(|id| BrokerSpec {
                    node: NodeId(id),
                    host: StrBytes::from_static_str("localhost"),
                    port: 9090 + id as u16,
                    rack: None,
                })
                .collect(),
            config: config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            eras,
            link,
            wall_epoch: WallTime(1_700_000_000_000),
            trace_capacity: 10_000,
            ..WorldSettings::default()
        };
        let mut cluster = Self {
            world: World::new(settings, disks),
            now: Timestamp::ZERO,
            next_connection: 1,
            next_correlation: 0,
            produce_timeout_ms: 5_000,
            topic: "t",
            client_id: "test",
            connections: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            waiting: Vec::new(),
        };
        cluster.command(Command::Start(NodeId(WorldSettings::FIRST_CONTROLLER)));
        for broker in 1..=brokers {
            cluster.command(Command::Start(NodeId(broker)));
        }
        cluster.wait_for("the cluster to be ready", Duration::from_secs(20), |c| c.world.is_ready());
        cluster
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.world.handle(self.now, input, &mut out);
        for output in out {
            self.note(output);
        }
    }

    fn note(&mut self, output: Output) {
        match output {
            Output::Response { connection, correlation_id, response, .. } => {
                self.outcomes.insert(Sent { connection, correlation_id }, Outcome::Answered(response));
            }
            Output::NoResponse { connection, correlation_id } => {
                self.outcomes.insert(Sent { connection, correlation_id }, Outcome::NoResponse);
            }
            Output::Close { connection } => {
                self.connections.retain(|_, c| *c != connection);
                for sent in self.waiting.iter().filter(|sent| sent.connection == connection) {
                    self.outcomes.entry(*sent).or_insert(Outcome::Closed);
                }
            }
            Output::NodeFailed { node, message } => panic!("node {node} failed: {message}"),
            Output::Stalled(stall) => panic!("stalled: {stall:?}"),
            Output::FaultRefused { id, error } => panic!("fault {id} refused: {error}"),
            Output::Damaged { .. } => panic!("no fault damages frames here"),
            Output::NodeStarted { .. } | Output::NodeStopped { .. } => {}
        }
    }

    /// Lets time pass, event by event.
    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.world.next_deadline().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    pub(crate) fn wait_for(&mut self, what: &str, limit: Duration, mut done: impl FnMut(&Self) -> bool) {
        let end = self.now + limit;
        while !done(self) {
            match self.world.next_deadline().filter(|at| *at <= end) {
                Some(at) => {
                    self.now = self.now.max(at);
                    self.input(Input::Tick);
                }
                None => {
                    let trace: Vec<String> = self.world.trace().events().map(ToString::to_string).collect();
                    panic!("waited in vain for {what} until {}:\n{}", self.now, trace.join("\n"));
                }
            }
        }
    }

    /// Starts a node, which must fail; what it says.
    pub(crate) fn start_fails(&mut self, node: i32) -> String {
        let mut out = Vec::new();
        self.world.handle(self.now, Input::Command(Command::Start(NodeId(node))), &mut out);
        let failed = out.into_iter().find_map(|output| match output {
            Output::NodeFailed { message, .. } => Some(message),
            _ => None,
        });
        failed.expect("a start that fails")
    }

    pub(crate) fn command(&mut self, command: Command) {
        self.input(Input::Command(command));
    }

    /// Sends a request over the cluster's one connection to a broker.
    pub(crate) fn send(&mut self, broker: i32, version: i16, request: impl Into<Request>) -> Sent {
        let connection = match self.connections.get(&broker) {
            Some(connection) => *connection,
            None => self.connect(broker),
        };
        self.send_over(connection, version, request)
    }

    /// Opens a connection of its own.
    pub(crate) fn connect(&mut self, broker: i32) -> ConnectionId {
        let connection = ConnectionId(self.next_connection);
        self.next_connection += 1;
        self.connections.insert(broker, connection);
        let host = StrBytes::from_static_str("127.0.0.1");
        self.input(Input::Connect { connection, broker: NodeId(broker), host });
        connection
    }

    pub(crate) fn send_over(
        &mut self,
        connection: ConnectionId,
        version: i16,
        request: impl Into<Request>,
    ) -> Sent {
        let correlation_id = self.next_correlation;
        self.next_correlation += 1;
        let request = request.into();
        let sent = Sent { connection, correlation_id };
        self.waiting.push(sent);
        self.input(Input::Request(ClientRequest {
            connection,
            correlation_id,
            api_key: key_of(&request),
            api_version: version,
            client_id: Some(StrBytes::from_static_str(self.client_id)),
            request,
            inspected: None,
        }));
        sent
    }

    /// What became of a request, so far.
    pub(crate) fn outcome(&self, sent: Sent) -> Option<&Outcome> {
        self.outcomes.get(&sent)
    }

    /// The answer to a request, which must have come.
    pub(crate) fn answer(&self, sent: Sent) -> &ResponseKind {
        match self.outcome(sent) {
            Some(Outcome::Answered(Response::Other(kind))) => kind,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// Sends a request and lets time pass until it is answered.
    pub(crate) fn ask(&mut self, broker: i32, version: i16, request: impl Into<Request>) -> ResponseKind {
        let sent = self.send(broker, version, request);
        self.wait_for("an answer", Duration::from_secs(60), |c| c.outcome(sent).is_some());
        self.answer(sent).clone()
    }

    pub(crate) fn create_topic(
        &mut self,
        name: &'static str,
        partitions: i32,
        replication: i16,
        configs: &[(&'static str, &'static str)],
    ) {
        self.create_topic_through(1, name, partitions, replication, configs);
    }

    pub(crate) fn create_topic_through(
        &mut self,
        broker: i32,
        name: &'static str,
        partitions: i32,
        replication: i16,
        configs: &[(&'static str, &'static str)],
    ) {
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(replication)
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let ResponseKind::CreateTopics(answer) = self.ask(broker, 7, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
        self.wait_for("the topic", Duration::from_secs(10), |c| c.world.is_topic_ready(name));
    }

    /// A topic of one partition with these replicas, the preferred leader first.
    pub(crate) fn create_assigned(
        &mut self,
        name: &'static str,
        replicas: &[i32],
        configs: &[(&'static str, &'static str)],
    ) {
        let assignment = CreatableReplicaAssignment::default()
            .with_partition_index(0)
            .with_broker_ids(replicas.iter().copied().map(BrokerId).collect());
        let configs = configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default()
                .with_name(StrBytes::from_static_str(name))
                .with_value(Some(StrBytes::from_static_str(value)))
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments(vec![assignment])
            .with_configs(configs.collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let ResponseKind::CreateTopics(answer) = self.ask(replicas[0], 7, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.topics[0].error_code, 0, "{:?}", answer.topics[0].error_message);
        self.wait_for("the topic", Duration::from_secs(10), |c| c.world.is_topic_ready(name));
    }

    /// Sets or deletes a key of a topic, a broker, or (with an empty name) of all brokers.
    pub(crate) fn alter_config(
        &mut self,
        kind: i8,
        name: &'static str,
        key: &'static str,
        value: Option<&str>,
    ) {
        let config = AlterableConfig::default()
            .with_name(StrBytes::from_static_str(key))
            .with_config_operation(i8::from(value.is_none()))
            .with_value(value.map(|value| StrBytes::from_string(value.to_owned())));
        let resource = AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(StrBytes::from_static_str(name))
            .with_configs(vec![config]);
        let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
        // A broker is told of its own keys itself.
        let any = || (1..).find(|id| self.world.is_up(NodeId(*id))).expect("a broker is up");
        let to = name.parse().ok().filter(|_| kind == 4).unwrap_or_else(any);
        let ResponseKind::IncrementalAlterConfigs(answer) = self.ask(to, 1, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0].error_message);
    }

    /// Asks for an election in partition 0 of a topic: 0 preferred, 1 unclean.
    pub(crate) fn elect(&mut self, broker: i32, topic: &'static str, election_type: i8) -> ErrorCode {
        let asked = TopicPartitions::default().with_topic(topic_name(topic)).with_partitions(vec![0]);
        let request = ElectLeadersRequest::default()
            .with_election_type(election_type)
            .with_topic_partitions(Some(vec![asked]))
            .with_timeout_ms(10_000);
        let ResponseKind::ElectLeaders(answer) = self.ask(broker, 2, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.error_code, 0);
        let code = answer.replica_election_results[0].partition_result[0].error_code;
        ErrorCode::from_code(code).expect("a code of Kafka's")
    }

    /// Moves partition 0 of a topic to `replicas`, or cancels its move.
    pub(crate) fn reassign(
        &mut self,
        broker: i32,
        topic: &'static str,
        replicas: Option<&[i32]>,
    ) -> ErrorCode {
        let target = ReassignablePartition::default()
            .with_partition_index(0)
            .with_replicas(replicas.map(|ids| ids.iter().copied().map(BrokerId).collect()));
        let topic = ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(vec![target]);
        let request =
            AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let ResponseKind::AlterPartitionReassignments(answer) = self.ask(broker, 1, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.error_code, 0);
        ErrorCode::from_code(answer.responses[0].partitions[0].error_code).expect("a code of Kafka's")
    }

    /// Partition 0 of a topic as one line: leader, epochs, ISR, ELR, replicas, and what is not always there.
    pub(crate) fn tuple(&self, topic: &str) -> String {
        let p = self.status(topic, 0);
        let ids = |list: &[NodeId]| -> Vec<i32> { list.iter().map(|id| id.0).collect() };
        let mut line = format!(
            "L={} e={} pe={} isr={:?} elr={:?} replicas={:?}",
            p.leader.map_or(-1, |leader| leader.0),
            p.leader_epoch,
            p.partition_epoch,
            ids(&p.isr),
            ids(&p.elr),
            ids(&p.replicas),
        );
        for (name, list) in
            [("adding", &p.adding_replicas), ("removing", &p.removing_replicas), ("last", &p.last_known_elr)]
        {
            if !list.is_empty() {
                line.push_str(&format!(" {name}={:?}", ids(list)));
            }
        }
        if p.leader_recovery_state == klamm_metadata::LeaderRecoveryState::Recovering {
            line.push_str(" recovering");
        }
        line
    }

    /// Lets time pass until partition 0 of a topic is as [`tuple`](Self::tuple) shows it.
    pub(crate) fn wait_for_tuple(&mut self, topic: &str, seconds: u64, tuple: &str) {
        self.wait_for(tuple, Duration::from_secs(seconds), |c| c.tuple(topic) == tuple);
    }

    /// Log start, log end and high watermark of a replica.
    pub(crate) fn log(&self, topic: &str, broker: i32) -> Option<(i64, i64, i64)> {
        let log = *self.status(topic, 0).logs.get(&NodeId(broker))?;
        Some((log.log_start, log.log_end, log.high_watermark))
    }

    /// Moves a partition's log start.
    pub(crate) fn delete_records(&mut self, topic: &'static str, partition: i32, offset: i64) {
        let leader = self.leader(topic, partition);
        let asked = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![asked]);
        let request = DeleteRecordsRequest::default().with_timeout_ms(5_000).with_topics(vec![topic]);
        let ResponseKind::DeleteRecords(answer) = self.ask(leader, 2, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    }

    pub(crate) fn delete_topic(&mut self, name: &'static str) {
        self.delete_topic_through(1, name);
    }

    pub(crate) fn delete_topic_through(&mut self, broker: i32, name: &'static str) {
        let request =
            DeleteTopicsRequest::default().with_topic_names(vec![topic_name(name)]).with_timeout_ms(10_000);
        let ResponseKind::DeleteTopics(answer) = self.ask(broker, 5, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0].error_message);
    }

    pub(crate) fn status(&self, topic: &str, partition: i32) -> PartitionStatus {
        self.world.partition(topic, partition).expect("the partition exists")
    }

    pub(crate) fn leader(&self, topic: &str, partition: i32) -> i32 {
        self.status(topic, partition).leader.expect("there is a leader").0
    }

    pub(crate) fn topic_id(&self, topic: &str) -> Uuid {
        self.world.metadata().and_then(|image| image.topics.id(topic)).expect("the topic exists")
    }

    pub(crate) fn send_produce(
        &mut self,
        broker: i32,
        topic: &'static str,
        partition: i32,
        acks: i16,
        value: &str,
    ) -> Sent {
        let mut batch = BatchBuilder::new();
        batch.push(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
        let records = batch.build().expect("an uncompressed batch").to_bytes();
        self.send_records(broker, topic, partition, acks, records)
    }

    pub(crate) fn send_records(
        &mut self,
        broker: i32,
        topic: &'static str,
        partition: i32,
        acks: i16,
        records: Bytes,
    ) -> Sent {
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
        let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(self.produce_timeout_ms)
            .with_topic_data(vec![topic]);
        self.send(broker, 12, request)
    }

    /// Produces several values to one topic in one request, with acks=all.
    pub(crate) fn send_produce_of(
        &mut self,
        broker: i32,
        topic: &'static str,
        values: &[(i32, &str)],
    ) -> Sent {
        let data = values.iter().map(|(partition, value)| {
            let mut batch = BatchBuilder::new();
            batch.push(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
            let records = batch.build().expect("an uncompressed batch").to_bytes();
            PartitionProduceData::default().with_index(*partition).with_records(Some(records))
        });
        let topic =
            TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(data.collect());
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(-1)
            .with_timeout_ms(self.produce_timeout_ms)
            .with_topic_data(vec![topic]);
        self.send(broker, 12, request)
    }

    pub(crate) fn produced(&self, sent: Sent) -> PartitionProduceResponse {
        let ResponseKind::Produce(answer) = self.answer(sent) else { panic!("another answer") };
        answer.responses[0].partition_responses[0].clone()
    }

    /// Produces to the leader with acks=all and expects success.
    pub(crate) fn produce(&mut self, topic: &'static str, partition: i32, value: &str) -> i64 {
        let leader = self.leader(topic, partition);
        let sent = self.send_produce(leader, topic, partition, -1, value);
        self.wait_for("an ack", Duration::from_secs(10), |c| c.outcome(sent).is_some());
        let answer = self.produced(sent);
        assert_eq!(ErrorCode::from_code(answer.error_code), Some(ErrorCode::None), "{answer:?}");
        answer.base_offset
    }

    pub(crate) fn fetched(&self, sent: Sent) -> &FetchResponse {
        match self.outcome(sent) {
            Some(Outcome::Answered(Response::Fetch(response))) => response,
            other => panic!("no fetch answer: {other:?}"),
        }
    }
}

pub(crate) fn topic_name(name: &'static str) -> TopicName {
    TopicName(StrBytes::from_static_str(name))
}

/// A fetch by name (version 12) of one partition.
pub(crate) fn fetch(topic: &'static str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let asked = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_partition_max_bytes(1 << 20);
    FetchRequest::default()
        .with_replica_id((-1).into())
        .with_max_wait_ms(max_wait_ms)
        .with_min_bytes(1)
        .with_max_bytes(1 << 25)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![asked])])
}

pub(crate) fn key_of(request: &Request) -> ApiKey {
    klamm_wire::api::api_of(request).key
}
