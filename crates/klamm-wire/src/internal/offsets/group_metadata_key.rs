//! `GroupMetadataKey`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `GroupMetadataKey`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupMetadataKey {
    /// `group`, versions 0.
    pub group: StrBytes,
}

impl Field for GroupMetadataKey {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { group: Field::read(bytes, form)? };
        Ok(value)
    }
}

impl Schema for GroupMetadataKey {
    const NAME: &'static str = "GroupMetadataKey";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
