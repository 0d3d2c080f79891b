//! The coordinator, driven without a broker: a log in memory, a clock that the test moves.

mod consumer;
mod failover;
mod harness;
mod join;
mod membership;
mod offsets;
mod property;
