//! The records of `__cluster_metadata`.

// Written by `cargo xtask codegen`; changes belong there.

pub mod abort_transaction_record;
pub mod access_control_entry_record;
pub mod begin_transaction_record;
pub mod broker_registration_change_record;
pub mod clear_elr_record;
pub mod client_quota_record;
pub mod config_record;
pub mod delegation_token_record;
pub mod end_transaction_record;
pub mod feature_level_record;
pub mod fence_broker_record;
pub mod no_op_record;
pub mod partition_change_record;
pub mod partition_record;
pub mod producer_ids_record;
pub mod register_broker_record;
pub mod register_controller_record;
pub mod remove_access_control_entry_record;
pub mod remove_delegation_token_record;
pub mod remove_topic_record;
pub mod remove_user_scram_credential_record;
pub mod topic_record;
pub mod unfence_broker_record;
pub mod unregister_broker_record;
pub mod unregister_controller_record;
pub mod user_scram_credential_record;
pub mod zk_migration_state_record;

use bytes::{Bytes, BytesMut};

pub use abort_transaction_record::AbortTransactionRecord;
pub use access_control_entry_record::AccessControlEntryRecord;
pub use begin_transaction_record::BeginTransactionRecord;
pub use broker_registration_change_record::BrokerRegistrationChangeRecord;
pub use clear_elr_record::ClearElrRecord;
pub use client_quota_record::{ClientQuotaRecord, EntityData};
pub use config_record::ConfigRecord;
pub use delegation_token_record::DelegationTokenRecord;
pub use end_transaction_record::EndTransactionRecord;
pub use feature_level_record::FeatureLevelRecord;
pub use fence_broker_record::FenceBrokerRecord;
pub use no_op_record::NoOpRecord;
pub use partition_change_record::PartitionChangeRecord;
pub use partition_record::PartitionRecord;
pub use producer_ids_record::ProducerIdsRecord;
pub use register_broker_record::{BrokerEndpoint, BrokerFeature, RegisterBrokerRecord};
pub use register_controller_record::{ControllerEndpoint, ControllerFeature, RegisterControllerRecord};
pub use remove_access_control_entry_record::RemoveAccessControlEntryRecord;
pub use remove_delegation_token_record::RemoveDelegationTokenRecord;
pub use remove_topic_record::RemoveTopicRecord;
pub use remove_user_scram_credential_record::RemoveUserScramCredentialRecord;
pub use topic_record::TopicRecord;
pub use unfence_broker_record::UnfenceBrokerRecord;
pub use unregister_broker_record::UnregisterBrokerRecord;
pub use unregister_controller_record::UnregisterControllerRecord;
pub use user_scram_credential_record::UserScramCredentialRecord;
pub use zk_migration_state_record::ZkMigrationStateRecord;

use crate::internal::codec::{Schema, SchemaError, no_more, read_varint};
use crate::record::varint::write_unsigned;

/// The frame that Kafka puts around each record (`AbstractApiMessageSerde`).
const FRAME_VERSION: u32 = 1;

