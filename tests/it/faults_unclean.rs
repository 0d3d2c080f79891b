//! A leader is elected that lacks acknowledged records: exactly those are lost, and the consumer learns where the logs part
//! (KIP-320).

use klamm_node::NodeId;
use klamm_tests::{PATIENCE, wait_until};
use klamm_world::fault::{Fault, Link, NetworkFault, NodeFault, Peer};

use crate::faults_harness::{Consumer, Stage, TOPIC, last};

const UNCLEAN: &[(&str, &str)] = &[
    ("min.insync.replicas", "1"),
    ("unclean.leader.election.enable", "true"),
    ("replica.lag.time.max.ms", "1000"),
];

#[test]
fn truncation_is_detected_and_costs_what_it_must() {
    let Some(mut stage) = Stage::begin(1, UNCLEAN, "1", Consumer::Assigned) else { return };
    let leader = stage.leader(0);
    let others = [leader.0 % 3 + 1, (leader.0 + 1) % 3 + 1].map(NodeId);
    for other in others {
        stage.to_node(other, NodeFault::Crash);
    }
    let alone = |world: &klamm::World| world.partition(TOPIC, 0).is_some_and(|it| it.isr == [leader]);
    stage.cluster.wait_until_for(PATIENCE, alone).unwrap();
    stage.flows("with a lone leader");
    // However far behind it was: it has read what the others never had.
    let theirs = stage.cluster.partition(TOPIC, 0).unwrap().logs[&leader].log_end as u64;
    let read = wait_until(PATIENCE, || (stage.counted("READ ") > theirs).then_some(()));
    assert!(read.is_some(), "the consumer does not come to {theirs}");
    stage.to_node(leader, NodeFault::Crash);
    // Nobody reaches the new leader before it was looked at.
    let heir = others[0];
    let link = Link::between(Peer::Clients, Peer::Node(heir));
    let cut = stage.inject(Fault::Network(NetworkFault::cut(link)));
    stage.to_node(heir, NodeFault::Start);
    stage
        .cluster
        .wait_until_for(PATIENCE, |world| {
            world.partition(TOPIC, 0).is_some_and(|it| it.leader == Some(heir) && it.logs.contains_key(&heir))
        })
        .unwrap();
    let parted_at = stage.cluster.partition(TOPIC, 0).unwrap().logs[&heir].log_end;
    stage.heal(cut);
    let truncated = wait_until(PATIENCE, || last(&mut stage.consumer, "TRUNCATED "));
    let words: Vec<i64> =
        truncated.expect("the consumer noticed").split(' ').map(|word| word.parse().unwrap()).collect();
    let (position, divergent) = (words[1], words[2]);
    assert_eq!(divergent, parted_at, "the consumer was told where the logs part");
    assert!(position > divergent, "it had read what is lost");
    for broker in [leader, others[1]] {
        stage.to_node(broker, NodeFault::Start);
    }
    stage.whole();
    stage.flows("under the new leader");

    let story = stage.end();
    // What was read up to the truncation, and what was read from there on.
    let back =
        story.read.windows(2).position(|pair| pair[1].1 <= pair[0].1).expect("the consumer went back") + 1;
    let (before, after) = story.read.split_at(back);
    assert_eq!((before.len() as i64, after[0].1), (position, divergent));
    let offsets = after.iter().map(|(_, offset, _)| *offset);
    assert!(offsets.eq(divergent..divergent + after.len() as i64), "offsets are missing or twice");
    let kept: std::collections::BTreeSet<_> = before[..divergent as usize].iter().chain(after).collect();
    let (kept, lost): (Vec<_>, Vec<_>) = story.acked.iter().partition(|entry| kept.contains(entry));
    assert!(!lost.is_empty(), "nothing was lost: the election was clean");
    // The old leader's records from the divergence on are lost, all of them, and nothing else is.
    let first_kept_after =
        kept.iter().filter(|(_, offset, _)| *offset >= divergent).map(|(_, _, n)| *n).min().unwrap();
    for (_, offset, number) in &lost {
        assert!(*offset >= divergent && *number < first_kept_after, "{number} at {offset} was lost");
    }
    // What was read of them was acknowledged there; or the answer was lost, and it was sent to the new leader once more.
    let acked: std::collections::BTreeSet<u64> = story.acked.iter().map(|(_, _, number)| *number).collect();
    let unheard = before[divergent as usize..].iter().find(|(_, _, number)| !acked.contains(number));
    assert_eq!(unheard, None, "it was read and never acknowledged");
}
