//! What members say of the records that they have, and what happens when they say nothing: acknowledging, keeping, releasing, losing
//! them (`SharePartition.acknowledge`, `releaseAcquiredRecords`, `releaseAcquisitionLockOnTimeout`).

use klamm_node::Timestamp;
use klamm_wire::ErrorCode;

use super::acquire::Span;
use super::partition::{Limits, Refusal, SharePartition};
use super::record_state::{InFlight, RecordState};
use crate::share_coordinator::state::StateBatch;

/// What a member says of some records (`ShareAcknowledgementBatch`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acknowledgement {
    /// The first record.
    pub(crate) first: i64,
    /// The last record.
    pub(crate) last: i64,
    /// What it says: one type for all, or one for each. 0 is a gap, 1 accepts, 2 releases, 3 rejects, [`RENEW`] keeps.
    pub(crate) types: Vec<i8>,
}

/// The type that has its member keep a record for as long again as when it got it (`AcknowledgeType.RENEW`, KIP-1222).
pub(crate) const RENEW: i8 = 4;

/// What acknowledgements do, while they are gone through.
#[derive(Debug, Default)]
struct Effects {
    /// What has to be written down.
    changes: Vec<StateBatch>,
    /// Records whose locks were renewed; neighbours are one.
    renewed: Vec<Span>,
}

impl Effects {
    fn renew(&mut self, first: i64, last: i64) {
        match self.renewed.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => self.renewed.push((first, last)),
        }
    }
}

const NOT_FOUND: Refusal =
    invalid_state("Batch record not found. The request batch offsets are not found in the cache.");
const PAST_FIRST: Refusal =
    invalid_request("Batch record not found. The first offset in request is past acquired records.");
const PAST_LAST: Refusal =
    invalid_request("Batch record not found. The last offset in request is past acquired records.");
const WRONG_TYPE: Refusal = invalid_request("Invalid acknowledge type.");
const BATCH_NOT_ACQUIRED: Refusal =
    invalid_state("The batch cannot be acknowledged. The batch is not in the acquired state.");
const OFFSET_NOT_ACQUIRED: Refusal =
    invalid_state("The offset cannot be acknowledged. The offset is not acquired.");
const CHANGING: Refusal =
    invalid_state("The record state is invalid. The acknowledgement of delivery could not be completed.");
const NOT_BATCH_OWNER: Refusal = invalid_state("Member is not the owner of batch record");
const NO_RENEWAL: Refusal = invalid_state("Renewing acquisition locks is not enabled for the group.");
const NOT_OFFSET_OWNER: Refusal = invalid_state("Member is not the owner of offset");

const fn invalid_state(message: &'static str) -> Refusal {
    Refusal { error: ErrorCode::InvalidRecordState, message }
}

const fn invalid_request(message: &'static str) -> Refusal {
    Refusal { error: ErrorCode::InvalidRequest, message }
}

impl SharePartition {
    /// Takes note of what a member says: the records whose locks were renewed, which counts at once, and what has to be written down
    /// before it counts. Where something is refused nothing changes, but what was renewed before that stays so, as in Kafka.
    /// Follow with [`SharePartition::end_changes`].
    pub(crate) fn acknowledge(
        &mut self,
        member: &str,
        acknowledgements: &[Acknowledgement],
        limits: Limits,
        now: Timestamp,
    ) -> (Vec<Span>, Result<Vec<StateBatch>, Refusal>) {
        let mut effects = Effects::default();
        let lock = limits.lock_from(now);
        let all = acknowledgements
            .iter()
            .try_for_each(|said| self.acknowledge_one(member, said, limits, lock, &mut effects));
        let Effects { changes, renewed } = effects;
        if !renewed.is_empty() {
            self.note_lock(lock);
        }
        if let Err(refusal) = all {
            self.end_changes(&changes, false, now);
            return (renewed, Err(refusal));
        }
        (renewed, Ok(changes))
    }

    fn acknowledge_one(
        &mut self,
        member: &str,
        said: &Acknowledgement,
        limits: Limits,
        lock: Timestamp,
        effects: &mut Effects,
    ) -> Result<(), Refusal> {
        let is_known = |ack_type: &i8| *ack_type == RENEW || state_for(*ack_type).is_some();
        if !said.types.iter().all(is_known) || said.types.is_empty() {
            return Err(WRONG_TYPE);
        }
        if said.last < self.start_offset {
            return Ok(());
        }
        let start = self.start_offset;
        for first in self.batches_of(said)? {
            let Some(batch) = self.batches.get_mut(&first) else { continue };
            if batch.last < start {
                continue;
            }
            if let Some(state) = batch.whole() {
                if state.member.is_empty() {
                    return Err(BATCH_NOT_ACQUIRED);
                }
                if state.member.as_str() != member {
                    return Err(NOT_BATCH_OWNER);
                }
                if state.is_changing() {
                    return Err(CHANGING);
                }
                if state.state != RecordState::Acquired {
                    return Err(BATCH_NOT_ACQUIRED);
                }
            }
            let start_inside = batch.first < start && batch.last >= start;
            if !batch.is_within(said.first, said.last) || said.types.len() > 1 || start_inside {
                batch.split();
            }
            for (at, last, state) in batch.runs_mut() {
                if last < said.first || last < start {
                    continue;
                }
                if at > said.last {
                    break;
                }
                if state.state != RecordState::Acquired {
                    return Err(OFFSET_NOT_ACQUIRED);
                }
                if state.is_changing() {
                    return Err(CHANGING);
                }
                if state.member.as_str() != member {
                    return Err(NOT_OFFSET_OWNER);
                }
                let ack_type = match said.types.as_slice() {
                    [all] => *all,
                    each => usize::try_from(at - said.first)
                        .ok()
                        .and_then(|i| each.get(i))
                        .copied()
                        .ok_or(WRONG_TYPE)?,
                };
                if ack_type == RENEW {
                    if !limits.renews {
                        return Err(NO_RENEWAL);
                    }
                    state.lock = Some(lock);
                    effects.renew(at, last);
                    continue;
                }
                let next = state_for(ack_type).ok_or(WRONG_TYPE)?;
                if !state.begin(next, limits.max_deliveries) {
                    return Err(invalid_state("Unable to acknowledge records for the batch"));
                }
                note(&mut effects.changes, at, last, state);
            }
        }
        Ok(())
    }

