//! `TxnOffsetCommitResponse`, versions 0–6.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::TopicName;
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, response};

/// `TxnOffsetCommitResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxnOffsetCommitResponse {
    /// `ThrottleTimeMs`, versions 0–6.
    pub throttle_time_ms: i32,
    /// `Topics`, versions 0–6.
    pub topics: Vec<TxnOffsetCommitResponseTopic>,
}

impl TxnOffsetCommitResponse {
    /// Sets `throttle_time_ms`.
    #[must_use]
    pub fn with_throttle_time_ms(mut self, value: i32) -> Self {
        self.throttle_time_ms = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<TxnOffsetCommitResponseTopic>) -> Self {
        self.topics = value;
        self
    }
}

impl Field for TxnOffsetCommitResponse {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.throttle_time_ms.write(out, form)?;
        self.topics.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { throttle_time_ms: Field::read(bytes, form)?, topics: Field::read(bytes, form)? };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `TxnOffsetCommitResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxnOffsetCommitResponsePartition {
    /// `PartitionIndex`, versions 0–6.
    pub partition_index: i32,
    /// `ErrorCode`, versions 0–6.
    pub error_code: i16,
}

impl TxnOffsetCommitResponsePartition {
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

impl Field for TxnOffsetCommitResponsePartition {
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

/// A part of `TxnOffsetCommitResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TxnOffsetCommitResponseTopic {
    /// `Name`, versions 0–5.
    pub name: TopicName,
    /// `TopicId`, versions 6.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–6.
    pub partitions: Vec<TxnOffsetCommitResponsePartition>,
}

impl TxnOffsetCommitResponseTopic {
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
    pub fn with_partitions(mut self, value: Vec<TxnOffsetCommitResponsePartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for TxnOffsetCommitResponseTopic {
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

impl Schema for TxnOffsetCommitResponse {
    const NAME: &'static str = "TxnOffsetCommitResponse";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;
    const FIRST_FLEXIBLE: i16 = 3;
}

response!(TxnOffsetCommitResponse);
