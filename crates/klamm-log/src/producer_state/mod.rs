//! What the log knows of its producers (`ProducerStateManager`): idempotence, fencing, open transactions.

/// One producer as DescribeProducers shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// The producer's id.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence of its last record; -1 for none.
    pub last_sequence: i32,
    /// Timestamp of its last append, in milliseconds.
    pub last_timestamp: i64,
    /// Epoch of the coordinator that wrote its last marker; -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub current_txn_start_offset: Option<i64>,
}
