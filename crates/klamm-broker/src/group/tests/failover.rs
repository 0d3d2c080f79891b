//! Elections, loading, resignations.

use klamm_wire::ErrorCode;
use klamm_wire::messages::GroupId;

use super::harness::{Harness, JOIN, error, join_request, s, sync_request};
use crate::group::GroupTimer;
use crate::group::state::ClassicState;

/// Another broker that is elected on a copy of the log.
fn fail_over(h: &Harness) -> Harness {
    Harness::on_log(&[], h.broker.log.clone())
}

#[test]
fn a_stable_group_survives_its_coordinator() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let generation = h.generation("g");
    h.commit("g", generation, &ids[1], "orders", 9);
    let mut other = fail_over(&h);
    assert_eq!(other.group_value(&s("g")), h.group_value(&s("g")));
    assert_eq!(other.state("g"), ClassicState::Stable);
    assert_eq!(other.heartbeat("g", generation, &ids[0]), ErrorCode::None);
    assert_eq!(other.fetch("g", "orders"), 9);
    let sync = other.sync_follower("g", generation, &ids[1]);
    assert_eq!(other.synced(sync).assignment, ids[1].clone().into_bytes());
    // Who does not find the new coordinator in its session timeout is out.
    other.advance(9_999);
    assert_eq!(other.heartbeat("g", generation, &ids[0]), ErrorCode::None);
    other.advance(1);
    assert_eq!(other.member_ids("g"), [ids[0].clone()]);
}

#[test]
fn whoever_waits_is_sent_to_the_new_coordinator() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let (_, join) = h.join_new("g");
    let (solo, _) = h.join_new("other");
    h.broker.commits = false;
    let sync = h.sync_leader("other", 1, &solo, &[&solo]);
    let commit = h.send_commit("third", -1, "", "t", 1);
    let heartbeat = h.send_heartbeat("g", h.generation("g"), &ids[0], None);
    let fetch = h.send_fetch(9, true, &[("third", Some("t"))]);
    assert_eq!(h.requests_sent() - h.requests_answered(), 5);
    h.resign();
    assert_eq!(h.requests_sent(), h.requests_answered());
    assert_eq!(error(h.joined(join).error_code), ErrorCode::NotCoordinator);
    assert_eq!(error(h.synced(sync).error_code), ErrorCode::NotCoordinator);
    assert_eq!(h.committed(commit), ErrorCode::NotCoordinator);
    assert!(h.is_answered(heartbeat));
    assert_eq!(error(h.fetched(fetch).groups[0].error_code), ErrorCode::NotCoordinator);
    assert!(h.broker.timers.is_empty(), "{:?}", h.broker.timers);
}

#[test]
fn a_broker_that_is_no_coordinator_says_so() {
    let mut h = Harness::new();
    h.resign();
    let join = h.send_join(JOIN, join_request("g", ""));
    assert_eq!(error(h.joined(join).error_code), ErrorCode::NotCoordinator);
    let sync = h.send_sync(5, sync_request("g", 1, "m"));
    assert_eq!(error(h.synced(sync).error_code), ErrorCode::NotCoordinator);
    assert_eq!(h.heartbeat("g", 1, "m"), ErrorCode::NotCoordinator);
    assert_eq!(h.commit("g", -1, "", "t", 1), ErrorCode::NotCoordinator);
    let left = h.send_leave(5, "g", &[("m", None)]);
    assert_eq!(error(h.left(left).error_code), ErrorCode::NotCoordinator);
    let described = h.coordinator.describe(&GroupId(s("g")), 6);
    assert_eq!(error(described.error_code), ErrorCode::NotCoordinator);
    assert_eq!(h.coordinator.list(&[], &[]), Ok(Vec::new()));
}

