//! Deadlines of share groups at the leaders of their partitions.

use super::key::SharePartitionKey;

/// A deadline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ShareTimer {
    /// A member loses records.
    Locks(SharePartitionKey),
    /// A question to the share coordinator may be asked again.
    Retry(u64),
}
