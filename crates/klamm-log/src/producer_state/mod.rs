//! What the log knows of its producers (`ProducerStateManager`): idempotence, fencing, open transactions.

mod entry;
mod snapshot;
mod verification;

use std::collections::BTreeMap;

use klamm_wire::ErrorCode;
use klamm_wire::record::control::EndTxnMarker;

pub(crate) use entry::{BatchMetadata, ProducerEntry};
pub(crate) use snapshot::{read_snapshot, write_snapshot};
pub use verification::VerificationGuard;

use crate::error::AppendError;
use crate::log::{AbortedTxn, AppendAs, AppendOrigin, CompletedTxn};
use verification::{VerificationEntry, Verifications};

/// One producer as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record; -1 for none.
    pub last_sequence: i32,
    /// Timestamp of its last append, in milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub current_txn_start_offset: Option<i64>,
}

/// A batch as its producer's state sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProducerBatch {
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    pub(crate) first_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) first_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) is_transactional: bool,
    /// The marker, if this is a control batch: `Some(None)` when the batch holds none (compaction removed it).
    pub(crate) marker: Option<Option<EndTxnMarker>>,
}

/// A transaction that is open, or whose marker the high watermark has not passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Txn {
    producer_id: i64,
    last_offset: Option<i64>,
}

/// The state of every producer of a log.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProducerState {
    producers: BTreeMap<i64, ProducerEntry>,
    /// Open transactions by first offset.
    ongoing: BTreeMap<i64, Txn>,
    /// Decided transactions whose marker is not below the high watermark, by first offset.
    unreplicated: BTreeMap<i64, Txn>,
    /// Offset up to which the log was taken in.
    map_end_offset: i64,
    verifications: Verifications,
}

impl ProducerState {
    pub(crate) const fn map_end_offset(&self) -> i64 {
        self.map_end_offset
    }

    pub(crate) const fn set_map_end_offset(&mut self, offset: i64) {
        self.map_end_offset = offset;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.producers.is_empty() && self.unreplicated.is_empty()
    }

