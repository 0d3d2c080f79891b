//! Committing, fetching, deleting and expiring offsets; describing, listing and deleting groups.

use klamm_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use klamm_wire::messages::{
    DeleteGroupsResponse, GroupId, OffsetDeleteRequest, OffsetDeleteResponse, ResponseKind, TopicName,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::harness::{COMMIT, FETCH, Harness, LEAVE, commit_request, error, join_request, s};
use crate::core::CoordinatorEvent;
use crate::group::state::ClassicState;

/// A day, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

fn delete_offset(h: &mut Harness, group: &str, topic: &str) -> OffsetDeleteResponse {
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(TopicName(s(topic)))
        .with_partitions(vec![OffsetDeleteRequestPartition::default().with_partition_index(0)]);
    let request = OffsetDeleteRequest::default().with_group_id(GroupId(s(group))).with_topics(vec![topic]);
    let rc = h.rc(0);
    h.step(|coordinator, broker, ctx| {
        coordinator.delete_offsets(broker, ctx, &rc, request, OffsetDeleteResponse::default());
    });
    match h.answer(h.requests_sent()) {
        Some(ResponseKind::OffsetDelete(response)) => response.clone(),
        other => panic!("OffsetDelete: {other:?}"),
    }
}

fn delete_groups(h: &mut Harness, groups: &[&str]) -> Vec<(String, ErrorCode)> {
    let rc = h.rc(2);
    let groups = groups.iter().map(|group| GroupId(s(group))).collect();
    h.step(|coordinator, broker, ctx| coordinator.delete_groups(broker, ctx, &rc, groups));
    match h.answer(h.requests_sent()) {
        Some(ResponseKind::DeleteGroups(DeleteGroupsResponse { results, .. })) => {
            results.iter().map(|r| (r.group_id.to_string(), error(r.error_code))).collect()
        }
        other => panic!("DeleteGroups: {other:?}"),
    }
}

#[test]
fn a_member_commits_and_reads_back() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    assert_eq!(h.fetch("g", "orders"), -1);
    assert_eq!(h.commit("g", generation, &ids[0], "orders", 42), ErrorCode::None);
    assert_eq!(h.fetch("g", "orders"), 42);
}

#[test]
fn one_commit_request_is_one_batch() {
    let mut h = Harness::new();
    let before = h.broker.log.len();
    let mut request = commit_request("g", -1, "", "a", 1, "");
    for topic in ["b", "c"] {
        request.topics.extend(commit_request("g", -1, "", topic, 2, "").topics);
    }
    h.send_commit_request(COMMIT, request);
    assert_eq!(h.broker.log.len(), before + 1);
    assert_eq!(h.broker.log[before].header.records_count, 3);
}

#[test]
fn commits_without_a_group_make_a_simple_one() {
    let mut h = Harness::new();
    assert_eq!(h.commit("simple", -1, "", "t", 7), ErrorCode::None);
    assert_eq!(h.state("simple"), ClassicState::Empty);
    assert_eq!(h.fetch("simple", "t"), 7);
    // With a generation there must be a group.
    assert_eq!(h.commit("nope", 3, "m", "t", 7), ErrorCode::GroupIdNotFound);
    let old = h.send_commit_request(8, commit_request("nope", 3, "m", "t", 7, ""));
    assert_eq!(h.committed(old), ErrorCode::IllegalGeneration);
    assert!(!h.has_group("nope"));
}

#[test]
fn commits_are_checked_against_the_generation() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    let id = ids[0].as_str();
    assert_eq!(h.commit("g", generation + 1, id, "t", 1), ErrorCode::IllegalGeneration);
    assert_eq!(h.commit("g", generation, "stranger", "t", 1), ErrorCode::UnknownMemberId);
    // An administrator may not meddle while members are there.
    assert_eq!(h.commit("g", -1, "", "t", 1), ErrorCode::UnknownMemberId);
    assert_eq!(h.fetch("g", "t"), -1);
    // During the join phase the old generation may still commit what it has done.
    let (newcomer, _) = h.join_new("g");
    assert_eq!(h.commit("g", generation, id, "t", 2), ErrorCode::None);
    h.rejoin("g", id);
    assert_eq!(h.commit("g", generation, id, "t", 3), ErrorCode::IllegalGeneration);
    assert_eq!(h.commit("g", generation + 1, id, "t", 3), ErrorCode::RebalanceInProgress);
    assert_eq!(h.commit("g", generation + 1, &newcomer, "t", 3), ErrorCode::RebalanceInProgress);
    assert_eq!(h.fetch("g", "t"), 2);
}

