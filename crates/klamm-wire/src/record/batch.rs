//! A magic v2 record batch as a 61-byte header and a shared body.
//!
//! The offset and the leader epoch that a leader assigns lie in the first 16 bytes, outside the CRC. Keeping the header
//! apart from the body lets a leader stamp them without copying (or owning) the records.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Size of a v2 batch header, in bytes (`DefaultRecordBatch.RECORD_BATCH_OVERHEAD`).
pub const HEADER_LEN: usize = 61;
/// Bytes before `batch_length` counts: base offset and the length itself (`Records.LOG_OVERHEAD`).
pub const LOG_OVERHEAD: usize = 12;

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
        let mut b = BytesMut::with_capacity(HEADER_LEN);
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
        b.freeze()
    }

    /// Offset of the last record.
    pub const fn last_offset(&self) -> i64 {
        self.base_offset + self.last_offset_delta as i64
    }

    /// Offset after the last record.
    pub const fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// Size of the whole batch on disk and on the wire, header included, in bytes.
    pub const fn size(&self) -> usize {
        LOG_OVERHEAD + self.batch_length as usize
    }

    /// Whether the batch belongs to a transaction.
    pub const fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether the batch holds control records (markers).
    pub const fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }

    /// Whether the timestamps were set by the broker (`LogAppendTime`).
    pub const fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
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

    /// Size of the whole batch, in bytes.
    pub const fn size(&self) -> usize {
        self.header.size()
    }
}
