//! One replica's log (`UnifiedLog`): its state, and what can be asked of it. What changes it lies in files of their own.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::cleaner::CleaningJob;
use crate::config::LogConfig;
use crate::disk::{Disk, FlushId};
use crate::error::LogError;
use crate::leader_epoch_cache::{EpochEndOffset, LeaderEpochCache};
use crate::producer_state::{ActiveProducer, ProducerState, VerificationGuard};
use crate::segment::Segment;

/// Who appends, which decides what is checked (`AppendOrigin`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppendOrigin {
    /// A client: everything.
    Client,
    /// The group or transaction coordinator: markers are allowed.
    Coordinator,
    /// The leader of a Raft quorum: control batches are allowed, sizes and timestamps are its own affair.
    Raft,
    /// The leader of this partition: the batches are taken as they are.
    Replication,
}

/// How an append is made: by whom, and what it knows of the transaction it belongs to. An [`AppendOrigin`] alone is one too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendAs {
    /// Who appends.
    pub origin: AppendOrigin,
    /// What proves that a transaction's coordinator knows of its first records here.
    pub guard: Option<VerificationGuard>,
    /// The `transaction.version` that a marker is written under. From 2 on its epoch is above that of the records.
    pub transaction_version: i16,
}

impl From<AppendOrigin> for AppendAs {
    fn from(origin: AppendOrigin) -> Self {
        Self { origin, guard: None, transaction_version: 0 }
    }
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
    /// Offsets appended.
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

/// What every log of a node shares in settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogLimits {
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// `transaction.max.timeout.ms`: an open transaction this old, and five minutes more, is late.
    pub max_transaction_timeout_ms: i64,
    /// `transaction.partition.verification.enable`: whether records that begin a transaction here need a guard.
    pub transaction_verification: bool,
    /// Seed of `segment.jitter.ms`.
    pub seed: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            producer_id_expiration_ms: 86_400_000,
            max_transaction_timeout_ms: 900_000,
            transaction_verification: false,
            seed: 0,
        }
    }
}

/// One replica of one partition. Times are the node's wall clock in milliseconds.
#[derive(Debug, Clone)]
pub struct Log {
    pub(crate) dir: String,
    pub(crate) config: Arc<LogConfig>,
    pub(crate) limits: LogLimits,
    /// By base offset; the last is the active one. Never empty.
    pub(crate) segments: Vec<Segment>,
    pub(crate) leader_epochs: LeaderEpochCache,
    pub(crate) producers: ProducerState,
    pub(crate) log_start_offset: i64,
    pub(crate) log_end_offset: i64,
    pub(crate) high_watermark: i64,
    pub(crate) first_unstable_offset: Option<i64>,
    pub(crate) recovery_point: i64,
    pub(crate) last_flush_ms: i64,
    pub(crate) flushes: Vec<PendingFlush>,
    /// Offsets of the producer snapshots on disk, ascending.
    pub(crate) snapshots: Vec<i64>,
    /// Files that wait to be removed: when, and their paths.
    pub(crate) deletions: VecDeque<(i64, Vec<String>)>,
    /// First offset that compaction has not looked at.
    pub(crate) cleaner_checkpoint: Option<i64>,
    /// The compaction under way.
    pub(crate) cleaning: Option<Box<CleaningJob>>,
    pub(crate) verify_crcs: bool,
    /// Where new batch heads are written: many share one allocation.
    pub(crate) heads: BytesMut,
}

/// Fsyncs under way, and the offset that is durable when they are done.
#[derive(Debug, Clone)]
pub(crate) struct PendingFlush {
    pub(crate) waiting: Vec<FlushId>,
    pub(crate) offset: i64,
}

impl Log {
    /// The directory of the log, relative to the disk's root: `logs/topic-0`.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// The topic and partition that its directory is named after.
    pub(crate) fn topic_partition(&self) -> Option<(String, i32)> {
        crate::names::topic_partition_of(self.dir.rsplit('/').next().unwrap_or_default())
    }

    /// First offset that compaction has not looked at; `None` before the first compaction.
    pub const fn cleaner_checkpoint(&self) -> Option<i64> {
        self.cleaner_checkpoint
    }

    /// The configuration in force.
    pub const fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Takes a new configuration.
    pub fn update_config(&mut self, config: Arc<LogConfig>) {
        if config.segment_index_bytes != self.config.segment_index_bytes {
            let active = self.active_mut();
            active.offset_index.set_max_bytes(config.segment_index_bytes);
            active.time_index.set_max_bytes(config.segment_index_bytes);
        }
        self.config = config;
    }

    /// Takes what the node's logs share in settings.
    pub const fn set_limits(&mut self, limits: LogLimits) {
        self.limits = limits;
    }

    /// Takes over from the log whose place this one takes what is not in its records.
    pub fn adopt(&mut self, other: &Self) {
        self.cleaner_checkpoint = other.cleaner_checkpoint;
        self.limits = other.limits;
        self.verify_crcs = other.verify_crcs;
        self.update_high_watermark(other.high_watermark);
    }

    /// Gives up its files, without a flush: what it was for has come to nothing.
    pub fn give_up(&mut self, disk: &mut dyn Disk) {
        let _ = self.abort_cleaning(disk);
        for segment in &self.segments {
            segment.close(disk);
        }
    }

