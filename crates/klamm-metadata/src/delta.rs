//! What a run of records changed (`MetadataDelta`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use klamm_node::NodeId;
use klamm_wire::{StrBytes, Uuid};

use crate::image::{
    BrokerRegistration, ConfigResource, MetadataImage, PartitionRegistration, QuotaEntity, TopicImage,
};

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
    /// Client quotas that were set or removed, by entity.
    pub client_quotas: BTreeMap<QuotaEntity, BTreeSet<StrBytes>>,
    /// Features whose level changed.
    pub features: BTreeSet<StrBytes>,
    /// Whether a block of producer ids was given out.
    pub producer_ids: bool,
}

impl MetadataDelta {
    /// What leads from one image to another, as when a snapshot takes the place of what was there.
    pub fn between(before: &MetadataImage, now: &MetadataImage) -> Self {
        let mut delta = Self { producer_ids: before.producer_ids != now.producer_ids, ..Self::default() };
        for topic in now.topics.iter() {
            let old = before.topics.by_id(topic.id);
            for (index, partition) in topic.iter() {
                let old = old.and_then(|topic| topic.partition(index));
                if old != Some(partition) {
                    delta.topic(topic.id, &topic.name).note_partition(index, old.cloned());
                }
            }
            if old.is_none() {
                delta.topic(topic.id, &topic.name).created = true;
            }
        }
        for topic in before.topics.iter().filter(|topic| now.topics.by_id(topic.id).is_none()) {
            delta.topic(topic.id, &topic.name).removed = Some(Arc::clone(topic));
        }
        let ids = before.cluster.brokers().chain(now.cluster.brokers()).map(|broker| broker.id);
        for id in ids.collect::<BTreeSet<_>>() {
            let old = before.cluster.broker(id);
            if old != now.cluster.broker(id) {
                delta.note_broker(id, old.cloned());
            }
        }
        let changed = |one: &MetadataImage, other: &MetadataImage, delta: &mut Self| {
            for (resource, keys) in one.configs.iter() {
                for key in keys
                    .keys()
                    .filter(|key| one.configs.value(resource, key) != other.configs.value(resource, key))
                {
                    delta.configs.entry(resource.clone()).or_default().insert(key.clone());
                }
            }
            for (entity, quotas) in one.client_quotas.iter() {
                let of_other = other.client_quotas.get(entity);
                for (key, value) in quotas {
                    if of_other.and_then(|quotas| quotas.get(key)) != Some(value) {
                        delta.client_quotas.entry(entity.clone()).or_default().insert(key.clone());
                    }
                }
            }
            let features = one.features.iter().filter(|(name, level)| other.features.level(name) != *level);
            delta.features.extend(features.map(|(name, _)| name.clone()));
        };
        changed(before, now, &mut delta);
        changed(now, before, &mut delta);
        delta
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
            && self.brokers.is_empty()
            && self.configs.is_empty()
            && self.client_quotas.is_empty()
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
