//! One replica's log (`UnifiedLog`).

use std::sync::Arc;

use bytes::Bytes;
use klamm_wire::record::inspect::InspectedBatch;

use crate::config::LogConfig;
use crate::disk::Disk;
use crate::error::{AppendError, LogError, ReadError};
use crate::leader_epoch_cache::{EpochEndOffset, LeaderEpochCache};
use crate::producer_state::ActiveProducer;
use crate::timestamp::TimestampOffset;

/// Who appends, which decides what is checked (`AppendOrigin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client: everything.
    Client,
    /// The group or transaction coordinator: markers are allowed.
    Coordinator,
    /// The leader of a Raft quorum: control batches are allowed, and offsets are assigned as for a client.
    Raft,
    /// The leader of this partition: the batches are taken as they are.
    Replication,
}

/// How far a reader may see (`FetchIsolation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FetchIsolation {
    /// Up to the log end offset: followers.
    LogEnd,
    /// Below the high watermark: consumers.
    HighWatermark,
    /// Below the last stable offset: consumers with `isolation.level=read_committed`.
    TxnCommitted,
}

/// What an append did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogAppendInfo {
    /// Offset of the first record.
    pub first_offset: i64,
    /// Offset of the last record.
    pub last_offset: i64,
    /// The time that the records got under `LogAppendTime`, in milliseconds; -1 under `CreateTime`.
    pub log_append_time: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// Largest timestamp appended, in milliseconds; -1 for none.
    pub max_timestamp: i64,
    /// Bytes appended.
    pub bytes: usize,
    /// Records appended.
    pub records: i64,
    /// Whether an idempotent producer sent a batch again: nothing was appended, and the offsets are those of the first time.
    pub duplicate: bool,
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FetchData {
    /// Whole batches as consecutive slices. The first batch may begin before the offset that was asked for.
    pub records: Vec<Bytes>,
    /// Size of the slices together, in bytes.
    pub size: usize,
    /// Aborted transactions that overlap the batches; filled under [`FetchIsolation::TxnCommitted`] only.
    pub aborted_transactions: Vec<AbortedTxn>,
}

/// A transaction that was aborted, as the transaction index holds it (`AbortedTxn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTxn {
    /// The producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    /// The last stable offset when it ended.
    pub last_stable_offset: i64,
}

/// A transaction that has its marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTxn {
    /// The producer.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of its marker.
    pub last_offset: i64,
    /// Whether the marker says abort.
    pub is_aborted: bool,
}

/// A log's offsets at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOffsets {
    /// First offset of the log.
    pub log_start_offset: i64,
    /// Offset after the last record.
    pub log_end_offset: i64,
    /// First offset not known to be on every in-sync replica.
    pub high_watermark: i64,
    /// First offset of an open transaction, or the high watermark.
    pub last_stable_offset: i64,
}

/// A segment as tools see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// First offset it may hold; its files are named after it.
    pub base_offset: i64,
    /// Size of its batches, in bytes.
    pub size: u64,
    /// Largest timestamp in it, in milliseconds; -1 for none.
    pub largest_timestamp: i64,
}

/// One replica of one partition. Times are the node's wall clock in milliseconds.
#[derive(Debug, Clone)]
pub struct Log {
    dir: String,
    config: Arc<LogConfig>,
    leader_epochs: LeaderEpochCache,
    log_start_offset: i64,
    high_watermark: i64,
}

#[expect(clippy::todo, unused_variables, reason = "being built")]
impl Log {
    /// The directory of the log, relative to the disk's root: `logs/topic-0`.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The configuration in force.
    pub const fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Takes a new configuration.
    pub fn update_config(&mut self, config: Arc<LogConfig>) {
        self.config = config;
    }

    /// First offset of the log.
    pub const fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// Offset after the last record.
    pub fn log_end_offset(&self) -> i64 {
        todo!()
    }

    /// First offset that is not known to be committed.
    pub const fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// First offset of an open transaction or the high watermark, whichever is smaller.
    pub fn last_stable_offset(&self) -> i64 {
        todo!()
    }

    /// First offset of the earliest transaction that is open, or whose marker is not below the high watermark.
    pub fn first_unstable_offset(&self) -> Option<i64> {
        todo!()
    }

    /// All offsets at once.
    pub fn offsets(&self) -> LogOffsets {
        todo!()
    }

    /// Sets the high watermark, clamped to the log's offsets; returns what it became. It may go back: followers take their leader's.
    pub fn update_high_watermark(&mut self, offset: i64) -> i64 {
        todo!()
    }

