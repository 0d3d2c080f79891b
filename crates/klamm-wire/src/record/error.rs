//! Why records are refused.

use crate::ErrorCode;

/// Why records were refused: the error code to answer with, and words for a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct RecordError {
    /// `CORRUPT_MESSAGE`, `INVALID_RECORD`, `UNSUPPORTED_FOR_MESSAGE_FORMAT`, `UNSUPPORTED_COMPRESSION_TYPE` ….
    pub code: ErrorCode,
    /// What was wrong, and with which batch.
    pub message: String,
}

impl RecordError {
    /// An error with any code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `CORRUPT_MESSAGE`: sizes or checksums do not hold.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::CorruptMessage, message)
    }

    /// `INVALID_RECORD`: well-formed bytes that break a rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidRecord, message)
    }
}
