//! Replicas that move from one log directory to another.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::Disk;
use klamm_node::NodeId;
use klamm_wire::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use klamm_wire::messages::{AlterReplicaLogDirsRequest, DescribeLogDirsRequest, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};
use klamm_world::Command;

use crate::cluster::{Cluster, fetch, topic_name};
use crate::failing_disk::{Breaker, Failing, FailingDisk};

const THROTTLE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// Three brokers with the directories /d0, /d1 and /d2 each. The metadata is in /d0.
fn three_directories(config: &[(&str, &str)]) -> (Cluster, BTreeMap<i32, Breaker>) {
    let (mut disks, mut breakers) = (BTreeMap::new(), BTreeMap::new());
    for id in 1..=3 {
        let (disk, breaker) = FailingDisk::new();
        disks.insert(NodeId(id), Box::new(disk) as Box<dyn Disk>);
        breakers.insert(id, breaker);
    }
    let config = [
        &[("log.dirs", "/d0,/d1,/d2"), ("min.insync.replicas", "2"), ("replica.fetch.max.bytes", "1000")],
        config,
    ]
    .concat();
    (Cluster::with_disks(3, &config, disks), breakers)
}

fn alter(c: &mut Cluster, broker: i32, topic: &'static str, partition: i32, path: &str) -> ErrorCode {
    let topic =
        AlterReplicaLogDirTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let dir =
        AlterReplicaLogDir::default().with_path(StrBytes::from(path.to_owned())).with_topics(vec![topic]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
    let ResponseKind::AlterReplicaLogDirs(answer) = c.ask(broker, 2, request) else {
        panic!("another answer")
    };
    ErrorCode::from_code(answer.results[0].partitions[0].error_code).expect("a known error")
}

/// Where a broker has a partition: (directory, size, lag, whether it is a future log).
fn places(c: &mut Cluster, broker: i32, topic: &str, partition: i32) -> Vec<(String, i64, i64, bool)> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let ResponseKind::DescribeLogDirs(answer) = c.ask(broker, 4, request) else { panic!("another answer") };
    let mut places = Vec::new();
    for dir in &answer.results {
        for found in dir.topics.iter().filter(|t| &*t.name.0 == topic).flat_map(|t| &t.partitions) {
            if found.partition_index == partition {
                let path = dir.log_dir.to_string();
                places.push((path, found.partition_size, found.offset_lag, found.is_future_key));
            }
        }
    }
    places.sort_by_key(|place| place.3);
    places
}

/// A topic whose leader's replica is in /d1, with records in it. The leader.
fn in_d1(c: &mut Cluster, records: usize) -> i32 {
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    c.run(Duration::from_secs(1));
    if places(c, leader, "t", 0)[0].0 != "/d1" {
        assert_eq!(alter(c, leader, "t", 0, "/d1"), ErrorCode::None);
        c.run(Duration::from_secs(2));
    }
    assert_eq!(places(c, leader, "t", 0)[0].0, "/d1");
    for _ in 0..records {
        c.produce("t", 0, &"x".repeat(500));
    }
    leader
}

fn throttle(c: &mut Cluster, rate: &str) {
    c.alter_config(4, "", THROTTLE, Some(rate));
    c.run(Duration::from_secs(1));
}

fn assert_moved(c: &mut Cluster, broker: i32, to: &str, records: i64) {
    let found = places(c, broker, "t", 0);
    assert!(matches!(&found[..], [(path, _, 0, false)] if path == to), "{found:?}");
    let image = c.world.metadata().expect("a controller");
    let dirs = &image.cluster.broker(NodeId(broker)).expect("registered").log_dirs;
    let replica = image.topics.partition_by_name("t", 0).expect("the partition exists");
    let at: usize = to[2..].parse().expect("a number");
    assert_eq!(replica.directory(NodeId(broker)), Some(dirs[at]));
    assert_eq!(c.status("t", 0).logs[&NodeId(broker)].log_end, records);
}

