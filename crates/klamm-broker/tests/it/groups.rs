//! Groups on a real cluster: their topic, their coordinator, and what becomes of both when brokers come and go.

use std::time::Duration;

use bytes::Bytes;
use klamm_node::NodeId;
use klamm_wire::messages::join_group_request::JoinGroupRequestProtocol;
use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use klamm_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, ResponseKind, SyncGroupRequest,
};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes, api};
use klamm_world::{Command, LinkSettings};

use crate::cluster::{Cluster, Sent, key_of, topic_name};

const OFFSETS: &str = "__consumer_offsets";

fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn group_id(group: &str) -> GroupId {
    GroupId(s(group))
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("the codes are Kafka's")
}

fn send_find(c: &mut Cluster, broker: i32, groups: &[&str]) -> Sent {
    let keys = groups.iter().map(|group| s(group)).collect();
    c.send(broker, 6, FindCoordinatorRequest::default().with_coordinator_keys(keys))
}

/// Where a group's coordinator is, once one is known.
fn coordinator(c: &mut Cluster, ask: i32, group: &str) -> i32 {
    for _ in 0..200 {
        let sent = send_find(c, ask, &[group]);
        c.wait_for("an answer", Duration::from_secs(5), |c| c.outcome(sent).is_some());
        let ResponseKind::FindCoordinator(answer) = c.answer(sent) else { panic!("another answer") };
        let found = &answer.coordinators[0];
        if found.error_code == 0 {
            return found.node_id.0;
        }
        assert_eq!(error(found.error_code), ErrorCode::CoordinatorNotAvailable);
        c.run(Duration::from_millis(100));
    }
    panic!("no coordinator of {group}");
}

fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(s("range"))
        .with_metadata(Bytes::from_static(&[0, 0, 0, 0, 0, 0, 255, 255, 255, 255]));
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_member_id(s(member))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(s("consumer"))
        .with_protocols(vec![protocol])
}

fn sync_request(group: &str, generation: i32, member: &str) -> SyncGroupRequest {
    let assignment = SyncGroupRequestAssignment::default()
        .with_member_id(s(member))
        .with_assignment(Bytes::copy_from_slice(member.as_bytes()));
    SyncGroupRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(generation)
        .with_member_id(s(member))
        .with_assignments(vec![assignment])
}

fn commit_request(
    group: &str,
    generation: i32,
    member: &str,
    topic: &'static str,
    offset: i64,
) -> OffsetCommitRequest {
    let partition =
        OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic =
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(member))
        .with_topics(vec![topic])
}

fn fetch_request(group: &str, topic: &'static str) -> OffsetFetchRequest {
    let topic =
        OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(vec![0]);
    let group =
        OffsetFetchRequestGroup::default().with_group_id(group_id(group)).with_topics(Some(vec![topic]));
    OffsetFetchRequest::default().with_groups(vec![group])
}

/// A stable group of one member. Returns its id and the generation.
fn stable_group(c: &mut Cluster, coordinator: i32, group: &str) -> (StrBytes, i32) {
    let ResponseKind::JoinGroup(joined) = c.ask(coordinator, 3, join_request(group, "")) else {
        panic!("another answer")
    };
    assert_eq!(error(joined.error_code), ErrorCode::None);
    let (member, generation) = (joined.member_id, joined.generation_id);
    let ResponseKind::SyncGroup(synced) = c.ask(coordinator, 3, sync_request(group, generation, &member))
    else {
        panic!("another answer")
    };
    assert_eq!((error(synced.error_code), synced.assignment), (ErrorCode::None, member.clone().into_bytes()));
    (member, generation)
}

fn commit(
    c: &mut Cluster,
    broker: i32,
    group: &str,
    member: (&str, i32),
    topic: &'static str,
    offset: i64,
) -> ErrorCode {
    match c.ask(broker, 8, commit_request(group, member.1, member.0, topic, offset)) {
        ResponseKind::OffsetCommit(answer) => error(answer.topics[0].partitions[0].error_code),
        other => panic!("{other:?}"),
    }
}

fn fetch(c: &mut Cluster, broker: i32, group: &str, topic: &'static str) -> Result<i64, ErrorCode> {
    match c.ask(broker, 8, fetch_request(group, topic)) {
        ResponseKind::OffsetFetch(answer) => {
            let group = &answer.groups[0];
            error(group.error_code).into_result()?;
            Ok(group.topics[0].partitions[0].committed_offset)
        }
        other => panic!("{other:?}"),
    }
}