#[test]
fn a_commit_keeps_its_member_alive() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    for offset in 0..5 {
        h.advance(9_000);
        assert_eq!(h.commit("g", generation, &ids[0], "t", offset), ErrorCode::None);
    }
}

#[test]
fn metadata_has_a_largest_size_in_utf16_units() {
    let mut h = Harness::with(&[("offset.metadata.max.bytes", "4")]);
    for (metadata, expected) in [
        ("1234", ErrorCode::None),
        ("12345", ErrorCode::OffsetMetadataTooLarge),
        ("ääää", ErrorCode::None),
        ("\u{1f600}\u{1f600}", ErrorCode::None),
        ("\u{1f600}\u{1f600}x", ErrorCode::OffsetMetadataTooLarge),
    ] {
        let token = h.send_commit_request(COMMIT, commit_request("g", -1, "", "t", 1, metadata));
        assert_eq!(h.committed(token), expected, "{metadata}");
    }
}

#[test]
fn an_offset_is_not_seen_before_it_is_committed() {
    let mut h = Harness::new();
    h.commit("g", -1, "", "t", 1);
    h.broker.commits = false;
    let commit = h.send_commit("g", -1, "", "t", 2);
    assert!(!h.is_answered(commit));
    assert_eq!(h.fetch("g", "t"), 1);
    // A reader that needs a stable answer waits for it.
    let stable = h.send_fetch(FETCH, true, &[("g", Some("t")), ("other", Some("t"))]);
    assert!(!h.is_answered(stable));
    h.commit_log();
    assert_eq!(h.committed(commit), ErrorCode::None);
    let groups = h.fetched(stable).groups;
    assert_eq!(groups[0].topics[0].partitions[0].committed_offset, 2);
    assert_eq!(groups[1].topics[0].partitions[0].committed_offset, -1);
    assert_eq!(h.fetch("g", "t"), 2);
}

#[test]
fn answers_wait_only_for_what_they_depend_on() {
    let mut h = Harness::new();
    h.broker.commits = false;
    let first = h.send_commit("g", -1, "", "t", 1);
    let middle = h.broker.log_end;
    let second = h.send_commit("g", -1, "", "t", 2);
    h.commit_log_to(middle);
    assert!(h.is_answered(first) && !h.is_answered(second));
    assert_eq!(h.fetch("g", "t"), 1);
}

#[test]
fn a_commit_that_fails_leaves_nothing() {
    let mut h = Harness::new();
    h.commit("g", -1, "", "t", 1);
    for (cause, answer) in [
        (ErrorCode::NotEnoughReplicas, ErrorCode::CoordinatorNotAvailable),
        (ErrorCode::NotLeaderOrFollower, ErrorCode::NotCoordinator),
        (ErrorCode::KafkaStorageError, ErrorCode::NotCoordinator),
        (ErrorCode::MessageTooLarge, ErrorCode::UnknownServerError),
    ] {
        h.broker.append_error = Some(cause);
        assert_eq!(h.commit("g", -1, "", "t", 2), answer);
        assert_eq!(h.fetch("g", "t"), 1);
    }
}

#[test]
fn a_commit_that_is_not_replicated_in_time_is_told_so() {
    let mut h = Harness::new();
    h.broker.commits = false;
    let commit = h.send_commit("g", -1, "", "t", 1);
    h.advance(5_000);
    assert_eq!(h.committed(commit), ErrorCode::CoordinatorNotAvailable);
    // It may still come to pass.
    h.commit_log();
    assert_eq!(h.fetch("g", "t"), 1);
    assert_eq!(h.coordinator.shards[&0].waiting(), 0);
}

#[test]
fn a_fetch_of_everything_comes_in_order() {
    let mut h = Harness::new();
    for topic in ["b", "a", "c"] {
        h.commit("g", -1, "", topic, 5);
    }
    let token = h.send_fetch(FETCH, false, &[("g", None), ("nobody", None)]);
    let groups = h.fetched(token).groups;
    let topics: Vec<_> = groups[0].topics.iter().map(|t| t.name.to_string()).collect();
    assert_eq!(topics, ["a", "b", "c"]);
    assert!(groups[1].topics.is_empty());
}

