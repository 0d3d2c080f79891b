//! Appending what the partition's leader sent.

use bytes::{Bytes, BytesMut};
use klamm_wire::record::batch::{HEADER_LEN, RecordBatch};
use klamm_wire::{BatchHeader, ErrorCode};

use crate::append::{appended_batch, producer_batch, read_marker};
use crate::disk::Disk;
use crate::error::{AppendError, LogError};
use crate::log::{AppendOrigin, Log, LogAppendInfo};

/// A batch in what a leader sent.
#[derive(Debug, Clone, Copy)]
struct Received {
    header: BatchHeader,
    /// Where it begins, counted over all slices.
    start: usize,
}

impl Log {
    /// Appends what a leader sent, as it came; slices may cut batches anywhere, and a cut last batch is left out.
    ///
    /// Batches of a leader epoch above `leader_epoch` end the append: the fetch was sent before the sender lost its leadership
    /// (KAFKA-18723). Records that begin before an empty log's end make the log begin where they do: the leader's log start
    /// offset may lie within a batch.
    pub fn append_as_follower(
        &mut self,
        disk: &mut dyn Disk,
        records: &[Bytes],
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<LogAppendInfo, AppendError> {
        let batches = self.receive(records, leader_epoch)?;
        let mut info = LogAppendInfo {
            first_offset: -1,
            last_offset: -1,
            log_append_time: -1,
            log_start_offset: self.log_start_offset,
            max_timestamp: -1,
            bytes: 0,
            records: 0,
            duplicate: false,
        };
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(info) };
        info.first_offset = first.header.base_offset;
        info.last_offset = last.header.last_offset();
        info.bytes = last.start + last.header.size();
        info.max_timestamp = batches.iter().map(|b| b.header.max_timestamp).max().unwrap_or(-1);
        if info.first_offset < self.log_end_offset {
            let within = self.is_empty() && info.last_offset >= self.log_end_offset;
            if !within {
                return Err(unexpected_offset(&info, self.log_end_offset));
            }
            self.truncate_fully_and_start_at(disk, info.first_offset, None, now_ms)?;
            info.log_start_offset = self.log_start_offset;
        }
        info.records = info.last_offset + 1 - info.first_offset;
        self.assign_epochs(disk, &batches)?;
        if info.bytes <= self.config.segment_bytes as usize {
            self.write_received(disk, records, &batches, now_ms)?;
        } else {
            // The leader's segments may be larger than ours.
            for batch in &batches {
                self.write_received(disk, records, std::slice::from_ref(batch), now_ms)?;
            }
        }
        self.after_append(disk, now_ms)?;
        Ok(info)
    }

    /// Finds the whole batches in `records` and checks that they follow one another.
    fn receive(&self, records: &[Bytes], leader_epoch: i32) -> Result<Vec<Received>, AppendError> {
        let total: usize = records.iter().map(Bytes::len).sum();
        let mut slices = Slices::new(records);
        let mut batches = Vec::new();
        let mut start = 0;
        let mut last_offset = -1;
        while let Some(header) = slices.header() {
            if header.magic != 2 {
                let message = format!("Record batch has magic {}, only 2 is stored", header.magic);
                return Err(AppendError::new(ErrorCode::UnsupportedForMessageFormat, message));
            }
            let size = header.size();
            let offsets_hold = header.base_offset >= 0 && header.last_offset_delta >= 0;
            if size < HEADER_LEN || !offsets_hold || header.last_offset() == i64::MAX {
                let message = format!("Record batch at offset {} has a corrupt header", header.base_offset);
                return Err(AppendError::new(ErrorCode::CorruptMessage, message));
            }
            if total - start < size || header.partition_leader_epoch > leader_epoch {
                break;
            }
            if header.base_offset <= last_offset {
                let message = format!(
                    "Out of order offsets found in append: {} after {last_offset}",
                    header.base_offset
                );
                return Err(AppendError::new(ErrorCode::UnknownServerError, message));
            }
            if self.verify_crcs && !gather(records, start, size, header).crc_holds() {
                let message = format!("Record is corrupt (stored crc = {})", header.crc);
                return Err(AppendError::new(ErrorCode::CorruptMessage, message));
            }
            last_offset = header.last_offset();
            batches.push(Received { header, start });
            start += size;
            slices.skip(size);
        }
        Ok(batches)
    }

    fn assign_epochs(&mut self, disk: &mut dyn Disk, batches: &[Received]) -> Result<(), LogError> {
        let mut changed = false;
        for Received { header, .. } in batches {
            changed |= self.leader_epochs.assign(header.partition_leader_epoch, header.base_offset);
        }
        if changed {
            self.write_epochs(disk)?;
        }
        Ok(())
    }

