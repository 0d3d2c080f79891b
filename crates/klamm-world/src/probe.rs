//! A node for tests of the world itself: it does what its orders say and remembers what it saw.

use std::collections::BTreeMap;

use klamm_node::{CallId, Ctx, Effect, Incoming, NodeId, Origin, ReplyTo, SendError, Timestamp};
use klamm_wire::messages::{ApiVersionsRequest, ApiVersionsResponse, ResponseKind};
use klamm_wire::{Request, Response};

use crate::input::Output;
use crate::node::Node;
use crate::world::World;

/// What a probe does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Answers at once.
    Answer,
    /// Never answers.
    Ignore,
    /// Asks that node first, and answers when it has answered or failed.
    Ask(NodeId),
    /// Asks that node, never answers: two such never come to rest.
    Bounce(NodeId),
    /// Answers after so many milliseconds.
    AnswerAfter(u64),
}

/// A node that follows orders.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    pub(crate) order: Order,
    /// (when, what), in milliseconds.
    pub(crate) seen: Vec<(i64, String)>,
    asked_for: BTreeMap<CallId, ReplyTo>,
    later: Vec<(Timestamp, ReplyTo)>,
}

impl Probe {
    pub(crate) const fn new(order: Order) -> Self {
        Self { order, seen: Vec::new(), asked_for: BTreeMap::new(), later: Vec::new() }
    }

    fn note(&mut self, ctx: &Ctx<'_>, what: String) {
        self.seen.push((ctx.now.as_millis(), what));
    }

    pub(crate) fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        let from = match &incoming.origin {
            Origin::Node(node) => format!("request from {node}"),
            Origin::Client { connection, .. } => format!("request from client {}", connection.0),
        };
        self.note(ctx, from);
        match self.order {
            Order::Answer => ctx.reply(incoming.reply_to, answer()),
            Order::Ignore => {}
            Order::Ask(node) => {
                let call = ctx.send(node, 0, question(), 100);
                self.asked_for.insert(call, incoming.reply_to);
            }
            Order::Bounce(node) => {
                ctx.send(node, 0, question(), 100);
            }
            Order::AnswerAfter(millis) => {
                self.later.push((ctx.now + std::time::Duration::from_millis(millis), incoming.reply_to));
            }
        }
    }

    pub(crate) fn on_response(
        &mut self,
        ctx: &mut Ctx<'_>,
        call: CallId,
        result: Result<Response, SendError>,
    ) {
        self.note(ctx, result.map_or_else(|error| error.to_string(), |_| "response".to_owned()));
        if let Some(to) = self.asked_for.remove(&call) {
            ctx.reply(to, answer());
        }
    }

    pub(crate) fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now;
        for (_, to) in self.later.extract_if(.., |(at, _)| *at <= now) {
            ctx.effects.push(Effect::Reply { to, response: answer() });
        }
    }

    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        self.later.iter().map(|(at, _)| *at).min()
    }
}

pub(crate) fn question() -> Request {
    Request::ApiVersions(ApiVersionsRequest::default())
}

fn answer() -> Response {
    ResponseKind::ApiVersions(ApiVersionsResponse::default()).into()
}

impl World {
    /// Puts a probe in a node's place.
    pub(crate) fn install(&mut self, id: NodeId, order: Order, out: &mut Vec<Output>) {
        let (slot, now) = (self.slot(id).unwrap(), self.now());
        let booted = self.slots[slot].boot(now, &mut klamm_node::Trace::new(0), &mut Vec::new(), |_, _| {
            Ok::<_, ()>(Node::Probe(Probe::new(order)))
        });
        assert_eq!(booted, Some(Ok(())));
        out.push(Output::NodeStarted { node: id });
    }

    /// What a probe has seen.
    pub(crate) fn seen(&self, id: NodeId) -> &[(i64, String)] {
        match &self.slots[self.slot(id).unwrap()].node {
            Some(Node::Probe(probe)) => &probe.seen,
            other => panic!("node {id} is no probe: {other:?}"),
        }
    }
}
