//! Compaction keeps what each key said last.

use std::collections::BTreeMap;

use klamm_log::disk::{DiskErrorKind, FlushOutcome};
use klamm_log::{AppendOrigin, CleanerSettings, Disk, DiskError, FileDisk, Log, MemoryDisk, OpenLog};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::compress::Compression;
use proptest::prelude::*;

use crate::support::*;

const DAY: i64 = 86_400_000;

type Write = (u8, Option<u8>);

/// (offset, key, value) of every record.
fn rows(log: &Log, disk: &dyn Disk) -> Vec<(i64, String, Option<String>)> {
    let mut out = Vec::new();
    let mut offset = log.log_start_offset();
    while offset < log.log_end_offset() {
        let data = log.read(disk, offset, 1 << 20, klamm_log::FetchIsolation::LogEnd, true).unwrap();
        if data.size == 0 {
            break;
        }
        for batch in BatchIter::new(join(&data.records)) {
            let batch = batch.unwrap();
            for record in &batch.records(1 << 20).unwrap() {
                let record = record.unwrap();
                let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
                let at = batch.header.base_offset + i64::from(record.offset_delta);
                out.push((at, text(record.key.unwrap_or_default()), record.value.map(text)));
            }
            offset = batch.header.next_offset();
        }
    }
    out
}

fn table(rows: &[(i64, String, Option<String>)]) -> BTreeMap<String, (i64, String)> {
    let mut table = BTreeMap::new();
    for (offset, key, value) in rows {
        match value {
            Some(value) => table.insert(key.clone(), (*offset, value.clone())),
            None => table.remove(key),
        };
    }
    table
}

fn write(log: &mut Log, disk: &mut dyn Disk, batch: &[Write], codec: Compression, now: i64) {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for (key, value) in batch {
        let value = value.map(|v| format!("value {v}"));
        builder.push(now, Some(format!("key {key}").as_bytes()), value.as_deref().map(str::as_bytes), &[]);
    }
    log.append_as_leader(disk, &[inspected(builder)], 0, now, AppendOrigin::Client).unwrap();
    log.update_high_watermark(log.log_end_offset());
}

fn compacted() -> std::sync::Arc<klamm_log::LogConfig> {
    config(&[
        ("cleanup.policy", "compact"),
        ("internal.segment.bytes", "600"),
        ("index.interval.bytes", "100"),
        ("min.cleanable.dirty.ratio", "0"),
        ("message.timestamp.after.max.ms", &i64::MAX.to_string()),
    ])
}

fn check(disk: &mut dyn Disk, batches: &[Vec<Write>], codec: Compression, memory: u64, piece: u64) {
    let settings = CleanerSettings { dedupe_buffer_bytes: memory, ..CleanerSettings::default() };
    let mut log = open(disk, compacted());
    let mut now = NOW;
    for (n, batch) in batches.iter().enumerate() {
        write(&mut log, disk, batch, codec, now);
        if n % 7 != 6 {
            continue;
        }
        now += DAY / 2;
        let before = rows(&log, disk);
        let end = log.log_end_offset();
        let cleanable = log.cleanable(now);
        let report = clean_in_pieces(&mut log, disk, &settings, now, piece);
        if let Some(part) = cleanable.filter(|part| part.first_dirty_offset < part.first_uncleanable_offset) {
            assert!(report.end_offset > part.first_dirty_offset, "each cleaning gets on");
        }
        let after = rows(&log, disk);
        assert!(after.iter().all(|row| before.contains(row)), "compaction writes nothing new");
        assert!(after.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(table(&after), table(&before));
        assert_eq!(log.log_end_offset(), end);
        assert_eq!(log.verify(disk).unwrap(), Vec::<String>::new());
    }
    let before = rows(&log, disk);
    disk.crash();
    let log = open_with(disk, compacted(), OpenLog { high_watermark: i64::MAX, ..OpenLog::default() });
    assert_eq!(rows(&log, disk), before);
}

fn batches() -> impl Strategy<Value = (Vec<Vec<Write>>, usize, u64, u64)> {
    let record = (0..8_u8, prop::option::weighted(0.8, any::<u8>()));
    (prop::collection::vec(prop::collection::vec(record, 1..5), 1..60), 0..3_usize, 0..400_u64, 1..2000_u64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn each_keys_last_value_stays((batches, codec, memory, piece) in batches()) {
        let codec = [Compression::None, Compression::Gzip, Compression::Lz4][codec];
        check(&mut MemoryDisk::new(), &batches, codec, memory, piece);
    }
}

proptest! {
    // Each cleaning waits for the disk.
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]

    #[test]
    fn each_keys_last_value_stays_in_files((batches, _, memory, piece) in batches()) {
        let dir = tempfile::tempdir().unwrap();
        check(&mut FileDisk::open(dir.path()).unwrap(), &batches, Compression::None, memory, piece);
    }
}

#[test]
fn a_tombstone_stays_for_a_day_after_it_was_first_compacted() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, compacted());
    write(&mut log, &mut disk, &[(1, Some(1))], Compression::None, NOW);
    write(&mut log, &mut disk, &[(1, None)], Compression::None, NOW);
    let tombstones = |log: &Log, disk: &MemoryDisk| {
        rows(log, disk).into_iter().filter(|r| r.1 == "key 1").collect::<Vec<_>>()
    };
    let clean_at = |log: &mut Log, disk: &mut MemoryDisk, now: i64| {
        write(log, disk, &[(2, Some(2))], Compression::None, now);
        log.roll(disk, now).unwrap();
        log.clean(disk, &CleanerSettings::default(), now).unwrap();
    };
    clean_at(&mut log, &mut disk, NOW);
    assert_eq!(tombstones(&log, &disk), [(1, "key 1".to_owned(), None)]);
    clean_at(&mut log, &mut disk, NOW + DAY - 1);
    assert_eq!(tombstones(&log, &disk).len(), 1);
    clean_at(&mut log, &mut disk, NOW + DAY);
    assert_eq!(tombstones(&log, &disk), []);
}

