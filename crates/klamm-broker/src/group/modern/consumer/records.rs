//! The records of a consumer group, and how they lie in `__consumer_offsets` (the consumer half of Kafka's
//! `GroupCoordinatorRecordHelpers`).

use std::collections::BTreeSet;

use bytes::Bytes;
use klamm_wire::StrBytes;
use klamm_wire::internal::SchemaError;
use klamm_wire::internal::offsets::consumer_group_current_member_assignment_value::TopicPartitions;
use klamm_wire::internal::offsets::consumer_group_target_assignment_member_value::TopicPartition;
use klamm_wire::internal::offsets::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupCurrentMemberAssignmentKey,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataKey,
    ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataKey, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataKey, ConsumerGroupPartitionMetadataValue,
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue,
    ConsumerGroupTargetAssignmentMemberKey, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey, ConsumerGroupTargetAssignmentMetadataValue, GroupRecordKey,
};

use super::super::{Partitions, partitions};
use super::member::{Assigned, ClassicMember, ConsumerMember, MemberState};
use super::regex::ResolvedRegex;
use crate::coordinator_record::{read_value, write_value};
use crate::group::member::{Protocol, own, own_bytes};

/// A record of a consumer group. A value of `None` is a tombstone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConsumerRecord {
    /// The group's epoch and the hash of its topics.
    Epoch(Option<(i32, i64)>),
    /// The topics' metadata, as before 4.1: that it is there is all that counts.
    PartitionMetadata(Option<()>),
    /// Who a member is and what it subscribes to.
    Member(StrBytes, Option<Box<ConsumerMember>>),
    /// The target's epoch, and when it was computed.
    Target(Option<(i32, i64)>),
    /// What a member is to have.
    TargetMember(StrBytes, Option<Partitions>),
    /// What a member has.
    Current(StrBytes, Option<Box<CurrentAssignment>>),
    /// What a regular expression stands for.
    Regex(StrBytes, Option<ResolvedRegex>),
}

/// What a member has, and in which epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    /// Its epoch.
    pub(crate) epoch: i32,
    /// The epoch before.
    pub(crate) previous_epoch: i32,
    /// How far it is.
    pub(crate) state: MemberState,
    /// What it has.
    pub(crate) assigned: Assigned,
    /// What it must give up.
    pub(crate) revoking: Assigned,
}

impl ConsumerRecord {
    /// Who a member is.
    pub(crate) fn member(member: &ConsumerMember) -> Self {
        Self::Member(member.id.clone(), Some(Box::new(member.clone())))
    }

    /// What a member has.
    pub(crate) fn current(member: &ConsumerMember) -> Self {
        let current = CurrentAssignment {
            epoch: member.epoch,
            previous_epoch: member.previous_epoch,
            state: member.state,
            assigned: member.assigned.clone(),
            revoking: member.revoking.clone(),
        };
        Self::Current(member.id.clone(), Some(Box::new(current)))
    }

    /// The tombstones of a member; their order matters.
    pub(crate) fn remove_member(id: &StrBytes) -> [Self; 3] {
        [
            Self::Current(id.clone(), None),
            Self::TargetMember(id.clone(), None),
            Self::Member(id.clone(), None),
        ]
    }

