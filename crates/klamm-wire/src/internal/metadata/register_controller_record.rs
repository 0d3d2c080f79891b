//! `RegisterControllerRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `RegisterControllerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RegisterControllerRecord {
    /// `ControllerId`, versions 0.
    pub controller_id: i32,
    /// `IncarnationId`, versions 0.
    pub incarnation_id: Uuid,
    /// `ZkMigrationReady`, versions 0.
    pub zk_migration_ready: bool,
    /// `EndPoints`, versions 0.
    pub end_points: Vec<ControllerEndpoint>,
    /// `Features`, versions 0.
    pub features: Vec<ControllerFeature>,
}

impl Field for RegisterControllerRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.controller_id.write(out, form)?;
        self.incarnation_id.write(out, form)?;
        self.zk_migration_ready.write(out, form)?;
        self.end_points.write(out, form)?;
        self.features.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            controller_id: Field::read(bytes, form)?,
            incarnation_id: Field::read(bytes, form)?,
            zk_migration_ready: Field::read(bytes, form)?,
            end_points: Field::read(bytes, form)?,
            features: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `RegisterControllerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControllerEndpoint {
    /// `Name`, versions 0.
    pub name: StrBytes,
    /// `Host`, versions 0.
    pub host: StrBytes,
    /// `Port`, versions 0.
    pub port: u16,
    /// `SecurityProtocol`, versions 0.
    pub security_protocol: i16,
}

impl Field for ControllerEndpoint {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.name.write(out, form)?;
        self.host.write(out, form)?;
        self.port.write(out, form)?;
        self.security_protocol.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: Field::read(bytes, form)?,
            host: Field::read(bytes, form)?,
            port: Field::read(bytes, form)?,
            security_protocol: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `RegisterControllerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ControllerFeature {
    /// `Name`, versions 0.
    pub name: StrBytes,
    /// `MinSupportedVersion`, versions 0.
    pub min_supported_version: i16,
    /// `MaxSupportedVersion`, versions 0.
    pub max_supported_version: i16,
}

impl Field for ControllerFeature {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.name.write(out, form)?;
        self.min_supported_version.write(out, form)?;
        self.max_supported_version.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: Field::read(bytes, form)?,
            min_supported_version: Field::read(bytes, form)?,
            max_supported_version: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for RegisterControllerRecord {
    const NAME: &'static str = "RegisterControllerRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
