//! Real share consumers (KIP-932): Apache's client, in share groups against three brokers, and while these crash.

use klamm::blocking::Cluster;
use klamm_tests::{clients, toolchain};

use crate::failover::{BROKERS, Survivor, each_in_turn, survives};

#[test]
fn java_share_consumers() {
    let client = clients::find("java").unwrap();
    if toolchain::skip("JavaShare", client.toolchain()) {
        return;
    }
    let cluster = Cluster::builder()
        .brokers(3)
        .config("group.share.min.heartbeat.interval.ms", "100")
        .config("group.share.heartbeat.interval.ms", "300")
        .config("group.share.assignment.interval.ms", "100")
        .config("group.share.min.record.lock.duration.ms", "1000")
        .start_blocking()
        .unwrap();
    let started = std::time::Instant::now();
    let running = clients::start_beside("java", "JavaShare", &[&cluster.bootstrap_servers()]).unwrap();
    let finished = running.finish(clients::DEADLINE).unwrap();
    eprintln!("{}", clients::judge("JavaShare", &finished, started.elapsed()).unwrap());
}

/// Leaders, share coordinators and the group's coordinator crash: no record is lost or accepted twice, and what was released before a
/// crash still counts as delivered after it.
#[test]
fn java_share_consumers_survive_crashes() {
    survives(&Survivor {
        neighbour: "java",
        program: "JavaShareFailover",
        victim: each_in_turn,
        crashes: BROKERS,
        step: 1500,
        while_down: true,
        config: &[
            ("group.share.min.heartbeat.interval.ms", "100"),
            ("group.share.heartbeat.interval.ms", "300"),
            ("group.share.assignment.interval.ms", "100"),
            ("group.share.min.record.lock.duration.ms", "1000"),
            ("group.share.record.lock.duration.ms", "5000"),
            // A machine that is too slow to accept in time shall lose no record for that.
            ("group.share.delivery.count.limit", "10"),
        ],
    });
}
