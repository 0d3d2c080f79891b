//! One segment (`LogSegment`): batches in a file, and their indexes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use klamm_wire::BatchHeader;
use klamm_wire::record::batch::HEADER_LEN;

use crate::config::LogConfig;
use crate::disk::{Disk, DiskError, FileId, FileKind};
use crate::index::{OffsetIndex, TimeIndex, TransactionIndex, is_relative};
use crate::log::{AbortedTxn, SegmentInfo};
use crate::names;

/// How many of the last batches' positions a segment remembers: readers at the end need no index.
const RECENT: usize = 32;
/// Bytes of a header that say where a batch ends: offset, length, epoch, magic, CRC, attributes, last offset delta.
const SPAN_LEN: usize = 27;

/// Where a batch lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchSpan {
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    pub(crate) position: u64,
    pub(crate) size: u64,
}

impl BatchSpan {
    const fn end(&self) -> u64 {
        self.position + self.size
    }
}

/// What an append tells a segment of one batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AppendedBatch {
    pub(crate) last_offset: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) size: u32,
}

/// One segment of a log.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    pub(crate) log: FileId,
    pub(crate) offset_index: OffsetIndex,
    pub(crate) time_index: TimeIndex,
    pub(crate) txn_index: TransactionIndex,
    size: u64,
    bytes_since_index_entry: u64,
    /// Largest timestamp of the first batch; rolling by time counts from it.
    first_batch_timestamp: Option<i64>,
    /// Largest timestamp so far, and the last offset of the batch that brought it; (-1, base offset) for none.
    max_timestamp: (i64, i64),
    created_ms: i64,
    modified_ms: i64,
    roll_jitter_ms: i64,
    /// Whether its file was made longer than what is in it.
    preallocated: bool,
    /// (last offset, position) of the last batches appended.
    recent: VecDeque<(i64, u64)>,
}

impl Segment {
    /// Opens a segment's files, creating those that are absent.
    pub(crate) fn open(
        disk: &mut dyn Disk,
        dir: &str,
        base_offset: i64,
        suffix: &str,
        config: &LogConfig,
        roll_jitter_ms: i64,
        now_ms: i64,
    ) -> Result<Self, DiskError> {
        let path = |kind: &str| {
            let mut path = names::file(dir, base_offset, kind);
            path.push_str(suffix);
            path
        };
        let preallocated = config.preallocate && !disk.exists(&path(names::LOG));
        let log = disk.open(&path(names::LOG), FileKind::Log)?;
        if preallocated {
            disk.preallocate(log, config.segment_bytes.into())?;
        }
        let max_bytes = config.segment_index_bytes;
        let indexes = (
            OffsetIndex::open(disk, &path(names::INDEX), base_offset, max_bytes)?,
            TimeIndex::open(disk, &path(names::TIME_INDEX), base_offset, max_bytes)?,
            TransactionIndex::open(disk, &path(names::TXN_INDEX))?,
        );
        let mut segment = Self::empty(base_offset, log, indexes, roll_jitter_ms, now_ms);
        segment.preallocated = preallocated;
        segment.size = disk.len(log);
        segment.load_timestamps(disk)?;
        Ok(segment)
    }

    /// The first segment of a log in a directory that is new. Its indexes have no files before their first entries: many a partition has
    /// few records or none.
    pub(crate) fn create(
        disk: &mut dyn Disk,
        dir: &str,
        base_offset: i64,
        config: &LogConfig,
        roll_jitter_ms: i64,
        now_ms: i64,
    ) -> Result<Self, DiskError> {
        let path = |kind: &str| names::file(dir, base_offset, kind);
        let log = disk.open(&path(names::LOG), FileKind::Log)?;
        if config.preallocate {
            disk.preallocate(log, config.segment_bytes.into())?;
        }
        let max_bytes = config.segment_index_bytes;
        let indexes = (
            OffsetIndex::unmade(path(names::INDEX), base_offset, max_bytes),
            TimeIndex::unmade(path(names::TIME_INDEX), base_offset, max_bytes),
            TransactionIndex::default(),
        );
        let mut segment = Self::empty(base_offset, log, indexes, roll_jitter_ms, now_ms);
        segment.preallocated = config.preallocate;
        Ok(segment)
    }

