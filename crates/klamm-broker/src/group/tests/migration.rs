//! Groups that change their protocol: with members in them, and without.

use bytes::{BufMut, Bytes, BytesMut};
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::{ErrorCode, StrBytes};

use super::consumer::Consumer;
use super::harness::{Harness, SYNC, error, join_request, sync_request};

/// An assignment of partitions of `orders`, as a consumer's leader lays it out.
fn assignment(partitions: &[i32]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(1);
    bytes.put_i16(6);
    bytes.put_slice(b"orders");
    bytes.put_i32(partitions.len() as i32);
    for partition in partitions {
        bytes.put_i32(*partition);
    }
    bytes.put_i32(-1);
    bytes.freeze()
}

/// The partitions in an assignment of one topic.
fn partitions(assignment: &Bytes) -> Vec<i32> {
    if assignment.len() < 12 {
        return Vec::new();
    }
    let count = i32::from_be_bytes(assignment[14..18].try_into().unwrap());
    let at = |i: usize| i32::from_be_bytes(assignment[18 + 4 * i..22 + 4 * i].try_into().unwrap());
    (0..count as usize).map(at).collect()
}

/// A stable classic group of one member, which has all of `orders`.
fn classic(h: &mut Harness, partitions: i32) -> StrBytes {
    h.broker.set_topic("orders", partitions);
    let (id, join) = h.join_new("g");
    let generation = h.joined(join).generation_id;
    let own = SyncGroupRequestAssignment::default()
        .with_member_id(id.clone())
        .with_assignment(assignment(&(0..partitions).collect::<Vec<_>>()));
    h.send_sync(SYNC, sync_request("g", generation, &id).with_assignments(vec![own]));
    id
}

#[test]
fn a_classic_group_takes_a_consumer_in_and_goes_back_when_it_leaves() {
    let mut h = Harness::with(&[("group.consumer.assignment.interval.ms", "0")]);
    let old = classic(&mut h, 4);
    let generation = h.generation("g");
    let mut new = Consumer::new("g", "new", "orders");
    assert_eq!(new.beat(&mut h), ErrorCode::None);
    assert_eq!((new.epoch, new.owned.len()), (generation + 1, 0), "the old member has everything");
    assert_eq!(h.consumer_group("g").classic_members(), 1);
    // The old one learns of it by its heartbeat, and gives two up by joining without them.
    assert_eq!(h.heartbeat("g", generation, &old), ErrorCode::RebalanceInProgress);
    let join = h.rejoin("g", &old);
    assert_eq!(h.joined(join).error_code, 0);
    assert_eq!(h.joined(join).generation_id, generation + 1);
    let sync = h.send_sync(SYNC, sync_request("g", generation + 1, &old));
    let kept = partitions(&h.synced(sync).assignment);
    assert_eq!(kept.len(), 2);
    new.beat(&mut h);
    assert_eq!(new.owned.len(), 2);
    assert!(new.owned.iter().all(|p| !kept.contains(p)));
    assert_eq!(h.heartbeat("g", generation + 1, &old), ErrorCode::None);
    assert_eq!(h.commit("g", generation + 1, &old, "orders", 7), ErrorCode::None);

    let epoch = new.epoch;
    new.epoch = -1;
    h.consumer_beat(new.alive());
    // Only a classic member is left: the group is a classic one, and rebalances.
    assert_eq!(h.state("g").name(), "PreparingRebalance");
    assert_eq!(h.heartbeat("g", epoch, &old), ErrorCode::RebalanceInProgress);
    let join = h.rejoin("g", &old);
    assert_eq!(h.joined(join).error_code, 0);
    assert_eq!(h.fetch("g", "orders"), 7);
    let said = h.causes().join("\n");
    assert!(said.contains("is a consumer group, no longer a classic one"), "{said}");
    assert!(said.contains("is a classic group, no longer a consumer one"), "{said}");
}

#[test]
fn a_policy_that_forbids_it_keeps_protocols_apart() {
    let mut h = Harness::with(&[("group.consumer.migration.policy", "Disabled")]);
    classic(&mut h, 1);
    assert_eq!(Consumer::new("g", "new", "orders").beat(&mut h), ErrorCode::GroupIdNotFound);
    Consumer::new("h", "new", "orders").beat(&mut h);
    let join = h.send_join(9, join_request("h", ""));
    assert_eq!(error(h.joined(join).error_code), ErrorCode::InconsistentGroupProtocol);
}

#[test]
fn what_is_no_consumers_assignment_cannot_be_taken_over() {
    let mut h = Harness::new();
    h.broker.set_topic("orders", 1);
    // The members' assignments are their ids.
    h.stable_group("g", 1);
    let response = h.consumer_beat(Consumer::new("g", "new", "orders").full());
    assert_eq!(error(response.error_code), ErrorCode::GroupIdNotFound);
    assert!(response.error_message.unwrap().contains("malformed"));
    assert_eq!(h.state("g").name(), "Stable");
}

#[test]
fn without_members_a_group_takes_either_protocol_and_keeps_its_offsets() {
    let mut h = Harness::new();
    h.broker.set_topic("orders", 1);
    assert_eq!(h.commit("g", -1, "", "orders", 5), ErrorCode::None);
    let mut new = Consumer::new("g", "new", "orders");
    assert_eq!(new.beat(&mut h), ErrorCode::None);
    assert_eq!(h.consumer_group("g").members().len(), 1);
    assert_eq!(h.fetch("g", "orders"), 5);
    let epoch = new.epoch;
    new.epoch = -1;
    h.consumer_beat(new.alive());
    let (id, join) = h.join_new("g");
    assert_eq!(h.joined(join).error_code, 0, "{id} after epoch {epoch}");
    assert_eq!(h.state("g").name(), "CompletingRebalance");
    assert_eq!(h.fetch("g", "orders"), 5);
    // A new coordinator has it as a classic group too.
    h.resign();
    h.elect();
    assert_eq!(h.state("g").name(), "Empty");
    assert_eq!(h.fetch("g", "orders"), 5);
}
