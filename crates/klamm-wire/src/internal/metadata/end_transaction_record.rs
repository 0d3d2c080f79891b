//! `EndTransactionRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `EndTransactionRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndTransactionRecord {}

impl Field for EndTransactionRecord {
    fn write<B: BufMut>(&self, out: &mut B, _: Form) -> Result<(), SchemaError> {
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, _: Form) -> Result<Self, SchemaError> {
        let value = Self {};
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for EndTransactionRecord {
    const NAME: &'static str = "EndTransactionRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
