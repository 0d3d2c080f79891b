//! Moves of the cluster: what an operator or bad luck could bring about, at once and without waiting for it.

use std::fmt;

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::StrBytes;

/// The cluster is moved into another state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterFault {
    /// The controller makes another in-sync replica a partition's leader.
    MoveLeader {
        /// The partition.
        partition: TopicPartition,
        /// Its new leader.
        to: NodeId,
    },
    /// The controller makes another broker a group's coordinator: the leader of the group's partition of
    /// `__consumer_offsets`.
    MoveCoordinator {
        /// The group.
        group: StrBytes,
        /// Its new coordinator; an in-sync replica of that partition.
        to: NodeId,
    },
    /// A partition's ISR stays as it is: its leader's AlterPartition requests do not reach the controller until healed.
    HoldIsr {
        /// The partition.
        partition: TopicPartition,
    },
    /// The controller sets a partition's ISR, whatever the replicas hold.
    SetIsr {
        /// The partition.
        partition: TopicPartition,
        /// Its new ISR: replicas, the leader among them.
        isr: Vec<NodeId>,
    },
    /// Every broker that runs and holds a replica does to that log at once what it would do later.
    Log {
        /// The partition.
        partition: TopicPartition,
        /// What is done.
        work: LogWork,
    },
    /// A group's coordinator begins a rebalance.
    ForceRebalance {
        /// The group.
        group: StrBytes,
    },
    /// A group's coordinator finds a member's session expired.
    ExpireMember {
        /// The group.
        group: StrBytes,
        /// The member, by its id or by its `client.id`.
        member: StrBytes,
    },
}

/// What a broker does to a log from time to time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogWork {
    /// The log begins a new segment, unless its last one is empty.
    Roll,
    /// Retention deletes what its topic's configuration lets go.
    ApplyRetention,
    /// The cleaner compacts all but the last segment, however little of it is dirty.
    Compact,
}

impl fmt::Display for ClusterFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MoveLeader { partition, to } => write!(f, "move leader of {partition} to {to}"),
            Self::MoveCoordinator { group, to } => write!(f, "move coordinator of group {group} to {to}"),
            Self::HoldIsr { partition } => write!(f, "hold ISR of {partition}"),
            Self::SetIsr { partition, isr } => {
                let isr: Vec<_> = isr.iter().map(|node| node.0).collect();
                write!(f, "set ISR of {partition} to {isr:?}")
            }
            Self::Log { partition, work: LogWork::Roll } => write!(f, "roll {partition}"),
            Self::Log { partition, work: LogWork::ApplyRetention } => {
                write!(f, "apply retention to {partition}")
            }
            Self::Log { partition, work: LogWork::Compact } => write!(f, "compact {partition}"),
            Self::ForceRebalance { group } => write!(f, "rebalance group {group}"),
            Self::ExpireMember { group, member } => write!(f, "expire member {member} of group {group}"),
        }
    }
}
