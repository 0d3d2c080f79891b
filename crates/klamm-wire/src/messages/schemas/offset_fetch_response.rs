//! `OffsetFetchResponse`, versions 1–10.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{GroupId, TopicName};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, response};

/// `OffsetFetchResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetchResponse {
    /// `ThrottleTimeMs`, versions 3–10.
    pub throttle_time_ms: i32,
    /// `Topics`, versions 0–7.
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// `ErrorCode`, versions 2–7; by default `0`.
    pub error_code: i16,
    /// `Groups`, versions 8–10.
    pub groups: Vec<OffsetFetchResponseGroup>,
}

impl OffsetFetchResponse {
    /// Sets `throttle_time_ms`.
    #[must_use]
    pub fn with_throttle_time_ms(mut self, value: i32) -> Self {
        self.throttle_time_ms = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<OffsetFetchResponseTopic>) -> Self {
        self.topics = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }

    /// Sets `groups`.
    #[must_use]
    pub fn with_groups(mut self, value: Vec<OffsetFetchResponseGroup>) -> Self {
        self.groups = value;
        self
    }
}

impl Field for OffsetFetchResponse {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version >= 3 {
            self.throttle_time_ms.write(out, form)?;
        }
        if form.version <= 7 {
            self.topics.write(out, form)?;
        }
        if form.version > 7 && !self.topics.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponse.topics",
                version: form.version,
            });
        }
        if (2..=7).contains(&form.version) {
            self.error_code.write(out, form)?;
        }
        if form.version >= 8 {
            self.groups.write(out, form)?;
        }
        if form.version < 8 && !self.groups.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponse.groups",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            throttle_time_ms: if form.version >= 3 { Field::read(bytes, form)? } else { 0 },
            topics: if form.version <= 7 { Field::read(bytes, form)? } else { Vec::new() },
            error_code: if (2..=7).contains(&form.version) { Field::read(bytes, form)? } else { 0 },
            groups: if form.version >= 8 { Field::read(bytes, form)? } else { Vec::new() },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetchResponseGroup {
    /// `GroupId`, versions 8–10.
    pub group_id: GroupId,
    /// `Topics`, versions 8–10.
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// `ErrorCode`, versions 8–10; by default `0`.
    pub error_code: i16,
}

impl OffsetFetchResponseGroup {
    /// Sets `group_id`.
    #[must_use]
    pub fn with_group_id(mut self, value: GroupId) -> Self {
        self.group_id = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<OffsetFetchResponseTopics>) -> Self {
        self.topics = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }
}

impl Field for OffsetFetchResponseGroup {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version >= 8 {
            self.group_id.write(out, form)?;
        }
        if form.version < 8 && self.group_id != GroupId::default() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponseGroup.group_id",
                version: form.version,
            });
        }
        if form.version >= 8 {
            self.topics.write(out, form)?;
        }
        if form.version < 8 && !self.topics.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponseGroup.topics",
                version: form.version,
            });
        }
        if form.version >= 8 {
            self.error_code.write(out, form)?;
        }
        if form.version < 8 && self.error_code != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponseGroup.error_code",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group_id: if form.version >= 8 { Field::read(bytes, form)? } else { GroupId::default() },
            topics: if form.version >= 8 { Field::read(bytes, form)? } else { Vec::new() },
            error_code: if form.version >= 8 { Field::read(bytes, form)? } else { 0 },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchResponsePartition {
    /// `PartitionIndex`, versions 0–7.
    pub partition_index: i32,
    /// `CommittedOffset`, versions 0–7.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, versions 5–7; by default `-1`.
    pub committed_leader_epoch: i32,
    /// `Metadata`, versions 0–7.
    pub metadata: Option<StrBytes>,
    /// `ErrorCode`, versions 0–7.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartition {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(StrBytes::default()),
            error_code: 0,
        }
    }
}

impl OffsetFetchResponsePartition {
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

    /// Sets `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, value: Option<StrBytes>) -> Self {
        self.metadata = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }
}