    fn empty(
        base_offset: i64,
        log: FileId,
        (offset_index, time_index, txn_index): (OffsetIndex, TimeIndex, TransactionIndex),
        roll_jitter_ms: i64,
        now_ms: i64,
    ) -> Self {
        Self {
            base_offset,
            log,
            offset_index,
            time_index,
            txn_index,
            size: 0,
            bytes_since_index_entry: 0,
            first_batch_timestamp: None,
            max_timestamp: (-1, base_offset),
            created_ms: now_ms,
            modified_ms: now_ms,
            roll_jitter_ms,
            preallocated: false,
            recent: VecDeque::new(),
        }
    }

    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The largest timestamp of a record; when there is none, when the segment was last written to.
    pub(crate) const fn largest_timestamp(&self) -> i64 {
        if self.max_timestamp.0 >= 0 { self.max_timestamp.0 } else { self.modified_ms }
    }

    pub(crate) const fn max_timestamp(&self) -> i64 {
        self.max_timestamp.0
    }

    /// Last offset of the batch that brought the largest timestamp.
    pub(crate) const fn max_timestamp_offset(&self) -> i64 {
        self.max_timestamp.1
    }

    pub(crate) const fn first_batch_timestamp(&self) -> Option<i64> {
        self.first_batch_timestamp
    }

    pub(crate) const fn modified_ms(&self) -> i64 {
        self.modified_ms
    }

    pub(crate) const fn set_modified_ms(&mut self, modified_ms: i64) {
        self.modified_ms = modified_ms;
    }

    pub(crate) const fn info(&self) -> SegmentInfo {
        SegmentInfo {
            base_offset: self.base_offset,
            size: self.size,
            largest_timestamp: self.max_timestamp.0,
        }
    }

    pub(crate) const fn can_hold(&self, offset: i64) -> bool {
        is_relative(offset, self.base_offset)
    }

    /// Whether `size` more bytes, up to `last_offset` and `max_timestamp`, belong into a new segment.
    pub(crate) fn should_roll(
        &self,
        config: &LogConfig,
        size: u64,
        last_offset: i64,
        max_timestamp: i64,
        now_ms: i64,
    ) -> bool {
        let waited = match self.first_batch_timestamp {
            Some(first) if first >= 0 => max_timestamp.saturating_sub(first),
            _ => now_ms.saturating_sub(self.created_ms),
        };
        self.size + size > u64::from(config.segment_bytes)
            || (self.size > 0 && waited > config.max_segment_ms() - self.roll_jitter_ms)
            || self.offset_index.is_full()
            || self.time_index.is_full()
            || !self.can_hold(last_offset)
    }

    /// Appends batches whose bytes are `chunks` together.
    pub(crate) fn append(
        &mut self,
        disk: &mut dyn Disk,
        chunks: &[Bytes],
        batches: impl Iterator<Item = AppendedBatch>,
        index_interval_bytes: u32,
        now_ms: i64,
    ) -> Result<(), DiskError> {
        disk.append(self.log, chunks)?;
        self.modified_ms = now_ms;
        for batch in batches {
            self.note(disk, batch, index_interval_bytes)?;
        }
        Ok(())
    }

    /// Takes a batch that lies at the end of what was noted into the indexes.
    fn note(&mut self, disk: &mut dyn Disk, batch: AppendedBatch, interval: u32) -> Result<(), DiskError> {
        if batch.max_timestamp > self.max_timestamp.0 {
            self.max_timestamp = (batch.max_timestamp, batch.last_offset);
        }
        if self.first_batch_timestamp.is_none() {
            self.first_batch_timestamp = Some(batch.max_timestamp);
        }
        if self.bytes_since_index_entry > u64::from(interval) {
            self.offset_index.append(disk, batch.last_offset, self.size as u32)?;
            self.time_index.maybe_append(disk, self.max_timestamp.0, self.max_timestamp.1, false)?;
            self.bytes_since_index_entry = 0;
        }
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((batch.last_offset, self.size));
        self.size += u64::from(batch.size);
        self.bytes_since_index_entry += u64::from(batch.size);
        Ok(())
    }

    /// Notes an aborted transaction whose marker lies in this segment.
    pub(crate) fn append_aborted(
        &mut self,
        disk: &mut dyn Disk,
        dir: &str,
        txn: &AbortedTxn,
    ) -> Result<(), DiskError> {
        self.txn_index.append(disk, &names::file(dir, self.base_offset, names::TXN_INDEX), txn)
    }

    /// The batch that begins at `position`; `None` at the end, or when what lies there cannot be one.
    pub(crate) fn span_at(&self, disk: &dyn Disk, position: u64) -> Result<Option<BatchSpan>, DiskError> {
        let mut buffer = [0; SPAN_LEN];
        if position >= self.size || disk.read_into(self.log, position, &mut buffer)? < SPAN_LEN {
            return Ok(None);
        }
        let mut b = &buffer[..];
        let base_offset = b.get_i64();
        let length = b.get_i32();
        b.advance(SPAN_LEN - 16);
        let size = 12 + i64::from(length);
        if size < HEADER_LEN as i64 || position + size as u64 > self.size {
            return Ok(None);
        }
        let last_offset = base_offset.saturating_add(i64::from(b.get_i32()));
        Ok(Some(BatchSpan { base_offset, last_offset, position, size: size as u64 }))
    }

