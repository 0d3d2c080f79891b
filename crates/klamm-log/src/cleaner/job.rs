//! One compaction of one log, a piece at a time: first the keys of its dirty part, then each group of segments written anew.
//!
//! Between two pieces the log is in use. Appends and new segments are beyond what the job looks at; what takes segments away
//! (truncation) ends the job, and retention leaves the log alone until it is done.

use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;

use super::filter::Filter;
use super::offset_map::OffsetMap;
use super::transactions::CleanedTransactions;
use super::{CleanReport, CleanerSettings};
use crate::append::appended_batch;
use crate::disk::{Disk, FlushId, FlushOutcome, FlushState};
use crate::error::LogError;
use crate::log::Log;
use crate::names;
use crate::read::read_batch;
use crate::segment::Segment;

/// Where a compaction stands.
#[derive(Debug, Clone)]
pub(crate) struct CleaningJob {
    /// First offset that was not compacted before.
    start: i64,
    /// First offset that is left alone.
    limit: i64,
    /// When it began: what horizons are measured against.
    now_ms: i64,
    map: OffsetMap,
    transactions: CleanedTransactions,
    stage: Stage,
    report: CleanReport,
    /// Room for what is worked out of each batch.
    kept: Vec<bool>,
}

#[derive(Debug, Clone)]
enum Stage {
    /// Reads keys: the segment at this place in the log, from this position on.
    Map {
        at: usize,
        position: u64,
    },
    /// Writes groups of segments: this is the next one's place.
    Next {
        first: usize,
    },
    /// Writes a group of `count` segments from `first` on; the source is the one at `at`, from this position on.
    Group {
        first: usize,
        count: usize,
        at: usize,
        position: u64,
        cleaned: Box<Segment>,
    },
    /// A group is written; it takes the place of its sources once it is durable, which these fsyncs say.
    Flush {
        first: usize,
        count: usize,
        cleaned: Box<Segment>,
        waiting: Vec<FlushId>,
    },
    Done,
}

/// What is left to read in one piece.
struct Budget(u64);

impl Budget {
    fn spend(&mut self, bytes: usize) {
        self.0 = self.0.saturating_sub(bytes as u64);
    }

    const fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

fn unreadable(log: &Log, offset: i64, what: &str) -> LogError {
    LogError::Corrupt {
        path: log.dir.clone(),
        message: format!("cannot compact the batch at {offset}: {what}"),
    }
}

impl CleaningJob {
    /// Whether it waits for what it has written to become durable.
    fn is_flushing(&self) -> bool {
        matches!(&self.stage, Stage::Flush { waiting, .. } if !waiting.is_empty())
    }

    /// Notes that an fsync is done; false when it is none of this job's.
    fn note_flushed(&mut self, id: FlushId) -> bool {
        let Stage::Flush { waiting, .. } = &mut self.stage else { return false };
        let before = waiting.len();
        waiting.retain(|pending| *pending != id);
        waiting.len() < before
    }
}

impl Log {
    /// Whether a compaction waits for what it has written to become durable: [`Log::on_flushed`] tells it. Until then it cannot go on.
    pub fn is_cleaning_flushed(&self) -> bool {
        self.cleaning.as_ref().is_none_or(|job| !job.is_flushing())
    }

    /// Notes how an fsync ended that a compaction asked for. Where it failed, nobody knows what is durable of what was written, and the
    /// compaction never ends: its directory is lost. False when it was none of a compaction's.
    pub(crate) fn on_cleaning_flushed(&mut self, outcome: &FlushOutcome) -> bool {
        match &mut self.cleaning {
            Some(job) if outcome.result.is_ok() => job.note_flushed(outcome.id),
            Some(job) => matches!(&job.stage, Stage::Flush { waiting, .. } if waiting.contains(&outcome.id)),
            None => false,
        }
    }

    /// Whether a compaction is under way.
    pub const fn is_cleaning(&self) -> bool {
        self.cleaning.is_some()
    }

