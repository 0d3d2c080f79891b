//! `TxnOffsetCommitRequest`, versions 0–6.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{GroupId, ProducerId, TopicName, TransactionalId};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, request};

/// `TxnOffsetCommitRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnOffsetCommitRequest {
    /// `TransactionalId`, versions 0–6.
    pub transactional_id: TransactionalId,
    /// `GroupId`, versions 0–6.
    pub group_id: GroupId,
    /// `ProducerId`, versions 0–6.
    pub producer_id: ProducerId,
    /// `ProducerEpoch`, versions 0–6.
    pub producer_epoch: i16,
    /// `GenerationIdOrMemberEpoch`, versions 3–6; by default `-1`.
    pub generation_id_or_member_epoch: i32,
    /// `MemberId`, versions 3–6; by default ``.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, versions 3–6; by default `null`.
    pub group_instance_id: Option<StrBytes>,
    /// `Topics`, versions 0–6.
    pub topics: Vec<TxnOffsetCommitRequestTopic>,
}

impl Default for TxnOffsetCommitRequest {
    fn default() -> Self {
        Self {
            transactional_id: TransactionalId::default(),
            group_id: GroupId::default(),
            producer_id: ProducerId::default(),
            producer_epoch: 0,
            generation_id_or_member_epoch: -1,
            member_id: StrBytes::default(),
            group_instance_id: None,
            topics: Vec::new(),
        }
    }
}

impl TxnOffsetCommitRequest {
    /// Sets `transactional_id`.
    #[must_use]
    pub fn with_transactional_id(mut self, value: TransactionalId) -> Self {
        self.transactional_id = value;
        self
    }

    /// Sets `group_id`.
    #[must_use]
    pub fn with_group_id(mut self, value: GroupId) -> Self {
        self.group_id = value;
        self
    }

    /// Sets `producer_id`.
    #[must_use]
    pub fn with_producer_id(mut self, value: ProducerId) -> Self {
        self.producer_id = value;
        self
    }

    /// Sets `producer_epoch`.
    #[must_use]
    pub fn with_producer_epoch(mut self, value: i16) -> Self {
        self.producer_epoch = value;
        self
    }

    /// Sets `generation_id_or_member_epoch`.
    #[must_use]
    pub fn with_generation_id_or_member_epoch(mut self, value: i32) -> Self {
        self.generation_id_or_member_epoch = value;
        self
    }

    /// Sets `member_id`.
    #[must_use]
    pub fn with_member_id(mut self, value: StrBytes) -> Self {
        self.member_id = value;
        self
    }

    /// Sets `group_instance_id`.
    #[must_use]
    pub fn with_group_instance_id(mut self, value: Option<StrBytes>) -> Self {
        self.group_instance_id = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<TxnOffsetCommitRequestTopic>) -> Self {
        self.topics = value;
        self
    }
}

impl Field for TxnOffsetCommitRequest {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.transactional_id.write(out, form)?;
        self.group_id.write(out, form)?;
        self.producer_id.write(out, form)?;
        self.producer_epoch.write(out, form)?;
        if form.version >= 3 {
            self.generation_id_or_member_epoch.write(out, form)?;
        }
        if form.version < 3 && self.generation_id_or_member_epoch != -1 {
            return Err(SchemaError::NotInVersion {
                field: "TxnOffsetCommitRequest.generation_id_or_member_epoch",
                version: form.version,
            });
        }
        if form.version >= 3 {
            self.member_id.write(out, form)?;
        }
        if form.version < 3 && !self.member_id.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "TxnOffsetCommitRequest.member_id",
                version: form.version,
            });
        }
        if form.version >= 3 {
            self.group_instance_id.write(out, form)?;
        }
        if form.version < 3 && self.group_instance_id.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "TxnOffsetCommitRequest.group_instance_id",
                version: form.version,
            });
        }
        self.topics.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            transactional_id: Field::read(bytes, form)?,
            group_id: Field::read(bytes, form)?,
            producer_id: Field::read(bytes, form)?,
            producer_epoch: Field::read(bytes, form)?,
            generation_id_or_member_epoch: if form.version >= 3 { Field::read(bytes, form)? } else { -1 },
            member_id: if form.version >= 3 { Field::read(bytes, form)? } else { StrBytes::default() },
            group_instance_id: if form.version >= 3 { Field::read(bytes, form)? } else { None },
            topics: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `TxnOffsetCommitRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnOffsetCommitRequestPartition {
    /// `PartitionIndex`, versions 0–6.
    pub partition_index: i32,
    /// `CommittedOffset`, versions 0–6.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, versions 2–6; by default `-1`.
    pub committed_leader_epoch: i32,
    /// `CommittedMetadata`, versions 0–6.
    pub committed_metadata: Option<StrBytes>,
}

impl Default for TxnOffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: Some(StrBytes::default()),
        }
    }
}

impl TxnOffsetCommitRequestPartition {
    /// Sets `partition_index`.
    #[must_use]
    pub fn with_partition_index(mut self, value: i32) -> Self {
        self.partition_index = value;
        self
    }

    /// Sets `committed_offset`.
    #[must_use]
    pub fn with_committed_offset(mut self, value: i64) -> Self {
        self.committed_offset = value;
        self
    }

    /// Sets `committed_leader_epoch`.
    #[must_use]
    pub fn with_committed_leader_epoch(mut self, value: i32) -> Self {
        self.committed_leader_epoch = value;
        self
    }

    /// Sets `committed_metadata`.
    #[must_use]
    pub fn with_committed_metadata(mut self, value: Option<StrBytes>) -> Self {
        self.committed_metadata = value;
        self
    }
}

impl Field for TxnOffsetCommitRequestPartition {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_index.write(out, form)?;
        self.committed_offset.write(out, form)?;
        if form.version >= 2 {
            self.committed_leader_epoch.write(out, form)?;
        }
        self.committed_metadata.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            partition_index: Field::read(bytes, form)?,
            committed_offset: Field::read(bytes, form)?,
            committed_leader_epoch: if form.version >= 2 { Field::read(bytes, form)? } else { -1 },
            committed_metadata: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `TxnOffsetCommitRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxnOffsetCommitRequestTopic {
    /// `Name`, versions 0–5.
    pub name: TopicName,
    /// `TopicId`, versions 6.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–6.
    pub partitions: Vec<TxnOffsetCommitRequestPartition>,
}

impl TxnOffsetCommitRequestTopic {
    /// Sets `name`.
    #[must_use]
    pub fn with_name(mut self, value: TopicName) -> Self {
        self.name = value;
        self
    }

    /// Sets `topic_id`.
    #[must_use]
    pub fn with_topic_id(mut self, value: Uuid) -> Self {
        self.topic_id = value;
        self
    }

    /// Sets `partitions`.
    #[must_use]
    pub fn with_partitions(mut self, value: Vec<TxnOffsetCommitRequestPartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for TxnOffsetCommitRequestTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version <= 5 {
            self.name.write(out, form)?;
        }
        if form.version >= 6 {
            self.topic_id.write(out, form)?;
        }
        self.partitions.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: if form.version <= 5 { Field::read(bytes, form)? } else { TopicName::default() },
            topic_id: if form.version >= 6 { Field::read(bytes, form)? } else { Uuid::nil() },
            partitions: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

impl Schema for TxnOffsetCommitRequest {
    const NAME: &'static str = "TxnOffsetCommitRequest";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;
    const FIRST_FLEXIBLE: i16 = 3;
}

request!(TxnOffsetCommitRequest = 28 => super::TxnOffsetCommitResponse);
