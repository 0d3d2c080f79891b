//! A librdkafka producer and a Java consumer at work on a cluster that a test makes go wrong, and what they must agree on
//! in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use klamm::blocking::Cluster;
use klamm_node::NodeId;
use klamm_tests::clients::{self, DEADLINE};
use klamm_tests::process::Running;
use klamm_tests::{PATIENCE, toolchain, wait_until};
use klamm_wire::StrBytes;
use klamm_world::fault::{Fault, NodeFault};
use klamm_world::{Command, FaultId};

pub(crate) const TOPIC: &str = "orders";
/// The first controller's node id.
pub(crate) const CONTROLLER: NodeId = NodeId(100);
/// So many more records, in each partition, show that the cluster works.
const MORE: u64 = 30;

/// How the consumer gets its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consumer {
    /// It assigns them to itself.
    Assigned,
    /// It is a group, and commits.
    Group,
}

/// Everything that takes part.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    pub(crate) producer: Running,
    pub(crate) consumer: Running,
    folder: tempfile::TempDir,
    started: Instant,
}

/// Where a record is, and its number.
pub(crate) type Entry = (i32, i64, u64);

/// What the clients wrote down: what was acknowledged, and what was read, in order.
pub(crate) struct Story {
    pub(crate) acked: Vec<Entry>,
    pub(crate) read: Vec<Entry>,
}

impl Stage {
    /// Three brokers with the topic `orders`, replicated thrice; a producer with these `acks`, and a consumer. Both are at
    /// work when this returns. `None` where the clients cannot run.
    pub(crate) fn begin(
        partitions: i32,
        config: &[(&str, &str)],
        acks: &str,
        consumer: Consumer,
    ) -> Option<Self> {
        Self::begin_with(1, partitions, config, acks, consumer)
    }

    /// The same, with so many controllers.
    pub(crate) fn begin_with(
        controllers: u16,
        partitions: i32,
        config: &[(&str, &str)],
        acks: &str,
        consumer: Consumer,
    ) -> Option<Self> {
        for client in ["confluent-kafka", "java"] {
            if toolchain::skip(client, clients::find(client).unwrap().toolchain()) {
                return None;
            }
        }
        let mut builder = Cluster::builder()
            .brokers(3)
            .controllers(controllers)
            .topic(TOPIC, partitions, 3)
            .config("offsets.topic.num.partitions", "1")
            .config("group.initial.rebalance.delay.ms", "0")
            // What is broken is noticed soon, so that the tests are short.
            .config("broker.session.timeout.ms", "1000")
            .config("broker.heartbeat.interval.ms", "200");
        for (key, value) in config {
            builder = builder.config(*key, *value);
        }
        let cluster = builder.start_blocking().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let bootstrap = cluster.bootstrap_servers();
        let arguments = [&bootstrap, TOPIC, &path("stop"), &path("acked"), acks];
        let started = Instant::now();
        let producer = clients::start_beside("confluent-kafka", "confluent_faults.py", &arguments).unwrap();
        let mode = if consumer == Consumer::Group { "group" } else { "assign" };
        let arguments = [&bootstrap, TOPIC, &path("ends"), &path("read"), mode];
        let consumer = clients::start_beside("java", "JavaFaults", &arguments).unwrap();
        let mut stage = Self { cluster, producer, consumer, folder, started };
        stage.flows("at the beginning");
        Some(stage)
    }

    /// Injects a fault.
    pub(crate) fn inject(&self, fault: Fault) -> FaultId {
        let id = self.cluster.look(|world| world.next_fault_id());
        self.cluster.command(Command::Inject { id, fault: Box::new(fault) });
        assert!(self.cluster.look(|world| world.fault(id)).is_some(), "the fault was refused");
        id
    }

    /// Does something to a node.
    pub(crate) fn to_node(&self, node: NodeId, fault: NodeFault) -> FaultId {
        self.inject(Fault::Node { node, fault })
    }

    pub(crate) fn heal(&self, fault: FaultId) {
        self.cluster.command(Command::Heal(fault));
    }

    pub(crate) fn fired(&self, fault: FaultId) -> u64 {
        self.cluster.look(|world| world.fault(fault)).unwrap().fired
    }

    /// The broker that leads a partition.
    pub(crate) fn leader(&self, partition: i32) -> NodeId {
        self.cluster.partition(TOPIC, partition).unwrap().leader.expect("the partition has a leader")
    }

    /// Waits until a partition has a leader other than `old`.
    pub(crate) fn moved(&self, partition: i32, old: NodeId) {
        let other = |leader: Option<NodeId>| leader.is_some_and(|leader| leader != old);
        self.cluster
            .wait_until_for(PATIENCE, |world| {
                world.partition(TOPIC, partition).is_some_and(|status| other(status.leader))
            })
            .unwrap();
    }

