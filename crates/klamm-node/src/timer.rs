//! A table of deadlines, each under a key that says why, with the event that it follows from.

use std::collections::{BTreeMap, BTreeSet};

use crate::time::Timestamp;
use crate::trace::EventId;

/// Deadlines by key; a key has at most one. Due timers come out in order of (time, key).
///
/// A timer follows from the last event of the step that set it, as a message does ([`TimerTable::stamp`]). One that a step without
/// events moves follows from what it followed from before; and so does one that is set again while it goes off, so that a task which
/// comes again and again follows from what began it.
#[derive(Debug, Clone)]
pub struct TimerTable<K> {
    at: BTreeMap<K, Deadline>,
    order: BTreeSet<(Timestamp, K)>,
    /// Set in this step, of which the last event is not known yet.
    fresh: Vec<K>,
    /// The timer that goes off, and what it follows from.
    firing: Option<(K, Option<EventId>)>,
}

#[derive(Debug, Clone, Copy)]
struct Deadline {
    at: Timestamp,
    cause: Option<EventId>,
}

impl<K: Ord + Clone> Default for TimerTable<K> {
    fn default() -> Self {
        Self { at: BTreeMap::new(), order: BTreeSet::new(), fresh: Vec::new(), firing: None }
    }
}

impl<K: Ord + Clone> TimerTable<K> {
    /// Sets or moves the deadline of `key`.
    pub fn set(&mut self, key: K, at: Timestamp) {
        let again = self.firing.as_ref().filter(|(firing, _)| *firing == key).map(|(_, cause)| *cause);
        if again.is_none() {
            self.fresh.push(key.clone());
        }
        let deadline = Deadline { at, cause: again.flatten() };
        if let Some(old) = self.at.insert(key.clone(), deadline) {
            self.order.remove(&(old.at, key.clone()));
            if again.is_none()
                && let Some(moved) = self.at.get_mut(&key)
            {
                moved.cause = old.cause;
            }
        }
        self.order.insert((at, key));
    }

    /// Ends a step: what was set in it follows from `cause`, its last event or else what the step follows from.
    pub fn stamp(&mut self, cause: Option<EventId>) {
        for key in self.fresh.drain(..) {
            if cause.is_some()
                && let Some(deadline) = self.at.get_mut(&key)
            {
                deadline.cause = cause;
            }
        }
    }

    /// Removes the deadline of `key`; false when it had none.
    pub fn cancel(&mut self, key: &K) -> bool {
        match self.at.remove(key) {
            Some(deadline) => self.order.remove(&(deadline.at, key.clone())),
            None => false,
        }
    }

    /// The deadline of `key`.
    pub fn deadline(&self, key: &K) -> Option<Timestamp> {
        self.at.get(key).map(|deadline| deadline.at)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Timestamp> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes the earliest timer that is due at `now`, and what it follows from. It goes off until the next one is asked for.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<(K, Option<EventId>)> {
        self.firing = None;
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        let cause = self.at.remove(&key).and_then(|deadline| deadline.cause);
        self.firing = Some((key.clone(), cause));
        Some((key, cause))
    }

    /// Every timer with its deadline, in order of (time, key).
    pub fn iter(&self) -> impl Iterator<Item = (&K, Timestamp)> {
        self.order.iter().map(|(at, key)| (key, *at))
    }

    /// Moves the deadline of `key`, if it has one, in no step: it follows from what it followed from before.
    pub fn postpone(&mut self, key: &K, at: Timestamp) {
        if let Some(deadline) = self.at.get_mut(key) {
            self.order.remove(&(deadline.at, key.clone()));
            deadline.at = at;
            self.order.insert((at, key.clone()));
        }
    }

    /// Removes every deadline.
    pub fn clear(&mut self) {
        self.at.clear();
        self.order.clear();
        self.fresh.clear();
        self.firing = None;
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

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp(seconds)
    }

    #[test]
    fn a_timer_follows_from_the_step_that_set_it() {
        let mut timers = TimerTable::default();
        timers.set("a", at(5));
        timers.set("b", at(5));
        timers.stamp(Some(EventId(1)));
        timers.set("b", at(4));
        timers.stamp(Some(EventId(2)));
        timers.set("a", at(6));
        timers.stamp(None);
        assert_eq!(timers.pop_due(at(6)), Some(("b", Some(EventId(2)))));
        assert_eq!(
            timers.pop_due(at(6)),
            Some(("a", Some(EventId(1)))),
            "a step without events only moved it"
        );
        assert_eq!(timers.pop_due(at(6)), None);
    }

    #[test]
    fn what_sets_itself_again_follows_from_what_began_it() {
        let mut timers = TimerTable::default();
        timers.set("sweep", at(1));
        timers.stamp(Some(EventId(1)));
        assert_eq!(timers.pop_due(at(1)), Some(("sweep", Some(EventId(1)))));
        timers.set("sweep", at(2));
        timers.set("other", at(2));
        timers.stamp(Some(EventId(7)));
        assert_eq!(timers.pop_due(at(1)), None);
        assert_eq!(timers.pop_due(at(2)), Some(("other", Some(EventId(7)))));
        assert_eq!(timers.pop_due(at(2)), Some(("sweep", Some(EventId(1)))));
        assert_eq!(timers.pop_due(at(2)), None);
        timers.set("sweep", at(3));
        timers.stamp(Some(EventId(9)));
        assert_eq!(timers.pop_due(at(3)), Some(("sweep", Some(EventId(9)))), "set by somebody else");
    }
}
