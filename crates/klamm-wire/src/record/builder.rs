//! Building batches (`MemoryRecordsBuilder`).

use bytes::{BufMut, Bytes};

use crate::record::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, RecordBatch};
use crate::record::compress::{Compression, compress};
use crate::record::error::RecordError;
use crate::record::record::Record;
use crate::record::varint::{len_i32, len_i64, write_i32, write_i64};

/// Builds one magic v2 batch, record by record.
///
/// ```
/// use klamm_wire::record::builder::BatchBuilder;
///
/// let mut batch = BatchBuilder::new();
/// batch.push(1_700_000_000_000, Some(b"key"), Some(b"value"), &[]);
/// let batch = batch.build().expect("uncompressed batches always build");
/// assert_eq!(batch.header.records_count, 1);
/// assert!(batch.crc_holds());
/// ```
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    compression: Compression,
    level: Option<i32>,
    body: Vec<u8>,
}

/// Room for the first records of a batch, in bytes: most batches of coordinators and simulated clients need no more.
const FIRST_ROOM: usize = 256;

/// A header to write: key and, unless null, value.
pub type HeaderPair<'a> = (&'a [u8], Option<&'a [u8]>);

impl Default for BatchBuilder {
    fn default() -> Self {
        Self {
            header: BatchHeader {
                base_offset: 0,
                batch_length: 0,
                partition_leader_epoch: -1,
                magic: 2,
                crc: 0,
                attributes: 0,
                last_offset_delta: -1,
                base_timestamp: -1,
                max_timestamp: -1,
                producer_id: -1,
                producer_epoch: -1,
                base_sequence: -1,
                records_count: 0,
            },
            compression: Compression::None,
            level: None,
            body: Vec::new(),
        }
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0, uncompressed, without a producer id.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch that takes over what `header` says of offset, epoch, producer, timestamp type and flags.
    pub fn like(header: &BatchHeader) -> Self {
        let empty = Self::default();
        let header = BatchHeader {
            base_offset: header.base_offset,
            partition_leader_epoch: header.partition_leader_epoch,
            attributes: header.attributes,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            max_timestamp: if header.is_log_append_time() { header.max_timestamp } else { -1 },
            base_timestamp: header.delete_horizon_ms().unwrap_or(-1),
            ..empty.header
        };
        let compression = Compression::from_attributes(header.attributes).unwrap_or_default();
        Self { header, compression, ..empty }
    }

    /// Sets the offset of the first record.
    #[must_use]
    pub const fn base_offset(mut self, offset: i64) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Sets the epoch of the leader that appends the batch.
    #[must_use]
    pub const fn leader_epoch(mut self, epoch: i32) -> Self {
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// Sets the producer id, its epoch, and the sequence of the first record.
    #[must_use]
    pub const fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub const fn transactional(mut self) -> Self {
        self.header.attributes |= BatchHeader::TRANSACTIONAL;
        self
    }

    /// Marks the batch as holding control records.
    #[must_use]
    pub const fn control(mut self) -> Self {
        self.header.attributes |= BatchHeader::CONTROL;
        self
    }

    /// Gives every record the time at which the broker appended it.
    #[must_use]
    pub const fn log_append_time(mut self, timestamp: i64) -> Self {
        self.header.attributes |= BatchHeader::LOG_APPEND_TIME;
        self.header.max_timestamp = timestamp;
        self
    }

    /// Says from when on the tombstones or markers in the batch may go (KIP-534), in milliseconds. Call it before the first
    /// record: the time takes the place of the base timestamp.
    #[must_use]
    pub const fn delete_horizon(mut self, at_ms: i64) -> Self {
        self.header.attributes |= BatchHeader::DELETE_HORIZON;
        self.header.base_timestamp = at_ms;
        self
    }

    /// Sets the codec.
    #[must_use]
    pub const fn compression(mut self, codec: Compression, level: Option<i32>) -> Self {
        self.compression = codec;
        self.level = level;
        self
    }

    /// Adds a record behind the last one. Timestamps are in milliseconds.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderPair<'_>],
    ) {
        self.push_at(self.header.last_offset_delta + 1, timestamp, key, value, headers);
    }

    /// Adds a record at an offset of its own (compaction leaves holes). Deltas must grow.
    pub fn push_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[HeaderPair<'_>],
    ) {
        let headers_len: usize = headers.iter().map(|(k, v)| len_nullable(Some(k)) + len_nullable(*v)).sum();
        self.put(offset_delta, timestamp, 0, key, value, headers.len() as i32, headers_len, |body| {
            for (key, value) in headers {
                put_nullable(body, Some(key));
                put_nullable(body, *value);
            }
        });
    }

    /// Adds a record read from another batch whose base timestamp is `base_timestamp`, at `offset_delta`.
    pub fn push_record(&mut self, offset_delta: i32, base_timestamp: i64, record: &Record<'_>) {
        let timestamp = base_timestamp.wrapping_add(record.timestamp_delta);
        let headers = record.headers;
        let bytes = headers.as_bytes();
        self.put(
            offset_delta,
            timestamp,
            record.attributes,
            record.key,
            record.value,
            headers.len() as i32,
            bytes.len(),
            |body| body.put_slice(bytes),
        );
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one record, in wire order")]
    fn put(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        attributes: i8,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers_count: i32,
        headers_len: usize,
        put_headers: impl FnOnce(&mut Vec<u8>),
    ) {
        let header = &mut self.header;
        if header.records_count == 0 && header.delete_horizon_ms().is_none() {
            header.base_timestamp = timestamp;
        }
        header.records_count += 1;
        header.last_offset_delta = offset_delta;
        if !header.is_log_append_time() {
            header.max_timestamp = header.max_timestamp.max(timestamp);
        }
        let timestamp_delta = timestamp.wrapping_sub(header.base_timestamp);
        let len = 1
            + len_i64(timestamp_delta)
            + len_i32(offset_delta)
            + len_nullable(key)
            + len_nullable(value)
            + len_i32(headers_count)
            + headers_len;
        let body = &mut self.body;
        body.reserve(if body.is_empty() { (len + 5).max(FIRST_ROOM) } else { len + 5 });
        write_i32(body, len as i32);
        body.put_i8(attributes);
        write_i64(body, timestamp_delta);
        write_i32(body, offset_delta);
        put_nullable(body, key);
        put_nullable(body, value);
        write_i32(body, headers_count);
        put_headers(body);
    }

    /// How many records are in.
    pub const fn len(&self) -> usize {
        self.header.records_count as usize
    }

    /// Whether no record is in yet.
    pub const fn is_empty(&self) -> bool {
        self.header.records_count == 0
    }

    /// Size of the batch before compression, in bytes.
    pub fn size(&self) -> usize {
        HEADER_LEN + self.body.len()
    }

    /// Claims offsets up to `last_offset_delta`, beyond the last record (compaction keeps a batch's range).
    pub const fn extend_to(&mut self, last_offset_delta: i32) {
        self.header.last_offset_delta = last_offset_delta;
    }

    /// Compresses and seals the batch. Fails only when a codec does.
    pub fn build(self) -> Result<RecordBatch, RecordError> {
        let body = compress(self.compression, &self.body.into(), self.level)?;
        let attributes = (self.header.attributes & !BatchHeader::COMPRESSION_MASK) | self.compression.id();
        Ok(RecordBatch::seal(BatchHeader { attributes, ..self.header }, body))
    }
}

impl RecordBatch {
    /// A batch of these parts, its length and CRC computed.
    pub fn seal(header: BatchHeader, body: Bytes) -> Self {
        let batch_length = (HEADER_LEN - LOG_OVERHEAD + body.len()) as i32;
        Self::with_crc(BatchHeader { batch_length, ..header }, body)
    }
}

const fn len_nullable(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => len_i32(bytes.len() as i32) + bytes.len(),
        None => 1,
    }
}

fn put_nullable(body: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_i32(body, bytes.len() as i32);
            body.put_slice(bytes);
        }
        None => write_i32(body, -1),
    }
}
