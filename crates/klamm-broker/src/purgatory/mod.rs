//! Operations that wait for a condition or a deadline, and complete exactly once (`DelayedOperationPurgatory`).

pub(crate) mod delete_records;
pub(crate) mod fetch;
pub(crate) mod produce;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;

use klamm_node::Timestamp;

/// A waiting operation; never reused within a purgatory's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OpId(pub(crate) u64);

#[derive(Debug)]
struct Waiting<K, O> {
    /// `None` while it is lent.
    op: Option<O>,
    keys: Vec<K>,
    deadline: Timestamp,
}

/// Operations of one kind, found by what they watch and by when they end.
///
/// Taking an operation out is the only way to complete it, so none completes twice; and it leaves nothing behind
/// under its keys, so none leaks.
#[derive(Debug)]
pub(crate) struct Purgatory<K, O> {
    next_id: u64,
    ops: BTreeMap<OpId, Waiting<K, O>>,
    watched: BTreeSet<(K, OpId)>,
    deadlines: BTreeSet<(Timestamp, OpId)>,
}

impl<K, O> Default for Purgatory<K, O> {
    fn default() -> Self {
        Self { next_id: 0, ops: BTreeMap::new(), watched: BTreeSet::new(), deadlines: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, O> Purgatory<K, O> {
    /// Lets an operation wait, watching `keys`, until `deadline` at the latest.
    pub(crate) fn insert(&mut self, op: O, keys: Vec<K>, deadline: Timestamp) -> OpId {
        let id = OpId(self.next_id);
        self.next_id += 1;
        for key in &keys {
            self.watched.insert((key.clone(), id));
        }
        self.deadlines.insert((deadline, id));
        self.ops.insert(id, Waiting { op: Some(op), keys, deadline });
        id
    }

    /// A waiting operation.
    pub(crate) fn get_mut(&mut self, id: OpId) -> Option<&mut O> {
        self.ops.get_mut(&id)?.op.as_mut()
    }

    /// Takes an operation out to complete it.
    pub(crate) fn take(&mut self, id: OpId) -> Option<O> {
        let Waiting { op, keys, deadline } = self.ops.remove(&id)?;
        for key in keys {
            self.watched.remove(&(key, id));
        }
        self.deadlines.remove(&(deadline, id));
        op
    }

    /// Lends an operation out to see whether it can complete; it keeps its place, its keys and its deadline.
    /// Follow with [`Purgatory::give_back`] or [`Purgatory::take`].
    pub(crate) fn lend(&mut self, id: OpId) -> Option<O> {
        self.ops.get_mut(&id)?.op.take()
    }

    /// Takes a lent operation back that could not complete.
    pub(crate) fn give_back(&mut self, id: OpId, op: O) {
        if let Some(waiting) = self.ops.get_mut(&id) {
            waiting.op = Some(op);
        }
    }

    /// Stops an operation's watch on one key.
    pub(crate) fn unwatch(&mut self, id: OpId, key: &K) {
        if let Some(waiting) = self.ops.get_mut(&id) {
            waiting.keys.retain(|k| k != key);
        }
        self.watched.remove(&(key.clone(), id));
    }

    /// The operations that watch a key in a range, with the key, in order.
    pub(crate) fn watchers(&self, keys: impl RangeBounds<K>) -> Vec<(K, OpId)> {
        use std::ops::Bound;
        let low = match keys.start_bound() {
            Bound::Included(k) => Bound::Included((k.clone(), OpId(0))),
            Bound::Excluded(k) => Bound::Excluded((k.clone(), OpId(u64::MAX))),
            Bound::Unbounded => Bound::Unbounded,
        };
        let high = match keys.end_bound() {
            Bound::Included(k) => Bound::Included((k.clone(), OpId(u64::MAX))),
            Bound::Excluded(k) => Bound::Excluded((k.clone(), OpId(0))),
            Bound::Unbounded => Bound::Unbounded,
        };
        self.watched.range((low, high)).cloned().collect()
    }

    /// The earliest deadline.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// The operation whose deadline is due first.
    pub(crate) fn first_due(&self, now: Timestamp) -> Option<OpId> {
        self.deadlines.first().filter(|(at, _)| *at <= now).map(|(_, id)| *id)
    }

    /// Whether nothing waits.
    pub(crate) fn is_idle(&self) -> bool {
        self.ops.is_empty()
    }

    /// How many operations wait.
    pub(crate) fn len(&self) -> usize {
        self.ops.len()
    }
}
