//! What will happen, in order of (time, insertion). Time jumps from one entry to the next; there are no ticks.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};

use klamm_node::{EventId, Timestamp};

/// A queue of events. Events for the present do not pass through the heap.
#[derive(Debug, Clone)]
pub(crate) struct Schedule<E> {
    later: BinaryHeap<Reverse<Entry<E>>>,
    present: VecDeque<(Option<EventId>, E)>,
    inserted: u64,
    /// What the events to be added follow from.
    cause: Option<EventId>,
}

#[derive(Debug, Clone)]
struct Entry<E> {
    at: Timestamp,
    ordinal: u64,
    cause: Option<EventId>,
    event: E,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self { later: BinaryHeap::new(), present: VecDeque::new(), inserted: 0, cause: None }
    }
}

impl<E> Schedule<E> {
    /// Adds an event that happens at `at`, seen from `now`.
    pub(crate) fn push(&mut self, now: Timestamp, at: Timestamp, event: E) {
        if at <= now {
            self.present.push_back((self.cause, event));
            return;
        }
        self.inserted += 1;
        self.later.push(Reverse(Entry { at, ordinal: self.inserted, cause: self.cause, event }));
    }

    /// The events to be added follow from `cause`.
    pub(crate) const fn follow(&mut self, cause: Option<EventId>) {
        self.cause = cause;
    }

    /// What the events that are added now follow from: after [`Schedule::pop_due`], what its event follows from.
    pub(crate) const fn cause(&self) -> Option<EventId> {
        self.cause
    }

    /// Takes the next event that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<E> {
        self.cause = None;
        // An entry of the heap that is due now was inserted before now, hence before everything in `present`.
        if self.later.peek().is_some_and(|Reverse(entry)| entry.at <= now) {
            return self.later.pop().map(|Reverse(entry)| {
                self.cause = entry.cause;
                entry.event
            });
        }
        let (cause, event) = self.present.pop_front()?;
        self.cause = cause;
        Some(event)
    }

    /// When the next event is due: [`Timestamp::ZERO`] for the present, [`Timestamp::MAX`] when there is none.
    pub(crate) fn next(&self) -> Timestamp {
        if !self.present.is_empty() {
            return Timestamp::ZERO;
        }
        self.later.peek().map_or(Timestamp::MAX, |Reverse(entry)| entry.at)
    }

    /// Forgets the events that `keep` says no to.
    pub(crate) fn retain(&mut self, keep: impl Fn(&E) -> bool) {
        self.later.retain(|Reverse(entry)| keep(&entry.event));
        self.present.retain(|(_, event)| keep(event));
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.later.len() + self.present.len()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.later.clear();
        self.present.clear();
    }
}

impl<E> Entry<E> {
    const fn key(&self) -> (Timestamp, u64) {
        (self.at, self.ordinal)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Timestamp {
        Timestamp(nanos)
    }

    #[test]
    fn events_come_by_time_and_then_by_insertion() {
        let mut schedule = Schedule::default();
        schedule.push(at(0), at(20), 'c');
        schedule.push(at(0), at(10), 'a');
        schedule.push(at(0), at(20), 'd');
        schedule.push(at(0), at(10), 'b');
        assert_eq!(schedule.next(), at(10));
        assert_eq!(schedule.pop_due(at(9)), None);

        let mut order = String::new();
        while schedule.next() != Timestamp::MAX {
            let now = schedule.next();
            while let Some(event) = schedule.pop_due(now) {
                order.push(event);
            }
        }
        assert_eq!(order, "abcd");
    }

    #[test]
    fn what_was_planned_for_now_precedes_what_now_adds() {
        let mut schedule = Schedule::default();
        schedule.push(at(0), at(5), "planned first");
        schedule.push(at(0), at(5), "planned second");
        assert_eq!(schedule.pop_due(at(5)), Some("planned first"));
        schedule.push(at(5), at(5), "added now");
        assert_eq!(schedule.next(), Timestamp::ZERO, "there is something to do at once");
        assert_eq!(schedule.pop_due(at(5)), Some("planned second"));
        assert_eq!(schedule.pop_due(at(5)), Some("added now"));
        assert_eq!(schedule.len(), 0);
    }
}
