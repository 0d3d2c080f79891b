//! Members of a group that speak the consumer protocol (KIP-848): alone, and beside members that do not.

use std::time::Duration;

use klamm_wire::{ErrorCode, KafkaVersion};
use klamm_world::scripted::{
    ClientError, ConsumerOp, GroupProtocol, GroupSettings, HistoryEvent, MemberState, OpValue,
    ScriptedProducerSpec,
};
use klamm_world::{ClientId, Command};

use super::Stage;
use super::group::{
    HOUR, SECOND, commit, committed, generation, member, moves, polling, run_for, settings as classic,
    settle, share, stage,
};

fn modern() -> GroupSettings {
    GroupSettings { protocol: GroupProtocol::Consumer, ..classic() }
}

fn named(name: &'static str) -> GroupSettings {
    GroupSettings { instance_id: Some(name.into()), ..modern() }
}

fn kind(stage: &Stage) -> &'static str {
    stage.world.groups()[b"g".as_slice()].group.kind
}

fn state(stage: &Stage, member: ClientId) -> MemberState {
    stage.world.client_member(member).unwrap().state
}

#[test]
fn the_coordinator_shares_the_partitions_out() {
    let mut stage = stage(1);
    let first = polling(&mut stage, modern());
    settle(&mut stage, &[first], 3);
    let alone = generation(&stage, first);
    let second = polling(&mut stage, modern());
    settle(&mut stage, &[first, second], 3);
    assert_eq!(kind(&stage), "consumer");
    assert!(generation(&stage, first) > alone && generation(&stage, second) > alone);
    let kept = share(&stage, first);
    assert_eq!((kept.len(), share(&stage, second).len()), (2, 1));
    // It gives one up, and goes on reading the others.
    let text = |partitions: &[i32]| {
        let numbers: Vec<_> = partitions.iter().map(ToString::to_string).collect();
        numbers.join(" ")
    };
    let (kept, given_up) = (text(&kept), text(&share(&stage, second)));
    assert_eq!(
        moves(&stage, first),
        ["has 0 1 2".to_owned(), format!("gave up {given_up}"), format!("has {kept}")]
    );
}

#[test]
fn an_assignor_of_the_coordinator_is_asked_for() {
    let mut stage = stage(2);
    let ranged = GroupSettings { remote_assignor: Some("range".into()), ..modern() };
    let members = [polling(&mut stage, ranged.clone()), polling(&mut stage, ranged)];
    settle(&mut stage, &members, 3);
    assert_eq!(stage.world.groups()[b"g".as_slice()].group.protocol.as_deref(), Some("range"));
    let unknown = GroupSettings { remote_assignor: Some("magic".into()), ..modern() };
    let third = member(&mut stage, unknown);
    let op = stage.ask(third, ConsumerOp::Poll { at_least: 1, within: HOUR }.into());
    assert_eq!(stage.result(third, op).unwrap_err(), ClientError::Broker(ErrorCode::UnsupportedAssignor));
}

#[test]
fn a_member_that_vanishes_is_missed_after_the_coordinators_session_timeout() {
    let mut stage = stage(3);
    let members = [polling(&mut stage, modern()), polling(&mut stage, modern())];
    settle(&mut stage, &members, 3);
    stage.command(Command::StopClient(members[1]));
    let before = stage.world.now();
    settle(&mut stage, &members[..1], 3);
    let took = stage.world.now().since(before);
    assert!(took > Duration::from_secs(38) && took < Duration::from_secs(55), "{took:?}");
}

#[test]
fn a_member_that_unsubscribes_is_missed_at_once() {
    let mut stage = stage(4);
    let (first, second) = (polling(&mut stage, modern()), member(&mut stage, modern()));
    stage.ask(second, ConsumerOp::Consume { within: Duration::from_secs(20) }.into());
    settle(&mut stage, &[first, second], 3);
    let leave = stage.ask(second, ConsumerOp::Unsubscribe.into());
    stage.result(second, leave).unwrap();
    let before = stage.world.now();
    settle(&mut stage, &[first], 3);
    assert!(stage.world.now().since(before) < Duration::from_secs(6));
    assert_eq!((state(&stage, second), generation(&stage, second)), (MemberState::Unjoined, -1));
    // The same member may come again.
    let again = stage.ask(second, ConsumerOp::Subscribe(vec![super::TOPIC.into()]).into());
    stage.result(second, again).unwrap();
    stage.ask(second, ConsumerOp::Consume { within: HOUR }.into());
    settle(&mut stage, &[first, second], 3);
}

