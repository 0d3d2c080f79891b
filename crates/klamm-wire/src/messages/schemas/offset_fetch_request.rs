//! `OffsetFetchRequest`, versions 1–10.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use kafka_protocol::messages::{GroupId, TopicName};
use uuid::Uuid;

use crate::StrBytes;
use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags, request};

/// `OffsetFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchRequest {
    /// `GroupId`, versions 0–7.
    pub group_id: GroupId,
    /// `Topics`, versions 0–7.
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// `Groups`, versions 8–10.
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// `RequireStable`, versions 7–10; by default `false`.
    pub require_stable: bool,
}

impl Default for OffsetFetchRequest {
    fn default() -> Self {
        Self {
            group_id: GroupId::default(),
            topics: Some(Vec::new()),
            groups: Vec::new(),
            require_stable: false,
        }
    }
}

impl OffsetFetchRequest {
    /// Sets `group_id`.
    #[must_use]
    pub fn with_group_id(mut self, value: GroupId) -> Self {
        self.group_id = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Option<Vec<OffsetFetchRequestTopic>>) -> Self {
        self.topics = value;
        self
    }

    /// Sets `groups`.
    #[must_use]
    pub fn with_groups(mut self, value: Vec<OffsetFetchRequestGroup>) -> Self {
        self.groups = value;
        self
    }

    /// Sets `require_stable`.
    #[must_use]
    pub fn with_require_stable(mut self, value: bool) -> Self {
        self.require_stable = value;
        self
    }
}

impl Field for OffsetFetchRequest {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version <= 7 {
            self.group_id.write(out, form)?;
        }
        if form.version > 7 && self.group_id != GroupId::default() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequest.group_id",
                version: form.version,
            });
        }
        if form.version <= 7 {
            self.topics.write(out, form)?;
        }
        if form.version > 7 && self.topics != Some(Vec::new()) {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequest.topics",
                version: form.version,
            });
        }
        if form.version >= 8 {
            self.groups.write(out, form)?;
        }
        if form.version < 8 && !self.groups.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequest.groups",
                version: form.version,
            });
        }
        if form.version >= 7 {
            self.require_stable.write(out, form)?;
        }
        if form.version < 7 && self.require_stable {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequest.require_stable",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group_id: if form.version <= 7 { Field::read(bytes, form)? } else { GroupId::default() },
            topics: if form.version <= 7 { Field::read(bytes, form)? } else { Some(Vec::new()) },
            groups: if form.version >= 8 { Field::read(bytes, form)? } else { Vec::new() },
            require_stable: if form.version >= 7 { Field::read(bytes, form)? } else { false },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchRequestGroup {
    /// `GroupId`, versions 8–10.
    pub group_id: GroupId,
    /// `MemberId`, versions 9–10; by default `null`.
    pub member_id: Option<StrBytes>,
    /// `MemberEpoch`, versions 9–10; by default `-1`.
    pub member_epoch: i32,
    /// `Topics`, versions 8–10.
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

impl Default for OffsetFetchRequestGroup {
    fn default() -> Self {
        Self { group_id: GroupId::default(), member_id: None, member_epoch: -1, topics: Some(Vec::new()) }
    }
}

impl OffsetFetchRequestGroup {
    /// Sets `group_id`.
    #[must_use]
    pub fn with_group_id(mut self, value: GroupId) -> Self {
        self.group_id = value;
        self
    }

    /// Sets `member_id`.
    #[must_use]
    pub fn with_member_id(mut self, value: Option<StrBytes>) -> Self {
        self.member_id = value;
        self
    }

    /// Sets `member_epoch`.
    #[must_use]
    pub fn with_member_epoch(mut self, value: i32) -> Self {
        self.member_epoch = value;
        self
    }

    /// Sets `topics`.
    #[must_use]
    pub fn with_topics(mut self, value: Option<Vec<OffsetFetchRequestTopics>>) -> Self {
        self.topics = value;
        self
    }
}

impl Field for OffsetFetchRequestGroup {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version >= 8 {
            self.group_id.write(out, form)?;
        }
        if form.version < 8 && self.group_id != GroupId::default() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequestGroup.group_id",
                version: form.version,
            });
        }
        if form.version >= 9 {
            self.member_id.write(out, form)?;
        }
        if form.version >= 9 {
            self.member_epoch.write(out, form)?;
        }
        if form.version >= 8 {
            self.topics.write(out, form)?;
        }
        if form.version < 8 && self.topics != Some(Vec::new()) {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequestGroup.topics",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            group_id: if form.version >= 8 { Field::read(bytes, form)? } else { GroupId::default() },
            member_id: if form.version >= 9 { Field::read(bytes, form)? } else { None },
            member_epoch: if form.version >= 9 { Field::read(bytes, form)? } else { -1 },
            topics: if form.version >= 8 { Field::read(bytes, form)? } else { Some(Vec::new()) },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetchRequestTopic {
    /// `Name`, versions 0–7.
    pub name: TopicName,
    /// `PartitionIndexes`, versions 0–7.
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopic {
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

impl Field for OffsetFetchRequestTopic {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if form.version <= 7 {
            self.name.write(out, form)?;
        }
        if form.version > 7 && self.name != TopicName::default() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequestTopic.name",
                version: form.version,
            });
        }
        if form.version <= 7 {
            self.partition_indexes.write(out, form)?;
        }
        if form.version > 7 && !self.partition_indexes.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequestTopic.partition_indexes",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: if form.version <= 7 { Field::read(bytes, form)? } else { TopicName::default() },
            partition_indexes: if form.version <= 7 { Field::read(bytes, form)? } else { Vec::new() },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

/// A part of `OffsetFetchRequest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetFetchRequestTopics {
    /// `Name`, versions 8–9.
    pub name: TopicName,
    /// `TopicId`, versions 10.
    pub topic_id: Uuid,
    /// `PartitionIndexes`, versions 8–10.
    pub partition_indexes: Vec<i32>,
}

