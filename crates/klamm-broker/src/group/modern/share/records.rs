//! The records of a share group, and how they lie in `__consumer_offsets` (the share half of Kafka's
//! `GroupCoordinatorRecordHelpers`).

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_wire::internal::SchemaError;
use klamm_wire::internal::offsets::share_group_current_member_assignment_value::TopicPartitions;
use klamm_wire::internal::offsets::share_group_state_partition_metadata_value::{
    TopicInfo, TopicPartitionsInfo,
};
use klamm_wire::internal::offsets::share_group_target_assignment_member_value::TopicPartition;
use klamm_wire::internal::offsets::{
    GroupRecordKey, ShareGroupCurrentMemberAssignmentKey, ShareGroupCurrentMemberAssignmentValue,
    ShareGroupMemberMetadataKey, ShareGroupMemberMetadataValue, ShareGroupMetadataKey,
    ShareGroupMetadataValue, ShareGroupStatePartitionMetadataKey, ShareGroupStatePartitionMetadataValue,
    ShareGroupTargetAssignmentMemberKey, ShareGroupTargetAssignmentMemberValue,
    ShareGroupTargetAssignmentMetadataKey, ShareGroupTargetAssignmentMetadataValue,
};
use klamm_wire::{StrBytes, Uuid};

use super::super::{Partitions, partitions};
use super::group::{ShareMember, StateMetadata, TopicState};
use crate::coordinator_record::{read_value, write_value};
use crate::group::member::own;

/// A record of a share group. A value of `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShareRecord {
    /// The group's epoch and the hash of its topics.
    Epoch(Option<(i32, i64)>),
    /// Who a member is and what it subscribes to.
    Member(StrBytes, Option<Box<ShareMember>>),
    /// The target's epoch, and when it was computed.
    Target(Option<(i32, i64)>),
    /// What a member is to have.
    TargetMember(StrBytes, Option<Partitions>),
    /// What a member has.
    Current(StrBytes, Option<CurrentAssignment>),
    /// For which partitions the share coordinator keeps state.
    State(Option<StateMetadata>),
}

/// What a member has, and in which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    /// Its epoch.
    pub(crate) epoch: i32,
    /// The epoch before.
    pub(crate) previous_epoch: i32,
    /// What it has.
    pub(crate) assigned: Partitions,
}

impl ShareRecord {
    /// Who a member is.
    pub(crate) fn member(member: &ShareMember) -> Self {
        Self::Member(member.id.clone(), Some(Box::new(member.clone())))
    }

    /// What a member has.
    pub(crate) fn current(member: &ShareMember) -> Self {
        let current = CurrentAssignment {
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            assigned: member.assigned.clone(),
        };
        Self::Current(member.id.clone(), Some(current))
    }

    /// The tombstones of a member; their order matters.
    pub(crate) fn remove_member(id: &StrBytes) -> [Self; 3] {
        [
            Self::Current(id.clone(), None),
            Self::TargetMember(id.clone(), None),
            Self::Member(id.clone(), None),
        ]
    }

    /// Whether it is no tombstone.
    pub(crate) const fn has_value(&self) -> bool {
        match self {
            Self::Epoch(value) | Self::Target(value) => value.is_some(),
            Self::Member(_, value) => value.is_some(),
            Self::TargetMember(_, value) => value.is_some(),
            Self::Current(_, value) => value.is_some(),
            Self::State(value) => value.is_some(),
        }
    }

