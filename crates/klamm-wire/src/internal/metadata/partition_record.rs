//! `PartitionRecord`, versions 0–2.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `PartitionRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRecord {
    /// `PartitionId`, versions 0–2; by default `-1`.
    pub partition_id: i32,
    /// `TopicId`, versions 0–2.
    pub topic_id: Uuid,
    /// `Replicas`, versions 0–2.
    pub replicas: Vec<i32>,
    /// `Isr`, versions 0–2.
    pub isr: Vec<i32>,
    /// `RemovingReplicas`, versions 0–2.
    pub removing_replicas: Vec<i32>,
    /// `AddingReplicas`, versions 0–2.
    pub adding_replicas: Vec<i32>,
    /// `Leader`, versions 0–2; by default `-1`.
    pub leader: i32,
    /// `LeaderRecoveryState`, versions 0–2; tag 0; by default `0`.
    pub leader_recovery_state: i8,
    /// `LeaderEpoch`, versions 0–2; by default `-1`.
    pub leader_epoch: i32,
    /// `PartitionEpoch`, versions 0–2; by default `-1`.
    pub partition_epoch: i32,
    /// `Directories`, versions 1–2.
    pub directories: Vec<Uuid>,
    /// `EligibleLeaderReplicas`, versions 2; tag 1; by default `null`.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// `LastKnownElr`, versions 2; tag 2; by default `null`.
    pub last_known_elr: Option<Vec<i32>>,
}

impl Default for PartitionRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: Uuid::nil(),
            replicas: Vec::new(),
            isr: Vec::new(),
            removing_replicas: Vec::new(),
            adding_replicas: Vec::new(),
            leader: -1,
            leader_recovery_state: 0,
            leader_epoch: -1,
            partition_epoch: -1,
            directories: Vec::new(),
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}

impl Field for PartitionRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_id.write(out, form)?;
        self.topic_id.write(out, form)?;
        self.replicas.write(out, form)?;
        self.isr.write(out, form)?;
        self.removing_replicas.write(out, form)?;
        self.adding_replicas.write(out, form)?;
        self.leader.write(out, form)?;
        self.leader_epoch.write(out, form)?;
        self.partition_epoch.write(out, form)?;
        if form.version >= 1 {
            self.directories.write(out, form)?;
        }
        if form.version < 1 && !self.directories.is_empty() {
            return Err(SchemaError::NotInVersion {
                field: "PartitionRecord.directories",
                version: form.version,
            });
        }
        let mut tags = TagWriter::default();
        if self.leader_recovery_state != 0 {
            tags.put(0, &self.leader_recovery_state, form)?;
        }
        if form.version >= 2 && self.eligible_leader_replicas.is_some() {
            tags.put(1, &self.eligible_leader_replicas, form)?;
        }
        if form.version < 2 && self.eligible_leader_replicas.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "PartitionRecord.eligible_leader_replicas",
                version: form.version,
            });
        }
        if form.version >= 2 && self.last_known_elr.is_some() {
            tags.put(2, &self.last_known_elr, form)?;
        }
        if form.version < 2 && self.last_known_elr.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "PartitionRecord.last_known_elr",
                version: form.version,
            });
        }
        tags.finish(out);
        Ok(())
    }

    fn read(bytes: &mut Bytes, form: Form) -> Result<Self, SchemaError> {
        let mut value = Self {
            partition_id: Field::read(bytes, form)?,
            topic_id: Field::read(bytes, form)?,
            replicas: Field::read(bytes, form)?,
            isr: Field::read(bytes, form)?,
            removing_replicas: Field::read(bytes, form)?,
            adding_replicas: Field::read(bytes, form)?,
            leader: Field::read(bytes, form)?,
            leader_recovery_state: 0,
            leader_epoch: Field::read(bytes, form)?,
            partition_epoch: Field::read(bytes, form)?,
            directories: if form.version >= 1 { Field::read(bytes, form)? } else { Vec::new() },
            eligible_leader_replicas: None,
            last_known_elr: None,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.leader_recovery_state = Field::read(field, form)?,
                1 if form.version >= 2 => value.eligible_leader_replicas = Field::read(field, form)?,
                2 if form.version >= 2 => value.last_known_elr = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for PartitionRecord {
    const NAME: &'static str = "PartitionRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;
    const FIRST_FLEXIBLE: i16 = 0;
}