/// One record of the metadata log (`MetadataRecordType`).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MetadataRecord {
    /// Type 0.
    RegisterBroker(RegisterBrokerRecord),
    /// Type 1.
    UnregisterBroker(UnregisterBrokerRecord),
    /// Type 2.
    Topic(TopicRecord),
    /// Type 3.
    Partition(PartitionRecord),
    /// Type 4.
    Config(ConfigRecord),
    /// Type 5.
    PartitionChange(PartitionChangeRecord),
    /// Type 7.
    FenceBroker(FenceBrokerRecord),
    /// Type 8.
    UnfenceBroker(UnfenceBrokerRecord),
    /// Type 9.
    RemoveTopic(RemoveTopicRecord),
    /// Type 10.
    DelegationToken(DelegationTokenRecord),
    /// Type 11.
    UserScramCredential(UserScramCredentialRecord),
    /// Type 12.
    FeatureLevel(FeatureLevelRecord),
    /// Type 14.
    ClientQuota(ClientQuotaRecord),
    /// Type 15.
    ProducerIds(ProducerIdsRecord),
    /// Type 17.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord),
    /// Type 18.
    AccessControlEntry(AccessControlEntryRecord),
    /// Type 19.
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord),
    /// Type 20.
    NoOp(NoOpRecord),
    /// Type 21.
    ZkMigrationState(ZkMigrationStateRecord),
    /// Type 22.
    RemoveUserScramCredential(RemoveUserScramCredentialRecord),
    /// Type 23.
    BeginTransaction(BeginTransactionRecord),
    /// Type 24.
    EndTransaction(EndTransactionRecord),
    /// Type 25.
    AbortTransaction(AbortTransactionRecord),
    /// Type 26.
    RemoveDelegationToken(RemoveDelegationTokenRecord),
    /// Type 27.
    RegisterController(RegisterControllerRecord),
    /// Type 28.
    ClearElr(ClearElrRecord),
    /// Type 29.
    UnregisterController(UnregisterControllerRecord),
}

