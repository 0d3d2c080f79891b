//! One partition as one share group sees it (`SharePartition`): which records are in flight, who has them, and until when.
//!
//! Nothing here knows a broker, a log or a clock: times and what is in the log are arguments, and what must be written down is
//! returned. The records before `start_offset` are done with; those after `end_offset` were never given out.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::Timestamp;
use klamm_wire::{ErrorCode, StrBytes};

use super::batch::Batch;
use super::record_state::{InFlight, RecordState};
use crate::share_coordinator::state::StateBatch;

/// The most records that the stored state of a share-partition may span.
const MAX_STORED_SPAN: i64 = 1 << 24;

/// What a group's configuration says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// `share.partition.max.record.locks`
    pub(crate) max_in_flight: i32,
    /// `share.delivery.count.limit`
    pub(crate) max_deliveries: i16,
    /// `share.record.lock.duration.ms`
    pub(crate) lock_ms: u64,
    /// `share.renew.acknowledge.enable`
    pub(crate) renews: bool,
}

impl Limits {
    /// Until when a member holds what it gets now.
    pub(super) fn lock_from(&self, now: Timestamp) -> Timestamp {
        now + Duration::from_millis(self.lock_ms)
    }
}

/// Why an operation of a member is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Kafka's error.
    pub(crate) error: ErrorCode,
    /// What was wrong.
    pub(crate) message: &'static str,
}

/// Whether a share-partition can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartitionState {
    /// Its state is being read.
    Initializing,
    /// It can.
    Active,
}

/// A hole between stored states: what lies in it was never given out, or its delivery was forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GapWindow {
    /// The end offset when the state was read: beyond it there are no holes.
    pub(super) end_offset: i64,
    /// Where the first hole begins.
    pub(super) start: i64,
}

/// A share-partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharePartition {
    /// The epoch in which this broker leads the partition.
    pub(crate) leader_epoch: i32,
    /// The epoch of the group's state.
    pub(crate) state_epoch: i32,
    /// Whether it can be used.
    pub(crate) state: PartitionState,
    /// The first record that is not done with.
    pub(crate) start_offset: i64,
    /// The last record that was given out, or the start when none was.
    pub(crate) end_offset: i64,
    /// Records in flight, by their first offset.
    pub(super) batches: BTreeMap<i64, Batch>,
    /// Whether a record before the end may be free.
    pub(super) look_for_free: bool,
    /// Holes in what was read.
    pub(super) gaps: Option<GapWindow>,
    /// No holder loses a record before this.
    pub(super) first_lock: Option<Timestamp>,
}

impl SharePartition {
    /// A share-partition whose state has to be read.
    pub(crate) const fn new(leader_epoch: i32) -> Self {
        Self {
            leader_epoch,
            state_epoch: 0,
            state: PartitionState::Initializing,
            start_offset: 0,
            end_offset: 0,
            batches: BTreeMap::new(),
            look_for_free: false,
            gaps: None,
            first_lock: None,
        }
    }

    /// Takes over what was read. False when it makes no sense.
    pub(crate) fn load(&mut self, state_epoch: i32, start_offset: i64, stored: &[StateBatch]) -> bool {
        let mut gap_start = None;
        let mut expected = start_offset;
        let mut batches = BTreeMap::new();
        for batch in stored {
            let sane = batch.first >= expected
                && batch.last >= batch.first
                && batch.last - start_offset < MAX_STORED_SPAN
                && start_offset >= 0;
            let Some(state) = RecordState::from_id(batch.state).filter(|_| sane) else { return false };
            // Nobody has a record that was acquired when the state was written.
            let state = if state == RecordState::Acquired { RecordState::Available } else { state };
            if batch.first > expected {
                gap_start = gap_start.or(Some(expected));
            }
            expected = batch.last + 1;
            let in_flight = InFlight::new(state, batch.count, StrBytes::default(), None);
            batches.insert(batch.first, Batch::new(batch.first, batch.last, in_flight));
        }
        self.state_epoch = state_epoch;
        self.start_offset = start_offset;
        self.end_offset = batches.last_key_value().map_or(start_offset, |(_, batch)| batch.last);
        self.look_for_free = !batches.is_empty();
        self.gaps = gap_start.map(|start| GapWindow { end_offset: self.end_offset, start });
        self.batches = batches;
        self.state = PartitionState::Active;
        self.drop_terminal();
        true
    }

    /// Whether it can be used.
    pub(crate) fn is_active(&self) -> bool {
        self.state == PartitionState::Active
    }

    /// Where the next fetch reads (`nextFetchOffset`).
    pub(crate) fn next_fetch_offset(&mut self) -> i64 {
        let is_empty = self.batches.last_key_value().is_none_or(|(_, batch)| self.start_offset > batch.last);
        if is_empty {
            self.look_for_free = false;
            return self.end_offset;
        }
        if !self.look_for_free {
            return self.end_offset + 1;
        }
        let mut gap = self.active_gap();
        for batch in self.batches.values() {
            if let Some(start) = gap {
                if batch.first > start {
                    return start;
                }
                gap = Some(start.max(batch.last + 1));
            }
            let free = batch.runs().into_iter().find(|(_, _, state)| state.is_free());
            if let Some((first, ..)) = free {
                return first;
            }
        }
        self.look_for_free = false;
        self.end_offset + 1
    }

