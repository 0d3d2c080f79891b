//! Faults: what can be made to go wrong, on purpose.
//!
//! One vocabulary for Rust, scenarios and the simulator. A [`Fault`] is injected with
//! [`Command::Inject`](crate::Command::Inject) under a [`FaultId`] of the caller's choice, which names it for ever after:
//! its random draws, its trace events and its place in [`World::faults`](crate::World::faults) are keyed by it, so that
//! leaving one fault out of a run does not change what the others do. It stays armed until it is
//! [healed](crate::Command::Heal) or used up, and counts how often it fired.

mod breakpoint;
mod check;
mod cluster;
mod disk;
pub(crate) mod engine;
mod error;
mod inject;
mod network;
mod node;
mod registry;
mod request;

use std::collections::BTreeMap;
use std::fmt;

use klamm_node::{NodeId, ReplyTo};

pub use breakpoint::Breakpoint;
pub use cluster::{ClusterFault, LogWork};
pub use disk::{DiskFault, DiskOperation, DiskScope, Keep, Place};
pub use error::FaultError;
pub use network::{Fate, Link, Messages, NetworkFault, Peer};
pub use node::NodeFault;
pub use request::{Chance, RequestAction, RequestFault, RequestMatch, RequestOrigin};

/// A fault's name, given by whoever injects it; unique within a world's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FaultId(pub u32);

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Something happens to requests, or to their answers.
    Request(RequestFault),
    /// Something happens to a broker or controller.
    Node {
        /// The broker or controller.
        node: NodeId,
        /// What happens to it.
        fault: NodeFault,
    },
    /// Something happens to messages between nodes, or between a node and its clients.
    Network(NetworkFault),
    /// Something happens to a node's disk.
    Disk {
        /// The broker or controller.
        node: NodeId,
        /// What happens to its disk.
        fault: DiskFault,
    },
    /// The cluster is moved into another state, by its controller or a coordinator.
    Cluster(ClusterFault),
    /// A node is held at a named point.
    Breakpoint(Breakpoint),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(fault) => fault.fmt(f),
            Self::Node { node, fault } => write!(f, "node {node}: {fault}"),
            Self::Network(fault) => fault.fmt(f),
            Self::Disk { node, fault } => write!(f, "disk of node {node}: {fault}"),
            Self::Cluster(fault) => fault.fmt(f),
            Self::Breakpoint(breakpoint) => breakpoint.fmt(f),
        }
    }
}

impl From<RequestFault> for Fault {
    fn from(fault: RequestFault) -> Self {
        Self::Request(fault)
    }
}

impl From<NetworkFault> for Fault {
    fn from(fault: NetworkFault) -> Self {
        Self::Network(fault)
    }
}

impl From<ClusterFault> for Fault {
    fn from(fault: ClusterFault) -> Self {
        Self::Cluster(fault)
    }
}

impl From<Breakpoint> for Fault {
    fn from(breakpoint: Breakpoint) -> Self {
        Self::Breakpoint(breakpoint)
    }
}

/// Everything the world keeps of its faults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    pub(crate) registry: registry::Registry,
    /// The faults of requests that are armed, by id.
    pub(crate) requests: Vec<engine::request::RequestRule>,
    /// The requests that were let through and whose answers will be hit.
    pub(crate) answers: BTreeMap<ReplyTo, engine::request::Struck>,
    /// Nodes that an answer has told to wait.
    pub(crate) quiet: engine::quiet::Quiet,
    /// Whether a fault ever looked at answers whatever their requests were.
    pub(crate) looks_at_answers: bool,
    pub(crate) network: engine::network::NetworkFaults,
    /// Whether a disk ever had a fault.
    pub(crate) disks: bool,
    /// Whether stored or sent bytes may have been changed: then followers check what they are sent.
    pub(crate) corrupts: bool,
    /// Whether a node's door was ever shut.
    pub(crate) doors: bool,
}

impl Faults {
    /// Whether answers have to be looked at on their way out.
    pub(crate) fn hit_answers(&self) -> bool {
        self.looks_at_answers || !self.answers.is_empty()
    }
}

/// How a fault that was injected is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultStatus {
    /// Its name.
    pub id: FaultId,
    /// What it is.
    pub fault: Fault,
    /// Whether it may still fire: it is neither healed nor used up.
    pub armed: bool,
    /// How often it fired.
    pub fired: u64,
    /// How many messages or continuations it holds right now.
    pub held: usize,
}

impl fmt::Display for FaultStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.armed { "armed" } else { "over" };
        write!(f, "fault {} ({}): {state}, fired {} times", self.id, self.fault, self.fired)?;
        if self.held > 0 {
            write!(f, ", holds {}", self.held)?;
        }
        Ok(())
    }
}
