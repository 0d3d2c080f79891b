//! Opening a log, and repairing it after an unclean stop (`LogLoader`).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use klamm_wire::record::batch::RecordBatch;

use crate::append::{producer_batch, read_marker};
use crate::checkpoint;
use crate::config::LogConfig;
use crate::disk::Disk;
use crate::error::LogError;
use crate::leader_epoch_cache::LeaderEpochCache;
use crate::log::{AppendOrigin, Log, LogLimits, roll_jitter_ms};
use crate::names;
use crate::producer_state::{ProducerState, read_snapshot};
use crate::read::read_batch;
use crate::segment::Segment;

/// What the checkpoints of a log directory say of a log, and how the node stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenLog {
    /// Whether the node stopped in order: then nothing needs to be recovered.
    pub clean_shutdown: bool,
    /// Everything below it was flushed.
    pub recovery_point: i64,
    /// First offset of the log.
    pub log_start_offset: i64,
    /// First offset that was not known to be committed.
    pub high_watermark: i64,
    /// First offset that compaction had not looked at.
    pub cleaner_offset: Option<i64>,
    /// Whether the log may have been compacted although its configuration does not say so: then recovery minds no hole between segments, as Kafka's
    /// never does (`LogLoader.recoverLog`).
    pub may_be_compacted: bool,
}

impl Log {
    /// Opens the log in the directory `dir`, creating it when absent. After an unclean stop, what lies above the recovery point is
    /// read batch by batch and cut at the first bad one; indexes that cannot be right are rebuilt.
    pub fn open(
        disk: &mut dyn Disk,
        dir: &str,
        config: Arc<LogConfig>,
        limits: LogLimits,
        options: OpenLog,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        disk.create_dir(dir)?;
        let mut log = Self::empty(dir.to_owned(), config, limits, options, now_ms);
        log.load(disk, options, now_ms)?;
        Ok(log)
    }

    /// Makes a log in a directory in which nothing can be.
    pub(crate) fn create(
        disk: &mut dyn Disk,
        dir: String,
        config: Arc<LogConfig>,
        limits: LogLimits,
        now_ms: i64,
    ) -> Result<Self, LogError> {
        let mut log = Self::empty(dir, config, limits, OpenLog::default(), now_ms);
        let jitter = roll_jitter_ms(&log.config, limits.seed, &log.dir, 0);
        log.segments.push(Segment::create(disk, &log.dir, 0, &log.config, jitter, now_ms)?);
        Ok(log)
    }

    fn empty(dir: String, config: Arc<LogConfig>, limits: LogLimits, options: OpenLog, now_ms: i64) -> Self {
        Self {
            dir,
            config,
            limits,
            segments: Vec::new(),
            leader_epochs: LeaderEpochCache::default(),
            producers: ProducerState::default(),
            log_start_offset: options.log_start_offset,
            log_end_offset: options.log_start_offset,
            high_watermark: options.log_start_offset,
            first_unstable_offset: None,
            recovery_point: options.recovery_point,
            last_flush_ms: now_ms,
            flushes: Vec::new(),
            snapshots: Vec::new(),
            deletions: VecDeque::new(),
            cleaner_checkpoint: options.cleaner_offset,
            cleaning: None,
            verify_crcs: false,
            heads: BytesMut::new(),
        }
    }

