//! The `klamm` binary, as a person or a script meets it.
#![expect(clippy::unwrap_used, reason = "what fails in a helper fails its test")]

mod look_around;
mod mistakes;
mod process;
mod scenario;
mod serve;
mod trace;
