//! The cross-crate tests: one binary, a module a subject.
#![expect(clippy::unwrap_used, reason = "a test's helper fails its test by panicking")]

mod admin_tools;
mod apache_kafka;
mod clients;
mod conformance;
mod consumer_protocol;
mod dump_log;
mod dump_offsets;
mod failover;
mod faults_clients;
mod faults_harness;
mod faults_unclean;
mod history;
mod history_stage;
mod history_troubles;
mod kafka_versions;
mod metadata_log;
mod pages;
mod quorum;
mod racks;
mod recording;
mod share;
mod streams;
