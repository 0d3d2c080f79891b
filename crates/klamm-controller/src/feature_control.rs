//! The levels of features: the records that a new cluster's metadata log begins with (`ActivationRecordsGenerator`), and how they change
//! later (`FeatureControlManager`).

use std::collections::BTreeMap;

use klamm_metadata::record::{
    BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord,
};
use klamm_metadata::{ConfigResourceKind, MetadataRecord, features, supported_features};
use klamm_node::NodeId;
use klamm_node::config::{BrokerConfig, topic};
use klamm_wire::messages::update_features_request::FeatureUpdateKey;
use klamm_wire::{ErrorCode, KafkaVersion, StrBytes};

use crate::api_error::ApiError;
use crate::state::ClusterState;

/// The kinds of an update (`FeatureUpdate.UpgradeType`).
const UPGRADE: i8 = 1;
const SAFE_DOWNGRADE: i8 = 2;
const UNSAFE_DOWNGRADE: i8 = 3;

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

/// The record of one feature's new level.
///
/// # Errors
/// `INVALID_UPDATE_VERSION` where a node does not support the level, or it is not the way up or down that was asked for.
pub(crate) fn update(
    state: &ClusterState,
    release: KafkaVersion,
    node: NodeId,
    update: &FeatureUpdateKey,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ApiError> {
    let (name, level) = (&update.feature, update.max_version_level);
    let refuse = |why: String| {
        Err(ApiError::new(
            ErrorCode::InvalidUpdateVersion,
            format!("Invalid update version {level} for feature {name}. {why}"),
        ))
    };
    if !matches!(update.upgrade_type, UPGRADE | SAFE_DOWNGRADE | UNSAFE_DOWNGRADE) {
        return refuse("The controller does not support the given upgrade type.".to_owned());
    }
    if level < 0 {
        return refuse("A feature version cannot be less than 0.".to_owned());
    }
    if let Some(why) = why_not_supported(state, release, node, name, level) {
        return refuse(why);
    }
    let current = state.image.features.level(name);
    if level < current && update.upgrade_type == UPGRADE {
        return refuse(
            "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe \
             downgrade."
                .to_owned(),
        );
    }
    if level > current && update.upgrade_type != UPGRADE {
        return refuse("Can't downgrade to a newer version.".to_owned());
    }
    if level < current && &**name == features::METADATA_VERSION {
        return refuse(
            "Refusing to perform the requested downgrade because it might delete metadata information."
                .to_owned(),
        );
    }
    if level != current && &**name == features::ELIGIBLE_LEADER_REPLICAS_VERSION {
        return refuse(
            "klamm decides on this feature when a cluster begins: start it with --era elr=on or off."
                .to_owned(),
        );
    }
    records
        .push(MetadataRecord::FeatureLevel(FeatureLevelRecord { name: name.clone(), feature_level: level }));
    Ok(())
}

/// Which node does not support a level of a feature, in words; `None` when all do.
fn why_not_supported(
    state: &ClusterState,
    release: KafkaVersion,
    node: NodeId,
    name: &StrBytes,
    level: i16,
) -> Option<String> {
    let own = supported_features(release).into_iter().find(|feature| feature.name == &**name);
    let own = own.map_or((0, 0), |feature| (feature.min, feature.max));
    let brokers = state.image.cluster.brokers().map(|broker| {
        (format!("Broker {}", broker.id), broker.features.get(name).copied().unwrap_or((0, 0)))
    });
    let mut nodes = std::iter::once((format!("Local controller {node}"), own)).chain(brokers);
    let (who, (min, max)) = nodes.find(|(_, (min, max))| !(*min..=*max).contains(&level))?;
    Some(match max {
        0 => format!("{who} does not support this feature."),
        max if max == min => format!("{who} only supports versions {max}"),
        max => format!("{who} only supports versions {min}-{max}"),
    })
}
