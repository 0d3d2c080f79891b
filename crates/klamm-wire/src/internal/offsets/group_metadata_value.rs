//! `GroupMetadataValue`, versions 0–4.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `GroupMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMetadataValue {
    /// `protocolType`, versions 0–4.
    pub protocol_type: StrBytes,
    /// `generation`, versions 0–4.
    pub generation: i32,
    /// `protocol`, versions 0–4.
    pub protocol: Option<StrBytes>,
    /// `leader`, versions 0–4.
    pub leader: Option<StrBytes>,
    /// `currentStateTimestamp`, versions 2–4; by default `-1`.
    pub current_state_timestamp: i64,
    /// `members`, versions 0–4.
    pub members: Vec<MemberMetadata>,
}

impl Default for GroupMetadataValue {
    fn default() -> Self {
        Self {
            protocol_type: StrBytes::default(),
            generation: 0,
            protocol: None,
            leader: None,
            current_state_timestamp: -1,
            members: Vec::new(),
        }
    }
}

impl Field for GroupMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.protocol_type.write(out, form)?;
        self.generation.write(out, form)?;
        self.protocol.write(out, form)?;
        self.leader.write(out, form)?;
        if form.version >= 2 {
            self.current_state_timestamp.write(out, form)?;
        }
        self.members.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            protocol_type: Field::read(bytes, form)?,
            generation: Field::read(bytes, form)?,
            protocol: Field::read(bytes, form)?,
            leader: Field::read(bytes, form)?,
            current_state_timestamp: if form.version >= 2 { Field::read(bytes, form)? } else { -1 },
            members: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `GroupMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberMetadata {
    /// `memberId`, versions 0–4.
    pub member_id: StrBytes,
    /// `groupInstanceId`, versions 3–4; by default `null`.
    pub group_instance_id: Option<StrBytes>,
    /// `clientId`, versions 0–4.
    pub client_id: StrBytes,
    /// `clientHost`, versions 0–4.
    pub client_host: StrBytes,
    /// `rebalanceTimeout`, versions 1–4; by default `-1`.
    pub rebalance_timeout: i32,
    /// `sessionTimeout`, versions 0–4.
    pub session_timeout: i32,
    /// `subscription`, versions 0–4.
    pub subscription: Bytes,
    /// `assignment`, versions 0–4.
    pub assignment: Bytes,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            member_id: StrBytes::default(),
            group_instance_id: None,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            rebalance_timeout: -1,
            session_timeout: 0,
            subscription: Bytes::new(),
            assignment: Bytes::new(),
        }
    }
}

impl Field for MemberMetadata {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.member_id.write(out, form)?;
        if form.version >= 3 {
            self.group_instance_id.write(out, form)?;
        }
        self.client_id.write(out, form)?;
        self.client_host.write(out, form)?;
        if form.version >= 1 {
            self.rebalance_timeout.write(out, form)?;
        }
        self.session_timeout.write(out, form)?;
        self.subscription.write(out, form)?;
        self.assignment.write(out, form)?;
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            member_id: Field::read(bytes, form)?,
            group_instance_id: if form.version >= 3 { Field::read(bytes, form)? } else { None },
            client_id: Field::read(bytes, form)?,
            client_host: Field::read(bytes, form)?,
            rebalance_timeout: if form.version >= 1 { Field::read(bytes, form)? } else { -1 },
            session_timeout: Field::read(bytes, form)?,
            subscription: Field::read(bytes, form)?,
            assignment: Field::read(bytes, form)?,
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

impl Schema for GroupMetadataValue {
    const NAME: &'static str = "GroupMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;
    const FIRST_FLEXIBLE: i16 = 4;
}
