//! Where replicas are, and what follows when their directories fail (KIP-858).

use klamm_metadata::{DIRECTORY_LOST, DIRECTORY_UNASSIGNED};
use klamm_node::NodeId;
use klamm_wire::messages::assign_replicas_to_dirs_request::{DirectoryData, PartitionData, TopicData};
use klamm_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse, BrokerId};
use klamm_wire::{ErrorCode, Uuid};

use crate::harness::{Harness, ids};

const A: Uuid = Uuid::from_u128(0xa00);
const B: Uuid = Uuid::from_u128(0xb00);

/// Brokers 1 and 2 with the one directory of the harness, broker 3 with A and B, and `t` on all three, led by 3.
fn cluster() -> (Harness, Uuid) {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    let registered = h.register_broker(Harness::registration(3, 1).with_log_dirs(vec![A, B]));
    assert_eq!(registered.error_code, 0);
    assert!(!h.heartbeat(3).is_fenced);
    h.create_assigned("t", &[3, 1, 2], &[]);
    let id = h.image().topics.id("t").expect("the topic exists");
    (h, id)
}

fn assign(h: &Harness, dir: Uuid, topics: &[(Uuid, i32)]) -> AssignReplicasToDirsRequest {
    let topics = topics.iter().map(|(id, index)| {
        let partition = PartitionData::default().with_partition_index(*index);
        TopicData::default().with_topic_id(*id).with_partitions(vec![partition])
    });
    AssignReplicasToDirsRequest::default()
        .with_broker_id(BrokerId(3))
        .with_broker_epoch(h.epoch(3))
        .with_directories(vec![DirectoryData::default().with_id(dir).with_topics(topics.collect())])
}

fn errors(response: &AssignReplicasToDirsResponse) -> Vec<Option<ErrorCode>> {
    let topics = response.directories.iter().flat_map(|dir| &dir.topics);
    topics.flat_map(|topic| &topic.partitions).map(|p| ErrorCode::from_code(p.error_code)).collect()
}

#[test]
fn a_broker_with_several_directories_picks_one_itself_and_says_which() {
    let (mut h, t) = cluster();
    let before = h.partition("t", 0);
    assert_eq!(before.directory(NodeId(3)), Some(DIRECTORY_UNASSIGNED));
    assert!(before.directory(NodeId(1)).is_some_and(|dir| dir != DIRECTORY_UNASSIGNED));
    let request = assign(&h, B, &[(t, 0), (t, 1), (Uuid::from_u128(77), 0)]);
    let answer = h.assign_replicas_to_dirs(request.clone());
    assert_eq!(
        errors(&answer),
        [Some(ErrorCode::None), Some(ErrorCode::UnknownTopicOrPartition), Some(ErrorCode::UnknownTopicId)]
    );
    let after = h.partition("t", 0);
    assert_eq!(after.directory(NodeId(3)), Some(B));
    assert_eq!(after.directories[1..], before.directories[1..]);
    // It is a change of the partition, but not of its leader.
    assert_eq!((after.leader, after.leader_epoch), (before.leader, before.leader_epoch));
    assert_eq!(after.partition_epoch, before.partition_epoch + 1);
    // The same again is no change.
    let end = h.controller.high_watermark();
    assert_eq!(errors(&h.assign_replicas_to_dirs(request.clone()))[0], Some(ErrorCode::None));
    assert_eq!(h.controller.high_watermark(), end);
    let stale = request.with_broker_epoch(h.epoch(3) - 1);
    let refused = h.assign_replicas_to_dirs(stale);
    assert_eq!(ErrorCode::from_code(refused.error_code), Some(ErrorCode::StaleBrokerEpoch));
}

#[test]
fn a_replica_that_is_put_into_an_offline_directory_leaves_the_isr() {
    for (dir, known) in [(B, true), (DIRECTORY_LOST, false)] {
        let (mut h, t) = cluster();
        if known {
            let failed = h.heartbeat_of(3).with_offline_log_dirs(vec![B]);
            assert_eq!(h.broker_heartbeat(failed).error_code, 0);
            // Nobody knew that the replica was there: it leads on.
            assert_eq!(h.partition("t", 0).leader, NodeId(3));
        }
        let before = h.partition("t", 0);
        let request = assign(&h, dir, &[(t, 0)]);
        assert_eq!(errors(&h.assign_replicas_to_dirs(request)), [Some(ErrorCode::None)]);
        let after = h.partition("t", 0);
        assert_eq!((after.leader, after.leader_epoch), (NodeId(1), before.leader_epoch + 1));
        assert_eq!(ids(&after.isr), [1, 2]);
        assert_eq!(after.directory(NodeId(3)), Some(dir));
        // One record for the directory, one for the leader.
        assert_eq!(after.partition_epoch, before.partition_epoch + 2);
    }
}

#[test]
fn a_directory_that_goes_offline_takes_only_its_own_replicas_out_of_their_isrs() {
    let (mut h, t) = cluster();
    h.create_assigned("u", &[3, 1, 2], &[]);
    let u = h.image().topics.id("u").expect("the topic exists");
    for (dir, topic) in [(A, t), (B, u)] {
        let request = assign(&h, dir, &[(topic, 0)]);
        h.assign_replicas_to_dirs(request);
    }
    let failed = h.heartbeat_of(3).with_offline_log_dirs(vec![B]);
    assert_eq!(h.broker_heartbeat(failed.clone()).error_code, 0);
    assert_eq!((h.partition("t", 0).leader, ids(&h.partition("t", 0).isr)), (NodeId(3), vec![3, 1, 2]));
    assert_eq!((h.partition("u", 0).leader, ids(&h.partition("u", 0).isr)), (NodeId(1), vec![1, 2]));
    assert_eq!(h.image().cluster.broker(NodeId(3)).expect("it is registered").log_dirs, [A]);
    // The broker says so in every heartbeat; only the first one changes anything.
    let end = h.controller.high_watermark();
    h.broker_heartbeat(failed);
    assert_eq!(h.controller.high_watermark(), end);
}
