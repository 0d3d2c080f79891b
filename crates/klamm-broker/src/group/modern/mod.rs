//! Groups whose assignments the coordinator itself computes (KIP-848, KIP-932; Kafka's `coordinator.group.modern`).
//!
//! What every such group has lies here: the group's epoch and the hash of the topics it reads ([`base`]), the target that an
//! assignor computed ([`target`], [`assignor`]), and who subscribes to what ([`subscriptions`]). The group of the consumer
//! protocol is [`consumer`], that of share consumers [`share`].
//!
//! A group changes by records alone: an operation works out the records, they are appended, and replaying them is what changes
//! the group. Loading a log is the same replay.

pub(crate) mod assignor;
pub(crate) mod base;
pub(crate) mod consumer;
pub(crate) mod hash;
pub(crate) mod refusal;
pub(crate) mod share;
pub(crate) mod subscriptions;
pub(crate) mod target;

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::Uuid;

/// Partitions by topic id. A topic without partitions is not in it.
pub(crate) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// The epoch with which a member leaves (`ConsumerGroupHeartbeatRequest.LEAVE_GROUP_MEMBER_EPOCH`).
pub(crate) const LEAVE_GROUP_MEMBER_EPOCH: i32 = -1;
/// The epoch with which a static member leaves for a while (`LEAVE_GROUP_STATIC_MEMBER_EPOCH`).
pub(crate) const LEAVE_GROUP_STATIC_MEMBER_EPOCH: i32 = -2;

/// Reads partitions from the pairs in which records and requests have them.
pub(crate) fn partitions(pairs: impl IntoIterator<Item = (Uuid, Vec<i32>)>) -> Partitions {
    let mut partitions = Partitions::new();
    for (topic, indexes) in pairs {
        if !indexes.is_empty() {
            partitions.entry(topic).or_default().extend(indexes);
        }
    }
    partitions
}
