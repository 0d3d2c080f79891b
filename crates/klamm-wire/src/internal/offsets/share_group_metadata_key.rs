//! `ShareGroupMetadataKey`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `ShareGroupMetadataKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareGroupMetadataKey {
    /// `GroupId`, versions 0.
    pub group_id: StrBytes,
}

impl Field for ShareGroupMetadataKey {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group_id.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { group_id: Field::read(bytes, form)? };
        Ok(value)
    }
}

impl Schema for ShareGroupMetadataKey {
    const NAME: &'static str = "ShareGroupMetadataKey";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
