//! Giving records to a member (`SharePartition.acquire`).

use std::collections::VecDeque;

use klamm_node::Timestamp;
use klamm_wire::StrBytes;

use super::batch::Batch;
use super::partition::{Limits, SharePartition};
use super::record_state::{InFlight, RecordState};

/// From how many deliveries on records are given out a few at a time, at least.
const MIN_THROTTLE_DELIVERIES: i16 = 2;

/// Offsets in a row, both ends included.
pub(crate) type Span = (i64, i64);

/// A member's fetch of what was read from the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acquisition<'a> {
    /// Who fetches.
    pub(crate) member: &'a StrBytes,
    /// How many records one acquired batch shall have, about.
    pub(crate) batch_size: i32,
    /// How many records it wants, about: batches of the log are not divided for it, unless [`Acquisition::strict`].
    pub(crate) max_records: i32,
    /// Whether it gets no record more than that (`ShareAcquireMode.RECORD_LIMIT`, KIP-1206).
    pub(crate) strict: bool,
    /// Where the log was read.
    pub(crate) fetch_offset: i64,
    /// The batches of the log that were read.
    pub(crate) log: &'a [Span],
    /// Those of them that belong to aborted transactions, if they are not wanted.
    pub(crate) aborted: &'a [Span],
}

/// Records that a member has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acquired {
    /// The first one's offset.
    pub(crate) first: i64,
    /// The last one's offset.
    pub(crate) last: i64,
    /// How often they were delivered, this time included.
    pub(crate) deliveries: i16,
}

impl Acquired {
    const fn len(self) -> i64 {
        self.last - self.first + 1
    }
}

/// How many records these are.
pub(crate) fn count(acquired: &[Acquired]) -> i64 {
    acquired.iter().map(|a| a.len()).sum()
}

impl SharePartition {
    /// Gives records to a member, for as long as the lock lasts.
    pub(crate) fn acquire(
        &mut self,
        wanted: &Acquisition<'_>,
        limits: Limits,
        now: Timestamp,
    ) -> Vec<Acquired> {
        let (Some(first_read), Some(last_read)) = (wanted.log.first(), wanted.log.last()) else {
            return Vec::new();
        };
        if !self.is_active() || last_read.1 < self.start_offset {
            return Vec::new();
        }
        let (last, max) = self.bounds(wanted, last_read.1, limits);
        if max <= 0 {
            return Vec::new();
        }
        let lock = limits.lock_from(now);
        let read_from = first_read.0;
        self.archive_stale(wanted.fetch_offset, read_from);
        let mut base = read_from;
        match self.batches.range(..=base).next_back() {
            None => base = base.max(self.start_offset),
            Some((first, batch)) if batch.last >= base => base = *first,
            Some(_) => {}
        }
        let from = read_from.min(base);
        let known: Vec<i64> = if from <= last {
            self.batches.range(from..=last).map(|(at, _)| *at).collect()
        } else {
            Vec::new()
        };
        let mut acquired = Vec::new();
        if known.is_empty() {
            self.acquire_new(wanted, (base, last), max, lock, &mut acquired);
        } else {
            self.acquire_known(wanted, &known, (read_from, base, last), max, limits, lock, &mut acquired);
        }
        if acquired.is_empty() || wanted.aborted.is_empty() {
            return acquired;
        }
        self.leave_out_aborted(wanted.aborted, acquired)
    }

    /// The last offset to give out, and how many records (`lastOffsetAndMaxRecordsToAcquire`).
    fn bounds(&self, wanted: &Acquisition<'_>, last_read: i64, limits: Limits) -> Span {
        let max = i64::from(wanted.max_records);
        let room = i64::from(limits.max_in_flight) - self.in_flight();
        if max.min(room) > 0 || wanted.fetch_offset > self.end_offset {
            return (last_read, max.min(room));
        }
        // Too many are in flight, but these are among them.
        (last_read.min(self.end_offset), max.min(self.end_offset - wanted.fetch_offset + 1))
    }

