//! `BrokerRegistrationChangeRecord`, versions 0–3.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `BrokerRegistrationChangeRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BrokerRegistrationChangeRecord {
    /// `BrokerId`, versions 0–3.
    pub broker_id: i32,
    /// `BrokerEpoch`, versions 0–3.
    pub broker_epoch: i64,
    /// `Fenced`, versions 0–3; tag 0.
    pub fenced: i8,
    /// `InControlledShutdown`, versions 1–3; tag 1.
    pub in_controlled_shutdown: i8,
    /// `LogDirs`, versions 2–3; tag 2.
    pub log_dirs: Vec<Uuid>,
    /// `CordonedLogDirs`, versions 3; tag 3; by default `null`.
    pub cordoned_log_dirs: Option<Vec<Uuid>>,
}

impl Field for BrokerRegistrationChangeRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.broker_id.write(out, form)?;
        self.broker_epoch.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.fenced != 0 {
            tags.put(0, &self.fenced, form)?;
        }
        if form.version >= 1 && self.in_controlled_shutdown != 0 {
            tags.put(1, &self.in_controlled_shutdown, form)?;
        }
        if form.version < 1 && self.in_controlled_shutdown != 0 {
            return Err(SchemaError::NotInVersion {
                field: "BrokerRegistrationChangeRecord.in_controlled_shutdown",
                version: form.version,
            });
        }
        if form.version >= 2 && !self.log_dirs.is_empty() {
            tags.put(2, &self.log_dirs, form)?;
        }
        if form.version < 2 && !self.log_dirs.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "BrokerRegistrationChangeRecord.log_dirs",
                version: form.version,
            });
        }
        if form.version >= 3 && self.cordoned_log_dirs.is_some() {
            tags.put(3, &self.cordoned_log_dirs, form)?;
        }
        if form.version < 3 && self.cordoned_log_dirs.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "BrokerRegistrationChangeRecord.cordoned_log_dirs",
                version: form.version,
            });
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            broker_id: Field::read(bytes, form)?,
            broker_epoch: Field::read(bytes, form)?,
            fenced: 0,
            in_controlled_shutdown: 0,
            log_dirs: Vec::new(),
            cordoned_log_dirs: None,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.fenced = Field::read(field, form)?,
                1 if form.version >= 1 => value.in_controlled_shutdown = Field::read(field, form)?,
                2 if form.version >= 2 => value.log_dirs = Field::read(field, form)?,
                3 if form.version >= 3 => value.cordoned_log_dirs = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for BrokerRegistrationChangeRecord {
    const NAME: &'static str = "BrokerRegistrationChangeRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=3;
    const FIRST_FLEXIBLE: i16 = 0;
}
