//! `ConfigRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConfigRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigRecord {
    /// `ResourceType`, versions 0.
    pub resource_type: i8,
    /// `ResourceName`, versions 0.
    pub resource_name: StrBytes,
    /// `Name`, versions 0.
    pub name: StrBytes,
    /// `Value`, versions 0.
    pub value: Option<StrBytes>,
}

impl Field for ConfigRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.resource_type.write(out, form)?;
        self.resource_name.write(out, form)?;
        self.name.write(out, form)?;
        self.value.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            resource_type: Field::read(bytes, form)?,
            resource_name: Field::read(bytes, form)?,
            name: Field::read(bytes, form)?,
            value: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ConfigRecord {
    const NAME: &'static str = "ConfigRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
