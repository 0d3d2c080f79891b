//! Operations that wait for a condition or a deadline, and complete exactly once (`DelayedOperationPurgatory`).

pub(crate) mod delete_records;
pub(crate) mod fetch;
pub(crate) mod produce;

use std::collections::BTreeSet;
use std::ops::RangeBounds;

use klamm_node::{EventId, Timestamp};
use rustc_hash::FxHashMap;

/// A waiting operation; never reused within a purgatory's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct OpId(pub(crate) u64);

#[derive(Debug, Clone)]
struct Waiting<K, O> {
    /// `None` while it is lent.
    op: Option<O>,
    keys: Vec<K>,
    deadline: Timestamp,
    /// What it follows from when its time is up: what it began to wait in.
    cause: Option<EventId>,
}

/// Operations of one kind, found by what they watch and by when they end.
///
/// Taking an operation out is the only way to complete it, so none completes twice; and it leaves nothing behind
/// under its keys, so none leaks.
#[derive(Debug, Clone)]
pub(crate) struct Purgatory<K, O> {
    next_id: u64,
    ops: FxHashMap<OpId, Waiting<K, O>>,
    watched: BTreeSet<(K, OpId)>,
    deadlines: BTreeSet<(Timestamp, OpId)>,
}

impl<K, O> Default for Purgatory<K, O> {
    fn default() -> Self {
        Self { next_id: 0, ops: FxHashMap::default(), watched: BTreeSet::new(), deadlines: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, O> Purgatory<K, O> {
    /// Lets an operation wait, watching `keys`, until `deadline` at the latest. What happens then follows from `cause`.
    pub(crate) fn insert(
        &mut self,
        op: O,
        keys: Vec<K>,
        deadline: Timestamp,
        cause: Option<EventId>,
    ) -> OpId {
        let id = OpId(self.next_id);
        self.next_id += 1;
        for key in &keys {
            self.watched.insert((key.clone(), id));
        }
        self.deadlines.insert((deadline, id));
        self.ops.insert(id, Waiting { op: Some(op), keys, deadline, cause });
        id
    }

    /// A waiting operation.
    pub(crate) fn get_mut(&mut self, id: OpId) -> Option<&mut O> {
        self.ops.get_mut(&id)?.op.as_mut()
    }

    /// Every waiting operation that is not lent, with its deadline, in order of deadlines.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (OpId, &O, Timestamp)> {
        self.deadlines.iter().filter_map(|(at, id)| Some((*id, self.ops.get(id)?.op.as_ref()?, *at)))
    }

    /// Moves an operation's deadline.
    pub(crate) fn set_deadline(&mut self, id: OpId, deadline: Timestamp) {
        if let Some(waiting) = self.ops.get_mut(&id) {
            self.deadlines.remove(&(waiting.deadline, id));
            waiting.deadline = deadline;
            self.deadlines.insert((deadline, id));
        }
    }

    /// Takes an operation out to complete it.
    pub(crate) fn take(&mut self, id: OpId) -> Option<O> {
        let Waiting { op, keys, deadline, .. } = self.ops.remove(&id)?;
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

    /// The operation whose deadline is due first, and what the end of its wait follows from.
    pub(crate) fn first_due(&self, now: Timestamp) -> Option<(OpId, Option<EventId>)> {
        let (_, id) = self.deadlines.first().filter(|(at, _)| *at <= now)?;
        Some((*id, self.ops.get(id).and_then(|waiting| waiting.cause)))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Insert { keys: Vec<u8>, deadline: u64 },
        Take(u8),
        LendAndGiveBack(u8),
        Unwatch { at: u8, key: u8 },
        Expire(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (prop::collection::vec(0_u8..6, 0..4), 0_u64..100)
                .prop_map(|(keys, deadline)| Step::Insert { keys, deadline }),
            any::<u8>().prop_map(Step::Take),
            any::<u8>().prop_map(Step::LendAndGiveBack),
            (any::<u8>(), 0_u8..6).prop_map(|(at, key)| Step::Unwatch { at, key }),
            (0_u64..100).prop_map(Step::Expire),
        ]
    }

    proptest! {
        /// Against a list of who waits for what: nothing completes twice, nobody is forgotten, nothing is left behind.
        #[test]
        fn operations_complete_once_and_leave_nothing_behind(steps in prop::collection::vec(step(), 1..60)) {
            let mut purgatory: Purgatory<u8, usize> = Purgatory::default();
            let mut model: BTreeMap<OpId, (usize, Vec<u8>, u64)> = BTreeMap::new();
            let nth = |model: &BTreeMap<OpId, _>, at: u8| {
                let ids: Vec<OpId> = model.keys().copied().collect();
                (!ids.is_empty()).then(|| ids[at as usize % ids.len()])
            };
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert { keys, deadline } => {
                        let id = purgatory.insert(n, keys.clone(), Timestamp(deadline), None);
                        prop_assert!(model.insert(id, (n, keys, deadline)).is_none());
                    }
                    Step::Take(at) => if let Some(id) = nth(&model, at) {
                        let (op, ..) = model.remove(&id).unwrap();
                        prop_assert_eq!(purgatory.take(id), Some(op));
                        prop_assert_eq!(purgatory.take(id), None);
                    },
                    Step::LendAndGiveBack(at) => if let Some(id) = nth(&model, at) {
                        let op = purgatory.lend(id).unwrap();
                        prop_assert_eq!(purgatory.lend(id), None);
                        purgatory.give_back(id, op);
                    },
                    Step::Unwatch { at, key } => if let Some(id) = nth(&model, at) {
                        purgatory.unwatch(id, &key);
                        model.get_mut(&id).unwrap().1.retain(|k| *k != key);
                    },
                    Step::Expire(now) => {
                        let due = model.iter().filter(|(_, (.., at))| *at <= now).map(|(id, (.., at))| (*at, *id)).min();
                        prop_assert_eq!(purgatory.first_due(Timestamp(now)), due.map(|(_, id)| (id, None)));
                    }
                }
                prop_assert_eq!(purgatory.len(), model.len());
                prop_assert_eq!(purgatory.next_deadline(), model.values().map(|(.., at)| Timestamp(*at)).min());
                for key in 0..6 {
                    let watching: Vec<OpId> =
                        model.iter().filter(|(_, (_, keys, _))| keys.contains(&key)).map(|(id, _)| *id).collect();
                    let found: Vec<OpId> = purgatory.watchers(key..=key).into_iter().map(|(_, id)| id).collect();
                    prop_assert_eq!(found, watching);
                }
            }
            for id in model.into_keys() {
                prop_assert!(purgatory.take(id).is_some());
            }
            prop_assert!(purgatory.is_idle() && purgatory.watched.is_empty() && purgatory.deadlines.is_empty());
        }
    }
}
