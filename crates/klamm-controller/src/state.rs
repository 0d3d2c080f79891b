//! What the controller knows: the image, and what is worked out from it as records are replayed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_metadata::{
    ConfigResource, MetadataDelta, MetadataError, MetadataImage, MetadataPublisher, MetadataRecord,
    Provenance,
};
use klamm_node::config::{BrokerConfig, broker, topic};
use klamm_node::{Eras, EventId, NodeId, Timestamp};
use klamm_wire::record::batch::RecordBatch;
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::api_error::ApiError;
use crate::broker_heartbeat::HeartbeatManager;
use crate::index::PartitionIndex;
use crate::partition_change::Rules;
use klamm_metadata::topic_name;

/// The most bytes that one batch may decompress to. A controller writes batches of at most 8 MiB.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// The state that every manager reads. Only [`replay`](Self::replay) changes what the metadata log determines.
#[derive(Debug, Clone)]
pub(crate) struct ClusterState {
    pub(crate) node: NodeId,
    pub(crate) cluster_id: StrBytes,
    pub(crate) image: MetadataImage,
    pub(crate) index: PartitionIndex,
    pub(crate) heartbeats: HeartbeatManager,
    pub(crate) config: BrokerConfig,
    /// Which rules are those of an older Kafka.
    pub(crate) eras: Eras,
    /// The offset of each broker's latest registration.
    register_offsets: BTreeMap<NodeId, i64>,
    /// Topics that contain `.` or `_`, by the form that colliding names share.
    collisions: BTreeMap<String, BTreeSet<StrBytes>>,
    /// The records of the open metadata transaction, with their offsets.
    transaction: Option<Vec<(i64, MetadataRecord)>>,
}

impl ClusterState {
    pub(crate) fn new(node: NodeId, cluster_id: StrBytes, config: BrokerConfig, eras: Eras) -> Self {
        let timeout = config.get(broker::BROKER_SESSION_TIMEOUT_MS).max(1);
        Self {
            node,
            cluster_id,
            image: MetadataImage::default(),
            index: PartitionIndex::default(),
            heartbeats: HeartbeatManager::new(Duration::from_millis(u64::from(timeout.unsigned_abs()))),
            config,
            eras,
            register_offsets: BTreeMap::new(),
            collisions: BTreeMap::new(),
            transaction: None,
        }
    }

    /// Folds in a run of records that lies at `base_offset` in the log, and returns what it changed.
    pub(crate) fn replay(
        &mut self,
        base_offset: i64,
        epoch: i32,
        records: &[MetadataRecord],
    ) -> Result<MetadataDelta, MetadataError> {
        self.fold(epoch, records.iter().zip(base_offset..))
    }

    fn fold<'a>(
        &mut self,
        epoch: i32,
        records: impl Iterator<Item = (&'a MetadataRecord, i64)>,
    ) -> Result<MetadataDelta, MetadataError> {
        let mut delta = MetadataDelta::default();
        for (record, offset) in records {
            self.image.apply(record, &mut delta)?;
            self.image.provenance = Provenance { last_contained_offset: offset, last_contained_epoch: epoch };
            match record {
                MetadataRecord::RegisterBroker(r) => {
                    self.register_offsets.insert(NodeId(r.broker_id), offset);
                }
                MetadataRecord::UnregisterBroker(r) => {
                    self.register_offsets.remove(&NodeId(r.broker_id));
                }
                _ => {}
            }
        }
        self.follow(&delta);
        Ok(delta)
    }

    /// Folds in a batch of the log. The records of a metadata transaction wait for its end (KIP-868).
    pub(crate) fn replay_batch(&mut self, batch: &RecordBatch) -> Result<(), MetadataError> {
        let header = &batch.header;
        let epoch = header.partition_leader_epoch;
        let mut ready = Vec::new();
        if !header.is_control() {
            for (offset, record) in decode(batch)? {
                match (&mut self.transaction, record) {
                    (None, MetadataRecord::BeginTransaction(_)) => self.transaction = Some(Vec::new()),
                    (Some(_), MetadataRecord::EndTransaction(_)) => {
                        ready.extend(self.transaction.take().unwrap_or_default());
                    }
                    (Some(_), MetadataRecord::AbortTransaction(_)) => self.transaction = None,
                    (Some(held), record) => held.push((offset, record)),
                    (None, record) => ready.push((offset, record)),
                }
            }
        }
        self.fold(epoch, ready.iter().map(|(offset, record)| (record, *offset)))?;
        self.image.provenance =
            Provenance { last_contained_offset: header.last_offset(), last_contained_epoch: epoch };
        Ok(())
    }

    /// Drops what an open metadata transaction holds; whether there was one.
    pub(crate) fn abort_open_transaction(&mut self) -> bool {
        self.transaction.take().is_some()
    }

    /// Whether no metadata transaction is open.
    pub(crate) const fn is_whole(&self) -> bool {
        self.transaction.is_none()
    }

    /// Takes over what was loaded from the log.
    pub(crate) fn load(&mut self, mut publisher: MetadataPublisher) {
        let delta = publisher.publish();
        self.register_offsets = publisher.register_offsets().clone();
        self.image = publisher.into_image();
        if let Some(delta) = delta {
            self.follow(&delta);
        }
    }