    pub(crate) const fn producers(&self) -> &BTreeMap<i64, ProducerEntry> {
        &self.producers
    }

    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let show = |(id, entry): (&i64, &ProducerEntry)| ActiveProducer {
            producer_id: *id,
            producer_epoch: entry.producer_epoch,
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            current_txn_start_offset: entry.current_txn_first_offset,
        };
        self.producers.iter().map(show).collect()
    }

    /// First offset of the earliest transaction that is open, or decided above the high watermark.
    pub(crate) fn first_unstable_offset(&self) -> Option<i64> {
        let first = |txns: &BTreeMap<i64, Txn>| txns.first_key_value().map(|(offset, _)| *offset);
        match (first(&self.ongoing), first(&self.unreplicated)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// The batch in which this one was appended before, if it is among its producer's last five.
    pub(crate) fn duplicate_of(&self, batch: &ProducerBatch) -> Option<BatchMetadata> {
        let entry = self.producers.get(&batch.producer_id)?;
        if entry.producer_epoch != batch.producer_epoch || batch.marker.is_some() {
            return None;
        }
        entry.find(batch.first_sequence, batch.last_sequence)
    }

    /// Whether a producer's transaction is open under this epoch.
    pub(crate) fn has_ongoing_transaction(&self, producer_id: i64, producer_epoch: i16) -> bool {
        let entry = self.producers.get(&producer_id);
        entry.is_some_and(|e| e.current_txn_first_offset.is_some() && e.producer_epoch == producer_epoch)
    }

    /// Begins to verify that a producer's transaction is known to its coordinator; `None` when it is open here already.
    pub(crate) fn start_verification(
        &mut self,
        producer_id: i64,
        sequence: i32,
        epoch: i16,
        bumps_epoch: bool,
        now_ms: i64,
    ) -> Result<Option<VerificationGuard>, AppendError> {
        self.check_stale_epoch(producer_id, epoch)?;
        if self.has_ongoing_transaction(producer_id, epoch) {
            return Ok(None);
        }
        Ok(Some(self.verifications.ask(producer_id, sequence, epoch, bumps_epoch, now_ms)))
    }

    /// Whether transactional records may begin a transaction here (`UnifiedLog.analyzeAndValidateProducerState`).
    pub(crate) fn check_verified(
        &self,
        batch: &ProducerBatch,
        guard: Option<VerificationGuard>,
        is_enabled: bool,
    ) -> Result<(), AppendError> {
        if !batch.is_transactional || self.has_ongoing_transaction(batch.producer_id, batch.producer_epoch) {
            return Ok(());
        }
        self.check_stale_epoch(batch.producer_id, batch.producer_epoch)?;
        if is_enabled && batch.marker.is_none() && !self.verifications.holds(batch.producer_id, guard) {
            let message = "Record was not part of an ongoing transaction";
            return Err(AppendError::new(ErrorCode::InvalidTxnState, message));
        }
        Ok(())
    }

    fn check_stale_epoch(&self, producer_id: i64, epoch: i16) -> Result<(), AppendError> {
        match self.producers.get(&producer_id) {
            Some(entry) if epoch < entry.producer_epoch => Err(AppendError::new(
                ErrorCode::InvalidProducerEpoch,
                format!(
                    "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {}",
                    entry.producer_epoch
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Checks a batch against its producer's state and says what the state becomes. `earlier` holds what batches before it in the
    /// same append made of it.
    pub(crate) fn prepare(
        &self,
        batch: &ProducerBatch,
        how: AppendAs,
        earlier: &[Prepared],
    ) -> Result<Prepared, AppendError> {
        let origin = how.origin;
        let current = self.producers.get(&batch.producer_id);
        let pending = earlier.iter().rev().find(|p| p.producer_id == batch.producer_id).map(|p| &p.entry);
        let mut entry = pending.or(current).cloned().unwrap_or_default();
        let is_known = current.is_some_and(|c| c.producer_epoch >= 0);
        let mut prepared = Prepared {
            producer_id: batch.producer_id,
            entry: ProducerEntry::default(),
            started: None,
            completed: None,
            settles: batch.is_transactional.then_some((batch.producer_epoch, batch.marker.is_some())),
        };
        match batch.marker {
            Some(None) => {}
            Some(Some(marker)) => {
                check_marker_epoch(&entry, batch, how)?;
                check_coordinator(&entry, batch, marker, origin)?;
                prepared.completed = entry.current_txn_first_offset.map(|first_offset| CompletedTxn {
                    producer_id: batch.producer_id,
                    first_offset,
                    last_offset: batch.first_offset,
                    is_aborted: !marker.committed,
                });
                entry.end_txn(batch.producer_epoch, marker.coordinator_epoch, batch.max_timestamp);
            }
            None => {
                check_epoch(&entry, batch, origin)?;
                if origin == AppendOrigin::Client {
                    let has_batches = current.is_some_and(|c| c.last_batch().is_some());
                    check_verified_sequence(self.verifications.get(batch.producer_id), has_batches, batch)?;
                    check_sequence(&entry, is_known, batch)?;
                }
                entry.add(batch);
                match entry.current_txn_first_offset {
                    Some(_) if !batch.is_transactional && origin != AppendOrigin::Replication => {
                        return Err(AppendError::new(
                            ErrorCode::InvalidTxnState,
                            format!(
                                "Expected transactional write from producer {} at offset {}",
                                batch.producer_id, batch.first_offset
                            ),
                        ));
                    }
                    None if batch.is_transactional => {
                        entry.current_txn_first_offset = Some(batch.first_offset);
                        prepared.started = Some(batch.first_offset);
                    }
                    _ => {}
                }
            }
        }
        prepared.entry = entry;
        Ok(prepared)
    }

    /// Takes over what [`prepare`](Self::prepare) found. A completed transaction stays open until [`complete`](Self::complete).
    pub(crate) fn commit(&mut self, prepared: Prepared) -> Option<CompletedTxn> {
        let Prepared { producer_id, entry, started, completed, settles } = prepared;
        if let Some((epoch, is_marker)) = settles {
            self.verifications.settle(producer_id, epoch, is_marker);
        }
        if let Some(first_offset) = started {
            self.ongoing.insert(first_offset, Txn { producer_id, last_offset: None });
        }
        if entry.producer_epoch >= 0 {
            self.producers.insert(producer_id, entry);
        }
        completed
    }

    /// The entry of a transaction in the transaction index, if it was aborted. Its last stable offset is the first offset of
    /// another open transaction, or the marker's next offset.
    pub(crate) fn aborted(&self, completed: &CompletedTxn) -> Option<AbortedTxn> {
        if !completed.is_aborted {
            return None;
        }
        let other = self.ongoing.iter().find(|(_, txn)| txn.producer_id != completed.producer_id);
        Some(AbortedTxn {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset: other.map_or(completed.last_offset + 1, |(first_offset, _)| *first_offset),
        })
    }

    /// A transaction has its marker; it stays unstable until the high watermark passes the marker.
    pub(crate) fn complete(&mut self, completed: &CompletedTxn) {
        if let Some(mut txn) = self.ongoing.remove(&completed.first_offset) {
            txn.last_offset = Some(completed.last_offset);
            self.unreplicated.insert(completed.first_offset, txn);
        }
    }

    /// Forgets decided transactions whose marker lies below `offset`: the high watermark, or the log start offset.
    pub(crate) fn forget_decided_below(&mut self, offset: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, txn| txn.last_offset.is_none_or(|last| last >= offset));
        }
    }

    /// Forgets producers that have been silent for `expiration_ms` and have no open transaction.
    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.producers.retain(|_, entry| !entry.is_expired(now_ms, expiration_ms));
        self.verifications.expire(now_ms, expiration_ms);
    }

    /// When [`expire`](Self::expire) next has something to forget, in milliseconds.
    pub(crate) fn next_expiry_ms(&self, expiration_ms: i64) -> Option<i64> {
        let silent = self.producers.values().filter(|entry| entry.current_txn_first_offset.is_none());
        let silent = silent.map(|entry| entry.last_timestamp).min();
        let oldest = [silent, self.verifications.oldest_ms()].into_iter().flatten().min();
        oldest.map(|at| at.saturating_add(expiration_ms))
    }

    /// Forgets everything; the log is taken in from `offset` on.
    pub(crate) fn reset(&mut self, offset: i64) {
        let verifications = std::mem::take(&mut self.verifications);
        *self = Self { map_end_offset: offset, verifications, ..Self::default() };
    }

    /// Takes over the producers of a snapshot at `offset`.
    pub(crate) fn load(
        &mut self,
        offset: i64,
        entries: Vec<(i64, ProducerEntry)>,
        now_ms: i64,
        expiration_ms: i64,
    ) {
        self.reset(offset);
        for (producer_id, entry) in entries {
            if entry.is_expired(now_ms, expiration_ms) {
                continue;
            }
            if let Some(first_offset) = entry.current_txn_first_offset {
                self.ongoing.insert(first_offset, Txn { producer_id, last_offset: None });
            }
            self.producers.insert(producer_id, entry);
        }
    }

    /// Timestamp of the last append of the producer whose transaction has been open longest.
    pub(crate) fn oldest_txn_timestamp(&self) -> Option<i64> {
        let (_, txn) = self.ongoing.first_key_value()?;
        self.producers.get(&txn.producer_id).map(|entry| entry.last_timestamp)
    }
}

/// What an accepted batch makes of its producer's state.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    producer_id: i64,
    entry: ProducerEntry,
    /// The first offset of the transaction that the batch begins.
    started: Option<i64>,
    /// The transaction that the batch's marker ends.
    completed: Option<CompletedTxn>,
    /// The epoch of a transactional batch, and whether it is a marker.
    settles: Option<(i16, bool)>,
}

fn check_epoch(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    origin: AppendOrigin,
) -> Result<(), AppendError> {
    if batch.producer_epoch >= entry.producer_epoch || origin == AppendOrigin::Replication {
        return Ok(());
    }
    Err(AppendError::new(
        ErrorCode::InvalidProducerEpoch,
        format!(
            "Epoch of producer {} at offset {} is {}, which is smaller than the last seen epoch {}",
            batch.producer_id, batch.first_offset, batch.producer_epoch, entry.producer_epoch
        ),
    ))
}

/// What no marker's `transaction.version` may be (`TransactionVersion.TV_UNKNOWN`).
const VERSION_UNKNOWN: i16 = -1;

/// The rule of `transaction.version` 2: a marker's epoch is above that of the records. The same epoch again is the same marker
/// sent again, if no transaction is open (KAFKA-19999), or an epoch that cannot grow.
fn check_marker_epoch(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    how: AppendAs,
) -> Result<(), AppendError> {
    if how.transaction_version == VERSION_UNKNOWN && how.origin != AppendOrigin::Replication {
        let message = format!("a marker of producer {} without its transaction.version", batch.producer_id);
        return Err(AppendError::new(ErrorCode::UnknownServerError, message));
    }
    let (marker, current) = (batch.producer_epoch, entry.producer_epoch);
    let is_again = entry.current_txn_first_offset.is_none() || marker == i16::MAX;
    if how.transaction_version < 2 || how.origin == AppendOrigin::Replication || marker != current || is_again
    {
        return check_epoch(entry, batch, how.origin);
    }
    Err(AppendError::new(
        ErrorCode::InvalidProducerEpoch,
        format!(
            "Epoch of producer {} at offset {} is {marker}, which is not above the last seen epoch {current}, though a marker of \
             transaction.version {} must be",
            batch.producer_id, batch.first_offset, how.transaction_version
        ),
    ))
}

/// Records that are to begin a transaction may not overtake those that asked before them, and where nothing is known of a
/// producer that takes a new epoch with every transaction, its first sequence is 0.
fn check_verified_sequence(
    verification: Option<&VerificationEntry>,
    has_batches: bool,
    batch: &ProducerBatch,
) -> Result<(), AppendError> {
    let Some(entry) = verification else { return Ok(()) };
    let (id, first, at) = (batch.producer_id, batch.first_sequence, batch.first_offset);
    if entry.bumps_epoch && first != 0 && !has_batches {
        let message = format!(
            "Invalid sequence number for producer {id} at offset {at}: {first} (incoming seq. number). Expected sequence 0 for \
             transactions v2 idempotent producer with no existing state."
        );
        return Err(AppendError::new(ErrorCode::OutOfOrderSequenceNumber, message));
    }
    if first > entry.lowest_sequence {
        let message = format!(
            "Out of order sequence number for producer {id} at offset {at}: {first} (incoming seq. number), {} (earliest seen \
             sequence)",
            entry.lowest_sequence
        );
        return Err(AppendError::new(ErrorCode::OutOfOrderSequenceNumber, message));
    }
    Ok(())
}

fn check_coordinator(
    entry: &ProducerEntry,
    batch: &ProducerBatch,
    marker: EndTxnMarker,
    origin: AppendOrigin,
) -> Result<(), AppendError> {
    if marker.coordinator_epoch >= entry.coordinator_epoch || origin == AppendOrigin::Replication {
        return Ok(());
    }
    Err(AppendError::new(
        ErrorCode::TransactionCoordinatorFenced,
        format!(
            "Invalid coordinator epoch for producer {} at offset {}: {} (zombie), {} (current)",
            batch.producer_id, batch.first_offset, marker.coordinator_epoch, entry.coordinator_epoch
        ),
    ))
}

fn check_sequence(entry: &ProducerEntry, is_known: bool, batch: &ProducerBatch) -> Result<(), AppendError> {
    let (id, first) = (batch.producer_id, batch.first_sequence);
    let error = |message: String| Err(AppendError::new(ErrorCode::OutOfOrderSequenceNumber, message));
    if batch.producer_epoch != entry.producer_epoch {
        if first != 0 && entry.producer_epoch >= 0 {
            return error(format!(
                "Invalid sequence number for new epoch of producer {id} at offset {}: {} (request epoch), {first} (seq. \
                 number), {} (current producer epoch)",
                batch.first_offset, batch.producer_epoch, entry.producer_epoch
            ));
        }
        return Ok(());
    }
    let last = entry.last_sequence();
    let follows = i64::from(first) == i64::from(last) + 1 || (first == 0 && last == i32::MAX);
    // A producer whose records are all gone (retention, DeleteRecords) may go on where it was.
    if is_known && !follows {
        return error(format!(
            "Out of order sequence number for producer {id} at offset {}: {first} (incoming seq. number), {last} (current \
             end sequence number)",
            batch.first_offset
        ));
    }
    Ok(())
}
