//! What a consumer reads, and what it is told.

use std::time::Duration;

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::{DeleteRecordsRequest, TopicName};
use klamm_wire::{ApiKey, Request};
use klamm_world::scripted::{
    ClientError, ClientOp, ConsumerOp, HistoryEvent, OffsetReset, OpValue, RequestOp, ScriptedConsumerSpec,
    ScriptedProducerSpec, SeekTo, SendOp, Target,
};
use klamm_world::{ClientId, Command};

use super::{Stage, TOPIC};

const MINUTE: Duration = Duration::from_secs(60);
const UNCLEAN: &[(&str, &str)] = &[
    ("min.insync.replicas", "1"),
    ("unclean.leader.election.enable", "true"),
    ("replica.lag.time.max.ms", "1000"),
];

fn partition() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

fn reset(auto_offset_reset: OffsetReset) -> ScriptedConsumerSpec {
    ScriptedConsumerSpec { auto_offset_reset, ..ScriptedConsumerSpec::default() }
}

fn assigned(stage: &mut Stage, spec: ScriptedConsumerSpec) -> ClientId {
    let consumer = stage.consumer(spec);
    stage.ask(consumer, ConsumerOp::Assign(vec![partition()]).into());
    consumer
}

/// Polls for so many records, a minute at most: their values.
fn poll(stage: &mut Stage, consumer: ClientId, at_least: u64) -> Result<String, ClientError> {
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least, within: MINUTE }.into());
    let value = stage.result(consumer, op)?;
    let values = value.records().unwrap().iter().map(|record| record.value.clone().unwrap());
    Ok(values.map(|value| String::from_utf8(value.to_vec()).unwrap()).collect())
}

fn seek(stage: &mut Stage, consumer: ClientId, to: SeekTo) {
    let op = stage.ask(consumer, ConsumerOp::Seek { partition: partition(), to }.into());
    stage.result(consumer, op).unwrap();
}

fn position(stage: &Stage, consumer: ClientId) -> Option<i64> {
    stage.world.client_positions(consumer)[&partition()]
}

#[test]
fn records_come_in_order_with_all_that_is_known_of_them() {
    let mut stage = Stage::with_topic(1, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    for value in ["a", "b", "c"] {
        stage.sent(producer, value);
    }
    let consumer = assigned(&mut stage, reset(OffsetReset::Earliest));
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least: 3, within: MINUTE }.into());
    let records = stage.result(consumer, op).unwrap().records().unwrap().to_vec();
    let seen: Vec<_> = records.iter().map(|r| (r.offset, r.leader_epoch, r.value.clone().unwrap())).collect();
    assert_eq!(seen, [(0, 0, "a".into()), (1, 0, "b".into()), (2, 0, "c".into())]);
    assert!(records[0].timestamp > 1_700_000_000_000);
    assert_eq!(position(&stage, consumer), Some(3));
    let reads = stage.world.client_history().entries().filter_map(|entry| match &entry.event {
        HistoryEvent::Read { offset, visible_end, from, .. } => Some((*offset, *visible_end, *from)),
        _ => None,
    });
    assert_eq!(reads.collect::<Vec<_>>(), [(0, 3, NodeId(1)), (1, 3, NodeId(1)), (2, 3, NodeId(1))]);
}

#[test]
fn a_poll_waits_for_what_is_not_there_yet() {
    let mut stage = Stage::with_topic(2, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    let consumer = assigned(&mut stage, reset(OffsetReset::Latest));
    let asked = stage.world.now();
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least: 1, within: Duration::from_secs(3) }.into());
    assert_eq!(stage.result(consumer, op), Ok(OpValue::Records(Vec::new())));
    assert_eq!(stage.ended_at(consumer, op).since(asked), Duration::from_secs(3));
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least: 1, within: MINUTE }.into());
    stage.run(Duration::from_secs(5));
    stage.sent(producer, "b");
    assert_eq!(stage.result(consumer, op).unwrap().records().unwrap().len(), 1);
}

#[test]
fn a_round_of_a_poll_brings_at_most_max_poll_records() {
    let mut stage = Stage::with_topic(3, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    for value in ["a", "b", "c", "d", "e"] {
        stage.sent(producer, value);
    }
    let spec = ScriptedConsumerSpec { max_poll_records: 2, ..reset(OffsetReset::Earliest) };
    let consumer = assigned(&mut stage, spec);
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "ab");
    assert_eq!(position(&stage, consumer), Some(2));
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "cd");
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "e");
}

