//! The whole cluster as one value: schedule, network, nodes, simulated clients, recording.
//!
//! A [`World`] is a function of its inputs. It is handed the time and one [`Input`] after another, pushes [`Output`]s
//! into a buffer that the caller owns, and says when it next wants to be woken. It never blocks and never asks what
//! time it is; the same settings and the same (time, input) pairs give the same history, byte for byte.

mod client;
mod clocks;
mod connection;
pub mod fault;
mod input;
pub mod invariant;
mod network;
mod node;
mod quorum;
pub mod recording;
mod schedule;
mod settings;
mod snapshot;
mod stall;
mod status;
mod tap;
mod world;

#[cfg(test)]
mod probe;

pub use client::scripted;
pub use client::{
    Acknowledged, ClientId, ClientSpec, ConsumerReport, ConsumerSpec, Does, Heard, OutsideClient,
    ProducerReport, ProducerSpec, SeenRecord, TransactionOutcome, TransactionalReport, TransactionalSpec,
    WatcherSpec,
};
pub use fault::{Fault, FaultError, FaultId, FaultStatus};
pub use input::{ClientRequest, Command, Damage, Input, Output};
pub use klamm_broker::partition_for_group as coordinator_partition;
pub use klamm_broker::{FollowerView, GroupView, LeaderView, ReplicaView, StoredLog, StoredRecord};
pub use quorum::QuorumView;
pub use settings::{BrokerSpec, LinkSettings, WorldSettings};
pub use snapshot::{BrokerSnapshot, PartitionSnapshot, Snapshot, SnapshotChange, SnapshotDiff};
pub use stall::Stall;
pub use status::{ClusterStatus, GroupStatus, NodeRole, NodeStatus, PartitionStatus, ReplicaStatus};
pub use tap::{Tapped, Traffic};
pub use world::{CannotFork, World, cluster_id};
