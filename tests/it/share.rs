//! Real share consumers (KIP-932): Apache's client, in share groups against three brokers.

use klamm::blocking::Cluster;
use klamm_tests::{clients, toolchain};

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
