//! A client of the transaction coordinator, in requests.

use std::time::Duration;

use klamm_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use klamm_wire::messages::describe_transactions_response::TransactionState;
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, DescribeTransactionsRequest, EndTxnRequest,
    FindCoordinatorRequest, GroupId, InitProducerIdRequest, ListTransactionsRequest, ProduceRequest,
    ProducerId, ResponseKind, TransactionalId,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{BatchIter, ErrorCode, StrBytes};

use crate::cluster::{Cluster, Sent, fetch, topic_name};

/// The topic that the coordinator keeps.
pub(super) const STATE: &str = "__transaction_state";
/// The key type of transactional ids.
const TRANSACTION: i8 = 1;

/// A producer: its id and epoch.
pub(super) type Producer = (i64, i16);

pub(super) fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn tid(text: &str) -> TransactionalId {
    TransactionalId(s(text))
}

pub(super) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("the codes are Kafka's")
}

pub(super) fn send_find(c: &mut Cluster, broker: i32, id: &str) -> Sent {
    let request =
        FindCoordinatorRequest::default().with_key_type(TRANSACTION).with_coordinator_keys(vec![s(id)]);
    c.send(broker, 6, request)
}

/// Where a transactional id's coordinator is, once one is known.
pub(super) fn coordinator(c: &mut Cluster, ask: i32, id: &str) -> i32 {
    for _ in 0..200 {
        let sent = send_find(c, ask, id);
        c.wait_for("an answer", Duration::from_secs(5), |c| c.outcome(sent).is_some());
        let ResponseKind::FindCoordinator(answer) = c.answer(sent) else { panic!("another answer") };
        let found = &answer.coordinators[0];
        if found.error_code == 0 {
            return found.node_id.0;
        }
        assert_eq!(error(found.error_code), ErrorCode::CoordinatorNotAvailable);
        c.run(Duration::from_millis(100));
    }
    panic!("no coordinator of {id}");
}

pub(super) fn init_request(id: &str, timeout_ms: i32, producer: Producer) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(tid(id)))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
}

/// One InitProducerId in a version of its own.
pub(super) fn init_as(
    c: &mut Cluster,
    broker: i32,
    version: i16,
    request: InitProducerIdRequest,
) -> Result<Producer, ErrorCode> {
    match c.ask(broker, version, request) {
        ResponseKind::InitProducerId(answer) => {
            let producer = (answer.producer_id.0, answer.producer_epoch);
            match error(answer.error_code) {
                ErrorCode::None => Ok(producer),
                error => {
                    assert_eq!(producer, (-1, -1));
                    Err(error)
                }
            }
        }
        other => panic!("{other:?}"),
    }
}

