//! `ShareAcknowledgeResponse`, versions 1–2.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::BrokerId;
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, response};

/// `ShareAcknowledgeResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareAcknowledgeResponse {
    /// `ThrottleTimeMs`, versions 0–2.
    pub throttle_time_ms: i32,
    /// `ErrorCode`, versions 0–2.
    pub error_code: i16,
    /// `ErrorMessage`, versions 0–2; by default `null`.
    pub error_message: Option<StrBytes>,
    /// `AcquisitionLockTimeoutMs`, versions 2.
    pub acquisition_lock_timeout_ms: i32,
    /// `Responses`, versions 0–2.
    pub responses: Vec<ShareAcknowledgeTopicResponse>,
    /// `NodeEndpoints`, versions 0–2.
    pub node_endpoints: Vec<NodeEndpoint>,
}

impl ShareAcknowledgeResponse {
    /// Sets `throttle_time_ms`.
    #[must_use]
    pub fn with_throttle_time_ms(mut self, value: i32) -> Self {
        self.throttle_time_ms = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }

    /// Sets `error_message`.
    #[must_use]
    pub fn with_error_message(mut self, value: Option<StrBytes>) -> Self {
        self.error_message = value;
        self
    }

    /// Sets `acquisition_lock_timeout_ms`.
    #[must_use]
    pub fn with_acquisition_lock_timeout_ms(mut self, value: i32) -> Self {
        self.acquisition_lock_timeout_ms = value;
        self
    }

    /// Sets `responses`.
    #[must_use]
    pub fn with_responses(mut self, value: Vec<ShareAcknowledgeTopicResponse>) -> Self {
        self.responses = value;
        self
    }

    /// Sets `node_endpoints`.
    #[must_use]
    pub fn with_node_endpoints(mut self, value: Vec<NodeEndpoint>) -> Self {
        self.node_endpoints = value;
        self
    }
}

impl Field for ShareAcknowledgeResponse {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.throttle_time_ms.write(out, form)?;
        self.error_code.write(out, form)?;
        self.error_message.write(out, form)?;
        if form.version >= 2 {
            self.acquisition_lock_timeout_ms.write(out, form)?;
        }
        self.responses.write(out, form)?;
        self.node_endpoints.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            throttle_time_ms: Field::read(bytes, form)?,
            error_code: Field::read(bytes, form)?,
            error_message: Field::read(bytes, form)?,
            acquisition_lock_timeout_ms: if form.version >= 2 { Field::read(bytes, form)? } else { 0 },
            responses: Field::read(bytes, form)?,
            node_endpoints: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareAcknowledgeResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderIdAndEpoch {
    /// `LeaderId`, versions 0–2.
    pub leader_id: i32,
    /// `LeaderEpoch`, versions 0–2.
    pub leader_epoch: i32,
}

impl LeaderIdAndEpoch {
    /// Sets `leader_id`.
    #[must_use]
    pub fn with_leader_id(mut self, value: i32) -> Self {
        self.leader_id = value;
        self
    }

    /// Sets `leader_epoch`.
    #[must_use]
    pub fn with_leader_epoch(mut self, value: i32) -> Self {
        self.leader_epoch = value;
        self
    }
}

impl Field for LeaderIdAndEpoch {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.leader_id.write(out, form)?;
        self.leader_epoch.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { leader_id: Field::read(bytes, form)?, leader_epoch: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareAcknowledgeResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodeEndpoint {
    /// `NodeId`, versions 0–2.
    pub node_id: BrokerId,
    /// `Host`, versions 0–2.
    pub host: StrBytes,
    /// `Port`, versions 0–2.
    pub port: i32,
    /// `Rack`, versions 0–2; by default `null`.
    pub rack: Option<StrBytes>,
}

impl NodeEndpoint {
    /// Sets `node_id`.
    #[must_use]
    pub fn with_node_id(mut self, value: BrokerId) -> Self {
        self.node_id = value;
        self
    }

    /// Sets `host`.
    #[must_use]
    pub fn with_host(mut self, value: StrBytes) -> Self {
        self.host = value;
        self
    }

    /// Sets `port`.
    #[must_use]
    pub fn with_port(mut self, value: i32) -> Self {
        self.port = value;
        self
    }

    /// Sets `rack`.
    #[must_use]
    pub fn with_rack(mut self, value: Option<StrBytes>) -> Self {
        self.rack = value;
        self
    }
}

impl Field for NodeEndpoint {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.node_id.write(out, form)?;
        self.host.write(out, form)?;
        self.port.write(out, form)?;
        self.rack.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            node_id: Field::read(bytes, form)?,
            host: Field::read(bytes, form)?,
            port: Field::read(bytes, form)?,
            rack: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareAcknowledgeResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionData {
    /// `PartitionIndex`, versions 0–2.
    pub partition_index: i32,
    /// `ErrorCode`, versions 0–2.
    pub error_code: i16,
    /// `ErrorMessage`, versions 0–2; by default `null`.
    pub error_message: Option<StrBytes>,
    /// `CurrentLeader`, versions 0–2.
    pub current_leader: LeaderIdAndEpoch,
}

impl PartitionData {
    /// Sets `partition_index`.
    #[must_use]
    pub fn with_partition_index(mut self, value: i32) -> Self {
        self.partition_index = value;
        self
    }

    /// Sets `error_code`.
    #[must_use]
    pub fn with_error_code(mut self, value: i16) -> Self {
        self.error_code = value;
        self
    }

    /// Sets `error_message`.
    #[must_use]
    pub fn with_error_message(mut self, value: Option<StrBytes>) -> Self {
        self.error_message = value;
        self
    }

    /// Sets `current_leader`.
    #[must_use]
    pub fn with_current_leader(mut self, value: LeaderIdAndEpoch) -> Self {
        self.current_leader = value;
        self
    }
}

impl Field for PartitionData {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_index.write(out, form)?;
        self.error_code.write(out, form)?;
        self.error_message.write(out, form)?;
        self.current_leader.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            partition_index: Field::read(bytes, form)?,
            error_code: Field::read(bytes, form)?,
            error_message: Field::read(bytes, form)?,
            current_leader: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

/// A part of `ShareAcknowledgeResponse`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareAcknowledgeTopicResponse {
    /// `TopicId`, versions 0–2.
    pub topic_id: Uuid,
    /// `Partitions`, versions 0–2.
    pub partitions: Vec<PartitionData>,
}

impl ShareAcknowledgeTopicResponse {
    /// Sets `topic_id`.
    #[must_use]
    pub fn with_topic_id(mut self, value: Uuid) -> Self {
        self.topic_id = value;
        self
    }

    /// Sets `partitions`.
    #[must_use]
    pub fn with_partitions(mut self, value: Vec<PartitionData>) -> Self {
        self.partitions = value;
        self
    }
}

impl Field for ShareAcknowledgeTopicResponse {
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

impl Schema for ShareAcknowledgeResponse {
    const NAME: &'static str = "ShareAcknowledgeResponse";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=2;
    const FIRST_FLEXIBLE: i16 = 0;
}

response!(ShareAcknowledgeResponse);
