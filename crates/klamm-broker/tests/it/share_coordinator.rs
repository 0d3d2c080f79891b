//! The share coordinator: whose state it keeps, whom it fences, and what is left of it after a failover.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::messages::initialize_share_group_state_request::{self as initialize, InitializeStateData};
use klamm_wire::messages::read_share_group_state_request::{self as read, ReadStateData};
use klamm_wire::messages::read_share_group_state_response::PartitionResult;
use klamm_wire::messages::read_share_group_state_summary_request::{self as summary, ReadStateSummaryData};
use klamm_wire::messages::write_share_group_state_request::{self as write, StateBatch, WriteStateData};
use klamm_wire::messages::{
    DeleteShareGroupStateRequest, FindCoordinatorRequest, InitializeShareGroupStateRequest,
    ReadShareGroupStateRequest, ReadShareGroupStateSummaryRequest, ResponseKind, WriteShareGroupStateRequest,
    delete_share_group_state_request as delete,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};
use klamm_world::Command;

use crate::cluster::Cluster;

pub(crate) const STATE: &str = "__share_group_state";

pub(crate) fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("the codes are Kafka's")
}

/// The coordinator of a share-partition, once there is one.
pub(crate) fn coordinator(c: &mut Cluster, ask: i32, group: &str, topic: Uuid, partition: i32) -> i32 {
    let key = format!("{group}:{}:{partition}", klamm_log::checkpoint::encode_uuid(topic));
    for _ in 0..300 {
        let request = FindCoordinatorRequest::default().with_key_type(2).with_coordinator_keys(vec![s(&key)]);
        let ResponseKind::FindCoordinator(answer) = c.ask(ask, 6, request) else { panic!("another answer") };
        let found = &answer.coordinators[0];
        if found.error_code == 0 {
            return found.node_id.0;
        }
        assert_eq!(error(found.error_code), ErrorCode::CoordinatorNotAvailable);
        c.run(Duration::from_millis(100));
    }
    panic!("no coordinator");
}

pub(crate) fn initialize(
    c: &mut Cluster,
    at: i32,
    group: &str,
    topic: Uuid,
    partition: i32,
    epoch: i32,
    start: i64,
) -> ErrorCode {
    let asked = initialize::PartitionData::default()
        .with_partition(partition)
        .with_state_epoch(epoch)
        .with_start_offset(start);
    let topic = InitializeStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
    let request =
        InitializeShareGroupStateRequest::default().with_group_id(s(group)).with_topics(vec![topic]);
    let ResponseKind::InitializeShareGroupState(answer) = c.ask(at, 0, request) else {
        panic!("another answer")
    };
    error(answer.results[0].partitions[0].error_code)
}

pub(crate) fn read(
    c: &mut Cluster,
    at: i32,
    group: &str,
    topic: Uuid,
    partition: i32,
    leader_epoch: i32,
) -> PartitionResult {
    let asked = read::PartitionData::default().with_partition(partition).with_leader_epoch(leader_epoch);
    let topic = ReadStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
    let request = ReadShareGroupStateRequest::default().with_group_id(s(group)).with_topics(vec![topic]);
    let ResponseKind::ReadShareGroupState(answer) = c.ask(at, 0, request) else { panic!("another answer") };
    answer.results[0].partitions[0].clone()
}

struct Written {
    state_epoch: i32,
    leader_epoch: i32,
    start: i64,
    batches: Vec<(i64, i64, i8, i16)>,
}

fn write(c: &mut Cluster, at: i32, group: &str, topic: Uuid, partition: i32, written: Written) -> ErrorCode {
    let batches = written.batches.iter().map(|(first, last, state, count)| {
        StateBatch::default()
            .with_first_offset(*first)
            .with_last_offset(*last)
            .with_delivery_state(*state)
            .with_delivery_count(*count)
    });
    let asked = write::PartitionData::default()
        .with_partition(partition)
        .with_state_epoch(written.state_epoch)
        .with_leader_epoch(written.leader_epoch)
        .with_start_offset(written.start)
        .with_state_batches(batches.collect());
    let topic = WriteStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
    let request = WriteShareGroupStateRequest::default().with_group_id(s(group)).with_topics(vec![topic]);
    let ResponseKind::WriteShareGroupState(answer) = c.ask(at, 0, request) else { panic!("another answer") };
    error(answer.results[0].partitions[0].error_code)
}

