//! Joining, syncing, and the states between.

use klamm_wire::ErrorCode;

use super::harness::{Harness, JOIN, SYNC, error, join_request, protocols, s, sync_request};
use crate::group::state::ClassicState;

#[test]
fn a_first_member_leads_a_generation_of_one() {
    let mut h = Harness::new();
    let (id, join) = h.join_new("g");
    let joined = h.joined(join);
    assert!(id.starts_with("client-"), "{id}");
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    assert_eq!(joined.leader, id);
    assert_eq!(joined.protocol_name, Some(s("range")));
    assert_eq!(joined.protocol_type, Some(s("consumer")));
    assert_eq!(joined.members.len(), 1);
    assert_eq!(h.state("g"), ClassicState::CompletingRebalance);

    let sync = h.sync_leader("g", 1, &id, &[&id]);
    assert_eq!(h.synced(sync).assignment, id.clone().into_bytes());
    assert_eq!(h.state("g"), ClassicState::Stable);
    assert_eq!(h.heartbeat("g", 1, &id), ErrorCode::None);
    let causes = h.causes();
    assert_eq!(causes[0], format!("group g member {id} joined"));
    assert!(causes[1].contains("Empty -> PreparingRebalance"), "{causes:?}");
    assert!(causes[2].contains("PreparingRebalance -> CompletingRebalance generation 1"), "{causes:?}");
    assert!(causes[3].contains("CompletingRebalance -> Stable"), "{causes:?}");
}

#[test]
fn before_version_4_no_member_id_is_asked_for() {
    let mut h = Harness::new();
    let token = h.send_join(3, join_request("g", ""));
    let joined = h.joined(token);
    assert_eq!(joined.error_code, 0);
    assert_eq!(joined.member_id, joined.leader);
}

#[test]
fn version_0_waits_for_the_session_timeout() {
    let mut h = Harness::new();
    h.send_join(0, join_request("g", "").with_rebalance_timeout_ms(-1));
    assert_eq!(h.shard_group("g").rebalance_timeout_ms(), 10_000);
}

#[test]
fn an_error_has_a_protocol_name_that_its_version_can_carry() {
    let mut h = Harness::new();
    for (version, name) in [(6, Some(s(""))), (7, None)] {
        let token = h.send_join(version, join_request("g", "nobody"));
        assert_eq!(error(h.joined(token).error_code), ErrorCode::UnknownMemberId);
        assert_eq!(h.joined(token).protocol_name, name);
    }
}

#[test]
fn only_the_leader_is_told_of_the_members() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 3);
    let leader = h.leader("g");
    let leader_join = h.rejoin("g", &leader);
    let followers: Vec<_> = ids.iter().filter(|id| **id != leader).map(|id| h.rejoin("g", id)).collect();
    let told: Vec<_> = h.joined(leader_join).members.iter().map(|m| m.member_id.clone()).collect();
    assert_eq!(told, h.member_ids("g"));
    for follower in followers {
        assert!(h.joined(follower).members.is_empty());
    }
}

#[test]
fn a_newcomer_makes_the_others_join_again() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let generation = h.generation("g");
    let (_, newcomer) = h.join_new("g");
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
    assert!(!h.is_answered(newcomer));
    assert_eq!(h.heartbeat("g", generation, &ids[0]), ErrorCode::RebalanceInProgress);
    h.rejoin("g", &ids[0]);
    assert!(!h.is_answered(newcomer));
    h.rejoin("g", &ids[1]);
    assert_eq!(h.joined(newcomer).generation_id, generation + 1);
    assert_eq!(h.state("g"), ClassicState::CompletingRebalance);
}

#[test]
fn who_does_not_join_again_in_time_is_out() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let (newcomer, join) = h.join_new("g");
    for _ in 0..12 {
        // They stay alive by heartbeats, but do not come.
        h.advance(5_000 - 1);
        h.heartbeat("g", h.generation("g"), &ids[0]);
        h.heartbeat("g", h.generation("g"), &ids[1]);
    }
    assert!(!h.is_answered(join));
    h.advance(60_000 - 12 * 4_999);
    assert_eq!(h.joined(join).error_code, 0);
    assert_eq!(h.member_ids("g"), [newcomer]);
    assert_eq!(h.heartbeat("g", 99, &ids[0]), ErrorCode::UnknownMemberId);
}

