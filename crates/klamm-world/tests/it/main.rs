//! Whole clusters in virtual time.

mod determinism;
mod durability;
mod simulation;