impl MetadataRecord {
    /// Kafka's name for the record's type.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RegisterBroker(_) => RegisterBrokerRecord::NAME,
            Self::UnregisterBroker(_) => UnregisterBrokerRecord::NAME,
            Self::Topic(_) => TopicRecord::NAME,
            Self::Partition(_) => PartitionRecord::NAME,
            Self::Config(_) => ConfigRecord::NAME,
            Self::PartitionChange(_) => PartitionChangeRecord::NAME,
            Self::FenceBroker(_) => FenceBrokerRecord::NAME,
            Self::UnfenceBroker(_) => UnfenceBrokerRecord::NAME,
            Self::RemoveTopic(_) => RemoveTopicRecord::NAME,
            Self::DelegationToken(_) => DelegationTokenRecord::NAME,
            Self::UserScramCredential(_) => UserScramCredentialRecord::NAME,
            Self::FeatureLevel(_) => FeatureLevelRecord::NAME,
            Self::ClientQuota(_) => ClientQuotaRecord::NAME,
            Self::ProducerIds(_) => ProducerIdsRecord::NAME,
            Self::BrokerRegistrationChange(_) => BrokerRegistrationChangeRecord::NAME,
            Self::AccessControlEntry(_) => AccessControlEntryRecord::NAME,
            Self::RemoveAccessControlEntry(_) => RemoveAccessControlEntryRecord::NAME,
            Self::NoOp(_) => NoOpRecord::NAME,
            Self::ZkMigrationState(_) => ZkMigrationStateRecord::NAME,
            Self::RemoveUserScramCredential(_) => RemoveUserScramCredentialRecord::NAME,
            Self::BeginTransaction(_) => BeginTransactionRecord::NAME,
            Self::EndTransaction(_) => EndTransactionRecord::NAME,
            Self::AbortTransaction(_) => AbortTransactionRecord::NAME,
            Self::RemoveDelegationToken(_) => RemoveDelegationTokenRecord::NAME,
            Self::RegisterController(_) => RegisterControllerRecord::NAME,
            Self::ClearElr(_) => ClearElrRecord::NAME,
            Self::UnregisterController(_) => UnregisterControllerRecord::NAME,
        }
    }

    /// The number that stands for the type in the log.
    pub const fn api_key(&self) -> i16 {
        match self {
            Self::RegisterBroker(_) => 0,
            Self::UnregisterBroker(_) => 1,
            Self::Topic(_) => 2,
            Self::Partition(_) => 3,
            Self::Config(_) => 4,
            Self::PartitionChange(_) => 5,
            Self::FenceBroker(_) => 7,
            Self::UnfenceBroker(_) => 8,
            Self::RemoveTopic(_) => 9,
            Self::DelegationToken(_) => 10,
            Self::UserScramCredential(_) => 11,
            Self::FeatureLevel(_) => 12,
            Self::ClientQuota(_) => 14,
            Self::ProducerIds(_) => 15,
            Self::BrokerRegistrationChange(_) => 17,
            Self::AccessControlEntry(_) => 18,
            Self::RemoveAccessControlEntry(_) => 19,
            Self::NoOp(_) => 20,
            Self::ZkMigrationState(_) => 21,
            Self::RemoveUserScramCredential(_) => 22,
            Self::BeginTransaction(_) => 23,
            Self::EndTransaction(_) => 24,
            Self::AbortTransaction(_) => 25,
            Self::RemoveDelegationToken(_) => 26,
            Self::RegisterController(_) => 27,
            Self::ClearElr(_) => 28,
            Self::UnregisterController(_) => 29,
        }
    }

    /// The framed record, laid out as `version` has it (`MetadataRecordSerde.write`).
    pub fn encode(&self, version: i16) -> Result<Bytes, SchemaError> {
        let mut out = BytesMut::new();
        write_unsigned(&mut out, FRAME_VERSION);
        write_unsigned(&mut out, u32::from(self.api_key().unsigned_abs()));
        write_unsigned(&mut out, u32::from(version.unsigned_abs()));
        match self {
            Self::RegisterBroker(record) => record.encode(version, &mut out)?,
            Self::UnregisterBroker(record) => record.encode(version, &mut out)?,
            Self::Topic(record) => record.encode(version, &mut out)?,
            Self::Partition(record) => record.encode(version, &mut out)?,
            Self::Config(record) => record.encode(version, &mut out)?,
            Self::PartitionChange(record) => record.encode(version, &mut out)?,
            Self::FenceBroker(record) => record.encode(version, &mut out)?,
            Self::UnfenceBroker(record) => record.encode(version, &mut out)?,
            Self::RemoveTopic(record) => record.encode(version, &mut out)?,
            Self::DelegationToken(record) => record.encode(version, &mut out)?,
            Self::UserScramCredential(record) => record.encode(version, &mut out)?,
            Self::FeatureLevel(record) => record.encode(version, &mut out)?,
            Self::ClientQuota(record) => record.encode(version, &mut out)?,
            Self::ProducerIds(record) => record.encode(version, &mut out)?,
            Self::BrokerRegistrationChange(record) => record.encode(version, &mut out)?,
            Self::AccessControlEntry(record) => record.encode(version, &mut out)?,
            Self::RemoveAccessControlEntry(record) => record.encode(version, &mut out)?,
            Self::NoOp(record) => record.encode(version, &mut out)?,
            Self::ZkMigrationState(record) => record.encode(version, &mut out)?,
            Self::RemoveUserScramCredential(record) => record.encode(version, &mut out)?,
            Self::BeginTransaction(record) => record.encode(version, &mut out)?,
            Self::EndTransaction(record) => record.encode(version, &mut out)?,
            Self::AbortTransaction(record) => record.encode(version, &mut out)?,
            Self::RemoveDelegationToken(record) => record.encode(version, &mut out)?,
            Self::RegisterController(record) => record.encode(version, &mut out)?,
            Self::ClearElr(record) => record.encode(version, &mut out)?,
            Self::UnregisterController(record) => record.encode(version, &mut out)?,
        }
        Ok(out.freeze())
    }

    /// Reads a framed record and its version (`MetadataRecordSerde.read`).
    pub fn decode(bytes: &Bytes) -> Result<(Self, i16), SchemaError> {
        let mut bytes = bytes.clone();
        let frame = read_varint(&mut bytes)?;
        if frame != FRAME_VERSION {
            return Err(SchemaError::UnknownFrame(frame));
        }
        let number =
            |value: u32| i16::try_from(value).map_err(|_| SchemaError::InvalidLength(i64::from(value)));
        let api_key = number(read_varint(&mut bytes)?)?;
        let version = number(read_varint(&mut bytes)?)?;
        let record = match api_key {
            0 => Self::RegisterBroker(RegisterBrokerRecord::decode(version, &mut bytes)?),
            1 => Self::UnregisterBroker(UnregisterBrokerRecord::decode(version, &mut bytes)?),
            2 => Self::Topic(TopicRecord::decode(version, &mut bytes)?),
            3 => Self::Partition(PartitionRecord::decode(version, &mut bytes)?),
            4 => Self::Config(ConfigRecord::decode(version, &mut bytes)?),
            5 => Self::PartitionChange(PartitionChangeRecord::decode(version, &mut bytes)?),
            7 => Self::FenceBroker(FenceBrokerRecord::decode(version, &mut bytes)?),
            8 => Self::UnfenceBroker(UnfenceBrokerRecord::decode(version, &mut bytes)?),
            9 => Self::RemoveTopic(RemoveTopicRecord::decode(version, &mut bytes)?),
            10 => Self::DelegationToken(DelegationTokenRecord::decode(version, &mut bytes)?),
            11 => Self::UserScramCredential(UserScramCredentialRecord::decode(version, &mut bytes)?),
            12 => Self::FeatureLevel(FeatureLevelRecord::decode(version, &mut bytes)?),
            14 => Self::ClientQuota(ClientQuotaRecord::decode(version, &mut bytes)?),
            15 => Self::ProducerIds(ProducerIdsRecord::decode(version, &mut bytes)?),
            17 => {
                Self::BrokerRegistrationChange(BrokerRegistrationChangeRecord::decode(version, &mut bytes)?)
            }
            18 => Self::AccessControlEntry(AccessControlEntryRecord::decode(version, &mut bytes)?),
            19 => {
                Self::RemoveAccessControlEntry(RemoveAccessControlEntryRecord::decode(version, &mut bytes)?)
            }
            20 => Self::NoOp(NoOpRecord::decode(version, &mut bytes)?),
            21 => Self::ZkMigrationState(ZkMigrationStateRecord::decode(version, &mut bytes)?),
            22 => {
                Self::RemoveUserScramCredential(RemoveUserScramCredentialRecord::decode(version, &mut bytes)?)
            }
            23 => Self::BeginTransaction(BeginTransactionRecord::decode(version, &mut bytes)?),
            24 => Self::EndTransaction(EndTransactionRecord::decode(version, &mut bytes)?),
            25 => Self::AbortTransaction(AbortTransactionRecord::decode(version, &mut bytes)?),
            26 => Self::RemoveDelegationToken(RemoveDelegationTokenRecord::decode(version, &mut bytes)?),
            27 => Self::RegisterController(RegisterControllerRecord::decode(version, &mut bytes)?),
            28 => Self::ClearElr(ClearElrRecord::decode(version, &mut bytes)?),
            29 => Self::UnregisterController(UnregisterControllerRecord::decode(version, &mut bytes)?),

            unknown => return Err(SchemaError::UnknownType(unknown)),
        };
        no_more(&bytes)?;
        Ok((record, version))
    }
}