#[test]
fn a_long_log_is_loaded_piece_by_piece() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    for offset in 0..10 {
        h.commit("g", generation, &ids[0], "orders", offset);
    }
    let mut other = Harness::on_log(&[], Vec::new());
    other.resign();
    other.broker.log.clone_from(&h.broker.log);
    other.broker.log_end = h.broker.log_end;
    other.broker.high_watermark = h.broker.log_end;
    other.broker.batches_per_read = 1;
    other.elect();
    assert_eq!(other.commit("g", generation, &ids[0], "orders", 1), ErrorCode::CoordinatorLoadInProgress);
    let join = other.send_join(JOIN, join_request("g", ""));
    assert_eq!(error(other.joined(join).error_code), ErrorCode::CoordinatorLoadInProgress);
    // Nobody can be missed yet.
    assert_eq!(other.heartbeat("g", generation, &ids[0]), ErrorCode::None);
    assert_eq!(other.coordinator.list(&[], &[]), Err(ErrorCode::CoordinatorLoadInProgress));
    let fetch = other.send_fetch(9, false, &[("g", None)]);
    assert_eq!(error(other.fetched(fetch).groups[0].error_code), ErrorCode::CoordinatorLoadInProgress);
    other.advance(0);
    assert_eq!(other.fetch("g", "orders"), 9);
    assert_eq!(other.heartbeat("g", generation, &ids[0]), ErrorCode::None);
}

#[test]
fn what_was_not_committed_when_it_was_loaded_is_not_shown() {
    let mut h = Harness::new();
    h.commit("g", -1, "", "t", 1);
    let committed = h.broker.log_end;
    h.broker.commits = false;
    h.send_commit("g", -1, "", "t", 2);
    h.resign();
    h.broker.high_watermark = committed;
    h.elect();
    assert_eq!(h.fetch("g", "t"), 1);
    h.commit_log();
    assert_eq!(h.fetch("g", "t"), 2);
}

#[test]
fn a_leader_that_stays_leader_keeps_its_state() {
    let mut h = Harness::new();
    h.stable_group("g", 1);
    let (_, join) = h.join_new("g");
    h.elect();
    assert!(!h.is_answered(join));
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
}

#[test]
fn a_group_that_is_too_large_when_loaded_is_rebalanced() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 3);
    let mut other = Harness::on_log(&[("group.max.size", "2")], h.broker.log.clone());
    assert_eq!(other.state("g"), ClassicState::PreparingRebalance);
    let tokens: Vec<_> = ids.iter().map(|id| other.rejoin("g", id)).collect();
    assert_eq!(error(other.joined(tokens[2]).error_code), ErrorCode::GroupMaxSizeReached);
    other.advance(60_000);
    assert_eq!(other.joined(tokens[0]).error_code, 0);
}

#[test]
fn a_group_whose_first_record_fails_never_was() {
    let mut h = Harness::new();
    h.broker.append_error = Some(ErrorCode::NotEnoughReplicas);
    let join = h.send_join(3, join_request("g", ""));
    assert_eq!(error(h.joined(join).error_code), ErrorCode::CoordinatorNotAvailable);
    assert!(!h.has_group("g"));
    assert!(h.broker.timers.deadline(&GroupTimer::Join { partition: 0, group: s("g") }).is_none());
    h.broker.append_error = None;
    h.stable_group("g", 1);
}

#[test]
fn nonsense_in_the_log_is_passed_over() {
    let mut h = Harness::new();
    h.commit("g", -1, "", "t", 1);
    let mut batch = klamm_wire::record::builder::BatchBuilder::new();
    batch.push(0, None, Some(b"no key"), &[]);
    batch.push(0, Some(b""), None, &[]);
    batch.push(0, Some(&[0, 99, 1, 2, 3]), Some(b"unknown type"), &[]);
    batch.push(0, Some(&[0, 2, 0, 1, b'g']), Some(&[0x7f, 0xff]), &[]);
    batch.push(0, Some(&[0, 1, 0x7f]), Some(b"short"), &[]);
    let mut log = h.broker.log.clone();
    log.push(batch.build().expect("it builds").stamped(h.broker.log_end, 0));
    let mut other = Harness::on_log(&[], log);
    assert_eq!(other.fetch("g", "t"), 1);
}

#[test]
fn heartbeats_wait_behind_writes_that_could_be_lost() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    h.broker.commits = false;
    h.send_commit("g", h.generation("g"), &ids[0], "orders", 1);
    let token = h.send_heartbeat("g", h.generation("g"), &ids[0], None);
    assert!(!h.is_answered(token));
    h.commit_log();
    assert!(h.is_answered(token));
}
