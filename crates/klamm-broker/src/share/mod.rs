//! Share groups at the leaders of their partitions (KIP-932).
//!
//! [`partition`] knows which records are in flight, [`session`] who reads what, [`fetch`] what waits for records; [`persister`] has
//! the share coordinator keep what must outlive this broker, and [`manager`] ties them together.

pub(crate) mod acknowledge;
mod acquire;
mod batch;
pub(crate) mod config;
pub(crate) mod fetch;
pub(crate) mod key;
pub(crate) mod manager;
mod partition;
pub(crate) mod pending;
pub(crate) mod persister;
mod record_state;
pub(crate) mod session;
#[cfg(test)]
mod tests;
pub(crate) mod timer;
