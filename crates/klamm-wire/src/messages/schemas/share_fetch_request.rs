//! `ShareFetchRequest`, versions 1–2.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::GroupId;
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, request};

/// `ShareFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareFetchRequest {
    /// `GroupId`, versions 0–2; by default `null`.
    pub group_id: Option<GroupId>,
    /// `MemberId`, versions 0–2.
    pub member_id: Option<StrBytes>,
    /// `ShareSessionEpoch`, versions 0–2.
    pub share_session_epoch: i32,
    /// `MaxWaitMs`, versions 0–2.
    pub max_wait_ms: i32,
    /// `MinBytes`, versions 0–2.
    pub min_bytes: i32,
    /// `MaxBytes`, versions 0–2; by default `0x7fffffff`.
    pub max_bytes: i32,
    /// `MaxRecords`, versions 1–2.
    pub max_records: i32,
    /// `BatchSize`, versions 1–2.
    pub batch_size: i32,
    /// `ShareAcquireMode`, versions 2; by default `0`.
    pub share_acquire_mode: i8,
    /// `IsRenewAck`, versions 2; by default `false`.
    pub is_renew_ack: bool,
    /// `Topics`, versions 0–2.
    pub topics: Vec<FetchTopic>,
    /// `ForgottenTopicsData`, versions 0–2.
    pub forgotten_topics_data: Vec<ForgottenTopic>,
}

impl Default for ShareFetchRequest {
    fn default() -> Self {
        Self {
            group_id: None,
            member_id: Some(StrBytes::default()),
            share_session_epoch: 0,
            max_wait_ms: 0,
            min_bytes: 0,
            max_bytes: 2147483647,
            max_records: 0,
            batch_size: 0,
            share_acquire_mode: 0,
            is_renew_ack: false,
            topics: Vec::new(),
            forgotten_topics_data: Vec::new(),
        }
    }
}

impl ShareFetchRequest {
    /// Sets `group_id`.
    #[must_use]
    pub fn with_group_id(mut self, value: Option<GroupId>) -> Self {
        self.group_id = value;
        self
    }

    /// Sets `member_id`.
    #[must_use]
    pub fn with_member_id(mut self, value: Option<StrBytes>) -> Self {
        self.member_id = value;
        self
    }

    /// Sets `share_session_epoch`.
    #[must_use]
    pub fn with_share_session_epoch(mut self, value: i32) -> Self {
        self.share_session_epoch = value;
        self
    }

    /// Sets `max_wait_ms`.
    #[must_use]
    pub fn with_max_wait_ms(mut self, value: i32) -> Self {
        self.max_wait_ms = value;
        self
    }

    /// Sets `min_bytes`.
    #[must_use]
    pub fn with_min_bytes(mut self, value: i32) -> Self {
        self.min_bytes = value;
        self
    }

    /// Sets `max_bytes`.
    #[must_use]
    pub fn with_max_bytes(mut self, value: i32) -> Self {
        self.max_bytes = value;
        self
    }

    /// Sets `max_records`.
    #[must_use]
    pub fn with_max_records(mut self, value: i32) -> Self {
        self.max_records = value;
        self
    }

    /// Sets `batch_size`.
    #[must_use]
    pub fn with_batch_size(mut self, value: i32) -> Self {
        self.batch_size = value;
        self
    }

    /// Sets `share_acquire_mode`.
    #[must_use]
    pub fn with_share_acquire_mode(mut self, value: i8) -> Self {
        self.share_acquire_mode = value;
        self
    }

    /// Sets `is_renew_ack`.
    #[must_use]
    pub fn with_is_renew_ack(mut self, value: bool) -> Self {
        self.is_renew_ack = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<FetchTopic>) -> Self {
        self.topics = value;
        self
    }

    /// Sets `forgotten_topics_data`.
    #[must_use]
    pub fn with_forgotten_topics_data(mut self, value: Vec<ForgottenTopic>) -> Self {
        self.forgotten_topics_data = value;
        self
    }
}

