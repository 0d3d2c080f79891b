//! The coordinator's records, and how they lie in `__consumer_offsets` (Kafka's `GroupCoordinatorRecordHelpers` and `…Serde`).
//! Kafka's own tools can read them: `kafka-dump-log --offsets-decoder`.

use bytes::Bytes;
use klamm_wire::internal::offsets::{
    GroupMetadataKey, GroupMetadataValue, GroupRecordKey, LegacyOffsetCommitKey, MemberMetadata,
    OffsetCommitKey, OffsetCommitValue,
};
use klamm_wire::internal::{Schema, SchemaError};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::compress::Compression;
use klamm_wire::{ErrorCode, RecordBatch, StrBytes};

use super::classic::ClassicGroup;
use super::member::{Member, Protocol, own, own_bytes};
use super::modern::consumer::records::ConsumerRecord;
use super::modern::share::records::ShareRecord;
use super::offsets::OffsetAndMetadata;
use crate::coordinator_record::decode_batch;

/// The version that Kafka 4 writes (`GROUP_METADATA_VALUE_VERSION`).
const GROUP_METADATA_VALUE_VERSION: i16 = 3;
/// The version that Kafka 4 writes, unless the client set an expiry of its own: only version 1 has room for that.
const OFFSET_COMMIT_VALUE_VERSION: i16 = 4;
const OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY: i16 = 1;

/// A record of the coordinator. A value of `None` is a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Record {
    /// A committed offset.
    Offset {
        /// The group.
        group: StrBytes,
        /// The topic.
        topic: StrBytes,
        /// The partition.
        partition: i32,
        /// The position.
        value: Option<OffsetAndMetadata>,
    },
    /// A classic group's generation.
    Group {
        /// The group.
        group: StrBytes,
        /// The generation.
        value: Option<GroupValue>,
    },
    /// A record of a consumer group.
    Consumer {
        /// The group.
        group: StrBytes,
        /// The record.
        record: ConsumerRecord,
    },
    /// A record of a share group.
    Share {
        /// The group.
        group: StrBytes,
        /// The record.
        record: ShareRecord,
    },
}

/// What a record says of a classic group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GroupValue(GroupMetadataValue);

impl GroupValue {
    /// What a group looks like now, with each member's part of an assignment.
    pub(crate) fn of(group: &ClassicGroup, assignment: impl Fn(&Member) -> Bytes) -> Self {
        let members = group.members().map(|member| MemberMetadata {
            member_id: member.id.clone(),
            group_instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(group.protocol_name()),
            assignment: assignment(member),
        });
        Self(GroupMetadataValue {
            protocol_type: group.protocol_type().cloned().unwrap_or_default(),
            generation: group.generation(),
            protocol: group.protocol_name().cloned(),
            leader: group.leader().cloned(),
            current_state_timestamp: group.state_timestamp().unwrap_or(-1),
            members: members.collect(),
        })
    }

    /// A group that was made this moment.
    pub(crate) fn empty(group: &ClassicGroup) -> Self {
        Self(GroupMetadataValue {
            current_state_timestamp: group.state_timestamp().unwrap_or(-1),
            ..GroupMetadataValue::default()
        })
    }

    /// The group that the record describes.
    pub(crate) fn into_group(self, id: StrBytes) -> ClassicGroup {
        let value = self.0;
        let protocol = value.protocol.as_ref().map(own);
        let members = value.members.into_iter().map(|m| Member {
            id: own(&m.member_id),
            instance_id: m.group_instance_id.as_ref().map(own),
            client_id: own(&m.client_id),
            client_host: own(&m.client_host),
            rebalance_timeout_ms: if m.rebalance_timeout == -1 {
                m.session_timeout
            } else {
                m.rebalance_timeout
            },
            session_timeout_ms: m.session_timeout,
            protocols: vec![Protocol {
                name: protocol.clone().unwrap_or_default(),
                metadata: own_bytes(&m.subscription),
            }],
            assignment: own_bytes(&m.assignment),
            joining: None,
            syncing: None,
            is_new: false,
        });
        let members = members.collect();
        ClassicGroup::restored(
            id,
            Some(&value.protocol_type).filter(|t| !t.is_empty()).map(own),
            protocol,
            value.generation,
            value.leader.as_ref().map(own),
            (value.current_state_timestamp != -1).then_some(value.current_state_timestamp),
            members,
        )
    }
}

/// One batch of these records, at offset 0.
pub(crate) fn encode(
    records: &[Record],
    wall_ms: i64,
    compression: Compression,
) -> Result<RecordBatch, ErrorCode> {
    encode_into(BatchBuilder::new().compression(compression, None), records, wall_ms)
}

