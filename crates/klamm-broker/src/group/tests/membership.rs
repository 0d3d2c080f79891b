//! Heartbeats, leaving, and static members.

use klamm_wire::ErrorCode;
use klamm_wire::StrBytes;

use super::harness::{Harness, JOIN, LEAVE, Token, error, join_request, protocols, s, sync_request};
use crate::group::state::ClassicState;

/// A static member joins without an id.
fn join_static(h: &mut Harness, group: &str, instance: &str) -> Token {
    h.send_join(JOIN, join_request(group, "").with_group_instance_id(Some(s(instance))))
}

/// A stable group of static members `i0`, `i1` … Returns their ids; the first one leads.
fn static_group(h: &mut Harness, count: usize) -> Vec<StrBytes> {
    let mut ids: Vec<StrBytes> = Vec::new();
    for n in 0..count {
        let token = join_static(h, "g", &format!("i{n}"));
        for (m, id) in ids.iter().enumerate() {
            let instance = Some(s(&format!("i{m}")));
            h.send_join(JOIN, join_request("g", id).with_group_instance_id(instance));
        }
        ids.push(h.joined(token).member_id);
    }
    let generation = h.generation("g");
    let members: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let leader = h.leader("g");
    h.sync_leader("g", generation, &leader, &members);
    for id in &ids {
        h.sync_follower("g", generation, id);
    }
    assert_eq!(h.state("g"), ClassicState::Stable);
    ids
}

#[test]
fn heartbeats_are_checked() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    assert_eq!(h.heartbeat("nope", 1, "m"), ErrorCode::UnknownMemberId);
    assert_eq!(h.heartbeat("g", generation, "m"), ErrorCode::UnknownMemberId);
    assert_eq!(h.heartbeat("g", generation - 1, &ids[0]), ErrorCode::IllegalGeneration);
    assert_eq!(h.heartbeat("g", generation, &ids[0]), ErrorCode::None);
}

#[test]
fn a_silent_member_is_out_after_its_session_timeout() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 2);
    let generation = h.generation("g");
    h.advance(9_000);
    h.heartbeat("g", generation, &ids[1]);
    h.advance(999);
    assert_eq!(h.state("g"), ClassicState::Stable);
    h.advance(1);
    assert_eq!(h.member_ids("g"), [ids[1].clone()]);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
    assert!(h.causes().iter().any(|c| c.contains("session expired")));
    let join = h.rejoin("g", &ids[1]);
    assert_eq!(h.joined(join).generation_id, generation + 1);
}

#[test]
fn a_group_without_members_is_empty_and_says_so_in_its_record() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    let left = h.send_leave(LEAVE, "g", &[(&ids[0], None)]);
    assert_eq!(h.left(left).error_code, 0);
    assert_eq!(h.state("g"), ClassicState::Empty);
    assert_eq!(h.generation("g"), generation + 1);
    let Some(crate::group::records::Record::Group { value: Some(value), .. }) = h.records().pop() else {
        panic!("the last record is the empty group");
    };
    let restored = value.into_group(s("g"));
    assert_eq!(restored.state(), ClassicState::Empty);
    assert_eq!(restored.generation(), generation + 1);
    assert_eq!(restored.protocol_type(), Some(&s("consumer")));
}

#[test]
fn members_leave_in_batches_each_with_its_own_answer() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 3);
    let pending = h.send_join(JOIN, join_request("g", ""));
    let pending = h.joined(pending).member_id;
    let token = h.send_leave(
        LEAVE,
        "g",
        &[(&ids[0], None), ("stranger", None), (&pending, None), ("", Some("no such instance"))],
    );
    let errors: Vec<_> = h.left(token).members.iter().map(|m| error(m.error_code)).collect();
    assert_eq!(
        errors,
        [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::None, ErrorCode::UnknownMemberId]
    );
    assert_eq!(h.member_ids("g"), [ids[1].clone(), ids[2].clone()]);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
}

#[test]
fn a_member_leaves_once() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 2);
    let token = h.send_leave(LEAVE, "g", &[(&ids[0], None), ("", Some("i0")), (&ids[0], Some("i0"))]);
    let errors: Vec<_> = h.left(token).members.iter().map(|m| error(m.error_code)).collect();
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownMemberId, ErrorCode::UnknownMemberId]);
}

#[test]
fn before_version_3_one_member_leaves_and_the_answer_is_at_the_top() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let stranger = h.send_leave(2, "g", &[("stranger", None)]);
    assert_eq!(error(h.left(stranger).error_code), ErrorCode::UnknownMemberId);
    assert!(h.left(stranger).members.is_empty());
    let token = h.send_leave(2, "g", &[(&ids[0], None)]);
    assert_eq!((h.left(token).error_code, h.left(token).members.len()), (0, 0));
}

