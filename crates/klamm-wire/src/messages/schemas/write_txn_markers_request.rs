//! `WriteTxnMarkersRequest`, versions 1–2.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{ProducerId, TopicName};

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, request};

/// `WriteTxnMarkersRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteTxnMarkersRequest {
    /// `Markers`, versions 0–2.
    pub markers: Vec<WritableTxnMarker>,
}

impl WriteTxnMarkersRequest {
    /// Sets `markers`.
    #[must_use]
    pub fn with_markers(mut self, value: Vec<WritableTxnMarker>) -> Self {
        self.markers = value;
        self
    }
}

impl Field for WriteTxnMarkersRequest {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.markers.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { markers: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `WriteTxnMarkersRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WritableTxnMarker {
    /// `ProducerId`, versions 0–2.
    pub producer_id: ProducerId,
    /// `ProducerEpoch`, versions 0–2.
    pub producer_epoch: i16,
    /// `TransactionResult`, versions 0–2.
    pub transaction_result: bool,
    /// `Topics`, versions 0–2.
    pub topics: Vec<WritableTxnMarkerTopic>,
    /// `CoordinatorEpoch`, versions 0–2.
    pub coordinator_epoch: i32,
    /// `TransactionVersion`, versions 2; by default `0`.
    pub transaction_version: i8,
}

impl WritableTxnMarker {
    /// Sets `producer_id`.
    #[must_use]
    pub fn with_producer_id(mut self, value: ProducerId) -> Self {
        self.producer_id = value;
        self
    }

    /// Sets `producer_epoch`.
    #[must_use]
    pub fn with_producer_epoch(mut self, value: i16) -> Self {
        self.producer_epoch = value;
        self
    }

    /// Sets `transaction_result`.
    #[must_use]
    pub fn with_transaction_result(mut self, value: bool) -> Self {
        self.transaction_result = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<WritableTxnMarkerTopic>) -> Self {
        self.topics = value;
        self
    }

    /// Sets `coordinator_epoch`.
    #[must_use]
    pub fn with_coordinator_epoch(mut self, value: i32) -> Self {
        self.coordinator_epoch = value;
        self
    }

    /// Sets `transaction_version`.
    #[must_use]
    pub fn with_transaction_version(mut self, value: i8) -> Self {
        self.transaction_version = value;
        self
    }
}

impl Field for WritableTxnMarker {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.producer_id.write(out, form)?;
        self.producer_epoch.write(out, form)?;
        self.transaction_result.write(out, form)?;
        self.topics.write(out, form)?;
        self.coordinator_epoch.write(out, form)?;
        if form.version >= 2 {
            self.transaction_version.write(out, form)?;
        }
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            producer_id: Field::read(bytes, form)?,
            producer_epoch: Field::read(bytes, form)?,
            transaction_result: Field::read(bytes, form)?,
            topics: Field::read(bytes, form)?,
            coordinator_epoch: Field::read(bytes, form)?,
            transaction_version: if form.version >= 2 { Field::read(bytes, form)? } else { 0 },
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `WriteTxnMarkersRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WritableTxnMarkerTopic {
    /// `Name`, versions 0–2.
    pub name: TopicName,
    /// `PartitionIndexes`, versions 0–2.
    pub partition_indexes: Vec<i32>,
}

impl WritableTxnMarkerTopic {
    /// Sets `name`.
    #[must_use]
    pub fn with_name(mut self, value: TopicName) -> Self {
        self.name = value;
        self
    }

    /// Sets `partition_indexes`.
    #[must_use]
    pub fn with_partition_indexes(mut self, value: Vec<i32>) -> Self {
        self.partition_indexes = value;
        self
    }
}

impl Field for WritableTxnMarkerTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.name.write(out, form)?;
        self.partition_indexes.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { name: Field::read(bytes, form)?, partition_indexes: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for WriteTxnMarkersRequest {
    const NAME: &'static str = "WriteTxnMarkersRequest";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;
    const FIRST_FLEXIBLE: i16 = 1;
}

request!(WriteTxnMarkersRequest = 27 => super::WriteTxnMarkersResponse);
