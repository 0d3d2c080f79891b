//! Assignors: who of a group's members is to have which partitions (Kafka's `coordinator.group.assignor`).
//!
//! Kafka iterates over members in the order of a hash map; here it is the order of their ids, so that the same group always
//! gets the same assignment.

mod heterogeneous;
mod homogeneous;
mod range;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{StrBytes, Uuid};

use super::Partitions;

/// A member, as an assignor sees it.
#[derive(Debug, Clone)]
pub(crate) struct MemberSpec {
    /// Its id.
    pub(crate) id: StrBytes,
    /// Its group instance id.
    pub(crate) instance_id: Option<StrBytes>,
    /// The topics that it subscribes to and that exist.
    pub(crate) topics: BTreeSet<Uuid>,
    /// What it had in the target before.
    pub(crate) before: Partitions,
}

/// A group, as an assignor sees it.
#[derive(Debug, Clone)]
pub(crate) struct GroupSpec {
    /// The members, in order of their ids.
    pub(crate) members: Vec<MemberSpec>,
    /// Whether all of them subscribe to the same topics.
    pub(crate) homogeneous: bool,
    /// How many partitions each subscribed topic has.
    pub(crate) partitions: BTreeMap<Uuid, i32>,
}

impl GroupSpec {
    fn count(&self, topic: &Uuid) -> i32 {
        self.partitions.get(topic).copied().unwrap_or(0)
    }
}

/// What each member is to have; who is not in it gets nothing.
pub(crate) type Assignment = BTreeMap<StrBytes, Partitions>;

/// The assignors that Kafka brings along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assignor {
    /// As many partitions for each, moving as few as possible (`UniformAssignor`).
    Uniform,
    /// A range of each topic for each, so that equal topics go together (`RangeAssignor`).
    Range,
}

impl Assignor {
    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of a name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Uniform, Self::Range].into_iter().find(|assignor| assignor.name() == name)
    }

    /// Computes an assignment.
    pub(crate) fn assign(self, spec: &GroupSpec) -> Assignment {
        match self {
            _ if spec.members.is_empty() => Assignment::new(),
            Self::Uniform if spec.homogeneous => homogeneous::assign(spec),
            Self::Uniform => heterogeneous::assign(spec),
            Self::Range => range::assign(spec),
        }
    }
}