    /// Raises the high watermark to `offset`, which must not be above the log end offset. The old one, if it moved.
    pub fn maybe_increment_high_watermark(&mut self, offset: i64) -> Option<i64> {
        todo!()
    }

    /// Appends batches as the partition's leader: checks them, assigns offsets, stamps the leader epoch. All or none.
    pub fn append_as_leader(
        &mut self,
        disk: &mut dyn Disk,
        batches: &[InspectedBatch],
        leader_epoch: i32,
        now_ms: i64,
        origin: AppendOrigin,
    ) -> Result<LogAppendInfo, AppendError> {
        todo!()
    }

    /// Appends what a leader sent, as it came; slices may cut batches anywhere, and a cut last batch is left out.
    /// Batches of a leader epoch above `leader_epoch` end the append (KIP-966's divergence guard in `UnifiedLog.appendAsFollower`).
    pub fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        records: &[Bytes],
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<LogAppendInfo, AppendError> {
        todo!()
    }

    /// Reads whole batches from the one that contains `offset`, at most `max_bytes` together; with `min_one_batch` the first
    /// batch comes even if it is larger.
    pub fn read(
        &self,
        disk: &dyn Disk,
        offset: i64,
        max_bytes: usize,
        isolation: FetchIsolation,
        min_one_batch: bool,
    ) -> Result<FetchData, ReadError> {
        todo!()
    }

    /// Aborted transactions with records in `start_offset..upper_offset`.
    pub fn aborted_transactions(
        &self,
        disk: &dyn Disk,
        start_offset: i64,
        upper_offset: i64,
    ) -> Result<Vec<AbortedTxn>, LogError> {
        todo!()
    }

    /// The first record at or after a timestamp, or a special lookup ([`special_timestamp`](crate::special_timestamp));
    /// `None` when there is none. `LATEST` answers the log end offset: bounding it by isolation is the caller's part.
    pub fn fetch_offset_by_timestamp(
        &self,
        disk: &dyn Disk,
        timestamp: i64,
    ) -> Result<Option<TimestampOffset>, LogError> {
        todo!()
    }

    /// Drops every record at or above `offset`; false when there was none.
    pub fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64, now_ms: i64) -> Result<bool, LogError> {
        todo!()
    }

    /// Drops every record; the log then begins and ends at `new_offset` (or begins at `log_start_offset`, if given).
    pub fn truncate_fully_and_start_at(
        &mut self,
        disk: &mut dyn Disk,
        new_offset: i64,
        log_start_offset: Option<i64>,
        now_ms: i64,
    ) -> Result<(), LogError> {
        todo!()
    }

    /// Raises the log start offset; true when it moved. Refuses an offset above the high watermark with `OFFSET_OUT_OF_RANGE`.
    pub fn maybe_increment_log_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        offset: i64,
    ) -> Result<bool, ReadError> {
        todo!()
    }

    /// The leader epochs of the log.
    pub const fn leader_epochs(&self) -> &LeaderEpochCache {
        &self.leader_epochs
    }

    /// The latest leader epoch that has records or was assigned.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.leader_epochs.latest_epoch()
    }

    /// Where a leader epoch ends in this log.
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<EpochEndOffset> {
        self.leader_epochs.end_offset_for(epoch, self.log_end_offset())
    }

    /// Notes that `epoch` begins at `start_offset`: a new leader does so before its first append.
    pub fn assign_epoch_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        epoch: i32,
        start_offset: i64,
    ) -> Result<(), LogError> {
        todo!()
    }

    /// Starts a new active segment at the log end offset.
    pub fn roll(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        todo!()
    }

    /// Asks that everything below the log end offset become durable; the recovery point follows when it is.
    pub fn flush(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        todo!()
    }

    /// Everything below it is durable.
    pub fn recovery_point(&self) -> i64 {
        todo!()
    }

    /// When the log was last flushed, in milliseconds.
    pub fn last_flush_ms(&self) -> i64 {
        todo!()
    }

    /// Deletes segments by retention time, retention size and log start offset; returns how many went.
    pub fn delete_old_segments(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<usize, LogError> {
        todo!()
    }

    /// Removes files whose segments were deleted `file.delete.delay.ms` ago, forgets expired producers.
    pub fn on_time(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        todo!()
    }

    /// The producers known to the log, by id.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        todo!()
    }

    /// Size of all segments, in bytes.
    pub fn size(&self) -> u64 {
        todo!()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        todo!()
    }
}
