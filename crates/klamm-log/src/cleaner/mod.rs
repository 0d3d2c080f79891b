//! Compaction (`LogCleaner`, `Cleaner`): of each key the last record stays, tombstones and markers for a while.
//!
//! One call compacts one log; nothing runs in the background.

mod filter;
mod offset_map;
mod transactions;

use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;

use crate::append::appended_batch;
use crate::disk::Disk;
use crate::error::LogError;
use crate::log::Log;
use crate::names;
use crate::read::read_batch;
use crate::segment::Segment;
use filter::Filter;
use offset_map::OffsetMap;
use transactions::CleanedTransactions;

/// How the cleaner works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanerSettings {
    /// `log.cleaner.dedupe.buffer.size`: memory for keys and their offsets, in bytes. What does not fit waits for the next cleaning.
    pub dedupe_buffer_bytes: usize,
}

impl Default for CleanerSettings {
    fn default() -> Self {
        Self { dedupe_buffer_bytes: 128 * 1024 * 1024 }
    }
}

/// What of a log could be compacted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cleanable {
    /// First offset that was not compacted yet.
    pub first_dirty_offset: i64,
    /// First offset that must not be compacted yet.
    pub first_uncleanable_offset: i64,
    /// Bytes not compacted yet, as a part of all that could be.
    pub ratio: f64,
    /// Whether the ratio is above `min.cleanable.dirty.ratio`, or a record has waited `max.compaction.lag.ms`.
    pub is_due: bool,
}

/// What a cleaning did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CleanReport {
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of the segments after.
    pub bytes_after: u64,
    /// Offset up to which the log is clean.
    pub end_offset: i64,
}

impl Log {
    /// What of this log could be compacted now; `None` for a log that is not compacted, or has nothing that could be.
    pub fn cleanable(&self, now_ms: i64) -> Option<Cleanable> {
        if !self.config.compact {
            return None;
        }
        let start = self.log_start_offset;
        let checkpoint = self.cleaner_checkpoint.unwrap_or(start);
        let dirty = if (start..=self.log_end_offset).contains(&checkpoint) { checkpoint } else { start };
        let active = self.active().base_offset;
        let closed = &self.segments[..self.segments.len() - 1];
        let dirty_closed = &closed[self.floor_segment(dirty).unwrap_or(0).min(closed.len())..];
        let lag = self.config.min_compaction_lag_ms;
        let too_new = |s: &&Segment| lag > 0 && s.largest_timestamp() > now_ms.saturating_sub(lag);
        let too_new = dirty_closed.iter().find(too_new).map_or(i64::MAX, |s| s.base_offset);
        let limit = self.last_stable_offset().min(active).min(too_new).max(dirty);
        // Whole segments only: the one that holds the limit stays.
        let holds_limit = self.floor_segment(limit).map_or(active, |at| self.segments[at].base_offset);
        let uncleanable = holds_limit.min(active);
        let size = |from: i64, to: i64| -> u64 {
            let within = self.segments.iter().filter(|s| s.base_offset >= from && s.base_offset < to);
            within.map(Segment::size).sum()
        };
        let first = self.floor_segment(dirty).map_or(dirty, |at| self.segments[at].base_offset);
        let (clean, dirty_bytes) = (size(i64::MIN, first.min(uncleanable)), size(first, uncleanable));
        if clean + dirty_bytes == 0 {
            return None;
        }
        let ratio = dirty_bytes as f64 / (clean + dirty_bytes) as f64;
        let oldest = dirty_closed.iter().filter_map(Segment::first_batch_timestamp).filter(|t| *t > 0).min();
        let overdue =
            oldest.is_some_and(|t| t < now_ms.saturating_sub(self.config.max_compaction_lag_ms.max(0)));
        let is_due = (overdue && dirty_bytes > 0) || ratio > self.config.min_cleanable_dirty_ratio;
        Some(Cleanable { first_dirty_offset: dirty, first_uncleanable_offset: uncleanable, ratio, is_due })
    }

    /// Compacts the log, whether that is due or not. Reads and rewrites every segment below the first uncleanable offset.
    pub fn clean(
        &mut self,
        disk: &mut dyn Disk,
        settings: &CleanerSettings,
        now_ms: i64,
    ) -> Result<CleanReport, LogError> {
        let Some(cleanable) = self.cleanable(now_ms) else { return Ok(CleanReport::default()) };
        let (dirty, limit) = (cleanable.first_dirty_offset, cleanable.first_uncleanable_offset);
        if limit <= dirty {
            return Ok(CleanReport { end_offset: dirty, ..CleanReport::default() });
        }
        let map = self.build_offset_map(disk, dirty, limit, settings)?;
        let end_offset = map.latest_offset() + 1;
        let mut report = CleanReport { end_offset, ..CleanReport::default() };
        let mut transactions = CleanedTransactions::default();
        let mut first = 0;
        while self.segments.get(first).is_some_and(|s| s.base_offset < end_offset && s.base_offset < limit) {
            let count = self.group_from(first, end_offset.min(limit), limit);
            let before: u64 = self.segments[first..first + count].iter().map(Segment::size).sum();
            self.clean_group(disk, first, count, &map, &mut transactions, now_ms)?;
            report.bytes_before += before;
            report.bytes_after += self.segments[first].size();
            first += 1;
        }
        self.cleaner_checkpoint = Some(end_offset);
        Ok(report)
    }