    /// The batches that hold acknowledged records, by their first offsets (`fetchSubMapForAcknowledgementBatch`).
    fn batches_of(&self, said: &Acknowledgement) -> Result<Vec<i64>, Refusal> {
        let floor = |offset: i64| self.batches.range(..=offset).next_back().map(|(first, _)| *first);
        let start_inside = said.first < self.start_offset && said.last >= self.start_offset;
        let from = floor(said.first).or_else(|| start_inside.then(|| floor(self.start_offset)).flatten());
        let from = from.ok_or(NOT_FOUND)?;
        if from > said.last {
            return Err(NOT_FOUND);
        }
        let found = self.batches.range(from..=said.last);
        let last = found.clone().next_back().map_or(i64::MIN, |(_, batch)| batch.last);
        if last < said.first {
            return Err(PAST_FIRST);
        }
        if said.last > last {
            return Err(PAST_LAST);
        }
        Ok(found.map(|(first, _)| *first).collect())
    }

    /// Takes all records from a member: they are available again, or archived when they were delivered often enough. What has
    /// to be written down; follow with [`SharePartition::end_changes`].
    pub(crate) fn release(&mut self, member: &str, limits: Limits) -> Vec<StateBatch> {
        let mut changes = Vec::new();
        let start = self.start_offset;
        for batch in self.batches.values_mut() {
            let held = batch.whole().is_some_and(|state| state.is_held_by(member));
            if held && batch.first < start && batch.last >= start {
                batch.split();
            }
            for (first, last, state) in batch.runs_mut() {
                if !state.is_held_by(member) {
                    continue;
                }
                let next = if last < start { RecordState::Archived } else { RecordState::Available };
                if state.begin(next, limits.max_deliveries) {
                    note(&mut changes, first, last, state);
                }
            }
        }
        changes
    }

    /// Takes records from members whose time is over. What has to be written down; it counts already.
    pub(crate) fn expire(&mut self, limits: Limits, now: Timestamp) -> Vec<StateBatch> {
        let mut changes = Vec::new();
        if self.first_lock.is_none_or(|lock| lock > now) {
            return changes;
        }
        let start = self.start_offset;
        for batch in self.batches.values_mut() {
            let over = |lock: Option<Timestamp>| lock.is_some_and(|lock| lock <= now);
            if batch.whole().is_some_and(|state| over(state.lock))
                && batch.first < start
                && batch.last >= start
            {
                batch.split();
            }
            for (first, last, state) in batch.runs_mut() {
                if !over(state.lock) || state.state != RecordState::Acquired {
                    continue;
                }
                let next = if last < start { RecordState::Archived } else { RecordState::Available };
                if state.change(next, limits.max_deliveries) {
                    note(&mut changes, first, last, state);
                    self.look_for_free |= state.state == RecordState::Available;
                }
            }
        }
        self.find_first_lock();
        // A change that is being written keeps its lock, and comes to an end by itself.
        self.first_lock = self.first_lock.filter(|lock| *lock > now).or_else(|| self.first_lock_after(now));
        changes
    }

    fn first_lock_after(&self, now: Timestamp) -> Option<Timestamp> {
        let runs = self.batches.values().flat_map(|batch| batch.runs());
        runs.filter_map(|(.., state)| state.lock).filter(|lock| *lock > now).min()
    }

    /// Ends changes that were to be written down. True when the start moved.
    pub(crate) fn end_changes(&mut self, changes: &[StateBatch], written: bool, now: Timestamp) -> bool {
        for change in changes {
            let from = self.batches.range(..=change.first).next_back().map_or(change.first, |(at, _)| *at);
            for batch in self.batches.range_mut(from..=change.last.max(from)).map(|(_, batch)| batch) {
                for (first, last, state) in batch.runs_mut() {
                    if last < change.first || first > change.last {
                        continue;
                    }
                    state.end(written, now);
                    self.look_for_free |= state.state == RecordState::Available;
                    if let Some(lock) = state.lock {
                        self.first_lock = Some(self.first_lock.map_or(lock, |known| known.min(lock)));
                    }
                }
            }
        }
        written && self.drop_terminal()
    }

    /// What was written of records that members lost is settled. True when the start moved.
    pub(crate) fn expiry_written(&mut self) -> bool {
        self.drop_terminal()
    }
}

/// What an acknowledgement makes of a record; [`RENEW`] leaves it what it is.
const fn state_for(ack_type: i8) -> Option<RecordState> {
    Some(match ack_type {
        0 | 3 => RecordState::Archived,
        1 => RecordState::Acknowledged,
        2 => RecordState::Available,
        _ => return None,
    })
}

/// Notes a change; neighbours that agree are one.
fn note(changes: &mut Vec<StateBatch>, first: i64, last: i64, state: &InFlight) {
    let next = StateBatch { first, last, state: state.state.id(), count: state.deliveries };
    match changes.last_mut() {
        Some(before)
            if before.last + 1 == first && (before.state, before.count) == (next.state, next.count) =>
        {
            before.last = last;
        }
        _ => changes.push(next),
    }
}