    fn load(&mut self, disk: &mut dyn Disk, options: OpenLog, now_ms: i64) -> Result<(), LogError> {
        let fresh = disk.list(&self.dir)?.iter().all(|entry| !entry.name.ends_with(names::LOG));
        self.leader_epochs = match checkpoint::read_epochs(disk, &self.dir) {
            // The epochs are in the batches too.
            Err(LogError::Corrupt { .. }) => LeaderEpochCache::default(),
            epochs => epochs?,
        };
        let epochs = self.leader_epochs.clone();
        if !fresh {
            self.finish_swaps(disk, now_ms)?;
            self.list_snapshots(disk)?;
            self.open_segments(disk, now_ms)?;
            if !options.clean_shutdown {
                let may_be_compacted = options.may_be_compacted || self.config.compact;
                self.recover_unflushed(disk, may_be_compacted, now_ms)?;
            }
        }
        let mut end = match self.segments.last() {
            Some(last) => last.next_offset(disk)?,
            None => options.log_start_offset,
        };
        if end < options.log_start_offset {
            let gone = std::mem::take(&mut self.segments);
            self.delete_segments_later(disk, &gone, now_ms)?;
            self.remove_snapshots(disk, |_| true)?;
            self.leader_epochs.clear();
            end = options.log_start_offset;
        }
        if self.segments.is_empty() {
            self.segments.push(self.open_segment(disk, end, "", now_ms)?);
        }
        self.log_end_offset = end;
        self.log_start_offset = options.log_start_offset.max(self.segments[0].base_offset);
        self.recovery_point = if options.clean_shutdown { end } else { options.recovery_point.min(end) };
        self.leader_epochs.truncate_from_end(end);
        self.leader_epochs.truncate_from_start(options.log_start_offset);
        if self.leader_epochs != epochs {
            self.write_epochs(disk)?;
        }
        self.remove_stray_snapshots(disk)?;
        self.producers.reset(self.log_start_offset);
        if end > self.log_start_offset || !self.snapshots.is_empty() {
            self.rebuild_producer_state(disk, end, options.clean_shutdown, now_ms)?;
        }
        self.update_high_watermark(options.high_watermark);
        Ok(())
    }

    fn open_segment(
        &self,
        disk: &mut dyn Disk,
        base_offset: i64,
        suffix: &str,
        now_ms: i64,
    ) -> Result<Segment, LogError> {
        let jitter = roll_jitter_ms(&self.config, self.limits.seed, &self.dir, base_offset);
        Ok(Segment::open(disk, &self.dir, base_offset, suffix, &self.config, jitter, now_ms)?)
    }

    /// Removes what a crash left behind, and completes compactions that had got as far as their swap files.
    fn finish_swaps(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        let files: Vec<String> =
            disk.list(&self.dir)?.into_iter().filter(|e| !e.is_dir).map(|e| e.name).collect();
        let ending = |suffix: &str| -> Vec<(i64, &String)> {
            let with = files.iter().filter(|name| name.ends_with(suffix));
            with.filter_map(|name| Some((names::offset_of(name)?, name))).collect()
        };
        let path = |name: &str| format!("{}/{name}", self.dir);
        for name in files.iter().filter(|name| name.ends_with(names::DELETED)) {
            disk.delete(&path(name))?;
        }
        let cleaned = ending(names::CLEANED);
        let first_cleaned = cleaned.iter().map(|(offset, _)| *offset).min().unwrap_or(i64::MAX);
        for (_, name) in &cleaned {
            disk.delete(&path(name))?;
        }
        let mut replaced: Option<(i64, i64)> = None;
        let mut swaps = Vec::new();
        for (offset, name) in ending(names::SWAP) {
            // A cleaned file beside or below it: the swap had not begun for all of the group.
            if offset >= first_cleaned {
                disk.delete(&path(name))?;
                continue;
            }
            swaps.push(name);
            if name.ends_with(&format!("{}{}", names::LOG, names::SWAP)) {
                let segment = self.open_segment(disk, offset, names::SWAP, now_ms)?;
                let next = segment.next_offset(disk)?;
                segment.close(disk);
                let (low, high) = replaced.unwrap_or((offset, next));
                replaced = Some((low.min(offset), high.max(next)));
            }
        }
        if let Some((low, high)) = replaced {
            for name in files.iter().filter(|name| !name.ends_with(names::SWAP)) {
                if names::offset_of(name).is_some_and(|offset| (low..high).contains(&offset)) {
                    disk.delete(&path(name))?;
                }
            }
        }
        for name in swaps {
            disk.rename(&path(name), &path(name.trim_end_matches(names::SWAP)))?;
        }
        Ok(())
    }

    fn list_snapshots(&mut self, disk: &dyn Disk) -> Result<(), LogError> {
        let files = disk.list(&self.dir)?;
        let snapshots = files.iter().filter(|e| e.name.ends_with(names::SNAPSHOT));
        self.snapshots = snapshots.filter_map(|e| names::offset_of(&e.name)).collect();
        self.snapshots.sort_unstable();
        Ok(())
    }