fn heartbeat(c: &mut Cluster, broker: i32, group: &str, member: &str, generation: i32) -> ErrorCode {
    let request = HeartbeatRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id(generation)
        .with_member_id(s(member));
    match c.ask(broker, 4, request) {
        ResponseKind::Heartbeat(answer) => error(answer.error_code),
        other => panic!("{other:?}"),
    }
}

fn others(broker: i32) -> [i32; 2] {
    [broker % 3 + 1, (broker + 1) % 3 + 1]
}

#[test]
fn the_first_find_makes_the_topic_and_is_answered_in_the_same_step() {
    let mut c = Cluster::start(3, &[]);
    let at = c.now;
    let sent = send_find(&mut c, 1, &["g", "h"]);
    let ResponseKind::FindCoordinator(FindCoordinatorResponse { coordinators, .. }) = c.answer(sent) else {
        panic!("another answer")
    };
    assert_eq!(coordinators.len(), 2);
    for found in coordinators {
        assert_eq!(error(found.error_code), ErrorCode::None);
        assert_eq!((&*found.host, found.port), ("localhost", 9090 + found.node_id.0));
    }
    assert_eq!(c.now, at);
    let image = c.world.metadata().expect("there is a controller");
    let topic = image.topics.by_name(OFFSETS).expect("it was made");
    assert_eq!(topic.partitions.len(), 50);
    assert_eq!(c.status(OFFSETS, 0).replicas.len(), 3);
}

#[test]
fn a_small_cluster_has_as_many_replicas_as_brokers() {
    let mut c = Cluster::start(1, &[("offsets.topic.num.partitions", "4")]);
    let broker = coordinator(&mut c, 1, "g");
    stable_group(&mut c, broker, "g");
    assert_eq!(c.status(OFFSETS, 3).replicas, [NodeId(1)]);
}

#[test]
fn a_find_that_waits_in_vain_is_answered_after_a_second() {
    let mut c = Cluster::start(1, &[("offsets.topic.replication.factor", "3")]);
    let sent = send_find(&mut c, 1, &["g"]);
    assert!(c.outcome(sent).is_none());
    c.run(Duration::from_millis(999));
    assert!(c.outcome(sent).is_none());
    c.run(Duration::from_millis(1));
    let ResponseKind::FindCoordinator(answer) = c.answer(sent) else { panic!("another answer") };
    assert_eq!(error(answer.coordinators[0].error_code), ErrorCode::CoordinatorNotAvailable);
}

#[test]
fn a_coordinator_that_is_none_is_refused_with_a_reason() {
    let mut c = Cluster::start(1, &[]);
    for key_type in [-1, 3] {
        let request =
            FindCoordinatorRequest::default().with_key_type(key_type).with_coordinator_keys(vec![s("x")]);
        let ResponseKind::FindCoordinator(answer) = c.ask(1, 6, request) else { panic!("another answer") };
        let found = &answer.coordinators[0];
        assert_eq!(error(found.error_code), ErrorCode::InvalidRequest);
        assert!(found.error_message.as_ref().is_some_and(|m| !m.is_empty()));
    }
    assert!(c.world.metadata().expect("there is a controller").topics.by_name(OFFSETS).is_none());
}

#[test]
fn a_group_lives_at_its_coordinator_only() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let home = coordinator(&mut c, 1, "g");
    let (member, generation) = stable_group(&mut c, home, "g");
    assert_eq!(commit(&mut c, home, "g", (&member, generation), "t", 5), ErrorCode::None);
    assert_eq!(fetch(&mut c, home, "g", "t"), Ok(5));
    for elsewhere in others(home) {
        assert_eq!(heartbeat(&mut c, elsewhere, "g", &member, generation), ErrorCode::NotCoordinator);
        assert_eq!(commit(&mut c, elsewhere, "g", (&member, generation), "t", 6), ErrorCode::NotCoordinator);
        assert_eq!(fetch(&mut c, elsewhere, "g", "t"), Err(ErrorCode::NotCoordinator));
    }
}

#[test]
fn partitions_that_do_not_exist_are_refused_beside_those_that_do() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    let home = coordinator(&mut c, 1, "g");
    let mut request = commit_request("g", -1, "", "t", 1);
    request.topics[0]
        .partitions
        .push(OffsetCommitRequestPartition::default().with_partition_index(1).with_committed_offset(1));
    request.topics.extend(commit_request("g", -1, "", "nope", 1).topics);
    let ResponseKind::OffsetCommit(answer) = c.ask(home, 8, request) else { panic!("another answer") };
    let mut errors: Vec<_> = answer
        .topics
        .iter()
        .flat_map(|t| {
            t.partitions.iter().map(move |p| (t.name.to_string(), p.partition_index, error(p.error_code)))
        })
        .collect();
    errors.sort();
    assert_eq!(
        errors,
        [
            ("nope".to_owned(), 0, ErrorCode::UnknownTopicOrPartition),
            ("t".to_owned(), 0, ErrorCode::None),
            ("t".to_owned(), 1, ErrorCode::UnknownTopicOrPartition),
        ]
    );
}

