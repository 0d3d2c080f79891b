//! Topics and the state of their partitions (`TopicsImage`, `PartitionRegistration`).

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_node::NodeId;
use klamm_wire::{StrBytes, Uuid};

use crate::delta::MetadataDelta;
use crate::record::{
    ClearElrRecord, MetadataError, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};

/// The leader of a partition that has none.
pub const NO_LEADER: NodeId = NodeId(-1);
/// In a PartitionChangeRecord: the leader stays, and so does its epoch.
pub const NO_LEADER_CHANGE: i32 = -2;

/// Whether a leader came from an unclean election and still recovers (KIP-704).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(i8)]
pub enum LeaderRecoveryState {
    /// The leader was in the ISR, or has recovered.
    #[default]
    Recovered = 0,
    /// The leader was elected uncleanly.
    Recovering = 1,
}

impl LeaderRecoveryState {
    /// The state for a number from the wire.
    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Recovered),
            1 => Some(Self::Recovering),
            _ => None,
        }
    }

    /// The number that goes over the wire.
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// The controller's word on one partition (`PartitionRegistration`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRegistration {
    /// The replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The log directory of each replica, in the order of `replicas` (KIP-858).
    pub directories: Vec<Uuid>,
    /// The in-sync replicas.
    pub isr: Vec<NodeId>,
    /// The eligible leader replicas (KIP-966).
    pub elr: Vec<NodeId>,
    /// The last leader, kept while ISR and ELR are empty (KIP-966).
    pub last_known_elr: Vec<NodeId>,
    /// Replicas that a reassignment takes away.
    pub removing_replicas: Vec<NodeId>,
    /// Replicas that a reassignment brings in.
    pub adding_replicas: Vec<NodeId>,
    /// The leader; [`NO_LEADER`] for none.
    pub leader: NodeId,
    /// Grows with each record that names a leader, even the same one.
    pub leader_epoch: i32,
    /// Grows with each record.
    pub partition_epoch: i32,
    /// Whether the leader recovers from an unclean election.
    pub leader_recovery_state: LeaderRecoveryState,
}

impl PartitionRegistration {
    /// Whether a broker holds a replica.
    pub fn has_replica(&self, broker: NodeId) -> bool {
        self.replicas.contains(&broker)
    }

    /// Whether there is a leader.
    pub fn has_leader(&self) -> bool {
        self.leader != NO_LEADER
    }

    /// The first replica: the one that should lead.
    pub fn preferred_replica(&self) -> NodeId {
        self.replicas.first().copied().unwrap_or(NO_LEADER)
    }

    /// Whether replicas are being moved.
    pub fn is_reassigning(&self) -> bool {
        !self.adding_replicas.is_empty() || !self.removing_replicas.is_empty()
    }

    /// The log directory of a replica.
    pub fn directory(&self, broker: NodeId) -> Option<Uuid> {
        let at = self.replicas.iter().position(|replica| *replica == broker)?;
        self.directories.get(at).copied()
    }

    /// The registration that a PartitionRecord states.
    pub fn from_record(r: &PartitionRecord) -> Result<Self, MetadataError> {
        const NAME: &str = "PartitionRecord";
        let replicas = ids(&r.replicas);
        Ok(Self {
            directories: directories(NAME, &r.directories, replicas.len())?,
            replicas,
            isr: ids(&r.isr),
            elr: r.eligible_leader_replicas.as_deref().map(ids).unwrap_or_default(),
            last_known_elr: r.last_known_elr.as_deref().map(ids).unwrap_or_default(),
            removing_replicas: ids(&r.removing_replicas),
            adding_replicas: ids(&r.adding_replicas),
            leader: NodeId(r.leader),
            leader_epoch: r.leader_epoch,
            partition_epoch: r.partition_epoch,
            leader_recovery_state: LeaderRecoveryState::from_code(r.leader_recovery_state)
                .ok_or_else(|| MetadataError::replay(NAME, "an unknown leader recovery state"))?,
        })
    }

