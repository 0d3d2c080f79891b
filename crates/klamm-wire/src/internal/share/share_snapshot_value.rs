//! `ShareSnapshotValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ShareSnapshotValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareSnapshotValue {
    /// `SnapshotEpoch`, versions 0.
    pub snapshot_epoch: i32,
    /// `StateEpoch`, versions 0.
    pub state_epoch: i32,
    /// `LeaderEpoch`, versions 0.
    pub leader_epoch: i32,
    /// `StartOffset`, versions 0.
    pub start_offset: i64,
    /// `DeliveryCompleteCount`, versions 0; tag 0; by default `-1`.
    pub delivery_complete_count: i32,
    /// `CreateTimestamp`, versions 0.
    pub create_timestamp: i64,
    /// `WriteTimestamp`, versions 0.
    pub write_timestamp: i64,
    /// `StateBatches`, versions 0.
    pub state_batches: Vec<StateBatch>,
}

impl Default for ShareSnapshotValue {
    fn default() -> Self {
        Self {
            snapshot_epoch: 0,
            state_epoch: 0,
            leader_epoch: 0,
            start_offset: 0,
            delivery_complete_count: -1,
            create_timestamp: 0,
            write_timestamp: 0,
            state_batches: Vec::new(),
        }
    }
}

impl Field for ShareSnapshotValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.snapshot_epoch.write(out, form)?;
        self.state_epoch.write(out, form)?;
        self.leader_epoch.write(out, form)?;
        self.start_offset.write(out, form)?;
        self.create_timestamp.write(out, form)?;
        self.write_timestamp.write(out, form)?;
        self.state_batches.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.delivery_complete_count != -1 {
            tags.put(0, &self.delivery_complete_count, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            snapshot_epoch: Field::read(bytes, form)?,
            state_epoch: Field::read(bytes, form)?,
            leader_epoch: Field::read(bytes, form)?,
            start_offset: Field::read(bytes, form)?,
            delivery_complete_count: -1,
            create_timestamp: Field::read(bytes, form)?,
            write_timestamp: Field::read(bytes, form)?,
            state_batches: Field::read(bytes, form)?,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.delivery_complete_count = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

/// A part of `ShareSnapshotValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StateBatch {
    /// `FirstOffset`, versions 0.
    pub first_offset: i64,
    /// `LastOffset`, versions 0.
    pub last_offset: i64,
    /// `DeliveryState`, versions 0.
    pub delivery_state: i8,
    /// `DeliveryCount`, versions 0.
    pub delivery_count: i16,
}

impl Field for StateBatch {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.first_offset.write(out, form)?;
        self.last_offset.write(out, form)?;
        self.delivery_state.write(out, form)?;
        self.delivery_count.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            first_offset: Field::read(bytes, form)?,
            last_offset: Field::read(bytes, form)?,
            delivery_state: Field::read(bytes, form)?,
            delivery_count: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ShareSnapshotValue {
    const NAME: &'static str = "ShareSnapshotValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
