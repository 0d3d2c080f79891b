//! Kafka's own consumer reads from the replica in its rack (KIP-392).

use std::time::Duration;

use anyhow::Result;
use klamm::ApiKey;
use klamm::blocking::Cluster;
use klamm_tests::tools::{Tool, Tools};
use klamm_tests::{java, toolchain};

#[test]
fn the_console_consumer_reads_from_its_rack() {
    if toolchain::skip("racks", &java::PROGRAMS) {
        return;
    }
    let cluster = Cluster::builder()
        .brokers(3)
        .racks(["a", "b", "c"])
        .config("replica.selector.class", "org.apache.kafka.common.replica.RackAwareReplicaSelector")
        .start_blocking()
        .unwrap();
    read(&cluster).unwrap();
}

fn read(cluster: &Cluster) -> Result<()> {
    let mut tools = Tools::start(&cluster.bootstrap_servers())?;
    tools.ok(Tool::Topics, &["--create", "--topic", "t", "--replica-assignment", "1:2:3"])?;
    let records = ["--topic", "t", "--num-records", "5", "--record-size", "10", "--throughput", "-1"];
    tools.ok(Tool::ProducerPerfTest, &[&records[..], &["--producer-props", "acks=all"]].concat())?;
    // A delay nobody notices counts who asks broker 2.
    let asked = cluster.faults().on(ApiKey::Fetch).from_clients().to(2).delay(Duration::from_millis(1))?;
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
