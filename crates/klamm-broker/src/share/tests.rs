//! A share-partition against what its members saw: nobody has a record that another has, and no record is forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use klamm_node::Timestamp;
use klamm_wire::{ErrorCode, StrBytes};
use proptest::prelude::*;

use super::acknowledge::{Acknowledgement, RENEW};
use super::acquire::{Acquired, Acquisition, Span, count};
use super::partition::{Limits, SharePartition};
use super::record_state::RecordState;
use crate::share_coordinator::state::{StateBatch, combine};

const LOCK_MS: u64 = 1_000;
const LIMITS: Limits = Limits { max_in_flight: 40, max_deliveries: 4, lock_ms: LOCK_MS, renews: true };

fn member(n: u8) -> StrBytes {
    StrBytes::from_string(format!("m{n}"))
}

/// A partition, its log, and what was written of its state.
struct Leader {
    partition: SharePartition,
    log: Vec<Span>,
    now: Timestamp,
    stored_start: i64,
    stored: Vec<StateBatch>,
    /// Changes on their way: start offset, what changed, and whether they end a member's change.
    writes: VecDeque<(i64, Vec<StateBatch>, bool)>,
    /// What the last acknowledgement renewed.
    renewed: Vec<Span>,
}

impl Leader {
    fn new() -> Self {
        let mut partition = SharePartition::new(1);
        assert!(partition.load(0, 0, &[]));
        Self {
            partition,
            log: Vec::new(),
            now: Timestamp::ZERO,
            stored_start: 0,
            stored: Vec::new(),
            writes: VecDeque::new(),
            renewed: Vec::new(),
        }
    }

    fn produce(&mut self, records: i64) {
        let base = self.end();
        self.log.push((base, base + records - 1));
    }

    fn end(&self) -> i64 {
        self.log.last().map_or(0, |(_, last)| last + 1)
    }

    fn fetch(&mut self, n: u8, max_records: i32, batch_size: i32, batches: usize) -> Vec<Acquired> {
        self.fetch_as(n, max_records, false, batch_size, batches)
    }

    /// As [`Leader::fetch`], of no record more than `max_records`.
    fn fetch_strictly(&mut self, n: u8, max_records: i32) -> Vec<Acquired> {
        self.fetch_as(n, max_records, true, 500, 9)
    }

    fn fetch_as(
        &mut self,
        n: u8,
        max_records: i32,
        strict: bool,
        batch_size: i32,
        batches: usize,
    ) -> Vec<Acquired> {
        if !self.partition.can_acquire(LIMITS) {
            return Vec::new();
        }
        let fetch_offset = self.partition.next_fetch_offset();
        let read = self.log.iter().filter(|(_, last)| *last >= fetch_offset).take(batches);
        let read: Vec<Span> = read.copied().collect();
        let wanted = Acquisition {
            member: &member(n),
            batch_size,
            max_records,
            strict,
            fetch_offset,
            log: &read,
            aborted: &[],
        };
        self.partition.acquire(&wanted, LIMITS, self.now)
    }

    fn acknowledge(&mut self, n: u8, first: i64, last: i64, types: &[i8]) -> Result<(), ErrorCode> {
        let said = Acknowledgement { first, last, types: types.to_vec() };
        let (renewed, changes) = self.partition.acknowledge(&member(n), &[said], LIMITS, self.now);
        self.renewed = renewed;
        self.write(changes.map_err(|refusal| refusal.error)?, true);
        Ok(())
    }

    fn write(&mut self, changes: Vec<StateBatch>, ends: bool) {
        if !changes.is_empty() {
            self.writes.push_back((self.partition.start_offset, changes, ends));
        }
    }

    /// The oldest write is done, or has failed.
    fn finish_write(&mut self, written: bool) {
        let Some((start, changes, ends)) = self.writes.pop_front() else { return };
        if written {
            self.stored_start = self.stored_start.max(start);
            self.stored = combine(&self.stored, &changes, self.stored_start);
        }
        if ends {
            self.partition.end_changes(&changes, written, self.now);
        } else if written {
            self.partition.expiry_written();
        }
    }

    fn advance(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        let changes = self.partition.expire(LIMITS, self.now);
        self.write(changes, false);
    }

    fn state(&self, offset: i64) -> Option<RecordState> {
        self.partition.states().get(&offset).map(|state| state.state)
    }
}

