//! The coordinator, driven without a broker: a log in memory, a clock that the test moves.

mod consumer;
mod consumer_property;
mod failover;
mod harness;
mod join;
mod membership;
mod migration;
mod offsets;
mod property;
mod txn;
