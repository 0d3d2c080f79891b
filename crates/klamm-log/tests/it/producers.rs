//! Idempotence, fencing, transactions.

use klamm_log::{
    AbortedTxn, AppendError, AppendOrigin, Disk, FetchIsolation, Log, LogAppendInfo, MemoryDisk, OpenLog,
};
use klamm_wire::ErrorCode;
use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::record::inspect::{InspectedBatch, inspect_batches};

use crate::support::*;

fn produced(id: i64, epoch: i16, sequence: i32, count: usize, transactional: bool) -> InspectedBatch {
    let mut builder = BatchBuilder::new().producer(id, epoch, sequence);
    if transactional {
        builder = builder.transactional();
    }
    for n in 0..count {
        builder.push(NOW, Some(b"k"), Some(format!("{id}/{sequence}+{n}").as_bytes()), &[]);
    }
    inspected(builder)
}

fn produce(
    log: &mut Log,
    disk: &mut dyn Disk,
    id: i64,
    epoch: i16,
    sequence: i32,
    count: usize,
) -> Result<LogAppendInfo, AppendError> {
    log.append_as_leader(disk, &[produced(id, epoch, sequence, count, false)], 0, NOW, AppendOrigin::Client)
}

fn in_txn(log: &mut Log, disk: &mut dyn Disk, id: i64, sequence: i32) {
    log.append_as_leader(disk, &[produced(id, 0, sequence, 1, true)], 0, NOW, AppendOrigin::Client).unwrap();
}

fn marker(id: i64, epoch: i16, committed: bool, coordinator_epoch: i32) -> InspectedBatch {
    let batch: RecordBatch = EndTxnMarker { committed, coordinator_epoch }.batch(id, epoch, NOW);
    inspect_batches(&batch.to_bytes()).unwrap().remove(0)
}

fn end(log: &mut Log, disk: &mut dyn Disk, id: i64, committed: bool) {
    log.append_as_leader(disk, &[marker(id, 0, committed, 0)], 0, NOW, AppendOrigin::Coordinator).unwrap();
}

#[test]
fn one_of_the_last_five_batches_sent_again_gets_its_first_offsets() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    for n in 0..7 {
        assert_eq!(produce(&mut log, &mut disk, 1, 0, n * 2, 2).unwrap().first_offset, i64::from(n) * 2);
    }
    for n in 2..7 {
        let info = produce(&mut log, &mut disk, 1, 0, n * 2, 2).unwrap();
        assert!(info.duplicate);
        assert_eq!((info.first_offset, info.last_offset), (i64::from(n) * 2, i64::from(n) * 2 + 1));
    }
    assert_eq!(
        produce(&mut log, &mut disk, 1, 0, 2, 2).unwrap_err().code,
        ErrorCode::OutOfOrderSequenceNumber
    );
    assert_eq!(log.log_end_offset(), 14);
}

#[test]
fn sequences_must_follow_and_epochs_must_not_fall() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    let mut code = |epoch, sequence| {
        produce(&mut log, &mut disk, 1, epoch, sequence, 1).map_or_else(|e| e.code, |_| ErrorCode::None)
    };
    assert_eq!(code(3, 5), ErrorCode::None, "a producer that is not known may begin anywhere");
    assert_eq!(code(3, 7), ErrorCode::OutOfOrderSequenceNumber);
    assert_eq!(code(3, 6), ErrorCode::None);
    assert_eq!(code(2, 7), ErrorCode::InvalidProducerEpoch);
    assert_eq!(code(4, 7), ErrorCode::OutOfOrderSequenceNumber, "a new epoch begins at 0");
    assert_eq!(code(4, 0), ErrorCode::None);
}

#[test]
fn sequences_wrap() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    produce(&mut log, &mut disk, 1, 0, i32::MAX - 1, 4).unwrap();
    assert!(produce(&mut log, &mut disk, 1, 0, i32::MAX - 1, 4).unwrap().duplicate);
    assert_eq!(produce(&mut log, &mut disk, 1, 0, 2, 1).unwrap().first_offset, 4);
}

