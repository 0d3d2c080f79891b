//! What a controller is started with.

use std::collections::BTreeMap;

use klamm_metadata::SUPPORTED_FEATURES;
use klamm_node::{Eras, NodeId};
use klamm_wire::StrBytes;

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
            bootstrap_features: SUPPORTED_FEATURES
                .iter()
                .filter(|feature| feature.default > 0)
                .map(|feature| (feature.name.to_owned(), feature.default))
                .collect(),
            eras: Eras::NEWEST,
        }
    }
}
