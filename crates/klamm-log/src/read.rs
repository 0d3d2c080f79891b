//! Reading batches, and looking up offsets by time.

use klamm_wire::record::batch::{HEADER_LEN, RecordBatch};
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;

use crate::disk::{Disk, DiskError};
use crate::error::{LogError, ReadError};
use crate::log::{AbortedTxn, FetchData, FetchIsolation, Log};
use crate::segment::Segment;
use crate::timestamp::{TimestampOffset, special_timestamp};

impl Log {
    /// Reads whole batches from the one that contains `offset`, at most `max_bytes` together; with `min_one_batch` the first
    /// batch comes even if it is larger. A read stays within one segment, and below what `isolation` lets through.
    pub fn read(
        &self,
        disk: &dyn Disk,
        offset: i64,
        max_bytes: usize,
        isolation: FetchIsolation,
        min_one_batch: bool,
    ) -> Result<FetchData, ReadError> {
        if offset < self.log_start_offset || offset > self.log_end_offset {
            return Err(ReadError::OffsetOutOfRange {
                offset,
                log_start_offset: self.log_start_offset,
                log_end_offset: self.log_end_offset,
            });
        }
        let upper = self.upper_bound(isolation);
        if offset >= upper {
            return Ok(FetchData::default());
        }
        let Some(from) = self.floor_segment(offset) else { return Ok(FetchData::default()) };
        for (at, segment) in self.segments.iter().enumerate().skip(from) {
            if segment.base_offset >= upper {
                break;
            }
            let whole =
                self.segments.get(at + 1).map_or(self.log_end_offset, |next| next.base_offset) <= upper;
            let limit = if whole { segment.size() } else { segment.position_of(disk, upper)? };
            if let Some(read) = segment.read(disk, offset, max_bytes, limit, min_one_batch)? {
                let mut data = FetchData { records: read.records, size: read.size, ..FetchData::default() };
                if isolation == FetchIsolation::TxnCommitted && data.size > 0 {
                    let end = read.position + read.size as u64;
                    let bound = match segment.span_at(disk, end)? {
                        Some(next) => next.base_offset,
                        None => {
                            self.segments.get(at + 1).map_or(self.log_end_offset, |next| next.base_offset)
                        }
                    };
                    data.aborted_transactions = self.aborted_transactions(disk, offset, bound)?;
                }
                return Ok(data);
            }
        }
        Ok(FetchData::default())
    }

    /// How much a read from `offset` could return, from positions alone: no record is read. `None` when a waiting reader should
    /// not wait any longer: the offset lies beyond what `isolation` lets through, below the log start, or in an older segment
    /// (`LogOffsetMetadata.onOlderSegment`).
    pub fn available(
        &self,
        disk: &dyn Disk,
        offset: i64,
        isolation: FetchIsolation,
    ) -> Result<Option<u64>, LogError> {
        let upper = self.upper_bound(isolation);
        if offset >= upper {
            return Ok((offset == upper).then_some(0));
        }
        let (from, to) = (self.floor_segment(offset), self.floor_segment(upper));
        match from {
            Some(at) if from == to && offset >= self.log_start_offset => {
                let segment = &self.segments[at];
                let end = match upper == self.log_end_offset {
                    true => segment.size(),
                    false => segment.position_of(disk, upper)?,
                };
                Ok(Some(end.saturating_sub(segment.position_of(disk, offset)?)))
            }
            _ => Ok(None),
        }
    }

    /// Where a reader must stop.
    fn upper_bound(&self, isolation: FetchIsolation) -> i64 {
        match isolation {
            FetchIsolation::LogEnd => self.log_end_offset,
            FetchIsolation::HighWatermark => self.high_watermark,
            FetchIsolation::TxnCommitted => self.last_stable_offset(),
        }
    }

    /// Aborted transactions with records in `start_offset..upper_offset`.
    pub fn aborted_transactions(
        &self,
        disk: &dyn Disk,
        start_offset: i64,
        upper_offset: i64,
    ) -> Result<Vec<AbortedTxn>, LogError> {
        let mut out = Vec::new();
        let from = self.floor_segment(start_offset).unwrap_or(0);
        for segment in &self.segments[from..] {
            if segment.txn_index.collect(disk, start_offset, upper_offset, &mut out)? {
                break;
            }
        }
        Ok(out)
    }