#[test]
fn a_replica_moves_and_serves_on() {
    let (mut c, _) = three_directories(&[]);
    let leader = in_d1(&mut c, 20);
    throttle(&mut c, "0");
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::None);
    c.run(Duration::from_secs(3));
    // One piece was let through before there was a rate that could exceed it; the rest waits.
    c.produce("t", 0, "while it moves");
    c.run(Duration::from_secs(3));
    let found = places(&mut c, leader, "t", 0);
    assert!(
        matches!(&found[..], [(a, _, 0, false), (b, _, lag, true)] if a == "/d1" && b == "/d2" && *lag >= 1),
        "{found:?}"
    );
    let epoch = c.status("t", 0).leader_epoch;
    throttle(&mut c, "1000000");
    c.run(Duration::from_secs(20));
    assert_moved(&mut c, leader, "/d2", 21);
    assert_eq!(
        (c.leader("t", 0), c.status("t", 0).leader_epoch),
        (leader, epoch),
        "nobody had to be elected"
    );
    assert_eq!(c.produce("t", 0, "after"), 21);
    let sent = c.send(leader, 12, fetch("t", 0, 0, 0));
    assert_eq!(c.fetched(sent).topics[0].partitions[0].error_code, ErrorCode::None);
    // The old files go after file.delete.delay.ms, and a restart finds the new ones.
    c.run(Duration::from_secs(61));
    c.command(Command::Crash(NodeId(leader)));
    c.command(Command::Start(NodeId(leader)));
    c.run(Duration::from_secs(30));
    assert_moved(&mut c, leader, "/d2", 22);
}

#[test]
fn a_follower_moves_too_and_the_records_of_the_meantime_with_it() {
    let (mut c, _) = three_directories(&[]);
    let leader = in_d1(&mut c, 10);
    let follower = (1..=3).find(|id| *id != leader).unwrap();
    let from = places(&mut c, follower, "t", 0)[0].0.clone();
    let to = if from == "/d2" { "/d0" } else { "/d2" };
    assert_eq!(alter(&mut c, follower, "t", 0, to), ErrorCode::None);
    for n in 10..20 {
        assert_eq!(c.produce("t", 0, "more"), n);
    }
    c.run(Duration::from_secs(2));
    assert_moved(&mut c, follower, to, 20);
    // It is a replica like any other: it may lead.
    c.command(Command::Crash(NodeId(leader)));
    let other = (1..=3).find(|id| *id != leader && *id != follower).unwrap();
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader != Some(NodeId(leader))
    });
    assert_eq!(c.produce("t", 0, "later"), 20);
    c.run(Duration::from_secs(2));
    assert_eq!(c.log("t", other).unwrap(), c.log("t", follower).unwrap());
}

#[test]
fn what_cannot_be_is_refused_and_the_way_back_ends_a_move() {
    let (mut c, breakers) = three_directories(&[]);
    let leader = in_d1(&mut c, 5);
    assert_eq!(alter(&mut c, leader, "t", 0, "/nowhere"), ErrorCode::LogDirNotFound);
    assert_eq!(alter(&mut c, leader, "t", 7, "/d2"), ErrorCode::ReplicaNotAvailable);
    assert_eq!(alter(&mut c, leader, "t", 0, "/d1"), ErrorCode::None, "it is there already");
    assert_eq!(places(&mut c, leader, "t", 0).len(), 1);
    throttle(&mut c, "0");
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::None);
    c.run(Duration::from_secs(1));
    c.produce("t", 0, "y");
    assert_eq!(places(&mut c, leader, "t", 0).len(), 2);
    // To another directory, and back to where it is.
    assert_eq!(alter(&mut c, leader, "t", 0, "/d0"), ErrorCode::None);
    let found = places(&mut c, leader, "t", 0);
    assert!(matches!(&found[..], [_, (path, .., true)] if path == "/d0"), "{found:?}");
    assert_eq!(alter(&mut c, leader, "t", 0, "/d1"), ErrorCode::None);
    assert_eq!(places(&mut c, leader, "t", 0).len(), 1);
    c.run(Duration::from_secs(5));
    assert_moved(&mut c, leader, "/d1", 6);
    breakers[&leader].fail("d2/", Failing::Writes);
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::KafkaStorageError);
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::KafkaStorageError, "offline by now");
    assert_eq!(c.produce("t", 0, "z"), 6, "the replica does not notice");
}

