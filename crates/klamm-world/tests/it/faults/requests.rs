//! Faults of requests and their answers.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::{ApiKey, ErrorCode};
use klamm_world::fault::{Chance, RequestAction, RequestMatch};

use super::{once, partition, persistent};
use crate::scripted::{Stage, TOPIC};

fn produces() -> RequestMatch {
    RequestMatch::api(ApiKey::Produce).from_clients().topic(TOPIC)
}

#[test]
fn an_error_is_answered_and_nothing_is_handled() {
    let mut stage = Stage::with_topic(1, &[]);
    let producer = stage.warm_producer(once());
    let action = RequestAction::Error(ErrorCode::KafkaStorageError);
    let fault = stage.inject(produces().nth(1).then(action));
    assert_eq!(stage.refused(producer, "a"), "KAFKA_STORAGE_ERROR");
    assert_eq!(stage.partition().log_end(), Some(1));
    assert_eq!(stage.sent(producer, "b").base_offset, Some(1), "the fault is used up");
    assert_eq!(stage.fired(fault), 1);
    assert!(!stage.world.fault(fault).unwrap().armed);
}

#[test]
fn a_delayed_request_and_a_delayed_answer_take_longer() {
    for action in [RequestAction::Delay, RequestAction::DelayAnswer] {
        let mut stage = Stage::with_topic(2, &[]);
        let producer = stage.warm_producer(once());
        let fault = stage.inject(produces().then(action(Duration::from_millis(700))));
        let asked = stage.world.now();
        let op = stage.send(producer, "a");
        stage.run(Duration::from_millis(500));
        let is_appended = stage.partition().log_end() == Some(2);
        assert_eq!(is_appended, action(Duration::ZERO) == RequestAction::DelayAnswer(Duration::ZERO));
        stage.result(producer, op).unwrap();
        let took = stage.ended_at(producer, op).since(asked);
        assert!((700..710).contains(&took.as_millis()), "{took:?}");
        assert_eq!(stage.fired(fault), 1);
    }
}

#[test]
fn a_lost_acknowledgement_is_a_duplicate_unless_the_producer_is_idempotent() {
    for (idempotent, copies) in [(false, 2), (true, 1)] {
        let mut stage = Stage::with_topic(3, &[]);
        let producer = stage.warm_producer(persistent(idempotent));
        let fault = stage.inject(produces().nth(1).then(RequestAction::DropAnswer));
        let produced = stage.sent(producer, "a");
        assert_eq!((produced.attempts, stage.fired(fault)), (2, 1));
        assert_eq!(stage.partition().log_end(), Some(1 + copies), "idempotent: {idempotent}");
    }
}

#[test]
fn a_dropped_request_is_never_handled() {
    let mut stage = Stage::with_topic(4, &[]);
    let producer = stage.warm_producer(persistent(false));
    let fault = stage.inject(produces().nth(1).then(RequestAction::Drop));
    let op = stage.send(producer, "a");
    stage.run(Duration::from_millis(1_900));
    assert_eq!(stage.partition().log_end(), Some(1));
    let produced = stage.result(producer, op).unwrap().produced().unwrap().clone();
    assert_eq!((produced.base_offset, produced.attempts, stage.fired(fault)), (Some(1), 2, 1));
}

#[test]
fn a_connection_closes_before_or_after_the_request_is_handled() {
    for (action, end) in [(RequestAction::CloseBefore, 2), (RequestAction::CloseAfter, 3)] {
        let mut stage = Stage::with_topic(5, &[]);
        let producer = stage.warm_producer(persistent(false));
        let fault = stage.inject(produces().nth(1).then(action));
        let before = stage.world.now();
        assert_eq!(stage.sent(producer, "a").attempts, 2);
        assert!(stage.world.now().since(before) < Duration::from_secs(1), "nobody waits for a timeout");
        assert_eq!((stage.partition().log_end(), stage.fired(fault)), (Some(end), 1), "{action}");
    }
}

