//! What a broker must know of a batch before it takes it, found out once, outside the world's lock.

use crate::messages::ProduceRequest;
use bytes::Bytes;

use crate::ErrorCode;
use crate::record::batch::{BatchHeader, BatchIter, RecordBatch};
use crate::record::builder::BatchBuilder;
use crate::record::compress::Compression;
pub use crate::record::error::RecordError;
use crate::record::legacy;

/// Largest size to which the records of one batch may expand, in bytes.
pub const DECOMPRESSED_LIMIT: usize = 128 << 20;

/// What reading the records of a batch found. Everything per record is done here, so that an append works per batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchFacts {
    /// Largest timestamp among the records, in milliseconds; -1 when there is none.
    pub max_timestamp: i64,
    /// Smallest timestamp among the records, in milliseconds; -1 when there is none.
    pub min_timestamp: i64,
    /// Offset delta of the first record that has `max_timestamp`.
    pub max_timestamp_delta: i32,
    /// Index of the first record without a key; -1 when each has one. Compacted topics refuse such records.
    pub first_null_key: i32,
}

/// A batch whose CRC and records hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InspectedBatch {
    /// The batch as it came.
    pub batch: RecordBatch,
    /// What its records said.
    pub facts: BatchFacts,
}

/// The records of a whole Produce request, inspected: by topic, then by partition, in the request's order.
pub type InspectedProduce = Vec<Vec<Result<Vec<InspectedBatch>, RecordError>>>;

/// Inspects every batch of a Produce request. `version` is the request's.
///
/// One partition's error is its own; the others go on (`ProduceRequest.validateRecords`,
/// `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`, as far as they need no state of a broker).
pub fn inspect_produce(request: &ProduceRequest, version: i16) -> InspectedProduce {
    let partition = |records: Option<&Bytes>| match records {
        Some(records) => inspect_produced(records, version).map(|batch| vec![batch]),
        None => Err(no_batch(version)),
    };
    request
        .topic_data
        .iter()
        .map(|topic| topic.partition_data.iter().map(|data| partition(data.records.as_ref())).collect())
        .collect()
}

/// Inspects the records that a client wants appended to one partition.
pub fn inspect_produced(records: &Bytes, version: i16) -> Result<InspectedBatch, RecordError> {
    if let Some(magic @ (0 | 1)) = legacy::magic_of(records) {
        return Err(RecordError::invalid(format!(
            "Produce requests with version {version} may only hold record batches with magic version 2, not {magic}"
        )));
    }
    let mut batches = BatchIter::new(records.clone());
    let batch = batches.next().ok_or_else(|| no_batch(version))??;
    if version < 7 && batch.header.compression() == Some(Compression::Zstd) {
        return Err(RecordError::new(
            ErrorCode::UnsupportedCompressionType,
            format!("Produce requests with version {version} must not use zstd"),
        ));
    }
    if batches.next().transpose()?.is_some() {
        return Err(RecordError::invalid(format!(
            "Produce requests with version {version} must hold exactly one record batch per partition"
        )));
    }
    if batch.header.base_offset != 0 {
        return Err(RecordError::invalid(format!(
            "the base offset of a produced batch should be 0, but it is {}",
            batch.header.base_offset
        )));
    }
    check_crc(&batch)?;
    check_client_header(&batch.header)?;
    inspect_records(batch)
}

/// Inspects batches that did not come from a client (a raft leader, a replica, a tool): sizes, CRC and records, but
/// none of the rules for producers.
pub fn inspect_batches(records: &Bytes) -> Result<Vec<InspectedBatch>, RecordError> {
    let inspect = |batch: Result<RecordBatch, RecordError>| {
        let batch = batch?;
        check_crc(&batch)?;
        let facts = read_facts(&batch)?.0;
        Ok(InspectedBatch { batch, facts })
    };
    BatchIter::new(records.clone()).map(inspect).collect()
}

fn no_batch(version: i16) -> RecordError {
    RecordError::invalid(format!(
        "Produce requests with version {version} must have at least one record batch per partition"
    ))
}

