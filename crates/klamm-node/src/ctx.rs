//! The context of one step.

use std::time::Duration;

use klamm_wire::{Request, Response, StrBytes};

use crate::effect::{CallId, Effect, ReplyTo};
use crate::ids::NodeId;
use crate::rng::Rng;
use crate::time::{Timestamp, WallTime};
use crate::trace::{EventId, Trace, TraceKind};

/// Everything a node is handed for one step: the time, its random stream, and where its effects and trace events go.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The node's monotonic clock.
    pub now: Timestamp,
    /// The node's wall clock.
    pub wall: WallTime,
    /// The node.
    pub node: NodeId,
    /// The node's random stream.
    pub rng: &'a mut Rng,
    /// Where trace events go.
    pub trace: &'a mut Trace,
    /// Where effects go, in order.
    pub effects: &'a mut Vec<Effect>,
    /// The next unused [`CallId`] of this node.
    pub next_call: &'a mut u64,
}

impl Ctx<'_> {
    /// Answers a request.
    pub fn reply(&mut self, to: ReplyTo, response: impl Into<Response>) {
        self.effects.push(Effect::Reply { to, response: response.into() });
    }

    /// Ends a request without an answer, closing its connection.
    pub fn close(&mut self, to: ReplyTo) {
        self.effects.push(Effect::Close { to });
    }

    /// Has a client's connection wait before its next request is begun (KIP-219). Answer the request after this.
    pub fn throttle(&mut self, to: ReplyTo, by: Duration) {
        self.effects.push(Effect::Throttle { to, by });
    }

    /// Asks another node; the answer comes to `on_response` under the returned id.
    pub fn send(&mut self, to: NodeId, api_version: i16, request: Request, timeout_ms: u32) -> CallId {
        self.send_for(None, to, api_version, request, timeout_ms)
    }

    /// As [`Ctx::send`], with the `client.id` of the client that the request is passed on for.
    pub fn send_for(
        &mut self,
        client_id: Option<StrBytes>,
        to: NodeId,
        api_version: i16,
        request: Request,
        timeout_ms: u32,
    ) -> CallId {
        let call = CallId(*self.next_call);
        *self.next_call += 1;
        let request = Box::new(request);
        self.effects.push(Effect::Send { to, call, api_version, request, timeout_ms, client_id });
        call
    }

    /// Whether trace events are kept. Ask before building an event on a hot path.
    pub const fn tracing(&self) -> bool {
        self.trace.is_enabled()
    }

    /// Something goes off that was set earlier: what is decided and asked for from here on follows from `cause`.
    pub fn follow(&mut self, cause: Option<EventId>) {
        self.trace.turn(cause, self.effects.len());
    }

    /// Records a decision.
    pub fn trace(&mut self, kind: impl Into<TraceKind>) {
        self.trace.record(self.now, Some(self.node), kind.into());
    }
}
