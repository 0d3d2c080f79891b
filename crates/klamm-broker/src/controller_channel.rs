//! Calls to the active controller (`NodeToControllerChannelManager`), and which controller is fetched from.
//!
//! Who is active is learnt by fetching the metadata log, and only there (`RaftControllerNodeProvider`): a controller that
//! cannot be reached, or says that it is not active, is asked again until the log's fetch has found another.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{Ctx, NodeId, Rng, Timestamp};
use klamm_wire::{Request, StrBytes};

use crate::core::{Call, Core};

/// The first pause after the metadata log could not be fetched from a controller (`KafkaRaftManager.buildNetworkClient`).
const RECONNECT_BACKOFF: Duration = Duration::from_millis(50);
/// The longest such pause.
const RECONNECT_BACKOFF_MAX: Duration = Duration::from_millis(500);
/// The pause after an answer that brought nothing (`controller.quorum.retry.backoff.ms`).
const RETRY_BACKOFF: Duration = Duration::from_millis(20);

/// Which controller is believed to be the active one, and which are not to be fetched from for now.
#[derive(Debug, Clone)]
pub(crate) struct ControllerChannel {
    controllers: Vec<NodeId>,
    /// The leader of the newest epoch that was heard of; before that the first controller, as a guess.
    active: NodeId,
    /// Until when a controller is not fetched from.
    pauses: BTreeMap<NodeId, Timestamp>,
    /// How often in a row a controller could not be reached.
    unreachable: BTreeMap<NodeId, u32>,
    /// The controller that is being fetched from.
    pub(crate) fetching_from: Option<NodeId>,
}

impl ControllerChannel {
    /// A channel to one of `controllers`.
    pub(crate) fn new(controllers: Vec<NodeId>) -> Self {
        Self {
            active: controllers.first().copied().unwrap_or(NodeId(-1)),
            controllers,
            pauses: BTreeMap::new(),
            unreachable: BTreeMap::new(),
            fetching_from: None,
        }
    }

    /// The controller that is believed to be active.
    pub(crate) const fn active(&self) -> NodeId {
        self.active
    }

    /// A controller said who is active.
    pub(crate) fn learn(&mut self, leader: NodeId) {
        if self.controllers.contains(&leader) {
            self.active = leader;
            self.pauses.remove(&leader);
        }
    }

    /// How long a request waits that the active controller did not take (`NodeToControllerRequestThread`'s reconnect back-off, and
    /// that of `AlterPartitionManager`).
    pub(crate) const fn retry_delay(&self) -> Duration {
        Duration::from_millis(50)
    }

    /// Whom to fetch the metadata log from: the active controller, or while that one is left alone any other, to hear who leads
    /// now. `None` while all are left alone.
    fn fetch_target(&mut self, now: Timestamp, rng: &mut Rng) -> Option<NodeId> {
        self.pauses.retain(|_, until| *until > now);
        if !self.pauses.contains_key(&self.active) {
            return Some(self.active);
        }
        let free = |id: &&NodeId| **id != self.active && !self.pauses.contains_key(id);
        let free: Vec<NodeId> = self.controllers.iter().filter(free).copied().collect();
        match free[..] {
            [] => None,
            [only] => Some(only),
            _ => free.get(usize::try_from(rng.below(free.len() as u64)).unwrap_or(0)).copied(),
        }
    }

    /// A controller answered, whatever it said.
    pub(crate) fn reached(&mut self, controller: NodeId) {
        self.unreachable.remove(&controller);
    }

    /// A controller's answer brought nothing: it is left alone for a moment.
    pub(crate) fn pause(&mut self, controller: NodeId, now: Timestamp) {
        self.pauses.insert(controller, now + RETRY_BACKOFF);
    }

    /// A controller could not be reached: it is left alone, longer each time, give or take a fifth.
    pub(crate) fn disconnected(&mut self, controller: NodeId, now: Timestamp, rng: &mut Rng) {
        let failures = self.unreachable.entry(controller).or_default();
        let pause = RECONNECT_BACKOFF.saturating_mul(1 << (*failures).min(4)).min(RECONNECT_BACKOFF_MAX);
        *failures += 1;
        let permille = 800 + u32::try_from(rng.below(401)).unwrap_or(0);
        self.pauses.insert(controller, now + pause * permille / 1000);
    }

    /// When the next controller may be fetched from.
    pub(crate) fn next_free(&self) -> Option<Timestamp> {
        self.pauses.values().min().copied()
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
        self.call_controller_for(ctx, None, api_version, request, timeout_ms, call);
    }

    /// As [`Core::call_controller`], on behalf of a client.
    pub(crate) fn call_controller_for(
        &mut self,
        ctx: &mut Ctx<'_>,
        client_id: Option<StrBytes>,
        api_version: i16,
        request: Request,
        timeout_ms: u32,
        call: Call,
    ) {
        let id = ctx.send_for(client_id, self.controller.active(), api_version, request, timeout_ms);
        self.calls.insert(id, call);
    }

    /// Asks a controller for metadata: the active one, or any other while that one is left alone. False while all are.
    pub(crate) fn fetch_from_controller(
        &mut self,
        ctx: &mut Ctx<'_>,
        api_version: i16,
        request: Request,
        timeout_ms: u32,
        call: Call,
    ) -> bool {
        let Some(target) = self.controller.fetch_target(ctx.now, ctx.rng) else { return false };
        self.controller.fetching_from = Some(target);
        let id = ctx.send(target, api_version, request, timeout_ms);
        self.calls.insert(id, call);
        true
    }
}
