//! Compaction of a log with transactions: a read_committed reader sees the same table before and after.

use std::collections::{BTreeMap, BTreeSet};

use klamm_log::{AppendOrigin, CleanerSettings, FetchIsolation, Log, MemoryDisk, OpenLog};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::record::inspect::inspect_batches;
use proptest::prelude::*;

use crate::support::*;

const DAY: i64 = 86_400_000;

#[derive(Debug, Clone)]
enum Step {
    Write { producer: Option<u8>, key: u8, value: Option<u8> },
    End { producer: u8, commit: bool },
    Clean { days: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (prop::option::weighted(0.8, 0..3_u8), 0..4_u8, prop::option::weighted(0.85, any::<u8>()))
            .prop_map(|(producer, key, value)| Step::Write { producer, key, value }),
        4 => (0..3_u8, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit }),
        1 => (0..3_u8).prop_map(|days| Step::Clean { days }),
    ]
}

/// The table that a consumer with `isolation.level=read_committed` builds (`CompletedFetch`).
fn table(log: &Log, disk: &MemoryDisk) -> BTreeMap<String, String> {
    let mut table = BTreeMap::new();
    let mut offset = log.log_start_offset();
    while offset < log.last_stable_offset() {
        let data = log.read(disk, offset, 400, FetchIsolation::TxnCommitted, true).unwrap();
        if data.size == 0 {
            break;
        }
        let mut ahead: Vec<_> =
            data.aborted_transactions.iter().map(|t| (t.first_offset, t.producer_id)).collect();
        ahead.sort_unstable();
        let mut ahead = ahead.into_iter().peekable();
        let mut aborted = BTreeSet::new();
        for batch in BatchIter::new(join(&data.records)) {
            let batch = batch.unwrap();
            let header = batch.header;
            offset = header.next_offset();
            while let Some((_, producer)) = ahead.next_if(|(first, _)| *first <= header.last_offset()) {
                aborted.insert(producer);
            }
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                if header.is_control() {
                    if record.key.unwrap()[3] == 0 {
                        aborted.remove(&header.producer_id);
                    }
                } else if !(header.is_transactional() && aborted.contains(&header.producer_id)) {
                    let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
                    let key = text(record.key.unwrap());
                    match record.value {
                        Some(value) => table.insert(key, text(value)),
                        None => table.remove(&key),
                    };
                }
            }
        }
    }
    table
}

fn check(steps: &[Step]) {
    let config = config(&[
        ("cleanup.policy", "compact"),
        ("internal.segment.bytes", "500"),
        ("index.interval.bytes", "100"),
        ("min.cleanable.dirty.ratio", "0"),
    ]);
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config.clone());
    let mut now = NOW;
    let mut sequences = [0; 3];
    let mut open_txns = BTreeSet::new();
    for step in steps {
        match step {
            Step::Write { producer, key, value } => {
                let mut builder = BatchBuilder::new();
                if let Some(id) = producer {
                    let sequence = &mut sequences[usize::from(*id)];
                    builder = builder.producer(i64::from(*id), 0, *sequence).transactional();
                    *sequence += 1;
                    open_txns.insert(*id);
                }
                let value = value.map(|v| v.to_string());
                builder.push(now, Some(&[b'a' + key]), value.as_deref().map(str::as_bytes), &[]);
                log.append_as_leader(&mut disk, &[inspected(builder)], 0, now, AppendOrigin::Client).unwrap();
            }
            Step::End { producer, commit } => {
                open_txns.remove(producer);
                let marker = EndTxnMarker { committed: *commit, coordinator_epoch: 0 };
                let marker = marker.batch(i64::from(*producer), 0, now).to_bytes();
                let marker = inspect_batches(&marker).unwrap();
                log.append_as_leader(&mut disk, &marker, 0, now, AppendOrigin::Coordinator).unwrap();
            }
            Step::Clean { days } => {
                now += i64::from(*days) * DAY;
                let before = table(&log, &disk);
                let aborted = log.aborted_transactions(&disk, 0, i64::MAX).unwrap();
                clean_in_pieces(&mut log, &mut disk, &CleanerSettings::default(), now, 300);
                assert_eq!(table(&log, &disk), before);
                let left = log.aborted_transactions(&disk, 0, i64::MAX).unwrap();
                assert!(left.iter().all(|txn| aborted.contains(txn)));
            }
        }
        log.update_high_watermark(log.log_end_offset());
        assert_eq!(log.first_unstable_offset().is_some(), !open_txns.is_empty());
    }
    assert_eq!(log.verify(&disk).unwrap(), Vec::<String>::new());
    // What recovery finds is what was known: the last sequence of every producer, and the open transactions.
    let sequences = |log: &Log| {
        log.active_producers().iter().map(|p| (p.producer_id, p.last_sequence)).collect::<Vec<_>>()
    };
    let (known, stable, seen) = (sequences(&log), log.last_stable_offset(), table(&log, &disk));
    let options = OpenLog { high_watermark: i64::MAX, cleaner_offset: Some(0), ..OpenLog::default() };
    let log = open_with(&mut disk, config, options);
    assert_eq!((sequences(&log), log.last_stable_offset(), table(&log, &disk)), (known, stable, seen));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn a_committed_reader_sees_the_same_table(steps in prop::collection::vec(step(), 1..120)) {
        check(&steps);
    }
}

