//! `AccessControlEntryRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `AccessControlEntryRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AccessControlEntryRecord {
    /// `Id`, versions 0.
    pub id: Uuid,
    /// `ResourceType`, versions 0.
    pub resource_type: i8,
    /// `ResourceName`, versions 0.
    pub resource_name: StrBytes,
    /// `PatternType`, versions 0.
    pub pattern_type: i8,
    /// `Principal`, versions 0.
    pub principal: StrBytes,
    /// `Host`, versions 0.
    pub host: StrBytes,
    /// `Operation`, versions 0.
    pub operation: i8,
    /// `PermissionType`, versions 0.
    pub permission_type: i8,
}

impl Field for AccessControlEntryRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.id.write(out, form)?;
        self.resource_type.write(out, form)?;
        self.resource_name.write(out, form)?;
        self.pattern_type.write(out, form)?;
        self.principal.write(out, form)?;
        self.host.write(out, form)?;
        self.operation.write(out, form)?;
        self.permission_type.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            id: Field::read(bytes, form)?,
            resource_type: Field::read(bytes, form)?,
            resource_name: Field::read(bytes, form)?,
            pattern_type: Field::read(bytes, form)?,
            principal: Field::read(bytes, form)?,
            host: Field::read(bytes, form)?,
            operation: Field::read(bytes, form)?,
            permission_type: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for AccessControlEntryRecord {
    const NAME: &'static str = "AccessControlEntryRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