#[test]
fn a_group_survives_the_crash_of_its_coordinator() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let home = coordinator(&mut c, 1, "g");
    let (member, generation) = stable_group(&mut c, home, "g");
    assert_eq!(commit(&mut c, home, "g", (&member, generation), "t", 5), ErrorCode::None);
    c.command(Command::Crash(NodeId(home)));
    let [survivor, _] = others(home);
    c.run(Duration::from_secs(12));
    let next = coordinator(&mut c, survivor, "g");
    assert_ne!(next, home);
    assert_eq!(heartbeat(&mut c, next, "g", &member, generation), ErrorCode::None);
    assert_eq!(fetch(&mut c, next, "g", "t"), Ok(5));
    assert_eq!(commit(&mut c, next, "g", (&member, generation), "t", 6), ErrorCode::None);
    // The old one comes back as a follower and knows that it is no coordinator.
    c.command(Command::Start(NodeId(home)));
    c.run(Duration::from_secs(5));
    assert_eq!(heartbeat(&mut c, home, "g", &member, generation), ErrorCode::NotCoordinator);
    assert_eq!(fetch(&mut c, next, "g", "t"), Ok(6));
}

#[test]
fn a_group_survives_all_its_coordinators_in_turn() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let mut home = coordinator(&mut c, 1, "g");
    let (member, generation) = stable_group(&mut c, home, "g");
    for offset in 1..=6 {
        assert_eq!(commit(&mut c, home, "g", (&member, generation), "t", offset), ErrorCode::None);
        c.command(Command::Crash(NodeId(home)));
        let [survivor, _] = others(home);
        c.run(Duration::from_secs(12));
        let next = coordinator(&mut c, survivor, "g");
        assert_eq!(heartbeat(&mut c, next, "g", &member, generation), ErrorCode::None);
        assert_eq!(fetch(&mut c, next, "g", "t"), Ok(offset));
        c.command(Command::Start(NodeId(home)));
        c.wait_for("three in-sync replicas", Duration::from_secs(60), |c| {
            (0..50).all(|p| c.status(OFFSETS, p).isr.len() == 3)
        });
        home = coordinator(&mut c, survivor, "g");
        assert_eq!(heartbeat(&mut c, home, "g", &member, generation), ErrorCode::None);
    }
}

#[test]
fn whoever_waits_at_a_coordinator_that_stops_leading_is_sent_on() {
    let mut c = Cluster::start(3, &[("leader.imbalance.check.interval.seconds", "30")]);
    let home = coordinator(&mut c, 1, "g");
    c.command(Command::Crash(NodeId(home)));
    let [survivor, _] = others(home);
    c.run(Duration::from_secs(12));
    let interim = coordinator(&mut c, survivor, "g");
    let (member, generation) = stable_group(&mut c, interim, "g");
    // A newcomer waits for the member, which stays away.
    let connection = c.connect(interim);
    let waiting = c.send_over(connection, 3, join_request("g", ""));
    c.command(Command::Start(NodeId(home)));
    // The preferred leader gets its partitions back.
    c.wait_for("an answer", Duration::from_secs(50), |c| c.outcome(waiting).is_some());
    let ResponseKind::JoinGroup(JoinGroupResponse { error_code, .. }) = c.answer(waiting) else {
        panic!("another answer")
    };
    assert_eq!(error(*error_code), ErrorCode::NotCoordinator);
    assert_eq!(coordinator(&mut c, survivor, "g"), home);
    // The interim rebalance left no record: the member is still what it was.
    assert_eq!(heartbeat(&mut c, home, "g", &member, generation), ErrorCode::None);
}

#[test]
fn commits_are_answered_when_enough_replicas_have_them() {
    let latency = LinkSettings { latency: Duration::from_millis(10), jitter: Duration::ZERO };
    let mut c = Cluster::with_link(3, &[], latency);
    c.create_topic("t", 1, 3, &[]);
    let home = coordinator(&mut c, 1, "g");
    c.run(Duration::from_secs(1));
    let at = c.now;
    assert_eq!(commit(&mut c, home, "g", ("", -1), "t", 1), ErrorCode::None);
    assert_eq!(c.now - at, Duration::from_millis(20));
}

