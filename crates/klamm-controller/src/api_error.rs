//! An error as a response carries it: a code and, for people, words (`ApiError`).

use klamm_wire::{ErrorCode, StrBytes};

/// Why (a part of) a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) code: ErrorCode,
    /// `None` where Kafka sends none, and its clients print the code's own text.
    pub(crate) message: Option<String>,
}

impl ApiError {
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    /// The message as a field of a response.
    pub(crate) fn text(&self) -> Option<StrBytes> {
        self.message.clone().map(StrBytes::from_string)
    }
}

impl From<ErrorCode> for ApiError {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}
