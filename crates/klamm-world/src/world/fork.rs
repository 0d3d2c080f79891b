//! Another world that begins at this moment: two futures of one past.

use klamm_log::Disk;
use klamm_node::NodeId;

use super::World;
use crate::node::{Node, Slot};

/// A node keeps its log on files, which cannot be copied while it writes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the world cannot be forked: node {node} keeps its log on files; fork a cluster in memory, or replay a recording"
)]
pub struct CannotFork {
    /// The node.
    pub node: NodeId,
}

impl World {
    /// A world that is like this one now, and shares no future with it: the same inputs at the same times give the same history
    /// in both. Records are shared, not copied. Nobody listens to the new world, and answers to clients outside that it
    /// gives are its own: step it with [`World::handle`] or [`World::run_until`].
    ///
    /// # Errors
    /// When a disk is on files.
    pub fn fork(&self) -> Result<Self, CannotFork> {
        let real = |slot: &&Slot| slot.disk_ref().is_some_and(|disk| disk.is_real());
        if let Some(slot) = self.slots.iter().find(real) {
            return Err(CannotFork { node: slot.id });
        }
        // Field by field: who adds one is asked whether a fork has it.
        let Self {
            settings,
            cluster_id,
            now,
            slots,
            network,
            schedule,
            connections,
            clients,
            client_history,
            trace,
            faults,
            budget,
            stall,
            effects: _,
            sent: _,
            brokers,
            tap: _,
            stepped,
        } = self;
        let mut trace = trace.clone();
        trace.listen(false);
        Ok(Self {
            settings: settings.clone(),
            cluster_id: cluster_id.clone(),
            now: *now,
            slots: slots.clone(),
            network: network.clone(),
            schedule: schedule.clone(),
            connections: connections.clone(),
            clients: clients.clone(),
            client_history: client_history.clone(),
            trace,
            faults: faults.clone(),
            budget: budget.clone(),
            stall: stall.clone(),
            effects: Vec::new(),
            sent: Vec::new(),
            brokers: brokers.clone(),
            tap: None,
            stepped: *stepped,
        })
    }
}

impl Slot {
    pub(crate) fn disk_ref(&self) -> Option<&dyn Disk> {
        match &self.node {
            Some(Node::Broker(broker)) => Some(broker.disk()),
            Some(Node::Controller(controller)) => Some(controller.disk()),
            #[cfg(test)]
            Some(Node::Probe(_)) => None,
            None => self.disk.as_deref(),
        }
    }
}
