//! `ConsumerGroupMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConsumerGroupMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupMetadataValue {
    /// `Epoch`, versions 0.
    pub epoch: i32,
    /// `MetadataHash`, versions 0; tag 0; by default `0`.
    pub metadata_hash: i64,
}

impl Field for ConsumerGroupMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.epoch.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.metadata_hash != 0 {
            tags.put(0, &self.metadata_hash, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self { epoch: Field::read(bytes, form)?, metadata_hash: 0 };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.metadata_hash = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for ConsumerGroupMetadataValue {
    const NAME: &'static str = "ConsumerGroupMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
