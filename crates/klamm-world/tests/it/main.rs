//! Whole clusters in virtual time.
#![allow(missing_docs, reason = "tests")]

mod determinism;
mod durability;
mod simulation;