impl From<RegisterBrokerRecord> for MetadataRecord {
    fn from(record: RegisterBrokerRecord) -> Self {
        Self::RegisterBroker(record)
    }
}

impl From<UnregisterBrokerRecord> for MetadataRecord {
    fn from(record: UnregisterBrokerRecord) -> Self {
        Self::UnregisterBroker(record)
    }
}

impl From<TopicRecord> for MetadataRecord {
    fn from(record: TopicRecord) -> Self {
        Self::Topic(record)
    }
}

impl From<PartitionRecord> for MetadataRecord {
    fn from(record: PartitionRecord) -> Self {
        Self::Partition(record)
    }
}

impl From<ConfigRecord> for MetadataRecord {
    fn from(record: ConfigRecord) -> Self {
        Self::Config(record)
    }
}

impl From<PartitionChangeRecord> for MetadataRecord {
    fn from(record: PartitionChangeRecord) -> Self {
        Self::PartitionChange(record)
    }
}

impl From<FenceBrokerRecord> for MetadataRecord {
    fn from(record: FenceBrokerRecord) -> Self {
        Self::FenceBroker(record)
    }
}

impl From<UnfenceBrokerRecord> for MetadataRecord {
    fn from(record: UnfenceBrokerRecord) -> Self {
        Self::UnfenceBroker(record)
    }
}

