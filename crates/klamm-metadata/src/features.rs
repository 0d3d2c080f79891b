//! The features that klamm's brokers and controllers support, and the levels of a new cluster.

use klamm_wire::KafkaVersion;

pub use crate::image::{ELIGIBLE_LEADER_REPLICAS_VERSION, METADATA_VERSION, SHARE_VERSION};

/// The feature of KIP-890: 1 is the flexible format of `__transaction_state`, 2 an epoch of its own for each transaction
/// (`TransactionVersion.FEATURE_NAME`).
pub const TRANSACTION_VERSION: &str = "transaction.version";

/// The lowest metadata.version that Kafka 4 can run at: 3.3-IV3 (`MetadataVersion.MINIMUM_VERSION`).
pub const MINIMUM_METADATA_VERSION: i16 = 7;
/// The metadata.version that klamm writes: 4.1-IV1.
pub const LATEST_METADATA_VERSION: i16 = 27;

/// The feature that switches the consumer protocol on, from level 1 (`GroupVersion`).
pub const GROUP_VERSION: &str = "group.version";

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
    SupportedFeature { name: GROUP_VERSION, min: 0, max: 1, default: 1 },
    // Level 2 brings dead-letter queues (KIP-1191).
    SupportedFeature { name: SHARE_VERSION, min: 0, max: 1, default: 1 },
    SupportedFeature { name: TRANSACTION_VERSION, min: 0, max: 2, default: 2 },
];

/// The lowest metadata.version of a KRaft cluster before Kafka 4: 3.0-IV1.
const MINIMUM_METADATA_VERSION_OF_3: i16 = 1;

/// The features that a node of a release supports, and the levels of a new cluster of that release.
pub fn supported_features(release: KafkaVersion) -> Vec<SupportedFeature> {
    let of_release = |feature: &SupportedFeature| match feature.name {
        METADATA_VERSION => {
            let max = feature.max.min(release.metadata_version());
            let min = if release < KafkaVersion::V4_0 { MINIMUM_METADATA_VERSION_OF_3 } else { feature.min };
            Some(SupportedFeature { min, max, default: max, ..*feature })
        }
        // A new cluster of 4.0 can have it, and does not.
        ELIGIBLE_LEADER_REPLICAS_VERSION if release == KafkaVersion::V4_0 => {
            Some(SupportedFeature { default: 0, ..*feature })
        }
        ELIGIBLE_LEADER_REPLICAS_VERSION | GROUP_VERSION | TRANSACTION_VERSION
            if release < KafkaVersion::V4_0 =>
        {
            None
        }
        // A preview in 4.1: a cluster can have it, a new one does not.
        SHARE_VERSION if release == KafkaVersion::V4_1 => Some(SupportedFeature { default: 0, ..*feature }),
        SHARE_VERSION if release < KafkaVersion::V4_1 => None,
        _ => Some(*feature),
    };
    SUPPORTED_FEATURES.iter().filter_map(of_release).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_supports_the_features_of_its_time() {
        let of = |release, name| supported_features(release).into_iter().find(|feature| feature.name == name);
        let levels = |feature: SupportedFeature| (feature.min, feature.max, feature.default);
        assert_eq!(of(KafkaVersion::V3_6, METADATA_VERSION).map(levels), Some((1, 14, 14)));
        assert_eq!(of(KafkaVersion::V3_6, ELIGIBLE_LEADER_REPLICAS_VERSION), None);
        assert_eq!(of(KafkaVersion::V4_0, ELIGIBLE_LEADER_REPLICAS_VERSION).map(levels), Some((0, 1, 0)));
        assert_eq!(of(KafkaVersion::V4_0, SHARE_VERSION), None);
        assert_eq!(of(KafkaVersion::V4_1, SHARE_VERSION).map(levels), Some((0, 1, 0)));
        assert_eq!(of(KafkaVersion::V4_2, SHARE_VERSION).map(levels), Some((0, 1, 1)));
        assert_eq!(of(KafkaVersion::V3_9, TRANSACTION_VERSION), None);
        assert_eq!(of(KafkaVersion::V4_0, TRANSACTION_VERSION).map(levels), Some((0, 2, 2)));
        assert_eq!(supported_features(KafkaVersion::NEWEST), SUPPORTED_FEATURES);
    }
}
