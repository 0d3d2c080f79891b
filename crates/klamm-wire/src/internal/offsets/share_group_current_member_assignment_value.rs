//! `ShareGroupCurrentMemberAssignmentValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ShareGroupCurrentMemberAssignmentValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareGroupCurrentMemberAssignmentValue {
    /// `MemberEpoch`, versions 0.
    pub member_epoch: i32,
    /// `PreviousMemberEpoch`, versions 0.
    pub previous_member_epoch: i32,
    /// `State`, versions 0.
    pub state: i8,
    /// `AssignedPartitions`, versions 0.
    pub assigned_partitions: Vec<TopicPartitions>,
}

impl Field for ShareGroupCurrentMemberAssignmentValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.member_epoch.write(out, form)?;
        self.previous_member_epoch.write(out, form)?;
        self.state.write(out, form)?;
        self.assigned_partitions.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            member_epoch: Field::read(bytes, form)?,
            previous_member_epoch: Field::read(bytes, form)?,
            state: Field::read(bytes, form)?,
            assigned_partitions: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareGroupCurrentMemberAssignmentValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicPartitions {
    /// `TopicId`, versions 0.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0.
    pub partitions: Vec<i32>,
}

impl Field for TopicPartitions {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.partitions.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { topic_id: Field::read(bytes, form)?, partitions: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ShareGroupCurrentMemberAssignmentValue {
    const NAME: &'static str = "ShareGroupCurrentMemberAssignmentValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
