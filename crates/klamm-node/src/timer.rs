//! A table of deadlines, each under a key that says why.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Timestamp;

/// Deadlines by key; a key has at most one. Due timers come out in order of (time, key).
#[derive(Debug, Clone)]
pub struct TimerTable<K> {
    at: BTreeMap<K, Timestamp>,
    order: BTreeSet<(Timestamp, K)>,
}

impl<K: Ord + Clone> Default for TimerTable<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), order: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> TimerTable<K> {
    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Timestamp) {
        if let Some(old) = self.at.insert(key.clone(), at) {
            self.order.remove(&(old, key.clone()));
        }
        self.order.insert((at, key));
    }

    /// Removes the deadline of `key`; false when it had none.
    pub fn cancel(&mut self, key: &K) -> bool {
        match self.at.remove(key) {
            Some(at) => self.order.remove(&(at, key.clone())),
            None => false,
        }
    }

    /// The deadline of `key`.
    pub fn deadline(&self, key: &K) -> Option<Timestamp> {
        self.at.get(key).copied()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due at `now`.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.at.remove(&key);
        Some(key)
    }

    /// Removes every deadline.
    pub fn clear(&mut self) {
        self.at.clear();
        self.order.clear();
    }

    /// How many timers are set.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether no timer is set.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}
