//! What the transaction coordinator is configured with (Kafka's `TransactionConfig`).

use std::time::Duration;

use klamm_node::config::{Key, transaction};

use crate::config::BrokerConfig;

/// The coordinator's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionConfig {
    /// `transaction.state.log.num.partitions`
    pub(crate) partitions: i32,
    /// `transaction.state.log.load.buffer.size`
    pub(crate) load_buffer_size: usize,
    /// `transaction.max.timeout.ms`
    pub(crate) max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`
    pub(crate) id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub(crate) abort_timed_out_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub(crate) remove_expired_interval: Duration,
}

impl TransactionConfig {
    /// Reads the broker's configuration. None of it changes while the broker runs.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let millis = |key: Key<i32>| Duration::from_millis(u64::try_from(config.get(key)).unwrap_or(1));
        Self {
            partitions: config.get(transaction::TRANSACTION_STATE_LOG_NUM_PARTITIONS),
            load_buffer_size: usize::try_from(
                config.get(transaction::TRANSACTION_STATE_LOG_LOAD_BUFFER_SIZE),
            )
            .unwrap_or(1),
            max_timeout_ms: config.get(transaction::TRANSACTION_MAX_TIMEOUT_MS),
            id_expiration_ms: config.get(transaction::TRANSACTIONAL_ID_EXPIRATION_MS).into(),
            abort_timed_out_interval: millis(transaction::TRANSACTION_ABORT_TIMED_OUT_CLEANUP_INTERVAL_MS),
            remove_expired_interval: millis(transaction::TRANSACTION_REMOVE_EXPIRED_CLEANUP_INTERVAL_MS),
        }
    }
}
