//! What goes into a world, and what comes out.

use klamm_log::disk::FlushOutcome;
use klamm_node::{ConnectionId, NodeId, Timestamp};
use klamm_wire::record::inspect::InspectedProduce;
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use crate::client::scripted::ClientOp;
use crate::client::{ClientId, ClientSpec};
use crate::fault::{Fault, FaultError, FaultId};
use crate::settings::LinkSettings;
use crate::stall::Stall;

/// Something that happens to a world from outside.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Nothing but the passing of time.
    Tick,
    /// Nothing but the passing of time; of the time since `from`, [idle](crate::World::skip_idle) stretches are passed over.
    Pass {
        /// Until then time passes event by event.
        from: Timestamp,
    },
    /// A client opened a connection.
    Connect {
        /// The new connection; never used before.
        connection: ConnectionId,
        /// The broker it leads to.
        broker: NodeId,
        /// The host that the client connects from.
        host: StrBytes,
    },
    /// A client's connection is gone. What it had asked for goes on, its answers go nowhere.
    Disconnect {
        /// The connection.
        connection: ConnectionId,
    },
    /// A client sent a request.
    Request(ClientRequest),
    /// The cluster's owner does something to it.
    Command(Command),
    /// An fsync that a node's disk asked for is done. A controller commits nothing before.
    Flushed {
        /// The node.
        node: NodeId,
        /// How it went.
        outcome: FlushOutcome,
    },
}

/// One request from a client.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientRequest {
    /// The connection it came over.
    pub connection: ConnectionId,
    /// The header's correlation id, given back with the answer.
    pub correlation_id: i32,
    /// What is asked.
    pub api_key: ApiKey,
    /// The request's version.
    pub api_version: i16,
    /// The header's `client.id`.
    pub client_id: Option<StrBytes>,
    /// The request.
    pub request: Request,
    /// For a Produce request: its records, inspected outside the world.
    pub inspected: Option<InspectedProduce>,
}

/// What the cluster's owner can do to it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Starts a node that is down, on the disk that it left behind.
    Start(NodeId),
    /// Stops a node in order: a broker hands over its leaderships first (controlled shutdown).
    Stop(NodeId),
    /// Kills a node's process. What it had written stays.
    Crash(NodeId),
    /// Cuts a node's power. What it had flushed stays.
    PowerLoss(NodeId),
    /// Changes the link from one node to another, for the messages to come.
    SetLink {
        /// Where messages leave.
        from: NodeId,
        /// Where they arrive.
        to: NodeId,
        /// How they travel.
        link: LinkSettings,
    },
    /// Sets how far a node's wall clock is ahead of the world's, in milliseconds.
    SetWallSkew {
        /// The node.
        node: NodeId,
        /// Milliseconds ahead; negative for behind.
        millis: i64,
    },
    /// Adds a simulated client. The first is [`ClientId`] 0, the next 1.
    AddClient(ClientSpec),
    /// Asks a scripted client to do something: its next [`OpId`](crate::scripted::OpId). How it goes is told by
    /// [`World::client_op`](crate::World::client_op).
    Client {
        /// The client.
        client: ClientId,
        /// What it does.
        op: Box<ClientOp>,
    },
    /// Ends a simulated client: it closes its connections and does nothing more.
    StopClient(ClientId),
    /// Makes something go wrong. Refused with [`Output::FaultRefused`] if it cannot be; then nothing of it happens.
    Inject {
        /// The fault's name, which no other fault has had.
        id: FaultId,
        /// What goes wrong.
        fault: Box<Fault>,
    },
    /// Ends a fault: it fires no more, and what it holds is let go.
    Heal(FaultId),
    /// Ends every fault.
    HealAll,
}

/// What is done to a response's frame on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Only its first bytes are sent, its length among them; then the connection is to be closed.
    Truncate {
        /// How many.
        bytes: u32,
    },
    /// Bits of one byte are flipped.
    Corrupt {
        /// Which byte behind length and correlation id, counted around when there are fewer.
        byte: u32,
        /// Which bits.
        mask: u8,
    },
}

impl Damage {
    /// Damages a frame. Whether the connection is to be closed behind it.
    pub fn apply(self, frame: &mut Vec<u8>) -> bool {
        const HEAD: usize = 8;
        match self {
            Self::Truncate { bytes } => {
                frame.truncate(bytes as usize);
                true
            }
            Self::Corrupt { byte, mask } => {
                if let Some(body) = frame.get_mut(HEAD..).filter(|body| !body.is_empty()) {
                    let at = byte as usize % body.len();
                    body[at] ^= mask;
                }
                false
            }
        }
    }
}

/// Something that a world wants its driver to do or know.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Send a response.
    Response {
        /// The connection to send it over.
        connection: ConnectionId,
        /// The request's correlation id.
        correlation_id: i32,
        /// What was asked.
        api_key: ApiKey,
        /// The version to encode it in.
        api_version: i16,
        /// The response.
        response: Response,
    },
    /// Send a response whose frame is damaged.
    Damaged {
        /// The connection to send it over. The world has forgotten it if the frame is cut.
        connection: ConnectionId,
        /// The request's correlation id.
        correlation_id: i32,
        /// What was asked.
        api_key: ApiKey,
        /// The version to encode it in.
        api_version: i16,
        /// The response.
        response: Response,
        /// What is done to its bytes.
        damage: Damage,
    },
    /// A request was handled and has no response: a produce with acks=0.
    NoResponse {
        /// The connection that it came over.
        connection: ConnectionId,
        /// The request's correlation id.
        correlation_id: i32,
    },
    /// Close a connection. The world has forgotten it already.
    Close {
        /// The connection.
        connection: ConnectionId,
    },
    /// A node is up: a broker's listener may accept connections.
    NodeStarted {
        /// The node.
        node: NodeId,
    },
    /// A node is down. Its connections were closed with an [`Output::Close`] each.
    NodeStopped {
        /// The node.
        node: NodeId,
        /// `crash`, `shutdown`, `power loss`.
        cause: &'static str,
    },
    /// A node could not start, or had to stop.
    NodeFailed {
        /// The node.
        node: NodeId,
        /// Why, for a person.
        message: String,
    },
    /// A fault could not be injected or healed. Nothing happened.
    FaultRefused {
        /// The fault's name.
        id: FaultId,
        /// Why.
        error: FaultError,
    },
    /// The world has stopped: its nodes answered each other without end. It does nothing more.
    Stalled(Stall),
}