#[test]
fn before_version_8_a_fetch_is_about_one_group() {
    let mut h = Harness::new();
    h.commit("g", -1, "", "t", 5);
    let token = h.send_fetch(7, false, &[("g", Some("t"))]);
    let response = h.fetched(token);
    assert!(response.groups.is_empty());
    assert_eq!(response.topics[0].partitions[0].committed_offset, 5);
}

#[test]
fn before_version_2_a_fetch_has_room_for_errors_in_partitions_only() {
    let mut h = Harness::new();
    h.resign();
    let old = h.send_fetch(1, false, &[("g", Some("t"))]);
    let response = h.fetched(old);
    assert_eq!(response.error_code, 0);
    assert_eq!(error(response.topics[0].partitions[0].error_code), ErrorCode::NotCoordinator);
    let newer = h.send_fetch(2, false, &[("g", Some("t"))]);
    assert_eq!(error(h.fetched(newer).error_code), ErrorCode::NotCoordinator);
}

#[test]
fn topics_that_the_broker_refused_keep_one_entry() {
    let mut h = Harness::new();
    let refused = OffsetCommitResponseTopic::default().with_name(TopicName(s("t"))).with_partitions(vec![
        OffsetCommitResponsePartition::default()
            .with_partition_index(9)
            .with_error_code(ErrorCode::UnknownTopicOrPartition.code()),
    ]);
    let rc = h.rc(COMMIT);
    let request = commit_request("g", -1, "", "t", 1, "");
    h.step(|coordinator, broker, ctx| coordinator.commit(broker, ctx, &rc, request, vec![refused]));
    let Some(ResponseKind::OffsetCommit(response)) = h.answer(h.requests_sent()) else {
        panic!("no answer");
    };
    assert_eq!(response.topics.len(), 1);
    let partitions: Vec<_> =
        response.topics[0].partitions.iter().map(|p| (p.partition_index, error(p.error_code))).collect();
    assert_eq!(partitions, [(9, ErrorCode::UnknownTopicOrPartition), (0, ErrorCode::None)]);
}

#[test]
fn offsets_of_topics_that_nobody_reads_can_be_deleted() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    h.commit("g", generation, &ids[0], "orders", 1);
    h.commit("g", generation, &ids[0], "old", 1);
    let response = delete_offset(&mut h, "g", "orders");
    assert_eq!(error(response.topics[0].partitions[0].error_code), ErrorCode::GroupSubscribedToTopic);
    let response = delete_offset(&mut h, "g", "old");
    assert_eq!((response.error_code, response.topics[0].partitions[0].error_code), (0, 0));
    assert_eq!((h.fetch("g", "orders"), h.fetch("g", "old")), (1, -1));
    let response = delete_offset(&mut h, "nope", "old");
    assert_eq!(error(response.error_code), ErrorCode::GroupIdNotFound);
}

#[test]
fn offsets_of_a_live_group_that_is_no_consumer_stay() {
    let mut h = Harness::new();
    let connect = join_request("g", "").with_protocol_type(s("connect"));
    h.send_join(3, connect);
    let response = delete_offset(&mut h, "g", "t");
    assert_eq!(error(response.error_code), ErrorCode::NonEmptyGroup);
}

#[test]
fn only_empty_groups_are_deleted_and_with_all_they_had() {
    let mut h = Harness::new();
    h.stable_group("busy", 1);
    h.commit("idle", -1, "", "t", 1);
    h.commit("idle", -1, "", "u", 1);
    let mut results = delete_groups(&mut h, &["busy", "idle", "nope", "idle"]);
    results.sort();
    assert_eq!(
        results,
        [
            ("busy".to_owned(), ErrorCode::NonEmptyGroup),
            ("idle".to_owned(), ErrorCode::None),
            ("nope".to_owned(), ErrorCode::GroupIdNotFound),
        ]
    );
    assert!(!h.has_group("idle"));
    assert_eq!((h.fetch("idle", "t"), h.fetch("idle", "u")), (-1, -1));
}

#[test]
fn offsets_expire_when_their_group_has_been_empty_for_the_retention_time() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    h.commit("g", h.generation("g"), &ids[0], "orders", 1);
    let left = h.send_leave(LEAVE, "g", &[(&ids[0], None)]);
    assert_eq!(h.left(left).error_code, 0);
    h.advance(7 * DAY - 600_000);
    assert_eq!(h.fetch("g", "orders"), 1);
    h.advance(2 * 600_000);
    assert_eq!(h.fetch("g", "orders"), -1);
    assert!(!h.has_group("g"));
}

