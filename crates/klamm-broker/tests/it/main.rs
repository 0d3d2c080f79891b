//! The data path, seen from outside: whole clusters in simulated time, spoken to with requests.

mod admin;
mod alter_log_dirs;
mod causes;
mod chaos;
mod cluster;
mod controller;
mod disk;
mod elections;
mod eras;
mod failing_disk;
mod features;
mod fork;
mod groups;
mod partitions;
mod produce_and_fetch;
mod quotas;
mod reassignment;
mod recovery;
mod replication;
mod sessions;
mod share;
mod share_coordinator;
mod throttle;
mod topics;
mod transactions;
mod txn_partitions;
