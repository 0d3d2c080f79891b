//! The records that a new cluster's metadata log begins with (`ActivationRecordsGenerator`).

use std::collections::BTreeMap;

use klamm_metadata::record::{
    BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord,
};
use klamm_metadata::{ConfigResourceKind, MetadataRecord, features};
use klamm_node::config::{BrokerConfig, topic};
use klamm_wire::StrBytes;

/// The records of a new cluster with these features, as one metadata transaction (KIP-868). `metadata.version` comes
/// first: it says how to read the rest.
pub(crate) fn bootstrap_records(
    bootstrap: &BTreeMap<String, i16>,
    config: &BrokerConfig,
) -> Vec<MetadataRecord> {
    let feature = |name: &str, level: i16| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: StrBytes::from_string(name.to_owned()),
            feature_level: level,
        })
    };
    let metadata_version =
        bootstrap.get(features::METADATA_VERSION).copied().unwrap_or(features::LATEST_METADATA_VERSION);
    let mut records = vec![
        MetadataRecord::BeginTransaction(BeginTransactionRecord {
            name: Some(StrBytes::from_static_str("Bootstrap records")),
        }),
        feature(features::METADATA_VERSION, metadata_version),
    ];
    records.extend(
        bootstrap
            .iter()
            .filter(|(name, level)| **level > 0 && *name != features::METADATA_VERSION)
            .map(|(name, level)| feature(name, *level)),
    );
    // With ELR the cluster has a min.insync.replicas of its own, so that no broker's file decides it (KIP-966).
    if bootstrap.get(features::ELIGIBLE_LEADER_REPLICAS_VERSION).is_some_and(|level| *level > 0) {
        let min_isr = config.topic(&BTreeMap::new()).get(topic::MIN_INSYNC_REPLICAS);
        records.push(MetadataRecord::Config(ConfigRecord {
            resource_type: ConfigResourceKind::Broker.code(),
            resource_name: StrBytes::default(),
            name: StrBytes::from_static_str(topic::MIN_INSYNC_REPLICAS.name()),
            value: Some(StrBytes::from_string(min_isr.to_string())),
        }));
    }
    records.push(MetadataRecord::EndTransaction(EndTransactionRecord {}));
    records
}
