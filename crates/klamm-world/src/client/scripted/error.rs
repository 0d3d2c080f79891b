//! Why an operation of a scripted client failed.

use klamm_node::TopicPartition;
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
    /// The position is not in the log, and `auto.offset.reset` is `none`.
    #[error("offset {offset} of {partition} is out of range, and there is no reset policy")]
    OffsetOutOfRange {
        /// The partition.
        partition: TopicPartition,
        /// The position.
        offset: i64,
    },
    /// There is no position to begin at, and `auto.offset.reset` is `none` (`NoOffsetForPartitionException`).
    #[error("{partition} has no offset to begin at, and there is no reset policy")]
    NoOffset {
        /// The partition.
        partition: TopicPartition,
    },
    /// The log was truncated below the position, and `auto.offset.reset` is `none` (`LogTruncationException`, KIP-320).
    #[error(
        "{partition} was truncated below offset {offset}; the logs part at {divergent:?} (offset, epoch)"
    )]
    LogTruncation {
        /// The partition.
        partition: TopicPartition,
        /// The position.
        offset: i64,
        /// The offset and epoch at which the logs parted, if the leader knows.
        divergent: Option<(i64, i32)>,
    },
    /// A commit was refused because the member is not in the group's generation any more (`CommitFailedException`).
    #[error("the commit failed: the member is not in the group any more")]
    CommitFailed {
        /// What the coordinator said; `None` when the member knew before it asked.
        error: Option<ErrorCode>,
    },
    /// A fetch brought bytes that are no records.
    #[error("{partition}: {what}")]
    Corrupt {
        /// The partition.
        partition: TopicPartition,
        /// What is wrong with them.
        what: String,
    },
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
    /// name of ours: `COMMIT_FAILED`, `NO_OFFSET_FOR_PARTITION`, `LOG_TRUNCATION`, `UNSUPPORTED`, `STOPPED`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Broker(code) => code.name(),
            Self::Disconnected => ErrorCode::NetworkException.name(),
            Self::RequestTimedOut | Self::DeliveryTimedOut | Self::MetadataTimedOut => {
                ErrorCode::RequestTimedOut.name()
            }
            Self::OffsetOutOfRange { .. } => ErrorCode::OffsetOutOfRange.name(),
            Self::Corrupt { .. } => ErrorCode::CorruptMessage.name(),
            Self::CommitFailed { error: Some(error) } => error.name(),
            Self::CommitFailed { error: None } => "COMMIT_FAILED",
            Self::NoOffset { .. } => "NO_OFFSET_FOR_PARTITION",
            Self::LogTruncation { .. } => "LOG_TRUNCATION",
            Self::Unsupported(_) => "UNSUPPORTED",
            Self::Stopped => "STOPPED",
        }
    }
}