    /// The header of the batch at `position`.
    pub(crate) fn header_at(&self, disk: &dyn Disk, position: u64) -> Result<Option<BatchHeader>, DiskError> {
        let mut buffer = [0; HEADER_LEN];
        if position >= self.size || disk.read_into(self.log, position, &mut buffer)? < HEADER_LEN {
            return Ok(None);
        }
        let header = BatchHeader::read(&buffer);
        Ok(header.filter(|h| h.size() >= HEADER_LEN && position + h.size() as u64 <= self.size))
    }

    /// The first batch that reaches `offset`.
    pub(crate) fn find(&self, disk: &dyn Disk, offset: i64) -> Result<Option<BatchSpan>, DiskError> {
        let start = match self.recent.front() {
            Some((first, _)) if offset > *first => {
                let at = self.recent.partition_point(|(last, _)| *last < offset);
                return match self.recent.get(at) {
                    Some((_, position)) => self.span_at(disk, *position),
                    None => Ok(None),
                };
            }
            _ => self.offset_index.lookup(disk, offset)?,
        };
        let mut position = u64::from(start);
        while let Some(span) = self.span_at(disk, position)? {
            if span.last_offset >= offset {
                return Ok(Some(span));
            }
            position = span.end();
        }
        Ok(None)
    }

    /// Where the first batch that reaches `offset` begins; the segment's size when none does.
    pub(crate) fn position_of(&self, disk: &dyn Disk, offset: i64) -> Result<u64, DiskError> {
        Ok(self.find(disk, offset)?.map_or(self.size, |span| span.position))
    }

    /// The largest batch boundary in `start..=limit`, where `start` is one.
    fn boundary(&self, disk: &dyn Disk, start: u64, limit: u64) -> Result<u64, DiskError> {
        if limit >= self.size {
            return Ok(self.size);
        }
        if self.recent.front().is_some_and(|(_, position)| *position <= limit) {
            let at = self.recent.partition_point(|(_, position)| *position <= limit);
            return Ok(self.recent[at - 1].1.max(start));
        }
        let mut position = start.max(u64::from(self.offset_index.lookup_position(disk, limit)?));
        while let Some(span) = self.span_at(disk, position)? {
            if span.end() > limit {
                break;
            }
            position = span.end();
        }
        Ok(position)
    }

    /// Reads whole batches from the one that reaches `offset` up to `upper_position`. `None` when no batch of this segment
    /// reaches the offset.
    pub(crate) fn read(
        &self,
        disk: &dyn Disk,
        offset: i64,
        max_bytes: usize,
        upper_position: u64,
        min_one_batch: bool,
    ) -> Result<Option<SegmentRead>, DiskError> {
        let Some(first) = self.find(disk, offset)? else { return Ok(None) };
        let mut limit = upper_position.min(first.position.saturating_add(max_bytes as u64));
        if min_one_batch && first.end() <= upper_position {
            limit = limit.max(first.end());
        }
        let mut read = SegmentRead { records: Vec::new(), position: first.position, size: 0 };
        if first.end() <= limit {
            let end = self.boundary(disk, first.end(), limit)?;
            read.size = (end - first.position) as usize;
            disk.read(self.log, first.position, read.size, &mut read.records)?;
        }
        Ok(Some(read))
    }

    /// Calls `each` with every header from the batch at `position` on, until it says stop.
    pub(crate) fn scan(
        &self,
        disk: &dyn Disk,
        mut position: u64,
        mut each: impl FnMut(u64, &BatchHeader) -> bool,
    ) -> Result<(), DiskError> {
        while let Some(header) = self.header_at(disk, position)? {
            if !each(position, &header) {
                break;
            }
            position += header.size() as u64;
        }
        Ok(())
    }

    /// Offset after the last record; the base offset when there is none.
    pub(crate) fn next_offset(&self, disk: &dyn Disk) -> Result<i64, DiskError> {
        let mut next = self.base_offset;
        let start = self.offset_index.lookup(disk, self.offset_index.last_offset())?;
        self.scan(disk, u64::from(start), |_, header| {
            next = header.next_offset();
            true
        })?;
        Ok(next)
    }

