//! `ConsumerGroupMemberMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ConsumerGroupMemberMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupMemberMetadataValue {
    /// `InstanceId`, versions 0.
    pub instance_id: Option<StrBytes>,
    /// `RackId`, versions 0.
    pub rack_id: Option<StrBytes>,
    /// `ClientId`, versions 0.
    pub client_id: StrBytes,
    /// `ClientHost`, versions 0.
    pub client_host: StrBytes,
    /// `SubscribedTopicNames`, versions 0.
    pub subscribed_topic_names: Vec<StrBytes>,
    /// `SubscribedTopicRegex`, versions 0.
    pub subscribed_topic_regex: Option<StrBytes>,
    /// `RebalanceTimeoutMs`, versions 0; by default `-1`.
    pub rebalance_timeout_ms: i32,
    /// `ServerAssignor`, versions 0.
    pub server_assignor: Option<StrBytes>,
    /// `ClassicMemberMetadata`, versions 0; tag 0.
    pub classic_member_metadata: Option<ClassicMemberMetadata>,
}

impl Default for ConsumerGroupMemberMetadataValue {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            subscribed_topic_names: Vec::new(),
            subscribed_topic_regex: None,
            rebalance_timeout_ms: -1,
            server_assignor: None,
            classic_member_metadata: None,
        }
    }
}

impl Field for ConsumerGroupMemberMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.instance_id.write(out, form)?;
        self.rack_id.write(out, form)?;
        self.client_id.write(out, form)?;
        self.client_host.write(out, form)?;
        self.subscribed_topic_names.write(out, form)?;
        self.subscribed_topic_regex.write(out, form)?;
        self.rebalance_timeout_ms.write(out, form)?;
        self.server_assignor.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.classic_member_metadata.is_some() {
            tags.put(0, &self.classic_member_metadata, form)?;
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            instance_id: Field::read(bytes, form)?,
            rack_id: Field::read(bytes, form)?,
            client_id: Field::read(bytes, form)?,
            client_host: Field::read(bytes, form)?,
            subscribed_topic_names: Field::read(bytes, form)?,
            subscribed_topic_regex: Field::read(bytes, form)?,
            rebalance_timeout_ms: Field::read(bytes, form)?,
            server_assignor: Field::read(bytes, form)?,
            classic_member_metadata: None,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.classic_member_metadata = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

/// A part of `ConsumerGroupMemberMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicMemberMetadata {
    /// `SessionTimeoutMs`, versions 0.
    pub session_timeout_ms: i32,
    /// `SupportedProtocols`, versions 0.
    pub supported_protocols: Vec<ClassicProtocol>,
}

impl Field for ClassicMemberMetadata {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.session_timeout_ms.write(out, form)?;
        self.supported_protocols.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            session_timeout_ms: Field::read(bytes, form)?,
            supported_protocols: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Field for Option<ClassicMemberMetadata> {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        match self {
            None => (-1i8).write(out, form),
            Some(value) => {
                1i8.write(out, form)?;
                value.write(out, form)
            }
        }
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        Ok(if i8::read(bytes, form)? < 0 { None } else { Some(ClassicMemberMetadata::read(bytes, form)?) })
    }
}

/// A part of `ConsumerGroupMemberMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicProtocol {
    /// `Name`, versions 0.
    pub name: StrBytes,
    /// `Metadata`, versions 0.
    pub metadata: Bytes,
}

impl Field for ClassicProtocol {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.name.write(out, form)?;
        self.metadata.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self { name: Field::read(bytes, form)?, metadata: Field::read(bytes, form)? };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ConsumerGroupMemberMetadataValue {
    const NAME: &'static str = "ConsumerGroupMemberMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