fn summary(c: &mut Cluster, at: i32, group: &str, topic: Uuid, partition: i32) -> (i16, i64, i32, i32) {
    let asked = summary::PartitionData::default().with_partition(partition);
    let topic = ReadStateSummaryData::default().with_topic_id(topic).with_partitions(vec![asked]);
    let request =
        ReadShareGroupStateSummaryRequest::default().with_group_id(s(group)).with_topics(vec![topic]);
    let ResponseKind::ReadShareGroupStateSummary(answer) = c.ask(at, 0, request) else {
        panic!("another answer")
    };
    let found = &answer.results[0].partitions[0];
    (found.error_code, found.start_offset, found.state_epoch, found.leader_epoch)
}

fn delete(c: &mut Cluster, at: i32, group: &str, topic: Uuid, partition: i32) -> ErrorCode {
    let asked = delete::PartitionData::default().with_partition(partition);
    let topic = delete::DeleteStateData::default().with_topic_id(topic).with_partitions(vec![asked]);
    let request = DeleteShareGroupStateRequest::default().with_group_id(s(group)).with_topics(vec![topic]);
    let ResponseKind::DeleteShareGroupState(answer) = c.ask(at, 0, request) else { panic!("another answer") };
    error(answer.results[0].partitions[0].error_code)
}

fn batches(result: &PartitionResult) -> Vec<(i64, i64, i8, i16)> {
    let batches = result.state_batches.iter();
    batches.map(|b| (b.first_offset, b.last_offset, b.delivery_state, b.delivery_count)).collect()
}

fn plain(start: i64, batches: &[(i64, i64, i8, i16)]) -> Written {
    Written { state_epoch: 1, leader_epoch: 3, start, batches: batches.to_vec() }
}

#[test]
fn a_share_partitions_state_is_kept_and_fenced() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let t = c.topic_id("t");
    let at = coordinator(&mut c, 1, "g", t, 0);

    assert_eq!(
        error(read(&mut c, at, "g", t, 0, 0).error_code),
        ErrorCode::InvalidRequest,
        "not initialised"
    );
    assert_eq!(write(&mut c, at, "g", t, 0, plain(0, &[])), ErrorCode::InvalidRequest);
    assert_eq!(summary(&mut c, at, "g", t, 0), (0, -1, 0, 0));

    assert_eq!(initialize(&mut c, at, "g", t, 0, 1, 5), ErrorCode::None);
    assert_eq!(initialize(&mut c, at, "g", t, 0, 0, 5), ErrorCode::FencedStateEpoch);
    assert_eq!(initialize(&mut c, at, "g", t, 0, -1, 5), ErrorCode::InvalidRequest);
    let state = read(&mut c, at, "g", t, 0, 3);
    assert_eq!((state.error_code, state.start_offset, state.state_epoch), (0, 5, 1));
    assert_eq!(error(read(&mut c, at, "g", t, 0, 2).error_code), ErrorCode::FencedLeaderEpoch);

    assert_eq!(write(&mut c, at, "g", t, 0, plain(5, &[(5, 14, 0, 1)])), ErrorCode::None);
    assert_eq!(write(&mut c, at, "g", t, 0, plain(5, &[(5, 7, 2, 1), (10, 10, 4, 5)])), ErrorCode::None);
    assert_eq!(write(&mut c, at, "g", t, 0, plain(8, &[])), ErrorCode::None);
    let kept = [(8, 9, 0, 1), (10, 10, 4, 5), (11, 14, 0, 1)];
    assert_eq!(batches(&read(&mut c, at, "g", t, 0, 3)), kept);
    assert_eq!(summary(&mut c, at, "g", t, 0), (0, 8, 1, 3));

    // Nothing of what is refused is kept.
    let older_leader = Written { leader_epoch: 2, ..plain(9, &[(8, 8, 2, 9)]) };
    assert_eq!(write(&mut c, at, "g", t, 0, older_leader), ErrorCode::FencedLeaderEpoch);
    let older_state = Written { state_epoch: 0, ..plain(9, &[(8, 8, 2, 9)]) };
    assert_eq!(write(&mut c, at, "g", t, 0, older_state), ErrorCode::FencedStateEpoch);
    assert_eq!(write(&mut c, at, "g", t, 0, plain(9, &[(12, 8, 2, 9)])), ErrorCode::UnknownServerError);
    assert_eq!(write(&mut c, at, "g", t, 0, plain(9, &[(8, i64::MAX, 2, 9)])), ErrorCode::UnknownServerError);
    let its = coordinator(&mut c, 1, "g", t, -1);
    assert_eq!(initialize(&mut c, its, "g", t, -1, 1, 0), ErrorCode::InvalidRequest);
    let nowhere = Uuid::from_u128(9);
    let its = coordinator(&mut c, 1, "g", nowhere, 0);
    assert_eq!(initialize(&mut c, its, "g", nowhere, 0, 1, 0), ErrorCode::UnknownTopicOrPartition);
    let state = read(&mut c, at, "g", t, 0, 3);
    assert_eq!((state.start_offset, batches(&state)), (8, kept.to_vec()));

    assert_eq!(delete(&mut c, at, "g", t, 0), ErrorCode::None);
    assert_eq!(error(read(&mut c, at, "g", t, 0, 3).error_code), ErrorCode::InvalidRequest);
    assert_eq!(delete(&mut c, at, "g", t, 0), ErrorCode::None, "once more is as good");
}

