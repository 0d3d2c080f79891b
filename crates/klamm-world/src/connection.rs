//! Clients' connections. A connection's requests are handled one at a time, in order: Kafka mutes the channel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use klamm_node::{ConnectionId, NodeId, Timestamp};
use klamm_wire::{ApiKey, StrBytes};

use crate::input::ClientRequest;

/// Requests that may wait on one connection. A driver stops reading long before; one that does not loses the connection.
pub(crate) const MAX_QUEUED: usize = 4096;

/// One connection.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The broker it leads to.
    pub(crate) broker: NodeId,
    /// The host that the client connects from.
    pub(crate) host: StrBytes,
    /// The request that the broker is at.
    pub(crate) in_flight: Option<InFlight>,
    /// The next is not begun before: the client was throttled (KIP-219).
    pub(crate) muted_until: Timestamp,
    /// The requests behind it.
    pub(crate) queue: VecDeque<ClientRequest>,
    next_ordinal: u64,
}

/// What is needed to send a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InFlight {
    pub(crate) ordinal: u64,
    pub(crate) correlation_id: i32,
    pub(crate) api_key: ApiKey,
    pub(crate) api_version: i16,
}

impl Connection {
    /// Notes that the broker is at `request` now, and returns its ordinal.
    pub(crate) fn begin(&mut self, request: &ClientRequest) -> u64 {
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        self.in_flight = Some(InFlight {
            ordinal,
            correlation_id: request.correlation_id,
            api_key: request.api_key,
            api_version: request.api_version,
        });
        ordinal
    }

    /// Ends the request `ordinal`; `None` when the broker is not at it.
    pub(crate) fn end(&mut self, ordinal: u64) -> Option<InFlight> {
        self.in_flight.take_if(|request| request.ordinal == ordinal)
    }
}

/// Every open connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections {
    by_id: BTreeMap<ConnectionId, Connection>,
    by_broker: BTreeMap<NodeId, BTreeSet<ConnectionId>>,
}

impl Connections {
    pub(crate) fn open(&mut self, id: ConnectionId, broker: NodeId, host: StrBytes) {
        let connection = Connection {
            broker,
            host,
            in_flight: None,
            muted_until: Timestamp::ZERO,
            queue: VecDeque::new(),
            next_ordinal: 0,
        };
        self.by_id.insert(id, connection);
        self.by_broker.entry(broker).or_default().insert(id);
    }

    pub(crate) fn get(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.by_id.get_mut(&id)
    }

    pub(crate) fn close(&mut self, id: ConnectionId) -> Option<Connection> {
        let connection = self.by_id.remove(&id)?;
        if let Some(of_broker) = self.by_broker.get_mut(&connection.broker) {
            of_broker.remove(&id);
        }
        Some(connection)
    }

    /// Closes every connection of a broker; their ids in order.
    pub(crate) fn close_all(&mut self, broker: NodeId) -> BTreeSet<ConnectionId> {
        let ids = self.by_broker.remove(&broker).unwrap_or_default();
        for id in &ids {
            self.by_id.remove(id);
        }
        ids
    }

    /// Every connection with its broker, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnectionId, NodeId)> {
        self.by_id.iter().map(|(id, connection)| (*id, connection.broker))
    }

    pub(crate) fn is_open(&self, id: ConnectionId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }
}
