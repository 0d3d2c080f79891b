//! A cluster as its users meet it: over sockets, from Rust.
#![allow(missing_docs, reason = "tests")]

mod bad_input;
mod client;
mod clock;
mod cluster;
mod many;
mod recording;
