//! Time that is passed over leaves what time that passes event by event leaves.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{ConnectionId, NodeId, Rng, Timestamp, TraceKind, WallTime};
use klamm_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{
    CreateTopicsRequest, FetchRequest, FindCoordinatorRequest, GroupId, OffsetCommitRequest, ProduceRequest,
    ResponseKind, TopicName,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ApiKey, Request, Response};
use klamm_world::{
    BrokerSpec, ClientRequest, Command, Input, LinkSettings, Output, Snapshot, World, WorldSettings,
};

use crate::seeds;

const SECOND: Duration = Duration::from_secs(1);
pub(crate) const WALL: i64 = 1_700_000_000_000;

/// A cluster, and one who asks things of it.
pub(crate) struct Cluster {
    pub(crate) world: World,
    asked: i32,
}

impl Cluster {
    pub(crate) fn start(settings: WorldSettings) -> Self {
        let brokers = settings.brokers.iter().map(|broker| broker.node);
        let nodes: Vec<NodeId> = settings.controllers.iter().copied().chain(brokers).collect();
        let mut cluster = Self { world: World::new(settings, BTreeMap::new()), asked: 0 };
        for node in nodes {
            cluster.input(Input::Command(Command::Start(node)));
        }
        for _ in 0..60 {
            cluster.run(SECOND);
            if cluster.world.is_ready() {
                return cluster;
            }
        }
        panic!("{}", cluster.world.status());
    }

    pub(crate) fn input(&mut self, input: Input) -> Vec<Output> {
        let mut out = Vec::new();
        self.world.handle(self.world.now(), input, &mut out);
        out
    }

    pub(crate) fn run(&mut self, time: Duration) {
        let end = self.world.now() + time;
        self.world.run_until(end, |_, _| ());
    }

    /// Asks a broker over a connection of its own; the answer, within a minute.
    pub(crate) fn ask(
        &mut self,
        broker: NodeId,
        key: ApiKey,
        version: i16,
        request: Request,
    ) -> Option<Response> {
        self.asked += 1;
        let connection = ConnectionId(self.asked as u64);
        self.input(Input::Connect { connection, broker, host: "127.0.0.1".into() });
        let mut out = self.input(Input::Request(ClientRequest {
            connection,
            correlation_id: self.asked,
            api_key: key,
            api_version: version,
            client_id: None,
            request,
            inspected: None,
        }));
        let end = self.world.now() + 60 * SECOND;
        loop {
            let answer = out.drain(..).find_map(|output| match output {
                Output::Response { connection: to, response, .. } if to == connection => Some(response),
                _ => None,
            });
            if answer.is_some() {
                self.input(Input::Disconnect { connection });
                return answer;
            }
            let next = self.world.next_deadline().filter(|at| *at <= end)?;
            self.world.handle(next, Input::Tick, &mut out);
        }
    }

    pub(crate) fn create(&mut self, topic: &str, partitions: i32, replicas: i16, configs: &[(&str, String)]) {
        let config = |(key, value): &(&str, String)| {
            CreatableTopicConfig::default()
                .with_name((*key).to_owned().into())
                .with_value(Some(value.clone().into()))
        };
        let creatable = CreatableTopic::default()
            .with_name(TopicName(topic.to_owned().into()))
            .with_num_partitions(partitions)
            .with_replication_factor(replicas)
            .with_configs(configs.iter().map(config).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![creatable]).with_timeout_ms(10_000);
        let answer = self.ask(NodeId(1), ApiKey::CreateTopics, 7, request.into());
        let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
        let ResponseKind::CreateTopics(answer) = *answer else { panic!("{answer:?}") };
        assert_eq!(answer.topics[0].error_code, 0, "{answer:?}");
        self.run(SECOND);
    }

    /// Appends one record to a partition.
    fn produce(&mut self, topic: &str, partition: i32, key: &str, producer: Option<i64>) {
        let Some(leader) = self.world.partition(topic, partition).and_then(|status| status.leader) else {
            return;
        };
        let wall = WALL + self.world.now().as_millis();
        let mut batch = BatchBuilder::new();
        if let Some(id) = producer {
            batch = batch.producer(id, 0, 0);
        }
        batch.push(wall, Some(key.as_bytes()), Some(&[7; 300]), &[]);
        let records = batch.build().unwrap().to_bytes();
        self.ask(leader, ApiKey::Produce, 9, produce_request(topic, partition, records).into());
    }

