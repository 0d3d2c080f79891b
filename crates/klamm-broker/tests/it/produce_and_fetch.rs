//! Produce and fetch on a healthy cluster.

use std::time::Duration;

use klamm_wire::ErrorCode;

use crate::cluster::{Cluster, Outcome, fetch};

#[test]
fn a_cluster_starts_and_acknowledges_without_the_clock() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    assert_eq!(c.produce("t", 0, "a"), 0);
    assert_eq!(c.produce("t", 0, "b"), 1);
    assert_eq!(c.now.as_millis(), 0, "nothing on the way waits for a timer");
    let status = c.status("t", 0);
    assert_eq!(status.high_watermark(), Some(2));
}

#[test]
fn a_consumer_reads_what_was_acknowledged() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    let sent = c.send(leader, 12, fetch("t", 0, 0, 500));
    let response = c.fetched(sent);
    let partition = &response.topics[0].partitions[0];
    assert_eq!(partition.error_code, ErrorCode::None);
    assert_eq!(partition.high_watermark, 1);
    assert!(partition.records_len() > 0);
}

#[test]
fn a_fetch_at_the_end_waits_for_records() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    let waiting = c.connect(leader);
    let sent = c.send_over(waiting, 12, fetch("t", 0, 0, 5_000));
    c.connect(leader);
    c.run(Duration::from_millis(1_000));
    assert_eq!(c.outcome(sent), None);
    c.produce("t", 0, "a");
    assert_eq!(c.fetched(sent).topics[0].partitions[0].high_watermark, 1);
}

#[test]
fn a_fetch_gives_up_when_its_time_is_over() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    let sent = c.send(1, 12, fetch("t", 0, 0, 300));
    c.run(Duration::from_millis(299));
    assert_eq!(c.outcome(sent), None);
    c.run(Duration::from_millis(1));
    assert_eq!(c.fetched(sent).topics[0].partitions[0].records_len(), 0);
}

#[test]
fn acks_0_closes_the_connection_on_an_error() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    let good = c.send_produce(leader, "t", 0, 0, "a");
    assert_eq!(c.outcome(good), Some(&Outcome::NoResponse));
    let other = leader % 3 + 1;
    let bad = c.send_produce(other, "t", 0, 0, "a");
    assert_eq!(c.outcome(bad), Some(&Outcome::Closed));
}