impl Field for OffsetFetchResponsePartition {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version <= 7 {
            self.partition_index.write(out, form)?;
        }
        if form.version > 7 && self.partition_index != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartition.partition_index",
                version: form.version,
            });
        }
        if form.version <= 7 {
            self.committed_offset.write(out, form)?;
        }
        if form.version > 7 && self.committed_offset != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartition.committed_offset",
                version: form.version,
            });
        }
        if (5..=7).contains(&form.version) {
            self.committed_leader_epoch.write(out, form)?;
        }
        if form.version <= 7 {
            self.metadata.write(out, form)?;
        }
        if form.version > 7 && self.metadata != Some(StrBytes::default()) {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartition.metadata",
                version: form.version,
            });
        }
        if form.version <= 7 {
            self.error_code.write(out, form)?;
        }
        if form.version > 7 && self.error_code != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartition.error_code",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            partition_index: if form.version <= 7 { Field::read(bytes, form)? } else { 0 },
            committed_offset: if form.version <= 7 { Field::read(bytes, form)? } else { 0 },
            committed_leader_epoch: if (5..=7).contains(&form.version) {
                Field::read(bytes, form)?
            } else {
                -1
            },
            metadata: if form.version <= 7 { Field::read(bytes, form)? } else { Some(StrBytes::default()) },
            error_code: if form.version <= 7 { Field::read(bytes, form)? } else { 0 },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchResponse`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchResponsePartitions {
    /// `PartitionIndex`, versions 8–10.
    pub partition_index: i32,
    /// `CommittedOffset`, versions 8–10.
    pub committed_offset: i64,
    /// `CommittedLeaderEpoch`, versions 8–10; by default `-1`.
    pub committed_leader_epoch: i32,
    /// `Metadata`, versions 8–10.
    pub metadata: Option<StrBytes>,
    /// `ErrorCode`, versions 8–10.
    pub error_code: i16,
}

impl Default for OffsetFetchResponsePartitions {
    fn default() -> Self {
        Self {
            partition_index: 0,
            committed_offset: 0,
            committed_leader_epoch: -1,
            metadata: Some(StrBytes::default()),
            error_code: 0,
        }
    }
}

impl OffsetFetchResponsePartitions {
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

    /// Sets `metadata`.
    #[must_use]
    pub fn with_metadata(mut self, value: Option<StrBytes>) -> Self {
        self.metadata = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }
}

impl Field for OffsetFetchResponsePartitions {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version >= 8 {
            self.partition_index.write(out, form)?;
        }
        if form.version < 8 && self.partition_index != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartitions.partition_index",
                version: form.version,
            });
        }
        if form.version >= 8 {
            self.committed_offset.write(out, form)?;
        }
        if form.version < 8 && self.committed_offset != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartitions.committed_offset",
                version: form.version,
            });
        }
        if form.version >= 8 {
            self.committed_leader_epoch.write(out, form)?;
        }
        if form.version >= 8 {
            self.metadata.write(out, form)?;
        }
        if form.version < 8 && self.metadata != Some(StrBytes::default()) {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartitions.metadata",
                version: form.version,
            });
        }
        if form.version >= 8 {
            self.error_code.write(out, form)?;
        }
        if form.version < 8 && self.error_code != 0 {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponsePartitions.error_code",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            partition_index: if form.version >= 8 { Field::read(bytes, form)? } else { 0 },
            committed_offset: if form.version >= 8 { Field::read(bytes, form)? } else { 0 },
            committed_leader_epoch: if form.version >= 8 { Field::read(bytes, form)? } else { -1 },
            metadata: if form.version >= 8 { Field::read(bytes, form)? } else { Some(StrBytes::default()) },
            error_code: if form.version >= 8 { Field::read(bytes, form)? } else { 0 },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetchResponseTopic {
    /// `Name`, versions 0–7.
    pub name: TopicName,
    /// `Partitions`, versions 0–7.
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

impl OffsetFetchResponseTopic {
    /// Sets `name`.
    #[must_use]
    pub fn with_name(mut self, value: TopicName) -> Self {
        self.name = value;
        self
    }

    /// Sets `partitions`.
    #[must_use]
    pub fn with_partitions(mut self, value: Vec<OffsetFetchResponsePartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for OffsetFetchResponseTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version <= 7 {
            self.name.write(out, form)?;
        }
        if form.version > 7 && self.name != TopicName::default() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponseTopic.name",
                version: form.version,
            });
        }
        if form.version <= 7 {
            self.partitions.write(out, form)?;
        }
        if form.version > 7 && !self.partitions.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponseTopic.partitions",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: if form.version <= 7 { Field::read(bytes, form)? } else { TopicName::default() },
            partitions: if form.version <= 7 { Field::read(bytes, form)? } else { Vec::new() },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetchResponseTopics {
    /// `Name`, versions 8–9.
    pub name: TopicName,
    /// `TopicId`, versions 10.
    pub topic_id: Uuid,
    /// `Partitions`, versions 8–10.
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

impl OffsetFetchResponseTopics {
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
    pub fn with_partitions(mut self, value: Vec<OffsetFetchResponsePartitions>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for OffsetFetchResponseTopics {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if (8..=9).contains(&form.version) {
            self.name.write(out, form)?;
        }
        if form.version >= 10 {
            self.topic_id.write(out, form)?;
        }
        if form.version >= 8 {
            self.partitions.write(out, form)?;
        }
        if form.version < 8 && !self.partitions.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchResponseTopics.partitions",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: if (8..=9).contains(&form.version) {
                Field::read(bytes, form)?
            } else {
                TopicName::default()
            },
            topic_id: if form.version >= 10 { Field::read(bytes, form)? } else { Uuid::nil() },
            partitions: if form.version >= 8 { Field::read(bytes, form)? } else { Vec::new() },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

impl Schema for OffsetFetchResponse {
    const NAME: &'static str = "OffsetFetchResponse";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;
    const FIRST_FLEXIBLE: i16 = 6;
}

response!(OffsetFetchResponse);
