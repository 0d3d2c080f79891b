//! `RegisterBrokerRecord`, versions 0–4.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `RegisterBrokerRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterBrokerRecord {
    /// `BrokerId`, versions 0–4.
    pub broker_id: i32,
    /// `IsMigratingZkBroker`, versions 2–4; by default `false`.
    pub is_migrating_zk_broker: bool,
    /// `IncarnationId`, versions 0–4.
    pub incarnation_id: Uuid,
    /// `BrokerEpoch`, versions 0–4.
    pub broker_epoch: i64,
    /// `EndPoints`, versions 0–4.
    pub end_points: Vec<BrokerEndpoint>,
    /// `Features`, versions 0–4.
    pub features: Vec<BrokerFeature>,
    /// `Rack`, versions 0–4.
    pub rack: Option<StrBytes>,
    /// `Fenced`, versions 0–4; by default `true`.
    pub fenced: bool,
    /// `InControlledShutdown`, versions 1–4; by default `false`.
    pub in_controlled_shutdown: bool,
    /// `LogDirs`, versions 3–4; tag 0.
    pub log_dirs: Vec<Uuid>,
    /// `CordonedLogDirs`, versions 4; tag 1; by default `null`.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl Default for RegisterBrokerRecord {
    fn default() -> Self {
        Self {
            broker_id: 0,
            is_migrating_zk_broker: false,
            incarnation_id: Uuid::nil(),
            broker_epoch: 0,
            end_points: Vec::new(),
            features: Vec::new(),
            rack: None,
            fenced: true,
            in_controlled_shutdown: false,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        }
    }
}

impl Field for RegisterBrokerRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.broker_id.write(out, form)?;
        if form.version >= 2 {
            self.is_migrating_zk_broker.write(out, form)?;
        }
        if form.version < 2 && self.is_migrating_zk_broker {
            return Err(SchemaError::NotInVersion {
                field: "RegisterBrokerRecord.is_migrating_zk_broker",
                version: form.version,
            });
        }
        self.incarnation_id.write(out, form)?;
        self.broker_epoch.write(out, form)?;
        self.end_points.write(out, form)?;
        self.features.write(out, form)?;
        self.rack.write(out, form)?;
        self.fenced.write(out, form)?;
        if form.version >= 1 {
            self.in_controlled_shutdown.write(out, form)?;
        }
        if form.version < 1 && self.in_controlled_shutdown {
            return Err(SchemaError::NotInVersion {
                field: "RegisterBrokerRecord.in_controlled_shutdown",
                version: form.version,
            });
        }
        let mut tags = TagWriter::default();
        if form.version >= 3 && !self.log_dirs.is_empty() {
            tags.put(0, &self.log_dirs, form)?;
        }
        if form.version < 3 && !self.log_dirs.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "RegisterBrokerRecord.log_dirs",
                version: form.version,
            });
        }
        if form.version >= 4 && self.cordoned_log_dirs.is_some() {
            tags.put(1, &self.cordoned_log_dirs, form)?;
        }
        if form.version < 4 && self.cordoned_log_dirs.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "RegisterBrokerRecord.cordoned_log_dirs",
                version: form.version,
            });
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            broker_id: Field::read(bytes, form)?,
            is_migrating_zk_broker: if form.version >= 2 { Field::read(bytes, form)? } else { false },
            incarnation_id: Field::read(bytes, form)?,
            broker_epoch: Field::read(bytes, form)?,
            end_points: Field::read(bytes, form)?,
            features: Field::read(bytes, form)?,
            rack: Field::read(bytes, form)?,
            fenced: Field::read(bytes, form)?,
            in_controlled_shutdown: if form.version >= 1 { Field::read(bytes, form)? } else { false },
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 if form.version >= 3 => value.log_dirs = Field::read(field, form)?,
                1 if form.version >= 4 => value.cordoned_log_dirs = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

/// A part of `RegisterBrokerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerEndpoint {
    /// `Name`, versions 0–4.
    pub name: StrBytes,
    /// `Host`, versions 0–4.
    pub host: StrBytes,
    /// `Port`, versions 0–4.
    pub port: u16,
    /// `SecurityProtocol`, versions 0–4.
    pub security_protocol: i16,
}

impl Field for BrokerEndpoint {
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

/// A part of `RegisterBrokerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerFeature {
    /// `Name`, versions 0–4.
    pub name: StrBytes,
    /// `MinSupportedVersion`, versions 0–4.
    pub min_supported_version: i16,
    /// `MaxSupportedVersion`, versions 0–4.
    pub max_supported_version: i16,
}

impl Field for BrokerFeature {
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

impl Schema for RegisterBrokerRecord {
    const NAME: &'static str = "RegisterBrokerRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;
    const FIRST_FLEXIBLE: i16 = 0;
}
