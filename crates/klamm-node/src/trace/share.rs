//! Decisions about share groups.

use std::fmt;

use klamm_wire::StrBytes;

use super::TraceKind;
use crate::ids::TopicPartition;

/// What a share coordinator, or a partition's leader, decided about a share group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShareEvent {
    /// A partition's leader has read how far a share group is with it.
    SharePartitionLoaded {
        /// The group.
        group: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record that the group is not done with.
        start_offset: i64,
    },
    /// A partition's leader forgot what a share group does with it.
    SharePartitionDropped {
        /// The group.
        group: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// Why.
        cause: &'static str,
    },
    /// A share group's member was given records.
    ShareRecordsAcquired {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record.
        first: i64,
        /// The last record.
        last: i64,
        /// How often they were delivered, this time included.
        deliveries: i16,
    },
    /// The time for which a share group's member holds records has begun anew.
    ShareRecordsRenewed {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record.
        first: i64,
        /// The last record.
        last: i64,
    },
    /// Records of a share group were acknowledged, given back, or lost by their member.
    ShareRecordsChanged {
        /// The group.
        group: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record.
        first: i64,
        /// The last record.
        last: i64,
        /// What they are now: `AVAILABLE`, `ACKNOWLEDGED` or `ARCHIVED`.
        state: &'static str,
        /// How often they were delivered.
        deliveries: i16,
        /// Why.
        cause: &'static str,
    },
    /// A coordinator has read its partition of `__share_group_state`.
    ShareStateLoaded {
        /// The partition.
        partition: TopicPartition,
        /// The epoch in which it leads it.
        epoch: i32,
        /// How many partitions of share groups it holds.
        share_partitions: usize,
    },
}

impl ShareEvent {
    /// The partition that it is about.
    pub const fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::SharePartitionLoaded { partition, .. }
            | Self::SharePartitionDropped { partition, .. }
            | Self::ShareRecordsAcquired { partition, .. }
            | Self::ShareRecordsRenewed { partition, .. }
            | Self::ShareRecordsChanged { partition, .. }
            | Self::ShareStateLoaded { partition, .. } => Some(partition),
        }
    }
}

impl From<ShareEvent> for TraceKind {
    fn from(event: ShareEvent) -> Self {
        Self::Share(event)
    }
}

impl fmt::Display for ShareEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SharePartitionLoaded { group, partition, start_offset } => {
                write!(f, "share group {group} {partition} loaded, starts at {start_offset}")
            }
            Self::SharePartitionDropped { group, partition, cause } => {
                write!(f, "share group {group} {partition} dropped: {cause}")
            }
            Self::ShareRecordsAcquired { group, member, partition, first, last, deliveries } => {
                write!(
                    f,
                    "share group {group} {partition} {first}-{last} acquired by {member}, delivery {deliveries}"
                )
            }
            Self::ShareRecordsRenewed { group, member, partition, first, last } => {
                write!(f, "share group {group} {partition} {first}-{last} renewed by {member}")
            }
            Self::ShareRecordsChanged { group, partition, first, last, state, deliveries, cause } => {
                write!(
                    f,
                    "share group {group} {partition} {first}-{last} {state} after {deliveries} deliveries: {cause}"
                )
            }
            Self::ShareStateLoaded { partition, epoch, share_partitions } => {
                write!(f, "{partition} loaded in epoch {epoch}: {share_partitions} share-partitions")
            }
        }
    }
}
