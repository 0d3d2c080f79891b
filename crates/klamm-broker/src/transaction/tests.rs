//! The state machine of one transactional id, alone: single rules, and properties of any sequence of changes.

use std::collections::BTreeSet;

use klamm_node::TopicPartition;
use klamm_wire::{ErrorCode, StrBytes};
use proptest::prelude::*;

use super::metadata::{NO_PRODUCER_ID, TransactionMetadata, Transit};
use super::records;
use super::state::{TransactionState as S, TransactionVersion as V};

const TIMEOUT_MS: i32 = 60_000;

fn partitions(ids: &[i32]) -> BTreeSet<TopicPartition> {
    ids.iter().map(|id| TopicPartition::new("t", *id)).collect()
}

/// An id whose producer has epoch 0.
fn initialized() -> TransactionMetadata {
    let mut metadata = TransactionMetadata::new(7, TIMEOUT_MS, 0);
    let transit = metadata.prepare_increment_epoch(TIMEOUT_MS, None, 1).unwrap();
    metadata.complete(transit).unwrap();
    metadata
}

/// An id with an open transaction.
fn ongoing(version: V) -> TransactionMetadata {
    let mut metadata = initialized();
    let transit = metadata.prepare_add_partitions(partitions(&[0, 1]), 2, version).unwrap();
    metadata.complete(transit).unwrap();
    metadata
}

fn producer(metadata: &TransactionMetadata) -> (i64, i16) {
    (metadata.current.producer_id, metadata.current.producer_epoch)
}

#[test]
fn each_state_follows_those_that_kafka_lets_it() {
    let table: [(S, &[S]); 8] = [
        (S::Empty, &[S::Empty, S::CompleteCommit, S::CompleteAbort]),
        (S::Ongoing, &[S::Empty, S::Ongoing, S::CompleteCommit, S::CompleteAbort]),
        (S::PrepareCommit, &[S::Ongoing]),
        (S::PrepareAbort, &[S::Empty, S::Ongoing, S::CompleteCommit, S::CompleteAbort, S::PrepareEpochFence]),
        (S::CompleteCommit, &[S::PrepareCommit]),
        (S::CompleteAbort, &[S::PrepareAbort]),
        (S::Dead, &[S::Empty, S::CompleteCommit, S::CompleteAbort]),
        (S::PrepareEpochFence, &[S::Ongoing]),
    ];
    for (state, allowed) in table {
        let follows: Vec<S> = S::ALL.iter().copied().filter(|p| state.may_follow(*p)).collect();
        assert_eq!(follows, allowed, "{state:?}");
        assert_eq!(S::from_id(state.id()), Some(state));
        assert_eq!(S::from_name(state.name()), Some(state));
    }
    assert_eq!(S::from_id(8), None);
    assert_eq!(S::from_id(-1), None);
}

#[test]
fn a_producer_that_recovers_gets_the_next_epoch_once() {
    let mut metadata = initialized();
    let transit = metadata.prepare_increment_epoch(TIMEOUT_MS, Some(0), 2).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!(producer(&metadata), (7, 1));
    // The answer was lost: it is told again.
    let transit = metadata.prepare_increment_epoch(TIMEOUT_MS, Some(0), 3).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!(producer(&metadata), (7, 1));
    // Another producer begins: the first one is fenced.
    let transit = metadata.prepare_increment_epoch(TIMEOUT_MS, None, 4).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!(producer(&metadata), (7, 2));
    assert_eq!(
        metadata.prepare_increment_epoch(TIMEOUT_MS, Some(1), 5),
        Err(ErrorCode::ProducerFenced),
        "an epoch that another producer has ended"
    );
    assert_eq!(metadata.pending, None);
}

#[test]
fn the_last_epoch_is_the_coordinators() {
    let mut metadata = initialized();
    metadata.current.producer_epoch = i16::MAX - 1;
    assert!(metadata.is_epoch_exhausted());
    assert_eq!(metadata.prepare_increment_epoch(TIMEOUT_MS, None, 2), Err(ErrorCode::UnknownServerError));
    let transit = metadata.prepare_producer_id_rotation(8, TIMEOUT_MS, 2, true).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!(producer(&metadata), (8, 0));
    assert_eq!((metadata.current.prev_producer_id, metadata.current.last_producer_epoch), (7, i16::MAX - 1));
}

