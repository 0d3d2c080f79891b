//! Fetches that wait for enough bytes (`DelayedFetch`).

use klamm_node::ReplyTo;
use klamm_wire::StrBytes;

use crate::core::Core;
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
#[derive(Debug, Clone)]
pub(crate) struct FetchOp {
    /// Where the answer goes.
    pub(crate) reply_to: ReplyTo,
    /// The request's version.
    pub(crate) api_version: i16,
    /// Who fetches, and how much.
    pub(crate) params: FetchParams,
    /// The fetcher's `client.id`.
    pub(crate) client_id: Option<StrBytes>,
    /// The rack that a consumer is in, where this broker heeds it.
    pub(crate) rack: Option<StrBytes>,
    /// What is read.
    pub(crate) scope: FetchScope,
}

impl Core {
    /// Whether a fetch has waited long enough: as many bytes are there as it wants, or one of its partitions has something
    /// to say at once (`DelayedFetch.tryComplete`). Bytes are counted from positions; nothing is read.
    pub(crate) fn is_fetch_ready(&self, op: &FetchOp) -> bool {
        let wanted = u64::from(op.params.min_bytes.max(0).unsigned_abs());
        let mut bytes = 0;
        let mut add = |available: Option<u64>| {
            bytes += available?;
            Some(())
        };
        let waits = match &op.scope {
            FetchScope::Full { items, .. } => items
                .iter()
                .try_for_each(|item| add(self.available(&op.params, &item.target, item.slot, &item.fetch))),
            FetchScope::Session { id, epoch } => {
                let session = self.sessions.get(*id).filter(|session| session.epoch == *epoch);
                session.and_then(|session| {
                    let mut queued = session.queued();
                    queued.try_for_each(|(_, p)| add(self.available(&op.params, &p.target, p.slot, &p.fetch)))
                })
            }
        };
        waits.is_none() || bytes >= wanted
    }

    /// The bytes that one partition could give; `None` when it has something to say at once.
    fn available(
        &self,
        params: &FetchParams,
        target: &PartitionRef,
        slot: Option<Slot>,
        fetch: &PartitionFetch,
    ) -> Option<u64> {
        let known = slot.and_then(|slot| self.replicas.get(slot)).filter(|p| target.names(p));
        let Some(partition) = known else {
            // What the cluster does not know either does not end the wait of others.
            return self.is_unknown(target).then_some(0);
        };
        partition.check_fetch(params, fetch).ok()?;
        if let Some(epoch) = fetch.last_fetched_epoch {
            let end = partition.log.end_offset_for_epoch(epoch)?;
            if end.epoch < epoch || end.end_offset < fetch.fetch_offset {
                return None;
            }
        }
        let available = partition.log.available(&*self.disk, fetch.fetch_offset, params.isolation);
        // A failing disk is for the read to find.
        Some(available.ok()??.min(u64::from(fetch.max_bytes.max(0).unsigned_abs())))
    }

    /// Has the session of a fetch that goes on waiting told of the next changes.
    pub(crate) fn wait_on(&mut self, op: &FetchOp) {
        let FetchScope::Session { id, .. } = op.scope else { return };
        let Some(session) = self.sessions.get(id) else { return };
        let silent: Vec<_> =
            session.queued().filter(|(_, p)| !p.subscribed).map(|(index, p)| (index, p.slot)).collect();
        for (index, slot) in silent {
            self.subscribe(slot, id, index);
        }
    }
}
