//! Listening in: every request that reaches a node and every answer that leaves it, while somebody listens.

use klamm_node::{ConnectionId, Effect, NodeId, ReplyTo, Timestamp};
use klamm_wire::{Request, Response};

use crate::world::World;

/// One message at a node's door.
#[derive(Debug, Clone, PartialEq)]
pub struct Tapped {
    /// When, on the world's clock.
    pub at: Timestamp,
    /// The node that was asked.
    pub node: NodeId,
    /// Who asked: the same for a request and its answer.
    pub peer: ReplyTo,
    /// What was said.
    pub traffic: Traffic,
}

/// What was said.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it lives until the end of the step that it is of")]
pub enum Traffic {
    /// The node is asked.
    Request {
        /// The request's version.
        api_version: i16,
        /// The request.
        request: Request,
    },
    /// The node answers.
    Response(Response),
    /// The node is done, and there is nothing to answer.
    NoResponse,
    /// The node closes the connection instead of an answer.
    Closed,
}

impl World {
    /// Begins to listen at every node's door.
    pub fn attach_tap(&mut self) {
        self.tap.get_or_insert_default();
    }

    /// What was heard since this was last asked; nothing unless [`World::attach_tap`] was called.
    pub fn take_tapped(&mut self) -> Vec<Tapped> {
        self.tap.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The node whose step it was, after [`World::step_next`]; `None` when it was a client's, or nobody's.
    pub const fn stepped(&self) -> Option<NodeId> {
        self.stepped
    }

    /// Whether a client's connection is open.
    pub(crate) fn is_connected(&self, id: ConnectionId) -> bool {
        self.connections.is_open(id)
    }

    pub(crate) fn listen(&mut self, node: NodeId, peer: ReplyTo, traffic: impl FnOnce() -> Traffic) {
        let at = self.now();
        if let Some(tap) = &mut self.tap {
            tap.push(Tapped { at, node, peer, traffic: traffic() });
        }
    }

    pub(crate) fn listen_to_effect(&mut self, node: NodeId, effect: &Effect) {
        if self.tap.is_none() {
            return;
        }
        match effect {
            Effect::Reply { to, response } => self.listen(node, *to, || Traffic::Response(response.clone())),
            Effect::NoReply { to } => self.listen(node, *to, || Traffic::NoResponse),
            Effect::Close { to } => self.listen(node, *to, || Traffic::Closed),
            _ => {}
        }
    }
}
