//! What transactions do to the partitions that they write to: last stable offset, aborted transactions, markers.
//! A client plays the transaction's coordinator; nobody verifies what it says.

use std::time::Duration;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::describe_producers_request::TopicRequest;
use klamm_wire::messages::describe_producers_response::ProducerState;
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use klamm_wire::messages::{
    BrokerId, DescribeProducersRequest, FetchRequest, ListOffsetsRequest, ProduceRequest, ProducerId,
    ResponseKind, TransactionalId, WriteTxnMarkersRequest,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{BatchIter, ErrorCode, FetchPartition, StrBytes};
use klamm_world::{Command, LinkSettings};

use crate::cluster::{Cluster, Sent, fetch, topic_name};

/// A cluster in which no leader asks a coordinator.
fn unverified(brokers: i32) -> Cluster {
    Cluster::start(brokers, &[("transaction.partition.verification.enable", "false")])
}

impl Cluster {
    /// Sends one record of a producer; `txn` makes it part of a transaction. In version 11, in which leaders add nothing.
    fn send_as(
        &mut self,
        broker: i32,
        (id, epoch): (i64, i16),
        sequence: i32,
        txn: bool,
        value: &str,
    ) -> Sent {
        let mut batch = BatchBuilder::new().producer(id, epoch, sequence);
        if txn {
            batch = batch.transactional();
        }
        batch.push(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()), &[]);
        let records = batch.build().expect("an uncompressed batch").to_bytes();
        let data = PartitionProduceData::default().with_index(0).with_records(Some(records));
        let topic = TopicProduceData::default().with_name(topic_name("t")).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_transactional_id(txn.then(|| TransactionalId(StrBytes::from_static_str("T"))))
            .with_acks(-1)
            .with_timeout_ms(5_000)
            .with_topic_data(vec![topic]);
        self.send(broker, 11, request)
    }

    /// As [`send_as`](Self::send_as) to the leader, and waits for the answer.
    fn produce_as(
        &mut self,
        producer: (i64, i16),
        sequence: i32,
        txn: bool,
        value: &str,
    ) -> (ErrorCode, i64) {
        let leader = self.leader("t", 0);
        let sent = self.send_as(leader, producer, sequence, txn, value);
        self.wait_for("an ack", Duration::from_secs(10), |c| c.outcome(sent).is_some());
        let answer = self.produced(sent);
        (ErrorCode::from_code(answer.error_code).expect("a code"), answer.base_offset)
    }

    /// Ends a transaction in a partition.
    fn mark(
        &mut self,
        place: (&'static str, i32),
        (id, epoch): (i64, i16),
        commit: bool,
        coordinator_epoch: i32,
        version: i8,
    ) -> ErrorCode {
        let (topic, partition) = place;
        let leader = self.leader(topic, partition);
        self.mark_at(leader, place, (id, epoch), commit, coordinator_epoch, version)
    }

    fn mark_at(
        &mut self,
        broker: i32,
        (topic, partition): (&'static str, i32),
        (id, epoch): (i64, i16),
        commit: bool,
        coordinator_epoch: i32,
        version: i8,
    ) -> ErrorCode {
        let topic = WritableTxnMarkerTopic::default()
            .with_name(topic_name(topic))
            .with_partition_indexes(vec![partition]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(epoch)
            .with_transaction_result(commit)
            .with_coordinator_epoch(coordinator_epoch)
            .with_topics(vec![topic])
            .with_transaction_version(version);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        let ResponseKind::WriteTxnMarkers(answer) = self.ask(broker, 2, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.markers[0].producer_id.0, id);
        let code = answer.markers[0].topics[0].partitions[0].error_code;
        ErrorCode::from_code(code).expect("a code")
    }

    /// What a consumer gets from offset 0 on: offsets of records (control batches too), and the answer.
    fn read(&mut self, committed: bool) -> (Vec<i64>, FetchPartition) {
        let leader = self.leader("t", 0);
        let sent = self.send(leader, 12, consumer_fetch(0, committed, 0));
        self.wait_for("a fetch", Duration::from_secs(10), |c| c.outcome(sent).is_some());
        let partition = self.fetched(sent).topics[0].partitions[0].clone();
        let mut offsets = Vec::new();
        for batch in BatchIter::new(partition.records.concat().into()) {
            let header = batch.expect("whole batches").header;
            offsets.extend((header.base_offset..=header.last_offset()).filter(|_| !header.is_control()));
        }
        (offsets, partition)
    }

    fn end_offset(&mut self, committed: bool) -> i64 {
        let asked = ListOffsetsPartition::default()
            .with_partition_index(0)
            .with_current_leader_epoch(-1)
            .with_timestamp(-1);
        let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(i8::from(committed))
            .with_topics(vec![topic]);
        let leader = self.leader("t", 0);
        let ResponseKind::ListOffsets(answer) = self.ask(leader, 6, request) else {
            panic!("another answer")
        };
        answer.topics[0].partitions[0].offset
    }

    fn producers(&mut self, broker: i32) -> Vec<ProducerState> {
        let topic = TopicRequest::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        let ResponseKind::DescribeProducers(answer) = self.ask(broker, 0, request) else {
            panic!("another answer")
        };
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        answer.topics[0].partitions[0].active_producers.clone()
    }
}

fn consumer_fetch(offset: i64, committed: bool, max_wait_ms: i32) -> FetchRequest {
    fetch("t", 0, offset, max_wait_ms).with_isolation_level(i8::from(committed))
}

const A: (i64, i16) = (71, 0);
const B: (i64, i16) = (72, 0);
const T: (&str, i32) = ("t", 0);

/// Offsets: 0 plain; 1 of A; 2 plain; 3 of B; 4 commit of B. A is open.
fn with_a_open(brokers: i32) -> Cluster {
    let mut c = unverified(brokers);
    c.create_topic("t", 1, brokers as i16, &[]);
    assert_eq!(c.produce("t", 0, "plain"), 0);
    assert_eq!(c.produce_as(A, 0, true, "a"), (ErrorCode::None, 1));
    assert_eq!(c.produce("t", 0, "plain"), 2);
    assert_eq!(c.produce_as(B, 0, true, "b"), (ErrorCode::None, 3));
    assert_eq!(c.mark(T, B, true, 0, 0), ErrorCode::None);
    c
}

#[test]
fn an_open_transaction_holds_back_those_who_read_what_is_committed() {
    let mut c = with_a_open(3);
    let (offsets, answer) = c.read(true);
    assert_eq!(offsets, [0]);
    assert_eq!((answer.high_watermark, answer.last_stable_offset), (5, 1));
    assert_eq!(answer.aborted_transactions, Some(vec![]));
    let (offsets, answer) = c.read(false);
    assert_eq!(offsets, [0, 1, 2, 3]);
    assert_eq!(answer.aborted_transactions, None, "those who read everything are not told");
    assert_eq!((c.end_offset(true), c.end_offset(false)), (1, 5));

    assert_eq!(c.mark(T, A, true, 0, 0), ErrorCode::None);
    let (offsets, answer) = c.read(true);
    assert_eq!(offsets, [0, 1, 2, 3]);
    assert_eq!((answer.high_watermark, answer.last_stable_offset), (6, 6));
    assert_eq!(answer.aborted_transactions, Some(vec![]));
    assert_eq!(c.end_offset(true), 6);
}

#[test]
fn what_was_aborted_is_named_and_stays_so_through_a_failover() {
    let mut c = with_a_open(3);
    assert_eq!(c.mark(T, A, false, 0, 0), ErrorCode::None);
    let aborted = |answer: &FetchPartition| -> Vec<(i64, i64)> {
        let aborted = answer.aborted_transactions.iter().flatten();
        aborted.map(|txn| (txn.producer_id.0, txn.first_offset)).collect()
    };
    let (offsets, answer) = c.read(true);
    assert_eq!((offsets, aborted(&answer)), (vec![0, 1, 2, 3], vec![(71, 1)]));
    // A follower knows the same, and is told of it as leader.
    let leader = c.leader("t", 0);
    c.command(Command::Crash(NodeId(leader)));
    c.wait_for("another leader", Duration::from_secs(30), |c| {
        c.status("t", 0).leader.is_some_and(|id| id.0 != leader)
    });
    let (offsets, answer) = c.read(true);
    assert_eq!((offsets, aborted(&answer)), (vec![0, 1, 2, 3], vec![(71, 1)]));
    assert_eq!(answer.last_stable_offset, 6);
}

#[test]
fn a_waiting_fetch_ends_when_the_transaction_does() {
    let mut c = with_a_open(3);
    let leader = c.leader("t", 0);
    let waiting = c.connect(leader);
    let sent = c.send_over(waiting, 12, consumer_fetch(1, true, 30_000));
    c.connect(leader);
    c.run(Duration::from_secs(1));
    assert_eq!(c.outcome(sent), None, "nothing is stable yet");
    assert_eq!(c.produce("t", 0, "more"), 5);
    assert_eq!(c.outcome(sent), None, "the high watermark moved, and that is not enough");
    assert_eq!(c.mark(T, A, true, 0, 0), ErrorCode::None);
    assert_eq!(c.fetched(sent).topics[0].partitions[0].last_stable_offset, 7);
}

#[test]
fn a_marker_counts_once_the_high_watermark_has_passed_it() {
    let mut c = with_a_open(3);
    let leader = c.leader("t", 0);
    for follower in (1..=3).filter(|id| *id != leader) {
        let link = LinkSettings { latency: Duration::from_secs(5), ..LinkSettings::default() };
        c.command(Command::SetLink { from: NodeId(leader), to: NodeId(follower), link });
    }
    let topic = WritableTxnMarkerTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let marker = WritableTxnMarker::default()
        .with_producer_id(ProducerId(A.0))
        .with_transaction_result(true)
        .with_topics(vec![topic]);
    let sent = c.send(leader, 1, WriteTxnMarkersRequest::default().with_markers(vec![marker]));
    c.run(Duration::from_secs(1));
    assert_eq!(c.outcome(sent), None, "no replica has the marker but the leader");
    c.connect(leader);
    let (offsets, answer) = c.read(true);
    assert_eq!((offsets, answer.last_stable_offset, answer.high_watermark), (vec![0], 1, 5));
    c.wait_for("the marker", Duration::from_secs(20), |c| c.outcome(sent).is_some());
    assert_eq!(c.read(true).1.last_stable_offset, 6);
}

#[test]
fn markers_are_refused_as_kafka_refuses_them() {
    let mut c = with_a_open(3);
    // An exception escapes in Kafka: it was asked (`cargo xtask conformance`).
    assert_eq!(c.mark(T, (71, -1), true, 0, 0), ErrorCode::UnknownServerError);
    let follower = c.leader("t", 0) % 3 + 1;
    assert_eq!(c.mark_at(follower, T, A, true, 0, 0), ErrorCode::NotLeaderOrFollower);
    assert_eq!(c.mark_at(1, ("nowhere", 0), A, true, 0, 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(c.mark_at(1, ("t", 7), A, true, 0, 0), ErrorCode::UnknownTopicOrPartition);
    assert_eq!(c.mark(T, A, true, 4, 0), ErrorCode::None);
    assert_eq!(c.mark(T, A, true, 3, 0), ErrorCode::TransactionCoordinatorFenced);
    assert_eq!(c.mark(T, A, true, 4, 0), ErrorCode::None, "the same again does no harm");
    let ResponseKind::WriteTxnMarkers(answer) = c.ask(1, 1, WriteTxnMarkersRequest::default()) else {
        panic!("another answer")
    };
    assert!(answer.markers.is_empty());
}

#[test]
fn from_transaction_version_2_on_a_marker_has_an_epoch_of_its_own() {
    let mut c = with_a_open(3);
    assert_eq!(c.mark(T, A, true, 0, 2), ErrorCode::InvalidProducerEpoch, "that of the records");
    assert_eq!(c.end_offset(true), 1);
    assert_eq!(c.mark(T, (71, 1), true, 0, 2), ErrorCode::None);
    assert_eq!(c.mark(T, (71, 1), true, 0, 2), ErrorCode::None, "sent again, with nothing open");
    assert_eq!(c.produce_as(A, 1, true, "late").0, ErrorCode::InvalidProducerEpoch);
    assert_eq!(c.produce_as((71, 1), 0, true, "next"), (ErrorCode::None, 7));
    assert_eq!(c.mark(T, (71, 1), true, 0, 2), ErrorCode::InvalidProducerEpoch, "late, and the next is open");
    assert_eq!(c.end_offset(true), 7);
}

#[test]
fn who_produces_is_described_by_every_replica() {
    let mut c = with_a_open(3);
    let describe = |p: &ProducerState| {
        (p.producer_id.0, p.producer_epoch, p.last_sequence, p.coordinator_epoch, p.current_txn_start_offset)
    };
    // A follower's log is as long as the leader's: the markers waited for that.
    for broker in 1..=3 {
        let producers: Vec<_> = c.producers(broker).iter().map(describe).collect();
        assert_eq!(producers, [(71, 0, 0, -1, 1), (72, 0, 0, 0, -1)], "broker {broker}");
    }
}

#[test]
fn a_transactional_batch_needs_a_transactional_id_and_one_producer() {
    let mut c = unverified(1);
    c.create_topic("t", 2, 1, &[]);
    let records = |id: i64| {
        let mut batch = BatchBuilder::new().producer(id, 0, 0).transactional();
        batch.push(1_700_000_000_000, None, Some(b"v"), &[]);
        batch.build().expect("an uncompressed batch").to_bytes()
    };
    let data = |index, id| PartitionProduceData::default().with_index(index).with_records(Some(records(id)));
    let request = |partitions, id: Option<&'static str>| {
        let topic = TopicProduceData::default().with_name(topic_name("t")).with_partition_data(partitions);
        ProduceRequest::default()
            .with_transactional_id(id.map(|id| TransactionalId(StrBytes::from_static_str(id))))
            .with_acks(-1)
            .with_topic_data(vec![topic])
    };
    let mut codes = |request: ProduceRequest| -> Vec<i16> {
        let ResponseKind::Produce(answer) = c.ask(1, 11, request) else { panic!("another answer") };
        answer.responses[0].partition_responses.iter().map(|p| p.error_code).collect()
    };
    let refused = ErrorCode::TransactionalIdAuthorizationFailed.code();
    assert_eq!(codes(request(vec![data(0, 1), data(1, 1)], None)), [refused, refused]);
    let mixed = ErrorCode::InvalidProducerIdMapping.code();
    assert_eq!(codes(request(vec![data(0, 1), data(1, 2)], Some("T"))), [mixed, mixed]);
    assert_eq!(codes(request(vec![data(0, 1), data(1, 1)], Some("T"))), [0, 0]);
}

#[test]
fn records_are_not_appended_when_the_coordinator_cannot_be_asked() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    // There is no __transaction_state, hence no coordinator: clients of any age try NOT_ENOUGH_REPLICAS again.
    let sent = c.send_as(1, A, 0, true, "a");
    c.run(Duration::from_secs(1));
    let answer = c.produced(sent);
    assert_eq!(answer.error_code, ErrorCode::NotEnoughReplicas.code());
    let message = answer.error_message.expect("words");
    assert!(message.ends_with("Underlying error: COORDINATOR_NOT_AVAILABLE"), "{message}");
    assert_eq!(c.log("t", 1), Some((0, 0, 0)));
    // Switched off while the broker runs, nobody is asked.
    c.alter_config(4, "", "transaction.partition.verification.enable", Some("false"));
    c.wait_for("the setting", Duration::from_secs(10), |c| c.now > Timestamp::from_millis(1_500));
    assert_eq!(c.produce_as(A, 0, true, "a"), (ErrorCode::None, 0));
}
