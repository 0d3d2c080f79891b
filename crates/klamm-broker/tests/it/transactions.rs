//! Transactions on a real cluster: their topic, their coordinator, and what becomes of both when brokers come and go.

mod coordinator;
mod failover;
mod markers;
mod offsets;
mod requests;