fn check_crc(batch: &RecordBatch) -> Result<(), RecordError> {
    if batch.crc_holds() {
        return Ok(());
    }
    Err(RecordError::corrupt(format!("record batch is corrupt (stored crc = {})", batch.header.crc)))
}

/// `LogValidator.validateBatch` for `AppendOrigin.CLIENT`.
fn check_client_header(header: &BatchHeader) -> Result<(), RecordError> {
    let (base, last, count) = (header.base_offset, header.last_offset(), header.records_count);
    if header.last_offset_delta < 0 {
        return Err(RecordError::invalid(format!("batch has an invalid offset range [{base}, {last}]")));
    }
    if count <= 0 {
        return Err(RecordError::invalid(format!("invalid record count {count} in a batch")));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(count) {
        return Err(RecordError::invalid(format!(
            "inconsistent batch: offset range [{base}, {last}] and {count} records"
        )));
    }
    if header.is_control() {
        return Err(RecordError::invalid("clients are not allowed to write control records"));
    }
    if header.has_producer_id() && header.base_sequence < 0 {
        return Err(RecordError::invalid(format!(
            "invalid sequence number {} in a batch of producer id {}",
            header.base_sequence, header.producer_id
        )));
    }
    Ok(())
}

/// Reads the records. Where their offsets do not count up from 0, the batch is rebuilt so that they do: Kafka rewrites
/// such compressed batches, and an uncompressed one would otherwise hand the same offset to a consumer twice.
fn inspect_records(batch: RecordBatch) -> Result<InspectedBatch, RecordError> {
    let (facts, in_order) = read_facts(&batch)?;
    if in_order {
        return Ok(InspectedBatch { batch, facts });
    }
    let batch = renumber(&batch)?;
    let facts = read_facts(&batch)?.0;
    Ok(InspectedBatch { batch, facts })
}

/// The facts, and whether the records' offset deltas are 0, 1, 2 ….
fn read_facts(batch: &RecordBatch) -> Result<(BatchFacts, bool), RecordError> {
    let header = &batch.header;
    let mut facts =
        BatchFacts { max_timestamp: -1, min_timestamp: -1, max_timestamp_delta: -1, first_null_key: -1 };
    let mut in_order = true;
    for (index, record) in (0..).zip(&batch.records(DECOMPRESSED_LIMIT)?) {
        let record = record?;
        let timestamp = if header.is_log_append_time() {
            header.max_timestamp
        } else {
            header.base_timestamp.wrapping_add(record.timestamp_delta)
        };
        if timestamp > facts.max_timestamp {
            facts.max_timestamp = timestamp;
            facts.max_timestamp_delta = record.offset_delta;
        }
        if timestamp != -1 && (facts.min_timestamp == -1 || timestamp < facts.min_timestamp) {
            facts.min_timestamp = timestamp;
        }
        if record.key.is_none() && facts.first_null_key < 0 {
            facts.first_null_key = index;
        }
        in_order &= record.offset_delta == index;
    }
    Ok((facts, in_order))
}

/// The same records under another codec (topic config `compression.type`): producer, sequence, offsets, flags and
/// timestamps stay.
pub fn recompress(
    batch: &RecordBatch,
    codec: Compression,
    level: Option<i32>,
) -> Result<RecordBatch, RecordError> {
    if batch.header.compression() == Some(codec) {
        return Ok(batch.clone());
    }
    let records = batch.records(DECOMPRESSED_LIMIT)?;
    let body = crate::record::compress::compress(codec, records.bytes(), level)?;
    let attributes = (batch.header.attributes & !BatchHeader::COMPRESSION_MASK) | codec.id();
    Ok(RecordBatch::seal(BatchHeader { attributes, ..batch.header }, body))
}

/// The same records with the offset deltas 0, 1, 2 ….
fn renumber(batch: &RecordBatch) -> Result<RecordBatch, RecordError> {
    let mut builder = BatchBuilder::like(&batch.header);
    for (index, record) in (0..).zip(&batch.records(DECOMPRESSED_LIMIT)?) {
        builder.push_record(index, batch.header.base_timestamp, &record?);
    }
    builder.build()
}
