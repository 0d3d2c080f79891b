//! The coordinator's deadlines.

/// A deadline of the transaction coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TransactionTimer {
    /// More of a partition's log is to be loaded.
    Load {
        /// The partition of `__transaction_state`.
        partition: i32,
    },
    /// An append has not been committed in time.
    WriteTimeout {
        /// The partition of `__transaction_state`.
        partition: i32,
    },
    /// Transactions that are open for too long are to be aborted.
    AbortTimedOut,
    /// Ids that nobody uses any more are to be forgotten.
    RemoveExpired,
    /// What could not be sent or written may be tried again.
    Retry,
}
