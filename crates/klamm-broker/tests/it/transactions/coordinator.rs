//! What the coordinator answers, one request after another.

use std::time::Duration;

use klamm_wire::ErrorCode;
use klamm_wire::messages::{FindCoordinatorResponse, ResponseKind};

use super::requests::*;
use crate::cluster::Cluster;

/// A cluster of one with topic `t`, and the coordinator of `tid`, which is broker 1.
fn one() -> Cluster {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 2, 1, &[]);
    assert_eq!(coordinator(&mut c, 1, "tid"), 1);
    c
}

#[test]
fn the_first_find_makes_the_topic_as_kafka_does() {
    let mut c = Cluster::start(3, &[]);
    let sent = send_find(&mut c, 1, "tid");
    let ResponseKind::FindCoordinator(FindCoordinatorResponse { coordinators, .. }) = c.answer(sent) else {
        panic!("another answer")
    };
    let found = &coordinators[0];
    assert_eq!(error(found.error_code), ErrorCode::None);
    assert_eq!((&*found.host, found.port), ("localhost", 9090 + found.node_id.0));
    let image = c.world.metadata().expect("there is a controller");
    let topic = image.topics.by_name(STATE).expect("it was made");
    assert_eq!(topic.partitions.len(), 50);
    let configs =
        image.configs.get(&klamm_metadata::ConfigResource::topic(s(STATE))).expect("it is configured");
    let configs: Vec<String> = configs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        configs,
        [
            "cleanup.policy=compact",
            "compression.type=uncompressed",
            "min.insync.replicas=2",
            "segment.bytes=104857600",
            "unclean.leader.election.enable=false"
        ]
    );
    assert_eq!(c.status(STATE, 0).replicas.len(), 3);
}

