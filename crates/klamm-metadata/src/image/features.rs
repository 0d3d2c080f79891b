//! Finalized feature levels (`FeaturesImage`).

use std::collections::BTreeMap;

use klamm_wire::StrBytes;

use crate::delta::MetadataDelta;
use crate::record::FeatureLevelRecord;

/// The feature that says which metadata records a cluster writes (`MetadataVersion.FEATURE_NAME`).
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature of KIP-966 (`EligibleLeaderReplicasVersion.FEATURE_NAME`).
pub const ELIGIBLE_LEADER_REPLICAS_VERSION: &str = "eligible.leader.replicas.version";

/// The feature of share groups (`ShareVersion.FEATURE_NAME`).
pub const SHARE_VERSION: &str = "share.version";

/// Finalized features and their levels; a feature at level 0 is absent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FeaturesImage {
    levels: BTreeMap<StrBytes, i16>,
}

impl FeaturesImage {
    /// The level of a feature; 0 when it is not finalized.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name.as_bytes()).copied().unwrap_or(0)
    }

    /// Every finalized feature with its level, `metadata.version` among them, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&StrBytes, i16)> {
        self.levels.iter().map(|(name, level)| (name, *level))
    }

    /// Whether leaders may be elected from the ELR (KIP-966).
    pub fn elr_enabled(&self) -> bool {
        self.level(ELIGIBLE_LEADER_REPLICAS_VERSION) >= 1
    }

    pub(crate) fn apply(&mut self, record: &FeatureLevelRecord, delta: &mut MetadataDelta) {
        if record.feature_level == 0 {
            self.levels.remove(&record.name);
        } else {
            self.levels.insert(record.name.clone(), record.feature_level);
        }
        delta.features.insert(record.name.clone());
    }
}