#[test]
fn offsets_are_committed_under_the_member_epoch() {
    let mut stage = stage(5);
    let producer = stage.producer(ScriptedProducerSpec::default());
    for value in ["a", "b", "c"] {
        stage.sent(producer, value);
    }
    let first = member(&mut stage, modern());
    run_for(&mut stage, first, Duration::from_secs(5));
    let epoch = generation(&stage, first);
    commit(&mut stage, first).unwrap();
    assert_eq!(committed(&mut stage, first), Some(3));
    let under = stage.world.client_history().entries().find_map(|entry| match entry.event {
        HistoryEvent::Committed { generation, .. } => Some(generation),
        _ => None,
    });
    assert_eq!(under, Some(epoch));
    stage.command(Command::StopClient(first));
    stage.sent(producer, "d");
    let second = member(&mut stage, modern());
    let op = stage.ask(second, ConsumerOp::Poll { at_least: 1, within: HOUR }.into());
    let records = stage.result(second, op).unwrap().records().unwrap().to_vec();
    assert_eq!(records.iter().map(|record| record.offset).collect::<Vec<_>>(), [3]);
}

#[test]
fn who_does_not_poll_in_time_leaves_and_joins_again() {
    let mut stage = stage(6);
    let slow = GroupSettings { max_poll_interval: Duration::from_secs(10), ..modern() };
    let (first, second) = (member(&mut stage, slow), polling(&mut stage, modern()));
    run_for(&mut stage, first, Duration::from_secs(12));
    settle(&mut stage, &[first, second], 3);
    // It heartbeats all the while, but does not poll.
    settle(&mut stage, &[second], 3);
    assert_eq!(state(&stage, first), MemberState::Stale);
    assert!(moves(&stage, first).last().unwrap().starts_with("lost"), "{:?}", moves(&stage, first));
    run_for(&mut stage, first, Duration::from_secs(12));
    settle(&mut stage, &[first, second], 3);
}

#[test]
fn a_member_that_the_coordinator_has_given_up_hears_of_it_and_joins_again() {
    let mut stage = stage(7);
    let (first, second) = (member(&mut stage, modern()), polling(&mut stage, modern()));
    run_for(&mut stage, first, Duration::from_secs(12));
    settle(&mut stage, &[first, second], 3);
    // Nothing of it gets through for longer than its session.
    let coordinator = stage.world.client_member(first).unwrap().coordinator.unwrap();
    let node = stage.world.client_node(first).unwrap();
    let late = klamm_world::LinkSettings { latency: Duration::from_secs(60), jitter: Duration::ZERO };
    stage.command(Command::SetLink { from: node, to: coordinator, link: late });
    settle(&mut stage, &[second], 3);
    let op = stage.ask(first, ConsumerOp::Commit(None).into());
    let quick = klamm_world::LinkSettings { latency: Duration::from_millis(1), jitter: Duration::ZERO };
    stage.command(Command::SetLink { from: node, to: coordinator, link: quick });
    let error = stage.result(first, op).unwrap_err();
    assert_eq!(error, ClientError::CommitFailed { error: Some(ErrorCode::UnknownMemberId) });
    run_for(&mut stage, first, Duration::from_secs(30));
    settle(&mut stage, &[first, second], 3);
    assert!(moves(&stage, first).iter().any(|what| what.starts_with("lost")), "{:?}", moves(&stage, first));
}

