//! Who leads, who is in sync: the controller.
//!
//! A controller answers requests by writing metadata records: a manager (one a file) works out records and an answer
//! from the image, [`Controller`] appends the records to the metadata log, folds them into the image, and answers once
//! they are committed. Brokers learn of them by fetching that log.

mod api_error;
mod broker_heartbeat;
mod cluster_control;
mod config_control;
mod controller;
mod decisions;
mod feature_control;
mod handlers;
mod idle;
mod index;
mod inspect;
mod moves;
mod mutation_quota;
mod partition_change;
mod placement;
mod producer_id_control;
mod quota_control;
mod raft;
mod replication_control;
mod settings;
mod snapshots;
mod state;
mod succession;

pub use controller::Controller;
pub use inspect::QuorumView;
pub use moves::Unfit;
pub use settings::ControllerSettings;