    /// Begins a compaction, whether that is due or not; false when there is nothing to compact, or one is under way.
    pub fn begin_cleaning(&mut self, settings: &CleanerSettings, now_ms: i64) -> bool {
        let Some(cleanable) = self.cleanable(now_ms) else { return false };
        let (start, limit) = (cleanable.first_dirty_offset, cleanable.first_uncleanable_offset);
        if limit <= start {
            return false;
        }
        self.cleaning = Some(Box::new(CleaningJob {
            start,
            limit,
            now_ms,
            map: OffsetMap::new(settings.dedupe_buffer_bytes, settings.load_factor, start - 1),
            transactions: CleanedTransactions::default(),
            stage: Stage::Map { at: self.floor_segment(start).unwrap_or(0), position: u64::MAX },
            report: CleanReport { start_offset: start, ..CleanReport::default() },
            kept: Vec::new(),
        }));
        true
    }

    /// Gives a compaction up: the segments that it has written so far stay, the one that it was writing goes.
    pub fn abort_cleaning(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        let Some(job) = self.cleaning.take() else { return Ok(()) };
        if let Stage::Group { cleaned, .. } | Stage::Flush { cleaned, .. } = job.stage {
            cleaned.close(disk);
            for kind in names::SEGMENT_FILES {
                let path = format!("{}{}", names::file(&self.dir, cleaned.base_offset, kind), names::CLEANED);
                disk.delete(&path)?;
            }
        }
        Ok(())
    }

    /// Goes on with a compaction until it has read about `max_bytes`. What it did, once it is done; `None` when there is more to do,
    /// or none is under way.
    ///
    /// # Errors
    /// When the disk fails, or a batch cannot be read: then the compaction is given up.
    pub fn continue_cleaning(
        &mut self,
        disk: &mut dyn Disk,
        max_bytes: u64,
        now_ms: i64,
    ) -> Result<Option<CleanReport>, LogError> {
        if !self.config.compact {
            self.abort_cleaning(disk)?;
        }
        let Some(mut job) = self.cleaning.take() else { return Ok(None) };
        let mut budget = Budget(max_bytes.max(1));
        let mut outcome = Ok(());
        while outcome.is_ok() && !budget.is_spent() && !job.is_flushing() && !matches!(job.stage, Stage::Done)
        {
            outcome = match job.stage {
                Stage::Map { .. } => self.map_keys(disk, &mut job, &mut budget),
                Stage::Next { .. } => self.begin_group(disk, &mut job),
                Stage::Group { .. } => self.write_group(disk, &mut job, &mut budget),
                Stage::Flush { .. } => self.replace_group(disk, &mut job, now_ms),
                Stage::Done => Ok(()),
            };
        }
        if let Err(error) = outcome {
            self.cleaning = Some(job);
            let _ = self.abort_cleaning(disk);
            return Err(error);
        }
        if !matches!(job.stage, Stage::Done) {
            self.cleaning = Some(job);
            return Ok(None);
        }
        self.cleaner_checkpoint = Some(job.report.end_offset);
        Ok(Some(job.report))
    }

    /// Compacts the log in one go, whether that is due or not. It waits for fsyncs, those of the disk's other logs included: for a log
    /// that has its disk to itself.
    ///
    /// # Errors
    /// When the disk fails, or a batch cannot be read.
    pub fn clean(
        &mut self,
        disk: &mut dyn Disk,
        settings: &CleanerSettings,
        now_ms: i64,
    ) -> Result<CleanReport, LogError> {
        self.begin_cleaning(settings, now_ms);
        while self.is_cleaning() {
            if let Some(report) = self.continue_cleaning(disk, u64::MAX, now_ms)? {
                return Ok(report);
            }
            for job in disk.take_flush_jobs() {
                let outcome = job.run();
                disk.complete_flush(&outcome);
                self.on_flushed(&outcome, now_ms);
                outcome.result?;
            }
        }
        Ok(CleanReport::default())
    }

