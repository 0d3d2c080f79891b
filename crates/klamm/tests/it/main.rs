//! A cluster as its users meet it: over sockets, from Rust.

mod bad_input;
mod client;
mod clock;
mod cluster;
mod many;
mod recording;
