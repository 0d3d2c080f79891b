//! What is asked, a file a subject.

mod api_versions;
mod cluster;
mod configs;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod fetch;
mod fetch_sessions;
mod find_coordinator;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod produce;
mod producers;
mod records;

use crate::Session;

/// A conversation about one thing.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its name, which is its file's too.
    pub name: &'static str,
    pub(crate) run: fn(&mut Session) -> anyhow::Result<()>,
}

/// Every subject. Each has topics and groups of its own, so that they do not disturb one another in one cluster.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "api_versions", run: api_versions::run },
    Subject { name: "cluster", run: cluster::run },
    Subject { name: "metadata", run: metadata::run },
    Subject { name: "create_topics", run: create_topics::run },
    Subject { name: "delete_topics", run: delete_topics::run },
    Subject { name: "create_partitions", run: create_partitions::run },
    Subject { name: "configs", run: configs::run },
    Subject { name: "produce", run: produce::run },
    Subject { name: "producers", run: producers::run },
    Subject { name: "fetch", run: fetch::run },
    Subject { name: "fetch_sessions", run: fetch_sessions::run },
    Subject { name: "list_offsets", run: list_offsets::run },
    Subject { name: "delete_records", run: delete_records::run },
    Subject { name: "find_coordinator", run: find_coordinator::run },
    Subject { name: "groups", run: groups::run },
    Subject { name: "offsets", run: offsets::run },
];
