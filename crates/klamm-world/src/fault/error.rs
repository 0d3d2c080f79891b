//! Faults that cannot be.

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::{ApiKey, StrBytes};

use super::FaultId;

/// Why a fault was refused. Nothing of it was applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FaultError {
    /// The name is taken.
    #[error("fault {0} exists already; a fault's id names one fault for ever")]
    IdTaken(FaultId),
    /// There is no such fault.
    #[error("there is no fault {0}")]
    NoFault(FaultId),
    /// The fault is over.
    #[error("fault {0} is over already")]
    Over(FaultId),
    /// There is no such node.
    #[error("there is no node {node}; {known}")]
    NoNode {
        /// The node asked for.
        node: NodeId,
        /// The nodes that there are, for a person.
        known: String,
    },
    /// The node is not a broker.
    #[error("node {0} is a controller, and only a broker can be {1}")]
    NotABroker(NodeId, &'static str),
    /// The node does not run.
    #[error("node {0} is down, so it cannot be {1}; start it first")]
    Down(NodeId, &'static str),
    /// The node runs.
    #[error("node {0} runs already, so it cannot be started")]
    Up(NodeId),
    /// The node is paused.
    #[error("node {0} is paused already")]
    Paused(NodeId),
    /// The node is not paused.
    #[error("node {0} is not paused, so it cannot be resumed")]
    NotPaused(NodeId),
    /// A link from a peer to itself.
    #[error("{0} cannot be cut from itself; a link has two different ends")]
    SameEnds(String),
    /// A peer in two groups, or fewer than two groups.
    #[error("this is no partition of the network: {0}")]
    NotAPartition(String),
    /// A client that was not added.
    #[error("there is no simulated client {0}")]
    NoClient(u32),
    /// No controller knows the metadata.
    #[error("no controller is active, so nothing can be {0}")]
    NoController(&'static str),
    /// There is no such topic.
    #[error("there is no topic {topic}; {known}")]
    NoTopic {
        /// The topic asked for.
        topic: StrBytes,
        /// The topics that there are, for a person.
        known: String,
    },
    /// The topic has no such partition.
    #[error("there is no partition {partition}; the topic has {count}, numbered from 0")]
    NoPartition {
        /// The partition asked for.
        partition: TopicPartition,
        /// How many there are.
        count: usize,
    },
    /// A replica that cannot do what is asked.
    #[error("node {node} {why} of {partition}")]
    Unfit {
        /// The node asked for.
        node: NodeId,
        /// The partition.
        partition: TopicPartition,
        /// What it lacks: `is not in the ISR`.
        why: &'static str,
    },
    /// There is no such group.
    #[error("there is no group {group}; {known}")]
    NoGroup {
        /// The group asked for.
        group: StrBytes,
        /// The groups that there are, for a person.
        known: String,
    },
    /// The group has no such member.
    #[error("group {group} has no member {member}; {known}")]
    NoMember {
        /// The group.
        group: StrBytes,
        /// The member asked for.
        member: StrBytes,
        /// The members that there are, for a person.
        known: String,
    },
    /// An API that klamm does not serve.
    #[error("{0:?} is not served, so no request of it can be hit")]
    NotServed(ApiKey),
    /// A number that makes no sense.
    #[error("{0}")]
    Senseless(String),
    /// The disk has nothing there.
    #[error("disk of node {node}: {why}")]
    Disk {
        /// The node.
        node: NodeId,
        /// What is wrong, for a person.
        why: String,
    },
}
