//! Offsets that are committed in transactions, their topics named by id (TxnOffsetCommit 6).

use std::time::Duration;

use klamm_wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use klamm_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_wire::messages::{GroupId, OffsetFetchRequest, ProducerId, ResponseKind, TxnOffsetCommitRequest};
use klamm_wire::{ErrorCode, Uuid};

use super::requests::{Producer, coordinator, end_as, error, init, s, tid};
use crate::cluster::{Cluster, topic_name};
use crate::share::group_coordinator;

const NOWHERE: Uuid = Uuid::from_u128(77);

fn topic(id: Uuid, partitions: &[i32]) -> TxnOffsetCommitRequestTopic {
    let partitions = partitions.iter().map(|index| {
        TxnOffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(7)
            .with_committed_leader_epoch(-1)
    });
    TxnOffsetCommitRequestTopic::default().with_topic_id(id).with_partitions(partitions.collect())
}

/// A commit of the group `g`.
fn commit(producer: Producer, topics: Vec<TxnOffsetCommitRequestTopic>) -> TxnOffsetCommitRequest {
    TxnOffsetCommitRequest::default()
        .with_transactional_id(tid("T"))
        .with_producer_id(ProducerId(producer.0))
        .with_producer_epoch(producer.1)
        .with_group_id(GroupId(s("g")))
        .with_topics(topics)
}

/// What is said of each partition.
fn said(c: &mut Cluster, at: i32, request: TxnOffsetCommitRequest) -> Vec<(Uuid, i32, ErrorCode)> {
    let ResponseKind::TxnOffsetCommit(answer) = c.ask(at, 6, request) else { panic!("another answer") };
    let told = answer.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|p| (topic.topic_id, p.partition_index, error(p.error_code)))
    });
    told.collect()
}

fn committed(c: &mut Cluster, at: i32) -> i64 {
    let topic =
        OffsetFetchRequestTopics::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
    let group =
        OffsetFetchRequestGroup::default().with_group_id(GroupId(s("g"))).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![group]);
    let ResponseKind::OffsetFetch(answer) = c.ask(at, 9, request) else { panic!("another answer") };
    answer.groups[0].topics[0].partitions[0].committed_offset
}

#[test]
fn topics_are_named_by_their_ids() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 2, 3, &[]);
    let t = c.topic_id("t");
    let at = group_coordinator(&mut c);
    let transactions = coordinator(&mut c, 1, "T");
    let producer = init(&mut c, transactions, "T");

    // Nothing that the cluster has: the coordinators are not asked.
    let nothing = commit(producer, vec![topic(NOWHERE, &[0]), topic(t, &[5]), topic(Uuid::nil(), &[0])]);
    assert_eq!(
        said(&mut c, at, nothing),
        [
            (NOWHERE, 0, ErrorCode::UnknownTopicId),
            (t, 5, ErrorCode::UnknownTopicOrPartition),
            (Uuid::nil(), 0, ErrorCode::UnknownTopicId),
        ]
    );
    let some = commit(producer, vec![topic(NOWHERE, &[0]), topic(t, &[0, 5])]);
    assert_eq!(
        said(&mut c, at, some),
        [
            (NOWHERE, 0, ErrorCode::UnknownTopicId),
            (t, 5, ErrorCode::UnknownTopicOrPartition),
            (t, 0, ErrorCode::None),
        ]
    );
    assert_eq!(committed(&mut c, at), -1, "its transaction is open");
    end_as(&mut c, transactions, 5, "T", producer, true).expect("it commits");
    for _ in 0..100 {
        if committed(&mut c, at) == 7 {
            return;
        }
        c.run(Duration::from_millis(100));
    }
    panic!("the offset is not committed");
}

#[test]
fn a_group_that_is_not_there_is_called_that() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    let t = c.topic_id("t");
    let at = group_coordinator(&mut c);
    let transactions = coordinator(&mut c, 1, "T");
    let producer = init(&mut c, transactions, "T");
    let of_a_member = commit(producer, vec![topic(t, &[0])])
        .with_generation_id_or_member_epoch(3)
        .with_member_id(s("somebody"));
    assert_eq!(said(&mut c, at, of_a_member), [(t, 0, ErrorCode::GroupIdNotFound)]);
}
