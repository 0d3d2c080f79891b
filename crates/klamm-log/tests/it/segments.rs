//! When segments begin, and when they go.

use klamm_log::{AppendOrigin, Disk, FileDisk, Log, MemoryDisk};

use crate::support::*;

fn bases(log: &Log) -> Vec<i64> {
    log.segments().iter().map(|s| s.base_offset).collect()
}

fn append_at(log: &mut Log, disk: &mut dyn Disk, timestamp: i64, now: i64) {
    log.append_as_leader(disk, &[batch(&[(timestamp, "0123456789")])], 0, now, AppendOrigin::Client).unwrap();
    log.update_high_watermark(log.log_end_offset());
}

#[test]
fn a_full_segment_ends() {
    let size = batch(&[(NOW, "0123456789")]).batch.size();
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("internal.segment.bytes", &(size * 3).to_string())]));
    for _ in 0..7 {
        append_at(&mut log, &mut disk, NOW, NOW);
    }
    assert_eq!(bases(&log), [0, 3, 6]);
    assert_eq!(log.recovery_point(), 6, "what is closed is flushed");
}

#[test]
fn a_segment_ends_when_its_records_span_segment_ms() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("segment.ms", "1000")]));
    append_at(&mut log, &mut disk, NOW, NOW);
    append_at(&mut log, &mut disk, NOW + 1000, NOW + 500_000);
    assert_eq!(bases(&log), [0], "the records' time counts, not the clock's");
    append_at(&mut log, &mut disk, NOW + 1001, NOW);
    append_at(&mut log, &mut disk, NOW - 1, NOW);
    assert_eq!(bases(&log), [0, 2]);
}

#[test]
fn jitter_ends_segments_earlier_but_never_later() {
    let count = |jitter: &str| {
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, config(&[("segment.ms", "1000"), ("segment.jitter.ms", jitter)]));
        for n in 0..200 {
            append_at(&mut log, &mut disk, NOW + n * 100, NOW);
        }
        let starts = bases(&log);
        assert!(starts.windows(2).all(|w| w[1] - w[0] <= 11));
        starts
    };
    assert_eq!(count("0").len(), 19);
    assert!(count("900").len() > 19);
    assert_eq!(count("900"), count("900"), "the same every time");
}

/// What is deleted after `file.delete.delay.ms` was lowered does not wait for what was deleted before.
#[test]
fn a_shorter_delay_is_not_held_up_by_a_longer_one() {
    let of = |delay: &str| config(&[("retention.ms", "1000"), ("file.delete.delay.ms", delay)]);
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, of("60000"));
    for n in 0..3 {
        append_at(&mut log, &mut disk, NOW + n * 400, NOW);
        log.roll(&mut disk, NOW).unwrap();
    }
    assert_eq!(log.delete_old_segments(&mut disk, NOW + 1001).unwrap().total(), 1);
    log.update_config(of("50"));
    assert_eq!(log.delete_old_segments(&mut disk, NOW + 1401).unwrap().total(), 1);
    let waiting = |disk: &MemoryDisk| {
        let files = disk.list("logs/t-0").unwrap();
        files
            .iter()
            .filter(|file| file.name.contains(".log.deleted"))
            .map(|file| file.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(waiting(&disk).len(), 2);
    assert_eq!(log.next_deletion_ms(), Some(NOW + 1451));
    log.on_time(&mut disk, NOW + 1451).unwrap();
    assert_eq!(waiting(&disk), ["00000000000000000000.log.deleted"]);
    assert_eq!(log.next_deletion_ms(), Some(NOW + 61_001));
}

#[test]
fn a_segment_ends_when_an_index_is_full() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("segment.index.bytes", "32"), ("index.interval.bytes", "0")]));
    for n in 0..20 {
        append_at(&mut log, &mut disk, NOW - n, NOW);
    }
    assert!(bases(&log).len() > 3, "{:?}", bases(&log));
    assert_eq!(log.verify(&disk).unwrap(), Vec::<String>::new());
}

#[test]
fn a_segment_ends_before_its_offsets_overflow_the_index() {
    let (mut disk, mut follower_disk) = (MemoryDisk::new(), MemoryDisk::new());
    let mut follower = open(&mut follower_disk, config(&[]));
    let far = 10 + i64::from(i32::MAX);
    for offset in [0, 10, far, far + 1, far * 3] {
        let mut leader = open(&mut disk, config(&[]));
        leader.truncate_fully_and_start_at(&mut disk, offset, None, NOW).unwrap();
        append_at(&mut leader, &mut disk, NOW, NOW);
        let data = leader.read(&disk, offset, 4096, klamm_log::FetchIsolation::LogEnd, true).unwrap();
        follower.append_as_follower(&mut follower_disk, &data.records, 0, NOW).unwrap();
        disk = MemoryDisk::new();
    }
    assert_eq!(bases(&follower), [0, far, far * 3]);
    let offsets: Vec<_> = all(&follower, &follower_disk, 1).into_iter().map(|r| r.0).collect();
    assert_eq!(offsets, [0, 10, far, far + 1, far * 3]);
}