    /// The registration after a change: the partition epoch grows by one, and the leader epoch too if the change names
    /// a leader, even the same one (`PartitionRegistration.merge`).
    pub fn merge(&self, r: &PartitionChangeRecord) -> Result<Self, MetadataError> {
        const NAME: &str = "PartitionChangeRecord";
        let pick =
            |new: &Option<Vec<i32>>, old: &Vec<NodeId>| new.as_deref().map_or_else(|| old.clone(), ids);
        let replicas = pick(&r.replicas, &self.replicas);
        let directories = match &r.directories {
            Some(new) => directories(NAME, new, replicas.len())?,
            None if replicas.len() == self.directories.len() => self.directories.clone(),
            None => vec![DIRECTORY_MIGRATING; replicas.len()],
        };
        let (leader, leader_epoch) = if r.leader == NO_LEADER_CHANGE {
            (self.leader, self.leader_epoch)
        } else {
            (NodeId(r.leader), self.leader_epoch + 1)
        };
        let leader_recovery_state = match r.leader_recovery_state {
            -1 => self.leader_recovery_state,
            code => LeaderRecoveryState::from_code(code)
                .ok_or_else(|| MetadataError::replay(NAME, "an unknown leader recovery state"))?,
        };
        Ok(Self {
            directories,
            isr: pick(&r.isr, &self.isr),
            elr: pick(&r.eligible_leader_replicas, &self.elr),
            last_known_elr: pick(&r.last_known_elr, &self.last_known_elr),
            removing_replicas: pick(&r.removing_replicas, &self.removing_replicas),
            adding_replicas: pick(&r.adding_replicas, &self.adding_replicas),
            replicas,
            leader,
            leader_epoch,
            partition_epoch: self.partition_epoch + 1,
            leader_recovery_state,
        })
    }
}

/// The directory of a replica that was placed before directories had ids (`DirectoryId.MIGRATING`).
pub const DIRECTORY_MIGRATING: Uuid = Uuid::from_u128(0);
/// The directory of a replica that its broker has not placed yet (`DirectoryId.UNASSIGNED`).
pub const DIRECTORY_UNASSIGNED: Uuid = Uuid::from_u128(1);
/// The directory of a replica whose directory is offline (`DirectoryId.LOST`).
pub const DIRECTORY_LOST: Uuid = Uuid::from_u128(2);

/// Whether a directory id is one of the hundred that Kafka keeps for itself (`DirectoryId.reserved`).
pub fn is_reserved_directory(id: Uuid) -> bool {
    id.as_u128() < 100
}

fn ids(list: &[i32]) -> Vec<NodeId> {
    list.iter().copied().map(NodeId).collect()
}

fn directories(record: &'static str, list: &[Uuid], replicas: usize) -> Result<Vec<Uuid>, MetadataError> {
    if list.is_empty() {
        return Ok(vec![DIRECTORY_MIGRATING; replicas]);
    }
    if list.len() != replicas {
        return Err(MetadataError::replay(record, "not one directory a replica"));
    }
    Ok(list.to_vec())
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// The topic's name.
    pub name: StrBytes,
    /// The topic's id.
    pub id: Uuid,
    /// Its partitions, by index.
    pub partitions: Vec<Arc<PartitionRegistration>>,
}

impl TopicImage {
    /// A partition.
    pub fn partition(&self, index: i32) -> Option<&Arc<PartitionRegistration>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    /// Every partition with its index.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i32, &Arc<PartitionRegistration>)> {
        self.partitions.iter().enumerate().map(|(index, partition)| (index as i32, partition))
    }
}

/// Every topic, by id and by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicsImage {
    by_id: BTreeMap<Uuid, Arc<TopicImage>>,
    by_name: BTreeMap<StrBytes, Uuid>,
}