#[test]
fn a_log_is_due_when_half_of_it_is_dirty() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("cleanup.policy", "compact")]));
    assert_eq!(log.cleanable(NOW), None);
    write(&mut log, &mut disk, &[(1, Some(1))], Compression::None, NOW);
    assert_eq!(log.cleanable(NOW), None, "the active segment is not touched");
    log.roll(&mut disk, NOW).unwrap();
    assert!(log.cleanable(NOW).unwrap().is_due);
    log.clean(&mut disk, &CleanerSettings::default(), NOW).unwrap();
    assert!(!log.cleanable(NOW).unwrap().is_due);
}

#[test]
fn a_log_is_in_use_while_it_is_compacted() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, compacted());
    for n in 0..40 {
        write(&mut log, &mut disk, &[(n % 3, Some(n)), (n % 5, None)], Compression::None, NOW);
    }
    let before = table(&rows(&log, &disk));
    assert!(log.begin_cleaning(&CleanerSettings::default(), NOW));
    assert!(!log.begin_cleaning(&CleanerSettings::default(), NOW), "one at a time");
    assert_eq!(log.cleanable(NOW), None);
    let (mut pieces, mut writes) = (0, 0);
    let report = loop {
        pieces += 1;
        if pieces % 10 == 0 {
            write(&mut log, &mut disk, &[(9, Some(pieces))], Compression::None, NOW);
            writes += 1;
        }
        assert_eq!(log.delete_old_segments(&mut disk, NOW + 30 * DAY).unwrap().total(), 0, "retention waits");
        if let Some(report) = log.continue_cleaning(&mut disk, 1, NOW).unwrap() {
            break report;
        }
    };
    assert!(pieces > 60 && writes > 6, "one batch a piece, twice");
    assert!(report.bytes_after < report.bytes_before && report.end_offset <= 80);
    let mut after = table(&rows(&log, &disk));
    after.remove("key 9").unwrap();
    assert_eq!(after, before);
    assert_eq!(log.verify(&disk).unwrap(), Vec::<String>::new());
}

