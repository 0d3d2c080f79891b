//! `TransactionLogValue`, versions 0–1.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `TransactionLogValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionLogValue {
    /// `ProducerId`, versions 0–1.
    pub producer_id: i64,
    /// `PreviousProducerId`, versions 1; tag 0; by default `-1`.
    pub previous_producer_id: i64,
    /// `NextProducerId`, versions 1; tag 1; by default `-1`.
    pub next_producer_id: i64,
    /// `ProducerEpoch`, versions 0–1.
    pub producer_epoch: i16,
    /// `NextProducerEpoch`, versions 1; tag 3; by default `-1`.
    pub next_producer_epoch: i16,
    /// `TransactionTimeoutMs`, versions 0–1.
    pub transaction_timeout_ms: i32,
    /// `TransactionStatus`, versions 0–1.
    pub transaction_status: i8,
    /// `TransactionPartitions`, versions 0–1.
    pub transaction_partitions: Option<Vec<PartitionsSchema>>,
    /// `TransactionLastUpdateTimestampMs`, versions 0–1.
    pub transaction_last_update_timestamp_ms: i64,
    /// `TransactionStartTimestampMs`, versions 0–1.
    pub transaction_start_timestamp_ms: i64,
    /// `ClientTransactionVersion`, versions 1; tag 2; by default `0`.
    pub client_transaction_version: i16,
}

impl Default for TransactionLogValue {
    fn default() -> Self {
        Self {
            producer_id: 0,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: 0,
            next_producer_epoch: -1,
            transaction_timeout_ms: 0,
            transaction_status: 0,
            transaction_partitions: None,
            transaction_last_update_timestamp_ms: 0,
            transaction_start_timestamp_ms: 0,
            client_transaction_version: 0,
        }
    }
}

impl Field for TransactionLogValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.producer_id.write(out, form)?;
        self.producer_epoch.write(out, form)?;
        self.transaction_timeout_ms.write(out, form)?;
        self.transaction_status.write(out, form)?;
        self.transaction_partitions.write(out, form)?;
        self.transaction_last_update_timestamp_ms.write(out, form)?;
        self.transaction_start_timestamp_ms.write(out, form)?;
        if form.flexible {
            let mut tags = TagWriter::default();
            if form.version >= 1 && self.previous_producer_id != -1 {
                tags.put(0, &self.previous_producer_id, form)?;
            }
            if form.version < 1 && self.previous_producer_id != -1 {
                return Err(SchemaError::NotInVersion {
                    field: "TransactionLogValue.previous_producer_id",
                    version: form.version,
                });
            }
            if form.version >= 1 && self.next_producer_id != -1 {
                tags.put(1, &self.next_producer_id, form)?;
            }
            if form.version < 1 && self.next_producer_id != -1 {
                return Err(SchemaError::NotInVersion {
                    field: "TransactionLogValue.next_producer_id",
                    version: form.version,
                });
            }
            if form.version >= 1 && self.client_transaction_version != 0 {
                tags.put(2, &self.client_transaction_version, form)?;
            }
            if form.version < 1 && self.client_transaction_version != 0 {
                return Err(SchemaError::NotInVersion {
                    field: "TransactionLogValue.client_transaction_version",
                    version: form.version,
                });
            }
            if form.version >= 1 && self.next_producer_epoch != -1 {
                tags.put(3, &self.next_producer_epoch, form)?;
            }
            if form.version < 1 && self.next_producer_epoch != -1 {
                return Err(SchemaError::NotInVersion {
                    field: "TransactionLogValue.next_producer_epoch",
                    version: form.version,
                });
            }
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            producer_id: Field::read(bytes, form)?,
            previous_producer_id: -1,
            next_producer_id: -1,
            producer_epoch: Field::read(bytes, form)?,
            next_producer_epoch: -1,
            transaction_timeout_ms: Field::read(bytes, form)?,
            transaction_status: Field::read(bytes, form)?,
            transaction_partitions: Field::read(bytes, form)?,
            transaction_last_update_timestamp_ms: Field::read(bytes, form)?,
            transaction_start_timestamp_ms: Field::read(bytes, form)?,
            client_transaction_version: 0,
        };
        if form.flexible {
            read_tags(bytes, |tag, field| {
                match tag {
                    0 if form.version >= 1 => value.previous_producer_id = Field::read(field, form)?,
                    1 if form.version >= 1 => value.next_producer_id = Field::read(field, form)?,
                    3 if form.version >= 1 => value.next_producer_epoch = Field::read(field, form)?,
                    2 if form.version >= 1 => value.client_transaction_version = Field::read(field, form)?,
                    _ => return Ok(false),
                };
                Ok(true)
            })?;
        }
        Ok(value)
    }
}

/// A part of `TransactionLogValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionsSchema {
    /// `Topic`, versions 0–1.
    pub topic: StrBytes,
    /// `PartitionIds`, versions 0–1.
    pub partition_ids: Vec<i32>,
}

impl Field for PartitionsSchema {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic.write(out, form)?;
        self.partition_ids.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { topic: Field::read(bytes, form)?, partition_ids: Field::read(bytes, form)? };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

impl Schema for TransactionLogValue {
    const NAME: &'static str = "TransactionLogValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=1;
    const FIRST_FLEXIBLE: i16 = 1;
}
