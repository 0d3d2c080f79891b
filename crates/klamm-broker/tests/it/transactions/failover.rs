//! What becomes of a coordinator's knowledge when brokers come and go.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::ErrorCode;
use klamm_world::fault::{Fault, NodeFault};
use klamm_world::{Command, FaultId};

use super::requests::*;
use crate::cluster::Cluster;

/// A cluster of three with topic `t`, and the coordinator of `tid`.
fn three() -> (Cluster, i32) {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    let at = coordinator(&mut c, 1, "tid");
    (c, at)
}

fn others(broker: i32) -> [i32; 2] {
    [broker % 3 + 1, (broker + 1) % 3 + 1]
}

#[test]
fn the_next_coordinator_knows_what_was_committed() {
    let (mut c, at) = three();
    let (id, _) = init(&mut c, at, "tid");
    assert_eq!(add(&mut c, at, "tid", (id, 0), "t"), ErrorCode::None);
    let before = state(&mut c, at, "tid");
    assert_eq!(before, format!("Ongoing {id}:0 t[0]"));
    c.command(Command::Crash(NodeId(at)));
    let [ask, other] = others(at);
    c.run(Duration::from_secs(20));
    let next = coordinator(&mut c, ask, "tid");
    assert_ne!(next, at);
    assert_eq!(state(&mut c, next, "tid"), before);
    let not_it = if next == ask { other } else { ask };
    assert_eq!(state(&mut c, not_it, "tid"), "NOT_COORDINATOR");
    assert_eq!(
        init_as(&mut c, not_it, 5, init_request("tid", 1000, (-1, -1))),
        Err(ErrorCode::NotCoordinator)
    );
    assert_eq!(add(&mut c, not_it, "tid", (id, 0), "t"), ErrorCode::NotCoordinator);
    assert_eq!(end_as(&mut c, not_it, 5, "tid", (id, 0), true), Err(ErrorCode::NotCoordinator));
}

#[test]
fn below_min_isr_nothing_is_decided() {
    let (mut c, at) = three();
    let (id, _) = init(&mut c, at, "tid");
    for other in others(at) {
        c.command(Command::Crash(NodeId(other)));
    }
    c.run(Duration::from_secs(20));
    // TXN-11: the coordinator is there, and can write nothing down.
    assert_eq!(
        init_as(&mut c, at, 5, init_request("tid", 1000, (-1, -1))),
        Err(ErrorCode::CoordinatorNotAvailable)
    );
    assert_eq!(add(&mut c, at, "tid", (id, 0), "t"), ErrorCode::CoordinatorNotAvailable);
    assert_eq!(end_as(&mut c, at, 5, "tid", (id, 0), false), Err(ErrorCode::CoordinatorNotAvailable));
    assert_eq!(state(&mut c, at, "tid"), format!("Empty {id}:0"), "and nothing is pending");
    for other in others(at) {
        c.command(Command::Start(NodeId(other)));
    }
    c.run(Duration::from_secs(20));
    let at = coordinator(&mut c, at, "tid");
    assert_eq!(init(&mut c, at, "tid"), (id, 1));
}

#[test]
fn a_change_that_is_not_committed_in_time_fails_and_may_be_tried_again() {
    let (mut c, at) = three();
    let (id, _) = init(&mut c, at, "tid");
    // The followers are in the ISR, and silent: the record is in the log and is not committed.
    for (id, other) in (1..).zip(others(at)) {
        let fault = Fault::Node { node: NodeId(other), fault: NodeFault::Pause };
        c.command(Command::Inject { id: FaultId(id), fault: Box::new(fault) });
    }
    let sent = c.send(at, 5, init_request("tid", 5_000, (-1, -1)));
    c.run(Duration::from_millis(1));
    assert!(c.outcome(sent).is_none());
    c.connect(at);
    assert_eq!(
        init_as(&mut c, at, 5, init_request("tid", 5_000, (-1, -1))),
        Err(ErrorCode::ConcurrentTransactions),
        "one change at a time"
    );
    c.run(Duration::from_secs(5));
    assert!(c.outcome(sent).is_some(), "the transaction's timeout is over");
    assert_eq!(state(&mut c, at, "tid"), format!("Empty {id}:0"));
    c.command(Command::HealAll);
    c.run(Duration::from_secs(20));
    let at = coordinator(&mut c, at, "tid");
    assert_eq!(init(&mut c, at, "tid").0, id);
}