#[test]
fn records_are_given_to_one_member_at_a_time() {
    let mut leader = Leader::new();
    leader.produce(10);
    assert_eq!(leader.fetch(1, 500, 500, 9), [Acquired { first: 0, last: 9, deliveries: 1 }]);
    assert_eq!(leader.fetch(2, 500, 500, 9), []);
    leader.acknowledge(1, 0, 4, &[1]).unwrap();
    leader.acknowledge(1, 5, 9, &[1, 2, 3, 2, 0]).unwrap();
    leader.finish_write(true);
    leader.finish_write(true);
    assert_eq!(leader.partition.start_offset, 6);
    // Each that is free, in one fetch: neither is throttled yet.
    let again = leader.fetch(2, 500, 500, 9);
    assert_eq!(again, [6, 8].map(|at| Acquired { first: at, last: at, deliveries: 2 }));
}

#[test]
fn what_nobody_acknowledges_is_given_out_again_until_the_limit() {
    let mut leader = Leader::new();
    leader.produce(1);
    for deliveries in 1..=LIMITS.max_deliveries {
        assert_eq!(leader.fetch(1, 500, 500, 9), [Acquired { first: 0, last: 0, deliveries }]);
        leader.advance(LOCK_MS - 1);
        assert_eq!(leader.state(0), Some(RecordState::Acquired));
        leader.advance(1);
        leader.finish_write(true);
    }
    assert_eq!(leader.partition.start_offset, 1);
    assert_eq!(leader.fetch(1, 500, 500, 9), []);
}

#[test]
fn a_renewed_lock_begins_anew_and_is_no_delivery() {
    let mut leader = Leader::new();
    leader.produce(4);
    leader.fetch(1, 500, 500, 9);
    leader.advance(LOCK_MS - 1);
    // Of two of four, one of which is done with.
    leader.acknowledge(1, 0, 2, &[RENEW, RENEW, 1]).unwrap();
    assert_eq!((leader.renewed.as_slice(), leader.writes.len()), (&[(0, 1)][..], 1));
    leader.finish_write(true);
    leader.advance(1);
    assert_eq!(leader.fetch(2, 500, 500, 9), [Acquired { first: 3, last: 3, deliveries: 2 }]);
    leader.advance(LOCK_MS - 2);
    assert_eq!(leader.fetch(2, 500, 500, 9), []);
    leader.acknowledge(1, 0, 1, &[RENEW]).unwrap();
    assert!(leader.writes.len() == 1, "nothing of a renewal is written down, only of 3 that was lost");
    leader.advance(LOCK_MS - 1);
    assert_eq!(leader.state(0), Some(RecordState::Acquired));
    leader.advance(1);
    assert_eq!(leader.acknowledge(1, 0, 1, &[RENEW]), Err(ErrorCode::InvalidRecordState), "too late");
    let again = leader.fetch(2, 500, 500, 9);
    assert_eq!(again.first().map(|a| (a.first, a.deliveries)), Some((0, 2)));
}

#[test]
fn a_group_may_have_no_renewals() {
    let mut leader = Leader::new();
    leader.produce(2);
    leader.fetch(1, 500, 500, 9);
    let none = Limits { renews: false, ..LIMITS };
    for said in [(0, 1, RENEW), (0, 0, RENEW)] {
        let said = Acknowledgement { first: said.0, last: said.1, types: vec![said.2] };
        let (renewed, refused) = leader.partition.acknowledge("m1", &[said], none, leader.now);
        assert_eq!((renewed, refused.map_err(|r| r.error)), (vec![], Err(ErrorCode::InvalidRecordState)));
    }
    leader.acknowledge(1, 0, 1, &[1]).unwrap();
}

#[test]
fn a_strict_limit_divides_the_logs_batches() {
    let mut leader = Leader::new();
    leader.produce(10);
    leader.produce(3);
    let one = |first, last, deliveries| [Acquired { first, last, deliveries }];
    assert_eq!(leader.fetch_strictly(1, 4), one(0, 3, 1));
    assert_eq!((leader.partition.end_offset, leader.state(4)), (9, Some(RecordState::Available)));
    assert_eq!(leader.fetch_strictly(2, 5), one(4, 8, 1));
    leader.acknowledge(1, 0, 3, &[2]).unwrap();
    leader.finish_write(true);
    assert_eq!(leader.fetch_strictly(2, 3), one(0, 2, 2));
    // What is left of the first batch, and of the second one what there is room for.
    let rest = [(3, 3, 2), (9, 9, 1), (10, 10, 1)].map(|(first, last, deliveries)| Acquired {
        first,
        last,
        deliveries,
    });
    assert_eq!(leader.fetch_strictly(3, 3), rest);
    assert_eq!(leader.fetch_strictly(3, 9), one(11, 12, 1));
    assert_eq!(leader.fetch_strictly(3, 9), []);
}

