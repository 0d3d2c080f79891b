//! A magic v2 record batch as a 61-byte header and a shared body.
//!
//! The offset and the leader epoch that a leader assigns lie in the first 16 bytes, outside the CRC. Keeping the header
//! apart from the body lets a leader stamp them without copying (or owning) the records.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::record::compress::{Compression, decompress};
use crate::record::crc::crc32c_of_two;
use crate::record::error::RecordError;
use crate::record::legacy;
use crate::record::record::Records;

/// Size of a v2 batch header, in bytes (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
pub const HEADER_LEN: usize = 61;
/// Bytes before `batch_length` counts: base offset and the length itself (`Records.LOG_OVERHEAD`).
pub const LOG_OVERHEAD: usize = 12;
/// Where the bytes that the CRC covers begin: at `attributes` (`DefaultRecordBatch.ATTRIBUTES_OFFSET`).
pub const CRC_START: usize = 21;

/// The header of a v2 batch. Field order is the order on disk and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes after this field.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// 2.
    pub magic: i8,
    /// CRC-32C of everything from `attributes` on.
    pub crc: u32,
    /// Compression (bits 0–2), timestamp type (3), transactional (4), control (5), delete horizon (6).
    pub attributes: i16,
    /// Last offset minus base offset.
    pub last_offset_delta: i32,
    /// Timestamp of the first record (or delete horizon), in milliseconds.
    pub base_timestamp: i64,
    /// Largest timestamp in the batch, in milliseconds.
    pub max_timestamp: i64,
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub records_count: i32,
}

impl BatchHeader {
    /// The attribute bits that name the codec.
    pub const COMPRESSION_MASK: i16 = 0x07;
    /// Attribute bit: the broker set the timestamps.
    pub const LOG_APPEND_TIME: i16 = 0x08;
    /// Attribute bit: part of a transaction.
    pub const TRANSACTIONAL: i16 = 0x10;
    /// Attribute bit: control records.
    pub const CONTROL: i16 = 0x20;
    /// Attribute bit: `base_timestamp` is a delete horizon (KIP-534).
    pub const DELETE_HORIZON: i16 = 0x40;

    /// Reads a header; `None` if fewer than [`HEADER_LEN`] bytes are there. Checks nothing else.
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_LEN {
            return None;
        }
        let b = &mut bytes;
        Some(Self {
            base_offset: b.get_i64(),
            batch_length: b.get_i32(),
            partition_leader_epoch: b.get_i32(),
            magic: b.get_i8(),
            crc: b.get_u32(),
            attributes: b.get_i16(),
            last_offset_delta: b.get_i32(),
            base_timestamp: b.get_i64(),
            max_timestamp: b.get_i64(),
            producer_id: b.get_i64(),
            producer_epoch: b.get_i16(),
            base_sequence: b.get_i32(),
            records_count: b.get_i32(),
        })
    }

    /// The header's 61 bytes.
    pub fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.encode())
    }

    fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let mut b = &mut bytes[..];
        b.put_i64(self.base_offset);
        b.put_i32(self.batch_length);
        b.put_i32(self.partition_leader_epoch);
        b.put_i8(self.magic);
        b.put_u32(self.crc);
        b.put_i16(self.attributes);
        b.put_i32(self.last_offset_delta);
        b.put_i64(self.base_timestamp);
        b.put_i64(self.max_timestamp);
        b.put_i64(self.producer_id);
        b.put_i16(self.producer_epoch);
        b.put_i32(self.base_sequence);
        b.put_i32(self.records_count);
        bytes
    }

    /// Offset of the last record.
    pub const fn last_offset(&self) -> i64 {
        // Offsets come from the wire: a hostile header must not overflow.
        self.base_offset.saturating_add(self.last_offset_delta as i64)
    }

    /// Offset after the last record.
    pub const fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Size of the whole batch on disk and on the wire, header included, in bytes. 12 for a negative length.
    pub const fn size(&self) -> usize {
        let length = if self.batch_length < 0 { 0 } else { self.batch_length as usize };
        LOG_OVERHEAD + length
    }

    /// How the records are compressed; `None` for an unassigned number.
    pub const fn compression(&self) -> Option<Compression> {
        Compression::from_attributes(self.attributes)
    }

    /// The time from which tombstones and markers in this batch may go (KIP-534), in milliseconds.
    pub const fn delete_horizon_ms(&self) -> Option<i64> {
        if self.attributes & Self::DELETE_HORIZON != 0 { Some(self.base_timestamp) } else { None }
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(&self) -> bool {
        self.attributes & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds control records (markers).
    pub const fn is_control(&self) -> bool {
        self.attributes & Self::CONTROL != 0
    }

    /// Whether the timestamps were set by the broker (`LogAppendTime`).
    pub const fn is_log_append_time(&self) -> bool {
        self.attributes & Self::LOG_APPEND_TIME != 0
    }

    /// Whether an idempotent producer wrote the batch.
    pub const fn has_producer_id(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence of the last record; -1 when there is none. Sequences wrap from `i32::MAX` to 0.
    pub const fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        let last = self.base_sequence as i64 + self.last_offset_delta as i64;
        (last % (i32::MAX as i64 + 1)) as i32
    }
}

/// One batch: the header's bytes, and the records that follow it, shared with whoever else holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// The parsed header; always agrees with `head`.
    pub header: BatchHeader,
    /// The header's 61 bytes.
    pub head: Bytes,
    /// Everything after the header.
    pub body: Bytes,
}