#[test]
fn another_broker_is_no_coordinator() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let t = c.topic_id("t");
    let at = coordinator(&mut c, 1, "g", t, 0);
    let other = at % 3 + 1;
    assert_eq!(initialize(&mut c, other, "g", t, 0, 1, 0), ErrorCode::NotCoordinator);
    let empty = ReadShareGroupStateRequest::default().with_group_id(s("g"));
    let ResponseKind::ReadShareGroupState(answer) = c.ask(at, 0, empty) else { panic!("another answer") };
    assert_eq!(answer.results, []);
    let request = FindCoordinatorRequest::default().with_key_type(2).with_coordinator_keys(vec![s("g:x:0")]);
    let ResponseKind::FindCoordinator(answer) = c.ask(at, 6, request) else { panic!("another answer") };
    assert_eq!(error(answer.coordinators[0].error_code), ErrorCode::InvalidRequest);
}

#[test]
fn the_next_coordinator_knows_what_was_committed() {
    let mut c = Cluster::start(3, &[("share.coordinator.snapshot.update.records.per.snapshot", "3")]);
    c.create_topic("t", 1, 3, &[]);
    let t = c.topic_id("t");
    let at = coordinator(&mut c, 1, "g", t, 0);
    assert_eq!(initialize(&mut c, at, "g", t, 0, 1, 0), ErrorCode::None);
    assert_eq!(read(&mut c, at, "g", t, 0, 3).error_code, 0);
    for offset in 0..10 {
        assert_eq!(
            write(&mut c, at, "g", t, 0, plain(0, &[(offset * 2, offset * 2, 2, 1)])),
            ErrorCode::None
        );
    }
    let before = read(&mut c, at, "g", t, 0, 3);
    assert_eq!(before.state_batches.len(), 10);

    c.command(Command::Crash(NodeId(at)));
    let ask = at % 3 + 1;
    c.run(Duration::from_secs(15));
    let next = coordinator(&mut c, ask, "g", t, 0);
    assert_ne!(next, at);
    let after = read(&mut c, next, "g", t, 0, 3);
    assert_eq!((after.start_offset, after.state_epoch, batches(&after)), (0, 1, batches(&before)));
    assert_eq!(error(read(&mut c, next, "g", t, 0, 2).error_code), ErrorCode::FencedLeaderEpoch);
}

#[test]
fn redundant_records_are_deleted_and_a_deleted_topics_state_is_forgotten() {
    let mut c = Cluster::start(
        1,
        &[
            ("share.coordinator.snapshot.update.records.per.snapshot", "2"),
            ("share.coordinator.state.topic.num.partitions", "1"),
        ],
    );
    c.create_topic("t", 1, 1, &[]);
    let t = c.topic_id("t");
    let at = coordinator(&mut c, 1, "g", t, 0);
    assert_eq!(initialize(&mut c, at, "g", t, 0, 1, 0), ErrorCode::None);
    for _ in 0..7 {
        assert_eq!(write(&mut c, at, "g", t, 0, plain(0, &[(1, 1, 2, 1)])), ErrorCode::None);
    }
    // 0 snapshot, 1-2 updates, 3 snapshot, 4-5 updates, 6 snapshot, 7 update.
    let log_start = |c: &Cluster| c.log(STATE, 1).unwrap().0;
    assert_eq!(log_start(&c), 0);
    c.run(Duration::from_secs(301));
    assert_eq!(log_start(&c), 6);
    c.delete_topic("t");
    c.run(Duration::from_secs(1));
    c.create_topic("t", 1, 1, &[]);
    let again = c.topic_id("t");
    assert_eq!(summary(&mut c, at, "g", again, 0), (0, -1, 0, 0));
    c.run(Duration::from_secs(301));
    assert!(log_start(&c) > 6, "the tombstone is all that is left");
}
