//! `ShareGroupStatePartitionMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ShareGroupStatePartitionMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareGroupStatePartitionMetadataValue {
    /// `InitializingTopics`, versions 0.
    pub initializing_topics: Vec<TopicPartitionsInfo>,
    /// `InitializedTopics`, versions 0.
    pub initialized_topics: Vec<TopicPartitionsInfo>,
    /// `DeletingTopics`, versions 0.
    pub deleting_topics: Vec<TopicInfo>,
}

impl Field for ShareGroupStatePartitionMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.initializing_topics.write(out, form)?;
        self.initialized_topics.write(out, form)?;
        self.deleting_topics.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            initializing_topics: Field::read(bytes, form)?,
            initialized_topics: Field::read(bytes, form)?,
            deleting_topics: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareGroupStatePartitionMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicInfo {
    /// `TopicId`, versions 0.
    pub topic_id: Uuid,
    /// `TopicName`, versions 0.
    pub topic_name: StrBytes,
}

impl Field for TopicInfo {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.topic_name.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { topic_id: Field::read(bytes, form)?, topic_name: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareGroupStatePartitionMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicPartitionsInfo {
    /// `TopicId`, versions 0.
    pub topic_id: Uuid,
    /// `TopicName`, versions 0.
    pub topic_name: StrBytes,
    /// `Partitions`, versions 0.
    pub partitions: Vec<i32>,
}

impl Field for TopicPartitionsInfo {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.topic_name.write(out, form)?;
        self.partitions.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            topic_id: Field::read(bytes, form)?,
            topic_name: Field::read(bytes, form)?,
            partitions: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ShareGroupStatePartitionMetadataValue {
    const NAME: &'static str = "ShareGroupStatePartitionMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
