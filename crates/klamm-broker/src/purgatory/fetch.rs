//! Fetches that wait for enough bytes (`DelayedFetch`).

use klamm_node::ReplyTo;

use crate::fetch_session::PartitionRef;
use crate::partition::Slot;
use crate::partition::fetch::{FetchParams, PartitionFetch};

/// One partition of a fetch outside a session.
#[derive(Debug, Clone)]
pub(crate) struct FetchItem {
    /// The partition.
    pub(crate) target: PartitionRef,
    /// What is asked of it.
    pub(crate) fetch: PartitionFetch,
    /// Where the replica is, when this broker has one.
    pub(crate) slot: Option<Slot>,
}

/// What a fetch reads.
#[derive(Debug, Clone)]
pub(crate) enum FetchScope {
    /// The partitions that the request names.
    Full {
        /// The partitions.
        items: Vec<FetchItem>,
        /// Whether the fetcher wants a session for them.
        wants_session: bool,
    },
    /// A session's partitions.
    Session {
        /// The session.
        id: i32,
        /// Its epoch after this fetch. Another one means that the fetcher went on without the answer.
        epoch: i32,
    },
}

/// A fetch, answered at once or waiting.
#[derive(Debug)]
pub(crate) struct FetchOp {
    /// Where the answer goes.
    pub(crate) reply_to: ReplyTo,
    /// The request's version.
    pub(crate) api_version: i16,
    /// Who fetches, and how much.
    pub(crate) params: FetchParams,
    /// What is read.
    pub(crate) scope: FetchScope,
}
