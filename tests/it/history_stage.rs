//! A cluster, and a program of many clients that work on it and write down what they do and see.

use std::path::PathBuf;
use std::time::Instant;

use klamm::blocking::Cluster;
use klamm::{PartitionStatus, World};
use klamm_node::NodeId;
use klamm_tests::history::History;
use klamm_tests::process::Running;
use klamm_tests::{PATIENCE, clients, toolchain, wait_until, workspace};
use klamm_world::fault::{Fault, NodeFault};
use klamm_world::{Command, FaultId};

use crate::faults_harness::last;

pub(crate) const TOPIC: &str = "facts";
pub(crate) const PARTITIONS: i32 = 4;
/// The program's groups, of the protocols that they are called after.
pub(crate) const GROUPS: [&str; 2] = ["classic", "consumer"];
/// How many transactional producers there are.
const TRANSACTIONAL: u32 = 2;
/// How long the program may take in all; it gives up by itself a little earlier, with a better message.
const DEADLINE: &str = "480";

/// Everything that takes part.
pub(crate) struct Stage {
    pub(crate) cluster: Cluster,
    program: Running,
    name: &'static str,
    folder: tempfile::TempDir,
    /// Where the history is, and stays.
    written: PathBuf,
    started: Instant,
}

impl Stage {
    /// Three brokers, three controllers, and the clients at work. `None` where they cannot run.
    pub(crate) fn begin(neighbour: &str, program: &'static str, seed: u64) -> Option<Self> {
        if toolchain::skip(program, clients::find(neighbour).unwrap().toolchain()) {
            return None;
        }
        let logs = workspace::cache().join("logs");
        std::fs::create_dir_all(&logs).unwrap();
        let written = logs.join(format!("history-{neighbour}-{}.jsonl", std::process::id()));
        let cluster = Cluster::builder()
            .brokers(3)
            .controllers(3)
            .topic(TOPIC, PARTITIONS, 3)
            .config("min.insync.replicas", "2")
            .config("offsets.topic.num.partitions", "2")
            .config("transaction.state.log.num.partitions", "2")
            .config("group.initial.rebalance.delay.ms", "0")
            // What is broken is noticed soon, so that the test is short.
            .config("broker.session.timeout.ms", "1000")
            .config("broker.heartbeat.interval.ms", "200")
            .start_blocking()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (bootstrap, history) = (cluster.bootstrap_servers(), written.display().to_string());
        let (transactional, seed) = (TRANSACTIONAL.to_string(), seed.to_string());
        let arguments = [&bootstrap, TOPIC, &path("stop"), &path("ends"), &history, &transactional, &seed];
        let environment = [("KLAMM_CLIENT_DEADLINE", DEADLINE)];
        let started = Instant::now();
        let running = clients::start_beside_with(neighbour, program, &arguments, &environment).unwrap();
        let mut stage = Self { cluster, program: running, name: program, folder, written, started };
        stage.flows("at the beginning");
        Some(stage)
    }

    /// Injects a fault that must be possible.
    pub(crate) fn inject(&self, fault: impl Into<Fault>) -> FaultId {
        let fault = fault.into();
        let id = self.cluster.look(World::next_fault_id);
        self.cluster.command(Command::Inject { id, fault: Box::new(fault.clone()) });
        assert!(self.cluster.look(|world| world.fault(id)).is_some(), "{fault} was refused");
        id
    }

    /// Injects a fault that may be impossible by the time it comes.
    pub(crate) fn try_inject(&self, fault: impl Into<Fault>) -> Option<FaultId> {
        let id = self.cluster.look(World::next_fault_id);
        self.cluster.command(Command::Inject { id, fault: Box::new(fault.into()) });
        self.cluster.look(|world| world.fault(id)).map(|_| id)
    }

    /// Does something to a node.
    pub(crate) fn to_node(&self, node: NodeId, fault: NodeFault) -> FaultId {
        self.inject(Fault::Node { node, fault })
    }

    pub(crate) fn heal(&self, fault: FaultId) {
        self.cluster.command(Command::Heal(fault));
    }