impl OffsetFetchRequestTopics {
    /// Sets `name`.
    #[must_use]
    pub fn with_name(mut self, value: TopicName) -> Self {
        self.name = value;
        self
    }

    /// Sets `topic_id`.
    #[must_use]
    pub fn with_topic_id(mut self, value: Uuid) -> Self {
        self.topic_id = value;
        self
    }

    /// Sets `partition_indexes`.
    #[must_use]
    pub fn with_partition_indexes(mut self, value: Vec<i32>) -> Self {
        self.partition_indexes = value;
        self
    }
}

impl Field for OffsetFetchRequestTopics {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        if (8..=9).contains(&form.version) {
            self.name.write(out, form)?;
        }
        if form.version >= 10 {
            self.topic_id.write(out, form)?;
        }
        if form.version >= 8 {
            self.partition_indexes.write(out, form)?;
        }
        if form.version < 8 && !self.partition_indexes.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "OffsetFetchRequestTopics.partition_indexes",
                version: form.version,
            });
        }
        if form.flexible {
            let tags = TagWriter::default();
            tags.finish(out);
        }
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let value = Self {
            name: if (8..=9).contains(&form.version) {
                Field::read(bytes, form)?
            } else {
                TopicName::default()
            },
            topic_id: if form.version >= 10 { Field::read(bytes, form)? } else { Uuid::nil() },
            partition_indexes: if form.version >= 8 { Field::read(bytes, form)? } else { Vec::new() },
        };
        if form.flexible {
            read_tags(bytes, |_, _| Ok(false))?;
        }
        Ok(value)
    }
}

impl Schema for OffsetFetchRequest {
    const NAME: &'static str = "OffsetFetchRequest";
    const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;
    const FIRST_FLEXIBLE: i16 = 6;
}

request!(OffsetFetchRequest = 9 => super::OffsetFetchResponse);