    fn follow(&mut self, delta: &MetadataDelta) {
        self.index.follow(delta, &self.image);
        for topic in delta.topics.values() {
            let Some(key) = topic_name::collision_key(&topic.name) else { continue };
            if topic.removed.is_some() {
                if let Some(names) = self.collisions.get_mut(&key) {
                    names.remove(&topic.name);
                    if names.is_empty() {
                        self.collisions.remove(&key);
                    }
                }
            } else if topic.created {
                self.collisions.entry(key).or_default().insert(topic.name.clone());
            }
        }
        for (id, before) in &delta.brokers {
            match self.image.cluster.broker(*id) {
                Some(now) => {
                    // A new incarnation begins with a clean slate; the same one keeps its progress.
                    if before.as_ref().is_some_and(|before| before.epoch != now.epoch) {
                        self.heartbeats.remove(*id);
                    }
                    self.heartbeats.register(*id, now.fenced);
                }
                None => self.heartbeats.remove(*id),
            }
        }
        let own = ConfigResource::broker(self.node);
        let default = ConfigResource::broker_default();
        if delta.configs.contains_key(&default) {
            self.config.set_dynamic_default(self.configs(&default));
        }
        if delta.configs.contains_key(&own) {
            self.config.set_dynamic(self.configs(&own));
        }
    }

    /// Gives every registered broker a fresh session: a new controller cannot know when it last heard of them.
    /// Those follow from `cause`.
    pub(crate) fn activate(&mut self, now: Timestamp, cause: Option<EventId>) {
        self.heartbeats.clear();
        for broker in self.image.cluster.brokers() {
            self.heartbeats.register(broker.id, broker.fenced);
            if !broker.fenced {
                self.heartbeats.contact(broker.id, broker.epoch, now, cause);
            }
        }
    }

    /// The offset of a broker's latest registration.
    pub(crate) fn register_offset(&self, broker: NodeId) -> Option<i64> {
        self.register_offsets.get(&broker).copied()
    }

    /// A topic whose name collides with `name`: they differ in `.` and `_` only.
    pub(crate) fn colliding_topic(&self, name: &str) -> Option<&StrBytes> {
        self.collisions.get(&topic_name::collision_key(name)?)?.first()
    }

    /// The keys set on a resource, as the config tables take them.
    pub(crate) fn configs(&self, resource: &ConfigResource) -> BTreeMap<String, String> {
        let Some(keys) = self.image.configs.get(resource) else { return BTreeMap::new() };
        keys.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    /// Whether the configuration of a topic allows unclean elections.
    pub(crate) fn unclean_election_enabled(&self, topic: &StrBytes) -> bool {
        let own = self.configs(&ConfigResource::topic(topic.clone()));
        self.config.topic(&own).get(topic::UNCLEAN_LEADER_ELECTION_ENABLE)
    }

    /// The rules for changes of partitions.
    pub(crate) fn partition_rules(&self) -> Rules {
        Rules { elr_enabled: self.image.features.elr_enabled(), eras: self.eras }
    }

    /// min(`min.insync.replicas`, replicas) of a topic.
    pub(crate) fn effective_min_isr(&self, topic_id: Uuid) -> usize {
        let Some(topic) = self.image.topics.by_id(topic_id) else { return 1 };
        let own = self.configs(&ConfigResource::topic(topic.name.clone()));
        let configured = self.config.topic(&own).get(topic::MIN_INSYNC_REPLICAS);
        let replicas = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
        usize::try_from(configured).unwrap_or(1).min(replicas)
    }

    /// Refuses a request of a broker that is not registered, or of an earlier incarnation.
    pub(crate) fn check_broker_epoch(&self, broker: NodeId, epoch: i64) -> Result<(), ApiError> {
        match self.image.cluster.epoch(broker) {
            None => Err(ApiError::new(
                ErrorCode::StaleBrokerEpoch,
                format!("No broker registration found for broker id {broker}"),
            )),
            Some(expected) if expected != epoch => Err(ApiError::new(
                ErrorCode::StaleBrokerEpoch,
                format!("Expected broker epoch {expected}, but got broker epoch {epoch}"),
            )),
            Some(_) => Ok(()),
        }
    }
}

/// The records of a batch with their offsets.
fn decode(batch: &RecordBatch) -> Result<Vec<(i64, MetadataRecord)>, MetadataError> {
    let malformed = |error: &dyn std::fmt::Display| MetadataError::Malformed(error.to_string());
    let records = batch.records(MAX_BATCH_BYTES).map_err(|error| malformed(&error))?;
    let mut out = Vec::new();
    for record in &records {
        let record = record.map_err(|error| malformed(&error))?;
        let offset = batch.header.base_offset + i64::from(record.offset_delta);
        let value = record.value.ok_or_else(|| malformed(&"a record without a value"))?;
        let value = records.bytes().slice_ref(value);
        out.push((offset, MetadataRecord::decode(&value).map_err(|error| malformed(&error))?.0));
    }
    Ok(out)
}
