//! What will happen, in order of (time, insertion). Time jumps from one entry to the next; there are no ticks.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use klamm_node::{EventId, Timestamp};

/// A queue of events. Events for the present do not pass through the heap, and the heap orders places, not events: those are
/// too large to be moved about while it sifts.
#[derive(Debug, Clone)]
pub(crate) struct Schedule<E> {
    later: BinaryHeap<Reverse<Entry>>,
    /// The events of `later`, each in its entry's place.
    places: Vec<Option<(Option<EventId>, E)>>,
    free: Vec<usize>,
    present: VecDeque<(Option<EventId>, E)>,
    inserted: u64,
    /// What the events to be added follow from.
    cause: Option<EventId>,
}

/// In order of time, then of insertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Timestamp,
    ordinal: u64,
    place: usize,
}

impl<E> Default for Schedule<E> {
    fn default() -> Self {
        Self {
            later: BinaryHeap::new(),
            places: Vec::new(),
            free: Vec::new(),
            present: VecDeque::new(),
            inserted: 0,
            cause: None,
        }
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
        let waiting = Some((self.cause, event));
        let place = match self.free.pop() {
            Some(place) => {
                self.places[place] = waiting;
                place
            }
            None => {
                self.places.push(waiting);
                self.places.len() - 1
            }
        };
        self.later.push(Reverse(Entry { at, ordinal: self.inserted, place }));
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
            let Reverse(entry) = self.later.pop()?;
            let (cause, event) = self.places[entry.place].take()?;
            self.free.push(entry.place);
            self.cause = cause;
            return Some(event);
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
        let (places, free) = (&mut self.places, &mut self.free);
        self.later.retain(|Reverse(entry)| {
            let place = &mut places[entry.place];
            let kept = place.as_ref().is_some_and(|(_, event)| keep(event));
            if !kept {
                *place = None;
                free.push(entry.place);
            }
            kept
        });
        self.present.retain(|(_, event)| keep(event));
    }

    /// How many events wait.
    pub(crate) fn len(&self) -> usize {
        self.later.len() + self.present.len()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.later.clear();
        self.places.clear();
        self.free.clear();
        self.present.clear();
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
    fn what_is_forgotten_leaves_its_place_to_others() {
        let mut schedule = Schedule::default();
        for (index, event) in "abcdef".chars().enumerate() {
            schedule.push(at(0), at(10 - index as u64), event);
        }
        schedule.retain(|event| "ace".contains(*event));
        assert_eq!(schedule.len(), 3);
        schedule.push(at(0), at(7), 'x');
        schedule.push(at(0), at(9), 'y');
        let order: String = std::iter::from_fn(|| schedule.pop_due(at(10))).collect();
        assert_eq!(order, "excya");
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
