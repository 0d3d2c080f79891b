//! Real producers with acks=all and idempotence, while five leaders crash in a row: nothing is lost, nothing twice.

use std::time::Duration;

use klamm::blocking::Cluster;
use klamm_tests::{clients, toolchain, wait_until};

const TOPIC: &str = "orders";
const CRASHES: usize = 5;

/// Runs `program`, which lies beside the client called `neighbour`, through five crashes of the leader of partition 0.
fn survives_five_leader_crashes(neighbour: &str, program: &'static str) {
    let client = clients::find(neighbour).unwrap();
    if toolchain::skip(program, client.toolchain()) {
        return;
    }
    let cluster = Cluster::builder()
        .brokers(3)
        .topic(TOPIC, 3, 3)
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
        let found = wait_until(Duration::from_secs(40), || {
            let ended = running.try_wait().unwrap();
            assert!(ended.is_none(), "it ended early: {}\n{}", running.stdout(), running.stderr());
            let said = running.stdout();
            let acked: u64 = said.lines().rev().find_map(|line| line.strip_prefix("ACKED ")?.parse().ok())?;
            (acked >= count).then_some(acked)
        });
        found.unwrap_or_else(|| panic!("{count} acknowledgements did not come"))
    };

    let mut acked = acked_reaches(500);
    let mut epoch = -1;
    for _ in 0..CRASHES {
        let status = cluster.partition(TOPIC, 0).unwrap();
        let leader = status.leader.expect("the partition has a leader").0;
        assert!(status.leader_epoch > epoch, "each crash makes a new leader epoch");
        epoch = status.leader_epoch;
        cluster.broker(leader).unwrap().crash().unwrap();
        // The producer goes round robin and has at most 2,000 records under way: so many more acknowledgements do not
        // come before the partition has moved.
        acked = acked_reaches(acked + 6000);
        cluster.broker(leader).unwrap().restart().unwrap();
        cluster
            .wait_until(|world| {
                (0..3).all(|p| world.partition(TOPIC, p).is_some_and(|status| status.isr.len() == 3))
            })
            .unwrap();
    }
    std::fs::write(&stop, "").unwrap();
    let finished = running.finish(clients::DEADLINE).unwrap();
    let line = clients::judge(program, &finished, started.elapsed()).unwrap();
    eprintln!("{line}");
}

#[test]
fn librdkafka() {
    survives_five_leader_crashes("confluent-kafka", "confluent_failover.py");
}

#[test]
fn java() {
    survives_five_leader_crashes("java", "JavaFailover");
}
