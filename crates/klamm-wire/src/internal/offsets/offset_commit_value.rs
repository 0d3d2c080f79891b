//! `OffsetCommitValue`, versions 0–4.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `OffsetCommitValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCommitValue {
    /// `offset`, versions 0–4.
    pub offset: i64,
    /// `leaderEpoch`, versions 3–4; by default `-1`.
    pub leader_epoch: i32,
    /// `metadata`, versions 0–4.
    pub metadata: StrBytes,
    /// `commitTimestamp`, versions 0–4.
    pub commit_timestamp: i64,
    /// `expireTimestamp`, versions 1; by default `-1`.
    pub expire_timestamp: i64,
    /// `topicId`, versions 4; tag 0.
    pub topic_id: Uuid,
}

impl Default for OffsetCommitValue {
    fn default() -> Self {
        Self {
            offset: 0,
            leader_epoch: -1,
            metadata: StrBytes::default(),
            commit_timestamp: 0,
            expire_timestamp: -1,
            topic_id: Uuid::nil(),
        }
    }
}

impl Field for OffsetCommitValue {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.offset.write(out, form)?;
        if form.version >= 3 {
            self.leader_epoch.write(out, form)?;
        }
        self.metadata.write(out, form)?;
        self.commit_timestamp.write(out, form)?;
        if (1..=1).contains(&form.version) {
            self.expire_timestamp.write(out, form)?;
        }
        if form.flexible {
            let mut tags = TagWriter::default();
            if form.version >= 4 && !self.topic_id.is_nil() {
                tags.put(0, &self.topic_id, form)?;
            }
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            offset: Field::read(bytes, form)?,
            leader_epoch: if form.version >= 3 { Field::read(bytes, form)? } else { -1 },
            metadata: Field::read(bytes, form)?,
            commit_timestamp: Field::read(bytes, form)?,
            expire_timestamp: if (1..=1).contains(&form.version) { Field::read(bytes, form)? } else { -1 },
            topic_id: Uuid::nil(),
        };
        if form.flexible {
            read_tags(bytes, |tag, field| {
                match tag {
                    0 if form.version >= 4 => value.topic_id = Field::read(field, form)?,
                    _ => return Ok(false),
                };
                Ok(true)
            })?;
        }
        Ok(value)
    }
}

impl Schema for OffsetCommitValue {
    const NAME: &'static str = "OffsetCommitValue";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=4;
    const FIRST_FLEXIBLE: i16 = 4;
}
