//! `ConsumerGroupRegularExpressionValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConsumerGroupRegularExpressionValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerGroupRegularExpressionValue {
    /// `Topics`, versions 0.
    pub topics: Vec<StrBytes>,
    /// `Version`, versions 0.
    pub version: i64,
    /// `Timestamp`, versions 0.
    pub timestamp: i64,
}

impl Field for ConsumerGroupRegularExpressionValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topics.write(out, form)?;
        self.version.write(out, form)?;
        self.timestamp.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            topics: Field::read(bytes, form)?,
            version: Field::read(bytes, form)?,
            timestamp: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ConsumerGroupRegularExpressionValue {
    const NAME: &'static str = "ConsumerGroupRegularExpressionValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
