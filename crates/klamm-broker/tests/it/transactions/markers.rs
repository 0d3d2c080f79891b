//! Transactions to their end: every partition learns the decision, whatever becomes of its leader and of the coordinator.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::{ApiKey, ErrorCode};
use klamm_world::fault::{Fault, RequestAction, RequestFault, RequestMatch};
use klamm_world::{Command, FaultId};

use super::requests::*;
use crate::cluster::Cluster;
use crate::features::set_transaction_version;

/// A cluster of three, the coordinator of `tid`, and topic `t`, which another broker leads.
fn three() -> (Cluster, i32, i32) {
    let mut c = Cluster::start(3, &[]);
    let at = coordinator(&mut c, 1, "tid");
    let leader = at % 3 + 1;
    c.create_assigned("t", &[leader, leader % 3 + 1, at], &[]);
    (c, at, leader)
}

/// Keeps all markers on their way, until healed.
fn hold_markers(c: &mut Cluster) {
    let on = RequestMatch::api(ApiKey::WriteTxnMarkers);
    let fault = Fault::Request(RequestFault { on, action: RequestAction::Hold });
    c.command(Command::Inject { id: FaultId(1), fault: Box::new(fault) });
}

#[test]
fn a_transaction_is_seen_once_it_is_committed() {
    for version in [0, 1, 2] {
        let (mut c, at, _) = three();
        set_transaction_version(&mut c, version);
        let producer = init(&mut c, at, "tid");
        assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::None);
        assert_eq!(produce_in(&mut c, 11, "tid", producer, 0, "t"), ErrorCode::None);
        assert_eq!(committed(&mut c, "t"), (0, 0), "nothing yet");
        assert_eq!(end_as(&mut c, at, 4, "tid", producer, true), Ok((-1, -1)));
        wait_for_committed(&mut c, "t", (1, 2));
        wait_for_state(&mut c, at, "tid", &format!("CompleteCommit {}:0", producer.0));
        assert_eq!(end_as(&mut c, at, 4, "tid", producer, true), Ok((-1, -1)), "asked again");
        assert_eq!(end_as(&mut c, at, 4, "tid", producer, false), Err(ErrorCode::InvalidTxnState));
        // The next one is aborted.
        assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::None);
        assert_eq!(produce_in(&mut c, 11, "tid", producer, 1, "t"), ErrorCode::None);
        assert_eq!(end_as(&mut c, at, 4, "tid", producer, false), Ok((-1, -1)));
        wait_for_committed(&mut c, "t", (1, 4));
    }
}

#[test]
fn with_kip_890_partitions_join_by_being_produced_to_and_each_transaction_has_its_epoch() {
    let (mut c, at, _) = three();
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "t"), ErrorCode::None);
    assert_eq!(state(&mut c, at, "tid"), format!("Ongoing {id}:0 t[0]"));
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Ok((id, 1)));
    wait_for_committed(&mut c, "t", (1, 2));
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Ok((id, 1)), "asked again");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 1), 0, "t"), ErrorCode::None);
    // TXN-06: the first transaction's end arrives once more, late, and does not end the second.
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Err(ErrorCode::ProducerFenced));
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), false), Err(ErrorCode::ProducerFenced));
    assert_eq!(committed(&mut c, "t"), (1, 2));
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 1), false), Ok((id, 2)));
    wait_for_committed(&mut c, "t", (1, 4));
}

#[test]
fn without_kip_890_a_late_end_tears_the_next_transaction() {
    let (mut c, at, _) = three();
    set_transaction_version(&mut c, 1);
    let producer = init(&mut c, at, "tid");
    assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::None);
    assert_eq!(produce_in(&mut c, 11, "tid", producer, 0, "t"), ErrorCode::None);
    assert_eq!(end_as(&mut c, at, 4, "tid", producer, true), Ok((-1, -1)));
    wait_for_committed(&mut c, "t", (1, 2));
    assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::None);
    assert_eq!(produce_in(&mut c, 11, "tid", producer, 1, "t"), ErrorCode::None);
    // The first one's end, again: nothing tells it from the second one's.
    assert_eq!(end_as(&mut c, at, 4, "tid", producer, true), Ok((-1, -1)));
    wait_for_committed(&mut c, "t", (2, 4));
}

