//! Client quotas (KIP-13, KIP-124, KIP-219, KIP-599): who is over one is served, told, and kept waiting.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use klamm_wire::messages::create_partitions_request::CreatePartitionsTopic;
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::describe_client_quotas_request::ComponentData;
use klamm_wire::messages::{
    AlterClientQuotasRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeClientQuotasRequest, ResponseKind,
};
use klamm_wire::{ErrorCode, StrBytes};
use klamm_world::Command;

use crate::cluster::{Cluster, Outcome, Sent, fetch, topic_name};

type Part = (&'static str, Option<&'static str>);

fn text(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn entry(parts: &[Part], key: &'static str, value: Option<f64>) -> EntryData {
    let parts = parts.iter().map(|(kind, name)| {
        EntityData::default().with_entity_type(text(kind)).with_entity_name(name.map(text))
    });
    let op = OpData::default()
        .with_key(text(key))
        .with_value(value.unwrap_or_default())
        .with_remove(value.is_none());
    EntryData::default().with_entity(parts.collect()).with_ops(vec![op])
}

/// Sets or removes a quota; the error and what is said of it.
fn try_alter(c: &mut Cluster, parts: &[Part], key: &'static str, value: Option<f64>) -> (ErrorCode, String) {
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry(parts, key, value)]);
    let ResponseKind::AlterClientQuotas(answer) = c.ask(1, 1, request) else { panic!("another answer") };
    let entry = &answer.entries[0];
    let message = entry.error_message.as_deref().unwrap_or_default().to_owned();
    (ErrorCode::from_code(entry.error_code).expect("a known code"), message)
}

fn alter(c: &mut Cluster, parts: &[Part], key: &'static str, value: Option<f64>) {
    assert_eq!(try_alter(c, parts, key, value), (ErrorCode::None, String::new()));
}

/// The quotas that a filter lets through: `user alice client-id <default>: producer_byte_rate=1`.
fn describe(
    c: &mut Cluster,
    broker: i32,
    filter: &[(&'static str, i8, Option<&'static str>)],
    strict: bool,
) -> Vec<String> {
    let components = filter.iter().map(|(kind, match_type, name)| {
        ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(*match_type)
            .with_match(name.map(text))
    });
    let request =
        DescribeClientQuotasRequest::default().with_components(components.collect()).with_strict(strict);
    let ResponseKind::DescribeClientQuotas(answer) = c.ask(broker, 1, request) else {
        panic!("another answer")
    };
    if answer.error_code != 0 {
        return vec![format!("{} {}", answer.error_code, answer.error_message.unwrap_or_default())];
    }
    let entries = answer.entries.unwrap_or_default();
    let line = |entry: &klamm_wire::messages::describe_client_quotas_response::EntryData| {
        let parts: Vec<_> = entry
            .entity
            .iter()
            .map(|part| {
                format!("{} {}", part.entity_type, part.entity_name.as_deref().unwrap_or("<default>"))
            })
            .collect();
        let values: Vec<_> =
            entry.values.iter().map(|value| format!("{}={}", value.key, value.value)).collect();
        format!("{}: {}", parts.join(" "), values.join(" "))
    };
    entries.iter().map(line).collect()
}

fn throttle_of(c: &Cluster, sent: Sent) -> i32 {
    match c.answer(sent) {
        ResponseKind::Produce(answer) => answer.throttle_time_ms,
        ResponseKind::CreateTopics(answer) => answer.throttle_time_ms,
        ResponseKind::CreatePartitions(answer) => answer.throttle_time_ms,
        ResponseKind::DeleteTopics(answer) => answer.throttle_time_ms,
        other => panic!("another answer: {other:?}"),
    }
}

/// Milliseconds until a request that was sent is done.
fn until_done(c: &mut Cluster, sent: Sent) -> u128 {
    let from = c.now;
    c.wait_for("an end", Duration::from_secs(100), |c| c.outcome(sent).is_some());
    (c.now - from).as_millis()
}

const TEST: &[Part] = &[("client-id", Some("test"))];

/// One broker, a topic, and a quota of a thousand bytes a second for the client `test`.
fn cluster(key: &'static str) -> Cluster {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    alter(&mut c, TEST, key, Some(1_000.0));
    c
}

/// What a Produce of the client `test` has beside a long value: 15 bytes of header, 20 of the request around its records, 61 of
/// the batch's head and 12 around the value.
const OVERHEAD: i32 = 108;

