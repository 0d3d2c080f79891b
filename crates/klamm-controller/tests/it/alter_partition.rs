//! What a leader may propose, check by check, in Kafka's order.

use klamm_node::NodeId;
use klamm_wire::messages::BrokerId;
use klamm_wire::messages::alter_partition_request::PartitionData;
use klamm_wire::{ErrorCode, Request, Response, Uuid};

use crate::harness::{Harness, ids};

/// Three brokers, topic `t` on all of them, led by 1 in leader epoch 1 and partition epoch 3.
fn cluster() -> Harness {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    h.create_assigned("t", &[3, 1, 2], &[]);
    h.fence(3);
    let request = h.proposal("t", 1, &[1]);
    assert_eq!(h.propose(request), ErrorCode::None);
    let request = h.proposal("t", 1, &[1, 2]);
    assert_eq!(h.propose(request), ErrorCode::None);
    h
}

#[test]
fn a_shrink_and_an_expansion_move_the_partition_epoch_only() {
    let mut h = cluster();
    let partition = h.partition("t", 0);
    assert_eq!((partition.leader_epoch, partition.partition_epoch), (1, 3));
    assert_eq!(ids(&partition.isr), [1, 2]);
    let request = h.proposal("t", 1, &[1]);
    let response = h.alter_partition(request);
    let answer = &response.topics[0].partitions[0];
    assert_eq!((answer.leader_id, answer.leader_epoch, answer.partition_epoch), (BrokerId(1), 1, 4));
    assert_eq!(answer.isr, [BrokerId(1)]);
}

#[test]
fn a_proposal_that_changes_nothing_succeeds_without_a_record() {
    let mut h = cluster();
    let end = h.controller.high_watermark();
    let request = h.proposal("t", 1, &[1, 2]);
    assert_eq!(h.propose(request), ErrorCode::None);
    assert_eq!(h.controller.high_watermark(), end);
}

#[test]
fn a_proposal_is_refused_for_the_first_thing_that_is_wrong_with_it() {
    let mut h = cluster();
    let check = |h: &mut Harness, change: &dyn Fn(&mut PartitionData), expected| {
        let mut request = h.proposal("t", 1, &[1, 2]);
        change(&mut request.topics[0].partitions[0]);
        let end = h.controller.high_watermark();
        assert_eq!(h.propose(request), expected);
        assert_eq!(h.controller.high_watermark(), end, "a refused proposal leaves no record");
    };
    use ErrorCode as E;
    check(&mut h, &|p| p.partition_index = 1, E::UnknownTopicOrPartition);
    check(&mut h, &|p| p.leader_epoch += 1, E::NotController);
    check(&mut h, &|p| p.partition_epoch += 1, E::NotController);
    // A controller that is behind is told so before anything else is judged.
    let behind_and_ahead: &dyn Fn(&mut PartitionData) = &|p| {
        p.leader_epoch -= 1;
        p.partition_epoch += 1;
    };
    check(&mut h, behind_and_ahead, E::NotController);
    check(&mut h, &|p| p.leader_epoch -= 1, E::FencedLeaderEpoch);
    check(&mut h, &|p| p.partition_epoch -= 1, E::InvalidUpdateVersion);
    check(&mut h, &|p| p.new_isr_with_epochs[1].broker_id = BrokerId(9), E::InvalidRequest);
    check(&mut h, &|p| p.new_isr_with_epochs[1].broker_id = BrokerId(1), E::InvalidRequest);
    check(&mut h, &|p| drop(p.new_isr_with_epochs.remove(0)), E::InvalidRequest);
    check(&mut h, &|p| p.leader_recovery_state = 1, E::InvalidRequest);
    check(&mut h, &|p| p.new_isr_with_epochs[1].broker_epoch -= 1, E::IneligibleReplica);
    check(
        &mut h,
        &|p| {
            p.new_isr_with_epochs[1].broker_id = BrokerId(3);
            p.new_isr_with_epochs[1].broker_epoch = -1;
        },
        E::IneligibleReplica,
    );

    let mut request = h.proposal("t", 1, &[1, 2]);
    request.topics[0].topic_id = Uuid::from_u128(12);
    assert_eq!(h.propose(request), E::UnknownTopicId);
    let request = h.proposal("t", 2, &[1, 2]);
    assert_eq!(h.propose(request), E::InvalidRequest);
    let request = h.proposal("t", 1, &[1, 2]).with_broker_epoch(0);
    assert_eq!(h.propose(request), E::StaleBrokerEpoch);
}

#[test]
fn a_broker_on_its_way_down_cannot_join() {
    let mut h = cluster();
    h.create_assigned("other", &[2, 1], &[]);
    let request = h.heartbeat_of(2).with_want_shut_down(true);
    h.broker_heartbeat(request);
    assert!(h.image().cluster.broker(NodeId(2)).unwrap().in_controlled_shutdown);
    let request = h.proposal("t", 1, &[1, 2]);
    assert_eq!(h.propose(request), ErrorCode::IneligibleReplica);
}

#[test]
fn version_2_names_members_without_epochs() {
    let mut h = cluster();
    let mut request = h.proposal("t", 1, &[]);
    request.topics[0].partitions[0].new_isr = vec![BrokerId(1)];
    let Response::Other(_) = h.ask(2, Request::AlterPartition(request)) else { panic!("a fetch response") };
    assert_eq!(ids(&h.partition("t", 0).isr), [1]);
}
