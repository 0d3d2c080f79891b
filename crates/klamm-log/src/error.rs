//! What can go wrong, by operation.

use klamm_wire::ErrorCode;

use crate::disk::DiskError;

/// A failure of the storage itself: the log directory should go offline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A file does not hold what it must, and cannot be rebuilt.
    #[error("{path}: {message}")]
    Corrupt {
        /// The file.
        path: String,
        /// What was wrong.
        message: String,
    },
    /// The caller asked for something that cannot be, such as a negative offset.
    #[error("{0}")]
    Invalid(String),
}

impl LogError {
    /// The code to answer a client with: `KAFKA_STORAGE_ERROR`, or `UNKNOWN_SERVER_ERROR` for a caller's mistake.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::Disk(_) | Self::Corrupt { .. } => ErrorCode::KafkaStorageError,
            Self::Invalid(_) => ErrorCode::UnknownServerError,
        }
    }
}

/// What was wrong with one batch or record of a produce (`ProduceResponse.RecordError`, version 8 and later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordIssue {
    /// Index of the record, counted over the partition's records in the request.
    pub batch_index: i32,
    /// What was wrong.
    pub message: String,
}

/// Why nothing was appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct AppendError {
    /// The code to answer with.
    pub code: ErrorCode,
    /// Words for a person; goes into the response's `error_message`.
    pub message: String,
    /// The records at fault, where that is known.
    pub record_issues: Vec<RecordIssue>,
    /// The storage failure behind it, when there is one: the log directory should go offline.
    pub storage: Option<Box<LogError>>,
}

impl AppendError {
    /// A refusal with a code and a reason.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), record_issues: Vec::new(), storage: None }
    }
}

impl From<LogError> for AppendError {
    fn from(error: LogError) -> Self {
        Self { storage: Some(Box::new(error.clone())), ..Self::new(error.code(), error.to_string()) }
    }
}

impl From<DiskError> for AppendError {
    fn from(error: DiskError) -> Self {
        LogError::from(error).into()
    }
}

/// Why nothing was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The offset is before the log start offset or after the log end offset.
    #[error("offset {offset} is out of range {log_start_offset}..={log_end_offset}")]
    OffsetOutOfRange {
        /// What was asked for.
        offset: i64,
        /// First offset of the log.
        log_start_offset: i64,
        /// Offset after the last record.
        log_end_offset: i64,
    },
    /// The storage failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<DiskError> for ReadError {
    fn from(error: DiskError) -> Self {
        Self::Log(error.into())
    }
}

impl ReadError {
    /// The code to answer with.
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange,
            Self::Log(error) => error.code(),
        }
    }
}