impl RecordBatch {
    /// The same records under a new base offset and leader epoch. Allocates 61 bytes and copies no record.
    #[must_use]
    pub fn stamped(&self, base_offset: i64, leader_epoch: i32) -> Self {
        let header = BatchHeader { base_offset, partition_leader_epoch: leader_epoch, ..self.header };
        Self { header, head: header.to_bytes(), body: self.body.clone() }
    }

    /// The batch at the front of `bytes`, which may hold more; `Ok(None)` when the last batch is cut off.
    ///
    /// Checks the length and the magic, not the CRC and not the records.
    pub fn read(bytes: &Bytes) -> Result<Option<Self>, RecordError> {
        if bytes.len() < LOG_OVERHEAD {
            return Ok(None);
        }
        let length = (&bytes[8..LOG_OVERHEAD]).get_i32();
        if length < legacy::MIN_LENGTH {
            return Err(RecordError::corrupt(format!(
                "record batch of {length} bytes is shorter than any batch can be ({} bytes)",
                legacy::MIN_LENGTH
            )));
        }
        let Some(magic) = legacy::magic_of(bytes) else { return Ok(None) };
        if magic != 2 {
            return Err(legacy::refuse(magic));
        }
        // The check above made the length positive.
        let size = LOG_OVERHEAD + length as usize;
        if size < HEADER_LEN {
            return Err(RecordError::corrupt(format!(
                "record batch of {size} bytes is shorter than its header ({HEADER_LEN} bytes)"
            )));
        }
        if bytes.len() < size {
            return Ok(None);
        }
        let Some(header) = BatchHeader::read(bytes) else { return Ok(None) };
        Ok(Some(Self { header, head: bytes.slice(..HEADER_LEN), body: bytes.slice(HEADER_LEN..size) }))
    }

    /// A batch of these parts, its CRC computed. The length is taken from `header`.
    pub(crate) fn with_crc(header: BatchHeader, body: Bytes) -> Self {
        let head = header.encode();
        let crc = crc32c_of_two(&head[CRC_START..], &body);
        let header = BatchHeader { crc, ..header };
        Self { header, head: header.to_bytes(), body }
    }

    /// The same records with another largest timestamp and timestamp type: the CRC is computed anew
    /// (`DefaultRecordBatch.setMaxTimestamp`). Copies no record.
    #[must_use]
    pub fn with_max_timestamp(&self, log_append_time: bool, max_timestamp: i64) -> Self {
        let kept = self.header.attributes & !BatchHeader::LOG_APPEND_TIME;
        let attributes = if log_append_time { kept | BatchHeader::LOG_APPEND_TIME } else { kept };
        if (attributes, max_timestamp) == (self.header.attributes, self.header.max_timestamp) {
            return self.clone();
        }
        Self::with_crc(BatchHeader { attributes, max_timestamp, ..self.header }, self.body.clone())
    }

    /// Whether the stored CRC is that of the bytes.
    pub fn crc_holds(&self) -> bool {
        self.head.len() == HEADER_LEN && crc32c_of_two(&self.head[CRC_START..], &self.body) == self.header.crc
    }

    /// The records, decompressed. Fails when they expand beyond `limit` bytes or the codec finds nonsense.
    pub fn records(&self, limit: usize) -> Result<Records, RecordError> {
        let codec = self.header.compression().ok_or_else(|| {
            let id = self.header.attributes & BatchHeader::COMPRESSION_MASK;
            RecordError::invalid(format!("unknown compression type {id}"))
        })?;
        Ok(Records::new(decompress(codec, &self.body, limit)?, self.header.records_count))
    }

    /// The batch as one piece; copies it.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.head.len() + self.body.len());
        out.put_slice(&self.head);
        out.put_slice(&self.body);
        out.freeze()
    }

    /// Size of the whole batch, in bytes.
    pub const fn size(&self) -> usize {
        self.header.size()
    }
}

/// The batches that lie one after another in `bytes` (`ByteBufferLogInputStream`).
///
/// A batch that is cut off at the end is left out, as Kafka leaves it out; [`BatchIter::rest`] tells. Ends after an
/// error.
#[derive(Debug, Clone)]
pub struct BatchIter {
    rest: Bytes,
    failed: bool,
}

impl BatchIter {
    /// Reads batches from the front of `bytes`.
    pub const fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, failed: false }
    }

    /// What has not been read: empty at the end unless the last batch is cut off or wrong.
    pub const fn rest(&self) -> &Bytes {
        &self.rest
    }
}

impl Iterator for BatchIter {
    type Item = Result<RecordBatch, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = RecordBatch::read(&self.rest).transpose()?;
        match &batch {
            Ok(batch) => self.rest.advance(batch.size()),
            Err(_) => self.failed = true,
        }
        Some(batch)
    }
}
