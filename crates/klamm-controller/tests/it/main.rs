//! The controller, driven as its brokers and their clients drive it.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "modules of one test binary")]

mod alter_partition;
mod brokers;
mod configs;
mod directories;
mod elections;
mod harness;
mod log;
mod properties;
mod reassignments;
mod topics;
