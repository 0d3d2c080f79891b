//! Kafka's own consumer, and librdkafka's, read from the replica in their rack (KIP-392).

use std::time::Duration;

use anyhow::Result;
use klamm::blocking::Cluster;
use klamm::{ApiKey, FaultHandle};
use klamm_tests::tools::{Tool, Tools};
use klamm_tests::{PATIENCE, clients, java, toolchain, wait_until};

use crate::faults_harness::last;

const RACKS: [&str; 3] = ["a", "b", "c"];

fn builder() -> klamm::Builder {
    Cluster::builder()
        .brokers(3)
        .racks(RACKS)
        .config("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector")
}

/// Counts which of the clients' fetches go to a broker, by a delay that nobody notices.
fn asked(cluster: &Cluster, broker: i32) -> Result<FaultHandle<'_>> {
    Ok(cluster.faults().on(ApiKey::Fetch).from_clients().to(broker).delay(Duration::from_millis(1))?)
}

#[test]
fn the_console_consumer_reads_from_its_rack() {
    if toolchain::skip("racks", &java::PROGRAMS) {
        return;
    }
    read(&builder().start_blocking().unwrap()).unwrap();
}

fn read(cluster: &Cluster) -> Result<()> {
    let mut tools = Tools::start(&cluster.bootstrap_servers())?;
    tools.ok(Tool::Topics, &["--create", "--topic", "t", "--replica-assignment", "1:2:3"])?;
    let records = ["--topic", "t", "--num-records", "5", "--record-size", "10", "--throughput", "-1"];
    tools.ok(Tool::ProducerPerfTest, &[&records[..], &["--producer-props", "acks=all"]].concat())?;
    let asked = asked(cluster, 2)?;
    let consume = ["--topic", "t", "--from-beginning", "--max-messages", "5", "--timeout-ms", "50000"];
    let text = tools.ok(Tool::ConsoleConsumer, &consume)?;
    assert!(text.contains("Processed a total of 5 messages"), "{text}");
    assert_eq!(asked.fired(), 0, "without a rack it reads from the leader, broker 1");
    let rack = ["--consumer-property", "client.rack=b"];
    let text = tools.ok(Tool::ConsoleConsumer, &[&consume[..], &rack].concat())?;
    assert!(text.contains("Processed a total of 5 messages"), "{text}");
    assert!(asked.fired() > 0, "with one it reads from broker 2");
    Ok(())
}

#[test]
fn librdkafka_reads_from_its_rack_while_it_can() {
    if toolchain::skip("racks", clients::find("confluent-kafka").unwrap().toolchain()) {
        return;
    }
    let cluster = builder()
        .topic("t", 1, 3)
        .config("broker.session.timeout.ms", "1000")
        .config("broker.heartbeat.interval.ms", "200")
        .start_blocking()
        .unwrap();
    let leader = cluster.partition("t", 0).unwrap().leader.unwrap().0;
    let follower = leader % 3 + 1;
    let asked = asked(&cluster, follower).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let stop = folder.path().join("stop").display().to_string();
    let bootstrap = cluster.bootstrap_servers();
    let rack = RACKS[usize::try_from(follower).unwrap() - 1];
    let arguments = [&bootstrap, "t", &stop, rack];
    let mut running = clients::start_beside("confluent-kafka", "confluent_rack.py", &arguments).unwrap();
    let started = std::time::Instant::now();
    let mut reads = |when: &str, enough: &dyn Fn() -> bool| {
        let mut before = None;
        let more = wait_until(PATIENCE, || {
            let read: u64 = last(&mut running, "READ ")?.parse().unwrap();
            (read >= *before.get_or_insert(read) + 20 && enough()).then_some(())
        });
        assert!(more.is_some(), "{when}, it does not read");
    };
    reads("at the beginning", &|| asked.fired() > 20);
    // Nobody serves its rack now: it goes back to the leader.
    cluster.broker(follower).unwrap().crash().unwrap();
    let fired = asked.fired();
    reads("without its broker", &|| true);
    assert_eq!(cluster.partition("t", 0).unwrap().leader.unwrap().0, leader);
    cluster.broker(follower).unwrap().restart().unwrap();
    reads("with its broker back", &|| asked.fired() > fired + 20);
    std::fs::write(&stop, "").unwrap();
    let finished = running.finish(clients::DEADLINE).unwrap();
    eprintln!("{}", clients::judge("confluent-rack", &finished, started.elapsed()).unwrap());
}