    /// What was to be read, but is not in the log any more, is archived.
    fn archive_stale(&mut self, fetch_offset: i64, read_from: i64) {
        if fetch_offset < read_from && self.archive(fetch_offset, read_from, RecordState::Available) {
            self.look_for_free = true;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one fetch's share of a partition, spelled out")]
    fn acquire_known(
        &mut self,
        wanted: &Acquisition<'_>,
        known: &[i64],
        (read_from, base, last): (i64, i64, i64),
        mut max: i64,
        limits: Limits,
        lock: Timestamp,
        acquired: &mut Vec<Acquired>,
    ) {
        let mut gap_start = base;
        let mut known_end = base;
        for first in known {
            let taken = count(acquired);
            if taken >= max {
                break;
            }
            let Some(batch_last) = self.batches.get(first).map(|batch| batch.last) else { continue };
            known_end = known_end.max(batch_last);
            if self.active_gap().is_some() {
                if gap_start < *first {
                    self.acquire_new(wanted, (gap_start, first - 1), max - taken, lock, acquired);
                }
                gap_start = batch_last + 1;
                if count(acquired) >= max {
                    break;
                }
            }
            let Some(batch) = self.batches.get_mut(first) else { continue };
            let throttled = is_throttled(batch, (read_from, last), limits.max_deliveries);
            if throttled && !acquired.is_empty() {
                max = 0;
                break;
            }
            if batch.whole().is_some_and(|state| !state.is_free()) {
                continue;
            }
            let left = max - count(acquired);
            let too_many = wanted.strict && batch.len() > left;
            if !batch.is_within(read_from, last) || throttled || too_many || batch.whole().is_none() {
                let before = acquired.len();
                let at_most = wanted.strict.then_some(left);
                acquire_each(batch, wanted.member, (read_from, last), at_most, limits, lock, acquired);
                self.note_lock(lock);
                if throttled && acquired.len() > before {
                    max = 0;
                    break;
                }
                continue;
            }
            let (first, last) = (batch.first, batch.last);
            for (.., state) in batch.runs_mut() {
                if state.acquire(wanted.member, lock) {
                    acquired.push(Acquired { first, last, deliveries: state.deliveries });
                }
            }
            self.note_lock(lock);
        }
        let taken = count(acquired);
        if taken < max && known_end < last {
            self.acquire_new(wanted, (known_end + 1, last), max - taken, lock, acquired);
        }
        if let Some(latest) = acquired.last() {
            self.move_gap(latest.last + 1);
        }
    }

    /// Gives out records that never were (`acquireNewBatchRecords`).
    fn acquire_new(
        &mut self,
        wanted: &Acquisition<'_>,
        (mut first, limit): Span,
        max: i64,
        lock: Timestamp,
        acquired: &mut Vec<Acquired>,
    ) {
        if self.batches.is_empty() {
            first = first.max(self.end_offset);
        }
        let mut last = limit;
        if max < last - first + 1 {
            last = end_of_log_batch(wanted.log, first + max - 1);
            if self.active_gap().is_some() {
                last = last.min(limit);
            }
        }
        if first > last {
            return;
        }
        if wanted.strict {
            // The log's batch is in flight whole; what lies beyond the limit is free.
            let given = last.min(first + max - 1);
            let state = InFlight::new(RecordState::Acquired, 1, wanted.member.clone(), Some(lock));
            let mut batch = Batch::new(first, last, state);
            if given < last {
                let beyond = batch.split().iter_mut().skip(usize::try_from(given - first + 1).unwrap_or(0));
                beyond.for_each(|state| {
                    *state = InFlight::new(RecordState::Available, 0, StrBytes::default(), None);
                });
                self.look_for_free = true;
            }
            self.batches.insert(first, batch);
            acquired.push(Acquired { first, last: given, deliveries: 1 });
            return self.acquired_new((first, given), last, lock);
        }
        for (first, last) in divide(wanted.log, (first, last), wanted.batch_size.into()) {
            let state = InFlight::new(RecordState::Acquired, 1, wanted.member.clone(), Some(lock));
            self.batches.insert(first, Batch::new(first, last, state));
            acquired.push(Acquired { first, last, deliveries: 1 });
        }
        self.acquired_new((first, last), last, lock);
    }

    /// Records that were never given out before were, of batches that end at `end`.
    fn acquired_new(&mut self, (first, last): Span, end: i64, lock: Timestamp) {
        self.note_lock(lock);
        if self.batches.first_key_value().is_some_and(|(at, _)| *at == first) {
            self.start_offset = first;
        }
        self.end_offset = self.end_offset.max(end);
        self.move_gap(last + 1);
    }

    /// Archives records of aborted transactions instead of giving them out.
    fn leave_out_aborted(&mut self, aborted: &[Span], acquired: Vec<Acquired>) -> Vec<Acquired> {
        for (first, last) in aborted {
            self.archive(*first, last + 1, RecordState::Acquired);
        }
        let mut kept = Vec::new();
        let mut open: VecDeque<Acquired> = acquired.into();
        while let Some(next) = open.pop_front() {
            let Some((first, last)) = aborted.iter().find(|(f, l)| *f <= next.last && *l >= next.first)
            else {
                kept.push(next);
                continue;
            };
            if next.first < *first {
                kept.push(Acquired { last: first - 1, ..next });
            }
            if next.last > *last {
                open.push_front(Acquired { first: last + 1, ..next });
            }
        }
        kept
    }
}

/// From how many deliveries on records are given out a few at a time.
fn throttle_from(max_deliveries: i16) -> i16 {
    MIN_THROTTLE_DELIVERIES.max((max_deliveries + 1) / 2)
}

/// Whether a batch has a record that was delivered so often that it may be what makes its readers fail
/// (`shouldThrottleRecordsDelivery`).
fn is_throttled(batch: &Batch, (first, last): Span, max_deliveries: i16) -> bool {
    let from = throttle_from(max_deliveries);
    batch.runs().into_iter().any(|(at, _, state)| {
        let asked = batch.whole().is_some() || (first <= at && at <= last);
        asked && state.is_free() && state.deliveries >= from
    })
}

/// Gives out single records of a batch, no more than `limit`: fewer of those that were delivered often, and the last delivery of a
/// record alone.
fn acquire_each(
    batch: &mut Batch,
    member: &StrBytes,
    (first, last): Span,
    limit: Option<i64>,
    limits: Limits,
    lock: Timestamp,
    acquired: &mut Vec<Acquired>,
) {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let throttle_from = throttle_from(limits.max_deliveries);
    let goes_alone = limits.max_deliveries > 2;
    let batch_first = batch.first;
    let each = batch.split();
    let len = each.len();
    let (mut taken, mut at_most): (Vec<Acquired>, Option<usize>) = (Vec::new(), None);
    for (offset, state) in (batch_first..).zip(each.iter_mut()) {
        if offset < first || !state.is_free() {
            continue;
        }
        if offset > last || goes_alone && state.deliveries == limits.max_deliveries - 1 && !taken.is_empty() {
            break;
        }
        if state.deliveries >= throttle_from && at_most.is_none() {
            let shift = u32::from((state.deliveries - throttle_from).unsigned_abs()) + 1;
            at_most = Some(len.checked_shr(shift).unwrap_or(0).max(1));
        }
        if !state.acquire(member, lock) {
            continue;
        }
        taken.push(Acquired { first: offset, last: offset, deliveries: state.deliveries });
        let enough = [at_most, limit].contains(&Some(taken.len()));
        if goes_alone && state.deliveries == limits.max_deliveries || enough {
            break;
        }
    }
    // Neighbours that agree are told as one.
    let begin = acquired.len();
    for next in taken {
        match acquired[begin..].last_mut() {
            Some(before) if before.last + 1 == next.first && before.deliveries == next.deliveries => {
                before.last = next.last;
            }
            _ => acquired.push(next),
        }
    }
}

/// The end of the log's batch that holds `offset`, or `offset` itself when it lies in none (`lastOffsetFromBatchWithRequestOffset`).
fn end_of_log_batch(log: &[Span], offset: i64) -> i64 {
    let holds = log.iter().rev().find(|(base, _)| offset >= *base);
    holds.map_or(offset, |(_, last)| offset.max(*last))
}

/// Divides records into batches of about `size`, at the boundaries of the log's batches (`createBatches`).
fn divide(log: &[Span], (first, last): Span, size: i64) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut from = first;
    if last - first + 1 > size {
        for (base, _) in log.iter().take_while(|(base, _)| *base <= last) {
            if base - from >= size && base - from > 0 {
                spans.push((from, base - 1));
                from = *base;
            }
        }
    }
    spans.push((from, last));
    spans
}
