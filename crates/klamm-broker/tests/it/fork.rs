//! Two futures of one moment, and what a snapshot shows of them.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::{Command, Input, World};

use crate::cluster::Cluster;

fn three_records() -> Cluster {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    for value in ["a", "b", "c"] {
        c.produce("t", 0, value);
    }
    c
}

fn crash(world: &mut World, node: NodeId) {
    let now = world.now();
    world.handle(now, Input::Command(Command::Crash(node)), &mut Vec::new());
}

/// Twenty seconds, at the end of which whoever crashed is fenced.
fn wait(world: &mut World) {
    let end = world.now() + Duration::from_secs(20);
    world.run_until(end, |_, _| {});
}

#[test]
fn a_fork_and_its_original_have_the_same_future_when_the_same_happens() {
    let mut c = three_records();
    let leader = c.status("t", 0).leader.unwrap();
    let mut fork = c.world.fork().unwrap();
    assert_eq!(fork.snapshot(), c.world.snapshot());
    for world in [&mut fork, &mut c.world] {
        crash(world, leader);
        wait(world);
        let now = world.now();
        world.handle(now, Input::Command(Command::Start(leader)), &mut Vec::new());
        wait(world);
    }
    assert_eq!(fork.trace().hash(), c.world.trace().hash());
    assert_eq!(fork.snapshot(), c.world.snapshot());
    assert_eq!(fork.partition("t", 0).unwrap().leader_epoch, 1);
}

#[test]
fn what_happens_in_a_fork_does_not_happen_in_its_original() {
    let mut c = three_records();
    let leader = c.status("t", 0).leader.unwrap();
    let (before, hash) = (c.world.snapshot(), c.world.trace().hash());
    let mut fork = c.world.fork().unwrap();
    for node in 1..=3 {
        let now = fork.now();
        fork.handle(now, Input::Command(Command::PowerLoss(NodeId(node))), &mut Vec::new());
    }
    crash(&mut fork, NodeId(100));
    wait(&mut fork);
    assert!(c.world.snapshot().diff(&before).is_empty());
    assert_eq!(c.world.trace().hash(), hash);
    // The original goes on, records and all.
    assert_eq!(c.produce("t", 0, "d"), 3);
    assert_eq!(c.status("t", 0).leader, Some(leader));
    assert!(fork.partition("t", 0).is_none(), "no controller runs there");
}

#[test]
fn a_difference_of_snapshots_says_what_a_crash_did() {
    let mut c = three_records();
    let leader = c.status("t", 0).leader.unwrap();
    c.run(Duration::from_secs(1));
    let before = c.world.snapshot();
    let mut fork = c.world.fork().unwrap();
    crash(&mut fork, leader);
    wait(&mut fork);
    let diff = before.diff(&fork.snapshot()).to_string();
    for line in [
        format!("broker {leader}: state up -> down"),
        format!("t-0: leader {leader} -> {}", fork.partition("t", 0).unwrap().leader.unwrap()),
        "t-0: leader epoch 0 -> 1".to_owned(),
        format!("t-0 on {leader}: log end 3 -> none"),
    ] {
        assert!(diff.contains(&line), "{line}\n{diff}");
    }
    assert!(!diff.contains("t-0: replicas"), "{diff}");
    let text = before.to_string();
    assert!(
        text.contains("t-0 on 1: leader epoch 0, log start 0, high watermark 3, log end 3, epochs 0@0"),
        "{text}"
    );
}
