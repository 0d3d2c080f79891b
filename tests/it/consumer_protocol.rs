//! Real consumers of the new group protocol (KIP-848), and Kafka's own tool that looks at their groups.

use klamm::blocking::Cluster;
use klamm_tests::{clients, toolchain};

/// Runs a program that lies beside a client, against a cluster whose heartbeats are fast enough for a test.
fn passes(neighbour: &str, program: &'static str) {
    let client = clients::find(neighbour).unwrap();
    if toolchain::skip(program, client.toolchain()) {
        return;
    }
    let cluster = start();
    let started = std::time::Instant::now();
    let running = clients::start_beside(neighbour, program, &[&cluster.bootstrap_servers()]).unwrap();
    let finished = running.finish(clients::DEADLINE).unwrap();
    eprintln!("{}", clients::judge(program, &finished, started.elapsed()).unwrap());
}

fn start() -> Cluster {
    Cluster::builder()
        .brokers(3)
        .config("group.consumer.min.heartbeat.interval.ms", "100")
        .config("group.consumer.heartbeat.interval.ms", "300")
        .config("group.consumer.assignment.interval.ms", "100")
        .start_blocking()
        .unwrap()
}

#[test]
fn java_consumers() {
    passes("java", "JavaConsumerProtocol");
}

#[test]
fn librdkafka_consumers() {
    passes("confluent-kafka", "confluent_consumer_protocol.py");
}
