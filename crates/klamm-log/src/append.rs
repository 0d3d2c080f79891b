//! Appending, as the partition's leader.

use bytes::{Bytes, BytesMut};
use klamm_wire::record::batch::{HEADER_LEN, RecordBatch};
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::record::inspect::{DECOMPRESSED_LIMIT, InspectedBatch};
use klamm_wire::{BatchHeader, ErrorCode};
use smallvec::SmallVec;

use crate::disk::Disk;
use crate::error::{AppendError, LogError};
use crate::log::{AppendAs, AppendOrigin, CompletedTxn, Log, LogAppendInfo};
use crate::producer_state::VerificationGuard;
use crate::producer_state::{Prepared, ProducerBatch};
use crate::segment::AppendedBatch;
use crate::validate::validate;

/// How many bytes of batch heads share one allocation.
const HEAD_ARENA: usize = 16 * HEADER_LEN;

impl Log {
    /// The partition as Kafka prints it: the last component of its directory.
    fn name(&self) -> &str {
        self.dir.rsplit('/').next().unwrap_or_default()
    }

    /// Appends batches as the partition's leader: checks them, assigns offsets, stamps the leader epoch. All or none.
    ///
    /// The records are neither read nor copied; each batch gets a new 61-byte head.
    pub fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batches: &[InspectedBatch],
        leader_epoch: i32,
        now_ms: i64,
        how: impl Into<AppendAs>,
    ) -> Result<LogAppendInfo, AppendError> {
        let how = how.into();
        let origin = how.origin;
        let mut info = LogAppendInfo {
            first_offset: self.log_end_offset,
            last_offset: self.log_end_offset - 1,
            log_append_time: -1,
            log_start_offset: self.log_start_offset,
            max_timestamp: -1,
            bytes: 0,
            records: 0,
            duplicate: false,
        };
        let mut chunks: SmallVec<[Bytes; 2]> = SmallVec::new();
        let mut appended: SmallVec<[AppendedBatch; 1]> = SmallVec::new();
        let mut prepared: SmallVec<[Prepared; 1]> = SmallVec::new();
        for inspected in batches {
            let batch = validate(&self.config, self.name(), inspected, now_ms, origin)?;
            let header = BatchHeader { base_offset: info.last_offset + 1, ..batch.header };
            if header.last_offset_delta < 0 {
                return Err(AppendError::new(ErrorCode::InvalidRecord, "Record batch holds no offset"));
            }
            if header.has_producer_id() {
                let batch = producer_batch(&header, || read_marker(&batch));
                if origin == AppendOrigin::Client
                    && let Some(earlier) = self.producers.duplicate_of(&batch)
                {
                    info.first_offset = earlier.first_offset();
                    info.last_offset = earlier.last_offset;
                    info.log_append_time = earlier.timestamp;
                    return Ok(LogAppendInfo { bytes: 0, records: 0, duplicate: true, ..info });
                }
                if matches!(origin, AppendOrigin::Client | AppendOrigin::Coordinator) {
                    let enabled = self.limits.transaction_verification;
                    self.producers.check_verified(&batch, how.guard, enabled)?;
                }
                prepared.push(self.producers.prepare(&batch, how, &prepared)?);
            }
            info.last_offset = header.last_offset();
            info.max_timestamp = info.max_timestamp.max(header.max_timestamp);
            info.bytes += header.size();
            if header.is_log_append_time() {
                info.log_append_time = header.max_timestamp;
            }
            chunks.push(stamp(&mut self.heads, &batch.head, header.base_offset, leader_epoch));
            chunks.push(batch.body.clone());
            appended.push(appended_batch(&header));
        }
        if appended.is_empty() {
            return Ok(info);
        }
        info.records = info.last_offset + 1 - info.first_offset;
        self.check_fits_a_segment(info.bytes)?;
        self.assign_epoch_start_offset(disk, leader_epoch, info.first_offset)?;
        self.maybe_roll(disk, info.bytes, info.first_offset, info.last_offset, info.max_timestamp, now_ms)?;
        let interval = self.config.index_interval_bytes;
        self.active_mut().append(disk, &chunks, appended.into_iter(), interval, now_ms)?;
        self.log_end_offset = info.last_offset + 1;
        let completed: SmallVec<[CompletedTxn; 1]> =
            prepared.into_iter().filter_map(|p| self.producers.commit(p)).collect();
        for txn in &completed {
            self.complete_txn(disk, txn)?;
        }
        self.after_append(disk, now_ms)?;
        Ok(info)
    }

    /// Begins to verify that a transaction's coordinator knows of its records in this partition: append them with the guard.
    /// `None` when the transaction is open here already, and nothing is to be verified
    /// (`UnifiedLog.maybeStartTransactionVerification`).
    ///
    /// # Errors
    /// `INVALID_PRODUCER_EPOCH` for an epoch below the producer's last.
    pub fn start_verification(
        &mut self,
        producer_id: i64,
        sequence: i32,
        producer_epoch: i16,
        bumps_epoch: bool,
        now_ms: i64,
    ) -> Result<Option<VerificationGuard>, AppendError> {
        self.producers.start_verification(producer_id, sequence, producer_epoch, bumps_epoch, now_ms)
    }

    /// Ends a transaction in the books: its place in the transaction index, and in the last stable offset.
    pub(crate) fn complete_txn(&mut self, disk: &mut dyn Disk, txn: &CompletedTxn) -> Result<(), LogError> {
        if let Some(aborted) = self.producers.aborted(txn) {
            let segment =
                self.segments.last_mut().expect("a log has at least one segment from its making on");
            segment.append_aborted(disk, &self.dir, &aborted)?;
        }
        self.producers.complete(txn);
        Ok(())
    }

    pub(crate) fn after_append(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        self.producers.set_map_end_offset(self.log_end_offset);
        self.refresh_first_unstable_offset();
        if self.log_end_offset - self.recovery_point >= self.config.flush_messages {
            self.flush(disk, now_ms)?;
        }
        Ok(())
    }

    pub(crate) fn check_fits_a_segment(&self, bytes: usize) -> Result<(), AppendError> {
        if bytes <= self.config.segment_bytes as usize {
            return Ok(());
        }
        Err(AppendError::new(
            ErrorCode::RecordListTooLarge,
            format!(
                "Message batch size is {bytes} bytes in append, which exceeds the maximum configured segment size of {}",
                self.config.segment_bytes
            ),
        ))
    }
}