#[test]
fn a_produce_over_quota_is_done_and_answered_at_once_and_the_next_one_waits() {
    let mut c = cluster("producer_byte_rate");
    let value = "v".repeat(15_000);
    let first = c.send_produce(1, "t", 0, -1, &value);
    assert_eq!(c.produced(first).base_offset, 0, "answered in the same step");
    // Ten seconds' worth is free; what is above takes a second a thousand bytes.
    assert_eq!(throttle_of(&c, first), 5_000 + OVERHEAD);
    let second = c.send_produce(1, "t", 0, -1, "v");
    assert_eq!(c.outcome(second), None, "the channel is muted");
    assert_eq!(until_done(&mut c, second), 5_000 + OVERHEAD as u128);
    assert_eq!(c.produced(second).base_offset, 1);
    // Five seconds later the first one still counts, over ten seconds and what has passed of the present one.
    assert_eq!(throttle_of(&c, second), 15_000 + OVERHEAD + 104 - 10_108);
}

#[test]
fn without_an_answer_the_client_is_not_told_but_waits() {
    let mut c = cluster("producer_byte_rate");
    let first = c.send_produce(1, "t", 0, 0, &"v".repeat(15_000));
    assert_eq!(c.outcome(first), Some(&Outcome::NoResponse));
    let second = c.send_produce(1, "t", 0, 1, "v");
    assert_eq!(until_done(&mut c, second), 5_000 + OVERHEAD as u128);
}

#[test]
fn others_are_not_throttled_and_a_removed_quota_lets_go() {
    let mut c = cluster("producer_byte_rate");
    c.client_id = "another";
    let sent = c.send_produce(1, "t", 0, -1, &"v".repeat(15_000));
    assert_eq!(throttle_of(&c, sent), 0);
    c.client_id = "test";
    alter(&mut c, TEST, "producer_byte_rate", None);
    let sent = c.send_produce(1, "t", 0, -1, &"v".repeat(15_000));
    assert_eq!(throttle_of(&c, sent), 0);
}

#[test]
fn clients_of_one_user_share_the_users_quota() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    alter(&mut c, &[("user", None)], "producer_byte_rate", Some(1_000.0));
    c.client_id = "a";
    let sent = c.send_produce(1, "t", 0, -1, &"v".repeat(9_000));
    assert_eq!(throttle_of(&c, sent), 0);
    c.client_id = "b";
    let sent = c.send_produce(1, "t", 0, -1, &"v".repeat(9_000));
    assert!(throttle_of(&c, sent) > 8_000);
}

#[test]
fn each_broker_counts_alone_and_a_new_process_from_nothing() {
    let mut c = Cluster::start(2, &[]);
    c.create_assigned("one", &[1], &[]);
    c.create_assigned("two", &[2], &[]);
    alter(&mut c, TEST, "producer_byte_rate", Some(1_000.0));
    let value = "v".repeat(9_000);
    for (broker, topic) in [(1, "one"), (2, "two")] {
        let sent = c.send_produce(broker, topic, 0, -1, &value);
        assert_eq!(throttle_of(&c, sent), 0);
    }
    c.command(Command::Crash(NodeId(2)));
    c.command(Command::Start(NodeId(2)));
    c.run(Duration::from_secs(20));
    assert_eq!(c.leader("two", 0), 2);
    c.connect(2);
    assert_eq!(describe(&mut c, 2, &[], false), ["client-id test: producer_byte_rate=1000"]);
    let sent = c.send_produce(2, "two", 0, -1, &value);
    until_done(&mut c, sent);
    assert_eq!(throttle_of(&c, sent), 0);
    let sent = c.send_produce(2, "two", 0, -1, &value);
    until_done(&mut c, sent);
    assert!(throttle_of(&c, sent) > 8_000);
}

#[test]
fn a_fetch_over_quota_returns_nothing_and_is_not_counted() {
    let mut c = cluster("consumer_byte_rate");
    c.produce("t", 0, &"v".repeat(9_000));
    let first = c.send(1, 12, fetch("t", 0, 0, 0));
    let answer = c.fetched(first);
    assert_eq!((answer.throttle_time_ms, answer.topics.len()), (0, 1));
    let size = answer.size(12) as i32;
    let second = c.send(1, 12, fetch("t", 0, 0, 0));
    let answer = c.fetched(second);
    assert_eq!((answer.throttle_time_ms, answer.topics.len()), (2 * size - 10_000, 0));
    assert_eq!(answer.error_code, ErrorCode::None);
    let third = c.send(1, 12, fetch("t", 0, 0, 0));
    assert_eq!(until_done(&mut c, third), (2 * size - 10_000) as u128);
    // It was held back, not counted: the third runs into the first one only, which is forgotten in the end.
    let part_of_a_second = (2 * size - 10_000) % 1_000;
    assert_eq!(c.fetched(third).throttle_time_ms, 2 * size - 10_000 - part_of_a_second);
    let fourth = c.send(1, 12, fetch("t", 0, 0, 0));
    until_done(&mut c, fourth);
    assert_eq!((c.fetched(fourth).throttle_time_ms, c.fetched(fourth).topics.len()), (0, 1));
}

