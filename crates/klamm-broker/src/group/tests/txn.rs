//! What groups commit in transactions: pending until the marker, and gone or theirs after it.

use klamm_wire::ErrorCode;
use klamm_wire::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_wire::messages::{
    GroupId, ProducerId, ResponseKind, TopicName, TransactionalId, TxnOffsetCommitRequest,
    TxnOffsetCommitResponse,
};
use klamm_wire::record::control::EndTxnMarker;

use super::harness::{FETCH, Harness, error, s};
use crate::group::txn::TxnCommit;
use crate::handlers::write_txn_markers::{MarkersId, TxnEnd};

/// A day, in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;

fn request(group: &str, generation: i32, member: &str, offset: i64) -> TxnOffsetCommitRequest {
    let partition = TxnOffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_leader_epoch(-1);
    let topic = TxnOffsetCommitRequestTopic::default()
        .with_name(TopicName(s("orders")))
        .with_partitions(vec![partition]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(TransactionalId(s("T")))
        .with_group_id(GroupId(s(group)))
        .with_producer_id(ProducerId(7))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(member))
        .with_topics(vec![topic])
}

fn commit_in_txn(h: &mut Harness, request: TxnOffsetCommitRequest) -> ErrorCode {
    let rc = h.rc(5);
    let response = TxnOffsetCommitResponse::default();
    let commit = TxnCommit { request, response, guard: None };
    h.step(|coordinator, broker, ctx| coordinator.commit_transactional(broker, ctx, &rc, commit));
    match h.answer(h.requests_sent()) {
        Some(ResponseKind::TxnOffsetCommit(response)) => error(response.topics[0].partitions[0].error_code),
        other => panic!("TxnOffsetCommit: {other:?}"),
    }
}

fn end(h: &mut Harness, producer_id: i64, committed: bool) {
    let marker = EndTxnMarker { committed, coordinator_epoch: 0 };
    let end = TxnEnd { producer_id, producer_epoch: 1, marker, version: 2 };
    h.step(|coordinator, broker, ctx| {
        coordinator.complete_transaction(broker, ctx, 0, end, MarkersId::default());
    });
    let outcome = h.broker.markers.pop().expect("the marker is committed");
    assert_eq!((outcome.producer_id, outcome.error), (producer_id, ErrorCode::None));
}

/// The offset for who wants a stable one, or the error.
fn stable(h: &mut Harness, group: &str) -> Result<i64, ErrorCode> {
    let token = h.send_fetch(FETCH, true, &[(group, Some("orders"))]);
    let partition = h.fetched(token).groups[0].topics[0].partitions[0].clone();
    match error(partition.error_code) {
        ErrorCode::None => Ok(partition.committed_offset),
        error => Err(error),
    }
}

#[test]
fn an_offset_is_pending_until_its_transaction_is_decided() {
    for committed in [true, false] {
        let mut h = Harness::new();
        assert_eq!(h.commit("g", -1, "", "orders", 5), ErrorCode::None);
        assert_eq!(commit_in_txn(&mut h, request("g", -1, "", 10)), ErrorCode::None);
        assert_eq!(h.fetch("g", "orders"), 5);
        assert_eq!(stable(&mut h, "g"), Err(ErrorCode::UnstableOffsetCommit));
        end(&mut h, 8, true);
        assert_eq!(stable(&mut h, "g"), Err(ErrorCode::UnstableOffsetCommit), "another's marker");
        end(&mut h, 7, committed);
        let expected = if committed { 10 } else { 5 };
        assert_eq!((stable(&mut h, "g"), h.fetch("g", "orders")), (Ok(expected), expected));
    }
}