#[test]
fn an_id_that_is_never_used_is_forgotten_after_the_session_timeout() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let first = h.send_join(JOIN, join_request("g", ""));
    let pending = h.joined(first).member_id;
    // While it is expected, a rebalance waits for it.
    let join = h.rejoin("g", &ids[0]);
    assert!(!h.is_answered(join));
    h.advance(9_999);
    assert!(!h.is_answered(join));
    h.advance(1);
    assert_eq!(h.joined(join).error_code, 0);
    let late = h.rejoin("g", &pending);
    assert_eq!(error(h.joined(late).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn the_first_rebalance_waits_while_members_come() {
    let mut h = Harness::with(&[("group.initial.rebalance.delay.ms", "3000")]);
    let (_, a) = h.join_new("g");
    h.advance(2_999);
    let (_, b) = h.join_new("g");
    h.advance(1);
    // Someone came meanwhile: the wait starts again.
    assert!(!h.is_answered(a) && !h.is_answered(b));
    h.advance(3_000);
    assert_eq!((h.joined(a).generation_id, h.joined(b).generation_id), (1, 1));
}

#[test]
fn the_first_rebalance_waits_no_longer_than_the_rebalance_timeout() {
    let mut h = Harness::with(&[("group.initial.rebalance.delay.ms", "3000")]);
    let short = |member: &str| join_request("g", member).with_rebalance_timeout_ms(7_000);
    let first = h.send_join(3, short(""));
    for _ in 0..3 {
        h.advance(2_000);
        h.send_join(3, short(""));
        assert!(!h.is_answered(first));
    }
    h.advance(1_000);
    assert_eq!(h.joined(first).generation_id, 1);
    assert_eq!(h.member_ids("g").len(), 4);
}

#[test]
fn the_protocol_is_the_one_that_all_support_and_most_prefer() {
    let mut h = Harness::with(&[("group.initial.rebalance.delay.ms", "10")]);
    let offers: [&[(&str, &str)]; 3] = [
        &[("sticky", "t"), ("range", "t"), ("solo", "t")],
        &[("range", "t"), ("sticky", "t")],
        &[("sticky", "t"), ("range", "t")],
    ];
    let tokens = offers.map(|offer| h.send_join(3, join_request("g", "").with_protocols(protocols(offer))));
    h.advance(20);
    for token in tokens {
        assert_eq!(h.joined(token).protocol_name, Some(s("sticky")));
    }
}

#[test]
fn a_member_without_a_common_protocol_is_refused() {
    let mut h = Harness::new();
    h.stable_group("g", 1);
    let alien = join_request("g", "").with_protocols(protocols(&[("other", "t")]));
    let token = h.send_join(JOIN, alien);
    assert_eq!(error(h.joined(token).error_code), ErrorCode::InconsistentGroupProtocol);
    let connect = join_request("g", "").with_protocol_type(s("connect"));
    let token = h.send_join(JOIN, connect);
    assert_eq!(error(h.joined(token).error_code), ErrorCode::InconsistentGroupProtocol);
    let nothing = join_request("new", "").with_protocols(Vec::new());
    let token = h.send_join(JOIN, nothing);
    assert_eq!(error(h.joined(token).error_code), ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn a_protocol_offered_twice_counts_once() {
    let mut h = Harness::new();
    let twice = join_request("g", "").with_protocols(protocols(&[("range", "t"), ("range", "u")]));
    let token = h.send_join(3, twice);
    assert_eq!(h.joined(token).protocol_name, Some(s("range")));
}

#[test]
fn session_timeouts_have_bounds() {
    let mut h = Harness::new();
    for timeout in [5_999, 1_800_001, -1] {
        let token = h.send_join(JOIN, join_request("g", "").with_session_timeout_ms(timeout));
        assert_eq!(error(h.joined(token).error_code), ErrorCode::InvalidSessionTimeout);
    }
    assert!(!h.has_group("g"));
}

#[test]
fn a_group_has_a_name() {
    let mut h = Harness::new();
    let join = h.send_join(JOIN, join_request("", ""));
    assert_eq!(error(h.joined(join).error_code), ErrorCode::InvalidGroupId);
    let sync = h.send_sync(SYNC, sync_request("", 1, "m"));
    assert_eq!(error(h.synced(sync).error_code), ErrorCode::InvalidGroupId);
    assert_eq!(h.heartbeat("", 1, "m"), ErrorCode::InvalidGroupId);
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut h = Harness::with(&[("group.max.size", "2")]);
    h.stable_group("g", 2);
    let first = h.send_join(3, join_request("g", ""));
    assert_eq!(error(h.joined(first).error_code), ErrorCode::GroupMaxSizeReached);
    assert_eq!(h.state("g"), ClassicState::Stable);
}

#[test]
fn a_member_that_missed_the_answer_gets_it_again() {
    let mut h = Harness::new();
    let (id, join) = h.join_new("g");
    let again = h.rejoin("g", &id);
    assert_eq!(h.joined(again), h.joined(join));
    assert_eq!(h.generation("g"), 1);
}

#[test]
fn a_follower_that_joins_a_stable_group_again_changes_nothing() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let leader = h.leader("g");
    let follower = ids.iter().find(|id| **id != leader).cloned().unwrap_or_default();
    let generation = h.generation("g");
    let token = h.rejoin("g", &follower);
    assert_eq!(h.joined(token).generation_id, generation);
    assert_eq!(h.state("g"), ClassicState::Stable);
    // With another subscription it starts a rebalance.
    let changed = join_request("g", &follower).with_protocols(protocols(&[("range", "other")]));
    h.send_join(JOIN, changed);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
}

#[test]
fn a_second_join_of_a_waiting_member_answers_the_first() {
    let mut h = Harness::new();
    h.stable_group("g", 1);
    let (id, first) = h.join_new("g");
    let second = h.rejoin("g", &id);
    assert_eq!(error(h.joined(first).error_code), ErrorCode::RebalanceInProgress);
    assert!(!h.is_answered(second));
}

#[test]
fn followers_wait_for_the_leaders_assignment() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let leader = h.leader("g");
    let follower = ids.iter().find(|id| **id != leader).cloned().unwrap_or_default();
    h.rejoin("g", &leader);
    h.rejoin("g", &follower);
    let generation = h.generation("g");
    let early = h.sync_follower("g", generation, &follower);
    assert!(!h.is_answered(early));
    h.sync_leader("g", generation, &leader, &[&follower]);
    assert_eq!(h.synced(early).assignment, follower.clone().into_bytes());
    // The leader left itself out: its assignment is empty.
    let leaders = h.sync_follower("g", generation, &leader);
    assert!(h.synced(leaders).assignment.is_empty());
}

#[test]
fn nobody_is_given_an_assignment_before_it_is_committed() {
    let mut h = Harness::new();
    let (id, _) = h.join_new("g");
    h.broker.commits = false;
    let sync = h.sync_leader("g", 1, &id, &[&id]);
    assert!(!h.is_answered(sync));
    assert_eq!(h.state("g"), ClassicState::CompletingRebalance);
    h.commit_log();
    assert_eq!(h.synced(sync).error_code, 0);
    assert_eq!(h.state("g"), ClassicState::Stable);
}

#[test]
fn an_assignment_that_cannot_be_written_starts_over() {
    let mut h = Harness::new();
    let (id, _) = h.join_new("g");
    h.broker.append_error = Some(ErrorCode::NotEnoughReplicas);
    let sync = h.sync_leader("g", 1, &id, &[&id]);
    assert_eq!(error(h.synced(sync).error_code), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
    h.broker.append_error = None;
    let join = h.rejoin("g", &id);
    assert_eq!(h.joined(join).generation_id, 2);
}

#[test]
fn an_assignment_that_is_not_committed_in_time_starts_over() {
    let mut h = Harness::new();
    let (id, _) = h.join_new("g");
    h.broker.commits = false;
    let sync = h.sync_leader("g", 1, &id, &[&id]);
    h.advance(4_999);
    assert!(!h.is_answered(sync));
    h.advance(1);
    assert_eq!(error(h.synced(sync).error_code), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
}

#[test]
fn an_assignment_that_a_rebalance_overtook_is_history() {
    let mut h = Harness::new();
    let (id, _) = h.join_new("g");
    h.broker.commits = false;
    let sync = h.sync_leader("g", 1, &id, &[&id]);
    let (_, newcomer) = h.join_new("g");
    assert_eq!(error(h.synced(sync).error_code), ErrorCode::RebalanceInProgress);
    h.commit_log();
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
    h.rejoin("g", &id);
    assert_eq!(h.joined(newcomer).generation_id, 2);
}

#[test]
fn syncs_are_checked() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    let id = ids[0].as_str();
    let mut answer = |version, request| {
        let token = h.send_sync(version, request);
        error(h.synced(token).error_code)
    };
    assert_eq!(answer(SYNC, sync_request("nope", 1, "m")), ErrorCode::UnknownMemberId);
    assert_eq!(answer(SYNC, sync_request("g", generation, "m")), ErrorCode::UnknownMemberId);
    assert_eq!(answer(SYNC, sync_request("g", generation + 1, id)), ErrorCode::IllegalGeneration);
    let other = sync_request("g", generation, id).with_protocol_name(Some(s("sticky")));
    assert_eq!(answer(SYNC, other), ErrorCode::InconsistentGroupProtocol);
    let silent = sync_request("g", generation, id).with_protocol_name(None);
    assert_eq!(answer(SYNC, silent.clone()), ErrorCode::InconsistentGroupProtocol);
    assert_eq!(answer(4, silent), ErrorCode::None);
    h.join_new("g");
    let token = h.sync_follower("g", generation, id);
    assert_eq!(error(h.synced(token).error_code), ErrorCode::RebalanceInProgress);
}

#[test]
fn a_member_that_does_not_sync_in_time_is_out() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let leader = h.leader("g");
    let follower = ids.iter().find(|id| **id != leader).cloned().unwrap_or_default();
    h.rejoin("g", &leader);
    h.rejoin("g", &follower);
    let generation = h.generation("g");
    h.sync_leader("g", generation, &leader, &[&leader]);
    for _ in 0..12 {
        h.advance(4_999);
        assert_eq!(h.heartbeat("g", generation, &leader), ErrorCode::None);
        assert_eq!(h.heartbeat("g", generation, &follower), ErrorCode::None);
    }
    h.advance(60_000 - 12 * 4_999);
    assert_eq!(h.member_ids("g"), [leader]);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
}

#[test]
fn five_hundred_members_rebalance() {
    let mut h = Harness::with(&[("group.initial.rebalance.delay.ms", "100")]);
    let tokens: Vec<_> = (0..500).map(|_| h.send_join(3, join_request("g", ""))).collect();
    h.advance(200);
    let ids: Vec<_> = tokens.iter().map(|token| h.joined(*token).member_id).collect();
    let told: usize = tokens.iter().map(|token| h.joined(*token).members.len()).sum();
    assert_eq!(told, 500);
    assert_eq!(h.rebalance("g", &ids), 1);
    assert_eq!(h.rebalance("g", &ids), 2);
    assert_eq!(h.member_ids("g"), ids);
}

#[test]
fn a_hundred_thousand_protocols_are_taken_in_their_stride() {
    let mut h = Harness::new();
    let names: Vec<String> = (0..100_000).map(|n| format!("p{n}")).collect();
    let offers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "t")).collect();
    for _ in 0..3 {
        h.send_join(3, join_request("g", "").with_protocols(protocols(&offers)));
    }
    assert_eq!(h.member_ids("g").len(), 3);
}