#[test]
fn a_held_request_and_a_held_answer_go_on_when_the_fault_is_healed() {
    for (action, end) in [(RequestAction::Hold, 1), (RequestAction::HoldAnswer, 2)] {
        let mut stage = Stage::with_topic(6, &[]);
        let producer = stage.warm_producer(once());
        let fault = stage.inject(produces().then(action));
        let op = stage.send(producer, "a");
        stage.run(Duration::from_secs(1));
        assert_eq!((stage.partition().log_end(), stage.held(fault)), (Some(end), 1), "{action}");
        assert!(stage.world.client_op(producer, op).unwrap().ended.is_none());
        stage.heal(fault);
        assert_eq!(stage.result(producer, op).unwrap().produced().unwrap().base_offset, Some(1));
        assert_eq!((stage.held(fault), stage.fired(fault)), (0, 1));
    }
}

#[test]
fn a_throttled_answer_and_a_damaged_one_reach_the_client_as_such() {
    let mut stage = Stage::with_topic(7, &[]);
    let producer = stage.warm_producer(persistent(true));
    let throttle = stage.inject(produces().nth(1).then(RequestAction::Throttle(Duration::from_secs(1))));
    assert_eq!(stage.sent(producer, "a").attempts, 1);
    assert_eq!(stage.fired(throttle), 1);
    // Its connection is muted for as long as the answer says (KIP-219); others are not.
    let throttled = stage.world.now();
    let op = stage.send(producer, "muted");
    let other = stage.producer(persistent(false));
    assert_eq!(stage.sent(other, "not muted").attempts, 1);
    assert!(stage.world.now().since(throttled) < Duration::from_millis(500));
    stage.result(producer, op).unwrap();
    let took = stage.ended_at(producer, op).since(throttled);
    assert!((990..1_010).contains(&took.as_millis()), "{took:?}");
    for action in [RequestAction::Truncate { bytes: 9 }, RequestAction::Corrupt { byte: 3, mask: 0 }] {
        let fault = stage.inject(produces().nth(1).then(action));
        assert_eq!(stage.sent(producer, "b").attempts, 2, "{action}: its connection breaks, it sends again");
        assert_eq!(stage.fired(fault), 1);
    }
}

#[test]
fn a_throttled_follower_asks_nothing_more_for_a_while() {
    let mut stage = Stage::with_topic(7, &[("min.insync.replicas", "2")]);
    let producer = stage.warm_producer(persistent(true));
    let by = Duration::from_secs(5);
    let on = RequestMatch::api(ApiKey::Fetch).from_node(NodeId(2)).topic_partition(&partition()).nth(1);
    let throttle = stage.inject(on.then(RequestAction::Throttle(by)));
    let first = stage.send(producer, "a");
    stage.run(Duration::from_secs(1));
    assert_eq!(stage.fired(throttle), 1);
    let end_of = |stage: &Stage, node: i32| stage.partition().logs[&NodeId(node)].log_end;
    let second = stage.send(producer, "b");
    stage.run(Duration::from_secs(3));
    // Only the fetcher's connection to this leader is quiet: the broker is heard of, and others follow.
    assert_eq!([1, 2, 3].map(|node| end_of(&stage, node)), [3, 2, 3]);
    stage.run(Duration::from_secs(2));
    assert_eq!([1, 2, 3].map(|node| end_of(&stage, node)), [3, 3, 3]);
    for op in [first, second] {
        stage.result(producer, op).unwrap();
    }
    // A throttled heartbeat is the last for as long as it says, and that ends the session.
    let on = RequestMatch::api(ApiKey::BrokerHeartbeat).from_node(NodeId(2)).nth(1);
    stage.inject(on.then(RequestAction::Throttle(Duration::from_secs(14))));
    stage.run(Duration::from_secs(13));
    assert_eq!(stage.partition().isr, [NodeId(1), NodeId(3)]);
    stage.run(Duration::from_secs(7));
    assert!(stage.partition().is_settled());
}

