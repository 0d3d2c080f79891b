//! The assignment that a group is on its way to.

use std::collections::BTreeMap;

use klamm_wire::StrBytes;

use super::Partitions;

/// What each member is to have, and the group epoch that it was computed for (Kafka's `targetAssignment` and
/// `TargetAssignmentMetadata`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TargetAssignment {
    /// The group epoch that it was computed for; 0 before the first, -1 once its record is deleted.
    pub(crate) epoch: i32,
    /// When it was computed, in wall milliseconds; 0 where that is unknown or does not matter.
    pub(crate) timestamp_ms: i64,
    members: BTreeMap<StrBytes, Partitions>,
}

impl TargetAssignment {
    /// What a member is to have; `None` when it has no entry.
    pub(crate) fn get(&self, member: &StrBytes) -> Option<&Partitions> {
        self.members.get(member)
    }

    /// What a member is to have; nothing when it has no entry.
    pub(crate) fn of(&self, member: &StrBytes) -> Partitions {
        self.members.get(member).cloned().unwrap_or_default()
    }

    /// Replays a member's entry.
    pub(crate) fn set(&mut self, member: StrBytes, partitions: Option<Partitions>) {
        match partitions {
            Some(partitions) => {
                self.members.insert(member, partitions);
            }
            None => {
                self.members.remove(&member);
            }
        }
    }

    /// Whether the next target may be computed (KIP-1263): at once where there is none yet or its age is unknown, else when the
    /// interval is over. `interval_ms` 0 waits for nothing, even if the clock went back.
    pub(crate) const fn may_recompute(&self, interval_ms: i32, wall_ms: i64) -> bool {
        self.timestamp_ms == 0
            || interval_ms == 0
            || wall_ms >= self.timestamp_ms.saturating_add(interval_ms as i64)
    }
}