#[test]
fn a_follower_and_a_recovered_log_know_the_same_producers() {
    let (mut disk, mut follower_disk) = (MemoryDisk::new(), MemoryDisk::new());
    let small = config(&[("internal.segment.bytes", "500")]);
    let mut log = open(&mut disk, small.clone());
    let mut follower = open(&mut follower_disk, small.clone());
    for n in 0..20 {
        produce(&mut log, &mut disk, i64::from(n % 3), 0, n / 3, 1).unwrap();
    }
    while follower.log_end_offset() < log.log_end_offset() {
        let data = log.read(&disk, follower.log_end_offset(), 300, FetchIsolation::LogEnd, true).unwrap();
        follower.append_as_follower(&mut follower_disk, &data.records, 0, NOW).unwrap();
    }
    assert_eq!(follower.active_producers(), log.active_producers());
    disk.crash();
    let recovered = open_with(&mut disk, small, OpenLog::default());
    assert_eq!(recovered.active_producers(), log.active_producers());
    // A follower that becomes leader knows a duplicate.
    assert!(produce(&mut follower, &mut follower_disk, 1, 0, 6, 1).unwrap().duplicate);
}

#[test]
fn an_open_transaction_holds_the_last_stable_offset() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    append(&mut log, &mut disk, &["plain"]);
    in_txn(&mut log, &mut disk, 1, 0);
    in_txn(&mut log, &mut disk, 2, 0);
    in_txn(&mut log, &mut disk, 1, 1);
    log.update_high_watermark(4);
    assert_eq!((log.high_watermark(), log.last_stable_offset()), (4, 1));
    end(&mut log, &mut disk, 1, false);
    log.update_high_watermark(4);
    assert_eq!(log.last_stable_offset(), 1, "the marker is not committed yet");
    log.update_high_watermark(5);
    assert_eq!(log.last_stable_offset(), 2, "the other transaction is open");
    end(&mut log, &mut disk, 2, true);
    log.update_high_watermark(6);
    assert_eq!((log.last_stable_offset(), log.first_unstable_offset()), (6, None));
    let expected = AbortedTxn { producer_id: 1, first_offset: 1, last_offset: 4, last_stable_offset: 2 };
    let data = log.read(&disk, 0, 4096, FetchIsolation::TxnCommitted, true).unwrap();
    assert_eq!(data.aborted_transactions, [expected]);
    assert_eq!(log.aborted_transactions(&disk, 5, 6).unwrap(), []);
    // The same after a crash, and on a follower.
    disk.crash();
    let recovered = open_with(&mut disk, config(&[]), OpenLog { high_watermark: 6, ..OpenLog::default() });
    assert_eq!(recovered.aborted_transactions(&disk, 0, 6).unwrap(), [expected]);
    assert_eq!(recovered.last_stable_offset(), 6);
    let mut follower_disk = MemoryDisk::new();
    let mut follower = open(&mut follower_disk, config(&[]));
    let data = log.read(&disk, 0, 4096, FetchIsolation::LogEnd, true).unwrap();
    follower.append_as_follower(&mut follower_disk, &data.records, 0, NOW).unwrap();
    assert_eq!(follower.aborted_transactions(&follower_disk, 0, 6).unwrap(), [expected]);
}

#[test]
fn markers_are_fenced_by_producer_and_coordinator_epoch() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    let mut append =
        |batch: InspectedBatch, origin| log.append_as_leader(&mut disk, &[batch], 0, NOW, origin);
    append(produced(1, 3, 0, 1, true), AppendOrigin::Client).unwrap();
    let client = append(marker(1, 3, true, 5), AppendOrigin::Client).unwrap_err();
    assert_eq!(client.code, ErrorCode::InvalidRecord);
    let old = append(marker(1, 2, true, 5), AppendOrigin::Coordinator).unwrap_err();
    assert_eq!(old.code, ErrorCode::InvalidProducerEpoch);
    append(marker(1, 3, true, 5), AppendOrigin::Coordinator).unwrap();
    let zombie = append(marker(1, 3, true, 4), AppendOrigin::Coordinator).unwrap_err();
    assert_eq!(zombie.code, ErrorCode::TransactionCoordinatorFenced);
    append(produced(1, 3, 1, 1, true), AppendOrigin::Client).unwrap();
    let plain = append(produced(1, 3, 2, 1, false), AppendOrigin::Client).unwrap_err();
    assert_eq!(plain.code, ErrorCode::InvalidTxnState);
}

#[test]
fn a_silent_producer_is_forgotten_after_a_day() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    produce(&mut log, &mut disk, 1, 0, 0, 1).unwrap();
    in_txn(&mut log, &mut disk, 2, 0);
    log.on_time(&mut disk, NOW + 86_400_000 - 1).unwrap();
    assert_eq!(log.active_producers().len(), 2);
    log.on_time(&mut disk, NOW + 86_400_000).unwrap();
    let left: Vec<_> = log.active_producers().iter().map(|p| p.producer_id).collect();
    assert_eq!(left, [2], "an open transaction keeps its producer");
}