#[test]
fn without_a_reset_policy_there_must_be_a_place_to_begin() {
    let mut stage = Stage::with_topic(4, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    for value in ["a", "b"] {
        stage.sent(producer, value);
    }
    let consumer = assigned(&mut stage, reset(OffsetReset::None));
    assert_eq!(poll(&mut stage, consumer, 1).unwrap_err().name(), "NO_OFFSET_FOR_PARTITION");
    seek(&mut stage, consumer, SeekTo::offset(7));
    let error = poll(&mut stage, consumer, 1).unwrap_err();
    assert_eq!(error, ClientError::OffsetOutOfRange { partition: partition(), offset: 7 });
    seek(&mut stage, consumer, SeekTo::offset(1));
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "b");
    seek(&mut stage, consumer, SeekTo::Beginning);
    assert_eq!(poll(&mut stage, consumer, 2).unwrap(), "ab");
    seek(&mut stage, consumer, SeekTo::End);
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least: 1, within: Duration::from_secs(1) }.into());
    assert_eq!(stage.result(consumer, op), Ok(OpValue::Records(Vec::new())));
}

#[test]
fn a_position_below_the_log_is_reset_as_the_policy_says() {
    let mut stage = Stage::with_topic(5, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    for value in ["a", "b", "c"] {
        stage.sent(producer, value);
    }
    let consumer = assigned(&mut stage, reset(OffsetReset::Earliest));
    assert_eq!(poll(&mut stage, consumer, 3).unwrap(), "abc");
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(TOPIC.into()))
        .with_partitions(vec![DeleteRecordsPartition::default().with_partition_index(0).with_offset(2)]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
    let request = RequestOp {
        to: Target::Leader(partition()),
        ..RequestOp::any(ApiKey::DeleteRecords, Request::DeleteRecords(request))
    };
    let op = stage.ask(stage.admin, request.into());
    stage.result(stage.admin, op).unwrap();
    seek(&mut stage, consumer, SeekTo::offset(0));
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "c");
    let resets = stage.world.client_history().entries().filter_map(|entry| match &entry.event {
        HistoryEvent::Positioned { from, to, cause, .. } => Some((*from, *to, *cause)),
        _ => None,
    });
    let wanted = [(None, 0, "reset to earliest"), (Some(3), 0, "seek"), (Some(0), 2, "reset to earliest")];
    assert_eq!(resets.collect::<Vec<_>>(), wanted);
}

#[test]
fn offsets_are_told_by_time() {
    let mut stage = Stage::with_topic(6, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    let times = ["a", "b", "c"].map(|value| {
        stage.run(Duration::from_secs(1));
        stage.sent(producer, value).timestamp
    });
    let consumer = stage.consumer(ScriptedConsumerSpec::default());
    let mut ask = |timestamp| {
        let op = stage.ask(consumer, ConsumerOp::ListOffsets { partition: partition(), timestamp }.into());
        match stage.result(consumer, op) {
            Ok(OpValue::Offset(found)) => found.map(|found| (found.offset, found.timestamp)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(-2), Some((0, -1)));
    assert_eq!(ask(-1), Some((3, -1)));
    assert_eq!(ask(times[1] - 5), Some((1, times[1])));
    assert_eq!(ask(times[2] + 1), None);
}

#[test]
fn a_new_leader_is_asked_about_the_position_and_read_on_from() {
    let mut stage = Stage::with_topic(7, &[("min.insync.replicas", "2")]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    let consumer = assigned(&mut stage, reset(OffsetReset::None));
    seek(&mut stage, consumer, SeekTo::offset(0));
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "a");
    stage.crash(1);
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least: 1, within: MINUTE }.into());
    stage.sent(producer, "b");
    assert_eq!(stage.result(consumer, op).unwrap().records().unwrap()[0].leader_epoch, 1);
    let wrong = stage
        .world
        .client_history()
        .entries()
        .find(|entry| matches!(entry.event, HistoryEvent::Positioned { cause, .. } if cause != "seek"));
    assert_eq!(wrong, None);
}

/// Broker 1 alone acknowledges `c` and `d`, and is lost; broker 2, which never had them, leads and takes `x`.
/// Returns the consumer, which has read all four.
fn lose_two_records(stage: &mut Stage, policy: OffsetReset) -> ClientId {
    let spec = ScriptedProducerSpec { acks: 1, idempotent: false, ..ScriptedProducerSpec::default() };
    let producer = stage.producer(spec);
    stage.sent(producer, "a");
    stage.sent(producer, "b");
    let consumer = assigned(stage, reset(policy));
    seek(stage, consumer, SeekTo::offset(0));
    assert_eq!(poll(stage, consumer, 2).unwrap(), "ab");
    stage.crash(2);
    stage.crash(3);
    stage.run_until("an ISR of one", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 1);
    stage.sent(producer, "c");
    stage.sent(producer, "d");
    assert_eq!(poll(stage, consumer, 2).unwrap(), "cd");
    stage.crash(1);
    stage.start(2);
    stage.run_until("an unclean leader", |world| {
        world.partition(TOPIC, 0).is_some_and(|status| status.leader == Some(NodeId(2)))
    });
    stage.sent(producer, "x");
    consumer
}

#[test]
fn a_truncated_log_sends_the_consumer_to_where_the_logs_part() {
    let mut stage = Stage::with_topic(8, UNCLEAN);
    let consumer = lose_two_records(&mut stage, OffsetReset::Earliest);
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "x");
    let moved = stage.world.client_history().entries().find_map(|entry| match &entry.event {
        HistoryEvent::Positioned { from, to, cause: "the log was truncated", .. } => Some((*from, *to)),
        _ => None,
    });
    assert_eq!(moved, Some((Some(4), 2)));
}