impl Field for ShareFetchRequest {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group_id.write(out, form)?;
        self.member_id.write(out, form)?;
        self.share_session_epoch.write(out, form)?;
        self.max_wait_ms.write(out, form)?;
        self.min_bytes.write(out, form)?;
        self.max_bytes.write(out, form)?;
        self.max_records.write(out, form)?;
        self.batch_size.write(out, form)?;
        if form.version >= 2 {
            self.share_acquire_mode.write(out, form)?;
        }
        if form.version >= 2 {
            self.is_renew_ack.write(out, form)?;
        }
        if form.version < 2 && self.is_renew_ack {
            return Err(SchemaError::NotInVersion {
                field: "ShareFetchRequest.is_renew_ack",
                version: form.version,
            });
        }
        self.topics.write(out, form)?;
        self.forgotten_topics_data.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group_id: Field::read(bytes, form)?,
            member_id: Field::read(bytes, form)?,
            share_session_epoch: Field::read(bytes, form)?,
            max_wait_ms: Field::read(bytes, form)?,
            min_bytes: Field::read(bytes, form)?,
            max_bytes: Field::read(bytes, form)?,
            max_records: Field::read(bytes, form)?,
            batch_size: Field::read(bytes, form)?,
            share_acquire_mode: if form.version >= 2 { Field::read(bytes, form)? } else { 0 },
            is_renew_ack: if form.version >= 2 { Field::read(bytes, form)? } else { false },
            topics: Field::read(bytes, form)?,
            forgotten_topics_data: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcknowledgementBatch {
    /// `FirstOffset`, versions 0–2.
    pub first_offset: i64,
    /// `LastOffset`, versions 0–2.
    pub last_offset: i64,
    /// `AcknowledgeTypes`, versions 0–2.
    pub acknowledge_types: Vec<i8>,
}

impl AcknowledgementBatch {
    /// Sets `first_offset`.
    #[must_use]
    pub fn with_first_offset(mut self, value: i64) -> Self {
        self.first_offset = value;
        self
    }

    /// Sets `last_offset`.
    #[must_use]
    pub fn with_last_offset(mut self, value: i64) -> Self {
        self.last_offset = value;
        self
    }

    /// Sets `acknowledge_types`.
    #[must_use]
    pub fn with_acknowledge_types(mut self, value: Vec<i8>) -> Self {
        self.acknowledge_types = value;
        self
    }
}

impl Field for AcknowledgementBatch {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.first_offset.write(out, form)?;
        self.last_offset.write(out, form)?;
        self.acknowledge_types.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            first_offset: Field::read(bytes, form)?,
            last_offset: Field::read(bytes, form)?,
            acknowledge_types: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchPartition {
    /// `PartitionIndex`, versions 0–2.
    pub partition_index: i32,
    /// `PartitionMaxBytes`, versions 0.
    pub partition_max_bytes: i32,
    /// `AcknowledgementBatches`, versions 0–2.
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

impl FetchPartition {
    /// Sets `partition_index`.
    #[must_use]
    pub fn with_partition_index(mut self, value: i32) -> Self {
        self.partition_index = value;
        self
    }

    /// Sets `partition_max_bytes`.
    #[must_use]
    pub fn with_partition_max_bytes(mut self, value: i32) -> Self {
        self.partition_max_bytes = value;
        self
    }

    /// Sets `acknowledgement_batches`.
    #[must_use]
    pub fn with_acknowledgement_batches(mut self, value: Vec<AcknowledgementBatch>) -> Self {
        self.acknowledgement_batches = value;
        self
    }
}

impl Field for FetchPartition {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_index.write(out, form)?;
        if form.version <= 0 {
            self.partition_max_bytes.write(out, form)?;
        }
        if form.version > 0 && self.partition_max_bytes != 0 {
            return Err(SchemaError::NotInVersion {
                field: "FetchPartition.partition_max_bytes",
                version: form.version,
            });
        }
        self.acknowledgement_batches.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            partition_index: Field::read(bytes, form)?,
            partition_max_bytes: if form.version <= 0 { Field::read(bytes, form)? } else { 0 },
            acknowledgement_batches: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchTopic {
    /// `TopicId`, versions 0–2.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–2.
    pub partitions: Vec<FetchPartition>,
}

impl FetchTopic {
    /// Sets `topic_id`.
    #[must_use]
    pub fn with_topic_id(mut self, value: Uuid) -> Self {
        self.topic_id = value;
        self
    }

    /// Sets `partitions`.
    #[must_use]
    pub fn with_partitions(mut self, value: Vec<FetchPartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for FetchTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.partitions.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { topic_id: Field::read(bytes, form)?, partitions: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForgottenTopic {
    /// `TopicId`, versions 0–2.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–2.
    pub partitions: Vec<i32>,
}

impl ForgottenTopic {
    /// Sets `topic_id`.
    #[must_use]
    pub fn with_topic_id(mut self, value: Uuid) -> Self {
        self.topic_id = value;
        self
    }

    /// Sets `partitions`.
    #[must_use]
    pub fn with_partitions(mut self, value: Vec<i32>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for ForgottenTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.topic_id.write(out, form)?;
        self.partitions.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { topic_id: Field::read(bytes, form)?, partitions: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ShareFetchRequest {
    const NAME: &'static str = "ShareFetchRequest";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;
    const FIRST_FLEXIBLE: i16 = 0;
}

request!(ShareFetchRequest = 78 => super::ShareFetchResponse);
