//! One thing at a time.

use klamm_log::{AppendOrigin, Disk, FetchIsolation, MemoryDisk, special_timestamp};

use crate::support::*;

#[test]
fn records_come_back_with_offsets_and_epoch() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    assert_eq!(append(&mut log, &mut disk, &["a", "b"]), 0);
    let info =
        log.append_as_leader(&mut disk, &[batch(&[(NOW + 5, "c")])], 3, NOW, AppendOrigin::Client).unwrap();
    assert_eq!((info.first_offset, info.last_offset, info.records), (2, 2, 1));
    assert_eq!(log.log_end_offset(), 3);
    let expected = [(0, NOW, 0, "a"), (1, NOW, 0, "b"), (2, NOW + 5, 3, "c")];
    let got = all(&log, &disk, 1);
    assert_eq!(got, expected.map(|(o, t, e, v)| (o, t, e, v.to_owned())));
    assert_eq!(log.latest_epoch(), Some(3));
    assert_eq!(log.end_offset_for_epoch(0).map(|e| (e.epoch, e.end_offset)), Some((0, 2)));
}

#[test]
fn a_consumer_sees_nothing_above_the_high_watermark() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    append(&mut log, &mut disk, &["a", "b"]);
    append(&mut log, &mut disk, &["c"]);
    let read = |log: &klamm_log::Log, disk: &MemoryDisk| {
        records_in(&log.read(disk, 0, 4096, FetchIsolation::HighWatermark, true).unwrap().records).len()
    };
    assert_eq!(read(&log, &disk), 0);
    assert_eq!(log.maybe_increment_high_watermark(2), Some(0));
    assert_eq!(read(&log, &disk), 2);
    assert_eq!(log.maybe_increment_high_watermark(2), None);
    assert_eq!(log.maybe_increment_high_watermark(9), Some(2));
    assert_eq!(log.high_watermark(), 3);
    assert_eq!(read(&log, &disk), 3);
}

#[test]
fn a_follower_holds_the_leaders_bytes() {
    let (mut leader_disk, mut disk) = (MemoryDisk::new(), MemoryDisk::new());
    let mut leader = open(&mut leader_disk, config(&[]));
    let mut follower = open(&mut disk, config(&[]));
    append(&mut leader, &mut leader_disk, &["a", "b"]);
    append(&mut leader, &mut leader_disk, &["c"]);
    let data = leader.read(&leader_disk, 0, 1 << 20, FetchIsolation::LogEnd, true).unwrap();
    // Cut into odd pieces, the last one cut off.
    let whole = join(&data.records);
    let pieces: Vec<_> = whole.chunks(7).map(|c| whole.slice_ref(c)).collect();
    let cut = &pieces[..pieces.len() - 1];
    let info = follower.append_as_follower(&mut disk, cut, 0, NOW).unwrap();
    assert_eq!((info.first_offset, info.last_offset), (0, 1));
    let rest = leader.read(&leader_disk, 2, 1 << 20, FetchIsolation::LogEnd, true).unwrap();
    follower.append_as_follower(&mut disk, &rest.records, 0, NOW).unwrap();
    assert_eq!(
        disk.read_file("logs/t-0/00000000000000000000.log"),
        leader_disk.read_file("logs/t-0/00000000000000000000.log")
    );
    assert_eq!(values(&follower, &disk), ["a", "b", "c"]);
}

#[test]
fn offsets_by_time() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[("internal.segment.bytes", "200")]));
    for (t, v) in [(10, "a"), (20, "b"), (30, "c"), (25, "d"), (40, "e")] {
        log.append_as_leader(&mut disk, &[batch(&[(t, v)])], 0, NOW, AppendOrigin::Client).unwrap();
    }
    assert!(log.segments().len() > 1);
    let at = |t| log.fetch_offset_by_timestamp(&disk, t).unwrap().map(|f| f.offset);
    assert_eq!(
        [5, 10, 11, 20, 30, 31, 41].map(at),
        [Some(0), Some(0), Some(1), Some(1), Some(2), Some(4), None]
    );
    assert_eq!(at(special_timestamp::EARLIEST), Some(0));
    assert_eq!(at(special_timestamp::LATEST), Some(5));
    assert_eq!(at(special_timestamp::MAX_TIMESTAMP), Some(4));
}
