//! Networks cut in two: who leads, who is in sync, and what is left when they heal.

use std::time::Duration;

use klamm_node::{NodeId, TraceKind};
use klamm_wire::ErrorCode;
use klamm_world::{Command, LinkSettings, WorldSettings};

use crate::cluster::{Cluster, Sent};

const SECOND: Duration = Duration::from_secs(1);
const CONTROLLER: i32 = WorldSettings::FIRST_CONTROLLER;

/// Three brokers and ten committed records in `t`; the leader, and the followers.
fn ten_records() -> (Cluster, i32, Vec<i32>) {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
    c.create_topic("t", 1, 3, &[]);
    for at in 0..10 {
        assert_eq!(c.produce("t", 0, "committed"), at);
    }
    c.run(SECOND);
    let leader = c.leader("t", 0);
    (c, leader, (1..=3).filter(|id| *id != leader).collect())
}

fn link(c: &mut Cluster, from: i32, to: i32, cut: bool) {
    // Messages of one link keep their order: what is sent after a heal waits for what was sent before it.
    let latency = if cut { 150 * SECOND } else { Duration::ZERO };
    let link = LinkSettings { latency, ..LinkSettings::default() };
    c.command(Command::SetLink { from: NodeId(from), to: NodeId(to), link });
}

fn both_ways(c: &mut Cluster, a: i32, b: i32, cut: bool) {
    link(c, a, b, cut);
    link(c, b, a, cut);
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

fn result(c: &mut Cluster, sent: Sent) -> (ErrorCode, i64) {
    c.wait_for("an answer", 40 * SECOND, |c| c.outcome(sent).is_some());
    let answer = c.produced(sent);
    (ErrorCode::from_code(answer.error_code).expect("a known error"), answer.base_offset)
}

#[test]
fn a_leader_cut_off_from_the_controller_alone_writes_for_nobody() {
    // NET-01
    let (mut c, zombie, followers) = ten_records();
    let epoch = |c: &Cluster| c.world.metadata().and_then(|m| m.cluster.epoch(NodeId(zombie)));
    let (registered, before) = (epoch(&c), c.status("t", 0));
    both_ways(&mut c, zombie, CONTROLLER, true);
    // Its session of 9 s began with its last heartbeat, at most 2 s ago; the controller looks every 1,125 ms.
    c.run(6 * SECOND);
    assert_eq!(c.leader("t", 0), zombie);
    c.wait_for("another leader", 5 * SECOND, |c| c.leader("t", 0) != zombie);
    let after = c.status("t", 0);
    assert_eq!(
        (after.leader_epoch, after.partition_epoch),
        (before.leader_epoch + 1, before.partition_epoch + 1)
    );
    assert_eq!(isr(&c), followers);
    // The old leader knows nothing of it.
    for at in 10..13 {
        let sent = c.send_produce(zombie, "t", 0, 1, "lost");
        assert_eq!(result(&mut c, sent), (ErrorCode::None, at));
    }
    let sent = c.send_produce(zombie, "t", 0, -1, "lost");
    assert_eq!(result(&mut c, sent).0, ErrorCode::RequestTimedOut);
    assert_eq!(offsets(&c, zombie), (14, 10));
    for at in 10..12 {
        assert_eq!(c.produce("t", 0, "new"), at);
    }
    // It would shrink the ISR after 30 to 45 s, and cannot.
    c.run(50 * SECOND);
    assert_eq!(offsets(&c, zombie), (14, 10));
    both_ways(&mut c, zombie, CONTROLLER, false);
    c.wait_for("the whole ISR", 300 * SECOND, |c| isr(c) == [1, 2, 3]);
    c.run(SECOND);
    assert_eq!(epoch(&c), registered, "the same process goes on under its epoch");
    for id in 1..=3 {
        assert_eq!(offsets(&c, id), (12, 12), "broker {id}");
    }
    let truncated = c.world.trace().events().any(|event| {
        event.node == Some(NodeId(zombie))
            && matches!(event.kind, TraceKind::LogTruncated { from: 14, to: 10, .. })
    });
    assert!(truncated);
}

#[test]
fn a_leader_cut_off_from_its_followers_alone_leads_on_by_itself() {
    // NET-02
    let (mut c, leader, followers) = ten_records();
    let before = c.status("t", 0);
    for follower in &followers {
        both_ways(&mut c, leader, *follower, true);
    }
    let cut_at = c.now;
    let sent = c.send_produce(leader, "t", 0, -1, "waits");
    assert_eq!(result(&mut c, sent).0, ErrorCode::RequestTimedOut);
    c.wait_for("the ISR of one", 45 * SECOND, |c| isr(c) == [leader]);
    let waited = c.now.as_millis() - cut_at.as_millis();
    assert!((29_000..=45_000).contains(&waited), "{waited} ms");
    let after = c.status("t", 0);
    assert_eq!((after.leader, after.leader_epoch), (Some(NodeId(leader)), before.leader_epoch));
    assert_eq!(after.partition_epoch, before.partition_epoch + 1);
    let mut elr: Vec<i32> = after.elr.iter().map(|id| id.0).collect();
    elr.sort_unstable();
    assert_eq!(elr, followers);
    let sent = c.send_produce(leader, "t", 0, -1, "refused");
    assert_eq!(result(&mut c, sent).0, ErrorCode::NotEnoughReplicas);
    // Below min ISR the high watermark stands still, whatever is appended.
    let sent = c.send_produce(leader, "t", 0, 1, "unseen");
    assert_eq!(result(&mut c, sent), (ErrorCode::None, 11));
    assert_eq!(offsets(&c, leader), (12, 10));
    for follower in &followers {
        both_ways(&mut c, leader, *follower, false);
    }
    c.wait_for("the whole ISR", 300 * SECOND, |c| isr(c) == [1, 2, 3]);
    c.run(SECOND);
    for id in 1..=3 {
        assert_eq!(offsets(&c, id), (12, 12), "broker {id}");
    }
    assert!(c.status("t", 0).elr.is_empty());
    assert_eq!(c.status("t", 0).leader_epoch, before.leader_epoch);
}

#[test]
fn a_follower_that_hears_no_answers_leaves_the_isr_once_something_is_written() {
    // NET-03, ISR-01: in either direction, and never while nothing is written.
    for answers in [true, false] {
        let (mut c, leader, followers) = ten_records();
        let (deaf, other) = (followers[0], followers[1]);
        let (from, to) = if answers { (leader, deaf) } else { (deaf, leader) };
        let before = c.status("t", 0);
        link(&mut c, from, to, true);
        c.run(100 * SECOND);
        assert_eq!(isr(&c), [1, 2, 3], "idle");
        let sent = c.send_produce(leader, "t", 0, 1, "one");
        assert_eq!(result(&mut c, sent), (ErrorCode::None, 10));
        let written_at = c.now;
        c.wait_for("the follower to leave", 45 * SECOND, |c| isr(c).len() == 2);
        // More than a minute without a fetch that counts are more than the 30 s that it may lag: the next look, every 15 s, ends it.
        assert!(c.now.as_millis() - written_at.as_millis() <= 45_000);
        assert!(!isr(&c).contains(&deaf));
        c.run(SECOND);
        assert_eq!((offsets(&c, leader), offsets(&c, other)), ((11, 11), (11, 11)));
        assert_eq!(offsets(&c, deaf).0, 10);
        // It was never fenced: its heartbeats arrive.
        assert!(c.world.metadata().is_some_and(|m| m.cluster.is_unfenced(NodeId(deaf))));
        assert_eq!(c.status("t", 0).leader_epoch, before.leader_epoch);
        link(&mut c, from, to, false);
        c.wait_for("the whole ISR", 300 * SECOND, |c| isr(c) == [1, 2, 3]);
        assert_eq!(offsets(&c, deaf).0, 11);
    }
}