#[test]
fn a_record_that_fails_its_readers_is_given_out_alone_in_the_end() {
    let mut leader = Leader::new();
    leader.produce(8);
    let mut sizes = Vec::new();
    for _ in 0..4 {
        let acquired = leader.fetch(1, 500, 500, 9);
        sizes.push(acquired.iter().map(|a| a.last - a.first + 1).sum::<i64>());
        for a in acquired {
            leader.acknowledge(1, a.first, a.last, &[2]).unwrap();
            leader.finish_write(true);
        }
    }
    // Eight at first, half of them from the second redelivery on, one on the last.
    assert_eq!(sizes, [8, 8, 4, 1]);
}

#[test]
fn a_change_that_is_not_written_down_is_undone() {
    let mut leader = Leader::new();
    leader.produce(4);
    leader.fetch(1, 500, 500, 9);
    leader.acknowledge(1, 0, 3, &[1]).unwrap();
    assert_eq!(leader.acknowledge(1, 0, 3, &[1]), Err(ErrorCode::InvalidRecordState), "it is being written");
    leader.finish_write(false);
    assert_eq!(leader.state(0), Some(RecordState::Acquired));
    leader.acknowledge(1, 0, 3, &[1]).unwrap();
    // The lock ends while the change is being written: then nobody has the records.
    leader.advance(LOCK_MS);
    assert_eq!(leader.state(0), Some(RecordState::Acknowledged));
    leader.finish_write(false);
    assert_eq!(leader.state(0), Some(RecordState::Available));
    assert_eq!(leader.fetch(2, 500, 500, 9), [Acquired { first: 0, last: 3, deliveries: 2 }]);
}

#[test]
fn what_a_member_does_not_have_it_cannot_acknowledge() {
    let mut leader = Leader::new();
    leader.produce(4);
    leader.produce(4);
    assert_eq!(leader.acknowledge(1, 0, 3, &[1]), Err(ErrorCode::InvalidRecordState), "never given out");
    leader.fetch(1, 1, 500, 1);
    let before = leader.partition.clone();
    for (n, first, last, types, error) in [
        (2, 0, 3, &[1][..], ErrorCode::InvalidRecordState),
        (1, 0, 7, &[1], ErrorCode::InvalidRequest),
        (1, 5, 6, &[1], ErrorCode::InvalidRequest),
        (1, 0, 3, &[5], ErrorCode::InvalidRequest),
        (2, 0, 3, &[RENEW], ErrorCode::InvalidRecordState),
        (1, 0, 3, &[-1], ErrorCode::InvalidRequest),
        (1, 0, 3, &[], ErrorCode::InvalidRequest),
        (1, -5, -1, &[1], ErrorCode::None),
        (1, i64::MAX - 1, i64::MAX, &[1], ErrorCode::InvalidRequest),
    ] {
        let answer = leader.acknowledge(n, first, last, types).err().unwrap_or(ErrorCode::None);
        assert_eq!(answer, error, "{n} {first} {last} {types:?}");
        assert_eq!(leader.partition, before, "{n} {first} {last} {types:?}");
    }
    // Refused as a whole, though its first half would have been in order.
    let half = [
        Acknowledgement { first: 0, last: 1, types: vec![1] },
        Acknowledgement { first: 6, last: 7, types: vec![1] },
    ];
    leader.partition.acknowledge("m1", &half, LIMITS, leader.now).1.unwrap_err();
    assert!((0..4).all(|at| leader.state(at) == Some(RecordState::Acquired)));
}

#[test]
fn records_that_left_the_log_are_archived() {
    let mut leader = Leader::new();
    leader.produce(4);
    leader.produce(4);
    leader.fetch(1, 500, 2, 9);
    leader.acknowledge(1, 0, 3, &[2]).unwrap();
    leader.finish_write(true);
    leader.partition.move_start(6);
    assert_eq!(leader.state(0), Some(RecordState::Archived));
    // What a member has it may still acknowledge; what is gone stays its own until its time is over.
    leader.acknowledge(1, 4, 7, &[1]).unwrap();
    leader.finish_write(true);
    assert_eq!((leader.partition.start_offset, leader.state(5)), (6, Some(RecordState::Acquired)));
    leader.advance(LOCK_MS);
    leader.finish_write(true);
    assert_eq!((leader.partition.start_offset, leader.partition.in_flight()), (8, 0));
}