    /// Waits until every replica of every partition is in sync.
    pub(crate) fn whole(&self) {
        let partitions = self.cluster.look(|world| world.topics()[&StrBytes::from_static_str(TOPIC)]);
        self.cluster
            .wait_until_for(PATIENCE, |world| {
                (0..partitions).all(|p| world.partition(TOPIC, p).is_some_and(|it| it.isr.len() == 3))
            })
            .unwrap();
    }

    /// How many records of each partition are acknowledged, as far as the producer has told.
    pub(crate) fn acked(&mut self) -> Vec<u64> {
        let said = last(&mut self.producer, "ACKED ").unwrap_or_default();
        said.split_whitespace().map(|count| count.parse().unwrap()).collect()
    }

    /// How many of something the consumer has counted, as far as it has told.
    pub(crate) fn counted(&mut self, what: &str) -> u64 {
        last(&mut self.consumer, what).map_or(0, |count| count.trim().parse().unwrap())
    }

    /// Waits until more records of every partition were acknowledged than at this moment, and more were read than were acknowledged
    /// by now: the consumer may have been far behind.
    pub(crate) fn flows(&mut self, when: &str) {
        let acked = self.acked();
        let read = self.counted("READ ").max(acked.iter().sum());
        let flows = wait_until(PATIENCE, || {
            let more = self.acked();
            let produced = !more.is_empty()
                && more.iter().enumerate().all(|(p, n)| *n >= acked.get(p).copied().unwrap_or(0) + MORE);
            (produced && self.counted("READ ") >= read + MORE).then_some(())
        });
        let state = || self.cluster.look(|world| world.status().to_string());
        assert!(flows.is_some(), "{when}, nothing flows\n{}", state());
    }

    /// Ends the clients, and gives back what they wrote down.
    pub(crate) fn end(self) -> Story {
        let Self { cluster, producer, consumer, folder, started } = self;
        std::fs::write(folder.path().join("stop"), "").unwrap();
        let finished = producer.finish(DEADLINE).unwrap();
        eprintln!("{}", clients::judge("confluent-faults", &finished, started.elapsed()).unwrap());
        let partitions = cluster.look(|world| world.topics()[&StrBytes::from_static_str(TOPIC)]);
        // Everything that was acknowledged by all is replicated, and the rest soon will be.
        let settled = |status: klamm::PartitionStatus| status.high_watermark() == status.log_end();
        cluster
            .wait_until_for(PATIENCE, |world| {
                (0..partitions).all(|p| world.partition(TOPIC, p).is_some_and(settled))
            })
            .unwrap();
        let end = |p| cluster.partition(TOPIC, p).unwrap().log_end().unwrap();
        let ends: Vec<_> = (0..partitions).map(|p| format!("{}\n", end(p))).collect();
        // The file appears with all that it holds.
        std::fs::write(folder.path().join("ends.new"), ends.concat()).unwrap();
        std::fs::rename(folder.path().join("ends.new"), folder.path().join("ends")).unwrap();
        let finished = consumer.finish(DEADLINE).unwrap();
        eprintln!("{}", clients::judge("java-faults", &finished, started.elapsed()).unwrap());
        let entries = |name| {
            let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
            text.lines().map(entry).collect()
        };
        Story { acked: entries("acked"), read: entries("read") }
    }
}

impl Story {
    /// Every acknowledged record was read, where it was said to be; every record was read once, and those of a key in
    /// the order in which they were sent.
    pub(crate) fn is_complete_and_in_order(&self) {
        let mut read: BTreeMap<i32, Vec<(i64, u64)>> = BTreeMap::new();
        for (partition, offset, number) in &self.read {
            read.entry(*partition).or_default().push((*offset, *number));
        }
        for (partition, records) in &read {
            let offsets = records.iter().map(|(offset, _)| *offset);
            assert!(offsets.eq(0..records.len() as i64), "{TOPIC}-{partition}: offsets are missing or twice");
            let out_of_order = records.windows(2).find(|pair| pair[0].1 >= pair[1].1);
            assert_eq!(out_of_order, None, "{TOPIC}-{partition}: out of order, or twice");
        }
        let all: BTreeSet<_> = self.read.iter().collect();
        let lost: Vec<_> = self.acked.iter().filter(|entry| !all.contains(entry)).take(5).collect();
        assert!(lost.is_empty(), "acknowledged, but not there: {lost:?}");
        assert_eq!(self.read.len(), self.acked.len(), "the producer gave nothing up");
    }
}

fn entry(line: &str) -> Entry {
    let mut words = line.split(' ');
    let mut next = || words.next().expect("a line has three words");
    (next().parse().unwrap(), next().parse().unwrap(), next().parse().unwrap())
}

/// What a client last said behind `prefix`, in a line that it has finished; fails when it has ended.
pub(crate) fn last(client: &mut Running, prefix: &str) -> Option<String> {
    let ended = client.try_wait().unwrap();
    assert!(ended.is_none(), "a client ended early: {}\n{}", client.stdout(), client.stderr());
    let said = client.stdout();
    let finished = said.rfind('\n').map_or("", |end| &said[..end]);
    finished.lines().rev().find_map(|line| Some(line.strip_prefix(prefix)?.to_owned()))
}
