//! What a controller is started with.

use std::collections::BTreeMap;

use klamm_metadata::features::ELIGIBLE_LEADER_REPLICAS_VERSION;
use klamm_metadata::supported_features;
use klamm_node::{Era, Eras, NodeId};
use klamm_wire::{KafkaVersion, StrBytes};

/// A controller's settings.
#[derive(Debug, Clone)]
pub struct ControllerSettings {
    /// The controller's node id.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster_id: StrBytes,
    /// The node ids of the quorum's controllers: this one, and no other.
    pub voters: Vec<NodeId>,
    /// Server properties, as in `server.properties`.
    pub config: BTreeMap<String, String>,
    /// Features of a new cluster and their levels, written once into an empty metadata log.
    pub bootstrap_features: BTreeMap<String, i16>,
    /// Which release of Kafka it is: its defaults.
    pub kafka_version: KafkaVersion,
    /// Which rules are those of an older Kafka.
    pub eras: Eras,
}

impl ControllerSettings {
    /// A controller alone in its quorum, with every default.
    pub fn new(node: NodeId, cluster_id: impl Into<StrBytes>) -> Self {
        Self {
            node,
            cluster_id: cluster_id.into(),
            voters: vec![node],
            config: BTreeMap::new(),
            bootstrap_features: BTreeMap::new(),
            kafka_version: KafkaVersion::NEWEST,
            eras: Eras::NEWEST,
        }
        .of_release(KafkaVersion::NEWEST, Eras::NEWEST)
    }

    /// These settings, with the defaults, features and rules of a release.
    #[must_use]
    pub fn of_release(mut self, kafka_version: KafkaVersion, eras: Eras) -> Self {
        let mut features = supported_features(kafka_version);
        for feature in &mut features {
            if feature.name == ELIGIBLE_LEADER_REPLICAS_VERSION {
                feature.default = i16::from(eras.on(Era::Elr));
            }
        }
        self.bootstrap_features = features
            .into_iter()
            .filter(|feature| feature.default > 0)
            .map(|feature| (feature.name.to_owned(), feature.default))
            .collect();
        self.kafka_version = kafka_version;
        self.eras = eras;
        self
    }
}