    /// Key and value.
    pub(crate) fn encode(&self, group: &StrBytes) -> Result<(Bytes, Option<Bytes>), SchemaError> {
        let group_id = group.clone();
        Ok(match self {
            Self::Epoch(value) => {
                let value =
                    value.map(|(epoch, metadata_hash)| ConsumerGroupMetadataValue { epoch, metadata_hash });
                (GroupRecordKey::from(ConsumerGroupMetadataKey { group_id }).encode()?, write_value(value)?)
            }
            Self::PartitionMetadata(value) => {
                let value = value.map(|()| ConsumerGroupPartitionMetadataValue::default());
                (
                    GroupRecordKey::from(ConsumerGroupPartitionMetadataKey { group_id }).encode()?,
                    write_value(value)?,
                )
            }
            Self::Member(id, member) => {
                let key = ConsumerGroupMemberMetadataKey { group_id, member_id: id.clone() };
                (GroupRecordKey::from(key).encode()?, write_value(member.as_deref().map(member_value))?)
            }
            Self::Target(value) => {
                let value = value.map(|(assignment_epoch, assignment_timestamp)| {
                    ConsumerGroupTargetAssignmentMetadataValue { assignment_epoch, assignment_timestamp }
                });
                let key = ConsumerGroupTargetAssignmentMetadataKey { group_id };
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::TargetMember(id, target) => {
                let key = ConsumerGroupTargetAssignmentMemberKey { group_id, member_id: id.clone() };
                let value = target.as_ref().map(|target| ConsumerGroupTargetAssignmentMemberValue {
                    topic_partitions: target
                        .iter()
                        .map(|(topic, p)| TopicPartition {
                            topic_id: *topic,
                            partitions: p.iter().copied().collect(),
                        })
                        .collect(),
                });
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::Current(id, current) => {
                let key = ConsumerGroupCurrentMemberAssignmentKey { group_id, member_id: id.clone() };
                let value = current.as_deref().map(|current| ConsumerGroupCurrentMemberAssignmentValue {
                    member_epoch: current.epoch,
                    previous_member_epoch: current.previous_epoch,
                    state: current.state.value(),
                    assigned_partitions: write_assigned(&current.assigned),
                    partitions_pending_revocation: write_assigned(&current.revoking),
                });
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
            Self::Regex(regex, resolved) => {
                let key = ConsumerGroupRegularExpressionKey { group_id, regular_expression: regex.clone() };
                let value = resolved.as_ref().map(|resolved| ConsumerGroupRegularExpressionValue {
                    topics: resolved.topics.iter().cloned().collect(),
                    version: resolved.version,
                    timestamp: resolved.timestamp_ms,
                });
                (GroupRecordKey::from(key).encode()?, write_value(value)?)
            }
        })
    }

    /// The group and the record of a key and value; `None` for another kind of record, or a value that cannot be read.
    pub(crate) fn decode(key: GroupRecordKey, value: Option<&Bytes>) -> Option<(StrBytes, Self)> {
        Some(match key {
            GroupRecordKey::ConsumerGroupMetadata(key) => {
                let value: Option<ConsumerGroupMetadataValue> = read_value(value)?;
                (own(&key.group_id), Self::Epoch(value.map(|v| (v.epoch, v.metadata_hash))))
            }
            GroupRecordKey::ConsumerGroupPartitionMetadata(key) => {
                (own(&key.group_id), Self::PartitionMetadata(value.map(|_| ())))
            }
            GroupRecordKey::ConsumerGroupMemberMetadata(key) => {
                let value: Option<ConsumerGroupMemberMetadataValue> = read_value(value)?;
                let id = own(&key.member_id);
                let member = value.map(|value| Box::new(read_member(id.clone(), value)));
                (own(&key.group_id), Self::Member(id, member))
            }
            GroupRecordKey::ConsumerGroupTargetAssignmentMetadata(key) => {
                let value: Option<ConsumerGroupTargetAssignmentMetadataValue> = read_value(value)?;
                (
                    own(&key.group_id),
                    Self::Target(value.map(|v| (v.assignment_epoch, v.assignment_timestamp))),
                )
            }
            GroupRecordKey::ConsumerGroupTargetAssignmentMember(key) => {
                let value: Option<ConsumerGroupTargetAssignmentMemberValue> = read_value(value)?;
                let target = value
                    .map(|v| partitions(v.topic_partitions.into_iter().map(|t| (t.topic_id, t.partitions))));
                (own(&key.group_id), Self::TargetMember(own(&key.member_id), target))
            }
            GroupRecordKey::ConsumerGroupCurrentMemberAssignment(key) => {
                let value: Option<ConsumerGroupCurrentMemberAssignmentValue> = read_value(value)?;
                let current = value.map(|v| {
                    Box::new(CurrentAssignment {
                        epoch: v.member_epoch,
                        previous_epoch: v.previous_member_epoch,
                        state: MemberState::from_value(v.state),
                        assigned: read_assigned(v.assigned_partitions, v.member_epoch),
                        revoking: read_assigned(v.partitions_pending_revocation, v.member_epoch),
                    })
                });
                (own(&key.group_id), Self::Current(own(&key.member_id), current))
            }
            GroupRecordKey::ConsumerGroupRegularExpression(key) => {
                let value: Option<ConsumerGroupRegularExpressionValue> = read_value(value)?;
                let resolved = value.map(|v| ResolvedRegex {
                    topics: v.topics.iter().map(own).collect::<BTreeSet<_>>(),
                    version: v.version,
                    timestamp_ms: v.timestamp,
                });
                (own(&key.group_id), Self::Regex(own(&key.regular_expression), resolved))
            }
            _ => return None,
        })
    }
}

fn member_value(member: &ConsumerMember) -> ConsumerGroupMemberMetadataValue {
    ConsumerGroupMemberMetadataValue {
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        subscribed_topic_names: member.topics.iter().cloned().collect(),
        subscribed_topic_regex: member.regex.clone(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        server_assignor: member.assignor.clone(),
        classic_member_metadata: member.classic.as_ref().map(|classic| ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic
                .protocols
                .iter()
                .map(|p| ClassicProtocol { name: p.name.clone(), metadata: p.metadata.clone() })
                .collect(),
        }),
    }
}

fn read_member(id: StrBytes, value: ConsumerGroupMemberMetadataValue) -> ConsumerMember {
    ConsumerMember {
        instance_id: value.instance_id.as_ref().map(own),
        rack_id: value.rack_id.as_ref().map(own),
        client_id: own(&value.client_id),
        client_host: own(&value.client_host),
        topics: value.subscribed_topic_names.iter().map(own).collect(),
        regex: value.subscribed_topic_regex.as_ref().map(own),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor.as_ref().map(own),
        classic: value.classic_member_metadata.map(|classic| ClassicMember {
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic
                .supported_protocols
                .iter()
                .map(|p| Protocol { name: own(&p.name), metadata: own_bytes(&p.metadata) })
                .collect(),
        }),
        ..ConsumerMember::new(id)
    }
}

fn write_assigned(assigned: &Assigned) -> Vec<TopicPartitions> {
    let topics = assigned.iter().map(|(topic, partitions)| TopicPartitions {
        topic_id: *topic,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    });
    topics.collect()
}

/// Records from before 4.3 have no epochs: the member's own stands for them.
fn read_assigned(topics: Vec<TopicPartitions>, member_epoch: i32) -> Assigned {
    let read_topic = |topic: TopicPartitions| {
        let count = topic.partitions.len();
        let epochs = topic.assignment_epochs.filter(|epochs| epochs.len() == count);
        let epochs = epochs.unwrap_or_else(|| vec![member_epoch.max(0); count]);
        (topic.topic_id, topic.partitions.into_iter().zip(epochs).collect())
    };
    topics.into_iter().map(read_topic).collect()
}