impl TopicsImage {
    /// A topic by its id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<TopicImage>> {
        self.by_id.get(&id)
    }

    /// A topic by its name.
    pub fn by_name(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.by_id.get(self.by_name.get(name.as_bytes())?)
    }

    /// The id of the topic called `name`.
    pub fn id(&self, name: &str) -> Option<Uuid> {
        self.by_name.get(name.as_bytes()).copied()
    }

    /// A partition by its topic's id.
    pub fn partition(&self, topic_id: Uuid, index: i32) -> Option<&Arc<PartitionRegistration>> {
        self.by_id.get(&topic_id)?.partition(index)
    }

    /// A partition by its topic's name.
    pub fn partition_by_name(&self, topic: &str, index: i32) -> Option<&Arc<PartitionRegistration>> {
        self.by_name(topic)?.partition(index)
    }

    /// Every topic, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TopicImage>> {
        self.by_name.values().filter_map(|id| self.by_id.get(id))
    }

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is no topic.
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub(crate) fn create_topic(
        &mut self,
        r: &TopicRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        if self.by_name.contains_key(&r.name) || self.by_id.contains_key(&r.topic_id) {
            return Err(MetadataError::replay("TopicRecord", "a topic that already exists"));
        }
        self.by_name.insert(r.name.clone(), r.topic_id);
        let topic = TopicImage { name: r.name.clone(), id: r.topic_id, partitions: Vec::new() };
        self.by_id.insert(r.topic_id, Arc::new(topic));
        delta.topic(r.topic_id, &r.name).created = true;
        Ok(())
    }

    pub(crate) fn create_partition(
        &mut self,
        r: &PartitionRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        const NAME: &str = "PartitionRecord";
        let registration = Arc::new(PartitionRegistration::from_record(r)?);
        let topic = self
            .by_id
            .get_mut(&r.topic_id)
            .ok_or_else(|| MetadataError::replay(NAME, "a topic that does not exist"))?;
        let index = usize::try_from(r.partition_id)
            .map_err(|_| MetadataError::replay(NAME, "a negative partition index"))?;
        if index > topic.partitions.len() {
            return Err(MetadataError::replay(NAME, "a gap between partition indexes"));
        }
        let topic = Arc::make_mut(topic);
        let before = match topic.partitions.get_mut(index) {
            Some(old) => Some(std::mem::replace(old, registration)),
            None => {
                topic.partitions.push(registration);
                None
            }
        };
        delta.topic(r.topic_id, &topic.name).note_partition(r.partition_id, before);
        Ok(())
    }

    pub(crate) fn change_partition(
        &mut self,
        r: &PartitionChangeRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        const NAME: &str = "PartitionChangeRecord";
        let topic = self
            .by_id
            .get_mut(&r.topic_id)
            .ok_or_else(|| MetadataError::replay(NAME, "a topic that does not exist"))?;
        let merged = topic
            .partition(r.partition_id)
            .ok_or_else(|| MetadataError::replay(NAME, "a partition that does not exist"))?
            .merge(r)?;
        let topic = Arc::make_mut(topic);
        let before = std::mem::replace(&mut topic.partitions[r.partition_id as usize], Arc::new(merged));
        delta.topic(r.topic_id, &topic.name).note_partition(r.partition_id, Some(before));
        Ok(())
    }

    pub(crate) fn remove_topic(
        &mut self,
        r: &RemoveTopicRecord,
        delta: &mut MetadataDelta,
    ) -> Result<StrBytes, MetadataError> {
        let topic = self
            .by_id
            .remove(&r.topic_id)
            .ok_or_else(|| MetadataError::replay("RemoveTopicRecord", "a topic that does not exist"))?;
        self.by_name.remove(&topic.name);
        let name = topic.name.clone();
        delta.topic(r.topic_id, &name).removed = Some(topic);
        Ok(name)
    }

    pub(crate) fn clear_elr(
        &mut self,
        r: &ClearElrRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        let ids: Vec<Uuid> = if r.topic_name.is_empty() {
            self.by_id.keys().copied().collect()
        } else {
            let id = self
                .id(&r.topic_name)
                .ok_or_else(|| MetadataError::replay("ClearElrRecord", "a topic that does not exist"))?;
            vec![id]
        };
        for id in ids {
            let Some(topic) = self.by_id.get_mut(&id) else { continue };
            if topic.partitions.iter().all(|p| p.elr.is_empty() && p.last_known_elr.is_empty()) {
                continue;
            }
            let topic = Arc::make_mut(topic);
            for (index, partition) in topic.partitions.iter_mut().enumerate() {
                if partition.elr.is_empty() && partition.last_known_elr.is_empty() {
                    continue;
                }
                let before = partition.clone();
                let cleared = Arc::make_mut(partition);
                cleared.elr.clear();
                cleared.last_known_elr.clear();
                cleared.partition_epoch += 1;
                delta.topic(id, &topic.name).note_partition(index as i32, Some(before));
            }
        }
        Ok(())
    }
}
