//! What a librdkafka producer and a Java consumer live through without losing, doubling or reordering anything.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_tests::{PATIENCE, wait_until};
use klamm_wire::{ApiKey, StrBytes};
use klamm_world::fault::{
    ClusterFault, DiskFault, DiskScope, Fault, Link, NetworkFault, NodeFault, Peer, RequestAction,
    RequestMatch,
};

use crate::faults_harness::{CONTROLLER, Consumer, Stage, TOPIC, last};

const MIN_ISR_2: &[(&str, &str)] = &[("min.insync.replicas", "2")];

/// The consumer's group.
fn group() -> StrBytes {
    StrBytes::from_static_str("watchers")
}

fn begin(consumer: Consumer) -> Option<Stage> {
    Stage::begin(2, MIN_ISR_2, "all", consumer)
}

#[test]
fn lost_acknowledgements() {
    let Some(mut stage) = begin(Consumer::Assigned) else { return };
    let produce = || RequestMatch::api(ApiKey::Produce).client_id("producer");
    // Handled, and the connection closed instead of an answer; then handled and silence, until the connection breaks.
    let closed = stage.inject(Fault::Request(produce().first(3).then(RequestAction::CloseAfter)));
    let fired = |stage: &Stage, fault, times| {
        stage
            .cluster
            .wait_until_for(PATIENCE, |world| world.fault(fault).is_some_and(|it| it.fired >= times))
            .unwrap();
    };
    fired(&stage, closed, 3);
    stage.flows("after lost acknowledgements");
    let silent = stage.inject(Fault::Request(produce().nth(1).then(RequestAction::DropAnswer)));
    fired(&stage, silent, 1);
    for broker in 1..=3 {
        let link = Link::between(Peer::Clients, Peer::Node(NodeId(broker)));
        stage.inject(Fault::Network(NetworkFault::Reset { link }));
    }
    stage.flows("after a silent connection was reset");
    stage.end().is_complete_and_in_order();
}

#[test]
fn leader_crash() {
    let Some(mut stage) = begin(Consumer::Assigned) else { return };
    for partition in 0..2 {
        let leader = stage.leader(partition);
        let epoch = stage.cluster.partition(TOPIC, partition).unwrap().leader_epoch;
        stage.to_node(leader, NodeFault::Crash);
        stage.moved(partition, leader);
        stage.flows("under a new leader");
        assert!(stage.cluster.partition(TOPIC, partition).unwrap().leader_epoch > epoch);
        stage.to_node(leader, NodeFault::Start);
        stage.whole();
    }
    stage.end().is_complete_and_in_order();
}

#[test]
fn controller_failover() {
    let begun = Stage::begin_with(3, 2, MIN_ISR_2, "all", Consumer::Assigned);
    let Some(mut stage) = begun else { return };
    let active = |stage: &Stage| stage.cluster.look(klamm::World::active_controller);
    let old = active(&stage).expect("the cluster has an active controller");
    stage.to_node(old, NodeFault::Crash);
    stage
        .cluster
        .wait_until_for(PATIENCE, |world| {
            world.active_controller().is_some_and(|controller| controller != old)
        })
        .unwrap();
    stage.flows("under another controller");
    // The new one decides: it finds that a leader is gone, and elects another.
    let leader = stage.leader(0);
    stage.to_node(leader, NodeFault::Crash);
    stage.moved(0, leader);
    stage.flows("under another controller and another leader");
    stage.to_node(leader, NodeFault::Start);
    stage.to_node(old, NodeFault::Start);
    stage.whole();
    stage.end().is_complete_and_in_order();
}

#[test]
fn no_controller() {
    let Some(mut stage) = begin(Consumer::Assigned) else { return };
    let leader = stage.leader(0);
    stage.to_node(CONTROLLER, NodeFault::Crash);
    stage.flows("without a controller");
    // Nobody can elect another leader until it is back.
    stage.to_node(leader, NodeFault::Crash);
    assert_eq!(stage.cluster.look(klamm::World::active_controller), None);
    stage.to_node(CONTROLLER, NodeFault::Start);
    stage.moved(0, leader);
    stage.flows("with the controller back and a leader gone");
    stage.to_node(leader, NodeFault::Start);
    stage.whole();
    stage.end().is_complete_and_in_order();
}