#[test]
fn old_segments_go() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("retention.ms", "1000"), ("file.delete.delay.ms", "50")]));
    for n in 0..5 {
        append_at(&mut log, &mut disk, NOW + n * 400, NOW);
        log.roll(&mut disk, NOW).unwrap();
    }
    let used = disk.used_bytes();
    assert_eq!(log.delete_old_segments(&mut disk, NOW + 1000).unwrap().total(), 0);
    assert_eq!(log.delete_old_segments(&mut disk, NOW + 1401).unwrap().total(), 2);
    assert_eq!((log.log_start_offset(), bases(&log)), (2, vec![2, 3, 4, 5]));
    assert_eq!(disk.used_bytes(), used - 10, "the files wait; the snapshot beside one of them went");
    assert_eq!(log.next_deletion_ms(), Some(NOW + 1451));
    log.on_time(&mut disk, NOW + 1451).unwrap();
    assert!(disk.used_bytes() < used - 10 - 150);
    assert_eq!(
        log.delete_old_segments(&mut disk, NOW + 100_000).unwrap().total(),
        3,
        "all of them, and an empty one stays"
    );
    assert_eq!((log.log_start_offset(), log.log_end_offset(), bases(&log)), (5, 5, vec![5]));
}

#[test]
fn retention_by_size_keeps_at_least_that_much() {
    let size = batch(&[(NOW, "0123456789")]).batch.size() as u64;
    let mut disk = MemoryDisk::new();
    let mut log =
        open(&mut disk, config(&[("retention.bytes", &(size * 2 + 1).to_string()), ("retention.ms", "-1")]));
    for _ in 0..5 {
        append_at(&mut log, &mut disk, NOW, NOW);
        log.roll(&mut disk, NOW).unwrap();
    }
    assert_eq!(log.delete_old_segments(&mut disk, NOW).unwrap().total(), 2);
    assert_eq!(log.size(), size * 3);
}

#[test]
fn what_is_not_committed_does_not_go() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("retention.ms", "0")]));
    for _ in 0..3 {
        append(&mut log, &mut disk, &["a"]);
        log.roll(&mut disk, NOW).unwrap();
    }
    log.update_high_watermark(2);
    assert_eq!(log.delete_old_segments(&mut disk, NOW + 10).unwrap().total(), 2);
    assert_eq!(log.log_start_offset(), 2);
}

#[test]
fn a_log_start_offset_hides_records_and_then_removes_them() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("cleanup.policy", "compact")]));
    for _ in 0..4 {
        append_at(&mut log, &mut disk, NOW, NOW);
        log.roll(&mut disk, NOW).unwrap();
    }
    let error = log.maybe_increment_log_start_offset(&mut disk, 5).unwrap_err();
    assert_eq!(error.code(), klamm_wire::ErrorCode::OffsetOutOfRange);
    assert!(log.maybe_increment_log_start_offset(&mut disk, 2).unwrap());
    assert!(!log.maybe_increment_log_start_offset(&mut disk, 1).unwrap());
    let read = |log: &Log, offset| log.read(&disk, offset, 4096, klamm_log::FetchIsolation::LogEnd, true);
    assert!(read(&log, 1).is_err() && read(&log, 2).is_ok());
    assert_eq!(log.delete_old_segments(&mut disk, NOW).unwrap().total(), 2);
    assert_eq!(bases(&log), [2, 3, 4]);
}

/// With `preallocate` a segment's file takes `segment.bytes` at once, and is cut to what is in it when it is rolled, truncated or closed
/// (`FileRecords.open`, `LogSegment.onBecomeInactiveSegment`, `truncateTo`). After a crash recovery cuts it.
#[test]
fn a_preallocated_file_is_cut_to_what_is_in_it() {
    const SIZE: u64 = 1000;
    let root = tempfile::tempdir().unwrap();
    let real = |base: i64| {
        let path = root.path().join(format!("logs/t-0/{base:020}.log"));
        std::fs::metadata(path).unwrap().len()
    };
    let settings = || config(&[("internal.segment.bytes", "1000"), ("preallocate", "true")]);
    let mut disk = FileDisk::open(root.path()).unwrap();
    let mut log = open(&mut disk, settings());
    assert_eq!(real(0), SIZE);
    for value in ["a", "b", "c"] {
        append(&mut log, &mut disk, &[value]);
    }
    let one = log.size() / 3;
    assert_eq!((real(0), log.log_end_offset()), (SIZE, 3));
    log.roll(&mut disk, NOW).unwrap();
    assert_eq!((real(0), real(3)), (3 * one, SIZE));
    append(&mut log, &mut disk, &["d"]);
    append(&mut log, &mut disk, &["e"]);
    log.truncate_to(&mut disk, 4, NOW).unwrap();
    assert_eq!(real(3), one);
    append(&mut log, &mut disk, &["e"]);
    log.roll(&mut disk, NOW).unwrap();
    append(&mut log, &mut disk, &["f"]);
    assert_eq!((real(3), real(5)), (2 * one, SIZE));
    let used = disk.used_bytes();
    assert!(used < SIZE, "{used}");

    // A crash leaves the zeros, and recovery cuts them.
    disk.crash();
    assert_eq!(real(5), SIZE);
    let mut log = open(&mut disk, settings());
    assert_eq!(
        (log.log_end_offset(), values(&log, &disk)),
        (6, ["a", "b", "c", "d", "e", "f"].map(String::from).into())
    );
    assert_eq!(real(5), one);
    append(&mut log, &mut disk, &["g"]);
    log.roll(&mut disk, NOW).unwrap();
    append(&mut log, &mut disk, &["h"]);
    assert_eq!((real(5), real(7)), (2 * one, SIZE));

    log.close(&mut disk, NOW).unwrap();
    assert_eq!(real(7), one);
    let log = open(&mut disk, settings());
    assert_eq!((log.log_end_offset(), real(7)), (8, one), "a file that was there is not made longer");
}
