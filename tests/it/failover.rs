//! Real producers with acks=all and idempotence, while five leaders crash in a row: nothing is lost, nothing twice.
//! A real group, while brokers crash that lead and coordinate it. And real transactions, while every broker crashes in its turn: what
//! they read and write is there exactly once.

use klamm::blocking::Cluster;
use klamm::{NodeId, World};
use klamm_tests::{PATIENCE, clients, toolchain, wait_until};

use crate::faults_harness::last;

const TOPIC: &str = "orders";
const CRASHES: usize = 5;
pub(crate) const BROKERS: usize = 3;

/// The broker that leads partition 0.
fn leader(cluster: &Cluster, _crash: usize) -> i32 {
    cluster.partition(TOPIC, 0).unwrap().leader.expect("the partition has a leader").0
}

/// Each broker in its turn: leaders, the coordinator and those who are neither.
pub(crate) fn each_in_turn(_cluster: &Cluster, crash: usize) -> i32 {
    i32::try_from(crash % BROKERS).unwrap() + 1
}

/// A program that goes on while brokers crash.
pub(crate) struct Survivor {
    /// The client beside whose program it lies.
    pub(crate) neighbour: &'static str,
    pub(crate) program: &'static str,
    /// Which broker crashes next.
    pub(crate) victim: fn(&Cluster, usize) -> i32,
    pub(crate) crashes: usize,
    /// How many acknowledgements come after each crash.
    pub(crate) step: u64,
    /// Whether they come while the broker is down. A librdkafka that knows a coordinator waits for just that broker, until it is
    /// up again or the call times out.
    pub(crate) while_down: bool,
    /// What the brokers are told besides.
    pub(crate) config: &'static [(&'static str, &'static str)],
}

/// Runs `program`, which lies beside the client called `neighbour`, through five crashes of the broker that `victim` names.
fn survives_crashes(neighbour: &'static str, program: &'static str, victim: fn(&Cluster, usize) -> i32) {
    // The producer goes round robin and has at most 2,000 records under way: so many more acknowledgements do not come
    // before every partition that the broker led has moved.
    survives(&Survivor {
        neighbour,
        program,
        victim,
        crashes: CRASHES,
        step: 6000,
        while_down: true,
        config: &[],
    });
}

pub(crate) fn survives(survivor: &Survivor) {
    let Survivor { neighbour, program, victim, crashes, step, while_down, config } = *survivor;
    let client = clients::find(neighbour).unwrap();
    if toolchain::skip(program, client.toolchain()) {
        return;
    }
    let builder = Cluster::builder();
    let builder = config.iter().fold(builder, |builder, (key, value)| builder.config(*key, *value));
    let cluster = builder
        .brokers(3)
        .topic(TOPIC, 3, 3)
        .topic(format!("{TOPIC}-copy"), 3, 3)
        .config("min.insync.replicas", "2")
        // A crash is noticed by the controller when heartbeats stop: soon, so that the test is short.
        .config("broker.session.timeout.ms", "1000")
        .config("broker.heartbeat.interval.ms", "200")
        .start_blocking()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stop = folder.path().join("stop");
    let arguments = [&cluster.bootstrap_servers(), TOPIC, &stop.display().to_string()];
    let started = std::time::Instant::now();
    let mut running = clients::start_beside(neighbour, program, &arguments).unwrap();
    let mut acked_reaches = |count: u64| {
        let found = wait_until(PATIENCE, || {
            let acked: u64 = last(&mut running, "ACKED ")?.parse().unwrap();
            (acked >= count).then_some(acked)
        });
        found.unwrap_or_else(|| panic!("{count} acknowledgements did not come"))
    };

    let mut acked = acked_reaches(500);
    for crash in 0..crashes {
        let victim = victim(&cluster, crash);
        let epoch = || cluster.partition(TOPIC, 0).unwrap().leader_epoch;
        let before = epoch();
        let led = leader(&cluster, crash) == victim;
        cluster.broker(victim).unwrap().crash().unwrap();
        if while_down {
            acked = acked_reaches(acked + step);
        } else {
            let id = NodeId(victim);
            let moved = |world: &World| {
                (0..3).all(|p| world.partition(TOPIC, p).is_some_and(|p| p.leader != Some(id)))
            };
            cluster.wait_until_for(PATIENCE, moved).unwrap();
        }
        assert!(!led || epoch() > before, "a crash makes a new leader epoch");
        cluster.broker(victim).unwrap().restart().unwrap();
        cluster
            .wait_until_for(PATIENCE, |world| {
                (0..3).all(|p| world.partition(TOPIC, p).is_some_and(|status| status.isr.len() == 3))
            })
            .unwrap();
        if !while_down {
            acked = acked_reaches(acked + step);
        }
    }
    std::fs::write(&stop, "").unwrap();
    let finished = running.finish(clients::DEADLINE).unwrap();
    let line = clients::judge(program, &finished, started.elapsed()).unwrap();
    eprintln!("{line}");
}

#[test]
fn librdkafka() {
    survives_crashes("confluent-kafka", "confluent_failover.py", leader);
}

#[test]
fn java() {
    survives_crashes("java", "JavaFailover", leader);
}

#[test]
fn a_group_of_librdkafka() {
    survives_crashes("confluent-kafka", "confluent_group_failover.py", each_in_turn);
}

/// A program that copies records in transactions, and has at most 3,000 under way.
fn copies_exactly_once(neighbour: &'static str, program: &'static str, crashes: usize) {
    survives(&Survivor {
        neighbour,
        program,
        victim: each_in_turn,
        crashes,
        step: 4000,
        while_down: false,
        config: &[],
    });
}

#[test]
fn transactions_of_librdkafka() {
    copies_exactly_once("confluent-kafka", "confluent_transactions.py", CRASHES);
}

#[test]
fn transactions_of_java() {
    copies_exactly_once("java", "JavaTransactions", CRASHES);
}

#[test]
fn transactions_of_franz_go() {
    copies_exactly_once("franz-go", "franz-transactions", CRASHES);
}

#[test]
fn transactions_of_kafka_python() {
    // A crash costs this client several seconds, for it waits in vain for requests that it has dropped.
    copies_exactly_once("kafka-python", "kafka_python_transactions.py", BROKERS);
}
