//! Files beside the log segments.

// Written by `cargo xtask codegen`; changes belong there.

pub mod producer_snapshot;

pub use producer_snapshot::{ProducerEntry, ProducerSnapshot};
