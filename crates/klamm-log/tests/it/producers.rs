//! Idempotence, fencing, transactions.

use klamm_log::{
    AbortedTxn, AppendAs, AppendError, AppendOrigin, Disk, FetchIsolation, Log, LogAppendInfo, LogLimits,
    MemoryDisk, OpenLog, VerificationGuard,
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

/// A log that lets transactions begin only with a guard.
fn verifying(disk: &mut dyn Disk) -> Log {
    let mut log = open(disk, config(&[]));
    log.set_limits(LogLimits { transaction_verification: true, ..LogLimits::default() });
    log
}

fn begin(
    log: &mut Log,
    disk: &mut dyn Disk,
    (id, epoch): (i64, i16),
    sequence: i32,
    guard: Option<VerificationGuard>,
) -> ErrorCode {
    let how = AppendAs { guard, ..AppendOrigin::Client.into() };
    let appended = log.append_as_leader(disk, &[produced(id, epoch, sequence, 1, true)], 0, NOW, how);
    appended.map_or_else(|e| e.code, |_| ErrorCode::None)
}

#[test]
fn a_transaction_begins_with_the_guard_of_its_own_question() {
    let mut disk = MemoryDisk::new();
    let mut log = verifying(&mut disk);
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 0, None), ErrorCode::InvalidTxnState);
    let guard = log.start_verification(1, 0, 0, false, NOW).unwrap();
    assert!(guard.is_some());
    assert_eq!(log.start_verification(1, 0, 0, false, NOW).unwrap(), guard, "the same question");
    assert_eq!(
        begin(&mut log, &mut disk, (2, 0), 0, guard),
        ErrorCode::InvalidTxnState,
        "of another producer"
    );
    // The coordinator gives up and aborts before the answer is used; another transaction begins to be verified.
    end(&mut log, &mut disk, 1, false);
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 0, guard), ErrorCode::InvalidTxnState);
    let next = log.start_verification(1, 0, 0, false, NOW).unwrap();
    assert_ne!(next, guard);
    assert_eq!(
        begin(&mut log, &mut disk, (1, 0), 0, guard),
        ErrorCode::InvalidTxnState,
        "an answer of before"
    );
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 0, next), ErrorCode::None);
    assert_eq!(log.start_verification(1, 1, 0, false, NOW).unwrap(), None, "it is open: nothing to ask");
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 1, None), ErrorCode::None);
    end(&mut log, &mut disk, 1, true);
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 2, None), ErrorCode::InvalidTxnState);
    // Records outside of transactions, and duplicates, need none.
    produce(&mut log, &mut disk, 3, 0, 0, 1).unwrap();
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 1, None), ErrorCode::None);
}

#[test]
fn verification_ends_where_the_epoch_is_stale_or_the_order_is_lost() {
    let mut disk = MemoryDisk::new();
    let mut log = verifying(&mut disk);
    let guard = log.start_verification(1, 2, 0, false, NOW).unwrap();
    log.start_verification(1, 1, 0, false, NOW).unwrap();
    let out_of_order = ErrorCode::OutOfOrderSequenceNumber;
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 2, guard), out_of_order, "1 wants in before it");
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 1, guard), ErrorCode::None);
    end(&mut log, &mut disk, 1, true);
    append_marker(&mut log, &mut disk, marker(1, 3, true, 0));
    let stale = log.start_verification(1, 2, 2, false, NOW).unwrap_err();
    assert_eq!(stale.code, ErrorCode::InvalidProducerEpoch);
    assert_eq!(begin(&mut log, &mut disk, (1, 2), 2, None), ErrorCode::InvalidProducerEpoch);
}

#[test]
fn without_state_a_producer_of_transaction_version_2_begins_at_0() {
    let mut disk = MemoryDisk::new();
    let mut log = verifying(&mut disk);
    let guard = log.start_verification(1, 3, 0, true, NOW).unwrap();
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 3, guard), ErrorCode::OutOfOrderSequenceNumber);
    let guard = log.start_verification(1, 0, 0, true, NOW).unwrap();
    assert_eq!(begin(&mut log, &mut disk, (1, 0), 0, guard), ErrorCode::None);
    // The next transaction's question stands while the marker of this one, under the same epoch, comes in.
    append_marker(&mut log, &mut disk, marker(1, 1, true, 0));
    let next = log.start_verification(1, 0, 1, true, NOW).unwrap();
    append_marker(&mut log, &mut disk, marker(1, 1, true, 0));
    assert_eq!(begin(&mut log, &mut disk, (1, 1), 0, next), ErrorCode::None);
    // Before version 2 a producer may go on where it was.
    let guard = log.start_verification(2, 3, 0, false, NOW).unwrap();
    assert_eq!(begin(&mut log, &mut disk, (2, 0), 3, guard), ErrorCode::None);
}

fn append_marker(log: &mut Log, disk: &mut dyn Disk, batch: InspectedBatch) {
    log.append_as_leader(disk, &[batch], 0, NOW, AppendOrigin::Coordinator).unwrap();
}

#[test]
fn a_marker_of_transaction_version_2_has_a_higher_epoch() {
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, config(&[]));
    let end = |log: &mut Log, disk: &mut dyn Disk, epoch| {
        let how = AppendAs { transaction_version: 2, ..AppendOrigin::Coordinator.into() };
        let appended = log.append_as_leader(disk, &[marker(1, epoch, true, 0)], 0, NOW, how);
        appended.map_or_else(|e| e.code, |_| ErrorCode::None)
    };
    assert_eq!(end(&mut log, &mut disk, 0), ErrorCode::None, "of a producer that is not known");
    assert_eq!(end(&mut log, &mut disk, 0), ErrorCode::None, "again: no transaction is open");
    in_txn(&mut log, &mut disk, 1, 0);
    assert_eq!(end(&mut log, &mut disk, 0), ErrorCode::InvalidProducerEpoch);
    assert_eq!(end(&mut log, &mut disk, 1), ErrorCode::None);
    assert_eq!(end(&mut log, &mut disk, 0), ErrorCode::InvalidProducerEpoch);
}
