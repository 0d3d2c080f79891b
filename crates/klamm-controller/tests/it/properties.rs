//! Whatever brokers do, in whatever order: the rules hold, and the log tells the whole story.

use std::collections::BTreeMap;

use klamm_metadata::{MetadataImage, NO_LEADER};
use klamm_wire::Uuid;
use proptest::prelude::*;

use crate::harness::Harness;

const BROKERS: i32 = 4;

#[derive(Debug, Clone)]
enum Step {
    Register { broker: i32, process: u64 },
    Heartbeat { broker: i32 },
    WantFence { broker: i32 },
    WantShutDown { broker: i32 },
    CreateTopic { name: u8, partitions: i32, replicas: i16, unclean: bool },
    DeleteTopic { name: u8 },
    Propose { name: u8, sender: i32, isr: u8, stale: bool },
    Reassign { name: u8, replicas: u8 },
    CancelReassignment { name: u8 },
    Elect { name: u8, unclean: bool },
    Advance { millis: u64 },
    Restart { in_order: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let broker = 1..=BROKERS;
    prop_oneof![
        2 => (broker.clone(), 1..3_u64).prop_map(|(broker, process)| Step::Register { broker, process }),
        6 => broker.clone().prop_map(|broker| Step::Heartbeat { broker }),
        3 => broker.clone().prop_map(|broker| Step::WantFence { broker }),
        1 => broker.clone().prop_map(|broker| Step::WantShutDown { broker }),
        2 => (0..3_u8, 1..4, 1..4_i16, any::<bool>()).prop_map(|(name, partitions, replicas, unclean)| {
            Step::CreateTopic { name, partitions, replicas, unclean }
        }),
        1 => (0..3_u8).prop_map(|name| Step::DeleteTopic { name }),
        6 => (0..3_u8, broker, any::<u8>(), prop::bool::weighted(0.1))
            .prop_map(|(name, sender, isr, stale)| Step::Propose { name, sender, isr, stale }),
        3 => (0..3_u8, any::<u8>()).prop_map(|(name, replicas)| Step::Reassign { name, replicas }),
        1 => (0..3_u8).prop_map(|name| Step::CancelReassignment { name }),
        2 => (0..3_u8, any::<bool>()).prop_map(|(name, unclean)| Step::Elect { name, unclean }),
        2 => (0..12_000_u64).prop_map(|millis| Step::Advance { millis }),
        1 => any::<bool>().prop_map(|in_order| Step::Restart { in_order }),
    ]
}

fn name(name: u8) -> String {
    format!("topic-{name}")
}

fn run(mut h: Harness, step: &Step) -> Harness {
    match step {
        Step::Register { broker, process } => {
            h.register_broker(Harness::registration(*broker, *process));
        }
        Step::Heartbeat { broker } | Step::WantFence { broker } | Step::WantShutDown { broker } => {
            if h.image().cluster.broker(klamm_node::NodeId(*broker)).is_some() {
                let request = h
                    .heartbeat_of(*broker)
                    .with_want_fence(matches!(step, Step::WantFence { .. }))
                    .with_want_shut_down(matches!(step, Step::WantShutDown { .. }));
                assert_eq!(h.broker_heartbeat(request).error_code, 0);
            }
        }
        Step::CreateTopic { name: topic, partitions, replicas, unclean } => {
            let unclean = if *unclean { "true" } else { "false" };
            let configs = [("unclean.leader.election.enable", unclean), ("min.insync.replicas", "2")];
            h.create_topic(&name(*topic), *partitions, *replicas, &configs);
        }
        Step::DeleteTopic { name: topic } => {
            if let Some(id) = h.image().topics.id(&name(*topic)) {
                let topic = klamm_wire::messages::delete_topics_request::DeleteTopicState::default()
                    .with_name(None)
                    .with_topic_id(id);
                let request = klamm_wire::messages::DeleteTopicsRequest::default().with_topics(vec![topic]);
                assert_eq!(h.delete_topics(request).responses[0].error_code, 0);
            }
        }
        Step::Propose { name: topic, sender, isr, stale } => {
            let topic = name(*topic);
            let known = h.image().cluster.broker(klamm_node::NodeId(*sender)).is_some();
            if known && h.image().topics.id(&topic).is_some() {
                let isr: Vec<i32> = (1..=BROKERS).filter(|id| isr & (1 << id) != 0).collect();
                let mut request = h.proposal(&topic, *sender, &isr);
                if *stale {
                    request.topics[0].partitions[0].partition_epoch -= 1;
                }
                h.propose(request);
            }
        }
        Step::Reassign { name: topic, replicas } => {
            let replicas: Vec<i32> = (1..=BROKERS).filter(|id| replicas & (1 << id) != 0).collect();
            h.reassign(&name(*topic), Some(&replicas));
        }
        Step::CancelReassignment { name: topic } => {
            h.reassign(&name(*topic), None);
        }
        Step::Elect { name: topic, unclean } => {
            h.elect(&name(*topic), i8::from(*unclean));
        }
        Step::Advance { millis } => h.advance(*millis),
        Step::Restart { in_order } => h = h.restart(*in_order),
    }
    h
}

/// (topic, partition) → (leader epoch, partition epoch, leader).
type Epochs = BTreeMap<(Uuid, i32), (i32, i32, i32)>;

fn epochs(image: &MetadataImage) -> Epochs {
    let partitions = image.topics.iter().flat_map(|topic| {
        topic.iter().map(|(index, p)| ((topic.id, index), (p.leader_epoch, p.partition_epoch, p.leader.0)))
    });
    partitions.collect()
}

fn check(before: &Epochs, image: &MetadataImage, elr: bool) {
    for topic in image.topics.iter() {
        for (index, partition) in topic.iter() {
            let at = format!("{}-{index}: {partition:?}", topic.name);
            assert!(partition.isr.iter().all(|id| partition.replicas.contains(id)), "ISR ⊆ replicas: {at}");
            assert!(partition.elr.iter().all(|id| partition.replicas.contains(id)), "ELR ⊆ replicas: {at}");
            assert!(partition.elr.iter().all(|id| !partition.isr.contains(id)), "ELR ∩ ISR = ∅: {at}");
            assert!(elr || partition.elr.is_empty() && !partition.isr.is_empty(), "without ELR: {at}");
            let (adding, removing) = (&partition.adding_replicas, &partition.removing_replicas);
            let is_replica = |id| partition.replicas.contains(id);
            assert!(adding.iter().all(is_replica), "what is added is a replica: {at}");
            assert!(removing.iter().all(is_replica), "what is removed is still a replica: {at}");
            assert_eq!(partition.directories.len(), partition.replicas.len(), "a directory a replica: {at}");
            // Kafka lets a broker lead again that was fenced on its way down and then changed its mind.
            if partition.leader != NO_LEADER {
                assert!(partition.isr.contains(&partition.leader), "the leader is in sync: {at}");
                assert!(image.cluster.is_unfenced(partition.leader), "the leader is alive: {at}");
            }
            if partition.isr.len() > 1 {
                let alive = partition.isr.iter().all(|id| image.cluster.is_unfenced(*id));
                assert!(alive, "only the last member of an ISR may be down: {at}");
            }
            let Some((leader_epoch, partition_epoch, leader)) = before.get(&(topic.id, index)) else {
                continue;
            };
            assert!(partition.leader_epoch >= *leader_epoch, "leader epochs only grow: {at}");
            assert!(partition.partition_epoch >= *partition_epoch, "partition epochs only grow: {at}");
            let same_epoch = partition.leader_epoch == *leader_epoch;
            assert!(!same_epoch || partition.leader.0 == *leader, "one leader an epoch: {at}");
        }
    }
}

fn simulate(steps: &[Step], elr: bool) -> (MetadataImage, u64) {
    let mut h = if elr { Harness::with_elr(&[]) } else { Harness::new() };
    for step in steps {
        let before = epochs(h.image());
        h = run(h, step);
        check(&before, h.image(), elr);
    }
    let rebuilt = h.image_from_log();
    assert_eq!(&rebuilt, h.image(), "the log tells the whole story");
    (rebuilt, h.trace.hash())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_whatever_brokers_do(steps in prop::collection::vec(step(), 1..60), elr in any::<bool>()) {
        let first = simulate(&steps, elr);
        prop_assert_eq!(first, simulate(&steps, elr), "the same steps decide the same");
    }
}
