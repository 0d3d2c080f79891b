//! Produce and fetch on a healthy cluster.

use std::time::Duration;

use bytes::Bytes;
use klamm_log::Disk;
use klamm_node::NodeId;
use klamm_wire::ErrorCode;
use klamm_wire::messages::ResponseKind;

use crate::cluster::{Cluster, Outcome, fetch};
use crate::failing_disk::FailingDisk;

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

#[test]
fn a_follower_answers_consumers_of_kip_392_below_its_own_high_watermark() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let follower = c.leader("t", 0) % 3 + 1;
    let waiting = c.connect(follower);
    let sent = c.send_over(waiting, 11, fetch("t", 0, 0, 5_000));
    c.produce("t", 0, "a");
    assert_eq!(c.outcome(sent), None, "the follower does not know yet that it is committed");
    c.run(Duration::from_millis(500));
    let partition = &c.fetched(sent).topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.high_watermark), (ErrorCode::None, 1));
    assert!(partition.records_len() > 0);
    // An older consumer could not know that it reads from a follower.
    let sent = c.send(follower, 10, fetch("t", 0, 0, 0));
    assert_eq!(c.fetched(sent).topics[0].partitions[0].error_code, ErrorCode::NotLeaderOrFollower);
}

#[test]
fn the_last_records_for_a_partition_named_twice_count() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 2, 1, &[]);
    let sent = c.send_produce_of(1, "t", &[(0, "lost"), (1, "b"), (0, "kept")]);
    let answer = c.answer(sent).clone();
    let ResponseKind::Produce(answer) = answer else { panic!("another answer") };
    let partitions: Vec<i32> = answer.responses[0].partition_responses.iter().map(|p| p.index).collect();
    assert_eq!(partitions, [1, 0]);
    assert_eq!(c.status("t", 0).log_end(), Some(1));
}

#[test]
fn a_fetch_that_waits_for_many_bytes_reads_them_once() {
    for in_session in [false, true] {
        let (disk, breaker) = FailingDisk::new();
        let mut c = Cluster::with_disks(1, &[], [(NodeId(1), Box::new(disk) as Box<dyn Disk>)].into());
        c.create_topic("t", 2, 1, &[]);
        c.produce("t", 0, "0");
        let mut request = fetch("t", 0, 0, 10_000).with_min_bytes(250);
        let second = request.topics[0].partitions[0].clone().with_partition(1);
        request.topics[0].partitions.push(second);
        let waiting = c.connect(1);
        if in_session {
            // The first fetch makes the session, and is answered with all there is.
            let first = c.send_over(waiting, 12, fetch("t", 0, 0, 0).with_session_epoch(0));
            let session = c.fetched(first).session_id;
            assert_ne!(session, 0);
            request = request.with_session_id(session).with_session_epoch(1);
        }
        let sent = c.send_over(waiting, 12, request);
        let before = breaker.reads();
        c.connect(1);
        // A batch is 70 bytes: with the one that was there, four are enough.
        for value in ["1", "2"] {
            c.produce("t", 0, value);
            assert!(c.outcome(sent).is_none());
        }
        assert_eq!(breaker.reads(), before, "in a session: {in_session}");
        c.produce("t", 1, "3");
        let answer = &c.fetched(sent).topics[0];
        let sizes = answer.partitions.iter().map(|p| p.records.iter().map(Bytes::len).sum());
        assert_eq!(sizes.collect::<Vec<usize>>(), [210, 70]);
        assert!(breaker.reads() > before);
    }
}

#[test]
fn a_fetch_in_an_older_segment_does_not_wait_for_more_bytes_than_that_has() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[("segment.bytes", "1048576"), ("max.message.bytes", "2000000")]);
    c.produce("t", 0, "small");
    c.produce("t", 0, &"x".repeat(1_048_500));
    // Kafka's DelayedFetch completes at once, whatever fetch.min.bytes says.
    let sent = c.send(1, 12, fetch("t", 0, 0, 10_000).with_min_bytes(1_000_000));
    let size: usize = c.fetched(sent).topics[0].partitions[0].records.iter().map(Bytes::len).sum();
    assert_eq!(size, 74);
}