    pub(crate) fn wait(&self, what: &str, condition: impl FnMut(&World) -> bool) {
        let waited = self.cluster.wait_until_for(PATIENCE, condition);
        assert!(waited.is_ok(), "{what} did not come: {}", waited.unwrap_err());
    }

    /// Waits until a fault has fired.
    pub(crate) fn fired(&self, fault: FaultId) {
        let fired = |world: &World| world.fault(fault).is_some_and(|it| it.fired > 0);
        let what = self.cluster.look(|world| world.fault(fault).map(|it| it.to_string()));
        self.wait(&format!("the firing of {what:?}"), fired);
    }

    /// The broker that leads a partition of the topic, once there is one.
    pub(crate) fn leader(&self, partition: i32) -> NodeId {
        let leader = |world: &World| world.partition(TOPIC, partition).and_then(|it| it.leader);
        self.wait("a leader", |world| leader(world).is_some());
        self.cluster.look(leader).unwrap_or(NodeId(1))
    }

    /// Waits until every replica of every partition is in sync, of the internal topics too.
    pub(crate) fn whole(&self) {
        let in_sync = |it: PartitionStatus| it.leader.is_some() && it.isr.len() == it.replicas.len();
        self.wait("a whole cluster", |world| {
            let mut topics = world.topics().into_iter();
            topics.all(|(topic, count)| (0..count).all(|p| world.partition(&topic, p).is_some_and(in_sync)))
        });
    }

    /// What the program has counted: acknowledgements, transactions, and what each kind of consumer polled.
    fn counted(&mut self) -> Vec<u64> {
        let mut counted = Vec::new();
        for what in ["ACKED ", "COMMITTED ", "POLLED "] {
            let said = last(&mut self.program, what).unwrap_or_default();
            counted.extend(said.split_whitespace().map(|count| count.parse::<u64>().unwrap()));
        }
        counted
    }

    /// Waits until everything that the program counts has grown.
    pub(crate) fn flows(&mut self, when: &str) {
        let before = self.counted();
        let flows = wait_until(PATIENCE, || {
            let now = self.counted();
            let grown = |(i, (what, now)): (usize, (&str, &u64))| {
                let more = if what == "transactions" { 1 } else { 20 };
                *now >= before.get(i).copied().unwrap_or(0) + more
            };
            let names =
                ["acknowledgements", "transactions", "uncommitted", "committed", "classic", "consumer"];
            (now.len() == names.len() && names.into_iter().zip(&now).enumerate().all(grown)).then_some(())
        });
        if flows.is_none() {
            let (now, state) = (self.counted(), self.cluster.look(|world| world.status().to_string()));
            panic!("{when}, not everything flows: {before:?}, {now:?}\n{}\n{state}", self.program.stderr());
        }
    }

    /// Ends the clients, lets a last one read everything, and gives back what they all wrote down.
    pub(crate) fn end(mut self) -> History {
        std::fs::write(self.folder.path().join("stop"), "").unwrap();
        let quiet = wait_until(2 * PATIENCE, || {
            let ended = self.program.try_wait().unwrap();
            ended.is_some().then_some(()).or_else(|| self.program.stdout().contains("QUIET\n").then_some(()))
        });
        assert!(quiet.is_some(), "the producers do not end\n{}", self.program.stderr());
        let settled =
            |it: PartitionStatus| it.high_watermark().is_some() && it.high_watermark() == it.log_end();
        self.wait("quiet", |world| (0..PARTITIONS).all(|p| world.partition(TOPIC, p).is_some_and(settled)));
        let end = |p| self.cluster.partition(TOPIC, p).unwrap().log_end().unwrap();
        let ends: Vec<_> = (0..PARTITIONS).map(|p| format!("{}\n", end(p))).collect();
        // The file appears with all that it holds.
        std::fs::write(self.folder.path().join("ends.new"), ends.concat()).unwrap();
        std::fs::rename(self.folder.path().join("ends.new"), self.folder.path().join("ends")).unwrap();
        let finished = self.program.finish(4 * PATIENCE).unwrap();
        eprintln!("{}", clients::judge(self.name, &finished, self.started.elapsed()).unwrap());
        let history = std::fs::read_to_string(&self.written).unwrap();
        eprintln!("the history is in {}", self.written.display());
        History::parse(&history).unwrap()
    }
}