#[test]
fn a_session_is_told_later_what_a_throttled_answer_left_out() {
    let mut c = cluster("consumer_byte_rate");
    c.produce("t", 0, &"v".repeat(9_000));
    let first = c.send(1, 12, fetch("t", 0, 0, 0).with_session_epoch(0));
    let session = c.fetched(first).session_id;
    assert_ne!(session, 0);
    let again =
        |epoch| fetch("t", 0, 0, 0).with_session_id(session).with_session_epoch(epoch).with_topics(vec![]);
    let second = c.send(1, 12, again(1));
    let answer = c.fetched(second);
    assert!(answer.throttle_time_ms > 0 && answer.topics.is_empty());
    assert_eq!((answer.session_id, answer.error_code), (session, ErrorCode::None));
    c.run(Duration::from_secs(20));
    let third = c.send(1, 12, again(2));
    assert_eq!(
        c.fetched(third).topics[0].partitions[0].records.len(),
        c.fetched(first).topics[0].partitions[0].records.len()
    );
}

#[test]
fn no_fetch_asks_for_more_than_its_quota_ever_lets_through() {
    let mut c = cluster("consumer_byte_rate");
    for _ in 0..5 {
        c.produce("t", 0, &"v".repeat(3_000));
    }
    let sent = c.send(1, 12, fetch("t", 0, 0, 0));
    let answer = c.fetched(sent);
    assert_eq!(answer.throttle_time_ms, 0);
    let read: usize = answer.topics[0].partitions[0].records.iter().map(bytes::Bytes::len).sum();
    assert!((9_000..10_000).contains(&read), "three of the five: {read}");
}

fn create(c: &mut Cluster, version: i16, name: &'static str, partitions: i32) -> (Sent, ErrorCode) {
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let sent = c.send(1, version, request);
    c.wait_for("an answer", Duration::from_secs(60), |c| c.outcome(sent).is_some());
    let ResponseKind::CreateTopics(answer) = c.answer(sent) else { panic!("another answer") };
    (sent, ErrorCode::from_code(answer.topics[0].error_code).expect("a known code"))
}

#[test]
fn a_client_in_debt_of_partitions_is_refused_until_it_is_paid() {
    let mut c = Cluster::start(1, &[]);
    alter(&mut c, TEST, "controller_mutation_rate", Some(2.0));
    // Eleven seconds' worth is saved up. Who has one permit left may go into debt.
    let (sent, error) = create(&mut c, 7, "a", 30);
    assert_eq!((throttle_of(&c, sent), error), (0, ErrorCode::None));
    let (sent, error) = create(&mut c, 7, "b", 1);
    assert_eq!((throttle_of(&c, sent), error), (4_000, ErrorCode::ThrottlingQuotaExceeded));
    // The channel was muted for these four seconds, after which there is no debt left.
    let from = c.now;
    let (sent, error) = create(&mut c, 7, "b", 1);
    assert_eq!((throttle_of(&c, sent), error), (0, ErrorCode::None));
    assert_eq!((c.now - from).as_millis(), 4_000);
    let grown =
        CreatePartitionsTopic::default().with_name(topic_name("b")).with_count(3).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![grown]).with_timeout_ms(10_000);
    let sent = c.send(1, 3, request);
    let ResponseKind::CreatePartitions(answer) = c.answer(sent) else { panic!("another answer") };
    assert_eq!(answer.results[0].error_code, ErrorCode::ThrottlingQuotaExceeded.code());
    assert_eq!(throttle_of(&c, sent), 500);
    let request =
        DeleteTopicsRequest::default().with_topic_names(vec![topic_name("a")]).with_timeout_ms(10_000);
    let sent = c.send(1, 5, request.clone());
    assert_eq!(until_done(&mut c, sent), 500);
    let ResponseKind::DeleteTopics(answer) = c.answer(sent) else { panic!("another answer") };
    assert_eq!(answer.responses[0].error_code, 0);
    let (_, error) = create(&mut c, 7, "c", 1);
    assert_eq!(error, ErrorCode::ThrottlingQuotaExceeded, "thirty more partitions in debt");
}

