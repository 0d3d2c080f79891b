//! `AbortTransactionRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `AbortTransactionRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AbortTransactionRecord {
    /// `Reason`, versions 0; tag 0; by default `null`.
    pub reason: Option<StrBytes>,
}

impl Field for AbortTransactionRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        let mut tags = TagWriter::default();
        if self.reason.is_some() {
            tags.put(0, &self.reason, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self { reason: None };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.reason = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for AbortTransactionRecord {
    const NAME: &'static str = "AbortTransactionRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