    /// How many segments from `first` on fit into one (`Cleaner.groupSegmentsBySize`).
    fn group_from(&self, first: usize, end: i64, limit: i64) -> usize {
        let base = self.segments[first].base_offset;
        let (mut size, mut count) = (0, 0);
        for (at, segment) in
            self.segments.iter().enumerate().skip(first).take_while(|(_, s)| s.base_offset < end)
        {
            size += segment.size();
            let last = self.segments.get(at + 1).map_or(limit, |next| next.base_offset.min(limit)) - 1;
            let fits = size <= u64::from(self.config.segment_bytes) && last - base <= i64::from(i32::MAX);
            if count > 0 && !fits {
                break;
            }
            count += 1;
        }
        count
    }

    /// The last offset of each key in `start..end`, as far as memory allows.
    fn build_offset_map(
        &self,
        disk: &dyn Disk,
        start: i64,
        end: i64,
        settings: &CleanerSettings,
    ) -> Result<OffsetMap, LogError> {
        let mut map = OffsetMap::new(settings.dedupe_buffer_bytes, start - 1);
        let mut transactions = CleanedTransactions::default();
        transactions.add(self.aborted_transactions(disk, start, end)?);
        let from = self.floor_segment(start).unwrap_or(0);
        for (at, segment) in
            self.segments.iter().enumerate().skip(from).take_while(|(_, s)| s.base_offset < end)
        {
            let mut position = u64::from(segment.offset_index.lookup(disk, start)?);
            while let Some(batch) = read_batch(disk, segment, position)? {
                position += batch.size() as u64;
                let header = &batch.header;
                let counts = if header.is_control() {
                    transactions.on_marker(&batch);
                    false
                } else {
                    !transactions.on_batch(header)
                };
                // The first batch goes in whatever it costs: each cleaning must get on.
                let must = map.latest_offset() < start;
                if counts && !add_keys(&mut map, &batch, start, must) {
                    return Ok(map);
                }
                map.set_latest_offset(header.last_offset());
            }
            let next = self.segments.get(at + 1).map_or(end, |next| next.base_offset.min(end));
            map.set_latest_offset(next - 1);
        }
        Ok(map)
    }

    /// Writes `count` segments from `first` on anew, as one, and puts it in their place.
    fn clean_group(
        &mut self,
        disk: &mut dyn Disk,
        first: usize,
        count: usize,
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let base = self.segments[first].base_offset;
        // What an earlier attempt left.
        for kind in names::SEGMENT_FILES {
            disk.delete(&format!("{}{}", names::file(&self.dir, base, kind), names::CLEANED))?;
        }
        let jitter = self.roll_jitter_ms(base);
        let mut cleaned = Segment::open(disk, &self.dir, base, names::CLEANED, &self.config, jitter, now_ms)?;
        for at in first..first + count {
            let segment = &self.segments[at];
            let next = match self.segments.get(at + 1) {
                Some(next) => next.base_offset,
                None => self.log_end_offset,
            };
            transactions.add(self.aborted_transactions(disk, segment.base_offset, next)?);
            self.clean_into(disk, at, &mut cleaned, map, transactions, now_ms)?;
        }
        cleaned.seal(disk)?;
        for file in cleaned.files() {
            disk.flush(file)?;
        }
        // Retention counts from when the records were written, not from when they were compacted.
        cleaned.set_modified_ms(self.segments[first + count - 1].modified_ms());
        cleaned.rename(disk, &self.dir, names::CLEANED, names::SWAP)?;
        let replaced: Vec<Segment> = self.segments.splice(first..first + count, [cleaned]).collect();
        self.delete_segments_later(disk, &replaced, now_ms)?;
        self.segments[first].rename(disk, &self.dir, names::SWAP, "")?;
        Ok(())
    }

    fn clean_into(
        &self,
        disk: &mut dyn Disk,
        at: usize,
        cleaned: &mut Segment,
        map: &OffsetMap,
        transactions: &mut CleanedTransactions,
        now_ms: i64,
    ) -> Result<(), LogError> {
        let filter = Filter {
            map,
            now_ms,
            delete_retention_ms: self.config.delete_retention_ms,
            high_watermark: self.high_watermark,
            producers: self.producers.producers(),
        };
        let source = &self.segments[at];
        let mut position = 0;
        while let Some(batch) = read_batch(disk, source, position)? {
            position += batch.size() as u64;
            let (discard, ended) = if batch.header.is_control() {
                transactions.on_marker(&batch)
            } else {
                (transactions.on_batch(&batch.header), None)
            };
            if let Some(aborted) = ended {
                let path = format!(
                    "{}{}",
                    names::file(&self.dir, cleaned.base_offset, names::TXN_INDEX),
                    names::CLEANED
                );
                cleaned.txn_index.append(disk, &path, &aborted)?;
            }
            let Some(kept) = filter.filter(batch, discard) else { continue };
            let note = appended_batch(&kept.header);
            let interval = self.config.index_interval_bytes;
            cleaned.append(disk, &[kept.head, kept.body], std::iter::once(note), interval, now_ms)?;
        }
        Ok(())
    }
}

/// Adds the batch's keys from `start` on; false when the map is full and they need not go in.
fn add_keys(map: &mut OffsetMap, batch: &RecordBatch, start: i64, must: bool) -> bool {
    // What cannot be read is kept as it is, so its keys hide nothing.
    let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { return true };
    for record in records.iter().map_while(Result::ok) {
        let offset = batch.header.base_offset.saturating_add(record.offset_delta.into());
        if let Some(key) = record.key
            && offset >= start
            && !map.put(key, offset, must)
        {
            return false;
        }
    }
    true
}
