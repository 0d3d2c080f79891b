//! Moves of the cluster.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::fault::{ClusterFault, Link, NetworkFault};

use super::{once, partition};
use crate::scripted::{Stage, TOPIC};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_leader_moves_at_once() {
    let mut stage = Stage::with_topic(1, &[]);
    let producer = stage.warm_producer(once());
    let id = stage.inject(ClusterFault::MoveLeader { partition: partition(), to: NodeId(3) });
    stage.run(SECOND);
    let status = stage.partition();
    assert_eq!((status.leader, status.leader_epoch, status.isr.len()), (Some(NodeId(3)), 1, 3));
    assert_eq!(stage.fired(id), 1);
    assert_eq!(stage.refused(producer, "a"), "NOT_LEADER_OR_FOLLOWER");
}

#[test]
fn an_isr_is_held_and_set() {
    let mut stage = Stage::with_topic(2, &[("replica.lag.time.max.ms", "2000")]);
    let producer = stage.warm_producer(once());
    let hold = stage.inject(ClusterFault::HoldIsr { partition: partition() });
    let cut = stage.inject(NetworkFault::cut(Link::between(3, 1)));
    let op = stage.send(producer, "a");
    stage.run(5 * SECOND);
    let _ = op;
    assert_eq!(stage.partition().isr.len(), 3, "the controller has not heard");
    assert!(stage.fired(hold) > 0);
    stage.heal(hold);
    stage.run_until("a smaller ISR", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 2);
    stage.heal(cut);
    stage.run_until("the whole ISR", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 3);

    let set = stage.inject(ClusterFault::SetIsr { partition: partition(), isr: vec![NodeId(1)] });
    assert_eq!((stage.partition().isr, stage.fired(set)), (vec![NodeId(1)], 1));
    stage.run_until("the whole ISR", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 3);
}
