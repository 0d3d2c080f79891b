//! ListOffsets with the timestamp -3 tells where the record with the largest timestamp is (KIP-734), whatever has become of the log.
//!
//! The answers are those of `UnifiedLog.fetchOffsetByTimestamp`: the largest timestamp of the batches that are in the segments, and the
//! first record that has it.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::{BrokerId, DeleteRecordsRequest, ListOffsetsRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, BatchBuilder, Response};
use klamm_world::fault::{Fate, Link, Messages, NetworkFault};
use klamm_world::{Command, Input};

use crate::idle::{Cluster, WALL, produce_request, settings};

const SECOND: Duration = Duration::from_secs(1);
const TOPIC: &str = "t";
const SMALL: (&str, &str) = ("internal.segment.bytes", "1000");

struct Log {
    cluster: Cluster,
    leader: NodeId,
}

impl Log {
    fn start(brokers: i32, configs: &[(&str, &str)]) -> Self {
        let quick = [("log.retention.check.interval.ms", "1000"), ("log.cleaner.backoff.ms", "1000")];
        let quick = quick.map(|(key, value)| (key, value.to_owned()));
        let mut cluster = Cluster::start(settings(brokers, 1, &quick));
        let configs: Vec<_> = configs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        cluster.create(TOPIC, 1, brokers as i16, &configs);
        let leader = cluster.world.partition(TOPIC, 0).unwrap().leader.unwrap();
        Self { cluster, leader }
    }

    /// Appends one batch of records of 300 bytes, each with a key and seconds since the world began.
    fn append(&mut self, records: &[(&str, i64)]) {
        let mut batch = BatchBuilder::new();
        for (key, at) in records {
            batch.push(WALL + at * 1000, Some(key.as_bytes()), Some(&[7; 300]), &[]);
        }
        let request = produce_request(TOPIC, 0, batch.build().unwrap().to_bytes()).with_acks(1);
        let answer = self.cluster.ask(self.leader, ApiKey::Produce, 9, request.into());
        let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
        let ResponseKind::Produce(answer) = *answer else { panic!("{answer:?}") };
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0, "{answer:?}");
        self.cluster.run(SECOND);
    }

    /// The offset with the largest timestamp, that timestamp in seconds since the world began, and its leader epoch.
    fn largest(&mut self) -> (i64, i64, i32) {
        let asked = ListOffsetsPartition::default().with_timestamp(-3);
        let asked = ListOffsetsTopic::default()
            .with_name(TopicName(TOPIC.into()))
            .with_partitions(vec![asked.with_current_leader_epoch(-1)]);
        let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![asked]);
        let answer = self.cluster.ask(self.leader, ApiKey::ListOffsets, 7, request.into());
        let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
        let ResponseKind::ListOffsets(answer) = *answer else { panic!("{answer:?}") };
        let found = &answer.topics[0].partitions[0];
        assert_eq!(found.error_code, 0, "{answer:?}");
        let at = if found.timestamp < 0 { -1 } else { (found.timestamp - WALL) / 1000 };
        (found.offset, at, found.leader_epoch)
    }

    /// The same, which no end of the process changes.
    fn largest_for_good(&mut self) -> (i64, i64) {
        let (offset, at, _) = self.largest();
        for end in [Command::Stop, Command::Crash, Command::PowerLoss] {
            let node = self.leader;
            self.cluster.input(Input::Command(end(node)));
            self.cluster.run(5 * SECOND);
            self.cluster.input(Input::Command(Command::Start(node)));
            self.cluster.run(15 * SECOND);
            let (offset_then, at_then, _) = self.largest();
            assert_eq!((offset_then, at_then), (offset, at), "{:?}", end(node));
        }
        (offset, at)
    }

    fn left(&self) -> Vec<i64> {
        let log = self.cluster.world.stored_log(self.leader, TOPIC, 0).unwrap();
        log.records.iter().map(|record| record.offset).collect()
    }

    fn delete_below(&mut self, offset: i64) {
        let topic = DeleteRecordsTopic::default()
            .with_name(TopicName(TOPIC.into()))
            .with_partitions(vec![DeleteRecordsPartition::default().with_offset(offset)]);
        let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5_000);
        assert!(self.cluster.ask(self.leader, ApiKey::DeleteRecords, 2, request.into()).is_some());
        self.cluster.run(5 * SECOND);
    }
}

/// So that a loss of power takes nothing with it.
const FLUSHED: (&str, &str) = ("flush.messages", "1");

#[test]
fn the_first_of_the_largest_is_told_however_times_are_mixed() {
    let mut log = Log::start(1, &[SMALL, FLUSHED]);
    assert_eq!(log.largest(), (-1, -1, -1));
    log.append(&[("a", 10), ("b", 50), ("c", 30)]);
    assert_eq!(log.largest(), (1, 50, 0));
    log.append(&[("d", 40)]);
    log.append(&[("e", 50), ("f", 50)]);
    log.append(&[("g", 20)]);
    assert_eq!(log.largest_for_good(), (1, 50));
    log.append(&[("h", 20), ("i", 60), ("j", 60)]);
    log.append(&[("k", 59)]);
    assert_eq!(log.largest_for_good(), (8, 60));
}

