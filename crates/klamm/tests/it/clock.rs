//! The cluster's time.

use std::time::Duration;

use klamm::Cluster;
use klamm_wire::ApiKey;
use klamm_wire::messages::ResponseKind;

use crate::client::{Client, fetch, fetched};
use crate::cluster::leader;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_paused_clock_stands_still_and_a_long_poll_waits_until_it_is_moved() {
    let cluster = Cluster::builder().topic("t", 1, 3).start_blocking().unwrap();
    let clock = cluster.clock();
    clock.pause();
    let at = clock.elapsed();
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    // Ten minutes, if the clock ran.
    client.send(ApiKey::Fetch, 12, &fetch("t", 0, 0, 600_000));
    Client::connect(&leader(&cluster, "t", 0)).api_versions();
    assert_eq!(clock.elapsed(), at);
    clock.advance(HOUR);
    assert_eq!(clock.elapsed(), at + HOUR);
    let ResponseKind::Fetch(response) = client.receive() else { panic!() };
    assert_eq!(fetched(&response), [""; 0]);
    clock.resume();
    cluster.wait_until(|world| world.now().0 > u64::try_from((at + HOUR).as_nanos()).unwrap()).unwrap();
}

#[test]
fn an_hour_passes_in_no_time_and_the_cluster_is_well_after_it() {
    let cluster = Cluster::builder().topic("t", 3, 3).start_blocking().unwrap();
    cluster.clock().advance(HOUR);
    assert!(cluster.look(|world| world.is_ready()));
    for partition in 0..3 {
        assert_eq!(cluster.partition("t", partition).unwrap().isr.len(), 3);
    }
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["later"], -1).unwrap();
}

/// Costs a fraction of a second, where ten million messages would take an hour.
#[test]
fn after_a_week_old_records_are_gone() {
    let cluster = Cluster::builder().topic("t", 1, 3).trace(10_000).start_blocking().unwrap();
    let log_starts = || {
        let logs = cluster.partition("t", 0).unwrap().logs;
        logs.values().map(|log| log.log_start).collect::<Vec<_>>()
    };
    let mut client = Client::connect(&leader(&cluster, "t", 0));
    client.produce("t", 0, &["old"], -1).unwrap();
    cluster.clock().advance(167 * HOUR);
    assert_eq!(log_starts(), [0; 3], "retention.ms is a week");
    cluster.clock().advance(2 * HOUR);
    assert_eq!(log_starts(), [1; 3]);
    assert_eq!(cluster.partition("t", 0).unwrap().isr.len(), 3);
    assert_eq!(client.produce("t", 0, &["next"], -1), Ok(1));
    let skipped = |world: &klamm::World| {
        world.trace().events().filter(|event| event.kind.name() == "IdleTimeSkipped").count()
    };
    assert!(cluster.look(skipped) > 0);
}

#[test]
fn a_scaled_clock_runs_ahead() {
    let cluster = Cluster::builder().brokers(1).start_blocking().unwrap();
    cluster.clock().scale(100_000.0);
    cluster.wait_until(|world| world.now().as_millis() > 3_600_000).unwrap();
    assert!(cluster.look(|world| world.is_ready()));
}