#[test]
fn a_static_member_that_says_it_will_be_back_finds_its_share() {
    let mut stage = stage(8);
    let first = polling(&mut stage, named("a"));
    let second = member(&mut stage, named("b"));
    stage.ask(second, ConsumerOp::Consume { within: Duration::from_secs(20) }.into());
    settle(&mut stage, &[first, second], 3);
    let (before, had) = (moves(&stage, first).len(), share(&stage, second));
    let leave = stage.ask(second, ConsumerOp::Unsubscribe.into());
    stage.result(second, leave).unwrap();
    stage.command(Command::StopClient(second));
    stage.run(Duration::from_secs(10));
    let again = polling(&mut stage, named("b"));
    settle(&mut stage, &[first, again], 3);
    assert_eq!((moves(&stage, first).len(), share(&stage, again)), (before, had), "nobody else moved");
}

#[test]
fn of_two_with_one_instance_id_the_second_is_refused() {
    let mut stage = stage(9);
    let first = polling(&mut stage, named("a"));
    settle(&mut stage, &[first], 3);
    let second = member(&mut stage, named("a"));
    let op = stage.ask(second, ConsumerOp::Consume { within: HOUR }.into());
    let error = stage.result(second, op).unwrap_err();
    assert_eq!(error, ClientError::Broker(ErrorCode::UnreleasedInstanceId));
    settle(&mut stage, &[first], 3);
}

#[test]
fn a_group_outlives_its_coordinator() {
    let mut stage = stage(10);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    let first = member(&mut stage, modern());
    run_for(&mut stage, first, Duration::from_secs(5));
    commit(&mut stage, first).unwrap();
    let (epoch, had) = (generation(&stage, first), moves(&stage, first));
    let coordinator = stage.world.client_member(first).unwrap().coordinator.unwrap();
    stage.command(Command::Crash(coordinator));
    assert_eq!(committed(&mut stage, first), Some(1));
    assert_ne!(stage.world.client_member(first).unwrap().coordinator, Some(coordinator));
    run_for(&mut stage, first, Duration::from_secs(20));
    assert_eq!((generation(&stage, first), moves(&stage, first)), (epoch, had), "nothing changed for it");
    stage.sent(producer, "b");
    run_for(&mut stage, first, Duration::from_secs(20));
    commit(&mut stage, first).unwrap();
    assert_eq!(committed(&mut stage, first), Some(2));
}

#[test]
fn a_classic_group_is_taken_over_member_by_member_and_given_back() {
    let mut stage = stage(11);
    let first = polling(&mut stage, classic());
    let second = member(&mut stage, classic());
    stage.ask(second, ConsumerOp::Consume { within: Duration::from_secs(10) }.into());
    settle(&mut stage, &[first, second], 3);
    assert_eq!(kind(&stage), "classic");
    let newcomer = member(&mut stage, modern());
    stage.ask(newcomer, ConsumerOp::Consume { within: Duration::from_secs(30) }.into());
    let leave = stage.ask(second, ConsumerOp::Unsubscribe.into());
    stage.result(second, leave).unwrap();
    settle(&mut stage, &[first, newcomer], 3);
    assert_eq!(kind(&stage), "consumer");
    // When the last of the new kind leaves, the group is a classic one again.
    let leave = stage.ask(newcomer, ConsumerOp::Unsubscribe.into());
    stage.result(newcomer, leave).unwrap();
    stage.run_until("the way back", |world| world.groups()[b"g".as_slice()].group.kind == "classic");
    settle(&mut stage, &[first], 3);
}

#[test]
fn a_cluster_without_the_protocol_says_so() {
    let mut stage = Stage::of_release(KafkaVersion::V3_6, 12, &[]);
    stage.create_topic(super::TOPIC, &[&[1, 2, 3]]);
    let first = member(&mut stage, modern());
    let op = stage.ask(first, ConsumerOp::Poll { at_least: 1, within: HOUR }.into());
    let error = stage.result(first, op).unwrap_err();
    assert_eq!(error, ClientError::Broker(ErrorCode::UnsupportedVersion));
    let op = stage.ask(first, ConsumerOp::Poll { at_least: 1, within: SECOND }.into());
    assert!(!matches!(stage.result(first, op), Ok(OpValue::Records(_))), "it is told again");
}