    /// The first record at or after a timestamp, or a special lookup ([`special_timestamp`]); `None` when there is none.
    /// `LATEST` answers the log end offset: bounding an answer by isolation is the caller's part.
    pub fn fetch_offset_by_timestamp(
        &self,
        disk: &dyn Disk,
        timestamp: i64,
    ) -> Result<Option<TimestampOffset>, LogError> {
        let at = |offset, leader_epoch| Ok(Some(TimestampOffset { timestamp: -1, offset, leader_epoch }));
        match timestamp {
            special_timestamp::EARLIEST | special_timestamp::EARLIEST_LOCAL => {
                let earliest = self.leader_epochs.earliest_entry();
                let epoch = earliest.filter(|e| e.start_offset <= self.log_start_offset).map(|e| e.epoch);
                at(self.log_start_offset, epoch)
            }
            special_timestamp::LATEST => at(self.log_end_offset, self.leader_epochs.latest_epoch()),
            special_timestamp::LATEST_TIERED | special_timestamp::EARLIEST_PENDING_UPLOAD => at(-1, Some(-1)),
            special_timestamp::MAX_TIMESTAMP => self.offset_of_max_timestamp(disk),
            _ => {
                let segment = self.segments.iter().find(|s| s.largest_timestamp() >= timestamp);
                match segment {
                    Some(segment) => find_timestamp(disk, segment, timestamp, self.log_start_offset),
                    None => Ok(None),
                }
            }
        }
    }

    fn offset_of_max_timestamp(&self, disk: &dyn Disk) -> Result<Option<TimestampOffset>, LogError> {
        // The first of equals, as Kafka takes it.
        let largest = self.segments.iter().rev().max_by_key(|s| s.max_timestamp());
        let Some(segment) = largest.filter(|s| s.max_timestamp() >= 0) else { return Ok(None) };
        let target = segment.max_timestamp();
        let Some(span) = segment.find(disk, segment.max_timestamp_offset())? else { return Ok(None) };
        first_record_at(disk, segment, span.position, i64::MIN, |t| t == target)
    }
}

/// `LogSegment.findOffsetByTimestamp`: the first record from `start_offset` on whose timestamp is not below `timestamp`.
fn find_timestamp(
    disk: &dyn Disk,
    segment: &Segment,
    timestamp: i64,
    start_offset: i64,
) -> Result<Option<TimestampOffset>, LogError> {
    let from = segment.time_index.lookup(disk, timestamp)?.max(start_offset);
    let mut position = u64::from(segment.offset_index.lookup(disk, from)?);
    loop {
        let mut found = None;
        segment.scan(disk, position, |at, header| {
            if header.max_timestamp >= timestamp && header.last_offset() >= start_offset {
                found = Some((at, header.size() as u64));
            }
            found.is_none()
        })?;
        let Some((at, size)) = found else { return Ok(None) };
        let record = first_record_at(disk, segment, at, start_offset, |t| t >= timestamp)?;
        if record.is_some() {
            return Ok(record);
        }
        // The batch's matching records lie before the start offset.
        position = at + size;
    }
}

/// The first record of the batch at `position` that lies at or above `start_offset` and has a timestamp that matches.
fn first_record_at(
    disk: &dyn Disk,
    segment: &Segment,
    position: u64,
    start_offset: i64,
    matches: impl Fn(i64) -> bool,
) -> Result<Option<TimestampOffset>, LogError> {
    let Some(batch) = read_batch(disk, segment, position)? else { return Ok(None) };
    let header = &batch.header;
    let leader_epoch = Some(header.partition_leader_epoch).filter(|e| *e >= 0);
    let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { return Ok(None) };
    for record in records.iter().map_while(Result::ok) {
        let timestamp = if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.wrapping_add(record.timestamp_delta)
        };
        let offset = header.base_offset.saturating_add(record.offset_delta.into());
        if offset >= start_offset && matches(timestamp) {
            return Ok(Some(TimestampOffset { timestamp, offset, leader_epoch }));
        }
    }
    Ok(None)
}

/// The batch at `position` of a segment; its body is one slice (copied only if the disk holds it in several).
pub(crate) fn read_batch(
    disk: &dyn Disk,
    segment: &Segment,
    position: u64,
) -> Result<Option<RecordBatch>, DiskError> {
    let Some(header) = segment.header_at(disk, position)? else { return Ok(None) };
    let mut parts = Vec::with_capacity(2);
    disk.read(segment.log, position, header.size(), &mut parts)?;
    if let [head, body] = &parts[..]
        && head.len() == HEADER_LEN
    {
        return Ok(Some(RecordBatch { header, head: head.clone(), body: body.clone() }));
    }
    let mut whole = match &parts[..] {
        [one] => one.clone(),
        many => many.concat().into(),
    };
    if whole.len() < header.size() {
        return Ok(None);
    }
    let body = whole.split_off(HEADER_LEN);
    Ok(Some(RecordBatch { header, head: whole, body }))
}
