//! The keys of the transaction coordinator (`TransactionLogConfig`, `TransactionStateManagerConfig`) that klamm honours.

use super::def::{Valid, config_keys};

config_keys! {
    /// The transaction coordinator's keys, by name. They are broker keys.
    TRANSACTION_COORDINATOR_KEYS {
        /// How often the coordinator looks for transactions that are open for longer than their timeout, in milliseconds.
        TRANSACTION_ABORT_TIMED_OUT_CLEANUP_INTERVAL_MS: i32 = "transaction.abort.timed.out.transaction.cleanup.interval.ms", default "10000", Valid::AtLeast(1), Low, ReadOnly;
        /// The longest transaction timeout that a producer may ask for, in milliseconds.
        TRANSACTION_MAX_TIMEOUT_MS: i32 = "transaction.max.timeout.ms", default "900000", Valid::AtLeast(1), High, ReadOnly;
        /// How often the coordinator looks for transactional ids that have expired, in milliseconds.
        TRANSACTION_REMOVE_EXPIRED_CLEANUP_INTERVAL_MS: i32 = "transaction.remove.expired.transaction.cleanup.interval.ms", default "3600000", Valid::AtLeast(1), Low, ReadOnly;
        /// How much of `__transaction_state` is read at a time while it is loaded, in bytes.
        TRANSACTION_STATE_LOG_LOAD_BUFFER_SIZE: i32 = "transaction.state.log.load.buffer.size", default "5242880", Valid::AtLeast(1), High, ReadOnly;
        /// The `min.insync.replicas` that `__transaction_state` is created with.
        TRANSACTION_STATE_LOG_MIN_ISR: i32 = "transaction.state.log.min.isr", default "2", Valid::AtLeast(1), High, ReadOnly;
        /// How many partitions `__transaction_state` is created with.
        TRANSACTION_STATE_LOG_NUM_PARTITIONS: i32 = "transaction.state.log.num.partitions", default "50", Valid::AtLeast(1), High, ReadOnly;
        /// How many replicas `__transaction_state` is created with.
        TRANSACTION_STATE_LOG_REPLICATION_FACTOR: i16 = "transaction.state.log.replication.factor", default "3", Valid::AtLeast(1), High, ReadOnly;
        /// The segment size of `__transaction_state`, in bytes.
        TRANSACTION_STATE_LOG_SEGMENT_BYTES: i32 = "transaction.state.log.segment.bytes", default "104857600", Valid::AtLeast(1), High, ReadOnly;
        /// After how long without a change an id is forgotten, in milliseconds.
        TRANSACTIONAL_ID_EXPIRATION_MS: i32 = "transactional.id.expiration.ms", default "604800000", Valid::AtLeast(1), High, ReadOnly;
    }
}
