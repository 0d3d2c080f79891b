//! What a cluster decided, and what could come of it.

use std::time::Duration;

use klamm::{Cluster, Error, EventKind, NodeId, TracePattern};
use klamm_world::{Command, Input};

use crate::client::Client;
use crate::cluster::leader;

fn elected(leader: NodeId) -> TracePattern {
    TracePattern::kind(EventKind::LeaderElected).partition("t", 0).text(format!("leader {leader} "))
}

#[test]
fn a_listener_hears_a_failover_as_it_happens() {
    let cluster = Cluster::builder().topic("t", 1, 3).start_blocking().unwrap();
    let mut trace = cluster.trace();
    let down = cluster.partition("t", 0).unwrap().leader.unwrap();
    cluster.broker(down).unwrap().crash().unwrap();
    cluster.clock().advance(Duration::from_secs(12));
    let stopped =
        trace.find(|event| TracePattern::kind(EventKind::NodeStopped).node(down).matches(event)).unwrap();
    let leads = trace
        .find(|event| TracePattern::kind(EventKind::BecameLeader).partition("t", 0).matches(event))
        .unwrap();
    assert!(stopped.id < leads.id && stopped.at < leads.at);
    assert_eq!(trace.missed(), 0);
    cluster.stop();
    assert_eq!(trace.last().map(|event| event.id > leads.id), Some(true), "it ends with the cluster");
}

#[test]
fn a_test_asserts_on_what_was_decided_and_in_which_order() {
    let cluster = Cluster::builder().topic("t", 1, 3).trace(100_000).start_blocking().unwrap();
    let down = cluster.partition("t", 0).unwrap().leader.unwrap();
    cluster.broker(down).unwrap().crash().unwrap();
    cluster.clock().advance(Duration::from_secs(12));
    let fenced = TracePattern::kind(EventKind::BrokerFenced).text(format!("broker {down} "));
    cluster.happened(&fenced).unwrap();
    cluster.happened_before(&elected(down), &fenced).unwrap();
    cluster.never(&TracePattern::kind(EventKind::LogTruncated)).unwrap();

    let said = |result: Result<(), Error>| result.unwrap_err().to_string();
    let text = said(cluster.happened_before(&fenced, &elected(down)));
    assert!(text.starts_with("BrokerFenced that says"), "{text}");
    let text = said(cluster.happened(&TracePattern::kind(EventKind::LogTruncated)).map(drop));
    assert!(text.starts_with("LogTruncated did not happen; the newest events are\n"), "{text}");
    let text = said(cluster.never(&fenced));
    assert!(text.contains("happened; what led to it:\n"), "{text}");
}

#[test]
fn an_assertion_on_a_trace_that_is_not_there_says_so() {
    let cluster = Cluster::builder().brokers(1).start_blocking().unwrap();
    let text = cluster.never(&TracePattern::any()).unwrap_err().to_string();
    assert!(text.contains("keeps no trace events"), "{text}");
    let cluster = Cluster::builder().brokers(1).trace(3).start_blocking().unwrap();
    let text = cluster.never(&TracePattern::kind(EventKind::LogTruncated)).unwrap_err().to_string();
    assert!(text.starts_with("nobody knows whether LogTruncated happened"), "{text}");
}

#[test]
fn a_live_cluster_is_forked_and_the_fork_lives_through_what_the_cluster_does_not() {
    let cluster = Cluster::builder().topic("t", 1, 3).trace(1_000).start_blocking().unwrap();
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["a", "b"], -1).unwrap();
    let down = cluster.partition("t", 0).unwrap().leader.unwrap();
    let before = cluster.snapshot();
    let mut fork = cluster.fork().unwrap();
    let now = fork.now();
    fork.handle(now, Input::Command(Command::PowerLoss(down)), &mut Vec::new());
    fork.run_until(now + Duration::from_secs(60), |_, _| {});
    let there = fork.partition("t", 0).unwrap();
    assert_ne!(there.leader, Some(down));
    assert_eq!(there.log_end(), Some(2));
    assert!(before.diff(&fork.snapshot()).to_string().contains(&format!("broker {down}: state up -> down")));
    // The cluster itself has not noticed.
    assert_eq!(cluster.partition("t", 0).unwrap().leader, Some(down));
    Client::connect(&leader(&cluster, "t", 0)).produce("t", 0, &["c"], -1).unwrap();
    assert_eq!(cluster.partition("t", 0).unwrap().log_end(), Some(3));
}

#[test]
fn a_cluster_on_files_is_not_forked() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Cluster::builder().brokers(1).data_dir(dir.path()).start_blocking().unwrap();
    let text = cluster.fork().unwrap_err().to_string();
    assert!(text.contains("keeps its log on files; fork a cluster in memory"), "{text}");
}
