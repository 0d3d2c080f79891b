//! Which partitions a broker's fate concerns, so that fencing it looks at no other (`BrokersToIsrs`, `BrokersToElrs`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_metadata::{MetadataDelta, MetadataImage, PartitionRegistration};
use klamm_node::{NodeId, TopicIdPartition};
use klamm_wire::Uuid;

/// Partitions by broker; follows the image through each delta.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionIndex {
    isr: BTreeSet<(NodeId, Uuid, i32)>,
    elr: BTreeSet<(NodeId, Uuid, i32)>,
    leaders: BTreeMap<NodeId, usize>,
    leaderless: BTreeSet<TopicIdPartition>,
    /// Partitions that somebody other than the preferred replica leads.
    imbalanced: BTreeSet<TopicIdPartition>,
    reassigning: BTreeSet<TopicIdPartition>,
    directories: BTreeSet<(Uuid, Uuid, i32)>,
}

impl PartitionIndex {
    /// Takes in what `delta` changed on the way to `image`.
    pub(crate) fn follow(&mut self, delta: &MetadataDelta, image: &MetadataImage) {
        for (topic_id, topic) in &delta.topics {
            for (index, before) in &topic.partitions {
                let key = TopicIdPartition { topic_id: *topic_id, partition: *index };
                if let Some(before) = before {
                    self.remove(key, before);
                }
                if let Some(now) = image.topics.partition(*topic_id, *index) {
                    self.add(key, now);
                }
            }
            let Some(removed) = &topic.removed else { continue };
            for (index, partition) in removed.iter() {
                if !topic.partitions.contains_key(&index) {
                    self.remove(TopicIdPartition { topic_id: *topic_id, partition: index }, partition);
                }
            }
        }
    }

    fn add(&mut self, key: TopicIdPartition, partition: &PartitionRegistration) {
        let TopicIdPartition { topic_id, partition: index } = key;
        self.isr.extend(partition.isr.iter().map(|id| (*id, topic_id, index)));
        self.elr.extend(partition.elr.iter().map(|id| (*id, topic_id, index)));
        self.directories.extend(partition.directories.iter().map(|dir| (*dir, topic_id, index)));
        if partition.has_leader() {
            *self.leaders.entry(partition.leader).or_default() += 1;
        } else {
            self.leaderless.insert(key);
        }
        if partition.leader != partition.preferred_replica() {
            self.imbalanced.insert(key);
        }
        if partition.is_reassigning() {
            self.reassigning.insert(key);
        }
    }

    fn remove(&mut self, key: TopicIdPartition, partition: &PartitionRegistration) {
        let TopicIdPartition { topic_id, partition: index } = key;
        for id in &partition.isr {
            self.isr.remove(&(*id, topic_id, index));
        }
        for id in &partition.elr {
            self.elr.remove(&(*id, topic_id, index));
        }
        for dir in &partition.directories {
            self.directories.remove(&(*dir, topic_id, index));
        }
        self.leaderless.remove(&key);
        self.imbalanced.remove(&key);
        self.reassigning.remove(&key);
        if let Some(count) = self.leaders.get_mut(&partition.leader) {
            *count -= 1;
            if *count == 0 {
                self.leaders.remove(&partition.leader);
            }
        }
    }

    /// Partitions with `broker` in the ISR.
    pub(crate) fn in_isr(&self, broker: NodeId) -> Vec<TopicIdPartition> {
        of(&self.isr, broker)
    }

    /// Partitions with `broker` in the ELR.
    pub(crate) fn in_elr(&self, broker: NodeId) -> Vec<TopicIdPartition> {
        of(&self.elr, broker)
    }

    /// Partitions with a replica in the log directory `dir`.
    pub(crate) fn in_directory(&self, dir: Uuid) -> Vec<TopicIdPartition> {
        of(&self.directories, dir)
    }

    /// Partitions without a leader.
    pub(crate) fn leaderless(&self) -> Vec<TopicIdPartition> {
        self.leaderless.iter().copied().collect()
    }

    /// Partitions that somebody other than the preferred replica leads.
    pub(crate) fn imbalanced(&self) -> impl Iterator<Item = TopicIdPartition> {
        self.imbalanced.iter().copied()
    }

    /// Partitions whose replicas are being moved, by topic.
    pub(crate) fn reassigning(&self) -> impl Iterator<Item = TopicIdPartition> {
        self.reassigning.iter().copied()
    }

    /// Whether `broker` leads a partition.
    pub(crate) fn leads(&self, broker: NodeId) -> bool {
        self.leaders.contains_key(&broker)
    }
}

fn of<K: Ord + Copy>(set: &BTreeSet<(K, Uuid, i32)>, key: K) -> Vec<TopicIdPartition> {
    set.range((key, Uuid::nil(), i32::MIN)..=(key, Uuid::max(), i32::MAX))
        .map(|(_, topic_id, partition)| TopicIdPartition { topic_id: *topic_id, partition: *partition })
        .collect()
}
