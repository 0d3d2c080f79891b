//! What a broker must know of a batch before it takes it, found out once, outside the world's lock.

use crate::ErrorCode;
use crate::record::batch::RecordBatch;

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

/// Why records were refused: the error code to answer with, and words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RecordError {
    /// `CORRUPT_MESSAGE`, `INVALID_RECORD`, `UNSUPPORTED_FOR_MESSAGE_FORMAT`, `UNSUPPORTED_COMPRESSION_TYPE` ….
    pub code: ErrorCode,
    /// What was wrong, and with which batch.
    pub message: String,
}

/// The records of a whole Produce request, inspected: by topic, then by partition, in the request's order.
pub type InspectedProduce = Vec<Vec<Result<Vec<InspectedBatch>, RecordError>>>;
