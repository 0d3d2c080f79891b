//! `ConsumerGroupPartitionMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConsumerGroupPartitionMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupPartitionMetadataValue {
    /// `Topics`, versions 0.
    pub topics: Vec<TopicMetadata>,
}

impl Field for ConsumerGroupPartitionMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topics.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { topics: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ConsumerGroupPartitionMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionMetadata {
    /// `Partition`, versions 0.
    pub partition: i32,
    /// `Racks`, versions 0.
    pub racks: Vec<StrBytes>,
}

impl Field for PartitionMetadata {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition.write(out, form)?;
        self.racks.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { partition: Field::read(bytes, form)?, racks: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ConsumerGroupPartitionMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicMetadata {
    /// `TopicId`, versions 0.
    pub topic_id: Uuid,
    /// `TopicName`, versions 0.
    pub topic_name: StrBytes,
    /// `NumPartitions`, versions 0.
    pub num_partitions: i32,
    /// `PartitionMetadata`, versions 0.
    pub partition_metadata: Vec<PartitionMetadata>,
}

impl Field for TopicMetadata {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.topic_name.write(out, form)?;
        self.num_partitions.write(out, form)?;
        self.partition_metadata.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            topic_id: Field::read(bytes, form)?,
            topic_name: Field::read(bytes, form)?,
            num_partitions: Field::read(bytes, form)?,
            partition_metadata: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ConsumerGroupPartitionMetadataValue {
    const NAME: &'static str = "ConsumerGroupPartitionMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
