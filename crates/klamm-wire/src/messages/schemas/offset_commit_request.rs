//! `OffsetCommitRequest`, versions 2–10.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{GroupId, TopicName};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, request};

/// `OffsetCommitRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitRequest {
    /// `GroupId`, versions 0–10.
    pub group_id: GroupId,
    /// `GenerationIdOrMemberEpoch`, versions 1–10; by default `-1`.
    pub generation_id_or_member_epoch: i32,
    /// `MemberId`, versions 1–10.
    pub member_id: StrBytes,
    /// `GroupInstanceId`, versions 7–10; by default `null`.
    pub group_instance_id: Option<StrBytes>,
    /// `RetentionTimeMs`, versions 2–4; by default `-1`.
    pub retention_time_ms: i64,
    /// `Topics`, versions 0–10.
    pub topics: Vec<OffsetCommitRequestTopic>,
}

impl Default for OffsetCommitRequest {
    fn default() -> Self {
        Self {
            group_id: GroupId::default(),
            generation_id_or_member_epoch: -1,
            member_id: StrBytes::default(),
            group_instance_id: None,
            retention_time_ms: -1,
            topics: Vec::new(),
        }
    }
}

impl OffsetCommitRequest {
    /// Sets `group_id`.
    #[must_use]
    pub fn with_group_id(mut self, value: GroupId) -> Self {
        self.group_id = value;
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

    /// Sets `retention_time_ms`.
    #[must_use]
    pub fn with_retention_time_ms(mut self, value: i64) -> Self {
        self.retention_time_ms = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<OffsetCommitRequestTopic>) -> Self {
        self.topics = value;
        self
    }
}

impl Field for OffsetCommitRequest {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group_id.write(out, form)?;
        self.generation_id_or_member_epoch.write(out, form)?;
        self.member_id.write(out, form)?;
        if form.version >= 7 {
            self.group_instance_id.write(out, form)?;
        }
        if form.version < 7 && self.group_instance_id.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetCommitRequest.group_instance_id",
                version: form.version,
            });
        }
        if form.version <= 4 {
            self.retention_time_ms.write(out, form)?;
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
            group_id: Field::read(bytes, form)?,
            generation_id_or_member_epoch: Field::read(bytes, form)?,
            member_id: Field::read(bytes, form)?,
            group_instance_id: if form.version >= 7 { Field::read(bytes, form)? } else { None },
            retention_time_ms: if form.version <= 4 { Field::read(bytes, form)? } else { -1 },
            topics: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetCommitRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitRequestPartition {
    /// `PartitionIndex`, versions 0–10.
    pub partition_index: i32,
    /// `CommittedOffset`, versions 0–10.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, versions 6–10; by default `-1`.
    pub committed_leader_epoch: i32,
    /// `CommittedMetadata`, versions 0–10.
    pub committed_metadata: Option<StrBytes>,
}

impl Default for OffsetCommitRequestPartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            committed_metadata: Some(StrBytes::default()),
        }
    }
}

impl OffsetCommitRequestPartition {
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

impl Field for OffsetCommitRequestPartition {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_index.write(out, form)?;
        self.committed_offset.write(out, form)?;
        if form.version >= 6 {
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
            committed_leader_epoch: if form.version >= 6 { Field::read(bytes, form)? } else { -1 },
            committed_metadata: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetCommitRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetCommitRequestTopic {
    /// `Name`, versions 0–9.
    pub name: TopicName,
    /// `TopicId`, versions 10.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–10.
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

impl OffsetCommitRequestTopic {
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
    pub fn with_partitions(mut self, value: Vec<OffsetCommitRequestPartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for OffsetCommitRequestTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version <= 9 {
            self.name.write(out, form)?;
        }
        if form.version >= 10 {
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
            name: if form.version <= 9 { Field::read(bytes, form)? } else { TopicName::default() },
            topic_id: if form.version >= 10 { Field::read(bytes, form)? } else { Uuid::nil() },
            partitions: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

impl Schema for OffsetCommitRequest {
    const NAME: &'static str = "OffsetCommitRequest";
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;
    const FIRST_FLEXIBLE: i16 = 8;
}

request!(OffsetCommitRequest = 8 => super::OffsetCommitResponse);