    /// The last offset of each key in the dirty part, as far as the map goes.
    fn map_keys(&self, disk: &dyn Disk, job: &mut CleaningJob, budget: &mut Budget) -> Result<(), LogError> {
        let Stage::Map { at, position } = &mut job.stage else { return Ok(()) };
        let segment = &self.segments[*at];
        let next = self.segments.get(*at + 1).map_or(job.limit, |next| next.base_offset.min(job.limit));
        if *position == u64::MAX {
            if segment.base_offset >= job.limit {
                job.report.end_offset = job.map.latest_offset() + 1;
                job.transactions = CleanedTransactions::default();
                job.stage = Stage::Next { first: 0 };
                return Ok(());
            }
            *position = u64::from(segment.offset_index.lookup(disk, job.start)?);
            job.transactions.add(self.aborted_transactions(
                disk,
                segment.base_offset.max(job.start),
                next,
            )?);
        }
        while let Some(batch) = read_batch(disk, segment, *position)? {
            *position += batch.size() as u64;
            budget.spend(batch.size());
            let header = &batch.header;
            let counts = if header.is_control() {
                job.transactions.on_marker(&batch);
                false
            } else {
                !job.transactions.on_batch(header)
            };
            if counts && !self.add_keys(&mut job.map, &batch, job.start)? {
                job.report.end_offset = job.map.latest_offset() + 1;
                job.transactions = CleanedTransactions::default();
                job.stage = Stage::Next { first: 0 };
                return Ok(());
            }
            job.map.set_latest_offset(header.last_offset());
            if budget.is_spent() {
                return Ok(());
            }
        }
        job.map.set_latest_offset(next - 1);
        job.stage = Stage::Map { at: *at + 1, position: u64::MAX };
        Ok(())
    }