#[test]
fn state_that_makes_no_sense_is_not_loaded() {
    let batch = |first, last, state| StateBatch { first, last, state, count: 1 };
    for wrong in [
        vec![batch(4, 9, 0)],
        vec![batch(9, 8, 0)],
        vec![batch(5, 9, 0), batch(8, 12, 0)],
        vec![batch(5, 9, 7)],
        vec![batch(5, i64::MAX, 0)],
    ] {
        assert!(!SharePartition::new(0).load(0, 5, &wrong), "{wrong:?}");
    }
    let mut partition = SharePartition::new(0);
    assert!(partition.load(3, 5, &[batch(5, 6, 2), batch(9, 9, 0)]));
    assert_eq!((partition.start_offset, partition.next_fetch_offset()), (7, 7), "a hole is to be read");
}

#[derive(Debug, Clone)]
enum Step {
    Produce(i64),
    Fetch { member: u8, max_records: i32, strict: bool, batch_size: i32, batches: usize },
    Acknowledge { member: u8, skip: usize, take: i64, types: Vec<i8> },
    Forge { member: u8, first: i64, len: i64, ack_type: i8 },
    Release(u8),
    Advance(u64),
    Write(bool),
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1_i64..9).prop_map(Step::Produce),
        6 => (0_u8..3, 1_i32..20, prop::bool::ANY, 1_i32..10, 1_usize..5).prop_map(
            |(member, max_records, strict, batch_size, batches)| {
                Step::Fetch { member, max_records, strict, batch_size, batches }
            }
        ),
        6 => (0_u8..3, 0_usize..4, 1_i64..9, prop::collection::vec(0_i8..5, 1..3)).prop_map(
            |(member, skip, take, types)| Step::Acknowledge { member, skip, take, types }
        ),
        2 => (0_u8..3, -3_i64..60, 0_i64..12, 0_i8..5)
            .prop_map(|(member, first, len, ack_type)| Step::Forge { member, first, len, ack_type }),
        1 => (0_u8..3).prop_map(Step::Release),
        2 => (1_u64..LOCK_MS * 2).prop_map(Step::Advance),
        6 => prop::bool::weighted(0.9).prop_map(Step::Write),
        1 => Just(Step::Reload),
    ]
}

/// What members know: who has which record until when, and which records are done with.
#[derive(Default)]
struct Model {
    held: BTreeMap<i64, (u8, Timestamp)>,
    done: BTreeSet<i64>,
}

impl Model {
    fn kept(&mut self, now: Timestamp, renewed: &[Span]) {
        for at in renewed.iter().flat_map(|(first, last)| *first..=*last) {
            if let Some((_, until)) = self.held.get_mut(&at) {
                *until = now + Duration::from_millis(LOCK_MS);
            }
        }
    }

