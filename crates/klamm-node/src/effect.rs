//! What reaches a node, and everything a node can do to the outside.

use std::time::Duration;

use klamm_wire::record::inspect::InspectedProduce;
use klamm_wire::{Request, Response, StrBytes};

use crate::ids::{ConnectionId, NodeId, TopicPartition};
use crate::pause::PausePoint;
use crate::time::Timestamp;

/// A call from one node to another; unique within the sending node's life, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Where the answer to a request goes. Each is answered exactly once, with [`Effect::Reply`] or [`Effect::Close`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplyTo {
    /// A client's connection.
    Client {
        /// The connection.
        connection: ConnectionId,
        /// The request's ordinal on that connection.
        ordinal: u64,
    },
    /// Another node.
    Node {
        /// The caller.
        node: NodeId,
        /// The caller's name for the call.
        call: CallId,
    },
}

/// Who a request came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A client, through a listener.
    Client {
        /// The connection it came over.
        connection: ConnectionId,
        /// The host that the client connected from, as Kafka prints it (without the leading slash).
        host: StrBytes,
    },
    /// Another node of the cluster, through the inter-broker or controller listener.
    Node(NodeId),
}

/// A request, with what a handler needs to know of where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Incoming {
    /// Where the answer goes.
    pub reply_to: ReplyTo,
    /// Who asks.
    pub origin: Origin,
    /// The request's version.
    pub api_version: i16,
    /// The `client.id` in the header.
    pub client_id: Option<StrBytes>,
    /// The request.
    pub request: Request,
    /// For a Produce request: its records, inspected before the world was locked; `None` leaves that to the handler.
    pub inspected: Option<InspectedProduce>,
    /// When it was read, on the node's monotonic clock, if it has waited for the node since then; `None` when it is handled at once.
    pub arrived: Option<Timestamp>,
}

impl Incoming {
    /// For how long it has waited for the node.
    pub fn waited(&self, now: Timestamp) -> Duration {
        self.arrived.map_or(Duration::ZERO, |arrived| now.since(arrived))
    }
}

/// Why a call to another node brought no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The connection was refused or broke: the peer is down, or the network is cut.
    #[error("disconnected before a response was received")]
    Disconnected,
    /// No response came within the call's timeout.
    #[error("no response within the timeout")]
    TimedOut,
}

/// Something a node does to the outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Sends a request to another node. The response, or why there is none, comes back through `on_response` under `call`.
    Send {
        /// The node to ask.
        to: NodeId,
        /// The sender's name for the call.
        call: CallId,
        /// The version to speak.
        api_version: i16,
        /// The request.
        request: Box<Request>,
        /// Milliseconds after which the call fails with [`SendError::TimedOut`].
        timeout_ms: u32,
        /// The `client.id` of the client that the request is passed on for; `None` for the sender's own.
        client_id: Option<StrBytes>,
    },
    /// Answers a request.
    Reply {
        /// The request's return address.
        to: ReplyTo,
        /// The answer.
        response: Response,
    },
    /// Begins no further request of the client's connection for a while: it was throttled (KIP-219). Comes before the
    /// end of the request.
    Throttle {
        /// The request's return address.
        to: ReplyTo,
        /// For how long.
        by: Duration,
    },
    /// Answers nothing: the request is done. A produce with acks=0 ends like this.
    NoReply {
        /// The request's return address.
        to: ReplyTo,
    },
    /// Answers nothing and closes the connection that the request came over.
    Close {
        /// The request's return address.
        to: ReplyTo,
    },
    /// Says that the node has come to a named point with a partition, where a breakpoint is armed.
    Reached {
        /// The breakpoint's fault.
        fault: u32,
        /// The point.
        at: PausePoint,
        /// The partition.
        partition: TopicPartition,
    },
    /// Ends this node's process in order: a controlled shutdown is complete.
    Halt,
}