    /// Whether a follower checks the CRC of what its leader sends. Off by default: nothing between two nodes of one world
    /// can change a byte, unless a fault is armed that does.
    pub const fn set_verify_crcs(&mut self, verify: bool) {
        self.verify_crcs = verify;
    }

    /// First offset of the log.
    pub const fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// Offset after the last record.
    pub const fn log_end_offset(&self) -> i64 {
        self.log_end_offset
    }

    /// Whether the log holds no record.
    pub const fn is_empty(&self) -> bool {
        self.log_start_offset == self.log_end_offset
    }

    /// First offset that is not known to be committed.
    pub const fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// First offset of an open transaction or the high watermark, whichever is smaller.
    pub const fn last_stable_offset(&self) -> i64 {
        match self.first_unstable_offset {
            Some(offset) if offset < self.high_watermark => offset,
            _ => self.high_watermark,
        }
    }

    /// First offset of the earliest transaction that is open, or whose marker is not below the high watermark.
    pub const fn first_unstable_offset(&self) -> Option<i64> {
        self.first_unstable_offset
    }

    /// All offsets at once.
    pub const fn offsets(&self) -> LogOffsets {
        LogOffsets {
            log_start_offset: self.log_start_offset,
            log_end_offset: self.log_end_offset,
            high_watermark: self.high_watermark,
            last_stable_offset: self.last_stable_offset(),
        }
    }

    /// Sets the high watermark, clamped to the log's offsets; returns what it became. It may go back: followers take their leader's.
    pub fn update_high_watermark(&mut self, offset: i64) -> i64 {
        self.high_watermark =
            offset.clamp(self.log_start_offset, self.log_end_offset.max(self.log_start_offset));
        self.producers.forget_decided_below(self.high_watermark);
        self.refresh_first_unstable_offset();
        self.high_watermark
    }

    /// Raises the high watermark to `offset`, at most to the log end offset. The old one, if it moved.
    pub fn maybe_increment_high_watermark(&mut self, offset: i64) -> Option<i64> {
        let old = self.high_watermark;
        if offset.min(self.log_end_offset) <= old {
            return None;
        }
        self.update_high_watermark(offset);
        Some(old)
    }

    pub(crate) fn refresh_first_unstable_offset(&mut self) {
        let first = self.producers.first_unstable_offset();
        self.first_unstable_offset = first.map(|offset| offset.max(self.log_start_offset));
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
        self.leader_epochs.end_offset_for(epoch, self.log_end_offset)
    }

    /// Notes that `epoch` begins at `start_offset`: a new leader does so before its first append.
    pub fn assign_epoch_start_offset(
        &mut self,
        disk: &mut dyn Disk,
        epoch: i32,
        start_offset: i64,
    ) -> Result<(), LogError> {
        if self.leader_epochs.assign(epoch, start_offset) {
            self.write_epochs(disk)?;
        }
        Ok(())
    }

    pub(crate) fn write_epochs(&self, disk: &mut dyn Disk) -> Result<(), LogError> {
        crate::checkpoint::write_epochs(disk, &self.dir, &self.leader_epochs)
    }

    /// The producers known to the log, by id.
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.producers.active()
    }

    /// Whether a transaction has been open for longer than any may be, and five minutes more (`hasLateTransaction`).
    pub fn has_late_transaction(&self, now_ms: i64) -> bool {
        const BUFFER_MS: i64 = 5 * 60 * 1000;
        let late = self.limits.max_transaction_timeout_ms.saturating_add(BUFFER_MS);
        self.producers.oldest_txn_timestamp().is_some_and(|t| t > 0 && now_ms.saturating_sub(t) > late)
    }

    /// Size of all segments, in bytes.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(Segment::size).sum()
    }

    /// The segments, oldest first.
    pub fn segments(&self) -> Vec<SegmentInfo> {
        self.segments.iter().map(Segment::info).collect()
    }

    pub(crate) fn active(&self) -> &Segment {
        self.segments.last().expect("a log has at least one segment from its making on")
    }

    pub(crate) fn active_mut(&mut self) -> &mut Segment {
        self.segments.last_mut().expect("a log has at least one segment from its making on")
    }

    /// Index of the segment that would hold `offset`: the last whose base offset is not above it.
    pub(crate) fn floor_segment(&self, offset: i64) -> Option<usize> {
        self.segments.partition_point(|s| s.base_offset <= offset).checked_sub(1)
    }

    /// The jitter of a segment, the same whenever it is opened.
    pub(crate) fn roll_jitter_ms(&self, base_offset: i64) -> i64 {
        roll_jitter_ms(&self.config, self.limits.seed, &self.dir, base_offset)
    }
}

pub(crate) fn roll_jitter_ms(config: &LogConfig, seed: u64, dir: &str, base_offset: i64) -> i64 {
    let most = config.segment_jitter_ms.min(config.segment_ms);
    if most <= 0 {
        return 0;
    }
    // FNV-1a over the directory, then the offset: spread well enough, and equal from run to run.
    let bytes = dir.bytes().chain(base_offset.to_be_bytes()).chain(seed.to_be_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    (hash % most as u64) as i64
}
