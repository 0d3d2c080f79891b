//! What groups of every modern kind have in common (Kafka's `ModernGroup`).

use klamm_wire::StrBytes;

use super::hash;
use super::subscriptions::Subscriptions;
use super::target::TargetAssignment;
use crate::group::host::Host;

/// The common half of a modern group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModernGroup {
    /// The group's id.
    pub(crate) id: StrBytes,
    /// Its epoch: grows when members, their subscriptions or the topics change.
    pub(crate) epoch: i32,
    /// A hash over the subscribed topics, as they were when the epoch last grew (KIP-1101).
    pub(crate) metadata_hash: i64,
    /// Where the group is going.
    pub(crate) target: TargetAssignment,
    /// What the members subscribe to.
    pub(crate) subscriptions: Subscriptions,
    /// Up to which metadata offset the topics were last compared with the hash, and in which epoch: kept in memory alone.
    checked: Option<(i64, i32)>,
}

impl ModernGroup {
    /// A group that no record knows yet. Since 4.3 the first epoch that members see is 2.
    pub(crate) fn new(id: StrBytes, first_epoch: i32) -> Self {
        Self {
            id,
            epoch: first_epoch,
            metadata_hash: 0,
            target: TargetAssignment::default(),
            subscriptions: Subscriptions::default(),
            checked: None,
        }
    }

    /// Whether topics may have changed since they were last compared. The epoch may also have been taken back, when the record
    /// that raised it could not be written.
    pub(crate) fn has_metadata_expired(&self, metadata_offset: i64) -> bool {
        self.checked.is_none_or(|(offset, epoch)| offset < metadata_offset || self.epoch < epoch)
    }

    /// Notes that topics were compared.
    pub(crate) fn set_metadata_checked(&mut self, metadata_offset: i64, epoch: i32) {
        self.checked = Some((metadata_offset, epoch));
    }

    /// The hash of subscribed topics as they are now.
    pub(crate) fn hash_of(subscriptions: &Subscriptions, host: &dyn Host) -> i64 {
        hash::group_hash(subscriptions.topics().filter_map(|topic| hash::topic_hash(topic, host)))
    }
}
