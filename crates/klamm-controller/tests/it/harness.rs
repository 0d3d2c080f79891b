//! A controller on a memory disk with a clock of its own, and brokers that say what a test has them say.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_controller::{Controller, ControllerSettings};
use klamm_log::MemoryDisk;
use klamm_metadata::{MetadataImage, MetadataPublisher, PartitionRegistration, SUPPORTED_FEATURES};
use klamm_node::{
    CallId, Ctx, Effect, Incoming, NodeId, Origin, ReplyTo, Rng, Timestamp, Trace, TraceKind, WallTime,
};
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::alter_partition_request::{
    BrokerState, PartitionData as AlterPartitionData, TopicData as AlterTopicData,
};
use klamm_wire::messages::broker_registration_request::{Feature, Listener};
use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use klamm_wire::messages::create_topics_response::CreatableTopicResult;
use klamm_wire::messages::elect_leaders_request::TopicPartitions;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionRequest, BrokerHeartbeatRequest,
    BrokerHeartbeatResponse, BrokerId, BrokerRegistrationRequest, CreateTopicsRequest, ElectLeadersRequest,
    FetchRequest, ResponseKind,
};
use klamm_wire::{ErrorCode, FetchResponse, Request, Response, StrBytes, Uuid};

pub const CLUSTER: &str = "klamm-test-cluster-id0";

pub struct Harness {
    pub controller: Controller,
    settings: ControllerSettings,
    pub now: Timestamp,
    rng: Rng,
    pub trace: Trace,
    pub effects: Vec<Effect>,
    calls: u64,
    next_call: u64,
}

macro_rules! ask {
    ($name:ident, $version:expr, $kind:ident, $request:ident -> $response:ident) => {
        pub fn $name(&mut self, request: klamm_wire::messages::$request) -> klamm_wire::messages::$response {
            match self.ask($version, request.into()) {
                Response::Other(kind) => match *kind {
                    ResponseKind::$kind(response) => response,
                    other => panic!("another response: {other:?}"),
                },
                Response::Fetch(_) => panic!("a fetch response"),
            }
        }
    };
}

fn settings(config: &[(&str, &str)]) -> ControllerSettings {
    let mut settings = ControllerSettings::new(NodeId(100), StrBytes::from_static_str(CLUSTER));
    settings.config = config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    settings
}

impl Harness {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A controller with server properties, in a cluster with KIP-966 off.
    pub fn with(config: &[(&str, &str)]) -> Self {
        let mut settings = settings(config);
        settings.bootstrap_features.retain(|feature, _| feature == "metadata.version");
        Self::boot(settings)
    }

    /// A controller of a cluster with KIP-966 on.
    pub fn with_elr(config: &[(&str, &str)]) -> Self {
        Self::boot(settings(config))
    }

    fn boot(settings: ControllerSettings) -> Self {
        let mut trace = Trace::new(100_000);
        let mut rng = Rng::from_seed(7);
        let (mut effects, mut next_call) = (Vec::new(), 0);
        let mut ctx = Ctx {
            now: Timestamp::ZERO,
            wall: WallTime(1_700_000_000_000),
            node: settings.node,
            rng: &mut rng,
            trace: &mut trace,
            effects: &mut effects,
            next_call: &mut next_call,
        };
        let disk = Box::new(MemoryDisk::default());
        let controller = Controller::boot(settings.clone(), disk, &mut ctx).unwrap();
        Self { controller, settings, now: Timestamp::ZERO, rng, trace, effects, calls: 0, next_call }
    }

