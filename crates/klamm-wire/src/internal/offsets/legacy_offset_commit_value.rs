//! `LegacyOffsetCommitValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `LegacyOffsetCommitValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LegacyOffsetCommitValue {
    /// `offset`, versions 0.
    pub offset: i64,
    /// `metadata`, versions 0.
    pub metadata: StrBytes,
    /// `commitTimestamp`, versions 0.
    pub commit_timestamp: i64,
}

impl Field for LegacyOffsetCommitValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.offset.write(out, form)?;
        self.metadata.write(out, form)?;
        self.commit_timestamp.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            offset: Field::read(bytes, form)?,
            metadata: Field::read(bytes, form)?,
            commit_timestamp: Field::read(bytes, form)?,
        };
        Ok(value)
    }
}

impl Schema for LegacyOffsetCommitValue {
    const NAME: &'static str = "LegacyOffsetCommitValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