#[test]
fn a_new_producer_ends_the_transaction_of_the_old_one_and_fences_it() {
    for version in [0, 1, 2] {
        let (mut c, at, _) = three();
        set_transaction_version(&mut c, version);
        let (id, _) = init(&mut c, at, "tid");
        assert_eq!(add(&mut c, at, "tid", (id, 0), "t"), ErrorCode::None);
        assert_eq!(produce_in(&mut c, 11, "tid", (id, 0), 0, "t"), ErrorCode::None);
        // TXN-01: one epoch to fence the old producer and abort, and one for the new producer.
        assert_eq!(
            init_as(&mut c, at, 5, init_request("tid", 60_000, (-1, -1))),
            Err(ErrorCode::ConcurrentTransactions)
        );
        assert_eq!(init(&mut c, at, "tid"), (id, 2));
        wait_for_committed(&mut c, "t", (0, 2));
        assert_eq!(produce_in(&mut c, 11, "tid", (id, 0), 1, "t"), ErrorCode::InvalidProducerEpoch);
        assert_eq!(add(&mut c, at, "tid", (id, 0), "t"), ErrorCode::ProducerFenced);
        assert_eq!(end_as(&mut c, at, 4, "tid", (id, 0), true), Err(ErrorCode::ProducerFenced));
        assert_eq!(committed(&mut c, "t"), (0, 2));
    }
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted() {
    for version in [0, 2] {
        let (mut c, at, _) = three();
        set_transaction_version(&mut c, version);
        let (id, _) = init(&mut c, at, "tid");
        assert_eq!(add(&mut c, at, "tid", (id, 0), "t"), ErrorCode::None);
        assert_eq!(produce_in(&mut c, 11, "tid", (id, 0), 0, "t"), ErrorCode::None);
        c.run(Duration::from_secs(55));
        assert_eq!(state(&mut c, at, "tid"), format!("Ongoing {id}:0 t[0]"));
        // TXN-10: its minute is over, and the next sweep at most ten seconds away.
        c.run(Duration::from_secs(16));
        assert_eq!(state(&mut c, at, "tid"), format!("CompleteAbort {id}:1"));
        assert_eq!(committed(&mut c, "t"), (0, 2));
        assert_eq!(end_as(&mut c, at, 4, "tid", (id, 0), true), Err(ErrorCode::ProducerFenced));
        assert_eq!(produce_in(&mut c, 11, "tid", (id, 0), 1, "t"), ErrorCode::InvalidProducerEpoch);
        assert_eq!(init(&mut c, at, "tid"), (id, 2));
    }
}

#[test]
fn the_next_coordinator_carries_a_decision_out() {
    let (mut c, at, leader) = three();
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "t"), ErrorCode::None);
    // TXN-08: the decision is committed; the markers do not get through.
    hold_markers(&mut c);
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Ok((id, 1)));
    assert_eq!(state(&mut c, at, "tid"), format!("PrepareCommit {id}:1 t[0]"));
    assert_eq!(
        init_as(&mut c, at, 5, init_request("tid", 60_000, (-1, -1))),
        Err(ErrorCode::ConcurrentTransactions)
    );
    assert_eq!(committed(&mut c, "t"), (0, 0));
    c.command(Command::Crash(NodeId(at)));
    c.command(Command::HealAll);
    c.run(Duration::from_secs(15));
    let next = coordinator(&mut c, leader, "tid");
    assert_ne!(next, at);
    wait_for_state(&mut c, next, "tid", &format!("CompleteCommit {id}:1"));
    // The first coordinator's marker got through after all, and the second one's changes nothing.
    wait_for_committed(&mut c, "t", (1, 3));
    assert_eq!(end_as(&mut c, next, 5, "tid", (id, 0), true), Ok((id, 1)), "the client asks again");
}

