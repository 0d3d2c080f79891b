//! What a replica has after its process or its machine ended in disorder, and what the cluster makes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::Disk;
use klamm_node::{NodeId, TraceKind};
use klamm_wire::messages::{DescribeLogDirsRequest, ResponseKind};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, FetchPartition};
use klamm_world::{Command, LinkSettings};

use crate::cluster::{Cluster, fetch};
use crate::failing_disk::{Breaker, FailingDisk};

const SECOND: Duration = Duration::from_secs(1);

/// Three brokers with disks that do as they are told, and `t` with one partition on each, of ten records in a batch each.
/// Also the size of one of its batches, in bytes.
fn ten_records(config: &[(&str, &str)]) -> (Cluster, BTreeMap<i32, Breaker>, u64) {
    let (mut disks, mut breakers) = (BTreeMap::new(), BTreeMap::new());
    for id in 1..=3 {
        let (disk, breaker) = FailingDisk::new();
        disks.insert(NodeId(id), Box::new(disk) as Box<dyn Disk>);
        breakers.insert(id, breaker);
    }
    let mut c = Cluster::with_disks(3, &[&[("min.insync.replicas", "2")], config].concat(), disks);
    c.create_topic("t", 1, 3, &[]);
    for value in 0..10 {
        assert_eq!(c.produce("t", 0, &value.to_string()), value);
    }
    // High watermarks reach the followers within 500 ms, and the disks within 5 s.
    c.run(6 * SECOND);
    let size = log_size(&mut c, 1);
    assert_eq!(size % 10, 0);
    (c, breakers, size / 10)
}

/// The size of a broker's replica of `t`, in bytes.
fn log_size(c: &mut Cluster, broker: i32) -> u64 {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let ResponseKind::DescribeLogDirs(answer) = c.ask(broker, 4, request) else { panic!("another answer") };
    let topics = answer.results.iter().flat_map(|dir| &dir.topics).filter(|topic| &*topic.name.0 == "t");
    topics.flat_map(|topic| &topic.partitions).map(|p| p.partition_size.unsigned_abs()).sum()
}

fn followers(c: &Cluster) -> (i32, i32) {
    let leader = c.leader("t", 0);
    let others: Vec<i32> = (1..=3).filter(|id| *id != leader).collect();
    (others[0], others[1])
}

fn isr(c: &Cluster) -> Vec<i32> {
    let mut isr: Vec<i32> = c.status("t", 0).isr.iter().map(|id| id.0).collect();
    isr.sort_unstable();
    isr
}

/// Log end and high watermark of a broker's replica.
fn offsets(c: &Cluster, broker: i32) -> (i64, i64) {
    let log = c.status("t", 0).logs[&NodeId(broker)];
    (log.log_end, log.high_watermark)
}

fn refusals(c: &Cluster, broker: i32) -> usize {
    let refused = "DUPLICATE_BROKER_REGISTRATION";
    let events = c.world.trace().events();
    let by = |node: Option<NodeId>| node == Some(NodeId(broker));
    events
        .filter(|e| {
            by(e.node) && matches!(&e.kind, TraceKind::RegistrationRefused { error } if *error == refused)
        })
        .count()
}

fn broker_epoch(c: &Cluster, broker: i32) -> i64 {
    c.world.metadata().and_then(|image| image.cluster.epoch(NodeId(broker))).expect("it is registered")
}

fn cut(c: &mut Cluster, a: i32, b: i32) {
    let link = LinkSettings { latency: Duration::from_secs(3600), ..LinkSettings::default() };
    c.command(Command::SetLink { from: NodeId(a), to: NodeId(b), link });
    c.command(Command::SetLink { from: NodeId(b), to: NodeId(a), link });
}

