//! The coordinator's deadlines.

use klamm_wire::StrBytes;

/// A deadline of the group coordinator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupTimer {
    /// Somebody waits for `__consumer_offsets` to be made.
    Find,
    /// More of the partition's log is to be loaded.
    Load {
        /// The partition.
        partition: i32,
    },
    /// An append has not been committed in time.
    WriteTimeout {
        /// The partition.
        partition: i32,
    },
    /// Offsets that expired are to be forgotten.
    ExpireOffsets {
        /// The partition.
        partition: i32,
    },
    /// A group's members have had their time to join.
    Join {
        /// The partition.
        partition: i32,
        /// The group.
        group: StrBytes,
    },
    /// A group's members have had their time to sync.
    Sync {
        /// The partition.
        partition: i32,
        /// The group.
        group: StrBytes,
    },
    /// A member has been silent for its session timeout.
    Session {
        /// The partition.
        partition: i32,
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
    },
    /// A member of a consumer group has had its time to give partitions up.
    Rebalance {
        /// The partition.
        partition: i32,
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
    },
    /// A classic member of a consumer group has had its time to join again.
    MemberJoin {
        /// The partition.
        partition: i32,
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
    },
    /// A classic member of a consumer group has had its time to sync.
    MemberSync {
        /// The partition.
        partition: i32,
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
    },
}

impl GroupTimer {
    /// The partition of `__consumer_offsets` that the deadline belongs to.
    pub(crate) const fn partition(&self) -> Option<i32> {
        match self {
            Self::Find => None,
            Self::Load { partition }
            | Self::WriteTimeout { partition }
            | Self::ExpireOffsets { partition }
            | Self::Join { partition, .. }
            | Self::Sync { partition, .. }
            | Self::Session { partition, .. }
            | Self::Rebalance { partition, .. }
            | Self::MemberJoin { partition, .. }
            | Self::MemberSync { partition, .. } => Some(*partition),
        }
    }
}
