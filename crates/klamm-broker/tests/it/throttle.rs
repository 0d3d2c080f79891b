//! Replication throttles (KIP-73): who catches up takes its time, who is in sync does not notice.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::ErrorCode;
use klamm_world::Command;

use crate::cluster::Cluster;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LEADER_RATE: &str = "leader.replication.throttled.rate";
const FOLLOWER_RATE: &str = "follower.replication.throttled.rate";
const LEADER_REPLICAS: &str = "leader.replication.throttled.replicas";
const FOLLOWER_REPLICAS: &str = "follower.replication.throttled.replicas";

/// Four brokers, and a topic of four million bytes on the first three.
fn cluster() -> Cluster {
    let mut c = Cluster::start(4, &[]);
    c.create_assigned("t", &[1, 2, 3], &[]);
    let value = "v".repeat(100_000);
    for _ in 0..40 {
        c.produce("t", 0, &value);
    }
    c.run(Duration::from_secs(1));
    c
}

/// How long it takes to move a replica from broker 3 to 4.
fn moving(c: &mut Cluster) -> Duration {
    let from = c.now;
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.wait_for_tuple("t", 120, "L=1 e=1 pe=2 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4]");
    c.now - from
}

fn about(expected: f64, took: Duration) {
    let took = took.as_secs_f64();
    assert!((expected - 1.0..=expected + 1.0).contains(&took), "about {expected} s, not {took}");
}

#[test]
fn without_a_throttle_a_replica_moves_as_fast_as_the_network() {
    assert_eq!(moving(&mut cluster()), Duration::ZERO);
}

#[test]
fn a_throttle_on_the_leaders_side_slows_a_move_down() {
    let mut c = cluster();
    c.alter_config(TOPIC, "t", LEADER_REPLICAS, Some("0:1,0:2,0:3"));
    // Replicas are chosen, but there is no rate yet.
    c.alter_config(BROKER, "1", LEADER_RATE, Some("1000000"));
    about(4.0, moving(&mut c));
}

#[test]
fn a_throttle_on_the_followers_side_slows_a_move_down() {
    let mut c = cluster();
    c.alter_config(TOPIC, "t", FOLLOWER_REPLICAS, Some("0:4"));
    c.alter_config(BROKER, "4", FOLLOWER_RATE, Some("1000000"));
    about(4.0, moving(&mut c));
}

#[test]
fn a_throttle_for_all_brokers_and_all_replicas_is_the_slower_side() {
    let mut c = cluster();
    c.alter_config(TOPIC, "t", LEADER_REPLICAS, Some("*"));
    c.alter_config(TOPIC, "t", FOLLOWER_REPLICAS, Some("*"));
    c.alter_config(BROKER, "", LEADER_RATE, Some("2000000"));
    c.alter_config(BROKER, "", FOLLOWER_RATE, Some("500000"));
    about(8.0, moving(&mut c));
}

#[test]
fn a_throttle_of_others_changes_nothing() {
    let mut c = cluster();
    c.alter_config(TOPIC, "t", LEADER_REPLICAS, Some("0:2,1:1"));
    c.alter_config(TOPIC, "t", FOLLOWER_REPLICAS, Some("0:3,1:4"));
    c.alter_config(BROKER, "", LEADER_RATE, Some("1000"));
    c.alter_config(BROKER, "", FOLLOWER_RATE, Some("1000"));
    assert_eq!(moving(&mut c), Duration::ZERO);
}

#[test]
fn who_is_in_sync_is_never_held_back_but_counts() {
    let mut c = cluster();
    c.alter_config(TOPIC, "t", LEADER_REPLICAS, Some("*"));
    c.alter_config(TOPIC, "t", FOLLOWER_REPLICAS, Some("*"));
    c.alter_config(BROKER, "", LEADER_RATE, Some("1000"));
    c.alter_config(BROKER, "", FOLLOWER_RATE, Some("1000"));
    let value = "w".repeat(100_000);
    let from = c.now;
    for _ in 0..10 {
        c.produce("t", 0, &value);
    }
    assert_eq!(c.now, from, "acks=all waits for nobody");
    assert_eq!(c.status("t", 0).isr.len(), 3);
    // What the in-sync replicas took uses the quota up for one that is not: a second for each thousand bytes of
    // the last eleven seconds.
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.run(Duration::from_secs(10));
    assert_eq!(c.log("t", 4), Some((0, 0, 0)));
}

#[test]
fn a_throttle_that_is_lifted_lets_go_at_once() {
    let mut c = cluster();
    c.alter_config(TOPIC, "t", LEADER_REPLICAS, Some("0:1"));
    c.alter_config(TOPIC, "t", FOLLOWER_REPLICAS, Some("0:4"));
    c.alter_config(BROKER, "1", LEADER_RATE, Some("10000"));
    c.alter_config(BROKER, "4", FOLLOWER_RATE, Some("10000"));
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.run(Duration::from_secs(30));
    assert!(c.status("t", 0).isr.len() == 3 && c.status("t", 0).adding_replicas == [NodeId(4)]);
    c.alter_config(BROKER, "1", LEADER_RATE, None);
    c.alter_config(BROKER, "4", FOLLOWER_RATE, None);
    c.wait_for_tuple("t", 2, "L=1 e=1 pe=2 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4]");
}

#[test]
fn a_follower_that_was_away_catches_up_throttled() {
    let mut c = cluster();
    c.command(Command::Crash(NodeId(3)));
    c.wait_for("the ISR to shrink", Duration::from_secs(20), |c| c.status("t", 0).isr.len() == 2);
    let value = "w".repeat(100_000);
    for _ in 0..40 {
        c.produce("t", 0, &value);
    }
    c.alter_config(TOPIC, "t", LEADER_REPLICAS, Some("0:1"));
    c.alter_config(BROKER, "1", LEADER_RATE, Some("1000000"));
    let from = c.now;
    c.command(Command::Start(NodeId(3)));
    c.wait_for("all to be in sync", Duration::from_secs(30), |c| c.status("t", 0).isr.len() == 3);
    about(4.0, c.now - from);
}