/// The 61 bytes of a head with another base offset and leader epoch: all that a leader writes.
fn stamp(arena: &mut BytesMut, head: &[u8], base_offset: i64, leader_epoch: i32) -> Bytes {
    if arena.capacity() < HEADER_LEN {
        *arena = BytesMut::with_capacity(HEAD_ARENA);
    }
    arena.extend_from_slice(head);
    arena[..8].copy_from_slice(&base_offset.to_be_bytes());
    arena[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    arena.split().freeze()
}

pub(crate) const fn appended_batch(header: &BatchHeader) -> AppendedBatch {
    AppendedBatch {
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        size: header.size() as u32,
    }
}

/// A batch as its producer's state sees it; `marker` is asked for a control batch only.
pub(crate) fn producer_batch(
    header: &BatchHeader,
    marker: impl FnOnce() -> Option<EndTxnMarker>,
) -> ProducerBatch {
    ProducerBatch {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        first_sequence: header.base_sequence,
        last_sequence: header.last_sequence(),
        first_offset: header.base_offset,
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        is_transactional: header.is_transactional(),
        marker: header.is_control().then(marker),
    }
}

/// The transaction marker that a control batch holds, if any.
pub(crate) fn read_marker(batch: &RecordBatch) -> Option<EndTxnMarker> {
    let records = batch.records(DECOMPRESSED_LIMIT).ok()?;
    let record = records.iter().next()?.ok()?;
    EndTxnMarker::read(record.key?, record.value?)
}