/// A new producer, as `initTransactions` gets one: it comes again while an older transaction is being ended.
pub(super) fn init(c: &mut Cluster, broker: i32, id: &str) -> Producer {
    for _ in 0..100 {
        match init_as(c, broker, 5, init_request(id, 60_000, (-1, -1))) {
            Ok(producer) => return producer,
            Err(ErrorCode::ConcurrentTransactions) => c.run(Duration::from_millis(20)),
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the transaction of {id} does not end");
}

fn topics(partitions: &[(&'static str, i32)]) -> Vec<AddPartitionsToTxnTopic> {
    let topic = |(topic, partition): &(&'static str, i32)| {
        AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(vec![*partition])
    };
    partitions.iter().map(topic).collect()
}

/// AddPartitionsToTxn as clients send it: the error of each partition.
pub(super) fn add_as(
    c: &mut Cluster,
    broker: i32,
    version: i16,
    id: &str,
    producer: Producer,
    partitions: &[(&'static str, i32)],
) -> Vec<ErrorCode> {
    let request = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(tid(id))
        .with_v3_and_below_producer_id(ProducerId(producer.0))
        .with_v3_and_below_producer_epoch(producer.1)
        .with_v3_and_below_topics(topics(partitions));
    let ResponseKind::AddPartitionsToTxn(answer) = c.ask(broker, version, request) else {
        panic!("another answer")
    };
    assert!(answer.results_by_transaction.is_empty());
    let results = answer.results_by_topic_v3_and_below.iter().flat_map(|t| &t.results_by_partition);
    results.map(|partition| error(partition.partition_error_code)).collect()
}

/// AddPartitionsToTxn of one partition.
pub(super) fn add(
    c: &mut Cluster,
    broker: i32,
    id: &str,
    producer: Producer,
    topic: &'static str,
) -> ErrorCode {
    add_as(c, broker, 3, id, producer, &[(topic, 0)])[0]
}

/// One transaction of an AddPartitionsToTxn as brokers send it.
pub(super) fn transaction(
    id: &str,
    producer: Producer,
    verify_only: bool,
    partitions: &[(&'static str, i32)],
) -> AddPartitionsToTxnTransaction {
    AddPartitionsToTxnTransaction::default()
        .with_transactional_id(tid(id))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_verify_only(verify_only)
        .with_topics(topics(partitions))
}

/// AddPartitionsToTxn as brokers send it: for each transaction its id and its partitions' errors.
pub(super) fn add_batch(
    c: &mut Cluster,
    broker: i32,
    transactions: Vec<AddPartitionsToTxnTransaction>,
) -> Vec<(String, Vec<ErrorCode>)> {
    let request = AddPartitionsToTxnRequest::default().with_transactions(transactions);
    let ResponseKind::AddPartitionsToTxn(answer) = c.ask(broker, 5, request) else {
        panic!("another answer")
    };
    assert_eq!(answer.error_code, 0);
    let one = |result: &klamm_wire::messages::add_partitions_to_txn_response::AddPartitionsToTxnResult| {
        let partitions = result.topic_results.iter().flat_map(|t| &t.results_by_partition);
        let errors = partitions.map(|partition| error(partition.partition_error_code)).collect();
        (result.transactional_id.to_string(), errors)
    };
    answer.results_by_transaction.iter().map(one).collect()
}

pub(super) fn add_offsets(
    c: &mut Cluster,
    broker: i32,
    version: i16,
    id: &str,
    producer: Producer,
    group: &str,
) -> ErrorCode {
    let request = AddOffsetsToTxnRequest::default()
        .with_transactional_id(tid(id))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_group_id(GroupId(s(group)));
    match c.ask(broker, version, request) {
        ResponseKind::AddOffsetsToTxn(answer) => error(answer.error_code),
        other => panic!("{other:?}"),
    }
}

pub(super) fn end_request(id: &str, producer: Producer, commit: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(tid(id))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_committed(commit)
}

/// EndTxn: the producer of the next transaction (version 5), or the error.
pub(super) fn end_as(
    c: &mut Cluster,
    broker: i32,
    version: i16,
    id: &str,
    producer: Producer,
    commit: bool,
) -> Result<Producer, ErrorCode> {
    match c.ask(broker, version, end_request(id, producer, commit)) {
        ResponseKind::EndTxn(answer) => {
            let producer = (answer.producer_id.0, answer.producer_epoch);
            match error(answer.error_code) {
                ErrorCode::None => Ok(producer),
                error => {
                    assert_eq!(producer, (-1, -1));
                    Err(error)
                }
            }
        }
        other => panic!("{other:?}"),
    }
}

pub(super) fn describe(c: &mut Cluster, broker: i32, id: &str) -> TransactionState {
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![tid(id)]);
    match c.ask(broker, 0, request) {
        ResponseKind::DescribeTransactions(mut answer) => answer.transaction_states.remove(0),
        other => panic!("{other:?}"),
    }
}

/// State, producer and partitions of a transactional id, as DescribeTransactions tells them.
pub(super) fn state(c: &mut Cluster, broker: i32, id: &str) -> String {
    let described = describe(c, broker, id);
    if described.error_code != 0 {
        return error(described.error_code).name().to_owned();
    }
    let mut line =
        format!("{} {}:{}", described.transaction_state, described.producer_id.0, described.producer_epoch);
    for topic in &described.topics {
        line.push_str(&format!(" {}{:?}", &*topic.topic, topic.partitions));
    }
    line
}

/// Lets time pass until a transactional id is as [`state`] shows it.
pub(super) fn wait_for_state(c: &mut Cluster, broker: i32, id: &str, expected: &str) {
    for _ in 0..600 {
        if state(c, broker, id) == expected {
            return;
        }
        c.run(Duration::from_millis(100));
    }
    let now = state(c, broker, id);
    let trace: Vec<String> = c.world.trace().events().map(ToString::to_string).collect();
    panic!("{id} does not become {expected}, it is {now}:\n{}", trace.join("\n"));
}

/// The transactional ids that ListTransactions lists, and the filters that it did not know.
pub(super) fn list(
    c: &mut Cluster,
    broker: i32,
    states: &[&str],
    producers: &[i64],
    duration: i64,
    pattern: Option<&str>,
) -> Result<(Vec<String>, Vec<String>), ErrorCode> {
    let request = ListTransactionsRequest::default()
        .with_state_filters(states.iter().map(|state| s(state)).collect())
        .with_producer_id_filters(producers.iter().copied().map(ProducerId).collect())
        .with_duration_filter(duration)
        .with_transactional_id_pattern(pattern.map(s));
    let ResponseKind::ListTransactions(answer) = c.ask(broker, 2, request) else { panic!("another answer") };
    error(answer.error_code).into_result()?;
    let mut listed: Vec<String> = answer
        .transaction_states
        .iter()
        .map(|t| format!("{} {} {}", &*t.transactional_id, t.producer_id.0, t.transaction_state))
        .collect();
    listed.sort();
    Ok((listed, answer.unknown_state_filters.iter().map(ToString::to_string).collect()))
}

/// Sends one record of a transaction: with version 11 to a partition that was added, with version 12 to one that is added so.
pub(super) fn send_in(
    c: &mut Cluster,
    broker: i32,
    version: i16,
    id: &str,
    (producer, epoch): Producer,
    sequence: i32,
    (topic, partition): (&'static str, i32),
) -> Sent {
    let mut batch = BatchBuilder::new().producer(producer, epoch, sequence).transactional();
    batch.push(1_700_000_000_000, Some(b"k"), Some(b"v"), &[]);
    let records = batch.build().expect("an uncompressed batch").to_bytes();
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(records));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(Some(tid(id)))
        .with_acks(-1)
        .with_timeout_ms(5_000)
        .with_topic_data(vec![topic]);
    c.send(broker, version, request)
}

/// As [`send_in`], to partition 0's leader, and waits for the answer.
pub(super) fn produce_in(
    c: &mut Cluster,
    version: i16,
    id: &str,
    producer: Producer,
    sequence: i32,
    topic: &'static str,
) -> ErrorCode {
    let leader = c.leader(topic, 0);
    let sent = send_in(c, leader, version, id, producer, sequence, (topic, 0));
    c.wait_for("an ack", Duration::from_secs(30), |c| c.outcome(sent).is_some());
    error(c.produced(sent).error_code)
}

/// How many records a consumer of committed data sees in partition 0 of a topic, and the last stable offset.
pub(super) fn committed(c: &mut Cluster, topic: &'static str) -> (usize, i64) {
    let leader = c.leader(topic, 0);
    let sent = c.send(leader, 12, fetch(topic, 0, 0, 0).with_isolation_level(1));
    c.wait_for("a fetch", Duration::from_secs(30), |c| c.outcome(sent).is_some());
    let partition = c.fetched(sent).topics[0].partitions[0].clone();
    let aborted = partition.aborted_transactions.clone().unwrap_or_default();
    let mut open: Vec<i64> = Vec::new();
    let mut seen = 0;
    for batch in BatchIter::new(partition.records.concat().into()) {
        let header = batch.expect("whole batches").header;
        let starts = aborted.iter().filter(|txn| txn.first_offset <= header.last_offset());
        open.extend(
            starts.filter(|txn| txn.producer_id.0 == header.producer_id).map(|txn| txn.producer_id.0),
        );
        if header.is_control() {
            open.retain(|id| *id != header.producer_id);
        } else if !open.contains(&header.producer_id) {
            seen += usize::try_from(header.records_count).expect("a count");
        }
    }
    (seen, partition.last_stable_offset)
}

/// Lets time pass until consumers of committed data see this many records, and the last stable offset is here.
pub(super) fn wait_for_committed(c: &mut Cluster, topic: &'static str, expected: (usize, i64)) {
    for _ in 0..600 {
        if committed(c, topic) == expected {
            return;
        }
        c.run(Duration::from_millis(100));
    }
    assert_eq!(committed(c, topic), expected);
}