/// As [`encode`], of what a producer commits in a transaction.
pub(crate) fn encode_transactional(
    records: &[Record],
    wall_ms: i64,
    compression: Compression,
    producer_id: i64,
    producer_epoch: i16,
) -> Result<RecordBatch, ErrorCode> {
    let batch = BatchBuilder::new().compression(compression, None);
    encode_into(batch.producer(producer_id, producer_epoch, -1).transactional(), records, wall_ms)
}

fn encode_into(mut batch: BatchBuilder, records: &[Record], wall_ms: i64) -> Result<RecordBatch, ErrorCode> {
    for record in records {
        let (key, value) = encode_record(record).map_err(|_| ErrorCode::UnknownServerError)?;
        batch.push(wall_ms, Some(&key), value.as_deref(), &[]);
    }
    batch.build().map_err(|_| ErrorCode::UnknownServerError)
}

fn encode_record(record: &Record) -> Result<(Bytes, Option<Bytes>), SchemaError> {
    match record {
        Record::Offset { group, topic, partition, value } => {
            let key = OffsetCommitKey { group: group.clone(), topic: topic.clone(), partition: *partition };
            let value = value.as_ref().map(encode_offset).transpose()?;
            Ok((GroupRecordKey::from(key).encode()?, value))
        }
        Record::Group { group, value } => {
            let key = GroupMetadataKey { group: group.clone() };
            let value =
                value.as_ref().map(|v| v.0.to_versioned_bytes(GROUP_METADATA_VALUE_VERSION)).transpose()?;
            Ok((GroupRecordKey::from(key).encode()?, value))
        }
        Record::Consumer { group, record } => record.encode(group),
        Record::Share { group, record } => record.encode(group),
    }
}

fn encode_offset(value: &OffsetAndMetadata) -> Result<Bytes, SchemaError> {
    let version = match value.expire_timestamp {
        Some(_) => OFFSET_COMMIT_VALUE_VERSION_WITH_EXPIRY,
        None => OFFSET_COMMIT_VALUE_VERSION,
    };
    OffsetCommitValue {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: value.metadata.clone(),
        commit_timestamp: value.commit_timestamp,
        expire_timestamp: value.expire_timestamp.unwrap_or(-1),
        topic_id: value.topic_id,
    }
    .to_versioned_bytes(version)
}

/// The records of a batch with their offsets, in memory of their own. What this coordinator does not know (another kind of group, a newer
/// version, a marker) is left out, as Kafka does when it loads.
pub(crate) fn decode(batch: &RecordBatch) -> Vec<(i64, Record)> {
    decode_batch(batch, decode_record)
}

fn decode_offset(bytes: &Bytes) -> Option<OffsetAndMetadata> {
    let (value, _) = OffsetCommitValue::from_versioned_bytes(bytes).ok()?;
    Some(OffsetAndMetadata {
        offset: value.offset,
        leader_epoch: value.leader_epoch,
        metadata: own(&value.metadata),
        commit_timestamp: value.commit_timestamp,
        expire_timestamp: (value.expire_timestamp != -1).then_some(value.expire_timestamp),
        topic_id: value.topic_id,
    })
}

/// A tombstone stays one; `None` for a value that cannot be read.
fn known<T>(value: Option<&Bytes>, read: impl Fn(&Bytes) -> Option<T>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(bytes) => read(bytes).map(Some),
    }
}

fn decode_record(key: &Bytes, value: Option<&Bytes>) -> Option<Record> {
    match GroupRecordKey::decode(key).ok()? {
        GroupRecordKey::OffsetCommit(OffsetCommitKey { group, topic, partition }) => {
            let (group, topic) = (own(&group), own(&topic));
            Some(Record::Offset { group, topic, partition, value: known(value, decode_offset)? })
        }
        // Type 0 is how Kafka wrote offsets until 0.9.
        GroupRecordKey::LegacyOffsetCommit(key) => {
            let LegacyOffsetCommitKey { group, topic, partition } = key;
            let (group, topic) = (own(&group), own(&topic));
            Some(Record::Offset { group, topic, partition, value: known(value, decode_offset)? })
        }
        GroupRecordKey::GroupMetadata(GroupMetadataKey { group }) => {
            let value = known(value, |bytes| {
                let (value, _) = GroupMetadataValue::from_versioned_bytes(bytes).ok()?;
                Some(GroupValue(value))
            })?;
            Some(Record::Group { group: own(&group), value })
        }
        key => {
            if let Some((group, record)) = ShareRecord::decode(key.clone(), value) {
                return Some(Record::Share { group, record });
            }
            let (group, record) = ConsumerRecord::decode(key, value)?;
            Some(Record::Consumer { group, record })
        }
    }
}

#[cfg(test)]
impl GroupValue {
    /// The value without its time, which is that of the state in which it was written.
    pub(crate) fn without_timestamp(mut self) -> Self {
        self.0.current_state_timestamp = -1;
        self
    }
}
