//! What a run of records changed (`MetadataDelta`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use klamm_node::NodeId;
use klamm_wire::{StrBytes, Uuid};

use crate::image::{BrokerRegistration, ConfigResource, PartitionRegistration, TopicImage};

/// What changed in one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDelta {
    /// The topic's name.
    pub name: StrBytes,
    /// Whether the topic is new.
    pub created: bool,
    /// The topic as it last was, if it was deleted.
    pub removed: Option<Arc<TopicImage>>,
    /// The partitions that changed, with their state before the delta's first change of them; `None` for a new one.
    /// The state after it is in the image.
    pub partitions: BTreeMap<i32, Option<Arc<PartitionRegistration>>>,
}

impl TopicDelta {
    pub(crate) fn note_partition(&mut self, index: i32, before: Option<Arc<PartitionRegistration>>) {
        self.partitions.entry(index).or_insert(before);
    }
}

/// What changed between two images: names and previous states; the new state is in the newer image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataDelta {
    /// Topics that changed, by id.
    pub topics: BTreeMap<Uuid, TopicDelta>,
    /// Brokers whose registration changed, with the registration before; `None` for a new one.
    pub brokers: BTreeMap<NodeId, Option<Arc<BrokerRegistration>>>,
    /// Configuration keys that were set or deleted.
    pub configs: BTreeMap<ConfigResource, BTreeSet<StrBytes>>,
    /// Features whose level changed.
    pub features: BTreeSet<StrBytes>,
    /// Whether a block of producer ids was given out.
    pub producer_ids: bool,
}

impl MetadataDelta {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
            && self.brokers.is_empty()
            && self.configs.is_empty()
            && self.features.is_empty()
            && !self.producer_ids
    }

    pub(crate) fn topic(&mut self, id: Uuid, name: &StrBytes) -> &mut TopicDelta {
        self.topics.entry(id).or_insert_with(|| TopicDelta {
            name: name.clone(),
            created: false,
            removed: None,
            partitions: BTreeMap::new(),
        })
    }

    pub(crate) fn note_broker(&mut self, id: NodeId, before: Option<Arc<BrokerRegistration>>) {
        self.brokers.entry(id).or_insert(before);
    }
}
