//! Faults of the network.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_world::fault::{Fate, Link, Messages, NetworkFault, Peer};

use super::{once, persistent};
use crate::scripted::{CONTROLLER, Stage, TOPIC};

const SECOND: Duration = Duration::from_secs(1);
const LAG: &[(&str, &str)] = &[("replica.lag.time.max.ms", "5000"), ("min.insync.replicas", "2")];

#[test]
fn a_follower_that_is_cut_off_leaves_the_isr_and_comes_back() {
    for fate in [Fate::Held, Fate::Lost] {
        let mut stage = Stage::with_topic(1, LAG);
        let producer = stage.warm_producer(once());
        let link = Link::between(3, 1);
        let cut = stage.inject(NetworkFault::Cut { link, messages: Messages::All, fate });
        let op = stage.send(producer, "a");
        stage.run_until("a smaller ISR", |world| world.partition(TOPIC, 0).unwrap().isr.len() == 2);
        let _ = stage.result(producer, op);
        assert!(stage.fired(cut) > 0);
        assert_eq!(stage.held(cut) > 0, fate == Fate::Held);
        stage.heal(cut);
        stage.run_until("its return", |world| world.partition(TOPIC, 0).unwrap().is_settled());
    }
}

#[test]
fn a_one_way_cut_loses_requests_or_answers() {
    // The leader cannot reach the controller, which reaches it: it is fenced though it leads on.
    let mut stage = Stage::with_topic(2, LAG);
    let link = Link::one_way(1, CONTROLLER);
    let cut = stage.inject(NetworkFault::cut(link));
    stage.run_until("another leader", |world| world.partition(TOPIC, 0).unwrap().leader == Some(NodeId(2)));
    stage.heal(cut);
    stage.run_until("its return", |world| world.partition(TOPIC, 0).unwrap().is_settled());

    // Answers to clients do not get through: what is acknowledged is not heard of.
    let producer = stage.producer(persistent(true));
    stage.sent(producer, "b");
    let leader = stage.partition().leader.unwrap();
    let end = stage.partition().log_end().unwrap();
    let link = Link::between(leader, Peer::Clients);
    let lost = stage.inject(NetworkFault::Cut { link, messages: Messages::Answers, fate: Fate::Lost });
    let op = stage.send(producer, "c");
    stage.run(SECOND);
    assert_eq!(stage.partition().log_end(), Some(end + 1), "the request got through");
    assert!(stage.world.client_op(producer, op).unwrap().ended.is_none());
    stage.heal(lost);
    stage.result(producer, op).unwrap();
    assert_eq!(stage.partition().log_end(), Some(end + 1), "it was sent again, and is there once");
    assert!(stage.fired(lost) > 0);
}

#[test]
fn a_partitioned_minority_loses_its_leadership() {
    let mut stage = Stage::with_topic(3, LAG);
    let majority = vec![NodeId(2).into(), NodeId(3).into(), CONTROLLER.into(), Peer::Clients];
    let groups = vec![vec![NodeId(1).into()], majority];
    let partition = stage.inject(NetworkFault::Partition { groups, fate: Fate::Held });
    stage.run_until("another leader", |world| world.partition(TOPIC, 0).unwrap().leader == Some(NodeId(2)));
    assert!(stage.fired(partition) > 0);
    stage.heal(partition);
    stage.run_until("one cluster", |world| {
        world.is_ready() && world.partition(TOPIC, 0).unwrap().is_settled()
    });
}

#[test]
fn latency_jitter_and_bandwidth_take_time() {
    let took = |fault: Option<NetworkFault>| {
        let mut stage = Stage::with_topic(4, &[]);
        let producer = stage.warm_producer(once());
        let fault = fault.map(|fault| stage.inject(fault));
        let asked = stage.world.now();
        let op = stage.send(producer, "a");
        stage.result(producer, op).unwrap();
        if let Some(fault) = fault {
            assert!(stage.fired(fault) > 0);
            stage.heal(fault);
            stage.run(5 * SECOND);
            assert!(stage.partition().is_settled());
        }
        stage.ended_at(producer, op).since(asked).as_millis()
    };
    let link = Link::between(1, Peer::Clients);
    let plain = took(None);
    let latency = took(Some(NetworkFault::Latency { link, by: Duration::from_millis(100) }));
    assert_eq!(latency, plain + 200);
    let jitter = took(Some(NetworkFault::Jitter { link, up_to: Duration::from_millis(100) }));
    assert!(jitter > plain && jitter < plain + 200, "{plain} {jitter}");
    // A batch of one record has some 70 bytes, and whatever is around it counts as 128.
    let narrow = took(Some(NetworkFault::Bandwidth {
        link: Link::one_way(Peer::Clients, 1),
        bytes_per_second: 1_000,
    }));
    assert!((150..300).contains(&(narrow - plain)), "{plain} {narrow}");
}

#[test]
fn what_was_slowed_is_not_overtaken_by_what_comes_later() {
    let mut stage = Stage::with_topic(5, &[]);
    let producer = stage.warm_producer(persistent(true));
    let link = Link::one_way(Peer::Clients, 1);
    let slow = stage.inject(NetworkFault::Latency { link, by: SECOND });
    let first = stage.send(producer, "a");
    stage.heal(slow);
    let second = stage.send(producer, "b");
    let offsets =
        [first, second].map(|op| stage.result(producer, op).unwrap().produced().unwrap().base_offset);
    assert_eq!(offsets, [Some(1), Some(2)]);
}

#[test]
fn a_reset_is_told_to_both_ends_at_once() {
    let mut stage = Stage::with_topic(6, &[]);
    let producer = stage.warm_producer(persistent(true));
    let link = Link::between(1, Peer::Clients);
    let slow = stage.inject(NetworkFault::Latency { link, by: SECOND });
    let op = stage.send(producer, "a");
    let before = stage.world.connections();
    let reset = stage.inject(NetworkFault::Reset { link });
    assert!(stage.world.connections() < before);
    stage.heal(slow);
    let produced = stage.result(producer, op).unwrap().produced().unwrap().clone();
    assert_eq!((produced.base_offset, produced.attempts, stage.fired(reset)), (Some(1), 2, 1));
    let nodes = stage.inject(NetworkFault::Reset { link: Link::between(1, 2) });
    stage.sent(producer, "b");
    stage.run(2 * SECOND);
    assert_eq!(stage.fired(nodes), 1);
    assert!(stage.partition().is_settled());
}
