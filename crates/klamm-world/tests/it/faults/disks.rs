//! Faults of disks.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::fault::{DiskFault, DiskOperation, DiskScope, Keep, NodeFault, Place};

use super::{once, partition};
use crate::scripted::{Stage, TOPIC};

const SECOND: Duration = Duration::from_secs(1);

/// A stage whose partition has records 0 to 4, each in a batch of its own, on every replica.
fn with_records(seed: u64) -> Stage {
    let mut stage = Stage::with_topic(seed, &[]);
    let producer = stage.warm_producer(once());
    for value in ["a", "b", "c", "d"] {
        stage.sent(producer, value);
    }
    stage.run(SECOND);
    stage
}

fn log() -> DiskScope {
    DiskScope::Partition(partition())
}

#[test]
fn a_disk_that_is_full_or_fails_takes_the_replica_away() {
    let faults = [
        DiskFault::Full { scope: log(), after_bytes: 0 },
        DiskFault::Full { scope: log(), after_bytes: 20 },
        DiskFault::Error { scope: log(), on: DiskOperation::Write, times: Some(1) },
        DiskFault::LostDirectory { scope: log() },
    ];
    for fault in faults {
        let mut stage = with_records(1);
        let id = stage.disk_fault(1, fault.clone());
        let producer = stage.producer(once());
        let error = stage.refused(producer, "x");
        assert!(
            matches!(error, "KAFKA_STORAGE_ERROR" | "NOT_LEADER_OR_FOLLOWER" | "NETWORK_EXCEPTION"),
            "{fault}: {error}"
        );
        assert!(stage.fired(id) > 0, "{fault}");
        stage.run_until("another leader", |world| {
            world.partition(TOPIC, 0).unwrap().leader.is_some_and(|leader| leader != NodeId(1))
        });
    }
}

#[test]
fn a_read_error_is_told_to_who_reads() {
    let mut stage = with_records(2);
    let id = stage.disk_fault(1, DiskFault::Error { scope: log(), on: DiskOperation::Read, times: None });
    stage.crash(3);
    stage.run(SECOND);
    stage.start(3);
    // The follower has everything already; who reads is a consumer.
    let spec = klamm_world::ConsumerSpec { topic: TOPIC.into(), max_wait_ms: 500, read_committed: false };
    stage.add(klamm_world::ClientSpec::Consumer(spec));
    stage.run(5 * SECOND);
    assert!(stage.fired(id) > 0);
}

#[test]
fn a_failed_flush_is_told_to_the_log() {
    let mut stage = Stage::with_topic(3, &[("log.flush.interval.messages", "1")]);
    let producer = stage.warm_producer(once());
    let id = stage.disk_fault(1, DiskFault::Error { scope: log(), on: DiskOperation::Flush, times: Some(1) });
    let op = stage.send(producer, "a");
    let _ = stage.result(producer, op);
    assert_eq!(stage.fired(id), 1);
    assert!(!stage.world.fault(id).unwrap().armed, "it is used up");
}

#[test]
fn a_slow_disk_delays_what_waits_for_it() {
    let mut stage = with_records(4);
    let producer = stage.producer(once());
    stage.sent(producer, "warm");
    let id = stage.disk_fault(
        1,
        DiskFault::Slow { scope: log(), on: DiskOperation::Write, by: Duration::from_millis(300) },
    );
    let asked = stage.world.now();
    let op = stage.send(producer, "x");
    stage.result(producer, op).unwrap();
    assert!(stage.ended_at(producer, op).since(asked) >= Duration::from_millis(300));
    assert!(stage.fired(id) > 0);
}

#[test]
fn a_power_loss_leaves_what_was_chosen() {
    let end_after = |keep: Keep| {
        let mut stage = with_records(5);
        // All at once, or the others would bring back what is lost.
        let ids = [1, 2, 3].map(|node| stage.disk_fault(node, DiskFault::AtPowerLoss { scope: log(), keep }));
        for node in [1, 2, 3] {
            stage.node_fault(node, NodeFault::PowerLoss);
        }
        for id in ids {
            assert!(!stage.world.fault(id).unwrap().armed, "{keep}");
            assert!(stage.fired(id) > 0, "{keep}");
        }
        for node in [1, 2, 3] {
            stage.start(node);
        }
        stage.run(30 * SECOND);
        stage.partition().logs[&NodeId(1)].log_end
    };
    assert_eq!(end_after(Keep::Everything), 5);
    assert_eq!(end_after(Keep::Nothing), 0);
    assert_eq!(end_after(Keep::UpTo { offset: 3 }), 3);
    assert_eq!(end_after(Keep::Torn { offset: 2, bytes: 30 }), 2, "the torn batch is cut off");
    assert_eq!(end_after(Keep::Bytes(75)), 1, "one batch and a piece of the next");
}

#[test]
fn flipped_bits_are_found_when_they_are_read() {
    let mut stage = with_records(6);
    let place = Place::Batch { partition: partition(), offset: 2, byte: 65 };
    let id = stage.disk_fault(1, DiskFault::BitRot { place, mask: 0x01 });
    assert_eq!(stage.fired(id), 1);
    stage.node_fault(1, NodeFault::Crash);
    stage.run_until("another leader", |world| world.partition(TOPIC, 0).unwrap().leader == Some(NodeId(2)));
    stage.start(1);
    stage.run(5 * SECOND);
    assert!(stage.story().contains("[1] t-0 log end 2 -> "), "{}", stage.story());
    assert!(stage.story().contains("fault #0 fired: bits of byte"), "{}", stage.story());
    // The log was recovered up to the rotten batch, and the rest fetched anew.
    stage.run_until("its return", |world| world.partition(TOPIC, 0).unwrap().is_settled());
    assert_eq!(stage.partition().log_end(), Some(5));
}