#[test]
fn a_client_too_old_for_the_error_is_served_and_kept_waiting() {
    let mut c = Cluster::start(1, &[]);
    alter(&mut c, TEST, "controller_mutation_rate", Some(2.0));
    let (sent, error) = create(&mut c, 5, "a", 30);
    assert_eq!((throttle_of(&c, sent), error), (4_000, ErrorCode::None));
    let from = c.now;
    let (sent, error) = create(&mut c, 5, "b", 1);
    assert_eq!((throttle_of(&c, sent), error), (500, ErrorCode::None));
    assert_eq!((c.now - from).as_millis(), 4_000);
    c.client_id = "another";
    let (sent, error) = create(&mut c, 7, "d", 50);
    assert_eq!((throttle_of(&c, sent), error), (0, ErrorCode::None));
}

#[test]
fn quotas_are_described_by_exact_name_by_default_and_by_type() {
    let mut c = Cluster::start(2, &[]);
    let rate = "producer_byte_rate";
    alter(&mut c, &[("user", Some("u"))], rate, Some(1.0));
    alter(&mut c, &[("user", Some("u")), ("client-id", None)], rate, Some(2.0));
    alter(&mut c, &[("client-id", None)], rate, Some(3.0));
    alter(&mut c, &[("client-id", None)], "consumer_byte_rate", Some(4.0));
    let all = [
        "client-id <default>: consumer_byte_rate=4 producer_byte_rate=3",
        "client-id <default> user u: producer_byte_rate=2",
        "user u: producer_byte_rate=1",
    ];
    assert_eq!(describe(&mut c, 2, &[], false), all);
    assert_eq!(describe(&mut c, 2, &[], true), [""; 0]);
    assert_eq!(describe(&mut c, 1, &[("user", 0, Some("u"))], false), all[1..]);
    assert_eq!(describe(&mut c, 1, &[("user", 0, Some("u"))], true), all[2..]);
    assert_eq!(describe(&mut c, 1, &[("client-id", 1, None), ("user", 2, None)], false), all[1..2]);
    assert_eq!(describe(&mut c, 1, &[("client-id", 2, None)], true), all[..1]);
    assert_eq!(describe(&mut c, 1, &[("user", 1, None)], false), [""; 0]);
    for (filter, said) in [
        (("group", 2, None), "35 Unsupported entity type group"),
        (("", 2, None), "42 Invalid empty entity type."),
        (("user", 0, None), "42 Request specified MATCH_TYPE_EXACT, but set match string to null."),
        (("user", 3, None), "42 Unknown match type 3"),
    ] {
        assert_eq!(describe(&mut c, 1, &[filter], false), [said]);
    }
}

#[test]
fn what_is_no_quota_is_refused() {
    let mut c = Cluster::start(1, &[]);
    let invalid = |message: &str| (ErrorCode::InvalidRequest, message.to_owned());
    let user: &[Part] = &[("user", Some("u"))];
    for (parts, key, value, said) in [
        (user, "producer_byte_rate", 0.0, "Quota producer_byte_rate must be greater than 0"),
        (user, "producer_byte_rate", 1.5, "producer_byte_rate cannot be a fractional value."),
        (user, "producer_byte_rate", 1e19, "Proposed value for producer_byte_rate is too large for a LONG."),
        (user, "bytes", 1.0, "Invalid configuration key bytes"),
        (&[], "producer_byte_rate", 1.0, "Invalid empty client quota entity"),
        (&[("group", None)], "producer_byte_rate", 1.0, "Unhandled client quota entity type: group"),
        (&[("user", Some(""))], "producer_byte_rate", 1.0, "Empty user not supported"),
        (
            user,
            "request_percentage",
            50.0,
            "klamm does not enforce request_percentage, and so does not take it",
        ),
    ] {
        assert_eq!(try_alter(&mut c, parts, key, Some(value)), invalid(said));
    }
    assert_eq!(describe(&mut c, 1, &[], false), [""; 0]);
    // An entity that is named twice is answered once; what was said first of it holds.
    let twice =
        vec![entry(user, "producer_byte_rate", Some(5.0)), entry(user, "producer_byte_rate", Some(6.0))];
    let request = AlterClientQuotasRequest::default().with_entries(twice);
    let ResponseKind::AlterClientQuotas(answer) = c.ask(1, 1, request.clone().with_validate_only(true))
    else {
        panic!("another answer")
    };
    let message = "Ignoring duplicate entity ClientQuotaEntity(entries={user=u})";
    assert_eq!((answer.entries.len(), answer.entries[0].error_message.as_deref()), (1, Some(message)));
    assert_eq!(describe(&mut c, 1, &[], false), [""; 0], "it was only validated");
    c.ask(1, 1, request);
    assert_eq!(describe(&mut c, 1, &[], false), ["user u: producer_byte_rate=5"]);
}
