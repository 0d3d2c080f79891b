//! `OffsetCommitResponse`, versions 2–10.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::TopicName;
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, response};

/// `OffsetCommitResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetCommitResponse {
    /// `ThrottleTimeMs`, versions 3–10.
    pub throttle_time_ms: i32,
    /// `Topics`, versions 0–10.
    pub topics: Vec<OffsetCommitResponseTopic>,
}

impl OffsetCommitResponse {
    /// Sets `throttle_time_ms`.
    #[must_use]
    pub fn with_throttle_time_ms(mut self, value: i32) -> Self {
        self.throttle_time_ms = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<OffsetCommitResponseTopic>) -> Self {
        self.topics = value;
        self
    }
}

impl Field for OffsetCommitResponse {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version >= 3 {
            self.throttle_time_ms.write(out, form)?;
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
            throttle_time_ms: if form.version >= 3 { Field::read(bytes, form)? } else { 0 },
            topics: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetCommitResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetCommitResponsePartition {
    /// `PartitionIndex`, versions 0–10.
    pub partition_index: i32,
    /// `ErrorCode`, versions 0–10.
    pub error_code: i16,
}

impl OffsetCommitResponsePartition {
    /// Sets `partition_index`.
    #[must_use]
    pub fn with_partition_index(mut self, value: i32) -> Self {
        self.partition_index = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }
}

impl Field for OffsetCommitResponsePartition {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_index.write(out, form)?;
        self.error_code.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value =
            Self { partition_index: Field::read(bytes, form)?, error_code: Field::read(bytes, form)? };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetCommitResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetCommitResponseTopic {
    /// `Name`, versions 0–9.
    pub name: TopicName,
    /// `TopicId`, versions 10.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–10.
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

impl OffsetCommitResponseTopic {
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
    pub fn with_partitions(mut self, value: Vec<OffsetCommitResponsePartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for OffsetCommitResponseTopic {
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

impl Schema for OffsetCommitResponse {
    const NAME: &'static str = "OffsetCommitResponse";
    const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;
    const FIRST_FLEXIBLE: i16 = 8;
}

response!(OffsetCommitResponse);