    /// Appends batches that lie one after another in `records` to one segment.
    fn write_received(
        &mut self,
        disk: &mut dyn Disk,
        records: &[Bytes],
        batches: &[Received],
        now_ms: i64,
    ) -> Result<(), LogError> {
        let (Some(first), Some(last)) = (batches.first(), batches.last()) else { return Ok(()) };
        let end = last.start + last.header.size();
        let bytes = end - first.start;
        let max_timestamp = batches.iter().map(|b| b.header.max_timestamp).max().unwrap_or(-1);
        let (first_offset, last_offset) = (first.header.base_offset, last.header.last_offset());
        self.maybe_roll(disk, bytes, first_offset, last_offset, max_timestamp, now_ms)?;
        let cut = cut(records, first.start, bytes);
        let interval = self.config.index_interval_bytes;
        let appended = batches.iter().map(|b| appended_batch(&b.header));
        self.active_mut().append(disk, &cut, appended, interval, now_ms)?;
        self.log_end_offset = last_offset + 1;
        for Received { header, start } in batches.iter().filter(|b| b.header.has_producer_id()) {
            let batch =
                producer_batch(header, || read_marker(&gather(records, *start, header.size(), *header)));
            self.take_in(disk, &batch)?;
        }
        Ok(())
    }

    /// Takes a batch that is in the log already into the producers' state.
    pub(crate) fn take_in(
        &mut self,
        disk: &mut dyn Disk,
        batch: &crate::producer_state::ProducerBatch,
    ) -> Result<(), LogError> {
        // Nothing is refused of what a leader accepted.
        if let Ok(prepared) = self.producers.prepare(batch, AppendOrigin::Replication.into(), &[])
            && let Some(txn) = self.producers.commit(prepared)
        {
            self.complete_txn(disk, &txn)?;
        }
        Ok(())
    }
}

fn unexpected_offset(info: &LogAppendInfo, log_end_offset: i64) -> AppendError {
    AppendError::new(
        ErrorCode::UnknownServerError,
        format!(
            "Unexpected offset in append. First offset {} is less than the next offset {log_end_offset}. Last offset in append: \
             {}. Log start offset = {}",
            info.first_offset, info.last_offset, info.log_start_offset
        ),
    )
}

/// A walk over slices as if they were one.
struct Slices<'a> {
    parts: &'a [Bytes],
    /// Where in the first part the walk stands.
    at: usize,
}

impl<'a> Slices<'a> {
    const fn new(parts: &'a [Bytes]) -> Self {
        Self { parts, at: 0 }
    }

    /// The header of the batch that begins here; `None` when fewer bytes are left.
    fn header(&self) -> Option<BatchHeader> {
        let first = self.parts.first()?;
        if let Some(header) = BatchHeader::read(&first[self.at..]) {
            return Some(header);
        }
        let mut buffer = [0; HEADER_LEN];
        let mut filled = 0;
        let mut at = self.at;
        for part in self.parts {
            let take = (part.len() - at).min(HEADER_LEN - filled);
            buffer[filled..filled + take].copy_from_slice(&part[at..at + take]);
            filled += take;
            at = 0;
            if filled == HEADER_LEN {
                return BatchHeader::read(&buffer);
            }
        }
        None
    }

    fn skip(&mut self, mut len: usize) {
        while let Some(part) = self.parts.first() {
            let left = part.len() - self.at;
            if len < left {
                self.at += len;
                return;
            }
            len -= left;
            self.at = 0;
            self.parts = &self.parts[1..];
        }
    }
}

/// The `len` bytes from `start` on, as slices of the slices.
fn cut(records: &[Bytes], start: usize, len: usize) -> Vec<Bytes> {
    let mut out = Vec::with_capacity(records.len());
    let (mut skip, mut left) = (start, len);
    for part in records {
        if left == 0 {
            break;
        }
        if skip >= part.len() {
            skip -= part.len();
            continue;
        }
        let take = (part.len() - skip).min(left);
        out.push(if take == part.len() { part.clone() } else { part.slice(skip..skip + take) });
        left -= take;
        skip = 0;
    }
    out
}

/// One batch in one piece. Copies it: for control batches, and where CRCs are checked.
fn gather(records: &[Bytes], start: usize, size: usize, header: BatchHeader) -> RecordBatch {
    let mut bytes = BytesMut::with_capacity(size);
    for part in cut(records, start, size) {
        bytes.extend_from_slice(&part);
    }
    let mut head = bytes.freeze();
    let body = head.split_off(HEADER_LEN);
    RecordBatch { header, head, body }
}