#[test]
fn offsets_of_what_a_live_group_reads_do_not_expire() {
    let mut h =
        Harness::with(&[("offsets.retention.minutes", "1"), ("group.max.session.timeout.ms", "86400000")]);
    let token = h.send_join(3, join_request("g", "").with_session_timeout_ms(86_400_000));
    let id = h.joined(token).member_id;
    h.sync_leader("g", 1, &id, &[&id]);
    h.commit("g", 1, &id, "orders", 1);
    h.commit("g", 1, &id, "no longer read", 1);
    h.advance(20 * 60_000);
    assert_eq!((h.fetch("g", "orders"), h.fetch("g", "no longer read")), (1, -1));
}

#[test]
fn offsets_of_a_simple_group_expire_each_by_its_own_age() {
    let mut h = Harness::with(&[("offsets.retention.minutes", "15")]);
    h.commit("g", -1, "", "old", 1);
    h.advance(10 * 60_000);
    h.commit("g", -1, "", "young", 1);
    h.advance(10 * 60_000);
    assert_eq!((h.fetch("g", "old"), h.fetch("g", "young")), (-1, 1));
    // A client of version 2 to 4 may say itself how long.
    let request = commit_request("g", -1, "", "brief", 1, "").with_retention_time_ms(60_000);
    h.send_commit_request(4, request);
    assert_eq!((h.fetch("g", "brief"), h.has_group("g")), (1, true));
    h.advance(10 * 60_000);
    assert_eq!((h.fetch("g", "brief"), h.fetch("g", "young")), (-1, -1));
    assert!(!h.has_group("g"));
}

#[test]
fn a_topic_that_is_deleted_takes_its_offsets_along() {
    let mut h = Harness::new();
    let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
    for (group, id) in [("a", old), ("b", new)] {
        let mut request = commit_request(group, -1, "", "t", 1, "");
        request.topics[0].topic_id = id;
        h.send_commit_request(COMMIT, request);
    }
    h.event(CoordinatorEvent::TopicsDeleted { topics: vec![(s("t"), old)] });
    assert_eq!((h.fetch("a", "t"), h.fetch("b", "t")), (-1, 1));
}

#[test]
fn groups_are_described_in_every_state() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let describe = |h: &Harness, group: &str, version| h.coordinator.describe(&GroupId(s(group)), version);
    let described = describe(&h, "g", 6);
    assert_eq!((described.group_state.as_str(), described.protocol_data.as_str()), ("Stable", "range"));
    let member = &described.members[0];
    assert_eq!((member.client_id.as_str(), member.client_host.as_str()), ("client", "/10.0.0.1"));
    assert_eq!(member.member_assignment, ids[0].clone().into_bytes());
    assert!(!member.member_metadata.is_empty());

    h.join_new("g");
    let described = describe(&h, "g", 6);
    assert_eq!(
        (described.group_state.as_str(), described.protocol_data.as_str()),
        ("PreparingRebalance", "")
    );
    assert!(described.members[0].member_metadata.is_empty());

    let missing = describe(&h, "nope", 5);
    assert_eq!((missing.group_state.as_str(), missing.error_code), ("Dead", 0));
    let missing = describe(&h, "nope", 6);
    assert_eq!(error(missing.error_code), ErrorCode::GroupIdNotFound);
    assert_eq!(missing.error_message, Some(s("Group nope not found.")));
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut h = Harness::new();
    h.stable_group("busy", 1);
    h.commit("idle", -1, "", "t", 1);
    let list = |states: &[&str], types: &[&str]| -> Vec<String> {
        let texts = |values: &[&str]| -> Vec<StrBytes> { values.iter().map(|v| s(v)).collect() };
        let groups = h.coordinator.list(&texts(states), &texts(types)).unwrap_or_default();
        groups.iter().map(|g| format!("{} {} {}", &*g.group_id, g.protocol_type, g.group_state)).collect()
    };
    assert_eq!(list(&[], &[]), ["busy consumer Stable", "idle  Empty"]);
    assert_eq!(list(&["stable", "DEAD"], &[]), ["busy consumer Stable"]);
    assert_eq!(list(&[], &["Classic"]).len(), 2);
    assert!(list(&[], &["share", "nonsense"]).is_empty());
    assert_eq!(list(&["empty"], &["classic"]), ["idle  Empty"]);
}