#[test]
fn with_kip_890_the_end_of_a_transaction_bumps_the_epoch() {
    let mut metadata = ongoing(V::V2);
    let transit =
        metadata.prepare_abort_or_commit(S::PrepareCommit, V::V2, NO_PRODUCER_ID, 3, false).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!((metadata.current.state, producer(&metadata)), (S::PrepareCommit, (7, 1)));
    metadata.current.partitions.clear();
    let transit = metadata.prepare_complete(4).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!((metadata.current.state, producer(&metadata)), (S::CompleteCommit, (7, 1)));

    let mut metadata = ongoing(V::V0);
    let transit = metadata.prepare_abort_or_commit(S::PrepareAbort, V::V0, NO_PRODUCER_ID, 3, false).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!((metadata.current.state, producer(&metadata)), (S::PrepareAbort, (7, 0)));
}

#[test]
fn with_kip_890_a_used_up_producer_id_is_replaced_at_the_end_of_its_last_transaction() {
    let mut metadata = ongoing(V::V2);
    metadata.current.producer_epoch = i16::MAX - 1;
    let transit = metadata.prepare_abort_or_commit(S::PrepareCommit, V::V2, 8, 3, false).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!(producer(&metadata), (7, i16::MAX), "the markers carry the last epoch");
    let transit = metadata.prepare_complete(4).unwrap();
    metadata.complete(transit).unwrap();
    assert_eq!(producer(&metadata), (8, 0));
    assert_eq!(metadata.current.prev_producer_id, 7);
    assert_eq!(metadata.current.next_producer_id, NO_PRODUCER_ID);
}

#[test]
fn a_fence_that_failed_does_not_bump_again() {
    let mut metadata = ongoing(V::V0);
    let fence = metadata.prepare_fence().unwrap();
    assert_eq!((fence.state, fence.producer_epoch), (S::PrepareEpochFence, 1));
    assert_eq!(metadata.complete(fence), Err(ErrorCode::UnknownServerError), "it is never written");
    metadata.pending = None;
    metadata.current.producer_epoch = 1;
    metadata.has_failed_epoch_fence = true;
    assert_eq!(metadata.prepare_fence().unwrap().producer_epoch, 1);
}

#[test]
fn what_is_known_of_an_id_is_what_its_record_says() {
    let mut metadata = ongoing(V::V2);
    metadata.current.next_producer_id = 9;
    metadata.current.prev_producer_id = 6;
    let id = StrBytes::from_static_str("tid");
    for (version, keeps_all) in [(V::V0, false), (V::V1, true), (V::V2, true)] {
        let batch = records::encode(&id, &metadata.current, version, 5).unwrap();
        let mut expected = metadata.current.clone();
        expected.last_producer_epoch = -1;
        if !keeps_all {
            (expected.prev_producer_id, expected.next_producer_id) = (-1, -1);
            expected.client_version = V::V0;
        }
        assert_eq!(records::decode(&batch), [(id.clone(), Some(expected))], "{version:?}");
    }
    let batch = records::encode_tombstones(&[id.clone(), "other".into()], 5).unwrap();
    assert_eq!(records::decode(&batch), [(id, None), ("other".into(), None)]);
}

/// Something that is tried with an id. Producers come with any epoch, right or wrong.
#[derive(Debug, Clone)]
enum Action {
    Increment {
        expected: Option<i16>,
    },
    Rotate {
        record_last: bool,
    },
    Add {
        partition: i32,
        version: V,
    },
    End {
        commit: bool,
        version: V,
        next: bool,
        empty: bool,
    },
    MarkAll,
    PrepareComplete,
    Fence,
    Die,
    /// What is pending is committed.
    Commit,
    /// What is pending failed to be.
    Fail,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let version = prop_oneof![Just(V::V0), Just(V::V2)];
    let expected = proptest::option::of(prop_oneof![0..4_i16, Just(i16::MAX - 1), Just(i16::MAX), Just(-1)]);
    let action = prop_oneof![
        3 => expected.prop_map(|expected| Action::Increment { expected }),
        1 => any::<bool>().prop_map(|record_last| Action::Rotate { record_last }),
        4 => (0..3, version.clone()).prop_map(|(partition, version)| Action::Add { partition, version }),
        4 => (any::<bool>(), version, proptest::bool::weighted(0.2), any::<bool>())
            .prop_map(|(commit, version, next, empty)| Action::End { commit, version, next, empty }),
        2 => Just(Action::MarkAll),
        2 => Just(Action::PrepareComplete),
        1 => Just(Action::Fence),
        1 => Just(Action::Die),
        8 => Just(Action::Commit),
        1 => Just(Action::Fail),
    ];
    proptest::collection::vec(action, 1..60)
}

