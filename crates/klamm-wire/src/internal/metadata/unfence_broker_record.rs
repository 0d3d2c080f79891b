//! `UnfenceBrokerRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `UnfenceBrokerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnfenceBrokerRecord {
    /// `Id`, versions 0.
    pub id: i32,
    /// `Epoch`, versions 0.
    pub epoch: i64,
}

impl Field for UnfenceBrokerRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.id.write(out, form)?;
        self.epoch.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { id: Field::read(bytes, form)?, epoch: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for UnfenceBrokerRecord {
    const NAME: &'static str = "UnfenceBrokerRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