    /// Adds the batch's keys from `start` on; false when the map is full.
    fn add_keys(&self, map: &mut OffsetMap, batch: &RecordBatch, start: i64) -> Result<bool, LogError> {
        let base = batch.header.base_offset;
        let records =
            batch.records(DECOMPRESSED_LIMIT).map_err(|e| unreadable(self, base, &e.to_string()))?;
        for record in records.iter() {
            let record = record.map_err(|e| unreadable(self, base, &e.to_string()))?;
            let offset = base.saturating_add(record.offset_delta.into());
            if let Some(key) = record.key
                && offset >= start
                && !map.put(key, offset)
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin_group(&self, disk: &mut dyn Disk, job: &mut CleaningJob) -> Result<(), LogError> {
        let Stage::Next { first } = job.stage else { return Ok(()) };
        let end = job.report.end_offset.min(job.limit);
        if self.segments.get(first).is_none_or(|s| s.base_offset >= end) {
            job.stage = Stage::Done;
            return Ok(());
        }
        let base = self.segments[first].base_offset;
        // What an earlier attempt left.
        for kind in names::SEGMENT_FILES {
            disk.delete(&format!("{}{}", names::file(&self.dir, base, kind), names::CLEANED))?;
        }
        let jitter = self.roll_jitter_ms(base);
        let cleaned = Segment::open(disk, &self.dir, base, names::CLEANED, &self.config, jitter, job.now_ms)?;
        let count = self.group_from(first, end, job.limit);
        job.stage = Stage::Group { first, count, at: first, position: 0, cleaned: Box::new(cleaned) };
        Ok(())
    }

    /// How many segments from `first` on fit into one (`Cleaner.groupSegmentsBySize`).
    fn group_from(&self, first: usize, end: i64, limit: i64) -> usize {
        let base = self.segments[first].base_offset;
        let most_index = u64::from(self.config.segment_index_bytes);
        let (mut size, mut offsets, mut times, mut count) = (0, 0, 0, 0);
        for (at, segment) in
            self.segments.iter().enumerate().skip(first).take_while(|(_, s)| s.base_offset < end)
        {
            size += segment.size();
            offsets += segment.offset_index.size_bytes();
            times += segment.time_index.size_bytes();
            let last = self.segments.get(at + 1).map_or(limit, |next| next.base_offset.min(limit)) - 1;
            let fits = size <= u64::from(self.config.segment_bytes)
                && offsets <= most_index
                && times <= most_index
                && (segment.size() == 0 || last - base <= i64::from(i32::MAX));
            if count > 0 && !fits {
                break;
            }
            count += 1;
        }
        count
    }

    /// Writes a group's batches anew; when all are written, the new segment takes the group's place.
    fn write_group(
        &mut self,
        disk: &mut dyn Disk,
        job: &mut CleaningJob,
        budget: &mut Budget,
    ) -> Result<(), LogError> {
        let Stage::Group { first, count, at, position, cleaned } = &mut job.stage else { return Ok(()) };
        let (first, count) = (*first, *count);
        let mut filter = Filter {
            map: &job.map,
            now_ms: job.now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            high_watermark: self.high_watermark,
            producers: self.producers.producers(),
            kept: &mut job.kept,
        };
        while *at < first + count {
            let source = &self.segments[*at];
            if *position == 0 {
                let next = self.segments.get(*at + 1).map_or(self.log_end_offset, |next| next.base_offset);
                job.transactions.add(self.aborted_transactions(disk, source.base_offset, next)?);
            }
            while let Some(batch) = read_batch(disk, source, *position)? {
                if budget.is_spent() {
                    return Ok(());
                }
                *position += batch.size() as u64;
                budget.spend(batch.size());
                job.report.bytes_before += batch.size() as u64;
                let (discard, ended) = if batch.header.is_control() {
                    job.transactions.on_marker(&batch)
                } else {
                    (job.transactions.on_batch(&batch.header), None)
                };
                if let Some(aborted) = ended {
                    let file = names::file(&self.dir, cleaned.base_offset, names::TXN_INDEX);
                    cleaned.txn_index.append(disk, &format!("{file}{}", names::CLEANED), &aborted)?;
                }
                let base = batch.header.base_offset;
                let kept = filter.filter(batch, discard).map_err(|e| unreadable(self, base, &e))?;
                let Some(kept) = kept else { continue };
                let note = appended_batch(&kept.header);
                job.report.bytes_after += kept.size() as u64;
                let interval = self.config.index_interval_bytes;
                cleaned.append(disk, &[kept.head, kept.body], std::iter::once(note), interval, job.now_ms)?;
            }
            *at += 1;
            *position = 0;
        }
        cleaned.seal(disk)?;
        let mut waiting = Vec::new();
        for file in cleaned.files() {
            if let FlushState::Pending(id) = disk.request_flush(file)? {
                waiting.push(id);
            }
        }
        if let Stage::Group { cleaned, .. } = std::mem::replace(&mut job.stage, Stage::Done) {
            job.stage = Stage::Flush { first, count, cleaned, waiting };
        }
        Ok(())
    }

    /// Puts a group that is durable in the place of the segments that it was made of.
    fn replace_group(
        &mut self,
        disk: &mut dyn Disk,
        job: &mut CleaningJob,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let Stage::Flush { first, count, cleaned, .. } = &mut job.stage else { return Ok(()) };
        let (first, count) = (*first, *count);
        // Retention counts from when the records were written, not from when they were compacted.
        cleaned.set_modified_ms(self.segments[first + count - 1].modified_ms());
        cleaned.rename(disk, &self.dir, names::CLEANED, names::SWAP)?;
        let Stage::Flush { cleaned, .. } =
            std::mem::replace(&mut job.stage, Stage::Next { first: first + 1 })
        else {
            return Ok(());
        };
        let replaced: Vec<Segment> = self.segments.splice(first..first + count, [*cleaned]).collect();
        self.delete_segments_later(disk, &replaced, now_ms)?;
        self.segments[first].rename(disk, &self.dir, names::SWAP, "")?;
        Ok(())
    }
}