    fn step<T>(&mut self, step: impl FnOnce(&mut Controller, &mut Ctx<'_>) -> T) -> T {
        let mut ctx = Ctx {
            now: self.now,
            wall: WallTime(1_700_000_000_000 + self.now.as_millis()),
            node: self.settings.node,
            rng: &mut self.rng,
            trace: &mut self.trace,
            effects: &mut self.effects,
            next_call: &mut self.next_call,
        };
        step(&mut self.controller, &mut ctx)
    }

    /// Ends the process (in order, or not) and starts another on the same disk.
    pub fn restart(self, in_order: bool) -> Self {
        let mut old = self;
        if in_order {
            old.step(|controller, ctx| controller.shut_down(ctx));
        }
        let mut disk = old.controller.into_disk();
        disk.crash();
        let mut ctx = Ctx {
            now: old.now,
            wall: WallTime(1_700_000_000_000 + old.now.as_millis()),
            node: old.settings.node,
            rng: &mut old.rng,
            trace: &mut old.trace,
            effects: &mut old.effects,
            next_call: &mut old.next_call,
        };
        let controller = Controller::boot(old.settings.clone(), disk, &mut ctx).unwrap();
        Self { controller, ..old }
    }

    /// Sends a request; where the answer goes.
    pub fn send(&mut self, api_version: i16, request: Request) -> ReplyTo {
        let reply_to = ReplyTo::Node { node: NodeId(1), call: CallId(self.calls) };
        self.calls += 1;
        let incoming = Incoming {
            reply_to,
            origin: Origin::Node(NodeId(1)),
            api_version,
            client_id: None,
            request,
            inspected: None,
            arrived: None,
        };
        self.step(|controller, ctx| controller.on_request(ctx, incoming));
        reply_to
    }

    /// Takes the answer to a request, if it came.
    pub fn answer(&mut self, reply_to: ReplyTo) -> Option<Response> {
        let at = self
            .effects
            .iter()
            .position(|effect| matches!(effect, Effect::Reply { to, .. } if *to == reply_to))?;
        match self.effects.remove(at) {
            Effect::Reply { response, .. } => Some(response),
            _ => None,
        }
    }

    /// Sends a request that is answered within the same step.
    pub fn ask(&mut self, api_version: i16, request: Request) -> Response {
        let reply_to = self.send(api_version, request);
        self.answer(reply_to).expect("no answer within the step")
    }

    ask!(register_broker, 4, BrokerRegistration, BrokerRegistrationRequest -> BrokerRegistrationResponse);
    ask!(broker_heartbeat, 1, BrokerHeartbeat, BrokerHeartbeatRequest -> BrokerHeartbeatResponse);
    ask!(create_topics, 7, CreateTopics, CreateTopicsRequest -> CreateTopicsResponse);
    ask!(delete_topics, 6, DeleteTopics, DeleteTopicsRequest -> DeleteTopicsResponse);
    ask!(create_partitions, 3, CreatePartitions, CreatePartitionsRequest -> CreatePartitionsResponse);
    ask!(assign_replicas_to_dirs, 0, AssignReplicasToDirs, AssignReplicasToDirsRequest -> AssignReplicasToDirsResponse);
    ask!(alter_partition, 3, AlterPartition, AlterPartitionRequest -> AlterPartitionResponse);
    ask!(incremental_alter_configs, 1, IncrementalAlterConfigs, IncrementalAlterConfigsRequest -> IncrementalAlterConfigsResponse);
    ask!(alter_configs, 2, AlterConfigs, AlterConfigsRequest -> AlterConfigsResponse);
    ask!(elect_leaders, 2, ElectLeaders, ElectLeadersRequest -> ElectLeadersResponse);
    ask!(alter_reassignments, 1, AlterPartitionReassignments, AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse);
    ask!(list_reassignments, 0, ListPartitionReassignments, ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse);
    ask!(unregister_broker, 0, UnregisterBroker, UnregisterBrokerRequest -> UnregisterBrokerResponse);
    ask!(allocate_producer_ids, 0, AllocateProducerIds, AllocateProducerIdsRequest -> AllocateProducerIdsResponse);

    /// Lets time pass, timer by timer.
    pub fn advance(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(next) = self.controller.next_deadline().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.step(|controller, ctx| controller.on_timer(ctx));
        }
        self.now = end;
    }

    pub fn image(&self) -> &MetadataImage {
        self.controller.image()
    }

    pub fn topic_id(&self, topic: &str) -> Uuid {
        self.image().topics.id(topic).expect("no such topic")
    }

    pub fn partition(&self, topic: &str, index: i32) -> PartitionRegistration {
        (**self.image().topics.partition_by_name(topic, index).expect("no such partition")).clone()
    }

    pub fn epoch(&self, broker: i32) -> i64 {
        self.image().cluster.epoch(NodeId(broker)).expect("not registered")
    }

    /// A registration as `process` (an incarnation) of a broker sends it.
    pub fn registration(broker: i32, process: u64) -> BrokerRegistrationRequest {
        let feature = |feature: &klamm_metadata::SupportedFeature| {
            Feature::default()
                .with_name(StrBytes::from_static_str(feature.name))
                .with_min_supported_version(feature.min)
                .with_max_supported_version(feature.max)
        };
        let features: Vec<Feature> = SUPPORTED_FEATURES.iter().map(feature).collect();
        BrokerRegistrationRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_cluster_id(StrBytes::from_static_str(CLUSTER))
            .with_incarnation_id(Uuid::from_u64_pair(broker as u64 + 1000, process))
            .with_listeners(vec![
                Listener::default()
                    .with_name("PLAINTEXT".into())
                    .with_host("127.0.0.1".into())
                    .with_port(9092 + broker as u16)
                    .with_security_protocol(0),
            ])
            .with_features(features)
            .with_log_dirs(vec![Uuid::from_u64_pair(broker as u64 + 2000, 1)])
            .with_previous_broker_epoch(-1)
    }

