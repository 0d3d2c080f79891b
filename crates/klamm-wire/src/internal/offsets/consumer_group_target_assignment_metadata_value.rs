//! `ConsumerGroupTargetAssignmentMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConsumerGroupTargetAssignmentMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupTargetAssignmentMetadataValue {
    /// `AssignmentEpoch`, versions 0.
    pub assignment_epoch: i32,
    /// `AssignmentTimestamp`, versions 0; tag 0; by default `0`.
    pub assignment_timestamp: i64,
}

impl Field for ConsumerGroupTargetAssignmentMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.assignment_epoch.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.assignment_timestamp != 0 {
            tags.put(0, &self.assignment_timestamp, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self { assignment_epoch: Field::read(bytes, form)?, assignment_timestamp: 0 };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.assignment_timestamp = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for ConsumerGroupTargetAssignmentMetadataValue {
    const NAME: &'static str = "ConsumerGroupTargetAssignmentMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
