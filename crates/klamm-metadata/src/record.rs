//! The records of the metadata log: Kafka's schemas, and what can be wrong with a record.

pub use klamm_wire::internal::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerEndpoint, BrokerFeature,
    BrokerRegistrationChangeRecord, ClearElrRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord,
    FenceBrokerRecord, MetadataRecord, NoOpRecord, PartitionChangeRecord, PartitionRecord, ProducerIdsRecord,
    RegisterBrokerRecord, RegisterControllerRecord, RemoveTopicRecord, TopicRecord, UnfenceBrokerRecord,
    UnregisterBrokerRecord,
};

/// Why a record cannot be read or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The bytes are not a metadata record.
    #[error("not a metadata record: {0}")]
    Malformed(String),
    /// The record does not fit what came before it.
    #[error("{record} names {what}")]
    Replay {
        /// The record's type.
        record: &'static str,
        /// What it names that cannot be.
        what: &'static str,
    },
}

impl MetadataError {
    pub(crate) const fn replay(record: &'static str, what: &'static str) -> Self {
        Self::Replay { record, what }
    }
}
