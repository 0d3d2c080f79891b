//! The controllers' quorum, for those who look at a world from outside.

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_controller::Controller;
pub use klamm_controller::QuorumView;
use klamm_node::NodeId;

use crate::node::Node;
use crate::world::World;

impl World {
    /// The controllers that run.
    pub(crate) fn controllers(&self) -> impl Iterator<Item = (NodeId, &Controller)> {
        self.slots.iter().filter_map(|slot| match &slot.node {
            Some(Node::Controller(controller)) => Some((slot.id, &**controller)),
            _ => None,
        })
    }

    /// Each running controller's part in the quorum.
    pub fn quorum(&self) -> BTreeMap<NodeId, QuorumView> {
        self.controllers().map(|(id, controller)| (id, controller.quorum_view())).collect()
    }

    /// Batches of a running controller's metadata log from the one that holds `from`, committed or not; empty at its end.
    pub fn metadata_log(&self, controller: NodeId, from: i64) -> Vec<Bytes> {
        let controller = self.controllers().find(|(id, _)| *id == controller);
        controller.map(|(_, controller)| controller.metadata_batches(from)).unwrap_or_default()
    }

    /// The controller that decides for the cluster; of two that both believe so, the one in the later epoch.
    pub fn active_controller(&self) -> Option<NodeId> {
        let active = self.controllers().filter(|(_, controller)| controller.is_active());
        active.max_by_key(|(_, controller)| controller.epoch()).map(|(id, _)| id)
    }
}
