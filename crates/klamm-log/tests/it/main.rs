//! The engine through its public door.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod checks;
mod compaction;
mod compaction_txn;
mod hostile;
mod manager;
mod model;
mod producers;
mod replication;
mod rot;
mod segments;
mod support;
