//! The trace knows what followed from what, across nodes.

use std::time::Duration;

use klamm_node::{NodeId, TraceEvent, TraceKind};
use klamm_world::Command;

use crate::cluster::Cluster;

/// The newest event of a kind, and what led to it: who decided, and what, without times.
fn why(c: &Cluster, is_it: impl Fn(&TraceEvent) -> bool) -> Vec<String> {
    let trace = c.world.trace();
    let event = trace.events().rev().find(|event| is_it(event)).expect("it happened");
    let told = |event: &&TraceEvent| {
        let text = event.to_string();
        text.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or(text)
    };
    trace.why(event.id).iter().map(told).collect()
}

#[test]
fn a_high_watermark_moves_because_the_last_follower_appended_what_the_leader_had() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.produce("t", 0, "a");
    let leader = c.leader("t", 0);
    let chain = why(&c, |event| matches!(event.kind, TraceKind::HighWatermarkMoved { .. }));
    assert_eq!(chain.len(), 3, "{chain:?}");
    assert_eq!(chain[0], format!("[{leader}] t-0 high watermark 0 -> 1"));
    assert!(chain[1].ends_with("] t-0 log end 0 -> 1") && !chain[1].starts_with(&format!("[{leader}]")));
    assert_eq!(chain[2], format!("[{leader}] t-0 log end 0 -> 1"));
}

#[test]
fn a_broker_leads_because_the_controller_fenced_its_predecessor() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    c.command(Command::Crash(NodeId(leader)));
    c.wait_for("another leader", Duration::from_secs(20), |c| c.status("t", 0).leader_epoch == 1);
    c.run(Duration::from_secs(1));
    let chain = why(&c, |event| matches!(event.kind, TraceKind::BecameLeader { epoch: 1, .. }));
    assert!(chain.len() > 2 && chain[0].ends_with("t-0 leads epoch 1 from offset 0"), "{chain:?}");
    assert_eq!(chain[1], format!("[100] broker {leader} fenced: session timed out"));
    assert_eq!(chain.last().unwrap(), &format!("[{leader}] started"), "whose heartbeats ended: {chain:?}");
}

#[test]
fn what_a_deadline_sets_off_follows_from_the_step_that_set_it() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let leader = c.leader("t", 0);
    let follower = (1..=3).find(|node| *node != leader).unwrap();
    c.run(Duration::from_secs(5));
    c.produce("t", 0, "a");
    let before = c.world.trace().recorded();
    // The follower falls out of the ISR, comes back, is fenced, and starts again: all of that by deadlines and messages.
    c.command(Command::Crash(NodeId(follower)));
    c.run(Duration::from_secs(60));
    c.command(Command::Start(NodeId(follower)));
    c.run(Duration::from_secs(400));
    let trace = c.world.trace();
    let of_its_own = |event: &&TraceEvent| {
        event.cause.is_none()
            && event.id.0 > before
            && !matches!(event.kind, TraceKind::NodeStarted | TraceKind::NodeStopped { .. })
    };
    let found: Vec<_> = trace.events().filter(of_its_own).map(ToString::to_string).collect();
    assert!(found.is_empty(), "nobody outside did anything: {found:#?}");
    assert!(trace.recorded() > before + 10, "and a lot was decided");
    assert!(
        trace.events().all(|event| event.cause.is_none_or(|cause| cause < event.id)),
        "causes come first"
    );
}
