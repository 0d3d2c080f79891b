//! Finding the group's coordinator, and forgetting it when it turns out to be another
//! (`AbstractCoordinator.lookupCoordinator`).

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::{FindCoordinatorRequest, ResponseKind};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};

use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::{Answer, ClientCtx, second_connection};

const VERSION: i16 = 6;

#[derive(Debug, Clone, Default)]
pub(super) struct Coordinator {
    node: Option<NodeId>,
    asked: Option<i32>,
    ask_at: Timestamp,
    failures: u32,
}

impl Coordinator {
    /// The broker that is believed to be it.
    pub(super) const fn broker(&self) -> Option<NodeId> {
        self.node
    }

    /// Its address, when a request can be sent to it now. It has a connection of its own, so that a JoinGroup that waits
    /// holds up no fetch.
    pub(super) fn ready(&self, ctx: &mut ClientCtx<'_>, base: &mut Base) -> Option<NodeId> {
        let address = second_connection(self.node?);
        base.channels.ready(ctx, address).then_some(address)
    }

    pub(super) const fn forget(&mut self) {
        self.node = None;
    }

    /// Asks for it when it is not known.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, group: &StrBytes) {
        if self.node.is_some() || self.asked.is_some() || self.ask_at > ctx.now {
            return;
        }
        let Some(broker) = base.channels.least_loaded(ctx) else { return };
        self.asked = Some(base.ask(ctx, broker, ApiKey::FindCoordinator, VERSION, |version| {
            let request = FindCoordinatorRequest::default().with_key_type(0);
            Request::FindCoordinator(if version >= 4 {
                request.with_coordinator_keys(vec![group.clone()])
            } else {
                request.with_key(group.clone())
            })
        }));
    }

    /// Takes an answer that is this one's: `Some(Err(_))` when the group cannot have one.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> Option<Result<(), ClientError>> {
        if self.asked != Some(correlation_id) {
            return None;
        }
        self.asked = None;
        match outcome(answer) {
            Ok(node) => {
                self.node = Some(node);
                self.failures = 0;
            }
            Err(Some(error)) if !error.is_retriable() => return Some(Err(ClientError::Broker(error))),
            Err(_) => {
                self.ask_at = ctx.now + base.backoff.wait(ctx.rng, self.failures);
                self.failures += 1;
            }
        }
        Some(Ok(()))
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        (self.node.is_none() && self.asked.is_none()).then_some(self.ask_at)
    }
}

fn outcome(answer: &Answer) -> Result<NodeId, Option<ErrorCode>> {
    let Answer::Response(Response::Other(response)) = answer else { return Err(None) };
    let ResponseKind::FindCoordinator(response) = &**response else { return Err(None) };
    let (code, node) = match response.coordinators.first() {
        Some(coordinator) => (coordinator.error_code, coordinator.node_id),
        None => (response.error_code, response.node_id),
    };
    match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(NodeId(node.0)),
        error => Err(error),
    }
}
