//! Disks that fail under a broker: one log directory of several, the last one, at the start.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::Disk;
use klamm_node::{NodeId, TraceKind};
use klamm_wire::messages::describe_log_dirs_response::DescribeLogDirsResult;
use klamm_wire::messages::{DescribeLogDirsRequest, FindCoordinatorRequest, HeartbeatRequest, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes, Uuid};
use klamm_world::{Command, LinkSettings, WorldSettings};

use crate::cluster::{Cluster, Outcome, fetch};
use crate::failing_disk::{Breaker, Failing, FailingDisk};

/// Three brokers, each on a disk with the directories /d0 and /d1, and the breakers of the disks.
fn two_directories(config: &[(&str, &str)]) -> (Cluster, BTreeMap<i32, Breaker>) {
    with_directories(&[&[("log.dirs", "/d0,/d1")], config].concat())
}

fn with_directories(config: &[(&str, &str)]) -> (Cluster, BTreeMap<i32, Breaker>) {
    let (mut disks, mut breakers) = (BTreeMap::new(), BTreeMap::new());
    for id in 1..=3 {
        let (disk, breaker) = FailingDisk::new();
        disks.insert(NodeId(id), Box::new(disk) as Box<dyn Disk>);
        breakers.insert(id, breaker);
    }
    (Cluster::with_disks(3, config, disks), breakers)
}

/// What a broker says of its directories: path, error, and the partitions of `topic` in it.
fn log_dirs(c: &mut Cluster, broker: i32, topic: &str) -> Vec<(String, i16, Vec<i32>)> {
    let ResponseKind::DescribeLogDirs(answer) =
        c.ask(broker, 4, DescribeLogDirsRequest::default().with_topics(None))
    else {
        panic!("another answer")
    };
    let of_topic = |dir: &DescribeLogDirsResult| {
        let topics = dir.topics.iter().filter(|t| &*t.name.0 == topic);
        topics.flat_map(|t| t.partitions.iter().map(|p| p.partition_index)).collect()
    };
    answer.results.iter().map(|dir| (dir.log_dir.to_string(), dir.error_code, of_topic(dir))).collect()
}

/// The directories that the controller knows of a broker, and the one of its replica of a partition.
fn known_to_controller(c: &Cluster, broker: i32, topic: &str, partition: i32) -> (Vec<Uuid>, Option<Uuid>) {
    let image = c.world.metadata().expect("a controller");
    let dirs = image.cluster.broker(NodeId(broker)).map(|b| b.log_dirs.clone()).unwrap_or_default();
    let replica = image.topics.partition_by_name(topic, partition).expect("the partition exists");
    (dirs, replica.directory(NodeId(broker)))
}

fn isr(c: &Cluster, topic: &str, partition: i32) -> Vec<i32> {
    let mut isr: Vec<i32> = c.status(topic, partition).isr.iter().map(|id| id.0).collect();
    isr.sort_unstable();
    isr
}

/// What producing one value straight to a broker is answered.
fn produce_error(c: &mut Cluster, broker: i32, topic: &'static str, partition: i32) -> ErrorCode {
    let sent = c.send_produce(broker, topic, partition, -1, "x");
    c.wait_for("an answer", Duration::from_secs(10), |c| c.outcome(sent).is_some());
    ErrorCode::from_code(c.produced(sent).error_code).expect("a known error")
}

fn fetch_error(c: &mut Cluster, broker: i32, topic: &'static str, partition: i32) -> ErrorCode {
    let sent = c.send(broker, 12, fetch(topic, partition, 0, 0));
    c.fetched(sent).topics[0].partitions[0].error_code
}

fn is_up(c: &Cluster, node: i32) -> bool {
    c.world.nodes().iter().any(|status| status.node == NodeId(node) && status.up)
}

/// A partition that `broker` leads and keeps in the directory `path`.
fn led_in(c: &mut Cluster, broker: i32, topic: &str, path: &str) -> i32 {
    let dirs = log_dirs(c, broker, topic);
    let (_, _, partitions) = dirs.iter().find(|(dir, ..)| dir == path).expect("the directory");
    *partitions.iter().find(|p| c.leader(topic, **p) == broker).expect("a partition that it leads there")
}

