//! Requests and responses. Most are `kafka-protocol`'s. Where that lacks a version that klamm serves, `cargo xtask codegen` writes
//! the request and its response whole, from Kafka's field lists, into `schemas`; there they stand before `kafka-protocol`'s of
//! the same name, and look the same to whoever handles them.

mod kind;
mod schemas;

pub use kind::{RequestKind, ResponseKind, known_versions};
pub use schemas::*;