#[test]
fn without_a_reset_policy_a_truncated_log_is_an_error_that_tells_where() {
    let mut stage = Stage::with_topic(9, UNCLEAN);
    let consumer = lose_two_records(&mut stage, OffsetReset::None);
    let error = poll(&mut stage, consumer, 1).unwrap_err();
    let divergent = Some((2, 0));
    assert_eq!(error, ClientError::LogTruncation { partition: partition(), offset: 4, divergent });
    seek(&mut stage, consumer, SeekTo::Offset { offset: 2, leader_epoch: Some(0) });
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "x");
}

#[test]
fn a_consumer_may_read_from_a_follower_on_purpose() {
    let mut stage = Stage::with_topic(10, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    stage.sent(producer, "a");
    let consumer = assigned(&mut stage, reset(OffsetReset::Earliest));
    stage.ask(consumer, ConsumerOp::FetchFrom(Some(NodeId(3))).into());
    assert_eq!(poll(&mut stage, consumer, 1).unwrap(), "a");
    let from = stage.world.client_history().entries().find_map(|entry| match &entry.event {
        HistoryEvent::Read { from, .. } => Some(*from),
        _ => None,
    });
    assert_eq!(from, Some(NodeId(3)));
}

#[test]
fn a_long_read_is_counted_and_shows_in_the_history() {
    let mut stage = Stage::with_topic(11, &[]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    let consumer = assigned(&mut stage, reset(OffsetReset::Earliest));
    let op = stage.ask(consumer, ConsumerOp::Consume { within: Duration::from_secs(30) }.into());
    for _ in 0..10 {
        stage.ask(producer, ClientOp::Send(SendOp::new(TOPIC, 0, ["x", "y"])));
        stage.run(Duration::from_secs(1));
    }
    let queued = stage.ask(consumer, ConsumerOp::Poll { at_least: 1, within: Duration::ZERO }.into());
    assert_eq!(stage.result(consumer, op), Ok(OpValue::Consumed(20)));
    assert_eq!(stage.ended_at(consumer, queued), stage.ended_at(consumer, op), "one after the other");
}

#[test]
fn a_consumer_whose_broker_crashes_in_the_middle_reads_on() {
    let mut stage = Stage::with_topic(12, &[("min.insync.replicas", "2")]);
    let producer = stage.producer(ScriptedProducerSpec::default());
    let consumer = assigned(&mut stage, reset(OffsetReset::Earliest));
    let op = stage.ask(consumer, ConsumerOp::Poll { at_least: 3, within: MINUTE }.into());
    stage.sent(producer, "a");
    stage.command(Command::Crash(NodeId(1)));
    stage.sent(producer, "b");
    stage.start(1);
    stage.run_until("all in sync", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 3);
    stage.command(Command::Stop(NodeId(2)));
    stage.sent(producer, "c");
    let offsets: Vec<_> =
        stage.result(consumer, op).unwrap().records().unwrap().iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
}
