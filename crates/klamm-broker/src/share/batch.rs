//! Records in a row that were acquired together (`InFlightBatch`): one state for all of them, until they go different ways.

use klamm_node::Timestamp;

use super::record_state::InFlight;

/// The state of a batch's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum States {
    /// All have this one.
    Whole(InFlight),
    /// Each has its own, the first record's first.
    Each(Vec<InFlight>),
}

/// Records in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The first record's offset.
    pub(crate) first: i64,
    /// The last record's offset.
    pub(crate) last: i64,
    /// Their states.
    pub(crate) states: States,
}

impl Batch {
    /// A batch whose records share a state.
    pub(crate) const fn new(first: i64, last: i64, state: InFlight) -> Self {
        Self { first, last, states: States::Whole(state) }
    }

    /// How many offsets it spans.
    pub(crate) const fn len(&self) -> i64 {
        self.last - self.first + 1
    }

    /// The state that all share, unless each has its own.
    pub(crate) const fn whole(&self) -> Option<&InFlight> {
        match &self.states {
            States::Whole(state) => Some(state),
            States::Each(_) => None,
        }
    }

    /// Gives each record a state of its own.
    pub(crate) fn split(&mut self) -> &mut Vec<InFlight> {
        if let States::Whole(state) = &self.states {
            let len = usize::try_from(self.len()).unwrap_or(0);
            self.states = States::Each(vec![state.clone(); len]);
        }
        match &mut self.states {
            States::Each(each) => each,
            States::Whole(_) => unreachable!("it was split"),
        }
    }

    /// The record's state.
    pub(crate) fn at(&self, offset: i64) -> Option<&InFlight> {
        if offset < self.first || offset > self.last {
            return None;
        }
        match &self.states {
            States::Whole(state) => Some(state),
            States::Each(each) => each.get(usize::try_from(offset - self.first).ok()?),
        }
    }

    /// Its states as runs: first offset, last offset, state.
    pub(crate) fn runs(&self) -> Vec<(i64, i64, &InFlight)> {
        match &self.states {
            States::Whole(state) => vec![(self.first, self.last, state)],
            States::Each(each) => {
                (self.first..).zip(each).map(|(offset, state)| (offset, offset, state)).collect()
            }
        }
    }

    /// As [`Batch::runs`], to change.
    pub(crate) fn runs_mut(&mut self) -> Vec<(i64, i64, &mut InFlight)> {
        match &mut self.states {
            States::Whole(state) => vec![(self.first, self.last, state)],
            States::Each(each) => {
                (self.first..).zip(each).map(|(offset, state)| (offset, offset, state)).collect()
            }
        }
    }

    /// When the first of its holders loses a record.
    pub(crate) fn first_lock(&self) -> Option<Timestamp> {
        match &self.states {
            States::Whole(state) => state.lock,
            States::Each(each) => each.iter().filter_map(|state| state.lock).min(),
        }
    }

    /// Whether it lies within these offsets.
    pub(crate) const fn is_within(&self, first: i64, last: i64) -> bool {
        self.first >= first && self.last <= last
    }
}