#[test]
fn a_producer_begins_and_another_one_takes_its_place() {
    let mut c = one();
    let (id, epoch) = init(&mut c, 1, "tid");
    assert_eq!(epoch, 0);
    assert_eq!(init(&mut c, 1, "tid"), (id, 1));
    let other = init(&mut c, 1, "other");
    assert_eq!(other.1, 0);
    assert_ne!(other.0, id);
    assert_eq!(state(&mut c, 1, "tid"), format!("Empty {id}:1"));
    // The first producer is fenced wherever it turns.
    assert_eq!(add(&mut c, 1, "tid", (id, 0), "t"), ErrorCode::ProducerFenced);
    assert_eq!(add_as(&mut c, 1, 1, "tid", (id, 0), &[("t", 0)]), [ErrorCode::InvalidProducerEpoch]);
    assert_eq!(add_offsets(&mut c, 1, 4, "tid", (id, 0), "g"), ErrorCode::ProducerFenced);
    assert_eq!(add_offsets(&mut c, 1, 1, "tid", (id, 0), "g"), ErrorCode::InvalidProducerEpoch);
    assert_eq!(end_as(&mut c, 1, 4, "tid", (id, 0), true), Err(ErrorCode::ProducerFenced));
    assert_eq!(end_as(&mut c, 1, 1, "tid", (id, 0), true), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(end_as(&mut c, 1, 5, "tid", (id, 0), true), Err(ErrorCode::ProducerFenced));
    assert_eq!(state(&mut c, 1, "tid"), format!("Empty {id}:1"));
}

#[test]
fn a_producer_recovers_with_its_own_epoch_and_no_other() {
    let mut c = one();
    let (id, _) = init(&mut c, 1, "tid");
    let mut recover = |version, producer| init_as(&mut c, 1, version, init_request("tid", 60_000, producer));
    assert_eq!(recover(5, (id, 0)), Ok((id, 1)));
    assert_eq!(recover(5, (id, 0)), Ok((id, 1)), "asked again, it gets the same");
    assert_eq!(recover(5, (id, 1)), Ok((id, 2)));
    assert_eq!(recover(5, (id, 0)), Err(ErrorCode::ProducerFenced));
    assert_eq!(recover(3, (id, 0)), Err(ErrorCode::InvalidProducerEpoch));
    assert_eq!(recover(5, (id + 1000, 2)), Err(ErrorCode::ProducerFenced));
    assert_eq!(recover(5, (id, 7)), Err(ErrorCode::ProducerFenced), "an epoch from the future");
    assert_eq!(recover(5, (id, -1)), Err(ErrorCode::InvalidRequest));
    assert_eq!(recover(5, (-1, 2)), Err(ErrorCode::InvalidRequest));
    assert_eq!(recover(5, (id, i16::MAX)), Err(ErrorCode::ProducerFenced));
    assert_eq!(state(&mut c, 1, "tid"), format!("Empty {id}:2"));
}

#[test]
fn timeouts_have_bounds() {
    let mut c = Cluster::start(1, &[("transaction.max.timeout.ms", "1000")]);
    assert_eq!(coordinator(&mut c, 1, "tid"), 1);
    for (timeout, expected) in [
        (1001, Some(ErrorCode::InvalidTransactionTimeout)),
        (i32::MAX, Some(ErrorCode::InvalidTransactionTimeout)),
        (0, Some(ErrorCode::InvalidTransactionTimeout)),
        (-1, Some(ErrorCode::InvalidTransactionTimeout)),
        (i32::MIN, Some(ErrorCode::InvalidTransactionTimeout)),
        (1000, None),
    ] {
        assert_eq!(
            init_as(&mut c, 1, 5, init_request("tid", timeout, (-1, -1))).err(),
            expected,
            "{timeout}"
        );
    }
    assert_eq!(init_as(&mut c, 1, 5, init_request("", 1000, (-1, -1))), Err(ErrorCode::InvalidRequest));
}

#[test]
fn requests_that_make_no_sense_change_nothing() {
    let mut c = one();
    let producer = init(&mut c, 1, "tid");
    let before = state(&mut c, 1, "tid");
    let stranger = (producer.0 + 1000, 0);
    assert_eq!(add(&mut c, 1, "nobody", producer, "t"), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(add(&mut c, 1, "tid", stranger, "t"), ErrorCode::InvalidProducerIdMapping);
    assert_eq!(add(&mut c, 1, "tid", (producer.0, 5), "t"), ErrorCode::ProducerFenced);
    assert_eq!(add(&mut c, 1, "tid", (producer.0, -1), "t"), ErrorCode::ProducerFenced);
    assert_eq!(add(&mut c, 1, "", producer, "t"), ErrorCode::InvalidRequest);
    // One partition that does not exist, and none is added.
    assert_eq!(
        add_as(&mut c, 1, 3, "tid", producer, &[("t", 0), ("t", 2), ("u", 0), ("t", -1)]),
        [
            ErrorCode::OperationNotAttempted,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownTopicOrPartition,
            ErrorCode::UnknownTopicOrPartition
        ]
    );
    for version in [4, 5] {
        let mut end = |id: &str, producer, commit| end_as(&mut c, 1, version, id, producer, commit);
        assert_eq!(end("nobody", producer, true), Err(ErrorCode::InvalidProducerIdMapping));
        assert_eq!(end("", producer, true), Err(ErrorCode::InvalidRequest));
        assert_eq!(end("tid", stranger, true), Err(ErrorCode::InvalidProducerIdMapping));
        assert_eq!(end("tid", (producer.0, 5), false), Err(ErrorCode::ProducerFenced));
        assert_eq!(end("tid", (producer.0, i16::MAX), false), Err(ErrorCode::ProducerFenced));
        assert_eq!(end("tid", (producer.0, i16::MIN), false), Err(ErrorCode::ProducerFenced));
        assert_eq!(end("tid", producer, true), Err(ErrorCode::InvalidTxnState), "nothing to commit");
    }
    assert_eq!(end_as(&mut c, 1, 4, "tid", producer, false), Err(ErrorCode::InvalidTxnState));
    assert_eq!(add_batch(&mut c, 1, vec![]), []);
    assert_eq!(state(&mut c, 1, "tid"), before);
    assert_eq!(state(&mut c, 1, "nobody"), "TRANSACTIONAL_ID_NOT_FOUND");
    assert_eq!(state(&mut c, 1, ""), "INVALID_REQUEST");
}

#[test]
fn brokers_ask_about_several_transactions_at_once() {
    let mut c = one();
    let first = init(&mut c, 1, "first");
    let second = init(&mut c, 1, "second");
    assert_eq!(add(&mut c, 1, "first", first, "t"), ErrorCode::None);
    let answers = add_batch(
        &mut c,
        1,
        vec![
            transaction("first", first, true, &[("t", 0), ("t", 1)]),
            transaction("second", second, true, &[("t", 0)]),
            transaction("second", second, false, &[("t", 1)]),
            transaction("first", (first.0, 9), true, &[("t", 0)]),
            transaction("nobody", first, true, &[("t", 0)]),
            transaction("first", first, true, &[("u", 0), ("t", 0)]),
        ],
    );
    use ErrorCode as E;
    let expected: [(&str, &[E]); 6] = [
        ("first", &[E::None, E::TransactionAbortable]),
        ("second", &[E::TransactionAbortable]),
        ("second", &[E::None]),
        ("first", &[E::ProducerFenced]),
        ("nobody", &[E::InvalidProducerIdMapping]),
        ("first", &[E::UnknownTopicOrPartition, E::OperationNotAttempted]),
    ];
    let expected: Vec<_> = expected.iter().map(|(id, errors)| ((*id).to_owned(), errors.to_vec())).collect();
    assert_eq!(answers, expected);
    assert_eq!(state(&mut c, 1, "first"), format!("Ongoing {}:0 t[0]", first.0));
    assert_eq!(state(&mut c, 1, "second"), format!("Ongoing {}:0 t[1]", second.0));
}

#[test]
fn offsets_join_as_a_partition_of_their_topic() {
    let mut c = Cluster::start(1, &[("offsets.topic.num.partitions", "5")]);
    assert_eq!(coordinator(&mut c, 1, "tid"), 1);
    let producer = init(&mut c, 1, "tid");
    assert_eq!(add_offsets(&mut c, 1, 4, "tid", producer, "hello"), ErrorCode::None);
    // "hello".hashCode() is 99162322.
    assert_eq!(state(&mut c, 1, "tid"), format!("Ongoing {}:0 __consumer_offsets[2]", producer.0));
}

#[test]
fn with_kip_890_a_producer_aborts_what_never_began() {
    let mut c = one();
    let (id, _) = init(&mut c, 1, "tid");
    assert_eq!(end_as(&mut c, 1, 5, "tid", (id, 0), false), Ok((id, 1)));
    wait_for_state(&mut c, 1, "tid", &format!("CompleteAbort {id}:1"));
    assert_eq!(end_as(&mut c, 1, 5, "tid", (id, 0), false), Ok((id, 1)), "asked again");
    assert_eq!(end_as(&mut c, 1, 5, "tid", (id, 0), true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(end_as(&mut c, 1, 5, "tid", (id, 1), false), Ok((id, 2)), "and once more");
    assert_eq!(end_as(&mut c, 1, 5, "tid", (id, 2), true), Err(ErrorCode::InvalidTxnState));
    wait_for_state(&mut c, 1, "tid", &format!("CompleteAbort {id}:2"));
}

#[test]
fn transactions_are_listed_by_state_producer_duration_and_pattern() {
    let mut c = one();
    let a = init(&mut c, 1, "a");
    assert_eq!(add(&mut c, 1, "a", a, "t"), ErrorCode::None);
    c.run(Duration::from_secs(10));
    let b = init(&mut c, 1, "b");
    assert_eq!(add(&mut c, 1, "b", b, "t"), ErrorCode::None);
    let d = init(&mut c, 1, "d");
    let (a_line, b_line) = (format!("a {} Ongoing", a.0), format!("b {} Ongoing", b.0));
    let d_line = format!("d {} Empty", d.0);
    let all = vec![a_line.clone(), b_line.clone(), d_line.clone()];
    let mut listed = |states: &[&str], producers: &[i64], duration, pattern| {
        list(&mut c, 1, states, producers, duration, pattern)
    };
    assert_eq!(listed(&[], &[], -1, None), Ok((all.clone(), vec![])));
    assert_eq!(listed(&["Ongoing"], &[], -1, None), Ok((vec![a_line.clone(), b_line.clone()], vec![])));
    assert_eq!(
        listed(&["Empty", "empty"], &[], -1, None),
        Ok((vec![d_line.clone()], vec!["empty".to_owned()]))
    );
    assert_eq!(listed(&[], &[b.0, 12_345], -1, None), Ok((vec![b_line], vec![])));
    assert_eq!(listed(&["Ongoing"], &[], 9_000, None), Ok((vec![a_line.clone()], vec![])));
    assert_eq!(listed(&["Nonsense"], &[], -1, None), Ok((vec![], vec!["Nonsense".to_owned()])));
    assert_eq!(listed(&[], &[], i64::MIN, Some("")), Ok((all, vec![])));
    assert_eq!(listed(&[], &[], -1, Some("[ad]")), Ok((vec![a_line, d_line], vec![])));
    assert_eq!(listed(&[], &[], -1, Some("(")), Err(ErrorCode::InvalidRegularExpression));
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let hour = Duration::from_secs(3600);
    let mut c = Cluster::start(1, &[("transactional.id.expiration.ms", "7200000")]);
    c.create_topic("t", 1, 1, &[]);
    assert_eq!(coordinator(&mut c, 1, "idle"), 1);
    c.run(Duration::from_secs(1));
    let (idle, _) = init(&mut c, 1, "idle");
    c.run(hour + hour / 2);
    let busy = init(&mut c, 1, "busy");
    c.run(hour);
    assert_eq!(state(&mut c, 1, "idle"), format!("Empty {idle}:0"), "not before the next sweep");
    c.run(hour);
    assert_eq!(state(&mut c, 1, "idle"), "TRANSACTIONAL_ID_NOT_FOUND");
    assert_eq!(state(&mut c, 1, "busy"), format!("Empty {}:0", busy.0));
    // Its name begins again with another producer.
    let again = init(&mut c, 1, "idle");
    assert_eq!((again.1, again.0 > busy.0), (0, true));
}