#[test]
fn one_way_partition() {
    let Some(mut stage) = begin(Consumer::Assigned) else { return };
    let leader = stage.leader(0);
    // The leader hears everybody, but its heartbeats do not arrive: it is deposed, and for a while does not know.
    let cut = stage.inject(Fault::Network(NetworkFault::cut(Link::one_way(leader, CONTROLLER))));
    stage.moved(0, leader);
    stage.flows("with a leader that the controller does not hear");
    assert!(stage.fired(cut) > 0);
    assert!(stage.cluster.broker(leader).unwrap().is_up(), "it was not the broker that died");
    stage.heal(cut);
    stage.whole();
    stage.flows("after the partition");
    stage.end().is_complete_and_in_order();
}

#[test]
fn slow_follower() {
    let Some(mut stage) = begin(Consumer::Assigned) else { return };
    let leader = stage.leader(0);
    let follower = NodeId(leader.0 % 3 + 1);
    let by = Duration::from_millis(300);
    let slow =
        stage.inject(Fault::Network(NetworkFault::Latency { link: Link::one_way(follower, leader), by }));
    stage.flows("behind a slow follower");
    // What waits for all waits for the slowest that is in sync.
    let waited = wait_until(PATIENCE, || {
        let waited: f64 = last(&mut stage.producer, "WAITED ")?.parse().unwrap();
        (waited >= 0.25).then_some(waited)
    });
    assert!(waited.is_some(), "no acknowledgement waited for the slow follower");
    assert_eq!(stage.cluster.partition(TOPIC, 0).unwrap().isr.len(), 3, "slow is not out of sync");
    assert!(stage.fired(slow) > 0);
    stage.heal(slow);
    stage.flows("behind a quick follower");
    stage.end().is_complete_and_in_order();
}

#[test]
fn disk_full() {
    // A leader waits so long for a replica that left the ISR and may come back, as one whose directory is lost seems to.
    let lag = ("replica.lag.time.max.ms", "1000");
    let config = [("min.insync.replicas", "2"), ("log.dirs", "one,two"), lag];
    // Enough partitions for each broker to lead one in each directory.
    let Some(mut stage) = Stage::begin(6, &config, "all", Consumer::Assigned) else { return };
    let leader = stage.leader(0);
    let led: Vec<_> = (0..6).filter(|partition| stage.leader(*partition) == leader).collect();
    let scope = DiskScope::Path("two".to_owned());
    let full = stage.inject(Fault::Disk { node: leader, fault: DiskFault::Full { scope, after_bytes: 0 } });
    // The first append that finds no room takes the directory offline, and with it the leadership of all that is there.
    let elsewhere = |world: &klamm::World, partition| {
        world.partition(TOPIC, partition).is_some_and(|it| it.leader.is_some_and(|it| it != leader))
    };
    stage
        .cluster
        .wait_until_for(PATIENCE, |world| led.iter().any(|partition| elsewhere(world, *partition)))
        .unwrap();
    stage.flows("with a full disk");
    assert!(stage.fired(full) > 0);
    assert!(stage.cluster.broker(leader).unwrap().is_up(), "its other directory is well");
    stage.heal(full);
    stage.to_node(leader, NodeFault::Restart);
    stage.whole();
    stage.flows("with room again");
    stage.end().is_complete_and_in_order();
}

#[test]
fn coordinator_move() {
    let Some(mut stage) = begin(Consumer::Group) else { return };
    let coordinator = |stage: &Stage| {
        stage.cluster.look(|world| world.groups().get(&group()).map(|group| group.coordinator)).unwrap()
    };
    let commits = |stage: &mut Stage, when: &str| {
        let before = stage.counted("COMMITTED ");
        let more = wait_until(PATIENCE, || (stage.counted("COMMITTED ") > before).then_some(()));
        assert!(more.is_some(), "{when}, nothing is committed");
    };
    commits(&mut stage, "at the beginning");
    // By order of the controller, and then because it dies.
    let old = coordinator(&stage);
    let to = NodeId(old.0 % 3 + 1);
    stage.inject(Fault::Cluster(ClusterFault::MoveCoordinator { group: group(), to }));
    stage
        .cluster
        .wait_until_for(PATIENCE, |world| world.groups().get(&group()).is_some_and(|it| it.coordinator == to))
        .unwrap();
    commits(&mut stage, "with another coordinator");
    stage.to_node(to, NodeFault::Crash);
    stage
        .cluster
        .wait_until_for(PATIENCE, |world| world.groups().get(&group()).is_some_and(|it| it.coordinator != to))
        .unwrap();
    commits(&mut stage, "after the coordinator crashed");
    stage.flows("after the coordinator crashed");
    stage.to_node(to, NodeFault::Start);
    stage.whole();
    stage.end().is_complete_and_in_order();
}