#[test]
fn a_follower_refuses_corrupt_records() {
    let mut stage = Stage::with_topic(8, &[]);
    let producer = stage.warm_producer(once());
    // Behind the header of the batch, where its checksum covers.
    let corrupt = RequestAction::Corrupt { byte: 70, mask: 0x10 };
    let on = RequestMatch::api(ApiKey::Fetch).from_node(NodeId(2)).topic_partition(&partition()).nth(1);
    let fault = stage.inject(on.then(corrupt));
    stage.sent(producer, "a");
    stage.run(Duration::from_secs(3));
    assert_eq!(stage.fired(fault), 1);
    assert!(stage.partition().is_settled(), "the follower fetched again: {}", stage.partition());
}

#[test]
fn requests_are_told_apart_by_everything_a_match_can_say() {
    let mut stage = Stage::with_topic(9, &[]);
    let action = RequestAction::Error(ErrorCode::NotLeaderOrFollower);
    let wrong = [
        RequestMatch::api(ApiKey::ListOffsets),
        produces().client_id("somebody else"),
        produces().to(NodeId(2)),
        produces().from_nodes(),
        produces().topic("u"),
        produces().partition(TOPIC, 1),
        produces().nth(100),
        produces().chance(Chance::percent(0)),
        produces().connection(klamm_node::ConnectionId(77)),
    ]
    .map(|on| stage.inject(on.then(action)));
    let producer = stage.warm_producer(once());
    stage.sent(producer, "a");
    for fault in wrong {
        assert_eq!(stage.fired(fault), 0, "{}", stage.world.fault(fault).unwrap());
    }
    assert_eq!(stage.world.inert_faults().len(), wrong.len());
    let right = produces().client_id("once").to(NodeId(1)).partition(TOPIC, 0).chance(Chance::percent(100));
    let fault = stage.inject(right.then(action));
    assert_eq!(stage.refused(producer, "b"), "NOT_LEADER_OR_FOLLOWER");
    assert_eq!(stage.fired(fault), 1);
}

#[test]
fn an_incremental_fetch_is_about_its_sessions_partitions() {
    let mut stage = Stage::with_topic(10, &[("replica.lag.time.max.ms", "1000")]);
    let producer = stage.warm_producer(once());
    let on = RequestMatch::api(ApiKey::Fetch).from_node(NodeId(3)).topic_partition(&partition());
    let fault = stage.inject(on.then(RequestAction::Hold));
    stage.run(Duration::from_secs(2));
    stage.sent(producer, "a");
    assert!(stage.fired(fault) >= 1);
    assert!(!stage.partition().isr.contains(&NodeId(3)), "{}", stage.partition());
    stage.heal(fault);
    stage.run_until("the follower's return", |world| world.partition(TOPIC, 0).unwrap().is_settled());
}

#[test]
fn a_chance_draws_from_the_faults_own_stream() {
    let hit = |with_other: bool| {
        let mut stage = Stage::with_topic(11, &[]);
        let producer = stage.warm_producer(once());
        if with_other {
            let other = RequestMatch::api(ApiKey::Metadata).chance(Chance::percent(50));
            stage.inject(other.then(RequestAction::Delay(Duration::from_millis(1))));
        } else {
            stage.inject(RequestMatch::api(ApiKey::DeleteTopics).to(NodeId(1)).then(RequestAction::Drop));
        }
        let on = produces().chance(Chance::percent(40));
        stage.inject(on.then(RequestAction::Error(ErrorCode::NotLeaderOrFollower)));
        let mut hits = String::new();
        for _ in 0..40 {
            let op = stage.send(producer, "x");
            hits.push(if stage.result(producer, op).is_ok() { '.' } else { 'x' });
        }
        hits
    };
    let hits = hit(true);
    assert!(hits.contains('.') && hits.contains('x'), "{hits}");
    assert_eq!(hits, hit(false));
}
