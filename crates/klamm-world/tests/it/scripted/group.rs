//! Members of a group: who has what, when, and with what right.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_node::TopicPartition;
use klamm_wire::messages::create_partitions_request::CreatePartitionsTopic;
use klamm_wire::messages::{CreatePartitionsRequest, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request};
use klamm_world::scripted::{
    Assignor, ClientError, ConsumerOp, GroupSettings, HistoryEvent, MemberState, OffsetReset, OpId, OpValue,
    ScriptedConsumerSpec, ScriptedProducerSpec,
};
use klamm_world::{ClientId, Command};

use super::{Stage, TOPIC};

pub(super) const HOUR: Duration = Duration::from_secs(3600);
pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const CONFIG: &[(&str, &str)] = &[
    ("group.initial.rebalance.delay.ms", "0"),
    ("min.insync.replicas", "2"),
    ("offsets.topic.replication.factor", "3"),
    ("offsets.topic.num.partitions", "1"),
];

pub(super) fn stage(seed: u64) -> Stage {
    let mut stage = Stage::new(seed, CONFIG);
    stage.create_topic(TOPIC, &[&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]]);
    stage
}

pub(super) fn settings() -> GroupSettings {
    GroupSettings {
        session_timeout: Duration::from_secs(6),
        heartbeat_interval: SECOND,
        ..GroupSettings::new("g")
    }
}

pub(super) fn member(stage: &mut Stage, group: GroupSettings) -> ClientId {
    let spec = ScriptedConsumerSpec {
        auto_offset_reset: OffsetReset::Earliest,
        group: Some(Box::new(group)),
        ..ScriptedConsumerSpec::default()
    };
    let member = stage.consumer(spec);
    stage.ask(member, ConsumerOp::Subscribe(vec![TOPIC.into()]).into());
    member
}

/// Adds a member that polls for an hour.
pub(super) fn polling(stage: &mut Stage, group: GroupSettings) -> ClientId {
    let member = member(stage, group);
    stage.ask(member, ConsumerOp::Consume { within: HOUR }.into());
    member
}

pub(super) fn share(stage: &Stage, member: ClientId) -> Vec<i32> {
    stage.world.client_positions(member).keys().map(|name| name.partition).collect()
}

/// Waits until members have all partitions among them, one each at least.
pub(super) fn settle(stage: &mut Stage, members: &[ClientId], total: usize) {
    stage.run_until("everybody's share", |world| {
        let shares: Vec<_> = members.iter().map(|member| world.client_positions(*member)).collect();
        let all: BTreeSet<_> = shares.iter().flat_map(BTreeMap::keys).collect();
        let stable = |member: &ClientId| world.client_member(*member).unwrap().state == MemberState::Stable;
        all.len() == total
            && shares.iter().map(BTreeMap::len).sum::<usize>() == total
            && shares.iter().all(|share| !share.is_empty())
            && members.iter().all(stable)
    });
}

pub(super) fn generation(stage: &Stage, member: ClientId) -> i32 {
    stage.world.client_member(member).unwrap().generation
}

pub(super) fn run_for(stage: &mut Stage, member: ClientId, within: Duration) -> OpId {
    let op = stage.ask(member, ConsumerOp::Consume { within }.into());
    stage.result(member, op).unwrap();
    op
}

pub(super) fn commit(stage: &mut Stage, member: ClientId) -> Result<OpValue, ClientError> {
    let op = stage.ask(member, ConsumerOp::Commit(None).into());
    stage.result(member, op)
}

pub(super) fn committed(stage: &mut Stage, member: ClientId) -> Option<i64> {
    let name = TopicPartition::new(TOPIC, 0);
    let op = stage.ask(member, ConsumerOp::Committed(vec![name.clone()]).into());
    match stage.result(member, op).unwrap() {
        OpValue::Committed(offsets) => offsets[&name].map(|committed| committed.offset),
        other => panic!("{other:?}"),
    }
}