    fn open_segments(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        let files: Vec<String> =
            disk.list(&self.dir)?.into_iter().filter(|e| !e.is_dir).map(|e| e.name).collect();
        let has = |offset: i64, kind: &str| files.contains(&format!("{offset:020}{kind}"));
        for name in &files {
            let Some(base) = names::offset_of(name) else { continue };
            let index =
                [names::INDEX, names::TIME_INDEX, names::TXN_INDEX].iter().any(|kind| name.ends_with(kind));
            if index && !has(base, names::LOG) {
                disk.delete(&format!("{}/{name}", self.dir))?;
            }
        }
        for base in files.iter().filter(|n| n.ends_with(names::LOG)).filter_map(|n| names::offset_of(n)) {
            let complete = has(base, names::INDEX) && has(base, names::TIME_INDEX);
            let segment = self.open_segment(disk, base, "", now_ms)?;
            let sane = complete && segment.indexes_are_sane(disk)?;
            self.segments.push(segment);
            if !sane {
                self.recover_segment(disk, self.segments.len() - 1, now_ms)?;
            }
        }
        Ok(())
    }

    fn recover_unflushed(
        &mut self,
        disk: &mut dyn Disk,
        may_be_compacted: bool,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let first = self.floor_segment(self.recovery_point).unwrap_or(0);
        for at in first..self.segments.len() {
            let cut = self.recover_segment(disk, at, now_ms)?;
            // The machine may have lost the end of one segment and kept the next. Compaction leaves such holes too.
            let hole = match self.segments.get(at + 1) {
                Some(next) if !may_be_compacted => self.segments[at].next_offset(disk)? != next.base_offset,
                _ => false,
            };
            if cut > 0 || hole {
                let gone = self.segments.split_off(at + 1);
                self.delete_segments_later(disk, &gone, now_ms)?;
                break;
            }
        }
        Ok(())
    }

    /// Reads a segment batch by batch, rebuilding its indexes, the producers' state and the epochs; cuts it at the first bad
    /// batch. Returns how many bytes went.
    fn recover_segment(&mut self, disk: &mut dyn Disk, at: usize, now_ms: i64) -> Result<u64, LogError> {
        let base = self.segments[at].base_offset;
        let later = self.segments.split_off(at);
        self.rebuild_producer_state(disk, base, false, now_ms)?;
        self.segments.extend(later);
        let size = self.segments[at].size();
        // A copy that still believes in the whole file reads; the segment itself counts what was good.
        let whole = self.segments[at].clone();
        self.segments[at].begin_recovery(disk)?;
        let mut position = 0;
        let mut next_offset = base;
        while position < size
            && let Some(batch) = read_batch(disk, &whole, position)?
        {
            let header = batch.header;
            let follows = header.base_offset >= next_offset && header.last_offset_delta >= 0;
            if header.magic != 2 || !follows || !batch.crc_holds() || !whole.can_hold(header.last_offset()) {
                break;
            }
            self.segments[at].recovered(disk, &header, self.config.index_interval_bytes)?;
            if self.leader_epochs.latest_epoch().is_none_or(|epoch| header.partition_leader_epoch > epoch) {
                self.leader_epochs.assign(header.partition_leader_epoch, header.base_offset);
            }
            self.recover_producer(disk, at, &batch)?;
            position += header.size() as u64;
            next_offset = header.next_offset();
            self.producers.set_map_end_offset(next_offset);
        }
        let cut = self.segments[at].end_recovery(disk)?;
        self.take_snapshot(disk)?;
        Ok(cut)
    }

    /// Takes a batch of a segment whose transaction index is being rebuilt into the producers' state.
    fn recover_producer(
        &mut self,
        disk: &mut dyn Disk,
        at: usize,
        batch: &RecordBatch,
    ) -> Result<(), LogError> {
        if let Some(txn) = take_in_quietly(&mut self.producers, batch) {
            if let Some(aborted) = self.producers.aborted(&txn) {
                self.segments[at].append_aborted(disk, &self.dir, &aborted)?;
            }
            self.producers.complete(&txn);
        }
        Ok(())
    }