impl From<RemoveTopicRecord> for MetadataRecord {
    fn from(record: RemoveTopicRecord) -> Self {
        Self::RemoveTopic(record)
    }
}

impl From<DelegationTokenRecord> for MetadataRecord {
    fn from(record: DelegationTokenRecord) -> Self {
        Self::DelegationToken(record)
    }
}

impl From<UserScramCredentialRecord> for MetadataRecord {
    fn from(record: UserScramCredentialRecord) -> Self {
        Self::UserScramCredential(record)
    }
}

impl From<FeatureLevelRecord> for MetadataRecord {
    fn from(record: FeatureLevelRecord) -> Self {
        Self::FeatureLevel(record)
    }
}

impl From<ClientQuotaRecord> for MetadataRecord {
    fn from(record: ClientQuotaRecord) -> Self {
        Self::ClientQuota(record)
    }
}

impl From<ProducerIdsRecord> for MetadataRecord {
    fn from(record: ProducerIdsRecord) -> Self {
        Self::ProducerIds(record)
    }
}

impl From<BrokerRegistrationChangeRecord> for MetadataRecord {
    fn from(record: BrokerRegistrationChangeRecord) -> Self {
        Self::BrokerRegistrationChange(record)
    }
}

impl From<AccessControlEntryRecord> for MetadataRecord {
    fn from(record: AccessControlEntryRecord) -> Self {
        Self::AccessControlEntry(record)
    }
}

impl From<RemoveAccessControlEntryRecord> for MetadataRecord {
    fn from(record: RemoveAccessControlEntryRecord) -> Self {
        Self::RemoveAccessControlEntry(record)
    }
}

impl From<NoOpRecord> for MetadataRecord {
    fn from(record: NoOpRecord) -> Self {
        Self::NoOp(record)
    }
}

impl From<ZkMigrationStateRecord> for MetadataRecord {
    fn from(record: ZkMigrationStateRecord) -> Self {
        Self::ZkMigrationState(record)
    }
}

impl From<RemoveUserScramCredentialRecord> for MetadataRecord {
    fn from(record: RemoveUserScramCredentialRecord) -> Self {
        Self::RemoveUserScramCredential(record)
    }
}

impl From<BeginTransactionRecord> for MetadataRecord {
    fn from(record: BeginTransactionRecord) -> Self {
        Self::BeginTransaction(record)
    }
}

impl From<EndTransactionRecord> for MetadataRecord {
    fn from(record: EndTransactionRecord) -> Self {
        Self::EndTransaction(record)
    }
}

impl From<AbortTransactionRecord> for MetadataRecord {
    fn from(record: AbortTransactionRecord) -> Self {
        Self::AbortTransaction(record)
    }
}

impl From<RemoveDelegationTokenRecord> for MetadataRecord {
    fn from(record: RemoveDelegationTokenRecord) -> Self {
        Self::RemoveDelegationToken(record)
    }
}

impl From<RegisterControllerRecord> for MetadataRecord {
    fn from(record: RegisterControllerRecord) -> Self {
        Self::RegisterController(record)
    }
}

impl From<ClearElrRecord> for MetadataRecord {
    fn from(record: ClearElrRecord) -> Self {
        Self::ClearElr(record)
    }
}

impl From<UnregisterControllerRecord> for MetadataRecord {
    fn from(record: UnregisterControllerRecord) -> Self {
        Self::UnregisterController(record)
    }
}