/// What members gave up and took over: (client, given up, lost), or (client, taken over).
pub(super) fn moves(stage: &Stage, client: ClientId) -> Vec<String> {
    let numbers = |partitions: &[TopicPartition]| {
        let numbers: Vec<_> = partitions.iter().map(|name| name.partition.to_string()).collect();
        numbers.join(" ")
    };
    let events = stage.world.client_history().entries().filter(|entry| entry.client == client);
    events
        .filter_map(|entry| match &entry.event {
            HistoryEvent::Assigned { partitions, .. } => Some(format!("has {}", numbers(partitions))),
            HistoryEvent::Revoked { partitions, lost } => {
                Some(format!("{} {}", if *lost { "lost" } else { "gave up" }, numbers(partitions)))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn members_share_the_partitions_and_one_of_them_leads() {
    let mut stage = stage(1);
    let first = polling(&mut stage, settings());
    settle(&mut stage, &[first], 3);
    let second = polling(&mut stage, settings());
    settle(&mut stage, &[first, second], 3);
    let statuses = [first, second].map(|member| stage.world.client_member(member).unwrap());
    assert_eq!(statuses.iter().filter(|status| status.leads).count(), 1);
    assert_eq!(statuses[0].generation, statuses[1].generation);
    let mut shares = [share(&stage, first), share(&stage, second)];
    let has: Vec<_> = shares[0].iter().map(ToString::to_string).collect();
    assert_eq!(moves(&stage, first), ["has 0 1 2", "gave up 0 1 2", &format!("has {}", has.join(" "))]);
    shares.sort();
    assert_eq!(shares, [vec![0, 1], vec![2]]);
}

#[test]
fn a_member_that_vanishes_is_missed_after_its_session() {
    let mut stage = stage(2);
    let members = [polling(&mut stage, settings()), polling(&mut stage, settings())];
    settle(&mut stage, &members, 3);
    stage.command(Command::StopClient(members[1]));
    let before = stage.world.now();
    settle(&mut stage, &members[..1], 3);
    let took = stage.world.now().since(before);
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(9), "{took:?}");
}

#[test]
fn a_member_that_unsubscribes_is_missed_at_once() {
    let mut stage = stage(3);
    let (first, second) = (polling(&mut stage, settings()), member(&mut stage, settings()));
    stage.ask(second, ConsumerOp::Consume { within: Duration::from_secs(20) }.into());
    settle(&mut stage, &[first, second], 3);
    let leave = stage.ask(second, ConsumerOp::Unsubscribe.into());
    stage.result(second, leave).unwrap();
    let before = stage.world.now();
    settle(&mut stage, &[first], 3);
    assert!(stage.world.now().since(before) < Duration::from_secs(2));
    assert!(stage.world.client_member(second).unwrap().member_id.is_empty());
}

#[test]
fn offsets_are_committed_and_begun_from() {
    let mut stage = stage(4);
    let producer = stage.producer(ScriptedProducerSpec::default());
    for value in ["a", "b", "c"] {
        stage.sent(producer, value);
    }
    let first = member(&mut stage, settings());
    assert_eq!(committed(&mut stage, first), None);
    run_for(&mut stage, first, Duration::from_secs(5));
    commit(&mut stage, first).unwrap();
    assert_eq!(committed(&mut stage, first), Some(3));
    stage.command(Command::StopClient(first));
    stage.sent(producer, "d");
    let second = member(&mut stage, settings());
    let op = stage.ask(second, ConsumerOp::Poll { at_least: 1, within: HOUR }.into());
    let records = stage.result(second, op).unwrap().records().unwrap().to_vec();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [3]);
    let begun = stage
        .world
        .client_history()
        .entries()
        .any(|entry| matches!(entry.event, HistoryEvent::Positioned { to: 3, cause: "committed", .. }));
    assert!(begun);
}

#[test]
fn who_does_not_poll_in_time_is_out_and_cannot_commit() {
    let mut stage = stage(5);
    let slow = GroupSettings { max_poll_interval: Duration::from_secs(10), ..settings() };
    let (first, second) = (member(&mut stage, slow), polling(&mut stage, settings()));
    run_for(&mut stage, first, Duration::from_secs(5));
    settle(&mut stage, &[first, second], 3);
    // It heartbeats all the while, but does not poll.
    settle(&mut stage, &[second], 3);
    assert_eq!(stage.world.client_member(first).unwrap().state, MemberState::Unjoined);
    assert_eq!(commit(&mut stage, first).unwrap_err(), ClientError::CommitFailed { error: None });
    run_for(&mut stage, first, Duration::from_secs(5));
    settle(&mut stage, &[first, second], 3);
    assert!(moves(&stage, first)[1].starts_with("lost"), "{:?}", moves(&stage, first));
}

#[test]
fn a_commit_during_a_rebalance_is_told_so() {
    let mut stage = stage(6);
    let first = member(&mut stage, settings());
    run_for(&mut stage, first, Duration::from_secs(5));
    assert_eq!(generation(&stage, first), 1);
    // A newcomer waits for the first, which does not poll, and so does not join again.
    let _second = polling(&mut stage, settings());
    stage.run(Duration::from_secs(3));
    let error = commit(&mut stage, first);
    assert_eq!(error, Ok(OpValue::Done), "until all have joined, the old generation may commit");
    run_for(&mut stage, first, Duration::from_secs(5));
    assert_eq!(generation(&stage, first), 2);
}

#[test]
fn a_member_of_an_old_generation_is_told_and_joins_again() {
    let mut stage = stage(7);
    // It heartbeats so rarely that the coordinator gives it up, and does not know.
    let quiet = GroupSettings { heartbeat_interval: Duration::from_secs(30), ..settings() };
    let (first, second) = (member(&mut stage, quiet), polling(&mut stage, settings()));
    stage.run(SECOND);
    run_for(&mut stage, first, Duration::from_secs(1));
    settle(&mut stage, &[first, second], 3);
    settle(&mut stage, &[second], 3);
    let op = stage.ask(first, ConsumerOp::Commit(None).into());
    let error = stage.result(first, op).unwrap_err();
    assert_eq!(error, ClientError::CommitFailed { error: Some(ErrorCode::UnknownMemberId) });
    run_for(&mut stage, first, Duration::from_secs(3));
    settle(&mut stage, &[first, second], 3);
    assert!(moves(&stage, first).iter().any(|what| what.starts_with("lost")), "{:?}", moves(&stage, first));
}

#[test]
fn a_static_member_comes_back_unnoticed() {
    let mut stage = stage(8);
    let named = |name: &'static str| GroupSettings { instance_id: Some(name.into()), ..settings() };
    let members = [polling(&mut stage, named("a")), polling(&mut stage, named("b"))];
    settle(&mut stage, &members, 3);
    let before = generation(&stage, members[0]);
    stage.command(Command::StopClient(members[1]));
    stage.run(Duration::from_secs(2));
    let again = polling(&mut stage, named("b"));
    settle(&mut stage, &[members[0], again], 3);
    assert_eq!((generation(&stage, members[0]), generation(&stage, again)), (before, before));
    assert_eq!(moves(&stage, again), ["has 2"]);
}

#[test]
fn of_two_with_one_instance_id_the_first_is_fenced() {
    let mut stage = stage(9);
    let named = || GroupSettings { instance_id: Some("a".into()), ..settings() };
    let first = member(&mut stage, named());
    let op = stage.ask(first, ConsumerOp::Consume { within: HOUR }.into());
    settle(&mut stage, &[first], 3);
    let second = polling(&mut stage, named());
    let error = stage.result(first, op).unwrap_err();
    assert_eq!(error, ClientError::Broker(ErrorCode::FencedInstanceId));
    settle(&mut stage, &[second], 3);
}

#[test]
fn a_group_outlives_its_coordinator() {
    let mut stage = stage(10);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    let first = member(&mut stage, settings());
    run_for(&mut stage, first, Duration::from_secs(5));
    commit(&mut stage, first).unwrap();
    let coordinator = stage.world.client_member(first).unwrap().coordinator.unwrap();
    stage.command(Command::Crash(coordinator));
    assert_eq!(committed(&mut stage, first), Some(1));
    assert_ne!(stage.world.client_member(first).unwrap().coordinator, Some(coordinator));
    stage.sent(producer, "b");
    run_for(&mut stage, first, Duration::from_secs(20));
    commit(&mut stage, first).unwrap();
    assert_eq!(committed(&mut stage, first), Some(2));
}

#[test]
fn cooperative_members_keep_what_they_need_not_give_up() {
    let mut stage = stage(11);
    let cooperative = || GroupSettings { assignors: vec![Assignor::CooperativeSticky], ..settings() };
    let first = polling(&mut stage, cooperative());
    settle(&mut stage, &[first], 3);
    let second = polling(&mut stage, cooperative());
    settle(&mut stage, &[first, second], 3);
    assert_eq!(moves(&stage, first), ["has 0 1 2", "gave up 2", "has 0 1", "has 0 1"]);
    assert_eq!(moves(&stage, second), ["has ", "has 2"]);
}

#[test]
fn the_leader_notices_new_partitions() {
    let mut stage = stage(12);
    let mut spec =
        ScriptedConsumerSpec { group: Some(Box::new(settings())), ..ScriptedConsumerSpec::default() };
    spec.client.metadata_max_age = Duration::from_secs(5);
    let first = stage.consumer(spec);
    stage.ask(first, ConsumerOp::Subscribe(vec![TOPIC.into()]).into());
    stage.ask(first, ConsumerOp::Consume { within: HOUR }.into());
    settle(&mut stage, &[first], 3);
    let topic = CreatePartitionsTopic::default()
        .with_name(TopicName(TOPIC.into()))
        .with_count(5)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    stage.request(ApiKey::CreatePartitions, Request::CreatePartitions(request));
    settle(&mut stage, &[first], 5);
}

#[test]
fn a_consumer_without_a_group_is_told_so() {
    let mut stage = stage(13);
    let consumer = stage.consumer(ScriptedConsumerSpec::default());
    for op in [ConsumerOp::Subscribe(vec![TOPIC.into()]), ConsumerOp::Commit(None)] {
        let op = stage.ask(consumer, op.into());
        assert_eq!(stage.result(consumer, op).unwrap_err().name(), "UNSUPPORTED");
    }
}
