//! `ProducerSnapshot`, versions 1.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError};

/// `ProducerSnapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerSnapshot {
    /// `Crc`, versions 1.
    pub crc: u32,
    /// `ProducerEntries`, versions 1.
    pub producer_entries: Vec<ProducerEntry>,
}

impl Field for ProducerSnapshot {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.crc.write(out, form)?;
        self.producer_entries.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { crc: Field::read(bytes, form)?, producer_entries: Field::read(bytes, form)? };
        Ok(value)
    }
}

/// A part of `ProducerSnapshot`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProducerEntry {
    /// `ProducerId`, versions 1.
    pub producer_id: i64,
    /// `Epoch`, versions 1.
    pub epoch: i16,
    /// `LastSequence`, versions 1.
    pub last_sequence: i32,
    /// `LastOffset`, versions 1.
    pub last_offset: i64,
    /// `OffsetDelta`, versions 1.
    pub offset_delta: i32,
    /// `Timestamp`, versions 1.
    pub timestamp: i64,
    /// `CoordinatorEpoch`, versions 1.
    pub coordinator_epoch: i32,
    /// `CurrentTxnFirstOffset`, versions 1.
    pub current_txn_first_offset: i64,
}

impl Field for ProducerEntry {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.producer_id.write(out, form)?;
        self.epoch.write(out, form)?;
        self.last_sequence.write(out, form)?;
        self.last_offset.write(out, form)?;
        self.offset_delta.write(out, form)?;
        self.timestamp.write(out, form)?;
        self.coordinator_epoch.write(out, form)?;
        self.current_txn_first_offset.write(out, form)?;
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            producer_id: Field::read(bytes, form)?,
            epoch: Field::read(bytes, form)?,
            last_sequence: Field::read(bytes, form)?,
            last_offset: Field::read(bytes, form)?,
            offset_delta: Field::read(bytes, form)?,
            timestamp: Field::read(bytes, form)?,
            coordinator_epoch: Field::read(bytes, form)?,
            current_txn_first_offset: Field::read(bytes, form)?,
        };
        Ok(value)
    }
}

impl Schema for ProducerSnapshot {
    const NAME: &'static str = "ProducerSnapshot";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=1;
    const FIRST_FLEXIBLE: i16 = i16::MAX;
}
