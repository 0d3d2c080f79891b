//! Faults of brokers and controllers.

use std::time::Duration;

use klamm_node::{NodeId, Timestamp};

use crate::fault::engine::request::Only;
use crate::fault::{FaultId, NodeFault, RequestAction, RequestMatch};
use crate::input::Output;
use crate::world::{End, World};

impl World {
    /// Carries out a fault of a node that was checked.
    pub(crate) fn arm_node(&mut self, id: FaultId, node: NodeId, fault: NodeFault, out: &mut Vec<Output>) {
        let Some(slot) = self.slot(node) else { return };
        let now = self.now();
        match fault {
            // Once, and at once.
            NodeFault::Stop
            | NodeFault::Start
            | NodeFault::Restart
            | NodeFault::Crash
            | NodeFault::PowerLoss
            | NodeFault::Resume
            | NodeFault::MonotonicClock { .. }
            | NodeFault::ExpireSession => {
                self.faults.registry.disarm(id);
            }
            NodeFault::Pause
            | NodeFault::Slow { .. }
            | NodeFault::WallClock { .. }
            | NodeFault::Drift { .. }
            | NodeFault::Fence => {}
        }
        if !matches!(fault, NodeFault::Slow { .. }) {
            self.fired(id, Some(node), || fault.to_string());
        }
        match fault {
            NodeFault::Stop => self.stop(node, out),
            NodeFault::Start => self.start(node, out),
            NodeFault::Restart => {
                if self.is_up(node) {
                    self.slots[slot].restarts = true;
                    self.stop(node, out);
                } else {
                    self.start(node, out);
                }
            }
            NodeFault::Crash => self.end(node, End::Crash, out),
            NodeFault::PowerLoss => self.end(node, End::PowerLoss, out),
            NodeFault::Pause => self.slots[slot].door.paused = Some(id),
            NodeFault::Resume => {
                if let Some(pause) = self.slots[slot].door.paused {
                    self.end_fault(pause, out);
                }
            }
            NodeFault::Slow { by } => self.slots[slot].door.slow.push((id, by)),
            NodeFault::WallClock { millis } => {
                let skew = &mut self.slots[slot].clocks.wall_skew;
                *skew = skew.saturating_add(millis);
            }
            NodeFault::MonotonicClock { by } => {
                self.slots[slot].clocks.jump(by);
                self.slots[slot].calls.hasten(by);
                self.slots[slot].refresh_deadline();
            }
            NodeFault::Drift { ppm } => {
                self.slots[slot].clocks.drift(now, ppm);
                self.slots[slot].refresh_deadline();
            }
            NodeFault::Fence => {
                let heartbeats = RequestMatch::api(klamm_wire::ApiKey::BrokerHeartbeat).from_node(node);
                self.arm_request(id, heartbeats, Only::All, RequestAction::Drop);
                self.expire_session(node, out);
            }
            NodeFault::ExpireSession => self.expire_session(node, out),
        }
    }

    /// Ends a fault of a node.
    pub(crate) fn disarm_node(&mut self, id: FaultId, node: NodeId, fault: NodeFault) {
        let Some(slot) = self.slot(node) else { return };
        let now = self.now();
        match fault {
            NodeFault::Pause => self.slots[slot].resume(now),
            NodeFault::Slow { .. } => self.slots[slot].door.slow.retain(|(other, _)| *other != id),
            NodeFault::WallClock { millis } => {
                let skew = &mut self.slots[slot].clocks.wall_skew;
                *skew = skew.saturating_sub(millis);
            }
            NodeFault::Drift { .. } => {
                self.slots[slot].clocks.drift(now, 0);
                self.slots[slot].refresh_deadline();
            }
            NodeFault::Fence => self.disarm_request(id),
            _ => {}
        }
    }

    /// Has a slow node be at its step for longer. When it is done; `None` for at once.
    pub(crate) fn slow_down(&mut self, slot: usize) -> Option<Timestamp> {
        let now = self.now();
        let disk = if self.faults.disks { self.note_disk(slot) } else { Duration::ZERO };
        let place = &mut self.slots[slot];
        let node = place.id;
        let slowness = place.door.slowness();
        let cost = slowness + disk;
        if cost.is_zero() {
            return None;
        }
        let done = place.door.spend(now, cost);
        for (id, by) in place.door.slow.clone() {
            self.fired(id, Some(node), || format!("a step takes {by:?} longer"));
        }
        Some(done)
    }
}