#[test]
fn commits_below_min_isr_are_refused() {
    let mut c = Cluster::start(3, &[("min.insync.replicas", "2")]);
    c.create_topic("t", 1, 3, &[]);
    let home = coordinator(&mut c, 1, "g");
    assert_eq!(commit(&mut c, home, "g", ("", -1), "t", 1), ErrorCode::None);
    for other in others(home) {
        c.command(Command::Crash(NodeId(other)));
    }
    c.run(Duration::from_secs(60));
    let home = coordinator(&mut c, home, "g");
    assert_eq!(commit(&mut c, home, "g", ("", -1), "t", 2), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(fetch(&mut c, home, "g", "t"), Ok(1));
}

#[test]
fn a_deleted_topic_takes_its_offsets_along() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.create_topic("u", 1, 3, &[]);
    let home = coordinator(&mut c, 1, "g");
    assert_eq!(commit(&mut c, home, "g", ("", -1), "t", 1), ErrorCode::None);
    assert_eq!(commit(&mut c, home, "g", ("", -1), "u", 1), ErrorCode::None);
    c.delete_topic("t");
    c.run(Duration::from_secs(1));
    assert_eq!(fetch(&mut c, home, "g", "t"), Ok(-1));
    assert_eq!(fetch(&mut c, home, "g", "u"), Ok(1));
}

/// Every group request, as a client of `version` could send it.
fn every_request(version: i16, group: &str, member: &str) -> Vec<Request> {
    let fetch = if version >= 8 {
        fetch_request(group, "t")
    } else {
        let topic =
            OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
        OffsetFetchRequest::default().with_group_id(group_id(group)).with_topics(Some(vec![topic]))
    };
    let find = FindCoordinatorRequest::default();
    let find =
        if version >= 4 { find.with_coordinator_keys(vec![s(group)]) } else { find.with_key(s(group)) };
    let leave = LeaveGroupRequest::default().with_group_id(group_id(group));
    let leave = if version >= 3 {
        leave.with_members(vec![MemberIdentity::default().with_member_id(s(member))])
    } else {
        leave.with_member_id(s(member))
    };
    let deleted = OffsetDeleteRequestTopic::default()
        .with_name(topic_name("t"))
        .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
    vec![
        find.into(),
        join_request(group, member).into(),
        sync_request(group, 1, member)
            .with_protocol_type(Some(s("consumer")))
            .with_protocol_name(Some(s("range")))
            .into(),
        HeartbeatRequest::default()
            .with_group_id(group_id(group))
            .with_generation_id(1)
            .with_member_id(s(member))
            .into(),
        commit_request(group, -1, "", "t", 1).into(),
        fetch.into(),
        DescribeGroupsRequest::default()
            .with_groups(vec![group_id(group)])
            .with_include_authorized_operations(version >= 3)
            .into(),
        ListGroupsRequest::default().into(),
        leave.into(),
        OffsetDeleteRequest::default().with_group_id(group_id(group)).with_topics(vec![deleted]).into(),
        DeleteGroupsRequest::default().with_groups_names(vec![group_id(group)]).into(),
    ]
}

#[test]
fn every_answer_can_be_written_in_every_version() {
    let mut c = Cluster::start(3, &[("offsets.topic.num.partitions", "1")]);
    c.create_topic("t", 1, 3, &[]);
    let home = coordinator(&mut c, 1, "g");
    for broker in [home, others(home)[0]] {
        for version in 0..=20 {
            let (member, _) = stable_group(&mut c, home, "live");
            for (group, member) in [("live", &*member), ("live", "stranger"), ("nope", ""), ("", "")] {
                for request in every_request(version, group, member) {
                    let key: ApiKey = key_of(&request);
                    if !(api::Api::of(key).min..=api::Api::of(key).max).contains(&version) {
                        continue;
                    }
                    let answer: Response = c.ask(broker, version, request).into();
                    let written = api::encode_response(key, version, 1, &answer);
                    assert!(written.is_ok(), "{key:?} v{version} of {group:?}: {answer:?}: {written:?}");
                }
            }
            let ResponseKind::ListGroups(listed) = c.ask(home, 5, ListGroupsRequest::default()) else {
                panic!("another answer")
            };
            for group in listed.groups {
                let request = DescribeGroupsRequest::default().with_groups(vec![group.group_id.clone()]);
                let ResponseKind::DescribeGroups(described) = c.ask(home, 6, request) else { continue };
                let members = described.groups[0]
                    .members
                    .iter()
                    .map(|m| MemberIdentity::default().with_member_id(m.member_id.clone()));
                let leave = LeaveGroupRequest::default()
                    .with_group_id(group.group_id.clone())
                    .with_members(members.collect());
                c.ask(home, 5, leave);
                c.ask(home, 2, DeleteGroupsRequest::default().with_groups_names(vec![group.group_id]));
            }
        }
    }
}
