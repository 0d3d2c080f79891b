//! Why an operation of a scripted client failed.

use klamm_wire::ErrorCode;

/// Why an operation failed, as far as the client knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// A broker said so.
    #[error("{0}")]
    Broker(ErrorCode),
    /// The connection broke before the answer came (`NetworkException`, `DisconnectException`).
    #[error("the connection broke before the answer came")]
    Disconnected,
    /// No answer came within `request.timeout.ms`.
    #[error("no answer within request.timeout.ms")]
    RequestTimedOut,
    /// A batch was not acknowledged within `delivery.timeout.ms`.
    #[error("not acknowledged within delivery.timeout.ms")]
    DeliveryTimedOut,
    /// The topic or partition did not show in the metadata within `max.block.ms`.
    #[error("not present in metadata after max.block.ms")]
    MetadataTimedOut,
    /// The client cannot do that, or not as it is configured.
    #[error("{0}")]
    Unsupported(String),
    /// The client was stopped.
    #[error("the client was stopped")]
    Stopped,
}

impl ClientError {
    /// The name that Kafka's `Errors` has for it: the broker's own, `NETWORK_EXCEPTION` for a broken connection, and
    /// `REQUEST_TIMED_OUT` for everything that Java's client reports as a `TimeoutException`. What no broker says has a
    /// name of ours: `UNSUPPORTED`, `STOPPED`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Broker(code) => code.name(),
            Self::Disconnected => ErrorCode::NetworkException.name(),
            Self::RequestTimedOut | Self::DeliveryTimedOut | Self::MetadataTimedOut => {
                ErrorCode::RequestTimedOut.name()
            }
            Self::Unsupported(_) => "UNSUPPORTED",
            Self::Stopped => "STOPPED",
        }
    }
}
