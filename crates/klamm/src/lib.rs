//! A Kafka cluster that lives inside a test.
//!
//! ```
//! use klamm::Cluster;
//!
//! # fn main() -> Result<(), klamm::Error> {
//! let cluster = Cluster::builder().brokers(3).topic("orders", 6, 3).config("min.insync.replicas", "2").start_blocking()?;
//! // Point any Kafka client at cluster.bootstrap_servers() …
//! let leader = cluster.partition("orders", 0)?.leader.expect("a new topic has leaders");
//! cluster.broker(leader)?.crash()?;
//! // The controller notices when the broker's session ends (`broker.session.timeout.ms`): no need to wait for that.
//! cluster.clock().advance(std::time::Duration::from_secs(10));
//! cluster.wait_until(|world| world.partition("orders", 0).is_some_and(|p| p.leader.is_some_and(|l| l != leader)))?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Builder::start`] gives a [`Cluster`] whose methods await, on any runtime; [`Builder::start_blocking`] one whose
//! methods block. Both run the cluster on threads of its own, which all
//! clusters of a process share. [`Cluster::faults`] breaks things, [`Cluster::trace`] tells what was decided and why, and
//! [`Cluster::snapshot`] shows every replica at one moment. Dropping a cluster frees its ports, tasks and memory.

pub mod blocking;
mod builder;
mod clock;
mod cluster;
mod error;
mod fault;
mod traced;

pub use builder::Builder;
pub use clock::Clock;
pub use cluster::{Broker, BrokerId, Cluster, Controller};
pub use error::Error;
pub use fault::{ArmedBreakpoint, BreakpointBuilder, FaultHandle, Faults, Network, Node, RequestRule};
pub use klamm_node::{EventId, EventKind, NodeId, TraceEvent, TracePattern};
pub use klamm_server::{StartError, TopicSpec, TraceStream};
pub use klamm_wire::{ApiKey, ErrorCode};
pub use klamm_world::fault::{
    self as vocabulary, DiskFault, DiskOperation, DiskScope, Keep, Messages, NodeFault, Peer, Place,
    RequestAction,
};
pub use klamm_world::{
    CannotFork, ClusterStatus, Command, GroupStatus, GroupView, LinkSettings, PartitionStatus, QuorumView,
    ReplicaStatus, Snapshot, SnapshotDiff, World,
};
pub use klamm_world::{Fault, FaultError, FaultId, FaultStatus};

fn text(text: &str) -> klamm_wire::StrBytes {
    klamm_wire::StrBytes::from_string(text.to_owned())
}

fn topic_partition(topic: &str, partition: i32) -> klamm_node::TopicPartition {
    klamm_node::TopicPartition::new(text(topic), partition)
}

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