#[test]
fn with_append_times_it_is_the_first_of_the_last_batch() {
    let mut log = Log::start(1, &[SMALL, FLUSHED, ("message.timestamp.type", "LogAppendTime")]);
    log.append(&[("a", 90), ("b", 10)]);
    log.append(&[("c", 80), ("d", 5)]);
    let (offset, at, _) = log.largest();
    assert_eq!(offset, 2);
    log.cluster.run(3 * SECOND);
    log.append(&[("e", 1), ("f", 2)]);
    let (offset, later, _) = log.largest();
    assert_eq!((offset, later > at), (4, true));
    assert_eq!(log.largest_for_good(), (4, later));
}

#[test]
fn what_retention_deleted_counts_no_more() {
    let mut log = Log::start(1, &[SMALL, FLUSHED, ("retention.bytes", "1500"), ("retention.ms", "-1")]);
    log.append(&[("a", 90), ("b", 10)]);
    log.append(&[("c", 30), ("d", 80)]);
    assert_eq!(log.largest(), (0, 90, 0));
    log.append(&[("e", 20), ("f", 70)]);
    log.append(&[("g", 20), ("h", 60)]);
    log.append(&[("i", 20)]);
    log.cluster.run(10 * SECOND);
    assert_eq!(log.left()[0], 4);
    assert_eq!(log.largest_for_good(), (5, 70));
    // A segment that is kept for its last record counts as a whole, though its first records can be read no more.
    log.delete_below(6);
    assert_eq!(log.left()[0], 6);
    assert_eq!(log.largest_for_good(), (7, 60));
    log.append(&[("j", 95), ("k", 1)]);
    let end = log.left().len() as i64 + 6;
    log.delete_below(end - 1);
    assert_eq!(log.left(), [end - 1]);
    assert_eq!(log.largest_for_good(), (end - 2, 95));
    log.delete_below(end);
    assert!(log.left().is_empty());
}

#[test]
fn what_compaction_removed_counts_no_more() {
    let compact = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")];
    let mut log = Log::start(1, &[&[SMALL, FLUSHED][..], &compact].concat());
    log.append(&[("a", 10), ("b", 90), ("c", 70)]);
    log.append(&[("d", 80), ("e", 5)]);
    log.append(&[("b", 20), ("f", 10)]);
    log.append(&[("d", 30)]);
    // The active segment is not compacted, so its records say nothing yet.
    log.append(&[("g", 1), ("h", 1)]);
    log.append(&[("i", 1), ("j", 1)]);
    log.cluster.run(30 * SECOND);
    assert_eq!(log.left(), [0, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(log.largest_for_good(), (2, 70));
    log.append(&[("c", 2), ("k", 2)]);
    log.append(&[("l", 2), ("m", 2)]);
    log.append(&[("n", 2), ("o", 2)]);
    log.cluster.run(30 * SECOND);
    assert!(!log.left().contains(&2));
    assert_eq!(log.largest_for_good(), (7, 30));
}

#[test]
fn what_a_follower_truncates_counts_no_more() {
    let mut log = Log::start(2, &[FLUSHED, ("min.insync.replicas", "1")]);
    log.append(&[("a", 10), ("b", 40), ("c", 20)]);
    log.append(&[("d", 30)]);
    log.cluster.run(5 * SECOND);
    let (first, second) = (log.leader, NodeId(3 - log.leader.0));
    // The leader alone has what is the largest now, and goes down with it.
    let link = Link::between(first, second);
    let cut = NetworkFault::Cut { link, messages: Messages::All, fate: Fate::Lost };
    let cut = log.cluster.world.inject(log.cluster.world.now(), cut, &mut Vec::new()).unwrap();
    log.append(&[("e", 5), ("f", 99)]);
    log.append(&[("g", 98)]);
    assert_eq!(log.cluster.world.stored_log(first, TOPIC, 0).unwrap().records.len(), 7);
    log.cluster.input(Input::Command(Command::Crash(first)));
    log.cluster.input(Input::Command(Command::Heal(cut)));
    log.cluster.run(20 * SECOND);
    log.leader = second;
    assert_eq!(log.cluster.world.partition(TOPIC, 0).unwrap().leader, Some(second));
    assert_eq!(log.largest(), (1, 40, 0));
    log.append(&[("h", 35)]);
    log.cluster.input(Input::Command(Command::Start(first)));
    log.cluster.run(30 * SECOND);
    log.cluster.input(Input::Command(Command::Stop(second)));
    log.cluster.run(20 * SECOND);
    log.leader = first;
    assert_eq!(log.left().len(), 5);
    assert_eq!(log.largest_for_good(), (1, 40));
    log.append(&[("i", 41)]);
    assert_eq!(log.largest(), (5, 41, log.cluster.world.partition(TOPIC, 0).unwrap().leader_epoch));
}
