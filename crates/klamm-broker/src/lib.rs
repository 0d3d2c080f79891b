//! One broker: its replicas, its purgatories, its coordinators, and one handler file per API key it answers.
//!
//! A broker is a state machine (see [`klamm_node`]). It learns of the cluster only from the metadata log that it fetches
//! from the controller, and asks the controller only by message.

pub mod broker;
mod config;
mod core;
mod group;
mod handlers;

pub use broker::{Broker, BrokerSettings, PartitionView};
