//! Share sessions (`ShareSession`, `ShareSessionCache`): which partitions a member reads from this broker, and its place in the
//! sequence of requests.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasherDefault;

use indexmap::IndexMap;
use klamm_node::ConnectionId;
use klamm_wire::{ErrorCode, StrBytes, Uuid};
use rustc_hash::FxHasher;

/// The epoch that begins a session.
pub(crate) const INITIAL_EPOCH: i32 = 0;
/// The epoch that ends a session.
pub(crate) const FINAL_EPOCH: i32 = -1;

/// A group and a member of it.
pub(crate) type SessionKey = (StrBytes, StrBytes);
/// A topic's partition.
pub(crate) type TopicPartitionId = (Uuid, i32);

/// Partitions in the order to serve them; whether the next response must name each even without records.
type Cached = IndexMap<TopicPartitionId, bool, BuildHasherDefault<FxHasher>>;

/// One member's session.
#[derive(Debug, Clone)]
pub(crate) struct ShareSession {
    /// The epoch of the next request.
    pub(crate) epoch: i32,
    connection: Option<ConnectionId>,
    partitions: Cached,
}

/// The sessions of a broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct ShareSessions {
    sessions: BTreeMap<SessionKey, ShareSession>,
    by_connection: BTreeMap<ConnectionId, SessionKey>,
}

/// The epoch after this one (`ShareRequestMetadata.nextEpoch`).
pub(crate) const fn next_epoch(epoch: i32) -> i32 {
    if epoch < 0 {
        FINAL_EPOCH
    } else if epoch == i32::MAX {
        1
    } else {
        epoch + 1
    }
}

impl ShareSessions {
    /// A session.
    pub(crate) fn get_mut(&mut self, key: &SessionKey) -> Option<&mut ShareSession> {
        self.sessions.get_mut(key)
    }

    /// Begins a session, instead of one that there was.
    ///
    /// # Errors
    /// `SHARE_SESSION_LIMIT_REACHED`
    pub(crate) fn create(
        &mut self,
        key: SessionKey,
        partitions: &[TopicPartitionId],
        connection: Option<ConnectionId>,
        max: usize,
    ) -> Result<(), ErrorCode> {
        self.sessions.remove(&key);
        if self.sessions.len() >= max {
            return Err(ErrorCode::ShareSessionLimitReached);
        }
        let partitions = partitions.iter().map(|id| (*id, false)).collect();
        let session = ShareSession { epoch: next_epoch(INITIAL_EPOCH), connection, partitions };
        if let Some(connection) = connection {
            self.by_connection.insert(connection, key.clone());
        }
        self.sessions.insert(key, session);
        Ok(())
    }

    /// The session that a request goes on with; its epoch moves.
    ///
    /// # Errors
    /// `SHARE_SESSION_NOT_FOUND`, `INVALID_SHARE_SESSION_EPOCH`
    pub(crate) fn go_on(&mut self, key: &SessionKey, epoch: i32) -> Result<&mut ShareSession, ErrorCode> {
        let session = self.sessions.get_mut(key).ok_or(ErrorCode::ShareSessionNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidShareSessionEpoch);
        }
        session.epoch = next_epoch(epoch);
        Ok(session)
    }

    /// Whether there is such a session.
    pub(crate) fn contains(&self, key: &SessionKey) -> bool {
        self.sessions.contains_key(key)
    }

    /// Ends a session.
    pub(crate) fn remove(&mut self, key: &SessionKey) -> Option<ShareSession> {
        self.sessions.remove(key)
    }

    /// A connection closed: the member whose session it was, and whether the session was still that connection's.
    pub(crate) fn disconnect(&mut self, connection: ConnectionId) -> Option<(SessionKey, bool)> {
        let key = self.by_connection.remove(&connection)?;
        let live = self.sessions.get(&key).is_some_and(|session| session.connection == Some(connection));
        Some((key, live))
    }

    /// Whether a group has a session.
    pub(crate) fn has_group(&self, group: &StrBytes) -> bool {
        let from = (group.clone(), StrBytes::default());
        self.sessions.range(from..).next().is_some_and(|((found, _), _)| found == group)
    }

    /// How many sessions are open.
    pub(crate) fn len(&self) -> usize {
        self.sessions.len()
    }
}

impl ShareSession {
    /// What it reads.
    pub(crate) fn partitions(&self) -> Vec<TopicPartitionId> {
        self.partitions.keys().copied().collect()
    }

    /// Adds partitions and lets others go.
    pub(crate) fn update(&mut self, added: &[TopicPartitionId], forgotten: &BTreeSet<TopicPartitionId>) {
        for partition in added {
            self.partitions.entry(*partition).or_insert(true);
        }
        if !forgotten.is_empty() {
            self.partitions.retain(|known, _| !forgotten.contains(known));
        }
    }

    /// Whether a response must name a partition, and takes note that it does. One that gives records goes to the end, so that
    /// others get their turn.
    pub(crate) fn must_answer(
        &mut self,
        partition: TopicPartitionId,
        has_records: bool,
        failed: bool,
    ) -> bool {
        let Some(pending) = self.partitions.get_mut(&partition) else { return true };
        let must = has_records || failed || *pending;
        *pending = failed;
        if has_records {
            self.partitions.shift_remove(&partition);
            self.partitions.insert(partition, failed);
        }
        must
    }
}
