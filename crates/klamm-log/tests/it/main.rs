//! The engine through its public door.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod basics;
mod compaction;
mod model;
mod producers;
mod support;
