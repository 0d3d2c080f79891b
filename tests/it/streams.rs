//! Kafka Streams counts words in an application of two instances, with a repartition topic, a state store, its changelog and a
//! standby, while every broker crashes in its turn, and so do two of its own threads.

use std::time::Instant;

use klamm::blocking::Cluster;
use klamm_tests::process::Running;
use klamm_tests::{PATIENCE, clients, toolchain, wait_until};

use crate::faults_harness::last;

const LINES: &str = "lines";
const COUNTS: &str = "counts";
const PARTITIONS: i32 = 4;
/// What Kafka Streams calls the topic by which it brings equal words together.
const REPARTITION: &str = "word-count-by-word-repartition";

/// How many words are counted, as far as the application has told.
fn counted(application: &mut Running) -> u64 {
    last(application, "COUNTED ").map_or(0, |count| count.parse().unwrap())
}

fn flows(cluster: &Cluster, application: &mut Running, when: &str) {
    let before = counted(application);
    let more = wait_until(PATIENCE, || (counted(application) >= before + 200).then_some(()));
    let state = || cluster.look(|world| world.status().to_string());
    assert!(more.is_some(), "{when}, nothing is counted\n{}\n{}", application.stderr(), state());
}

fn counts_words(guarantee: &str) {
    if toolchain::skip("streams", clients::find("java").unwrap().toolchain()) {
        return;
    }
    let cluster = Cluster::builder()
        .brokers(3)
        .topic(LINES, PARTITIONS, 3)
        .topic(COUNTS, PARTITIONS, 3)
        .config("min.insync.replicas", "2")
        .config("offsets.topic.num.partitions", "3")
        .config("transaction.state.log.num.partitions", "3")
        .config("group.initial.rebalance.delay.ms", "0")
        .config("broker.session.timeout.ms", "1000")
        .config("broker.heartbeat.interval.ms", "200")
        .start_blocking()
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let arguments = [&cluster.bootstrap_servers(), LINES, COUNTS, &path("stop"), &path("state"), guarantee];
    let started = Instant::now();
    let mut application = clients::start_beside("java", "StreamsWordCount", &arguments).unwrap();
    flows(&cluster, &mut application, "at the beginning");
    for broker in 1..=3 {
        cluster.broker(broker).unwrap().crash().unwrap();
        flows(&cluster, &mut application, &format!("without broker {broker}"));
        cluster.broker(broker).unwrap().restart().unwrap();
        let whole = |topic, world: &klamm::World| {
            (0..PARTITIONS).all(|p| world.partition(topic, p).is_some_and(|status| status.isr.len() == 3))
        };
        cluster
            .wait_until_for(PATIENCE, |world| [LINES, COUNTS, REPARTITION].iter().all(|it| whole(it, world)))
            .unwrap();
    }
    flows(&cluster, &mut application, "with all brokers back");
    std::fs::write(path("stop"), "").unwrap();
    let finished = application.finish(clients::DEADLINE).unwrap();
    eprintln!("{}", clients::judge("streams-word-count", &finished, started.elapsed()).unwrap());
    // What was read from the repartition topic is deleted from it.
    let purged = |p| {
        let status = cluster.partition(REPARTITION, p).unwrap();
        status.logs.values().any(|log| log.log_start > 0)
    };
    assert!((0..PARTITIONS).any(purged), "nothing was deleted from {REPARTITION}");
}

#[test]
fn at_least_once() {
    counts_words("at_least_once");
}

#[test]
fn exactly_once() {
    counts_words("exactly_once_v2");
}