    /// Appends one record to partition 0 of a topic, a tombstone where it has no value, with a timestamp so far ahead; the error code.
    pub(crate) fn append(&mut self, topic: &str, key: &str, value: Option<&[u8]>, ahead_ms: i64) -> i16 {
        let leader = self.world.partition(topic, 0).and_then(|status| status.leader).unwrap();
        let mut batch = BatchBuilder::new();
        let at = WALL + self.world.now().as_millis() + ahead_ms;
        batch.push(at, Some(key.as_bytes()), value, &[]);
        let records = batch.build().unwrap().to_bytes();
        let answer = self.ask(leader, ApiKey::Produce, 9, produce_request(topic, 0, records).into());
        let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
        let ResponseKind::Produce(answer) = *answer else { panic!("{answer:?}") };
        answer.responses[0].partition_responses[0].error_code
    }

    /// Commits an offset for a group without members.
    fn commit(&mut self, group: &str, topic: &str) {
        let find = || FindCoordinatorRequest::default().with_coordinator_keys(vec![group.to_owned().into()]);
        let mut coordinator = None;
        for _ in 0..10 {
            let Some(Response::Other(found)) = self.ask(NodeId(1), ApiKey::FindCoordinator, 4, find().into())
            else {
                panic!("no answer")
            };
            let ResponseKind::FindCoordinator(found) = *found else { panic!("{found:?}") };
            coordinator = (found.coordinators[0].error_code == 0).then(|| found.coordinators[0].node_id.0);
            if coordinator.is_some() {
                break;
            }
            self.run(SECOND);
        }
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(topic.to_owned().into()))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(group.to_owned().into()))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        self.ask(NodeId(coordinator.unwrap()), ApiKey::OffsetCommit, 8, request.into());
    }

    /// Leaves a consumer's fetch of records to come waiting.
    fn long_poll(&mut self, topic: &str, wait_ms: i32) {
        let Some(status) = self.world.partition(topic, 0) else { return };
        let (Some(broker), Some(end)) = (status.leader, status.log_end()) else { return };
        self.asked += 1;
        let connection = ConnectionId(self.asked as u64);
        self.input(Input::Connect { connection, broker, host: "127.0.0.1".into() });
        let partition = FetchPartition::default().with_fetch_offset(end).with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default()
            .with_topic(TopicName(topic.to_owned().into()))
            .with_partitions(vec![partition]);
        let request = FetchRequest::default()
            .with_max_wait_ms(wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_session_epoch(-1)
            .with_topics(vec![topic]);
        self.input(Input::Request(ClientRequest {
            connection,
            correlation_id: self.asked,
            api_key: ApiKey::Fetch,
            api_version: 11,
            client_id: None,
            request: request.into(),
            inspected: None,
        }));
    }
}

