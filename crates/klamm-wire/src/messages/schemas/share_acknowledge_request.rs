//! `ShareAcknowledgeRequest`, versions 1–2.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::GroupId;
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, request};

/// `ShareAcknowledgeRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareAcknowledgeRequest {
    /// `GroupId`, versions 0–2; by default `null`.
    pub group_id: Option<GroupId>,
    /// `MemberId`, versions 0–2.
    pub member_id: Option<StrBytes>,
    /// `ShareSessionEpoch`, versions 0–2.
    pub share_session_epoch: i32,
    /// `IsRenewAck`, versions 2; by default `false`.
    pub is_renew_ack: bool,
    /// `Topics`, versions 0–2.
    pub topics: Vec<AcknowledgeTopic>,
}

impl Default for ShareAcknowledgeRequest {
    fn default() -> Self {
        Self {
            group_id: None,
            member_id: Some(StrBytes::default()),
            share_session_epoch: 0,
            is_renew_ack: false,
            topics: Vec::new(),
        }
    }
}

impl ShareAcknowledgeRequest {
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

    /// Sets `is_renew_ack`.
    #[must_use]
    pub fn with_is_renew_ack(mut self, value: bool) -> Self {
        self.is_renew_ack = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Vec<AcknowledgeTopic>) -> Self {
        self.topics = value;
        self
    }
}

impl Field for ShareAcknowledgeRequest {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.group_id.write(out, form)?;
        self.member_id.write(out, form)?;
        self.share_session_epoch.write(out, form)?;
        if form.version >= 2 {
            self.is_renew_ack.write(out, form)?;
        }
        if form.version < 2 && self.is_renew_ack {
            return Err(SchemaError::NotInVersion {
                field: "ShareAcknowledgeRequest.is_renew_ack",
                version: form.version,
            });
        }
        self.topics.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group_id: Field::read(bytes, form)?,
            member_id: Field::read(bytes, form)?,
            share_session_epoch: Field::read(bytes, form)?,
            is_renew_ack: if form.version >= 2 { Field::read(bytes, form)? } else { false },
            topics: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareAcknowledgeRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcknowledgePartition {
    /// `PartitionIndex`, versions 0–2.
    pub partition_index: i32,
    /// `AcknowledgementBatches`, versions 0–2.
    pub acknowledgement_batches: Vec<AcknowledgementBatch>,
}

impl AcknowledgePartition {
    /// Sets `partition_index`.
    #[must_use]
    pub fn with_partition_index(mut self, value: i32) -> Self {
        self.partition_index = value;
        self
    }

    /// Sets `acknowledgement_batches`.
    #[must_use]
    pub fn with_acknowledgement_batches(mut self, value: Vec<AcknowledgementBatch>) -> Self {
        self.acknowledgement_batches = value;
        self
    }
}

impl Field for AcknowledgePartition {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_index.write(out, form)?;
        self.acknowledgement_batches.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            partition_index: Field::read(bytes, form)?,
            acknowledgement_batches: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareAcknowledgeRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AcknowledgeTopic {
    /// `TopicId`, versions 0–2.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–2.
    pub partitions: Vec<AcknowledgePartition>,
}

impl AcknowledgeTopic {
    /// Sets `topic_id`.
    #[must_use]
    pub fn with_topic_id(mut self, value: Uuid) -> Self {
        self.topic_id = value;
        self
    }

    /// Sets `partitions`.
    #[must_use]
    pub fn with_partitions(mut self, value: Vec<AcknowledgePartition>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for AcknowledgeTopic {
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

/// A part of `ShareAcknowledgeRequest`.
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

impl Schema for ShareAcknowledgeRequest {
    const NAME: &'static str = "ShareAcknowledgeRequest";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;
    const FIRST_FLEXIBLE: i16 = 0;
}

request!(ShareAcknowledgeRequest = 79 => super::ShareAcknowledgeResponse);
