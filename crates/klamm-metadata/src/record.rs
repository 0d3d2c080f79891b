//! The records of the metadata log: Kafka's schemas, and what can be wrong with a record.

pub use klamm_wire::internal::metadata::{
    AbortTransactionRecord, BeginTransactionRecord, BrokerEndpoint, BrokerFeature,
    BrokerRegistrationChangeRecord, ClearElrRecord, ClientQuotaRecord, ConfigRecord, EndTransactionRecord,
    EntityData as QuotaEntityData, FeatureLevelRecord, FenceBrokerRecord, MetadataRecord, NoOpRecord,
    PartitionChangeRecord, PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord,
    RegisterControllerRecord, RemoveTopicRecord, TopicRecord, UnfenceBrokerRecord, UnregisterBrokerRecord,
};

/// The version in which metadata.version 4.1-IV1 writes a record (`MetadataVersion`).
pub const fn version_of(record: &MetadataRecord) -> i16 {
    match record {
        MetadataRecord::RegisterBroker(_) => 3,
        MetadataRecord::Partition(_) | MetadataRecord::PartitionChange(_) => 2,
        MetadataRecord::BrokerRegistrationChange(record) => {
            if !record.log_dirs.is_empty() {
                2
            } else if record.in_controlled_shutdown != 0 {
                1
            } else {
                0
            }
        }
        _ => 0,
    }
}

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