pub(crate) fn produce_request(topic: &str, partition: i32, records: bytes::Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default()
        .with_name(TopicName(topic.to_owned().into()))
        .with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

pub(crate) fn settings(brokers: i32, controllers: i32, config: &[(&str, String)]) -> WorldSettings {
    WorldSettings {
        brokers: (1..=brokers)
            .map(|id| BrokerSpec {
                node: NodeId(id),
                host: "localhost".into(),
                port: 9091 + id as u16,
                rack: None,
            })
            .collect(),
        controllers: (0..controllers).map(|at| NodeId(WorldSettings::FIRST_CONTROLLER + at)).collect(),
        config: config.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        wall_epoch: WallTime(WALL),
        trace_capacity: 1 << 18,
        ..WorldSettings::default()
    }
}

/// A cluster with what has a life of its own in it, drawn from a seed. Intervals are short, so that a quarter of an hour is long.
fn random_cluster(seed: u64) -> (Cluster, Rng) {
    let mut rng = Rng::stream(seed, "idle");
    let (brokers, controllers) = (1 + rng.below(3) as i32, [1, 1, 3][rng.below(3) as usize]);
    let seconds =
        |rng: &mut Rng, least: u64, most: u64| (1_000 * (least + rng.below(most - least))).to_string();
    let config = [
        ("offsets.topic.num.partitions", "3".to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("offsets.retention.minutes", (1 + rng.below(6)).to_string()),
        ("offsets.retention.check.interval.ms", seconds(&mut rng, 5, 100)),
        ("log.retention.check.interval.ms", seconds(&mut rng, 5, 60)),
        ("log.cleaner.backoff.ms", seconds(&mut rng, 3, 20)),
        ("producer.id.expiration.ms", seconds(&mut rng, 60, 400)),
        ("metadata.log.max.snapshot.interval.ms", seconds(&mut rng, 60, 400)),
        ("leader.imbalance.check.interval.seconds", (10 + rng.below(90)).to_string()),
        ("replica.lag.time.max.ms", seconds(&mut rng, 3, 30)),
    ];
    let mut settings = settings(brokers, controllers, &config);
    settings.seed = seed;
    settings.link =
        LinkSettings { latency: Duration::from_micros(rng.below(3) * 1_700), jitter: Duration::ZERO };
    let mut cluster = Cluster::start(settings);
    for at in 0..1 + rng.below(3) {
        let topic = format!("t{at}");
        let policy = ["delete", "compact", "compact,delete"][rng.below(3) as usize].to_owned();
        let configs = [
            ("cleanup.policy", policy),
            ("internal.segment.bytes", "1024".to_owned()),
            ("retention.ms", seconds(&mut rng, 30, 600)),
            ("file.delete.delay.ms", seconds(&mut rng, 1, 60)),
            ("min.compaction.lag.ms", seconds(&mut rng, 0, 200)),
            ("min.cleanable.dirty.ratio", "0.1".to_owned()),
        ];
        let partitions = 1 + rng.below(3) as i32;
        let replicas = 1 + rng.below(brokers as u64) as i16;
        cluster.create(&topic, partitions, replicas, &configs);
        for n in 0..rng.below(12) {
            let producer = rng.chance(0.2).then_some(1_000 + n as i64);
            cluster.produce(&topic, rng.below(partitions as u64) as i32, &format!("k{}", n % 3), producer);
            if rng.chance(0.3) {
                cluster.run(Duration::from_millis(rng.below(9_000)));
            }
        }
        if rng.chance(0.5) {
            cluster.commit(&format!("g{at}"), &topic);
        }
    }
    for _ in 0..rng.below(3) {
        let node = NodeId(1 + rng.below(brokers as u64) as i32);
        let command = match rng.below(5) {
            0 => Command::Crash(node),
            1 => Command::Stop(node),
            2 => Command::Start(node),
            3 => Command::SetWallSkew { node, millis: rng.below(100_000) as i64 },
            _ => {
                cluster.long_poll("t0", 30_000);
                continue;
            }
        };
        cluster.input(Input::Command(command));
        cluster.run(Duration::from_millis(rng.below(20_000)));
    }
    (cluster, rng)
}

/// What was decided since `from`, without the numbers of events, and without what was passed over.
fn story(world: &World, from: u64) -> Vec<(Timestamp, Option<NodeId>, TraceKind)> {
    let events = world.trace().events().filter(|event| event.id.0 > from);
    let told = events.map(|event| (event.at, event.node, event.kind.clone()));
    told.filter(|(.., kind)| !matches!(kind, TraceKind::IdleTimeSkipped { .. })).collect()
}

fn skipped(world: &World, from: u64) -> Duration {
    let events = world.trace().events().filter(|event| event.id.0 > from);
    let spans = events.filter_map(|event| match event.kind {
        TraceKind::IdleTimeSkipped { until } => Some(until.since(event.at)),
        _ => None,
    });
    spans.sum()
}

fn compare(seed: u64, stepped: &World, skipped: &World, from: u64) {
    let (told, short) = (story(stepped, from), story(skipped, from));
    if let Some((a, b)) = told.iter().zip(&short).find(|(a, b)| a != b) {
        panic!(
            "KLAMM_SEED={seed}: event by event\n{} {:?} {:?}\nbut\n{} {:?} {:?}",
            a.0, a.1, a.2, b.0, b.1, b.2
        );
    }
    let rest = |all: &[(Timestamp, Option<NodeId>, TraceKind)], n: usize| format!("{:#?}", all.get(n));
    assert_eq!(
        rest(&told, short.len()),
        rest(&short, told.len()),
        "KLAMM_SEED={seed}: one history is longer"
    );
    let seen = |world: &World| {
        // Whether a message is on its way at just this moment is a matter of laps.
        Snapshot { pending: 0, ..world.snapshot() }
    };
    let (long, short) = (seen(stepped), seen(skipped));
    assert_eq!(long, short, "KLAMM_SEED={seed}: {}", long.diff(&short));
}

/// Random clusters, nearly idle: event by event and with idle time passed over, they come to the same state by the same decisions,
/// and go on alike when a broker then dies, whose session, followers and leaderships depend on when it was last heard of.
#[test]
fn time_that_is_passed_over_leaves_what_time_that_passes_leaves() {
    let mut passed_over = 0;
    let seeds = seeds(0..24);
    for seed in seeds.clone() {
        let (cluster, mut rng) = random_cluster(seed);
        let from = cluster.world.trace().recorded();
        let (mut stepped, mut short) = (cluster.world.fork().unwrap(), cluster.world.fork().unwrap());
        let begin = stepped.now();
        let end = begin + Duration::from_millis(200_000 + rng.below(700_000));
        stepped.run_until(end, |_, _| ());
        short.handle(end, Input::Pass { from: begin }, &mut Vec::new());
        passed_over += usize::from(skipped(&short, from) > 60 * SECOND);
        compare(seed, &stepped, &short, from);

        let victim = NodeId(if rng.chance(0.3) { WorldSettings::FIRST_CONTROLLER } else { 1 });
        for world in [&mut stepped, &mut short] {
            world.handle(end, Input::Command(Command::Crash(victim)), &mut Vec::new());
            world.run_until(end + 40 * SECOND, |_, _| ());
        }
        compare(seed, &stepped, &short, from);
    }
    assert!(2 * passed_over >= seeds.len(), "only {passed_over} clusters passed over a minute");
}

fn a_week_of_idleness() -> Cluster {
    let mut cluster = Cluster::start(settings(3, 1, &[]));
    cluster.create(
        "aged",
        2,
        3,
        &[("retention.ms", "86400000".to_owned()), ("internal.segment.bytes", "1024".to_owned())],
    );
    cluster.create(
        "kept",
        1,
        3,
        &[
            ("cleanup.policy", "compact".to_owned()),
            ("min.compaction.lag.ms", "172800000".to_owned()),
            ("internal.segment.bytes", "1024".to_owned()),
        ],
    );
    for n in 0..12 {
        cluster.produce("aged", n % 2, "k", None);
        cluster.produce("kept", 0, ["a", "b"][n as usize % 2], None);
    }
    cluster.commit("g", "aged");
    cluster.run(10 * SECOND);
    cluster
}

/// A week and an hour on three brokers with a topic under retention, one that is compacted, and committed offsets that expire.
#[test]
fn a_week_goes_by_in_a_moment() {
    let mut cluster = a_week_of_idleness();
    let from = cluster.world.trace().recorded();
    let begin = cluster.world.now();
    let end = begin + Duration::from_secs(7 * 24 * 3600 + 3600);
    let messages = cluster.world.messages();
    cluster.world.handle(end, Input::Pass { from: begin }, &mut Vec::new());

    let world = &cluster.world;
    assert_eq!(world.now(), end);
    let decided = story(world, from);
    let days = |at: Timestamp| at.since(begin).as_secs() / (24 * 3600);
    let deleted: Vec<u64> = decided
        .iter()
        .filter(|(.., kind)| matches!(kind, TraceKind::SegmentsDeleted { partition, .. } if &*partition.topic == "aged"))
        .map(|(at, ..)| days(*at))
        .collect();
    assert_eq!(deleted, [1; 6], "both partitions, on three brokers, after a day");
    let compacted = decided.iter().filter(|(.., kind)| matches!(kind, TraceKind::LogCompacted { .. }));
    assert_eq!(
        compacted.map(|(at, ..)| days(*at)).collect::<Vec<_>>(),
        [2; 3],
        "after their lag of two days"
    );
    for partition in 0..2 {
        let status = world.partition("aged", partition).unwrap();
        assert_eq!(status.isr.len(), 3);
        assert!(status.logs.values().all(|log| log.log_start == 6 && log.log_end == 6), "{status:?}");
    }
    assert_eq!(world.groups().len(), 0, "its offsets have expired, and it with them");
    assert!(skipped(world, from) > Duration::from_secs(7 * 24 * 3600));
    let sent = world.messages() - messages;
    assert!(sent < 2_000, "{sent} messages, of the ten millions of a week");
}