fn attempt(
    metadata: &mut TransactionMetadata,
    action: &Action,
    now: i64,
) -> Option<Result<Transit, ErrorCode>> {
    Some(match action {
        Action::Increment { expected } => metadata.prepare_increment_epoch(TIMEOUT_MS, *expected, now),
        Action::Rotate { record_last } => {
            let next = metadata.current.producer_id + 100;
            metadata.prepare_producer_id_rotation(next, TIMEOUT_MS, now, *record_last)
        }
        Action::Add { partition, version } => {
            metadata.prepare_add_partitions(partitions(&[*partition]), now, *version)
        }
        Action::End { commit, version, next, empty } => {
            let state = if *commit { S::PrepareCommit } else { S::PrepareAbort };
            let next = if *next { metadata.current.producer_id + 100 } else { NO_PRODUCER_ID };
            metadata.prepare_abort_or_commit(state, *version, next, now, *empty)
        }
        Action::PrepareComplete => metadata.prepare_complete(now),
        Action::Fence => metadata.prepare_fence(),
        Action::Die => metadata.prepare_dead(),
        Action::MarkAll | Action::Commit | Action::Fail => return None,
    })
}

proptest! {
    /// Nothing changes but what was prepared and committed; one change at a time; states follow each other as they may; a producer's
    /// epoch never goes back; and what is written is what is read.
    #[test]
    fn changes_keep_their_rules(first_epoch in prop_oneof![Just(0_i16), Just(i16::MAX - 2)], actions in actions()) {
        let mut metadata = initialized();
        metadata.current.producer_epoch = first_epoch;
        let mut prepared: Option<Transit> = None;
        for (now, action) in (10..).zip(&actions) {
            let before = metadata.clone();
            match action {
                Action::Commit => {
                    let Some(transit) = prepared.take() else { continue };
                    if metadata.complete(transit.clone()).is_ok() {
                        prop_assert!(transit.state.may_follow(before.current.state));
                        prop_assert_eq!(&metadata.current, &transit);
                        prop_assert_eq!(metadata.pending, None);
                        let (was, is) = (producer(&before), producer(&metadata));
                        prop_assert!(is >= was, "{:?} -> {:?}", was, is);
                        prop_assert!(is.0 == was.0 || is.1 == 0, "a new producer begins at epoch 0");
                    } else {
                        prop_assert_eq!(&metadata, &before);
                        metadata.pending = None;
                    }
                }
                Action::Fail => {
                    prepared = None;
                    metadata.pending = None;
                }
                Action::MarkAll if metadata.current.state.is_prepared() => metadata.current.partitions.clear(),
                Action::MarkAll => {}
                action => match attempt(&mut metadata, action, now) {
                    Some(Ok(transit)) => {
                        prop_assert_eq!(before.pending, None, "two changes at once");
                        prop_assert_eq!(metadata.pending, Some(transit.state));
                        prop_assert_eq!(&metadata.current, &before.current);
                        if !matches!(transit.state, S::Dead | S::PrepareEpochFence) {
                            let id = StrBytes::from_static_str("tid");
                            let batch = records::encode(&id, &transit, V::V2, now).unwrap();
                            let mut written = transit.clone();
                            written.last_producer_epoch = -1;
                            prop_assert_eq!(records::decode(&batch), vec![(id, Some(written))]);
                        }
                        prepared = Some(transit);
                    }
                    Some(Err(_)) => {
                        prop_assert_eq!(&metadata.current, &before.current);
                        prop_assert_eq!(metadata.pending, before.pending);
                    }
                    None => {}
                },
            }
        }
    }
}
