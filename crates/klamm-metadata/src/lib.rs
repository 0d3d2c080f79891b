//! The cluster as a log of records: what `__cluster_metadata` says, folded into an image.
//!
//! The controller decides by writing [`MetadataRecord`]s; every node folds the same records into a [`MetadataImage`],
//! each at its own pace. A [`MetadataDelta`] says what a run of records changed, so that a broker acts on that only.

pub mod delta;
pub mod features;
pub mod image;
pub mod publisher;
pub mod record;
pub mod snapshot;
pub mod topic_name;

pub use delta::{MetadataDelta, TopicDelta};
pub use features::{GROUP_VERSION, SUPPORTED_FEATURES, SupportedFeature, supported_features};
pub use image::quotas;
pub use image::{
    BrokerRegistration, ClientQuotasImage, ClusterImage, ConfigResource, ConfigResourceKind, ConfigsImage,
    DIRECTORY_LOST, DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED, Endpoint, FeaturesImage, LeaderRecoveryState,
    MetadataImage, NO_LEADER, NO_LEADER_CHANGE, PartitionRegistration, ProducerIdsImage, Provenance,
    QuotaEntity, TopicImage, TopicsImage, is_reserved_directory,
};
pub use publisher::MetadataPublisher;
pub use record::{MetadataError, MetadataRecord};
pub use snapshot::SnapshotId;

use klamm_wire::Uuid;

/// The name of the metadata topic (`Topic.CLUSTER_METADATA_TOPIC_NAME`).
pub const METADATA_TOPIC: &str = "__cluster_metadata";
/// The fixed id of the metadata topic (`Uuid.METADATA_TOPIC_ID`), printed as `AAAAAAAAAAAAAAAAAAAAAQ`.
pub const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);