    pub fn heartbeat_of(&self, broker: i32) -> BrokerHeartbeatRequest {
        BrokerHeartbeatRequest::default()
            .with_broker_id(BrokerId(broker))
            .with_broker_epoch(self.epoch(broker))
            .with_current_metadata_offset(self.controller.high_watermark() - 1)
    }

    /// A heartbeat of a broker that has read the whole metadata log.
    pub fn heartbeat(&mut self, broker: i32) -> BrokerHeartbeatResponse {
        let request = self.heartbeat_of(broker);
        self.broker_heartbeat(request)
    }

    /// Registers a process of a broker and has it unfenced.
    pub fn start_broker(&mut self, broker: i32, process: u64) -> i64 {
        let response = self.register_broker(Self::registration(broker, process));
        assert_eq!(response.error_code, 0);
        let heartbeat = self.heartbeat(broker);
        assert!(!heartbeat.is_fenced, "broker {broker} is still fenced");
        response.broker_epoch
    }

    pub fn start_brokers(&mut self, brokers: std::ops::RangeInclusive<i32>) {
        for broker in brokers {
            self.start_broker(broker, 1);
        }
    }

    /// Fences a broker at its own wish.
    pub fn fence(&mut self, broker: i32) {
        let request = self.heartbeat_of(broker).with_want_fence(true);
        let response = self.broker_heartbeat(request);
        assert_eq!((response.error_code, response.is_fenced), (0, true));
    }

    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &[(&str, &str)],
    ) -> CreatableTopicResult {
        let topic = creatable(name, partitions, replication_factor).with_configs(
            configs
                .iter()
                .map(|(k, v)| {
                    CreatableTopicConfig::default()
                        .with_name(StrBytes::from_string((*k).to_owned()))
                        .with_value(Some(StrBytes::from_string((*v).to_owned())))
                })
                .collect(),
        );
        let response = self.create_topics(CreateTopicsRequest::default().with_topics(vec![topic]));
        response.topics.into_iter().next().expect("one topic")
    }

    /// A topic of one partition with these replicas.
    pub fn create_assigned(&mut self, name: &str, replicas: &[i32], configs: &[(&str, &str)]) {
        let mut topic = creatable(name, -1, -1).with_assignments(vec![assignment(0, replicas)]);
        topic.configs = configs
            .iter()
            .map(|(k, v)| {
                CreatableTopicConfig::default()
                    .with_name(StrBytes::from_string((*k).to_owned()))
                    .with_value(Some(StrBytes::from_string((*v).to_owned())))
            })
            .collect();
        let response = self.create_topics(CreateTopicsRequest::default().with_topics(vec![topic]));
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    }

    /// The proposal that `sender` would make of partition 0 of a topic: current epochs, the brokers' own epochs.
    pub fn proposal(&self, topic: &str, sender: i32, isr: &[i32]) -> AlterPartitionRequest {
        let partition = self.partition(topic, 0);
        let state = |id: &i32| {
            let epoch = self.image().cluster.epoch(NodeId(*id)).unwrap_or(-1);
            BrokerState::default().with_broker_id(BrokerId(*id)).with_broker_epoch(epoch)
        };
        AlterPartitionRequest::default()
            .with_broker_id(BrokerId(sender))
            .with_broker_epoch(self.epoch(sender))
            .with_topics(vec![AlterTopicData::default().with_topic_id(self.topic_id(topic)).with_partitions(
                vec![
                    AlterPartitionData::default()
                        .with_partition_index(0)
                        .with_leader_epoch(partition.leader_epoch)
                        .with_partition_epoch(partition.partition_epoch)
                        .with_leader_recovery_state(partition.leader_recovery_state.code())
                        .with_new_isr_with_epochs(isr.iter().map(state).collect()),
                ],
            )])
    }

    /// Asks for an election in partition 0 of a topic: 0 preferred, 1 unclean.
    pub fn elect(&mut self, topic: &str, election_type: i8) -> ErrorCode {
        let asked = TopicPartitions::default()
            .with_topic(StrBytes::from_string(topic.to_owned()).into())
            .with_partitions(vec![0]);
        let request = ElectLeadersRequest::default()
            .with_election_type(election_type)
            .with_topic_partitions(Some(vec![asked]));
        let response = self.elect_leaders(request);
        let code = match response.error_code {
            0 => response.replica_election_results[0].partition_result[0].error_code,
            code => code,
        };
        ErrorCode::from_code(code).expect("a code of Kafka's")
    }

    /// Moves partition 0 of a topic to `replicas`, or cancels its move.
    pub fn reassign(&mut self, topic: &str, replicas: Option<&[i32]>) -> (ErrorCode, String) {
        self.reassign_with(topic, replicas, true)
    }

    pub fn reassign_with(
        &mut self,
        topic: &str,
        replicas: Option<&[i32]>,
        allow_rf_change: bool,
    ) -> (ErrorCode, String) {
        let target = ReassignablePartition::default()
            .with_partition_index(0)
            .with_replicas(replicas.map(|ids| ids.iter().copied().map(BrokerId).collect()));
        let topic = ReassignableTopic::default()
            .with_name(StrBytes::from_string(topic.to_owned()).into())
            .with_partitions(vec![target]);
        let request = AlterPartitionReassignmentsRequest::default()
            .with_allow_replication_factor_change(allow_rf_change)
            .with_topics(vec![topic]);
        let response = self.alter_reassignments(request);
        assert_eq!(response.error_code, 0);
        let answer = &response.responses[0].partitions[0];
        error(answer.error_code, &answer.error_message)
    }

    /// Sends a proposal for one partition and returns its error.
    pub fn propose(&mut self, request: AlterPartitionRequest) -> ErrorCode {
        let response = self.alter_partition(request);
        let code = match response.error_code {
            0 => response.topics[0].partitions[0].error_code,
            code => code,
        };
        ErrorCode::from_code(code).expect("a code of Kafka's")
    }

    /// A fetch of the metadata log from `offset`.
    pub fn fetch_request(offset: i64, last_fetched_epoch: i32) -> FetchRequest {
        FetchRequest::default()
            .with_cluster_id(Some(StrBytes::from_static_str(CLUSTER)))
            .with_max_wait_ms(500)
            .with_min_bytes(0)
            .with_max_bytes(8 << 20)
            .with_topics(vec![
                FetchTopic::default().with_topic_id(klamm_metadata::METADATA_TOPIC_ID).with_partitions(vec![
                    FetchPartition::default()
                        .with_partition(0)
                        .with_current_leader_epoch(-1)
                        .with_fetch_offset(offset)
                        .with_last_fetched_epoch(last_fetched_epoch)
                        .with_partition_max_bytes(8 << 20),
                ]),
            ])
    }

    pub fn fetch(&mut self, offset: i64, last_fetched_epoch: i32) -> FetchResponse {
        match self.ask(17, Self::fetch_request(offset, last_fetched_epoch).into()) {
            Response::Fetch(response) => response,
            Response::Other(_) => panic!("not a fetch response"),
        }
    }

    /// What a broker makes of the whole metadata log.
    pub fn image_from_log(&mut self) -> MetadataImage {
        let mut publisher = MetadataPublisher::new();
        let end = self.controller.high_watermark();
        while publisher.next_offset() < end {
            let epoch = publisher.image().provenance.last_contained_epoch.max(0);
            let mut response = self.fetch(publisher.next_offset(), epoch);
            let partition = response.topics.remove(0).partitions.remove(0);
            assert_eq!(partition.error_code, ErrorCode::None);
            assert_eq!(partition.diverging_epoch, None);
            publisher.load_records(&partition.records, partition.high_watermark).unwrap();
        }
        publisher.into_image()
    }

    pub fn decisions(&self) -> Vec<TraceKind> {
        self.trace.events().map(|event| event.kind.clone()).collect()
    }
}

pub fn creatable(name: &str, partitions: i32, replication_factor: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(StrBytes::from_string(name.to_owned()).into())
        .with_num_partitions(partitions)
        .with_replication_factor(replication_factor)
}

pub fn assignment(partition: i32, replicas: &[i32]) -> CreatableReplicaAssignment {
    CreatableReplicaAssignment::default()
        .with_partition_index(partition)
        .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
}

pub fn ids(list: &[NodeId]) -> Vec<i32> {
    list.iter().map(|id| id.0).collect()
}

/// What a topic or partition answered: its error, and the message if there is one.
pub fn error(code: i16, message: &Option<StrBytes>) -> (ErrorCode, String) {
    (ErrorCode::from_code(code).unwrap(), message.as_ref().map(ToString::to_string).unwrap_or_default())
}

/// Brokers by how many of `lists` hold them at `at`, or anywhere.
pub fn spread(lists: &[Vec<i32>], at: Option<usize>) -> BTreeMap<i32, usize> {
    let mut counts = BTreeMap::new();
    for list in lists {
        for (index, id) in list.iter().enumerate() {
            if at.is_none_or(|at| at == index) {
                *counts.entry(*id).or_default() += 1;
            }
        }
    }
    counts
}
