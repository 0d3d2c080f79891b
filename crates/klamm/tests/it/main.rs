//! A cluster as its users meet it: over sockets, from Rust.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, and so may its helpers")]

mod bad_input;
mod client;
mod clock;
mod cluster;
mod disks;
mod faults;
mod many;
mod recording;
mod seeing;
