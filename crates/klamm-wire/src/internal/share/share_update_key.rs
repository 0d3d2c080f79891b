//! `ShareUpdateKey`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `ShareUpdateKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareUpdateKey {
    /// `GroupId`, versions 0.
    pub group_id: StrBytes,
    /// `TopicId`, versions 0.
    pub topic_id: Uuid,
    /// `Partition`, versions 0.
    pub partition: i32,
}

impl Field for ShareUpdateKey {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group_id.write(out, form)?;
        self.topic_id.write(out, form)?;
        self.partition.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group_id: Field::read(bytes, form)?,
            topic_id: Field::read(bytes, form)?,
            partition: Field::read(bytes, form)?,
        };
        Ok(value)
    }
}

impl Schema for ShareUpdateKey {
    const NAME: &'static str = "ShareUpdateKey";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
