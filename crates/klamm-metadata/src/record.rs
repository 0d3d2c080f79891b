//! The records of the metadata log.

use klamm_wire::{StrBytes, Uuid};

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

macro_rules! records {
    ($($(#[$m:meta])* $name:ident { $($(#[$f:meta])* $field:ident : $ty:ty = $default:expr,)* })*) => {
        $($(#[$m])* #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$f])* pub $field: $ty,)* }
        impl Default for $name { fn default() -> Self { Self { $($field: $default,)* } } })*
    };
}

records! {
    /// Registers a broker (`RegisterBrokerRecord`, key 0).
    RegisterBrokerRecord {
        /// Broker id.
        broker_id: i32 = 0,
        /// Whether it came from a ZooKeeper migration.
        is_migrating_zk_broker: bool = false,
        /// Incarnation id.
        incarnation_id: Uuid = Uuid::nil(),
        /// Broker epoch.
        broker_epoch: i64 = 0,
        /// Listeners.
        end_points: Vec<BrokerEndpoint> = Vec::new(),
        /// Supported features.
        features: Vec<BrokerFeature> = Vec::new(),
        /// Rack.
        rack: Option<StrBytes> = None,
        /// Whether it is fenced.
        fenced: bool = true,
        /// Whether it is shutting down.
        in_controlled_shutdown: bool = false,
        /// Log directories.
        log_dirs: Vec<Uuid> = Vec::new(),
    }
    /// A listener.
    BrokerEndpoint {
        /// Name.
        name: StrBytes = StrBytes::default(),
        /// Host.
        host: StrBytes = StrBytes::default(),
        /// Port.
        port: u16 = 0,
        /// Security protocol.
        security_protocol: i16 = 0,
    }
    /// A supported feature.
    BrokerFeature {
        /// Name.
        name: StrBytes = StrBytes::default(),
        /// Lowest level.
        min_supported_version: i16 = 0,
        /// Highest level.
        max_supported_version: i16 = 0,
    }
    /// Key 1.
    UnregisterBrokerRecord {
        /// Broker id.
        broker_id: i32 = 0,
        /// Broker epoch.
        broker_epoch: i64 = 0,
    }
    /// Key 2.
    TopicRecord {
        /// Name.
        name: StrBytes = StrBytes::default(),
        /// Id.
        topic_id: Uuid = Uuid::nil(),
    }
    /// Key 3.
    PartitionRecord {
        /// Index.
        partition_id: i32 = -1,
        /// Topic.
        topic_id: Uuid = Uuid::nil(),
        /// Replicas.
        replicas: Vec<i32> = Vec::new(),
        /// ISR.
        isr: Vec<i32> = Vec::new(),
        /// Removing.
        removing_replicas: Vec<i32> = Vec::new(),
        /// Adding.
        adding_replicas: Vec<i32> = Vec::new(),
        /// Leader.
        leader: i32 = -1,
        /// Recovery state.
        leader_recovery_state: i8 = 0,
        /// Leader epoch.
        leader_epoch: i32 = -1,
        /// Partition epoch.
        partition_epoch: i32 = -1,
        /// Directories.
        directories: Vec<Uuid> = Vec::new(),
        /// ELR.
        eligible_leader_replicas: Option<Vec<i32>> = None,
        /// Last known ELR.
        last_known_elr: Option<Vec<i32>> = None,
    }
    /// Key 4.
    ConfigRecord {
        /// Resource type.
        resource_type: i8 = 0,
        /// Resource name.
        resource_name: StrBytes = StrBytes::default(),
        /// Key.
        name: StrBytes = StrBytes::default(),
        /// Value; `None` deletes.
        value: Option<StrBytes> = None,
    }
    /// Key 5.
    PartitionChangeRecord {
        /// Index.
        partition_id: i32 = -1,
        /// Topic.
        topic_id: Uuid = Uuid::nil(),
        /// ISR.
        isr: Option<Vec<i32>> = None,
        /// Leader.
        leader: i32 = -2,
        /// Replicas.
        replicas: Option<Vec<i32>> = None,
        /// Removing.
        removing_replicas: Option<Vec<i32>> = None,
        /// Adding.
        adding_replicas: Option<Vec<i32>> = None,
        /// Recovery state.
        leader_recovery_state: i8 = -1,
        /// Directories.
        directories: Option<Vec<Uuid>> = None,
        /// ELR.
        eligible_leader_replicas: Option<Vec<i32>> = None,
        /// Last known ELR.
        last_known_elr: Option<Vec<i32>> = None,
    }
    /// Key 9.
    RemoveTopicRecord {
        /// Topic.
        topic_id: Uuid = Uuid::nil(),
    }
    /// Key 12.
    FeatureLevelRecord {
        /// Name.
        name: StrBytes = StrBytes::default(),
        /// Level.
        feature_level: i16 = 0,
    }
    /// Key 15.
    ProducerIdsRecord {
        /// Broker id.
        broker_id: i32 = 0,
        /// Broker epoch.
        broker_epoch: i64 = -1,
        /// Next producer id.
        next_producer_id: i64 = 0,
    }
    /// Key 17.
    BrokerRegistrationChangeRecord {
        /// Broker id.
        broker_id: i32 = 0,
        /// Broker epoch.
        broker_epoch: i64 = 0,
        /// Fencing change.
        fenced: i8 = 0,
        /// Shutdown change.
        in_controlled_shutdown: i8 = 0,
        /// Log directories.
        log_dirs: Vec<Uuid> = Vec::new(),
    }
    /// Key 20.
    NoOpRecord {}
    /// Key 23.
    BeginTransactionRecord {
        /// What for.
        name: Option<StrBytes> = None,
    }
    /// Key 24.
    EndTransactionRecord {}
    /// Key 25.
    AbortTransactionRecord {
        /// Why.
        reason: Option<StrBytes> = None,
    }
    /// Key 27.
    RegisterControllerRecord {
        /// Controller id.
        controller_id: i32 = 0,
        /// Incarnation id.
        incarnation_id: Uuid = Uuid::nil(),
        /// ZooKeeper migration.
        zk_migration_ready: bool = false,
        /// Listeners.
        end_points: Vec<BrokerEndpoint> = Vec::new(),
        /// Features.
        features: Vec<BrokerFeature> = Vec::new(),
    }
    /// Key 28.
    ClearElrRecord {
        /// Topic.
        topic_name: StrBytes = StrBytes::default(),
    }
}

macro_rules! record_enum {
    ($($(#[$m:meta])* $variant:ident($ty:ident) = $key:literal,)*) => {
        /// One record of the metadata log (`MetadataRecordType`).
        #[derive(Debug, Clone, PartialEq)]
        pub enum MetadataRecord {
            $($(#[$m])* $variant($ty),)*
        }

        impl MetadataRecord {
            /// The record's type in Kafka's schemas.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => stringify!($ty),)* }
            }

            /// The number that stands for the type in the log.
            pub const fn api_key(&self) -> i16 {
                match self { $(Self::$variant(_) => $key,)* }
            }
        }

        $(impl From<$ty> for MetadataRecord {
            fn from(record: $ty) -> Self {
                Self::$variant(record)
            }
        })*
    };
}

record_enum! {
    /// A broker registered.
    RegisterBroker(RegisterBrokerRecord) = 0,
    /// A broker was removed from the cluster.
    UnregisterBroker(UnregisterBrokerRecord) = 1,
    /// A topic was created.
    Topic(TopicRecord) = 2,
    /// A partition was created.
    Partition(PartitionRecord) = 3,
    /// A configuration key was set or deleted.
    Config(ConfigRecord) = 4,
    /// A partition's leader, ISR or replicas changed.
    PartitionChange(PartitionChangeRecord) = 5,
    /// A topic was deleted.
    RemoveTopic(RemoveTopicRecord) = 9,
    /// A feature was finalized at a level.
    FeatureLevel(FeatureLevelRecord) = 12,
    /// A block of producer ids was given out.
    ProducerIds(ProducerIdsRecord) = 15,
    /// A broker was fenced or unfenced, or began to shut down.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord) = 17,
    /// Nothing; keeps the log moving.
    NoOp(NoOpRecord) = 20,
    /// A run of records begins that counts only as a whole.
    BeginTransaction(BeginTransactionRecord) = 23,
    /// The run counts.
    EndTransaction(EndTransactionRecord) = 24,
    /// The run does not count.
    AbortTransaction(AbortTransactionRecord) = 25,
    /// A controller registered.
    RegisterController(RegisterControllerRecord) = 27,
    /// Eligible leader replicas were forgotten.
    ClearElr(ClearElrRecord) = 28,
}