#[test]
fn a_power_loss_of_one_replica_costs_it_its_tail_and_nobody_anything() {
    // Five batches, and half of the sixth: STO-01, STO-05.
    for torn in [0, 20] {
        let (mut c, breakers, batch) = ten_records(&[]);
        let (follower, other) = followers(&c);
        let leader = c.leader("t", 0);
        let (epoch, before) = (broker_epoch(&c, follower), c.status("t", 0));
        breakers[&follower].keep("logs/t-0/", 5 * batch + torn);
        c.command(Command::PowerLoss(NodeId(follower)));
        c.command(Command::Start(NodeId(follower)));
        // The log is cut at the first batch that is not whole; of the high watermark that was written down so much is left.
        assert_eq!(offsets(&c, follower), (5, 5));
        // As long as the session of its earlier life is valid, the broker may not come back (NET-05).
        assert_eq!((refusals(&c, follower), broker_epoch(&c, follower)), (1, epoch));
        assert_eq!(isr(&c), [1, 2, 3]);
        c.run(6 * SECOND);
        assert_eq!((offsets(&c, follower), broker_epoch(&c, follower)), ((5, 5), epoch));
        c.wait_for("a new epoch", 6 * SECOND, |c| broker_epoch(c, follower) > epoch);
        c.run(SECOND);
        assert_eq!(offsets(&c, follower), (10, 10));
        assert_eq!(isr(&c), [1, 2, 3]);
        let after = c.status("t", 0);
        assert_eq!((after.leader, after.leader_epoch), (Some(NodeId(leader)), before.leader_epoch));
        // Out of the ISR when it was fenced or registered anew, and in again.
        assert_eq!(after.partition_epoch, before.partition_epoch + 2);
        assert_eq!(offsets(&c, other), (10, 10));
    }
}

#[test]
fn a_power_loss_of_all_replicas_loses_what_the_last_leader_had_not_flushed() {
    // STO-02: the log ends are 5, 9 and 7, and the last to be fenced becomes the last known leader.
    let (mut c, breakers, batch) = ten_records(&[]);
    for (id, kept) in [(1, 5), (2, 9), (3, 7)] {
        breakers[&id].keep("logs/t-0/", kept * batch);
        c.command(Command::PowerLoss(NodeId(id)));
    }
    c.run(12 * SECOND);
    let down = c.status("t", 0);
    assert_eq!((down.leader, isr(&c)), (None, vec![]));
    assert_eq!((down.elr, down.last_known_elr), (vec![NodeId(2), NodeId(3)], vec![NodeId(3)]));
    for id in 1..=3 {
        c.command(Command::Start(NodeId(id)));
    }
    c.wait_for("the whole ISR", 5 * SECOND, |c| isr(c) == [1, 2, 3]);
    c.run(SECOND);
    assert_eq!(c.leader("t", 0), 3);
    for id in 1..=3 {
        assert_eq!(offsets(&c, id), (7, 7), "broker {id}");
    }
}

#[test]
fn flushing_each_batch_outlives_a_power_loss_of_all_replicas() {
    // STO-07, with the broker's key and with the topic's.
    let (mut c, breakers, _) = ten_records(&[("log.flush.interval.messages", "1")]);
    for id in 1..=3 {
        breakers[&id].keep("logs/", 0);
        c.command(Command::PowerLoss(NodeId(id)));
    }
    c.run(12 * SECOND);
    for id in 1..=3 {
        c.command(Command::Start(NodeId(id)));
    }
    c.wait_for("the whole ISR", 5 * SECOND, |c| isr(c) == [1, 2, 3]);
    c.run(SECOND);
    for id in 1..=3 {
        assert_eq!(offsets(&c, id), (10, 10), "broker {id}");
    }
}

#[test]
fn a_killed_process_keeps_its_log_and_counts_as_unclean() {
    // STO-03, beside a process that ended in order.
    for (clean, elr_after) in [(false, vec![]), (true, vec![1])] {
        let (mut c, _, _) = ten_records(&[]);
        let (leader, (first, second)) = (c.leader("t", 0), followers(&c));
        c.command(Command::Stop(NodeId(second)));
        c.wait_for("ISR of two", 12 * SECOND, |c| isr(c).len() == 2);
        let stop = if clean { Command::Stop } else { Command::Crash };
        c.command(stop(NodeId(first)));
        c.wait_for("ISR of one", 12 * SECOND, |c| isr(c) == [leader]);
        assert_eq!(c.status("t", 0).elr, [NodeId(first)]);
        // It comes back where it cannot reach the leader, so that it does not join the ISR at once.
        cut(&mut c, first, leader);
        let epoch = broker_epoch(&c, first);
        c.command(Command::Start(NodeId(first)));
        c.wait_for("a new epoch", 12 * SECOND, |c| broker_epoch(c, first) > epoch);
        assert_eq!(offsets(&c, first), (10, 10));
        let elr: Vec<i32> = c.status("t", 0).elr.iter().map(|_| 1).collect();
        assert_eq!(elr, elr_after, "clean: {clean}");
    }
}