#[test]
fn leaving_a_group_that_does_not_exist_is_each_members_error() {
    let mut h = Harness::new();
    let token = h.send_leave(LEAVE, "nope", &[("a", None)]);
    assert_eq!(h.left(token).error_code, 0);
    assert_eq!(error(h.left(token).members[0].error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn a_waiting_member_that_leaves_is_answered() {
    let mut h = Harness::new();
    h.stable_group("g", 1);
    let (id, join) = h.join_new("g");
    let left = h.send_leave(LEAVE, "g", &[(&id, None)]);
    assert_eq!(h.left(left).members[0].error_code, 0);
    assert_eq!(error(h.joined(join).error_code), ErrorCode::UnknownMemberId);
}

#[test]
fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 2);
    let generation = h.generation("g");
    let follower = ids.iter().position(|id| *id != h.leader("g")).unwrap_or_default();
    let instance = format!("i{follower}");
    let token = join_static(&mut h, "g", &instance);
    let joined = h.joined(token);
    assert_eq!((joined.error_code, joined.generation_id), (0, generation));
    assert!(!joined.skip_assignment && joined.members.is_empty());
    assert!(joined.member_id.starts_with(&instance) && joined.member_id != ids[follower]);
    assert_eq!(h.state("g"), ClassicState::Stable);
    // It gets the assignment of its former self; that one is fenced.
    let sync = h.sync_follower("g", generation, &joined.member_id);
    assert_eq!(h.synced(sync).assignment, ids[follower].clone().into_bytes());
    assert_eq!(h.heartbeat_as("g", generation, &ids[follower], Some(&instance)), ErrorCode::FencedInstanceId);
    assert_eq!(h.heartbeat("g", generation, &ids[follower]), ErrorCode::UnknownMemberId);
    assert_eq!(h.heartbeat_as("g", generation, &joined.member_id, Some(&instance)), ErrorCode::None);
}

#[test]
fn a_static_leader_that_comes_back_is_told_not_to_assign() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 2);
    let leader = ids.iter().position(|id| *id == h.leader("g")).unwrap_or_default();
    let instance = format!("i{leader}");
    let token = join_static(&mut h, "g", &instance);
    let joined = h.joined(token);
    assert_eq!(joined.leader, joined.member_id);
    assert!(joined.skip_assignment);
    assert_eq!(joined.members.len(), 2);
    // Before version 9 it is told the old leader's id, so that it does not think it leads.
    let old = joined.member_id;
    let token = h.send_join(8, join_request("g", "").with_group_instance_id(Some(s(&instance))));
    let joined = h.joined(token);
    assert_eq!(joined.leader, old);
    assert!(!joined.skip_assignment && joined.members.is_empty());
}

#[test]
fn a_static_member_that_comes_back_with_other_protocols_starts_a_rebalance() {
    let mut h = Harness::new();
    let offers = protocols(&[("range", "t"), ("sticky", "t")]);
    let both = |member: &str| {
        join_request("g", member).with_group_instance_id(Some(s("i0"))).with_protocols(offers.clone())
    };
    let token = h.send_join(JOIN, both(""));
    let id = h.joined(token).member_id;
    h.sync_leader("g", 1, &id, &[&id]);
    let other = both("").with_protocols(protocols(&[("sticky", "t")]));
    let token = h.send_join(JOIN, other);
    assert_eq!(h.joined(token).generation_id, 2);
    assert_eq!(h.joined(token).protocol_name, Some(s("sticky")));
}

#[test]
fn a_static_member_that_comes_back_during_a_sync_restarts_the_rebalance() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 2);
    let leader_position = ids.iter().position(|id| *id == h.leader("g")).unwrap_or_default();
    let follower_position = 1 - leader_position;
    let rejoin = |h: &mut Harness, n: usize| {
        let instance = Some(s(&format!("i{n}")));
        h.send_join(JOIN, join_request("g", &ids[n]).with_group_instance_id(instance))
    };
    rejoin(&mut h, leader_position);
    rejoin(&mut h, follower_position);
    assert_eq!(h.state("g"), ClassicState::CompletingRebalance);
    let waiting = h.send_sync(5, sync_request("g", h.generation("g"), &ids[follower_position]));
    let back = join_static(&mut h, "g", &format!("i{follower_position}"));
    assert_eq!(error(h.synced(waiting).error_code), ErrorCode::FencedInstanceId);
    assert_eq!(h.state("g"), ClassicState::PreparingRebalance);
    assert!(!h.is_answered(back));
    rejoin(&mut h, leader_position);
    assert_eq!(h.joined(back).error_code, 0);
}

