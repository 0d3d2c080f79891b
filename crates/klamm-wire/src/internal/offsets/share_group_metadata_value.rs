//! `ShareGroupMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ShareGroupMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareGroupMetadataValue {
    /// `Epoch`, versions 0.
    pub epoch: i32,
    /// `MetadataHash`, versions 0.
    pub metadata_hash: i64,
}

impl Field for ShareGroupMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.epoch.write(out, form)?;
        self.metadata_hash.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { epoch: Field::read(bytes, form)?, metadata_hash: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ShareGroupMetadataValue {
    const NAME: &'static str = "ShareGroupMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