    /// Key and value.
    pub(crate) fn encode(&self, group: &StrBytes) -> Result<(Bytes, Option<Bytes>), SchemaError> {
        let group_id = group.clone();
        Ok(match self {
            Self::Epoch(value) => {
                let value =
                    value.map(|(epoch, metadata_hash)| ShareGroupMetadataValue { epoch, metadata_hash });
                (GroupRecordKey::from(ShareGroupMetadataKey { group_id }).encode()?, write_value(value)?)
            }
            Self::Member(id, member) => {
                let key = ShareGroupMemberMetadataKey { group_id, member_id: id.clone() };
                let value = member.as_deref().map(|member| ShareGroupMemberMetadataValue {
                    rack_id: member.rack_id.clone(),
                    client_id: member.client_id.clone(),
                    client_host: member.client_host.clone(),
                    subscribed_topic_names: member.topics.iter().cloned().collect(),
                });
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::Target(value) => {
                let value = value.map(|(assignment_epoch, assignment_timestamp)| {
                    ShareGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }
                });
                let key = ShareGroupTargetAssignmentMetadataKey { group_id };
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::TargetMember(id, target) => {
                let key = ShareGroupTargetAssignmentMemberKey { group_id, member_id: id.clone() };
                let value = target.as_ref().map(|target| {
                    let topics = target.iter().map(|(topic_id, p)| TopicPartition {
                        topic_id: *topic_id,
                        partitions: p.iter().copied().collect(),
                    });
                    ShareGroupTargetAssignmentMemberValue { topic_partitions: topics.collect() }
                });
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::Current(id, current) => {
                let key = ShareGroupCurrentMemberAssignmentKey { group_id, member_id: id.clone() };
                let value = current.as_ref().map(|current| {
                    let topics = current.assigned.iter().map(|(topic_id, p)| TopicPartitions {
                        topic_id: *topic_id,
                        partitions: p.iter().copied().collect(),
                    });
                    ShareGroupCurrentMemberAssignmentValue {
                        member_epoch: current.epoch,
                        previous_member_epoch: current.previous_epoch,
                        // A share member is always stable.
                        state: 0,
                        assigned_partitions: topics.collect(),
                    }
                });
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::State(value) => {
                let value = value.as_ref().map(|state| ShareGroupStatePartitionMetadataValue {
                    initializing_topics: write_topics(&state.initializing),
                    initialized_topics: write_topics(&state.initialized),
                    deleting_topics: state
                        .deleting
                        .iter()
                        .map(|(id, name)| TopicInfo { topic_id: *id, topic_name: name.clone() })
                        .collect(),
                });
                let key = ShareGroupStatePartitionMetadataKey { group_id };
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
        })
    }

    /// The group and the record of a key and value; `None` for another kind of record, or a value that cannot be read.
    pub(crate) fn decode(key: GroupRecordKey, value: Option<&Bytes>) -> Option<(StrBytes, Self)> {
        Some(match key {
            GroupRecordKey::ShareGroupMetadata(key) => {
                let value: Option<ShareGroupMetadataValue> = read_value(value)?;
                (own(&key.group_id), Self::Epoch(value.map(|v| (v.epoch, v.metadata_hash))))
            }
            GroupRecordKey::ShareGroupMemberMetadata(key) => {
                let value: Option<ShareGroupMemberMetadataValue> = read_value(value)?;
                let id = own(&key.member_id);
                let member = value.map(|value| {
                    Box::new(ShareMember {
                        rack_id: value.rack_id.as_ref().map(own),
                        client_id: own(&value.client_id),
                        client_host: own(&value.client_host),
                        topics: value.subscribed_topic_names.iter().map(own).collect(),
                        ..ShareMember::new(id.clone())
                    })
                });
                (own(&key.group_id), Self::Member(id, member))
            }
            GroupRecordKey::ShareGroupTargetAssignmentMetadata(key) => {
                let value: Option<ShareGroupTargetAssignmentMetadataValue> = read_value(value)?;
                let value = value.map(|v| (v.assignment_epoch, v.assignment_timestamp));
                (own(&key.group_id), Self::Target(value))
            }
            GroupRecordKey::ShareGroupTargetAssignmentMember(key) => {
                let value: Option<ShareGroupTargetAssignmentMemberValue> = read_value(value)?;
                let target = value
                    .map(|v| partitions(v.topic_partitions.into_iter().map(|t| (t.topic_id, t.partitions))));
                (own(&key.group_id), Self::TargetMember(own(&key.member_id), target))
            }
            GroupRecordKey::ShareGroupCurrentMemberAssignment(key) => {
                let value: Option<ShareGroupCurrentMemberAssignmentValue> = read_value(value)?;
                let current = value.map(|v| CurrentAssignment {
                    epoch: v.member_epoch,
                    previous_epoch: v.previous_member_epoch,
                    assigned: partitions(
                        v.assigned_partitions.into_iter().map(|t| (t.topic_id, t.partitions)),
                    ),
                });
                (own(&key.group_id), Self::Current(own(&key.member_id), current))
            }
            GroupRecordKey::ShareGroupStatePartitionMetadata(key) => {
                let value: Option<ShareGroupStatePartitionMetadataValue> = read_value(value)?;
                let state = value.map(|v| StateMetadata {
                    initializing: read_topics(v.initializing_topics),
                    initialized: read_topics(v.initialized_topics),
                    deleting: v.deleting_topics.iter().map(|t| (t.topic_id, own(&t.topic_name))).collect(),
                });
                (own(&key.group_id), Self::State(state))
            }
            _ => return None,
        })
    }
}

fn write_topics(topics: &BTreeMap<Uuid, TopicState>) -> Vec<TopicPartitionsInfo> {
    let topics = topics.iter().map(|(id, topic)| TopicPartitionsInfo {
        topic_id: *id,
        topic_name: topic.name.clone(),
        partitions: topic.partitions.iter().copied().collect(),
    });
    topics.collect()
}

/// When it was noted is not written down: what was under way before a failover is asked for again at once.
fn read_topics(topics: Vec<TopicPartitionsInfo>) -> BTreeMap<Uuid, TopicState> {
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().collect();
        (topic.topic_id, TopicState { name: own(&topic.topic_name), partitions, timestamp_ms: 0 })
    });
    topics.collect()
}
