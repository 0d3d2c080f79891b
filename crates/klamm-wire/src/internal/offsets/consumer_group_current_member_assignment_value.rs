//! `ConsumerGroupCurrentMemberAssignmentValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConsumerGroupCurrentMemberAssignmentValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupCurrentMemberAssignmentValue {
    /// `MemberEpoch`, versions 0.
    pub member_epoch: i32,
    /// `PreviousMemberEpoch`, versions 0.
    pub previous_member_epoch: i32,
    /// `State`, versions 0.
    pub state: i8,
    /// `AssignedPartitions`, versions 0.
    pub assigned_partitions: Vec<TopicPartitions>,
    /// `PartitionsPendingRevocation`, versions 0.
    pub partitions_pending_revocation: Vec<TopicPartitions>,
}

impl Field for ConsumerGroupCurrentMemberAssignmentValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.member_epoch.write(out, form)?;
        self.previous_member_epoch.write(out, form)?;
        self.state.write(out, form)?;
        self.assigned_partitions.write(out, form)?;
        self.partitions_pending_revocation.write(out, form)?;
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
            partitions_pending_revocation: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ConsumerGroupCurrentMemberAssignmentValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TopicPartitions {
    /// `TopicId`, versions 0.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0.
    pub partitions: Vec<i32>,
    /// `AssignmentEpochs`, versions 0; tag 0.
    pub assignment_epochs: Option<Vec<i32>>,
}

impl Field for TopicPartitions {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.partitions.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.assignment_epochs.is_some() {
            tags.put(0, &self.assignment_epochs, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            topic_id: Field::read(bytes, form)?,
            partitions: Field::read(bytes, form)?,
            assignment_epochs: None,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.assignment_epochs = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for ConsumerGroupCurrentMemberAssignmentValue {
    const NAME: &'static str = "ConsumerGroupCurrentMemberAssignmentValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
