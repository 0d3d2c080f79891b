//! Why a request of a member was refused.

use klamm_wire::{ErrorCode, StrBytes};

/// An error code and the sentence that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The code.
    pub(crate) error: ErrorCode,
    /// What was asked and what was wrong, in Kafka's words; `None` for the code's own.
    pub(crate) message: Option<StrBytes>,
}

impl Refusal {
    /// A refusal with a message.
    pub(crate) fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self { error, message: Some(StrBytes::from_string(message.into())) }
    }

    /// Why, in Kafka's words for the error (`Errors`) where there are no others.
    pub(crate) fn told(self) -> Option<StrBytes> {
        self.message.or_else(|| {
            let words = match self.error {
                ErrorCode::InvalidGroupId => "The group id is invalid.",
                ErrorCode::NotCoordinator => "This is not the correct coordinator.",
                ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.",
                ErrorCode::CoordinatorLoadInProgress => {
                    "The coordinator is loading and hence can't process requests."
                }
                _ => return None,
            };
            Some(StrBytes::from_static_str(words))
        })
    }
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None }
    }
}