#[test]
fn truncation_ends_a_compaction() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, compacted());
    for n in 0..40 {
        write(&mut log, &mut disk, &[(n % 3, Some(n))], Compression::None, NOW);
    }
    for pieces in [1, 20, 36] {
        assert!(log.begin_cleaning(&CleanerSettings::default(), NOW));
        for _ in 0..pieces {
            assert_eq!(log.continue_cleaning(&mut disk, 1, NOW).unwrap(), None);
        }
        let end = log.log_end_offset() - 1;
        assert!(log.truncate_to(&mut disk, end, NOW).unwrap());
        assert!(!log.is_cleaning() && log.cleaner_checkpoint().is_none());
        let left = disk.list("logs/t-0").unwrap().into_iter().filter(|file| file.name.ends_with(".cleaned"));
        assert_eq!(left.count(), 0);
        assert_eq!(log.verify(&disk).unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_compacted_segment_takes_its_place_once_it_is_durable() {
    let mut disk = MemoryDisk::with_deferred_flush();
    let mut log = open(&mut disk, compacted());
    for n in 0..40 {
        write(&mut log, &mut disk, &[(n % 3, Some(n))], Compression::None, NOW);
    }
    run_flushes(&mut log, &mut disk, NOW);
    assert!(log.begin_cleaning(&CleanerSettings::default(), NOW));
    assert!(log.is_cleaning_flushed(), "nothing is written yet");
    // Segments of which nothing is left need no fsync and are gone by now.
    assert_eq!(log.continue_cleaning(&mut disk, u64::MAX, NOW).unwrap(), None);
    let before = rows(&log, &disk);
    for _ in 0..3 {
        assert_eq!(log.continue_cleaning(&mut disk, u64::MAX, NOW).unwrap(), None);
        assert!(!log.is_cleaning_flushed());
        assert_eq!(rows(&log, &disk), before, "readers see the segments as they were");
    }
    write(&mut log, &mut disk, &[(9, Some(9))], Compression::None, NOW);
    let report = loop {
        run_flushes(&mut log, &mut disk, NOW);
        if let Some(report) = log.continue_cleaning(&mut disk, u64::MAX, NOW).unwrap() {
            break report;
        }
    };
    assert!(report.bytes_after < report.bytes_before);
    let after = rows(&log, &disk);
    assert!(after.len() < before.len(), "{after:?}");
    assert_eq!(after.last(), Some(&(40, "key 9".to_owned(), Some("value 9".to_owned()))));
    disk.power_loss(&mut |_, _| 0);
    let log = open_with(&mut disk, compacted(), OpenLog::default());
    assert_eq!(log.verify(&disk).unwrap(), Vec::<String>::new());
    assert_eq!(rows(&log, &disk)[..2], after[..2], "what was compacted outlives the machine");
}

#[test]
fn an_fsync_that_fails_ends_no_compaction() {
    let mut disk = MemoryDisk::with_deferred_flush();
    let mut log = open(&mut disk, compacted());
    for n in 0..40 {
        write(&mut log, &mut disk, &[(n % 3, Some(n))], Compression::None, NOW);
    }
    run_flushes(&mut log, &mut disk, NOW);
    assert!(log.begin_cleaning(&CleanerSettings::default(), NOW));
    assert_eq!(log.continue_cleaning(&mut disk, u64::MAX, NOW).unwrap(), None);
    let before = rows(&log, &disk);
    let jobs: Vec<_> = disk.take_flush_jobs().into_iter().map(|job| job.run()).collect();
    assert!(!jobs.is_empty());
    for done in jobs {
        let result = Err(DiskError::new(DiskErrorKind::Io, "", "broken"));
        let outcome = FlushOutcome { result, ..done };
        disk.complete_flush(&outcome);
        assert!(
            log.on_flushed(&outcome, NOW),
            "it was this log that asked: its directory is not to be trusted"
        );
    }
    assert_eq!(log.continue_cleaning(&mut disk, u64::MAX, NOW).unwrap(), None);
    assert_eq!(rows(&log, &disk), before);
}

/// Batches none of whose records go are stored as they came, to the byte.
#[test]
fn a_batch_that_keeps_all_of_its_records_is_copied_as_it_is() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, compacted());
    for n in 0..12_u8 {
        write(&mut log, &mut disk, &[(2 * n, Some(n)), (2 * n + 1, Some(n))], Compression::Gzip, NOW);
    }
    write(&mut log, &mut disk, &[(0, Some(99))], Compression::Gzip, NOW);
    let stored = |log: &Log, disk: &dyn Disk| {
        let data = log.read(disk, 0, 1 << 20, klamm_log::FetchIsolation::LogEnd, true).unwrap();
        BatchIter::new(join(&data.records)).map(|batch| batch.unwrap().to_bytes()).collect::<Vec<_>>()
    };
    let before = stored(&log, &disk);
    log.roll(&mut disk, NOW).unwrap();
    log.clean(&mut disk, &CleanerSettings::default(), NOW).unwrap();
    let after = stored(&log, &disk);
    assert_eq!(after.len(), before.len());
    assert_ne!(after[0], before[0], "the first batch lost its first record");
    assert_eq!(after[1..], before[1..]);
}
