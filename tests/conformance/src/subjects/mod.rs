//! What is asked, a file a subject.

mod api_versions;
mod cluster;
mod configs;
mod consumer_groups;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod elect_leaders;
mod extremes;
mod fetch;
mod fetch_sessions;
mod find_coordinator;
mod groups;
mod list_offsets;
mod metadata;
mod offsets;
mod produce;
mod producers;
mod quotas;
mod reassignments;
mod records;
mod share_groups;
mod share_member;
mod share_records;
mod share_renewals;
mod strict;
mod transaction_lists;
mod transaction_markers;
mod transaction_offsets;
mod transactional;
mod transactions;

use crate::Session;

/// A conversation about one thing.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Its name, which is its file's too.
    pub name: &'static str,
    /// What its clusters are started with, besides [`crate::PROPERTIES`].
    pub properties: &'static [(&'static str, &'static str)],
    pub(crate) run: fn(&mut Session) -> anyhow::Result<()>,
}

const fn plain(name: &'static str, run: fn(&mut Session) -> anyhow::Result<()>) -> Subject {
    Subject { name, properties: &[], run }
}

/// Every subject. Each has topics and groups of its own, so that they do not disturb one another in one cluster.
pub const SUBJECTS: &[Subject] = &[
    plain("api_versions", api_versions::run),
    plain("cluster", cluster::run),
    plain("metadata", metadata::run),
    plain("create_topics", create_topics::run),
    plain("delete_topics", delete_topics::run),
    plain("create_partitions", create_partitions::run),
    plain("elect_leaders", elect_leaders::run),
    plain("reassignments", reassignments::run),
    plain("configs", configs::run),
    plain("produce", produce::run),
    plain("producers", producers::run),
    plain("fetch", fetch::run),
    plain("fetch_sessions", fetch_sessions::run),
    plain("list_offsets", list_offsets::run),
    plain("delete_records", delete_records::run),
    plain("find_coordinator", find_coordinator::run),
    plain("groups", groups::run),
    plain("offsets", offsets::run),
    plain("consumer_groups", consumer_groups::run),
    plain("extremes", extremes::run),
    plain("quotas", quotas::run),
    plain("transactions", transactions::run),
    plain("transaction_offsets", transaction_offsets::run),
    plain("transaction_markers", transaction_markers::run),
    plain("transaction_lists", transaction_lists::run),
    Subject { name: "share_groups", properties: share_groups::PROPERTIES, run: share_groups::run },
    Subject { name: "share_records", properties: share_groups::PROPERTIES, run: share_records::run },
    Subject { name: "share_renewals", properties: share_groups::PROPERTIES, run: share_renewals::run },
    Subject { name: "strict", properties: strict::PROPERTIES, run: strict::run },
];