#[test]
fn aborted_records_go_and_their_marker_later() {
    let mut disk = MemoryDisk::new();
    let mut log =
        open(&mut disk, config(&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")]));
    let written = |log: &mut Log, disk: &mut MemoryDisk, producer: i64, sequence, key: &[u8]| {
        let mut builder = BatchBuilder::new().producer(producer, 0, sequence).transactional();
        builder.push(NOW, Some(key), Some(b"value"), &[]);
        log.append_as_leader(disk, &[inspected(builder)], 0, NOW, AppendOrigin::Client).unwrap();
    };
    let end = |log: &mut Log, disk: &mut MemoryDisk, committed| {
        let marker = EndTxnMarker { committed, coordinator_epoch: 0 }.batch(1, 0, NOW).to_bytes();
        let marker = inspect_batches(&marker).unwrap();
        log.append_as_leader(disk, &marker, 0, NOW, AppendOrigin::Coordinator).unwrap();
    };
    written(&mut log, &mut disk, 1, 0, b"aborted");
    end(&mut log, &mut disk, false);
    written(&mut log, &mut disk, 1, 1, b"kept");
    end(&mut log, &mut disk, true);
    let clean_at = |log: &mut Log, disk: &mut MemoryDisk, now| {
        append(log, disk, &["more"]);
        log.update_high_watermark(log.log_end_offset());
        log.roll(disk, now).unwrap();
        log.clean(disk, &CleanerSettings::default(), now).unwrap();
        let data = log.read(disk, 0, 4096, FetchIsolation::LogEnd, true).unwrap();
        let batches: Vec<_> = BatchIter::new(join(&data.records)).map(Result::unwrap).collect();
        batches
            .iter()
            .filter(|b| b.header.records_count > 0 && b.header.is_transactional())
            .map(|b| b.header.base_offset)
            .collect::<Vec<_>>()
    };
    assert_eq!(clean_at(&mut log, &mut disk, NOW), [1, 2, 3], "the aborted record is gone");
    // The first cleaning saw the record: the marker was still needed. Its day begins with the one that finds it useless.
    assert_eq!(clean_at(&mut log, &mut disk, NOW + 1 + DAY), [1, 2, 3], "its marker may go a day later");
    assert_eq!(
        clean_at(&mut log, &mut disk, NOW + 2 + 2 * DAY),
        [2, 3],
        "and a commit stays as long as its records"
    );
}

#[test]
fn an_abort_marker_stays_as_long_as_a_batch_that_it_ends() {
    let mut disk = MemoryDisk::new();
    let mut log =
        open(&mut disk, config(&[("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")]));
    let mut builder = BatchBuilder::new().producer(1, 0, 0).transactional();
    builder.push(NOW, Some(b"aborted"), Some(b"value"), &[]);
    log.append_as_leader(&mut disk, &[inspected(builder)], 0, NOW, AppendOrigin::Client).unwrap();
    let marker = EndTxnMarker { committed: false, coordinator_epoch: 0 }.batch(1, 0, NOW).to_bytes();
    let marker = inspect_batches(&marker).unwrap();
    log.append_as_leader(&mut disk, &marker, 0, NOW, AppendOrigin::Coordinator).unwrap();
    for day in 0..4 {
        let now = NOW + 2 * day * DAY;
        append(&mut log, &mut disk, &["more"]);
        log.update_high_watermark(log.log_end_offset());
        log.roll(&mut disk, now).unwrap();
        log.clean(&mut disk, &CleanerSettings::default(), now).unwrap();
        // The producer's last batch stays, without its record. Without the marker, its transaction would look open.
        let left = log.headers(&disk, 0).unwrap();
        let left = left.iter().filter(|h| h.producer_id == 1).map(|h| (h.base_offset, h.records_count));
        assert_eq!(left.collect::<Vec<_>>(), [(0, 0), (1, 1)], "on day {}", 2 * day);
        assert_eq!(log.aborted_transactions(&disk, 0, i64::MAX).unwrap().len(), 1);
    }
}