    /// Keeps the snapshots at segments' beginnings, and the newest one if it lies above all of them.
    fn remove_stray_snapshots(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        let bases: Vec<i64> = self.segments.iter().map(|s| s.base_offset).collect();
        let newest = self.snapshots.last().copied().filter(|s| bases.last().is_some_and(|last| s > last));
        Ok(self.remove_snapshots(disk, |offset| {
            bases.binary_search(&offset).is_err() && newest != Some(offset)
        })?)
    }

    /// Makes the producers' state what it was at `last_offset`: from the newest snapshot at or below it, and the batches since.
    pub(crate) fn rebuild_producer_state(
        &mut self,
        disk: &mut dyn Disk,
        last_offset: i64,
        clean_shutdown: bool,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let bases: Vec<i64> = self.segments.iter().rev().take(2).rev().map(|s| s.base_offset).collect();
        if self.snapshots.is_empty() && clean_shutdown {
            for offset in bases.into_iter().chain([last_offset]) {
                self.producers.set_map_end_offset(offset);
                self.take_snapshot(disk)?;
            }
            return Ok(());
        }
        let had_none = self.producers.is_empty() && self.producers.map_end_offset() >= last_offset;
        let start = self.log_start_offset;
        self.remove_snapshots(disk, |offset| offset > last_offset || offset <= start)?;
        if self.producers.map_end_offset() == last_offset {
            self.producers.forget_decided_below(start);
        } else {
            self.load_snapshot(disk, now_ms)?;
        }
        if last_offset > self.producers.map_end_offset() && !had_none {
            let from = self.floor_segment(self.producers.map_end_offset()).unwrap_or(0);
            for at in from..self.segments.len() {
                let segment = &self.segments[at];
                if segment.base_offset >= last_offset {
                    break;
                }
                let first = segment.base_offset.max(self.producers.map_end_offset()).max(start);
                self.producers.set_map_end_offset(first);
                if bases.contains(&segment.base_offset) {
                    self.take_snapshot(disk)?;
                }
                self.take_in_segment(disk, at, first, last_offset)?;
            }
        }
        self.producers.set_map_end_offset(last_offset);
        self.take_snapshot(disk)?;
        self.refresh_first_unstable_offset();
        Ok(())
    }

    /// The newest snapshot that can be read; nothing known from the log start offset on when there is none.
    fn load_snapshot(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        while let Some(offset) = self.snapshots.last().copied() {
            let bytes = disk.read_file(&names::file(&self.dir, offset, names::SNAPSHOT))?;
            if let Some(entries) = bytes.and_then(|b| read_snapshot(&b)) {
                self.producers.load(offset, entries, now_ms, self.limits.producer_id_expiration_ms);
                return Ok(());
            }
            self.remove_snapshots(disk, |o| o == offset)?;
        }
        self.producers.reset(self.log_start_offset);
        Ok(())
    }

    /// Takes the batches of `from..to` in one segment into the producers' state.
    fn take_in_segment(&mut self, disk: &dyn Disk, at: usize, from: i64, to: i64) -> Result<(), LogError> {
        let segment = &self.segments[at];
        let Some(first) = segment.find(disk, from)? else { return Ok(()) };
        let mut batches = Vec::new();
        segment.scan(disk, first.position, |position, header| {
            if header.has_producer_id() && header.base_offset < to {
                batches.push((position, *header));
            }
            header.base_offset < to
        })?;
        for (position, header) in batches {
            let txn = if header.is_control() {
                let Some(batch) = read_batch(disk, &self.segments[at], position)? else { continue };
                take_in_quietly(&mut self.producers, &batch)
            } else {
                let batch = producer_batch(&header, || None);
                let prepared = self.producers.prepare(&batch, AppendOrigin::Replication.into(), &[]);
                prepared.ok().and_then(|p| self.producers.commit(p))
            };
            if let Some(txn) = txn {
                self.producers.complete(&txn);
            }
        }
        Ok(())
    }
}

/// Takes a batch that is in the log into the producers' state: nothing is refused. The transaction that it ends stays open.
fn take_in_quietly(producers: &mut ProducerState, batch: &RecordBatch) -> Option<crate::log::CompletedTxn> {
    if !batch.header.has_producer_id() {
        return None;
    }
    let seen = producer_batch(&batch.header, || read_marker(batch));
    let prepared = producers.prepare(&seen, AppendOrigin::Replication.into(), &[]).ok()?;
    producers.commit(prepared)
}
