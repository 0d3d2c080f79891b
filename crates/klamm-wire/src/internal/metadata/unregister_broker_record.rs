//! `UnregisterBrokerRecord`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `UnregisterBrokerRecord`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UnregisterBrokerRecord {
    /// `BrokerId`, versions 0.
    pub broker_id: i32,
    /// `BrokerEpoch`, versions 0.
    pub broker_epoch: i64,
}

impl Field for UnregisterBrokerRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.broker_id.write(out, form)?;
        self.broker_epoch.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { broker_id: Field::read(bytes, form)?, broker_epoch: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for UnregisterBrokerRecord {
    const NAME: &'static str = "UnregisterBrokerRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
