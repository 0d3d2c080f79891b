//! Decisions about groups.

use std::fmt;

use klamm_wire::StrBytes;

use super::TraceKind;
use crate::ids::TopicPartition;

/// What a group coordinator decided about a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GroupEvent {
    /// A group changed state.
    GroupState {
        /// The group.
        group: StrBytes,
        /// Before.
        from: &'static str,
        /// Now.
        to: &'static str,
        /// Its generation.
        generation: i32,
        /// Why.
        cause: &'static str,
    },
    /// A member joined a group.
    MemberJoined {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
    },
    /// A static member came back under a new id: the old one is fenced (KIP-345).
    MemberReplaced {
        /// The group.
        group: StrBytes,
        /// Its group instance id.
        instance: StrBytes,
        /// The id it had.
        from: StrBytes,
        /// The id it has.
        to: StrBytes,
    },
    /// A group's member was removed.
    MemberRemoved {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// Why.
        cause: &'static str,
    },
    /// The epoch of a group of the consumer protocol grew: its assignment has to be computed anew.
    GroupEpochBumped {
        /// The group.
        group: StrBytes,
        /// The epoch.
        epoch: i32,
        /// Why.
        cause: &'static str,
    },
    /// The coordinator computed what each member of a group is to have.
    TargetAssignmentComputed {
        /// The group.
        group: StrBytes,
        /// The epoch that it is for.
        epoch: i32,
    },
    /// A member of a consumer group took a step towards its target.
    MemberReconciled {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// The epoch that it is in.
        epoch: i32,
        /// Kafka's name of its state.
        state: &'static str,
        /// What it has.
        assigned: Vec<TopicPartition>,
        /// What it must give up.
        revoking: Vec<TopicPartition>,
    },
    /// A group with members changed its protocol.
    GroupConverted {
        /// The group.
        group: StrBytes,
        /// The type that it had.
        from: &'static str,
        /// The type that it has.
        to: &'static str,
        /// The generation that became its epoch, or the other way round.
        epoch: i32,
    },
    /// A coordinator has read its partition of `__consumer_offsets`.
    GroupsLoaded {
        /// The partition.
        partition: TopicPartition,
        /// The epoch in which it leads it.
        epoch: i32,
        /// How many groups it holds.
        groups: usize,
        /// How many committed offsets it holds.
        offsets: usize,
    },
}

impl GroupEvent {
    /// The partition that it is about.
    pub const fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::GroupsLoaded { partition, .. } => Some(partition),
            _ => None,
        }
    }
}

impl From<GroupEvent> for TraceKind {
    fn from(event: GroupEvent) -> Self {
        Self::Group(event)
    }
}

impl fmt::Display for GroupEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GroupState { group, from, to, generation, cause } => {
                write!(f, "group {group} {from} -> {to} generation {generation}: {cause}")
            }
            Self::MemberJoined { group, member } => write!(f, "group {group} member {member} joined"),
            Self::MemberReplaced { group, instance, from, to } => {
                write!(f, "group {group} static member {instance} is {to}, no longer {from}")
            }
            Self::MemberRemoved { group, member, cause } => {
                write!(f, "group {group} member {member} removed: {cause}")
            }
            Self::GroupEpochBumped { group, epoch, cause } => {
                write!(f, "group {group} epoch {epoch}: {cause}")
            }
            Self::TargetAssignmentComputed { group, epoch } => {
                write!(f, "group {group} target of epoch {epoch} computed")
            }
            Self::MemberReconciled { group, member, epoch, state, assigned, revoking } => {
                write!(f, "group {group} member {member} epoch {epoch} {state}: has [")?;
                list(f, assigned)?;
                f.write_str("]")?;
                if !revoking.is_empty() {
                    f.write_str(", gives up [")?;
                    list(f, revoking)?;
                    f.write_str("]")?;
                }
                Ok(())
            }
            Self::GroupConverted { group, from, to, epoch } => {
                write!(f, "group {group} is a {to} group, no longer a {from} one, epoch {epoch}")
            }
            Self::GroupsLoaded { partition, epoch, groups, offsets } => {
                write!(f, "{partition} loaded in epoch {epoch}: {groups} groups, {offsets} offsets")
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, partitions: &[TopicPartition]) -> fmt::Result {
    for (index, partition) in partitions.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{partition}")?;
    }
    Ok(())
}
