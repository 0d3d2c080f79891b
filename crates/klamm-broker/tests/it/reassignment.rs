//! Replicas move between brokers of a whole cluster (KIP-455).

use std::time::Duration;

use klamm_node::{NodeId, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::messages::{DescribeLogDirsRequest, ListPartitionReassignmentsRequest, ResponseKind};
use klamm_world::{Command, LinkSettings, WorldSettings};

use crate::cluster::{Cluster, fetch};

const CONTROLLER: NodeId = NodeId(WorldSettings::FIRST_CONTROLLER);

fn slow(millis: u64) -> LinkSettings {
    LinkSettings { latency: Duration::from_millis(millis), jitter: Duration::ZERO }
}

/// Four brokers, a topic on the first three, five records in it.
fn cluster(config: &[(&str, &str)]) -> Cluster {
    let mut c = Cluster::start(4, config);
    c.create_assigned("t", &[1, 2, 3], &[]);
    for _ in 0..5 {
        c.produce("t", 0, "v");
    }
    c.run(Duration::from_secs(1));
    c
}

/// What the leader sends to broker 4 takes this long from now on, so that a move has a middle.
fn slow_target(c: &mut Cluster, millis: u64) {
    c.command(Command::SetLink { from: NodeId(1), to: NodeId(4), link: slow(millis) });
}

/// Whether a broker's disk holds a replica of the topic, deleted ones included.
fn on_disk(c: &mut Cluster, broker: i32) -> bool {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let ResponseKind::DescribeLogDirs(answer) = c.ask(broker, 4, request) else { panic!("another answer") };
    answer.results[0].topics.iter().any(|topic| &*topic.name.0 == "t")
}

fn reassigning(c: &mut Cluster) -> usize {
    let request = ListPartitionReassignmentsRequest::default().with_topics(None);
    let ResponseKind::ListPartitionReassignments(answer) = c.ask(3, 0, request) else {
        panic!("another answer")
    };
    answer.topics.iter().map(|topic| topic.partitions.len()).sum()
}

#[test]
fn a_replica_moves_in_two_steps_and_the_one_it_replaces_is_deleted() {
    let mut c = cluster(&[]);
    slow_target(&mut c, 100);
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    let under_way = "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[1, 2, 4, 3] adding=[4] removing=[3]";
    assert_eq!(c.tuple("t"), under_way);
    assert_eq!(reassigning(&mut c), 1);
    assert!(!c.status("t", 0).is_under_replicated(), "replicas that are added do not count yet");
    assert!(on_disk(&mut c, 3));
    c.wait_for_tuple("t", 5, "L=1 e=1 pe=2 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4]");
    assert_eq!(reassigning(&mut c), 0);
    c.run(Duration::from_secs(1));
    assert_eq!(c.log("t", 3), None);
    assert!(!on_disk(&mut c, 3));
    assert_eq!(c.log("t", 4), Some((0, 5, 5)));
    // Whoever asks the replica that is gone is sent away.
    let sent = c.send(3, 12, fetch("t", 0, 0, 0));
    let answer = &c.fetched(sent).topics[0].partitions[0];
    assert_eq!(answer.error_code, ErrorCode::NotLeaderOrFollower);
    assert_eq!(c.produce("t", 0, "w"), 5);
}

#[test]
fn a_target_whose_leader_does_not_know_it_yet_tries_again() {
    let mut c = cluster(&[]);
    // The leader reads the metadata log later than the new replica does.
    c.command(Command::SetLink { from: CONTROLLER, to: NodeId(1), link: slow(1_500) });
    c.run(Duration::from_millis(10));
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.wait_for_tuple("t", 10, "L=1 e=1 pe=2 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4]");
    let refused = c.world.trace().events().any(|event| {
        event.node == Some(NodeId(4))
            && matches!(&event.kind, TraceKind::FetchRefused { error: "UNKNOWN_LEADER_EPOCH", .. })
    });
    assert!(refused, "the leader refuses a replica that it does not know");
}

#[test]
fn a_leader_that_moves_away_is_told_and_its_waiting_produces_are_not_acknowledged() {
    let mut c = cluster(&[]);
    slow_target(&mut c, 100);
    assert_eq!(c.reassign(2, "t", Some(&[4, 2, 3])), ErrorCode::None);
    assert_eq!(
        c.tuple("t"),
        "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[4, 2, 3, 1] adding=[4] removing=[1]"
    );
    // Broker 2 does not get this record before the leader changes.
    c.command(Command::SetLink { from: NodeId(1), to: NodeId(2), link: slow(5_000) });
    let sent = c.send_produce(1, "t", 0, -1, "w");
    c.wait_for_tuple("t", 5, "L=4 e=1 pe=2 isr=[2, 3, 4] elr=[] replicas=[4, 2, 3]");
    let refused = c.world.trace().events().any(
        |event| matches!(&event.kind, TraceKind::IsrRefused { error, .. } if *error == "NEW_LEADER_ELECTED"),
    );
    assert!(refused, "the old leader is told that there is another");
    c.wait_for("an answer", Duration::from_secs(1), |c| c.outcome(sent).is_some());
    let error = ErrorCode::from_code(c.produced(sent).error_code);
    assert_eq!(error, Some(ErrorCode::NotLeaderOrFollower));
    c.wait_for("the old leader to be gone", Duration::from_secs(1), |c| c.log("t", 1).is_none());
    c.produce("t", 0, "x");
}

#[test]
fn a_move_can_be_cancelled() {
    let mut c = cluster(&[]);
    slow_target(&mut c, 2_000);
    assert_eq!(c.reassign(2, "t", None), ErrorCode::NoReassignmentInProgress);
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.run(Duration::from_millis(100));
    assert!(on_disk(&mut c, 4));
    assert_eq!(c.reassign(2, "t", None), ErrorCode::None);
    // Broker 4 leaves the replicas, so the epoch grows.
    assert_eq!(c.tuple("t"), "L=1 e=1 pe=2 isr=[1, 2, 3] elr=[] replicas=[1, 2, 3]");
    c.run(Duration::from_secs(5));
    assert_eq!(c.log("t", 4), None);
    assert!(!on_disk(&mut c, 4));
    assert_eq!(c.tuple("t"), "L=1 e=1 pe=2 isr=[1, 2, 3] elr=[] replicas=[1, 2, 3]");
    assert_eq!(c.produce("t", 0, "w"), 5);
}

#[test]
fn a_move_to_a_dead_broker_stays_open_and_a_leader_may_die_meanwhile() {
    let mut c = cluster(&[]);
    slow_target(&mut c, 60_000);
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.command(Command::Crash(NodeId(4)));
    c.run(Duration::from_secs(600));
    let under_way = "L=1 e=0 pe=1 isr=[1, 2, 3] elr=[] replicas=[1, 2, 4, 3] adding=[4] removing=[3]";
    assert_eq!(c.tuple("t"), under_way);
    c.command(Command::Crash(NodeId(1)));
    let led_by_2 = "L=2 e=1 pe=2 isr=[2, 3] elr=[] replicas=[1, 2, 4, 3] adding=[4] removing=[3]";
    c.wait_for_tuple("t", 20, led_by_2);
    assert_eq!(c.produce("t", 0, "w"), 5);
    assert_eq!(c.reassign(2, "t", None), ErrorCode::None);
    assert_eq!(c.tuple("t"), "L=2 e=2 pe=3 isr=[2, 3] elr=[] replicas=[1, 2, 3]");
    // A replica whose broker was down when its move was cancelled is a stray when it comes back.
    c.command(Command::Start(NodeId(4)));
    c.wait_for("the broker to be ready", Duration::from_secs(20), |c| {
        c.world.nodes().iter().any(|node| node.node == NodeId(4) && node.ready)
    });
    assert!(!on_disk(&mut c, 4));
}

#[test]
fn a_move_ends_when_its_target_comes_back() {
    let mut c = cluster(&[]);
    c.command(Command::Crash(NodeId(4)));
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.run(Duration::from_secs(30));
    assert_eq!(reassigning(&mut c), 1);
    c.command(Command::Start(NodeId(4)));
    c.wait_for_tuple("t", 20, "L=1 e=1 pe=2 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4]");
}

#[test]
fn a_broker_that_was_down_when_its_replica_moved_away_deletes_it() {
    let mut c = cluster(&[]);
    c.command(Command::Crash(NodeId(3)));
    c.run(Duration::from_secs(12));
    assert_eq!(c.reassign(2, "t", Some(&[1, 2, 4])), ErrorCode::None);
    c.wait_for_tuple("t", 5, "L=1 e=1 pe=3 isr=[1, 2, 4] elr=[] replicas=[1, 2, 4]");
    c.command(Command::Start(NodeId(3)));
    c.wait_for("the broker to be ready", Duration::from_secs(20), |c| c.world.is_ready());
    assert!(!on_disk(&mut c, 3));
}