    /// Whether a fetch can be given anything (`canAcquireRecords`).
    pub(crate) fn can_acquire(&mut self, limits: Limits) -> bool {
        self.next_fetch_offset() != self.end_offset + 1 || self.in_flight() < i64::from(limits.max_in_flight)
    }

    /// How many records lie between start and end.
    pub(crate) fn in_flight(&self) -> i64 {
        if self.batches.is_empty() { 0 } else { self.end_offset - self.start_offset + 1 }
    }

    /// When to call [`SharePartition::expire`].
    pub(crate) const fn first_lock(&self) -> Option<Timestamp> {
        self.first_lock
    }

    /// Where the first hole is that may still be one.
    pub(super) fn active_gap(&self) -> Option<i64> {
        self.gaps.filter(|gaps| gaps.end_offset == self.end_offset).map(|gaps| gaps.start)
    }

    /// Records up to `offset` were given out: holes before it are none any more.
    pub(super) fn move_gap(&mut self, offset: i64) {
        if let Some(gaps) = &mut self.gaps {
            if gaps.end_offset == self.end_offset && offset <= gaps.end_offset {
                gaps.start = offset;
            } else {
                self.gaps = None;
            }
        }
    }

    /// The log begins at `log_start` now: what lies before it cannot be delivered (`updateCacheAndOffsets`).
    pub(crate) fn move_start(&mut self, log_start: i64) {
        if log_start <= self.start_offset {
            return;
        }
        if self.batches.is_empty() {
            self.start_offset = log_start;
            self.end_offset = log_start;
            return;
        }
        if self.archive(self.start_offset, log_start, RecordState::Available) {
            self.look_for_free = true;
        }
        self.start_offset = log_start;
        self.end_offset = self.end_offset.max(log_start);
    }

    /// Archives the records of a state in `first..end`. True when there were any.
    pub(super) fn archive(&mut self, first: i64, end: i64, from: RecordState) -> bool {
        let mut any = false;
        for batch in self.batches.range_mut(..end).map(|(_, batch)| batch) {
            if batch.last < first {
                continue;
            }
            if !batch.is_within(first, end - 1) {
                if batch.whole().is_some_and(|state| state.state != from) {
                    continue;
                }
                batch.split();
            }
            for (at, _, state) in batch.runs_mut() {
                if at >= first && at < end && state.state == from {
                    state.archive();
                    any = true;
                }
            }
        }
        any
    }

    /// Moves the start past records that are done with, and forgets them (`maybeUpdateCachedStateAndOffsets`). True when it moved.
    pub(super) fn drop_terminal(&mut self) -> bool {
        if !self.can_move_start() {
            return false;
        }
        let Some(last_done) = self.last_done() else { return false };
        let Some(last) = self.batches.last_key_value().map(|(_, batch)| batch.last) else { return false };
        if last_done == last {
            self.start_offset = last + 1;
            self.end_offset = last + 1;
            self.batches.clear();
            self.gaps = None;
            return true;
        }
        let Some((first, batch)) = self.batches.range(..=last_done).next_back() else { return false };
        let (first, ends_it) = (*first, batch.last == last_done);
        let keep_from = if ends_it {
            let next = self.batches.range(last_done + 1..).next().map_or(last_done + 1, |(next, _)| *next);
            self.start_offset = self.start_offset.max(next);
            if let Some(gap) = self.active_gap() {
                self.start_offset = self.start_offset.min(gap);
            }
            next
        } else {
            self.start_offset = self.start_offset.max(last_done + 1);
            first
        };
        self.batches = self.batches.split_off(&keep_from);
        true
    }

    fn can_move_start(&self) -> bool {
        let Some((_, batch)) = self.batches.range(..=self.start_offset).next_back() else { return false };
        batch
            .at(self.start_offset.min(batch.last))
            .is_some_and(|state| !state.is_changing() && state.state.is_terminal())
    }

    /// The last of the records from the beginning that are all done with (`findLastOffsetAcknowledged`).
    fn last_done(&self) -> Option<i64> {
        let mut done = None;
        for batch in self.batches.values() {
            if self.active_gap().is_some_and(|gap| batch.last >= gap) {
                return done;
            }
            for (_, last, state) in batch.runs() {
                if state.is_changing() || !state.state.is_terminal() {
                    return done;
                }
                done = Some(last);
            }
        }
        done
    }

    /// The states of all records in flight, for tests and for those who look on.
    #[cfg(test)]
    pub(crate) fn states(&self) -> BTreeMap<i64, InFlight> {
        let runs = self.batches.values().flat_map(Batch::runs);
        runs.flat_map(|(first, last, state)| (first..=last).map(move |at| (at, state.clone()))).collect()
    }

    /// Looks for the first lock again.
    pub(super) fn find_first_lock(&mut self) {
        self.first_lock = self.batches.values().filter_map(Batch::first_lock).min();
    }

    /// A record is held until `lock`.
    pub(super) fn note_lock(&mut self, lock: Timestamp) {
        self.first_lock = Some(self.first_lock.map_or(lock, |first| first.min(lock)));
    }
}