#[test]
fn markers_follow_a_partition_to_its_next_leader() {
    let (mut c, at, leader) = three();
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "t"), ErrorCode::None);
    c.command(Command::Crash(NodeId(leader)));
    // The leader is gone before the decision; nobody has noticed yet.
    let ended = c.send(at, 5, end_request("tid", (id, 0), true));
    c.run(Duration::from_secs(20));
    assert!(c.outcome(ended).is_some());
    wait_for_state(&mut c, at, "tid", &format!("CompleteCommit {id}:1"));
    assert_ne!(c.leader("t", 0), leader);
    wait_for_committed(&mut c, "t", (1, 2));
}

#[test]
fn a_partition_without_a_leader_gets_its_marker_when_it_has_one_again() {
    let mut c = Cluster::start(3, &[]);
    let at = coordinator(&mut c, 1, "tid");
    let alone = at % 3 + 1;
    c.create_assigned("t", &[alone], &[]);
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "t"), ErrorCode::None);
    c.command(Command::Crash(NodeId(alone)));
    c.run(Duration::from_secs(20));
    assert_eq!(c.status("t", 0).leader, None);
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Ok((id, 1)));
    c.run(Duration::from_secs(60));
    assert_eq!(state(&mut c, at, "tid"), format!("PrepareCommit {id}:1 t[0]"));
    c.command(Command::Start(NodeId(alone)));
    c.run(Duration::from_secs(20));
    assert_eq!(state(&mut c, at, "tid"), format!("CompleteCommit {id}:1"));
    assert_eq!(committed(&mut c, "t"), (1, 2));
}

#[test]
fn a_partition_that_is_gone_needs_no_marker() {
    let (mut c, at, leader) = three();
    c.create_assigned("gone", &[leader], &[]);
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "gone"), ErrorCode::None);
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "t"), ErrorCode::None);
    c.delete_topic("gone");
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Ok((id, 1)));
    wait_for_state(&mut c, at, "tid", &format!("CompleteCommit {id}:1"));
    wait_for_committed(&mut c, "t", (1, 2));
}

#[test]
fn what_one_partition_refuses_for_good_the_others_get_nevertheless() {
    let (mut c, at, leader) = three();
    let other = leader % 3 + 1;
    c.create_assigned("refuses", &[other, leader, at], &[]);
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "refuses"), ErrorCode::None);
    assert_eq!(produce_in(&mut c, 12, "tid", (id, 0), 0, "t"), ErrorCode::None);
    let mut answer = |fault, to, error| {
        let on = RequestMatch::api(ApiKey::WriteTxnMarkers).to(NodeId(to));
        let fault_of = RequestFault { on, action: RequestAction::Error(error) };
        c.command(Command::Inject { id: FaultId(fault), fault: Box::new(Fault::Request(fault_of)) });
    };
    answer(1, other, ErrorCode::InvalidProducerEpoch);
    answer(2, leader, ErrorCode::NotEnoughReplicas);
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), true), Ok((id, 1)));
    c.run(Duration::from_secs(5));
    assert_eq!(committed(&mut c, "t"), (0, 0));
    c.command(Command::HealAll);
    wait_for_committed(&mut c, "t", (1, 2));
    assert!(state(&mut c, at, "tid").starts_with("PrepareCommit"));
    assert_eq!(committed(&mut c, "refuses"), (0, 0), "until another coordinator tells it");
}

#[test]
fn the_next_transaction_waits_for_the_markers_of_the_last() {
    let (mut c, at, _) = three();
    set_transaction_version(&mut c, 1);
    let producer = init(&mut c, at, "tid");
    assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::None);
    assert_eq!(produce_in(&mut c, 11, "tid", producer, 0, "t"), ErrorCode::None);
    hold_markers(&mut c);
    assert_eq!(end_as(&mut c, at, 4, "tid", producer, true), Ok((-1, -1)));
    // TXN-07: the client backs off, and comes again.
    assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::ConcurrentTransactions);
    assert_eq!(end_as(&mut c, at, 4, "tid", producer, true), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(end_as(&mut c, at, 4, "tid", producer, false), Err(ErrorCode::ConcurrentTransactions));
    c.command(Command::HealAll);
    wait_for_state(&mut c, at, "tid", &format!("CompleteCommit {}:0", producer.0));
    assert_eq!(add(&mut c, at, "tid", producer, "t"), ErrorCode::None);
}
