//! Records as they lie in a batch: read one at a time, as slices, allocating nothing.

use bytes::Bytes;

use crate::record::error::RecordError;
use crate::record::varint::{read_i32, read_i64};

/// One record. Everything in it borrows from the (decompressed) records of its batch; `Bytes::slice_ref` turns a
/// slice into a shared one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's attributes; no bit has a meaning yet.
    pub attributes: i8,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// Timestamp minus the batch's base timestamp, in milliseconds.
    pub timestamp_delta: i64,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// The headers, in the order they were written.
    pub headers: Headers<'a>,
}

/// The headers of a record, in order, duplicates included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    count: i32,
    bytes: &'a [u8],
}

/// One header. Keys are bytes: Kafka writes UTF-8, but a record with another key is still delivered as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value, if there is one.
    pub value: Option<&'a [u8]>,
}

impl<'a> Headers<'a> {
    /// How many there are.
    pub const fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The headers as they lie on the wire, their count included not.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Reads them one by one.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let mut bytes = self.bytes;
        // The structure was checked when the record was read, so no header is missed here.
        (0..self.count).map_while(move |_| read_header(&mut bytes))
    }
}

/// The records of one batch, decompressed.
#[derive(Debug, Clone)]
pub struct Records {
    bytes: Bytes,
    count: i32,
}

impl Records {
    /// `count` records that lie in `bytes`.
    pub const fn new(bytes: Bytes, count: i32) -> Self {
        Self { bytes, count }
    }

    /// The bytes that the records borrow from: `records.bytes().slice_ref(key)` shares a key.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Reads them one by one. Ends after an error, and with an error when bytes are left over.
    pub fn iter(&self) -> RecordIter<'_> {
        RecordIter { bytes: &self.bytes, left: self.count, checked_end: false }
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = Result<Record<'a>, RecordError>;
    type IntoIter = RecordIter<'a>;

    fn into_iter(self) -> RecordIter<'a> {
        self.iter()
    }
}

/// Reads the records of a batch (`DefaultRecordBatch.RecordIterator`).
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    bytes: &'a [u8],
    left: i32,
    checked_end: bool,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            let first_time = !std::mem::replace(&mut self.checked_end, true);
            if first_time && (self.left < 0 || !self.bytes.is_empty()) {
                return Some(Err(self.wrong_end()));
            }
            return None;
        }
        self.left -= 1;
        let record = read_record(&mut self.bytes);
        if record.is_err() {
            self.left = 0;
            self.checked_end = true;
        }
        Some(record)
    }
}

impl RecordIter<'_> {
    fn wrong_end(&self) -> RecordError {
        if self.left < 0 {
            return RecordError::invalid(format!("found invalid record count {}", self.left));
        }
        RecordError::invalid(format!(
            "{} bytes are left after the last record of the batch",
            self.bytes.len()
        ))
    }
}

/// Reads one record, length prefix included, from the front of `bytes` (`DefaultRecord.readFrom`).
pub fn read_record<'a>(bytes: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let size =
        read_i32(bytes).ok_or_else(|| RecordError::invalid("the batch ends before its last record"))?;
    let mut body = usize::try_from(size).ok().and_then(|size| bytes.split_off(..size)).ok_or_else(|| {
        RecordError::invalid(format!("a record claims {size} bytes where {} are left", bytes.len()))
    })?;
    let record =
        read_body(&mut body).ok_or_else(|| RecordError::invalid("found invalid record structure"))?;
    if !body.is_empty() {
        return Err(RecordError::invalid(format!("a record of {size} bytes leaves {} unread", body.len())));
    }
    Ok(record)
}

fn read_body<'a>(body: &mut &'a [u8]) -> Option<Record<'a>> {
    let attributes = *body.split_off_first()? as i8;
    let timestamp_delta = read_i64(body)?;
    let offset_delta = read_i32(body)?;
    let key = read_nullable(body)?;
    let value = read_nullable(body)?;
    let count = read_i32(body)?;
    // A header takes two bytes at least, so a count that the bytes cannot back ends in `None` after at most that many
    // steps; nothing is allocated for it.
    if count < 0 {
        return None;
    }
    let headers = *body;
    for _ in 0..count {
        read_header(body)?;
    }
    let bytes = &headers[..headers.len() - body.len()];
    Some(Record { attributes, offset_delta, timestamp_delta, key, value, headers: Headers { count, bytes } })
}

fn read_header<'a>(bytes: &mut &'a [u8]) -> Option<Header<'a>> {
    let key = read_nullable(bytes)??;
    let value = read_nullable(bytes)?;
    Some(Header { key, value })
}

/// Any negative length reads as null, as in Kafka (`Utils.readBytes`).
fn read_nullable<'a>(bytes: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let Ok(size) = usize::try_from(read_i32(bytes)?) else { return Some(None) };
    bytes.split_off(..size).map(Some)
}