#[test]
fn a_move_ends_with_its_target_and_a_replica_with_its_source() {
    let (mut c, breakers) = three_directories(&[]);
    let leader = in_d1(&mut c, 5);
    throttle(&mut c, "0");
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::None);
    c.run(Duration::from_secs(1));
    c.produce("t", 0, "y");
    breakers[&leader].fail("d2/", Failing::Writes);
    throttle(&mut c, "1000000");
    c.run(Duration::from_secs(20));
    let found = places(&mut c, leader, "t", 0);
    assert!(matches!(&found[..], [(path, .., false)] if path == "/d1"), "{found:?}");
    assert_eq!((c.leader("t", 0), c.produce("t", 0, "z")), (leader, 6));

    let other = (1..=3).find(|id| *id != leader).unwrap();
    let from = places(&mut c, other, "t", 0)[0].0.clone();
    let (from, to) = if from == "/d0" { ("/d1", "/d2") } else { (from.as_str(), "/d0") };
    assert_eq!(alter(&mut c, other, "t", 0, from), ErrorCode::None);
    c.run(Duration::from_secs(2));
    throttle(&mut c, "0");
    assert_eq!(alter(&mut c, other, "t", 0, to), ErrorCode::None);
    c.run(Duration::from_secs(1));
    breakers[&other].fail(&format!("{}/", &from[1..]), Failing::Writes);
    c.send_produce(leader, "t", 0, -1, "lost there");
    c.wait_for("the ISR without it", Duration::from_secs(60), |c| {
        !c.status("t", 0).isr.contains(&NodeId(other))
    });
    assert!(places(&mut c, other, "t", 0).iter().all(|place| !place.3), "the copy went with it");
}

#[test]
fn a_crash_interrupts_a_move_and_the_next_life_ends_it() {
    let (mut c, _) = three_directories(&[]);
    let leader = in_d1(&mut c, 10);
    throttle(&mut c, "0");
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::None);
    c.run(Duration::from_secs(1));
    c.produce("t", 0, "y");
    c.command(Command::Crash(NodeId(leader)));
    throttle(&mut c, "1000000");
    c.command(Command::Start(NodeId(leader)));
    c.run(Duration::from_secs(40));
    assert_moved(&mut c, leader, "/d2", 11);
}

#[test]
fn records_that_are_deleted_meanwhile_are_deleted_there_too() {
    let (mut c, _) = three_directories(&[]);
    let leader = in_d1(&mut c, 10);
    throttle(&mut c, "0");
    assert_eq!(alter(&mut c, leader, "t", 0, "/d2"), ErrorCode::None);
    c.run(Duration::from_secs(1));
    c.produce("t", 0, "y");
    c.delete_records("t", 0, 7);
    throttle(&mut c, "1000000");
    c.run(Duration::from_secs(20));
    assert_moved(&mut c, leader, "/d2", 11);
    assert_eq!(c.log("t", leader).unwrap(), (7, 11, 11));
}

#[test]
fn a_replica_that_is_not_there_yet_is_made_where_it_was_asked_for() {
    let (mut c, _) = three_directories(&[]);
    for to in ["/d2", "/d2"] {
        assert_eq!(alter(&mut c, 1, "t", 0, to), ErrorCode::ReplicaNotAvailable);
    }
    c.create_topic("t", 1, 3, &[]);
    c.run(Duration::from_secs(1));
    assert_eq!(places(&mut c, 1, "t", 0)[0].0, "/d2");
}
