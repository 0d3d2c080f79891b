//! The cross-crate tests: one binary, a module a subject.

mod apache_kafka;
mod clients;
mod dump_log;
mod failover;
mod metadata_log;
mod recording;
