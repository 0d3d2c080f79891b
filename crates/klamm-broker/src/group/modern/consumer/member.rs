//! A member of a consumer group (Kafka's `ConsumerGroupMember`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::{StrBytes, Uuid};

use super::super::Partitions;
use crate::group::member::Protocol;

/// Partitions, each with the epoch in which the member got it (KIP-1251).
pub(crate) type Assigned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// How far a member is on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what it is to have.
    Stable,
    /// It must give partitions up before it can go on.
    UnrevokedPartitions,
    /// It is in the newest epoch, and waits for partitions that others still have.
    UnreleasedPartitions,
    /// A newer Kafka wrote a state that this one does not know.
    Unknown,
}

impl MemberState {
    /// As records have it.
    pub(crate) const fn value(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    /// From a record.
    pub(crate) const fn from_value(value: i8) -> Self {
        match value {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }

    /// Kafka's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stable => "STABLE",
            Self::UnrevokedPartitions => "UNREVOKED_PARTITIONS",
            Self::UnreleasedPartitions => "UNRELEASED_PARTITIONS",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What is kept of a member that speaks the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicMember {
    /// Its session timeout, in milliseconds.
    pub(crate) session_timeout_ms: i32,
    /// What it offers.
    pub(crate) protocols: Vec<Protocol>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerMember {
    /// Its id.
    pub(crate) id: StrBytes,
    /// The epoch that it is in.
    pub(crate) epoch: i32,
    /// The epoch before: a heartbeat with it is one whose answer was lost.
    pub(crate) previous_epoch: i32,
    /// Its group instance id.
    pub(crate) instance_id: Option<StrBytes>,
    /// Its rack.
    pub(crate) rack_id: Option<StrBytes>,
    /// How long it may take to give partitions up, in milliseconds.
    pub(crate) rebalance_timeout_ms: i32,
    /// `client.id` of its last request.
    pub(crate) client_id: StrBytes,
    /// Host of its last request, with Kafka's leading slash.
    pub(crate) client_host: StrBytes,
    /// The topics that it names.
    pub(crate) topics: BTreeSet<StrBytes>,
    /// The regular expression that it subscribes to; empty for none.
    pub(crate) regex: Option<StrBytes>,
    /// The assignor that it prefers.
    pub(crate) assignor: Option<StrBytes>,
    /// How far it is.
    pub(crate) state: MemberState,
    /// What it has.
    pub(crate) assigned: Assigned,
    /// What it must give up.
    pub(crate) revoking: Assigned,
    /// What is kept of it if it speaks the classic protocol.
    pub(crate) classic: Option<ClassicMember>,
}

impl ConsumerMember {
    /// A member that has nothing yet.
    pub(crate) fn new(id: StrBytes) -> Self {
        Self {
            id,
            epoch: 0,
            previous_epoch: -1,
            instance_id: None,
            rack_id: None,
            rebalance_timeout_ms: -1,
            client_id: StrBytes::default(),
            client_host: StrBytes::default(),
            topics: BTreeSet::new(),
            regex: Some(StrBytes::default()),
            assignor: None,
            state: MemberState::Stable,
            assigned: Assigned::new(),
            revoking: Assigned::new(),
            classic: None,
        }
    }

    /// The regular expression, if there is one.
    pub(crate) fn regex(&self) -> Option<&StrBytes> {
        self.regex.as_ref().filter(|regex| !regex.is_empty())
    }

    /// Whether it speaks the classic protocol.
    pub(crate) const fn is_classic(&self) -> bool {
        self.classic.is_some()
    }

    /// Whether it has arrived at a target.
    pub(crate) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Goes to an epoch, and remembers the one before.
    pub(crate) const fn update_epoch(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// In which epoch it got a partition that it has, or is giving up.
    pub(crate) fn assignment_epoch(&self, topic: &Uuid, partition: i32) -> Option<i32> {
        let of = |assigned: &Assigned| assigned.get(topic).and_then(|p| p.get(&partition)).copied();
        of(&self.assigned).or_else(|| of(&self.revoking))
    }
}

/// Partitions without their epochs.
pub(crate) fn without_epochs(assigned: &Assigned) -> Partitions {
    assigned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// Partitions that were all assigned in one epoch.
pub(crate) fn with_epoch(partitions: &Partitions, epoch: i32) -> Assigned {
    partitions.iter().map(|(topic, p)| (*topic, p.iter().map(|p| (*p, epoch)).collect())).collect()
}