#[test]
fn who_loads_the_log_knows_what_is_pending_and_what_was_decided() {
    let mut h = Harness::new();
    assert_eq!(commit_in_txn(&mut h, request("g", -1, "", 10)), ErrorCode::None);
    let mut next = Harness::on_log(&[], h.broker.log.clone());
    assert_eq!(stable(&mut next, "g"), Err(ErrorCode::UnstableOffsetCommit));
    assert_eq!(next.fetch("g", "orders"), -1);
    end(&mut next, 7, true);
    assert_eq!(stable(&mut next, "g"), Ok(10));
    let mut last = Harness::on_log(&[], next.broker.log.clone());
    assert_eq!((stable(&mut last, "g"), last.fetch("g", "orders")), (Ok(10), 10));
}

#[test]
fn a_later_commit_outside_of_the_transaction_stands() {
    let mut h = Harness::new();
    assert_eq!(commit_in_txn(&mut h, request("g", -1, "", 10)), ErrorCode::None);
    assert_eq!(h.commit("g", -1, "", "orders", 20), ErrorCode::None);
    end(&mut h, 7, true);
    assert_eq!(stable(&mut h, "g"), Ok(20));
}

#[test]
fn a_marker_that_is_not_committed_changes_nothing_that_anybody_sees() {
    let mut h = Harness::new();
    assert_eq!(h.commit("g", -1, "", "orders", 5), ErrorCode::None);
    assert_eq!(commit_in_txn(&mut h, request("g", -1, "", 10)), ErrorCode::None);
    h.broker.commits = false;
    let marker = EndTxnMarker { committed: true, coordinator_epoch: 0 };
    let end = TxnEnd { producer_id: 7, producer_epoch: 1, marker, version: 2 };
    h.step(|coordinator, broker, ctx| {
        coordinator.complete_transaction(broker, ctx, 0, end, MarkersId::default());
    });
    assert_eq!(h.fetch("g", "orders"), 5);
    assert!(h.broker.markers.is_empty());
    h.commit_log();
    assert_eq!(h.fetch("g", "orders"), 10);
    assert_eq!(h.broker.markers.len(), 1);
}

#[test]
fn a_deleted_group_takes_what_is_pending_with_it() {
    let mut h = Harness::new();
    assert_eq!(commit_in_txn(&mut h, request("g", -1, "", 10)), ErrorCode::None);
    assert_eq!(h.delete_group("g"), ErrorCode::None);
    end(&mut h, 7, true);
    assert_eq!(stable(&mut h, "g"), Ok(-1));
    let mut next = Harness::on_log(&[], h.broker.log.clone());
    assert_eq!(stable(&mut next, "g"), Ok(-1), "nor does the log bring it back");
}

#[test]
fn what_is_pending_does_not_expire_and_keeps_the_group() {
    let mut h = Harness::new();
    assert_eq!(h.commit("g", -1, "", "orders", 5), ErrorCode::None);
    assert_eq!(commit_in_txn(&mut h, request("g", -1, "", 10)), ErrorCode::None);
    h.advance(8 * DAY);
    assert_eq!(h.fetch("g", "orders"), 5);
    assert!(h.has_group("g"));
    end(&mut h, 7, false);
    h.advance(DAY);
    assert!(!h.has_group("g"));
    assert_eq!(h.fetch("g", "orders"), -1);
}

#[test]
fn members_of_the_past_commit_nothing() {
    let mut h = Harness::new();
    let ids = h.stable_group("g", 1);
    let generation = h.generation("g");
    let mut code = |generation, member: &str| commit_in_txn(&mut h, request("g", generation, member, 10));
    assert_eq!(code(generation - 1, &ids[0]), ErrorCode::IllegalGeneration);
    assert_eq!(code(generation, "somebody"), ErrorCode::UnknownMemberId);
    assert_eq!(code(generation, &ids[0]), ErrorCode::None);
    // Before KIP-447 there was no room for a member.
    assert_eq!(code(-1, ""), ErrorCode::None);
    assert_eq!(commit_in_txn(&mut h, request("other", 3, "", 1)), ErrorCode::IllegalGeneration);
    let mut of_instance = request("g", generation, &ids[0], 10);
    of_instance.group_instance_id = Some(s("instance"));
    assert_eq!(commit_in_txn(&mut h, of_instance), ErrorCode::UnknownMemberId);
}
