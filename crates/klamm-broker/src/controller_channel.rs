//! Calls to the active controller (`NodeToControllerChannelManager`).

use std::time::Duration;

use klamm_node::{Ctx, NodeId};
use klamm_wire::Request;

use crate::core::{Call, Core};

/// Which controller is believed to be the active one.
#[derive(Debug)]
pub(crate) struct ControllerChannel {
    controllers: Vec<NodeId>,
    current: usize,
}

impl ControllerChannel {
    /// A channel that tries `controllers` in order.
    pub(crate) const fn new(controllers: Vec<NodeId>) -> Self {
        Self { controllers, current: 0 }
    }

    /// The controller to ask.
    pub(crate) fn active(&self) -> NodeId {
        self.controllers.get(self.current).copied().unwrap_or(NodeId(-1))
    }

    /// The one asked is not active, or not there: try the next.
    pub(crate) const fn rotate(&mut self) {
        if !self.controllers.is_empty() {
            self.current = (self.current + 1) % self.controllers.len();
        }
    }

    /// A controller said who is active.
    pub(crate) fn learn(&mut self, leader: NodeId) {
        if let Some(at) = self.controllers.iter().position(|id| *id == leader) {
            self.current = at;
        }
    }

    /// How long to wait before asking again after a failure.
    pub(crate) const fn retry_delay(&self) -> Duration {
        Duration::from_millis(50)
    }
}

impl Core {
    /// Sends a request to the active controller; the answer comes back as `call`.
    pub(crate) fn call_controller(
        &mut self,
        ctx: &mut Ctx<'_>,
        api_version: i16,
        request: Request,
        timeout_ms: u32,
        call: Call,
    ) {
        let id = ctx.send(self.controller.active(), api_version, request, timeout_ms);
        self.calls.insert(id, call);
    }
}