#[test]
fn a_waiting_static_member_is_fenced_by_its_successor() {
    let mut h = Harness::new();
    h.stable_group("g", 1);
    let first = join_static(&mut h, "g", "i");
    let second = join_static(&mut h, "g", "i");
    assert_eq!(error(h.joined(first).error_code), ErrorCode::FencedInstanceId);
    assert!(!h.is_answered(second));
    assert_eq!(h.member_ids("g").len(), 2);
}

#[test]
fn a_new_static_id_that_cannot_be_written_is_taken_back() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 1);
    let generation = h.generation("g");
    h.broker.append_error = Some(ErrorCode::NotLeaderOrFollower);
    let token = join_static(&mut h, "g", "i0");
    assert_eq!(error(h.joined(token).error_code), ErrorCode::NotCoordinator);
    assert_eq!(h.member_ids("g"), ids);
    assert_eq!(h.heartbeat_as("g", generation, &ids[0], Some("i0")), ErrorCode::None);
}

#[test]
fn static_members_that_do_not_join_in_time_stay_until_their_session_ends() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 2);
    let generation = h.generation("g");
    let (_, join) = h.join_new("g");
    for _ in 0..13 {
        h.advance(4_999);
        h.heartbeat_as("g", generation, &ids[0], Some("i0"));
        h.heartbeat_as("g", generation, &ids[1], Some("i1"));
    }
    assert_eq!(h.joined(join).error_code, 0);
    assert_eq!(h.member_ids("g").len(), 3);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 2);
    let fenced = h.send_leave(LEAVE, "g", &[("somebody else", Some("i0"))]);
    assert_eq!(error(h.left(fenced).members[0].error_code), ErrorCode::FencedInstanceId);
    let token = h.send_leave(LEAVE, "g", &[("", Some("i0"))]);
    let member = &h.left(token).members[0];
    assert_eq!((member.error_code, member.group_instance_id.clone()), (0, Some(s("i0"))));
    assert_eq!(h.member_ids("g"), [ids[1].clone()]);
}

#[test]
fn a_rolling_restart_of_static_members_moves_nothing() {
    let mut h = Harness::new();
    let ids = static_group(&mut h, 3);
    let generation = h.generation("g");
    for (n, old_id) in ids.iter().enumerate() {
        // Down for less than the session timeout.
        h.advance(5_000);
        let current = h.member_ids("g");
        for (m, id) in current.iter().enumerate().filter(|(m, _)| *m != n) {
            h.heartbeat_as("g", generation, id, Some(&format!("i{m}")));
        }
        let token = join_static(&mut h, "g", &format!("i{n}"));
        let sync = h.sync_follower("g", generation, &h.joined(token).member_id);
        assert_eq!(h.synced(sync).assignment, old_id.clone().into_bytes());
    }
    assert_eq!((h.state("g"), h.generation("g")), (ClassicState::Stable, generation));
}

#[test]
fn a_new_member_that_gave_up_does_not_haunt_the_group() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    // Its rebalance timeout is longer than a new member may wait.
    let slow = join_request("g", "").with_rebalance_timeout_ms(900_000);
    let first = h.send_join(3, slow);
    for _ in 0..61 {
        h.advance(5_000);
        h.heartbeat("g", generation, &ids[0]);
    }
    assert_eq!(error(h.joined(first).error_code), ErrorCode::UnknownMemberId);
    assert_eq!(h.member_ids("g"), ids);
}

#[test]
fn a_static_member_in_no_time_at_all_does_not_stop_the_clock() {
    let mut h = Harness::new();
    let hasty = |member: &str, instance: &str| {
        join_request("g", member).with_rebalance_timeout_ms(0).with_group_instance_id(Some(s(instance)))
    };
    let token = h.send_join(JOIN, hasty("", "i0"));
    let id = h.joined(token).member_id;
    h.sync_leader("g", 1, &id, &[&id]);
    let pending = h.send_join(JOIN, join_request("g", ""));
    let pending = h.joined(pending).member_id;
    h.send_join(JOIN, join_request("g", &pending).with_rebalance_timeout_ms(0));
    h.advance(1);
    h.send_leave(LEAVE, "g", &[(&pending, None)]);
    h.advance(10_000);
    assert_eq!(h.state("g"), ClassicState::Empty);
}