    fn took(&mut self, now: Timestamp, n: u8, acquired: &[Acquired]) -> Result<(), TestCaseError> {
        for a in acquired {
            prop_assert!(a.deliveries >= 1 && a.deliveries <= LIMITS.max_deliveries, "{a:?}");
            for offset in a.first..=a.last {
                prop_assert!(!self.done.contains(&offset), "{offset} was done with");
                if let Some((holder, until)) = self.held.get(&offset) {
                    prop_assert!(*until <= now, "{offset} is {holder}'s until {until}, and {n} got it");
                }
                self.held.insert(offset, (n, now + Duration::from_millis(LOCK_MS)));
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_record_is_lost_and_none_is_given_to_two(steps in prop::collection::vec(step(), 1..80)) {
        let mut leader = Leader::new();
        let mut model = Model::default();
        // Acknowledgements on their way: which records would be done with, and which would be free.
        for step in steps {
            match step {
                Step::Produce(records) => leader.produce(records),
                Step::Fetch { member, max_records, strict, batch_size, batches } => {
                    let acquired = leader.fetch_as(member, max_records, strict, batch_size, batches);
                    prop_assert!(!strict || count(&acquired) <= i64::from(max_records), "{:?}", acquired);
                    model.took(leader.now, member, &acquired)?;
                }
                Step::Acknowledge { member, skip, take, types } => {
                    let mut mine = model.held.iter().filter(|(_, (holder, _))| *holder == member).map(|(at, _)| *at);
                    let Some(first) = mine.nth(skip) else { continue };
                    let held = |at: &i64| model.held.get(at).is_some_and(|(holder, _)| *holder == member);
                    let last = (first..first + take).take_while(held).last().unwrap_or(first);
                    let types: Vec<i8> = match types.as_slice() {
                        [one] => vec![*one],
                        more => (first..=last).map(|at| more[at as usize % more.len()]).collect(),
                    };
                    let accepted = leader.acknowledge(member, first, last, &types).is_ok();
                    model.kept(leader.now, &leader.renewed);
                    if accepted {
                        let kept = |at| leader.renewed.iter().any(|(first, last)| (*first..=*last).contains(&at));
                        for at in (first..=last).filter(|at| !kept(*at)) {
                            model.held.remove(&at);
                        }
                    }
                }
                Step::Forge { member, first, len, ack_type } => {
                    let mine = |at: i64| model.held.get(&at).is_some_and(|(holder, _)| *holder == member);
                    if (first..=first + len).all(mine) {
                        continue;
                    }
                    let mut before = leader.partition.states();
                    let accepted = leader.acknowledge(member, first, first + len, &[ack_type]).is_ok();
                    model.kept(leader.now, &leader.renewed);
                    if !accepted || ack_type == RENEW {
                        for at in leader.renewed.iter().flat_map(|(first, last)| *first..=*last) {
                            prop_assert_eq!(model.held.get(&at).map(|(holder, _)| *holder), Some(member));
                            if let Some(state) = before.get_mut(&at) {
                                state.lock = Some(leader.now + Duration::from_millis(LOCK_MS));
                            }
                        }
                        prop_assert_eq!(leader.partition.states(), before);
                    } else {
                        // What lies before the start is passed over; the rest was this member's.
                        for at in first.max(0)..=first + len {
                            model.held.remove(&at);
                        }
                    }
                }
                Step::Release(member_n) => {
                    let changes = leader.partition.release(&member(member_n), LIMITS);
                    leader.write(changes, true);
                    model.held.retain(|_, (holder, _)| *holder != member_n);
                }
                Step::Advance(millis) => {
                    leader.advance(millis);
                    model.held.retain(|_, (_, until)| *until > leader.now);
                }
                Step::Write(written) => leader.finish_write(written),
                Step::Reload => {
                    leader.writes.clear();
                    leader.partition = SharePartition::new(1);
                    prop_assert!(leader.partition.load(0, leader.stored_start, &leader.stored));
                    model.held.clear();
                }
            }
            // A write that failed gives records back to whom they were taken from; the others were done with or free.
            for (at, state) in leader.partition.states() {
                if state.state == RecordState::Acquired && !state.is_changing() {
                    let holder = state.member.as_str()[1..].parse::<u8>().unwrap();
                    let until = state.lock.unwrap();
                    let known = model.held.entry(at).or_insert((holder, until));
                    prop_assert_eq!(*known, (holder, until), "{} has another holder than was told", at);
                }
            }
            for batch in &leader.stored {
                if RecordState::from_id(batch.state).unwrap().is_terminal() {
                    model.done.extend(batch.first..=batch.last);
                }
            }
            prop_assert!(leader.partition.start_offset <= leader.end());
            prop_assert!(leader.partition.first_lock().is_none_or(|lock| lock > leader.now
                || leader.partition.states().values().all(|s| s.lock != Some(lock) || s.is_changing())));
        }

        // In the end a patient member gets and accepts everything that is left.
        while !leader.writes.is_empty() {
            leader.finish_write(true);
        }
        leader.advance(LOCK_MS * 2);
        while !leader.writes.is_empty() {
            leader.finish_write(true);
        }
        for _ in 0..2_000 {
            let acquired = leader.fetch(9, 500, 500, 100);
            if acquired.is_empty() {
                break;
            }
            for a in acquired {
                leader.acknowledge(9, a.first, a.last, &[1]).unwrap();
                leader.finish_write(true);
            }
        }
        prop_assert_eq!(leader.partition.next_fetch_offset(), leader.end(), "{:?}", leader.partition);
        // As in Kafka, the start stays before a hole in what was read until newer records are given out.
        for (at, state) in leader.partition.states() {
            prop_assert!(state.state.is_terminal(), "{} is left behind: {:?}", at, state);
        }
    }
}