#[test]
fn new_replicas_go_to_the_directory_with_the_fewest_and_the_controller_is_told() {
    let (mut c, _) = two_directories(&[]);
    c.create_topic("t", 5, 3, &[]);
    c.run(Duration::from_secs(1));
    for broker in 1..=3 {
        let dirs = log_dirs(&mut c, broker, "t");
        assert_eq!(
            dirs.iter().map(|(path, error, _)| (path.as_str(), *error)).collect::<Vec<_>>(),
            [("/d0", 0), ("/d1", 0)]
        );
        let mut counts: Vec<usize> = dirs.iter().map(|(.., partitions)| partitions.len()).collect();
        counts.sort_unstable();
        assert_eq!(counts, [2, 3], "broker {broker}: {dirs:?}");
        // In the metadata each replica has its directory, which the broker picked and told.
        for (at, (_, _, partitions)) in dirs.iter().enumerate() {
            for partition in partitions {
                let (known, replica) = known_to_controller(&c, broker, "t", *partition);
                assert_eq!((known.len(), replica), (2, known.get(at).copied()));
            }
        }
    }
}

#[test]
fn a_directory_that_fails_takes_its_partitions_along_and_nothing_else() {
    let (mut c, breakers) = two_directories(&[("min.insync.replicas", "2")]);
    c.create_topic("t", 6, 3, &[]);
    for partition in 0..6 {
        c.produce("t", partition, "a");
    }
    let broker = c.leader("t", 0);
    let (kept, lost) = (led_in(&mut c, broker, "t", "/d0"), led_in(&mut c, broker, "t", "/d1"));
    c.run(Duration::from_secs(1));
    let (before, kept_before) = (c.status("t", lost), c.status("t", kept));
    let (dirs, _) = known_to_controller(&c, broker, "t", lost);
    breakers[&broker].fail("d1/", Failing::Writes);

    assert_eq!(produce_error(&mut c, broker, "t", lost), ErrorCode::KafkaStorageError);
    assert_eq!(fetch_error(&mut c, broker, "t", lost), ErrorCode::KafkaStorageError);
    // The controller hears of it with the next heartbeat, which goes out at once: no session has to run out.
    let after = c.status("t", lost);
    assert_ne!(after.leader, Some(NodeId(broker)));
    assert_eq!(after.leader_epoch, before.leader_epoch + 1);
    assert_eq!(after.partition_epoch, before.partition_epoch + 1);
    assert_eq!(isr(&c, "t", lost), (1..=3).filter(|id| *id != broker).collect::<Vec<_>>());
    assert_eq!(known_to_controller(&c, broker, "t", lost).0, dirs[..1]);
    assert_eq!(c.produce("t", lost, "b"), 1);
    // What lies in the other directory does not notice.
    assert_eq!(c.status("t", kept).leader_epoch, kept_before.leader_epoch);
    assert_eq!(produce_error(&mut c, broker, "t", kept), ErrorCode::None);
    assert_eq!(isr(&c, "t", kept), [1, 2, 3]);
    let described = log_dirs(&mut c, broker, "t");
    assert_eq!((described[0].1, described[1].1), (0, ErrorCode::KafkaStorageError.code()));
    assert!(described[1].2.is_empty(), "{described:?}");
    let offline = |event: &klamm_node::TraceEvent| matches!(&event.kind, TraceKind::LogDirectoryOffline { directory, .. } if directory == "/d1");
    assert_eq!(c.world.trace().events().filter(|e| offline(e)).count(), 1);
    // New topics go where there is still a disk.
    c.create_topic("later", 2, 3, &[]);
    c.run(Duration::from_secs(1));
    assert_eq!(log_dirs(&mut c, broker, "later")[0].2, [0, 1]);

    // With a new start on a disk that works again, the broker comes back with all it had.
    breakers[&broker].heal();
    c.command(Command::Crash(NodeId(broker)));
    c.command(Command::Start(NodeId(broker)));
    c.wait_for("the whole ISR", Duration::from_secs(30), |c| (0..6).all(|p| isr(c, "t", p) == [1, 2, 3]));
    let status = c.status("t", lost);
    assert_eq!(status.logs.values().map(|log| log.log_end).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(known_to_controller(&c, broker, "t", lost).0, dirs);
}

#[test]
fn a_follower_whose_directory_fails_leaves_the_isr_at_once_and_the_high_watermark_waits_for_it() {
    let (mut c, breakers) = two_directories(&[("min.insync.replicas", "2")]);
    c.create_topic("t", 4, 3, &[]);
    c.run(Duration::from_secs(1));
    // A partition, and a follower that keeps it in the second directory.
    let (mut follower, mut p) = (0, 0);
    for id in 1..=3 {
        for partition in log_dirs(&mut c, id, "t")[1].2.clone() {
            if c.leader("t", partition) != id {
                (follower, p) = (id, partition);
            }
        }
    }
    let leader = c.leader("t", p);
    breakers[&follower].fail("d1/", Failing::Writes);
    let before = c.status("t", p);
    let sent = c.send_produce(leader, "t", p, -1, "a");
    let after = c.status("t", p);
    let rest: Vec<i32> = (1..=3).filter(|id| *id != follower).collect();
    assert_eq!(isr(&c, "t", p), rest);
    assert_eq!(
        (after.leader_epoch, after.partition_epoch),
        (before.leader_epoch, before.partition_epoch + 1)
    );
    assert_eq!((after.logs[&NodeId(leader)].log_end, after.logs[&NodeId(leader)].high_watermark), (1, 0));
    // It was caught up a moment ago and is not fenced, so it might join again at any time (R5): Kafka waits for it, too, until
    // replica.lag.time.max.ms has passed and somebody appends.
    c.wait_for("an answer", Duration::from_secs(10), |c| c.outcome(sent).is_some());
    assert_eq!(ErrorCode::from_code(c.produced(sent).error_code), Some(ErrorCode::RequestTimedOut));
    c.run(Duration::from_secs(26));
    assert_eq!(c.produce("t", p, "b"), 1);
    assert_eq!(c.status("t", p).logs[&NodeId(leader)].high_watermark, 2);
}

#[test]
fn reading_and_flushing_can_fail_too() {
    for (what, flush) in [(Failing::Reads, "100"), (Failing::Flushes, "1")] {
        let (mut c, breakers) = two_directories(&[]);
        c.create_topic("t", 6, 3, &[("flush.messages", flush)]);
        for partition in 0..6 {
            c.produce("t", partition, "a");
        }
        let broker = c.leader("t", 0);
        let (kept, lost) = (led_in(&mut c, broker, "t", "/d0"), led_in(&mut c, broker, "t", "/d1"));
        breakers[&broker].fail("d1/", what);
        let error = match what {
            Failing::Reads => fetch_error(&mut c, broker, "t", lost),
            _ => produce_error(&mut c, broker, "t", lost),
        };
        assert_eq!(error, ErrorCode::KafkaStorageError, "{what:?}");
        assert_ne!(c.leader("t", lost), broker);
        assert_eq!(fetch_error(&mut c, broker, "t", kept), ErrorCode::None);
    }
}

#[test]
fn the_last_directory_or_that_of_the_metadata_log_takes_the_broker_along() {
    for (dirs, path) in [("/logs", "logs/"), ("/d0,/d1", "d0/")] {
        let (mut c, breakers) = with_directories(&[("log.dirs", dirs), ("min.insync.replicas", "2")]);
        c.create_topic("t", 1, 3, &[]);
        c.produce("t", 0, "a");
        let leader = c.leader("t", 0);
        breakers[&leader].fail(path, Failing::Writes);
        let sent = c.send_produce(leader, "t", 0, -1, "b");
        assert!(matches!(c.outcome(sent), Some(Outcome::Closed)), "{:?}", c.outcome(sent));
        assert!(!is_up(&c, leader));
        // Nobody told the controller: the session has to run out.
        c.wait_for("another leader", Duration::from_secs(12), |c| {
            c.status("t", 0).leader.is_some_and(|now| now != NodeId(leader))
        });
        assert_eq!(c.produce("t", 0, "c"), 1);
        // The disk works again: what was written is there, and the broker catches up.
        breakers[&leader].heal();
        c.command(Command::Start(NodeId(leader)));
        c.wait_for("the whole ISR", Duration::from_secs(30), |c| isr(c, "t", 0) == [1, 2, 3]);
    }
}

#[test]
fn a_broker_that_cannot_tell_of_a_failed_directory_stops_after_log_dir_failure_timeout_ms() {
    let (mut c, breakers) = two_directories(&[("log.dir.failure.timeout.ms", "7000")]);
    c.create_topic("t", 6, 3, &[]);
    c.run(Duration::from_secs(1));
    let broker = c.leader("t", 0);
    let lost = led_in(&mut c, broker, "t", "/d1");
    let controller = NodeId(WorldSettings::FIRST_CONTROLLER);
    let slow = LinkSettings { latency: Duration::from_secs(3600), ..LinkSettings::default() };
    c.command(Command::SetLink { from: NodeId(broker), to: controller, link: slow });
    breakers[&broker].fail("d1/", Failing::Writes);
    let failed_at = c.now;
    assert_eq!(produce_error(&mut c, broker, "t", lost), ErrorCode::KafkaStorageError);
    c.run(Duration::from_millis(6_999));
    assert!(is_up(&c, broker));
    c.run(Duration::from_millis(1));
    assert_eq!(c.now, failed_at + Duration::from_secs(7));
    assert!(!is_up(&c, broker));
}

#[test]
fn a_directory_that_fails_at_the_start_is_left_out() {
    let (mut c, breakers) = two_directories(&[("min.insync.replicas", "2")]);
    c.create_topic("t", 6, 3, &[]);
    for partition in 0..6 {
        c.produce("t", partition, "a");
    }
    let broker = c.leader("t", 0);
    c.run(Duration::from_secs(1));
    let in_d1 = log_dirs(&mut c, broker, "t")[1].2.clone();
    c.command(Command::Crash(NodeId(broker)));
    breakers[&broker].fail("d1", Failing::Reads);
    c.command(Command::Start(NodeId(broker)));
    let others: Vec<i32> = (1..=3).filter(|id| *id != broker).collect();
    // It can register again when the session of its earlier life has run out.
    c.run(Duration::from_secs(12));
    c.wait_for("what is in the other directory", Duration::from_secs(30), |c| {
        (0..6).filter(|p| !in_d1.contains(p)).all(|p| isr(c, "t", p) == [1, 2, 3])
    });
    c.run(Duration::from_secs(5));
    for partition in &in_d1 {
        assert_eq!(isr(&c, "t", *partition), others);
        assert_eq!(fetch_error(&mut c, broker, "t", *partition), ErrorCode::KafkaStorageError);
    }
    // No second log of theirs is begun elsewhere.
    let dirs = log_dirs(&mut c, broker, "t");
    assert!(dirs[0].2.iter().all(|p| !in_d1.contains(p)), "{dirs:?}");
    assert_eq!(dirs[1].1, ErrorCode::KafkaStorageError.code());
}

#[test]
fn a_broker_that_does_not_start_can_be_started_when_its_disk_works_again() {
    let (mut c, breakers) = with_directories(&[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let broker = c.leader("t", 0);
    c.command(Command::Crash(NodeId(broker)));
    breakers[&broker].fail("logs", Failing::Reads);
    let failed = c.start_fails(broker);
    assert!(failed.contains("input/output error"), "{failed}");
    breakers[&broker].heal();
    c.command(Command::Start(NodeId(broker)));
    c.wait_for("the whole ISR", Duration::from_secs(30), |c| isr(c, "t", 0) == [1, 2, 3]);
    assert_eq!(c.status("t", 0).logs[&NodeId(broker)].log_end, 1);
}

#[test]
fn groups_whose_partition_is_in_a_failed_directory_are_found_elsewhere() {
    let (mut c, breakers) = two_directories(&[("offsets.topic.num.partitions", "12")]);
    let groups: Vec<StrBytes> = (0..30).map(|n| StrBytes::from(format!("g{n}"))).collect();
    let find = |c: &mut Cluster| -> Vec<i32> {
        let keys = FindCoordinatorRequest::default().with_coordinator_keys(groups.clone());
        let ResponseKind::FindCoordinator(answer) = c.ask(3, 4, keys) else { panic!("another answer") };
        assert!(answer.coordinators.iter().all(|found| found.error_code == 0), "{answer:?}");
        answer.coordinators.iter().map(|found| found.node_id.0).collect()
    };
    let beat = |c: &mut Cluster, broker: i32, group: &StrBytes| {
        let request = HeartbeatRequest::default()
            .with_group_id(group.clone().into())
            .with_member_id(StrBytes::from_static_str("m"));
        let ResponseKind::Heartbeat(answer) = c.ask(broker, 4, request) else { panic!("another answer") };
        ErrorCode::from_code(answer.error_code).expect("a known error")
    };
    let mine: Vec<StrBytes> =
        find(&mut c).iter().zip(&groups).filter(|(at, _)| **at == 1).map(|(_, g)| g.clone()).collect();
    for group in &mine {
        assert_eq!(beat(&mut c, 1, group), ErrorCode::UnknownMemberId);
    }
    // Written to once a minute, if not before.
    breakers[&1].fail("d1/", Failing::Writes);
    c.run(Duration::from_secs(61));
    let (mut lost, mut kept) = (0, 0);
    let after = find(&mut c);
    for (group, now) in groups.iter().zip(after).filter(|(group, _)| mine.contains(group)) {
        match beat(&mut c, 1, group) {
            ErrorCode::NotCoordinator => {
                lost += 1;
                assert_ne!(now, 1);
                assert_eq!(beat(&mut c, now, group), ErrorCode::UnknownMemberId);
            }
            error => {
                kept += 1;
                assert_eq!((error, now), (ErrorCode::UnknownMemberId, 1));
            }
        }
    }
    assert!(lost > 0 && kept > 0, "{lost} lost, {kept} kept");
}
