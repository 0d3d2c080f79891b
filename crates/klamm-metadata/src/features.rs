//! The features that klamm's brokers and controllers support, and the levels of a new cluster.

pub use crate::image::{ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION};

/// The lowest metadata.version that Kafka 4 can run at: 3.3-IV3 (`MetadataVersion.MINIMUM_VERSION`).
pub const MINIMUM_METADATA_VERSION: i16 = 7;
/// The metadata.version that klamm writes: 4.1-IV1.
pub const LATEST_METADATA_VERSION: i16 = 27;

/// A feature and the levels of it that a node supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SupportedFeature {
    /// The feature.
    pub name: &'static str,
    /// Its lowest level.
    pub min: i16,
    /// Its highest level.
    pub max: i16,
    /// The level of a new cluster; 0 leaves the feature off.
    pub default: i16,
}

/// Every feature that klamm supports. A feature is listed once what it promises is true.
pub const SUPPORTED_FEATURES: &[SupportedFeature] = &[
    SupportedFeature { name: ELIGIBLE_LEADER_REPLICAS_VERSION, min: 0, max: 1, default: 1 },
    SupportedFeature {
        name: METADATA_VERSION,
        min: MINIMUM_METADATA_VERSION,
        max: LATEST_METADATA_VERSION,
        default: LATEST_METADATA_VERSION,
    },
];
