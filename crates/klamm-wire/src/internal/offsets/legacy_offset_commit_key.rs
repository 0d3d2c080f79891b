//! `LegacyOffsetCommitKey`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `LegacyOffsetCommitKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LegacyOffsetCommitKey {
    /// `group`, versions 0.
    pub group: StrBytes,
    /// `topic`, versions 0.
    pub topic: StrBytes,
    /// `partition`, versions 0.
    pub partition: i32,
}

impl Field for LegacyOffsetCommitKey {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group.write(out, form)?;
        self.topic.write(out, form)?;
        self.partition.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group: Field::read(bytes, form)?,
            topic: Field::read(bytes, form)?,
            partition: Field::read(bytes, form)?,
        };
        Ok(value)
    }
}

impl Schema for LegacyOffsetCommitKey {
    const NAME: &'static str = "LegacyOffsetCommitKey";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
