//! `PartitionChangeRecord`, versions 0–2.

// Written by `cargo xtask codegen`; changes belong there.

use bytes::{BufMut, Bytes};
use uuid::Uuid;

use crate::internal::codec::{Field, Form, Schema, SchemaError, TagWriter, read_tags};

/// `PartitionChangeRecord`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionChangeRecord {
    /// `PartitionId`, versions 0–2; by default `-1`.
    pub partition_id: i32,
    /// `TopicId`, versions 0–2.
    pub topic_id: Uuid,
    /// `Isr`, versions 0–2; tag 0; by default `null`.
    pub isr: Option<Vec<i32>>,
    /// `Leader`, versions 0–2; tag 1; by default `-2`.
    pub leader: i32,
    /// `Replicas`, versions 0–2; tag 2; by default `null`.
    pub replicas: Option<Vec<i32>>,
    /// `RemovingReplicas`, versions 0–2; tag 3; by default `null`.
    pub removing_replicas: Option<Vec<i32>>,
    /// `AddingReplicas`, versions 0–2; tag 4; by default `null`.
    pub adding_replicas: Option<Vec<i32>>,
    /// `LeaderRecoveryState`, versions 0–2; tag 5; by default `-1`.
    pub leader_recovery_state: i8,
    /// `Directories`, versions 1–2; tag 8; by default `null`.
    pub directories: Option<Vec<Uuid>>,
    /// `EligibleLeaderReplicas`, versions 2; tag 6; by default `null`.
    pub eligible_leader_replicas: Option<Vec<i32>>,
    /// `LastKnownElr`, versions 2; tag 7; by default `null`.
    pub last_known_elr: Option<Vec<i32>>,
}

impl Default for PartitionChangeRecord {
    fn default() -> Self {
        Self {
            partition_id: -1,
            topic_id: Uuid::nil(),
            isr: None,
            leader: -2,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
        }
    }
}

impl Field for PartitionChangeRecord {
    fn write<B: BufMut>(&self, out: &mut B, form: Form) -> Result<(), SchemaError> {
        self.partition_id.write(out, form)?;
        self.topic_id.write(out, form)?;
        let mut tags = TagWriter::default();
        if self.isr.is_some() {
            tags.put(0, &self.isr, form)?;
        }
        if self.leader != -2 {
            tags.put(1, &self.leader, form)?;
        }
        if self.replicas.is_some() {
            tags.put(2, &self.replicas, form)?;
        }
        if self.removing_replicas.is_some() {
            tags.put(3, &self.removing_replicas, form)?;
        }
        if self.adding_replicas.is_some() {
            tags.put(4, &self.adding_replicas, form)?;
        }
        if self.leader_recovery_state != -1 {
            tags.put(5, &self.leader_recovery_state, form)?;
        }
        if form.version >= 2 && self.eligible_leader_replicas.is_some() {
            tags.put(6, &self.eligible_leader_replicas, form)?;
        }
        if form.version < 2 && self.eligible_leader_replicas.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "PartitionChangeRecord.eligible_leader_replicas",
                version: form.version,
            });
        }
        if form.version >= 2 && self.last_known_elr.is_some() {
            tags.put(7, &self.last_known_elr, form)?;
        }
        if form.version < 2 && self.last_known_elr.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "PartitionChangeRecord.last_known_elr",
                version: form.version,
            });
        }
        if form.version >= 1 && self.directories.is_some() {
            tags.put(8, &self.directories, form)?;
        }
        if form.version < 1 && self.directories.is_some() {
            return Err(SchemaError::NotInVersion {
                field: "PartitionChangeRecord.directories",
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
            isr: None,
            leader: -2,
            replicas: None,
            removing_replicas: None,
            adding_replicas: None,
            leader_recovery_state: -1,
            directories: None,
            eligible_leader_replicas: None,
            last_known_elr: None,
        };
        read_tags(bytes, |tag, field| {
            match tag {
                0 => value.isr = Field::read(field, form)?,
                1 => value.leader = Field::read(field, form)?,
                2 => value.replicas = Field::read(field, form)?,
                3 => value.removing_replicas = Field::read(field, form)?,
                4 => value.adding_replicas = Field::read(field, form)?,
                5 => value.leader_recovery_state = Field::read(field, form)?,
                8 if form.version >= 1 => value.directories = Field::read(field, form)?,
                6 if form.version >= 2 => value.eligible_leader_replicas = Field::read(field, form)?,
                7 if form.version >= 2 => value.last_known_elr = Field::read(field, form)?,
                _ => return Ok(false),
            };
            Ok(true)
        })?;
        Ok(value)
    }
}

impl Schema for PartitionChangeRecord {
    const NAME: &'static str = "PartitionChangeRecord";
    const VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;
    const FIRST_FLEXIBLE: i16 = 0;
}