#[test]
fn a_rotten_batch_is_never_appended_by_a_follower_and_reaches_consumers_as_it_is() {
    let (mut c, breakers, batch) = ten_records(&[]);
    let (leader, (follower, _)) = (c.leader("t", 0), followers(&c));
    breakers[&follower].keep("logs/t-0/", 3 * batch);
    c.command(Command::PowerLoss(NodeId(follower)));
    // A byte of the value of record 6.
    breakers[&leader].rot("logs/t-0/", 6 * batch + batch - 2);
    c.command(Command::Start(NodeId(follower)));
    c.run(20 * SECOND);
    // All of one answer is refused, also what comes before the rotten batch.
    assert_eq!(offsets(&c, follower).0, 3);
    let refused = c.world.trace().events().filter(|e| {
        e.node == Some(NodeId(follower))
            && matches!(&e.kind, TraceKind::FetchNotAppended { cause, .. } if cause.contains("CORRUPT_MESSAGE"))
    });
    // Again and again, replica.fetch.backoff.ms apart.
    assert!(refused.count() >= 5);
    assert_eq!(isr(&c).len(), 2);
    // The broker does not check what it sends: the consumer does.
    let sent = c.send(leader, 12, fetch("t", 0, 6, 0));
    let answer: &FetchPartition = &c.fetched(sent).topics[0].partitions[0];
    assert_eq!(answer.error_code, ErrorCode::None);
    let bytes: Vec<u8> = answer.records.iter().flat_map(|slice| slice.to_vec()).collect();
    let crcs: Vec<bool> = BatchIter::new(bytes.into()).map(|b| b.is_ok_and(|b| b.crc_holds())).collect();
    assert_eq!(crcs, [false, true, true, true]);
    // What was read wrongly once may read well the next time.
    breakers[&leader].heal();
    c.run(3 * SECOND);
    assert_eq!(offsets(&c, follower), (10, 10));
    assert_eq!(isr(&c), [1, 2, 3]);
}

#[test]
fn the_log_start_is_written_down_once_a_minute_and_a_crash_may_bring_records_back() {
    // LOG-11, on one replica, so that nobody else can tell.
    for (wait, log_start) in [(50, 0), (61, 5)] {
        let (disk, _) = FailingDisk::new();
        let mut c = Cluster::with_disks(1, &[], [(NodeId(1), Box::new(disk) as Box<dyn Disk>)].into());
        c.create_topic("t", 1, 1, &[]);
        for value in 0..10 {
            c.produce("t", 0, &value.to_string());
        }
        c.delete_records("t", 0, 5);
        c.run(wait * SECOND);
        c.command(Command::Crash(NodeId(1)));
        c.command(Command::Start(NodeId(1)));
        c.wait_for("the leader", 15 * SECOND, |c| c.status("t", 0).is_settled());
        let log = c.status("t", 0).logs[&NodeId(1)];
        assert_eq!((log.log_start, log.log_end, log.high_watermark), (log_start, 10, 10), "after {wait} s");
    }
}

#[test]
fn what_was_deleted_while_a_broker_was_down_is_deleted_when_it_is_up() {
    let (mut c, _, _) = ten_records(&[]);
    let (follower, other) = followers(&c);
    c.command(Command::Crash(NodeId(follower)));
    c.run(12 * SECOND);
    c.delete_topic_through(other, "t");
    c.create_topic_through(other, "t", 1, 2, &[]);
    c.command(Command::Start(NodeId(follower)));
    c.run(2 * SECOND);
    // Its namesake is on the two others only.
    assert_eq!(c.status("t", 0).replicas.len(), 2);
    assert!(!c.status("t", 0).logs.contains_key(&NodeId(follower)));
    assert_eq!(log_size(&mut c, follower), 0);
}
