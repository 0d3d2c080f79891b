//! `ClientQuotaRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ClientQuotaRecord`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientQuotaRecord {
    /// `Entity`, versions 0.
    pub entity: Vec<EntityData>,
    /// `Key`, versions 0.
    pub key: StrBytes,
    /// `Value`, versions 0.
    pub value: f64,
    /// `Remove`, versions 0.
    pub remove: bool,
}

impl Field for ClientQuotaRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.entity.write(out, form)?;
        self.key.write(out, form)?;
        self.value.write(out, form)?;
        self.remove.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            entity: Field::read(bytes, form)?,
            key: Field::read(bytes, form)?,
            value: Field::read(bytes, form)?,
            remove: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ClientQuotaRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EntityData {
    /// `EntityType`, versions 0.
    pub entity_type: StrBytes,
    /// `EntityName`, versions 0.
    pub entity_name: Option<StrBytes>,
}

impl Field for EntityData {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.entity_type.write(out, form)?;
        self.entity_name.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { entity_type: Field::read(bytes, form)?, entity_name: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ClientQuotaRecord {
    const NAME: &'static str = "ClientQuotaRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
