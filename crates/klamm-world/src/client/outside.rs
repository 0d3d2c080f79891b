//! Scripted clients outside of any world: whoever has one carries its requests to brokers of some other kind, and brings the answers.

use std::collections::BTreeMap;

use klamm_node::{ConnectionId, NodeId, Timestamp, TopicPartition, WallTime};
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use super::scripted::{ClientError, ClientOp, History, HistoryEntry, MemberStatus, OpId, OpRecord};
use super::{Client, ClientEvent, ClientId, ClientSlot, ClientSpec, News, Sent, broker_at};

/// How many entries of its history a client keeps.
const HISTORY: usize = 1 << 16;

/// A scripted client that is in no world.
#[derive(Debug)]
pub struct OutsideClient {
    slot: ClientSlot,
    brokers: Vec<NodeId>,
    history: History,
}

/// Something that such a client is told.
#[derive(Debug, Clone)]
pub enum Heard {
    /// Nothing but the time.
    Time,
    /// The answer to a request.
    Answer {
        /// The connection that it came over.
        connection: ConnectionId,
        /// The request's correlation id.
        correlation_id: i32,
        /// What it says.
        response: Response,
    },
    /// A connection broke, or could not be made.
    Lost(ConnectionId),
}

/// Something that such a client does.
#[derive(Debug, Clone)]
pub enum Does {
    /// It sends a request.
    Send {
        /// Over this connection, which is to be made when it is named for the first time.
        connection: ConnectionId,
        /// To this broker.
        broker: NodeId,
        /// What its answer is known by.
        correlation_id: i32,
        /// What it asks.
        api_key: ApiKey,
        /// In which version.
        api_version: i16,
        /// What it says.
        request: Box<Request>,
    },
    /// It closes a connection. No answer is expected over it any more.
    Close(ConnectionId),
}

impl OutsideClient {
    /// A client with the brokers that it knows to begin with (`bootstrap.servers`); `seed` is the root of what it draws.
    pub fn new(id: ClientId, seed: u64, spec: ClientSpec, brokers: Vec<NodeId>) -> Self {
        Self { slot: ClientSlot::new(id, seed, spec), brokers, history: History::new(HISTORY) }
    }

    /// Its `client.id`.
    pub fn name(&self) -> StrBytes {
        self.slot.name()
    }

    /// When it wants to be told the time; [`Timestamp::MAX`] for never.
    pub const fn next_deadline(&self) -> Timestamp {
        self.slot.deadline
    }

    /// Asks it to do something. How that goes is told by [`OutsideClient::op`].
    pub fn ask(&mut self, now: Timestamp, wall: WallTime, op: ClientOp) -> (OpId, Vec<Does>) {
        let id = self.slot.ops.ask(now, HISTORY);
        (id, self.step(now, wall, ClientEvent::Op(id, Box::new(op))))
    }

    /// Tells it something.
    pub fn hear(&mut self, now: Timestamp, wall: WallTime, heard: Heard) -> Vec<Does> {
        let event = match heard {
            Heard::Time => ClientEvent::Time,
            Heard::Answer { connection, correlation_id, response } => {
                ClientEvent::Answer { connection, correlation_id, response }
            }
            Heard::Lost(connection) => ClientEvent::Lost(connection),
        };
        self.step(now, wall, event)
    }

    fn step(&mut self, now: Timestamp, wall: WallTime, event: ClientEvent) -> Vec<Does> {
        let (mut sent, mut news) = (Vec::new(), Vec::new());
        let given_up = self.slot.step(now, wall, &self.brokers, event, &mut sent, &mut news);
        for news in news {
            match news {
                News::Happened(op, event) => {
                    self.history.record(HistoryEntry { at: now, client: self.slot.id, op, event });
                }
                News::Ended(op, result) => self.slot.ops.end(now, op, result),
            }
        }
        let mut does = Vec::new();
        for Sent { to, correlation_id, api_key, api_version, request } in sent {
            let (connection, _) = self.slot.connection(to);
            let (broker, request) = (broker_at(to), Box::new(request));
            does.push(Does::Send { connection, broker, correlation_id, api_key, api_version, request });
        }
        does.extend(given_up.into_iter().map(Does::Close));
        does
    }

    /// Ends it, and whatever it was at. The connections that it leaves are to be closed.
    pub fn stop(&mut self, now: Timestamp) -> Vec<ConnectionId> {
        self.slot.ops.end_all(now, &ClientError::Stopped);
        self.slot.stop()
    }

    /// One of its operations.
    pub fn op(&self, id: OpId) -> Option<&OpRecord> {
        self.slot.ops.get(id)
    }

    /// The id that its next operation has.
    pub fn next_op(&self) -> OpId {
        OpId(self.slot.ops.asked())
    }

    /// What it did and saw.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// A consumer's place in its group, as it sees itself.
    pub fn member(&self) -> Option<MemberStatus> {
        if let Client::Scripted(client) = &self.slot.client { client.member() } else { None }
    }

    /// The partitions that a consumer reads, and the offset that it reads next in each, where it has one.
    pub fn positions(&self) -> BTreeMap<TopicPartition, Option<i64>> {
        match &self.slot.client {
            Client::Scripted(client) => client.positions(),
            _ => BTreeMap::new(),
        }
    }
}
