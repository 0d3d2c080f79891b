//! One broker: its replicas, its purgatories, its coordinators, and one handler file per API key it answers.
//!
//! A broker is a state machine (see [`klamm_node`]). It learns of the cluster only from the metadata log that it fetches
//! from the controller, and asks the controller only by message.

mod alter_partition;
mod apply;
mod assignments;
mod auto_topic_creation;
pub mod broker;
mod cleaner;
mod config;
mod controller_channel;
mod coordinator_record;
mod core;
mod directories;
mod faults;
mod fetch_quota;
mod fetch_session;
mod fetching;
mod future_replica;
mod group;
mod handlers;
mod idle;
mod inspect;
mod lifecycle;
mod log_dirs;
mod log_tasks;
mod metadata;
mod metadata_snapshot;
mod partition;
mod producer_ids;
mod purgatory;
mod quota;
mod replica_fetcher;
mod replica_manager;
mod share;
mod share_coordinator;
mod stored_log;
mod transaction;

pub use broker::{BootFailure, Broker, BrokerSettings, PartitionView};
pub use faults::partition_for_group;
pub use group::{AssignedPartitions, GroupInspection, GroupMemberInspection, GroupView};
pub use inspect::{FollowerView, LeaderView, ReplicaInspection, ReplicaView};
pub use stored_log::{StoredLog, StoredRecord};
pub use transaction::{TransactionView, TransactionViews};
