//! `BeginTransactionRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `BeginTransactionRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BeginTransactionRecord {
    /// `Name`, versions 0; tag 0; by default `null`.
    pub name: Option<StrBytes>,
}

impl Field for BeginTransactionRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        let mut tags = TagWriter::default();
        if self.name.is_some() {
            tags.put(0, &self.name, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self { name: None };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.name = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for BeginTransactionRecord {
    const NAME: &'static str = "BeginTransactionRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