    /// Drops every batch that reaches `offset`.
    pub(crate) fn truncate_to(
        &mut self,
        disk: &mut dyn Disk,
        offset: i64,
        now_ms: i64,
    ) -> Result<(), DiskError> {
        let position = self.position_of(disk, offset)?;
        self.offset_index.truncate_to(disk, offset)?;
        self.time_index.truncate_to(disk, offset)?;
        self.txn_index.truncate_to(disk, offset)?;
        disk.truncate(self.log, position)?;
        self.size = position;
        self.bytes_since_index_entry = 0;
        while self.recent.back().is_some_and(|(_, p)| *p >= position) {
            self.recent.pop_back();
        }
        if self.size == 0 {
            self.created_ms = now_ms;
        }
        self.modified_ms = now_ms;
        self.load_timestamps(disk)
    }

    /// Reads the largest timestamp from the time index and the batches after its last entry.
    fn load_timestamps(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.first_batch_timestamp = self.header_at(disk, 0)?.map(|h| h.max_timestamp);
        let mut max = self.time_index.last();
        let start = self.offset_index.lookup(disk, max.1)?;
        self.scan(disk, u64::from(start), |_, header| {
            if header.max_timestamp > max.0 {
                max = (header.max_timestamp, header.last_offset());
            }
            true
        })?;
        self.max_timestamp = max;
        Ok(())
    }

    /// The segment is active no more: completes the time index, and cuts a preallocated file (`onBecomeInactiveSegment`).
    pub(crate) fn seal(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.time_index.maybe_append(disk, self.max_timestamp.0, self.max_timestamp.1, true)?;
        // Whoever finds the segment without them takes it for damaged.
        for index in [self.offset_index.make(disk)?, self.time_index.make(disk)?] {
            disk.seal(index)?;
        }
        if std::mem::take(&mut self.preallocated) {
            disk.seal(self.log)?;
        }
        self.recent = VecDeque::new();
        Ok(())
    }

    /// Whether the indexes can be what an append left.
    pub(crate) fn indexes_are_sane(&self, disk: &dyn Disk) -> Result<bool, DiskError> {
        Ok(self.offset_index.is_sane(disk, self.size.max(1))?
            && self.time_index.is_sane(disk)?
            && self.txn_index.is_sane(disk, self.base_offset)?)
    }

    /// Forgets the indexes and everything that was derived, so that [`recovered`](Self::recovered) can build them anew.
    pub(crate) fn begin_recovery(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.offset_index.reset(disk)?;
        self.time_index.reset(disk)?;
        self.txn_index.reset(disk)?;
        self.size = 0;
        self.bytes_since_index_entry = 0;
        self.first_batch_timestamp = None;
        self.max_timestamp = (-1, self.base_offset);
        self.recent = VecDeque::new();
        Ok(())
    }

    /// Takes a batch that recovery found good.
    pub(crate) fn recovered(
        &mut self,
        disk: &mut dyn Disk,
        header: &BatchHeader,
        interval: u32,
    ) -> Result<(), DiskError> {
        let batch = AppendedBatch {
            last_offset: header.last_offset(),
            max_timestamp: header.max_timestamp,
            size: header.size() as u32,
        };
        self.note(disk, batch, interval)
    }

    /// Ends a recovery: what lies behind the last good batch is cut off. Returns how many bytes went.
    pub(crate) fn end_recovery(&mut self, disk: &mut dyn Disk) -> Result<u64, DiskError> {
        let cut = disk.len(self.log) - self.size;
        disk.truncate(self.log, self.size)?;
        self.time_index.maybe_append(disk, self.max_timestamp.0, self.max_timestamp.1, true)?;
        Ok(cut)
    }

    /// The files that hold something to flush.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileId> + use<> {
        [Some(self.log), self.offset_index.file(), self.time_index.file(), self.txn_index.file()]
            .into_iter()
            .flatten()
    }

    /// Gives up the files.
    pub(crate) fn close(&self, disk: &mut dyn Disk) {
        for file in self.files() {
            disk.close(file);
        }
    }

    /// Renames the files that are there: `from` and `to` are suffixes behind the usual name.
    pub(crate) fn rename(
        &self,
        disk: &mut dyn Disk,
        dir: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<String>, DiskError> {
        let mut renamed = Vec::new();
        for kind in names::SEGMENT_FILES {
            let name = names::file(dir, self.base_offset, kind);
            let old = format!("{name}{from}");
            if disk.exists(&old) {
                let new = format!("{name}{to}");
                disk.rename(&old, &new)?;
                renamed.push(new);
            }
        }
        Ok(renamed)
    }
}

/// What a segment read.
#[derive(Debug, Clone)]
pub(crate) struct SegmentRead {
    pub(crate) records: Vec<Bytes>,
    pub(crate) position: u64,
    pub(crate) size: usize,
}
