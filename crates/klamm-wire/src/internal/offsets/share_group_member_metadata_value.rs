//! `ShareGroupMemberMetadataValue`, versions 0.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `ShareGroupMemberMetadataValue`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShareGroupMemberMetadataValue {
    /// `RackId`, versions 0.
    pub rack_id: Option<StrBytes>,
    /// `ClientId`, versions 0.
    pub client_id: StrBytes,
    /// `ClientHost`, versions 0.
    pub client_host: StrBytes,
    /// `SubscribedTopicNames`, versions 0.
    pub subscribed_topic_names: Vec<StrBytes>,
}

impl Field for ShareGroupMemberMetadataValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.rack_id.write(out, form)?;
        self.client_id.write(out, form)?;
        self.client_host.write(out, form)?;
        self.subscribed_topic_names.write(out, form)?;
        let tags = TagWriter::default();
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            rack_id: Field::read(bytes, form)?,
            client_id: Field::read(bytes, form)?,
            client_host: Field::read(bytes, form)?,
            subscribed_topic_names: Field::read(bytes, form)?,
        };
        read_tags(bytes, |_, _| Ok(false))?;
        Ok(value)
    }
}

impl Schema for ShareGroupMemberMetadataValue {
    const NAME: &'static str = "ShareGroupMemberMetadataValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=0;
    const FIRST_FLEXIBLE: i16 = 0;
}
