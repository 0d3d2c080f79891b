//! What can happen to a request, and which requests it happens to.

use std::fmt;
use std::time::Duration;

use klamm_node::{ConnectionId, NodeId, TopicPartition};
use klamm_wire::{ApiKey, ErrorCode, StrBytes};

/// Something happens to the requests that match. Of several that match one request, the one with the lowest id acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestFault {
    /// Which requests.
    pub on: RequestMatch,
    /// What happens to each.
    pub action: RequestAction,
}

impl fmt::Display for RequestFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.on, self.action)
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestAction {
    /// It is not handled: it is answered with an error, wherever the answer of its API has room for one.
    Error(ErrorCode),
    /// It reaches its node so much later. What its connection carries behind it waits.
    Delay(Duration),
    /// It is handled at once, its answer leaves so much later.
    DelayAnswer(Duration),
    /// It is never handled nor answered, and neither is what its connection carries behind it: the connection has gone
    /// silent.
    Drop,
    /// It is handled, its answer is lost, and its connection has gone silent: a lost acknowledgement.
    DropAnswer,
    /// It reaches its node only when the fault is healed.
    Hold,
    /// It is handled, its answer leaves only when the fault is healed.
    HoldAnswer,
    /// It is not handled, and its connection is closed.
    CloseBefore,
    /// It is handled, and its connection is closed instead of an answer.
    CloseAfter,
    /// It is handled, but only the first bytes of its answer's frame arrive; then its connection is closed.
    Truncate {
        /// How many bytes arrive, the frame's length among them.
        bytes: u32,
    },
    /// It is handled, but bits of its answer's frame are flipped.
    Corrupt {
        /// Which byte behind the frame's length and correlation id, counted around when there are fewer.
        byte: u32,
        /// Which bits of it; 0 means all.
        mask: u8,
    },
    /// It is handled, and its answer says that the client was throttled for so long (`throttle_time_ms`); nothing more comes over the
    /// connection for so long. An answer without such a field is not hit.
    Throttle(Duration),
}

impl fmt::Display for RequestAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => write!(f, "answer {}", error.name()),
            Self::Delay(by) => write!(f, "delay {by:?}"),
            Self::DelayAnswer(by) => write!(f, "delay the answer {by:?}"),
            Self::Drop => f.write_str("drop"),
            Self::DropAnswer => f.write_str("drop the answer"),
            Self::Hold => f.write_str("hold"),
            Self::HoldAnswer => f.write_str("hold the answer"),
            Self::CloseBefore => f.write_str("close before"),
            Self::CloseAfter => f.write_str("close after"),
            Self::Truncate { bytes } => write!(f, "truncate the answer to {bytes} bytes"),
            Self::Corrupt { byte, mask } => write!(f, "corrupt byte {byte} of the answer (mask {mask:#04x})"),
            Self::Throttle(by) => write!(f, "throttle {by:?}"),
        }
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOrigin {
    /// Any client.
    Clients,
    /// Any broker or controller.
    Nodes,
    /// This broker or controller.
    Node(NodeId),
}

/// Which requests a fault is about: those that fit everything said here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct RequestMatch {
    /// Of this API.
    pub api: Option<ApiKey>,
    /// With this `client.id`.
    pub client_id: Option<StrBytes>,
    /// Over this connection.
    pub connection: Option<ConnectionId>,
    /// From there.
    pub from: Option<RequestOrigin>,
    /// To this broker or controller.
    pub to: Option<NodeId>,
    /// About this topic (among others).
    pub topic: Option<StrBytes>,
    /// About this partition (among others); of the topic, if one is named.
    pub partition: Option<i32>,
    /// So many that fit pass unharmed first.
    pub skip: u32,
    /// So many of the rest are hit; `None` for all.
    pub count: Option<u32>,
    /// Each of the rest is hit with this chance, drawn from the fault's own random stream.
    pub chance: Option<Chance>,
}

impl RequestMatch {
    /// Requests of one API.
    pub fn api(api: ApiKey) -> Self {
        Self { api: Some(api), ..Self::default() }
    }

    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// With this `client.id`.
    pub fn client_id(mut self, client_id: impl Into<StrBytes>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Over this connection.
    pub const fn connection(mut self, connection: ConnectionId) -> Self {
        self.connection = Some(connection);
        self
    }

    /// From any client.
    pub const fn from_clients(mut self) -> Self {
        self.from = Some(RequestOrigin::Clients);
        self
    }

    /// From any broker or controller.
    pub const fn from_nodes(mut self) -> Self {
        self.from = Some(RequestOrigin::Nodes);
        self
    }

    /// From this broker or controller.
    pub const fn from_node(mut self, node: NodeId) -> Self {
        self.from = Some(RequestOrigin::Node(node));
        self
    }

    /// To this broker or controller.
    pub const fn to(mut self, node: NodeId) -> Self {
        self.to = Some(node);
        self
    }

    /// About this topic.
    pub fn topic(mut self, topic: impl Into<StrBytes>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// About this partition.
    pub fn partition(mut self, topic: impl Into<StrBytes>, partition: i32) -> Self {
        self.topic = Some(topic.into());
        self.partition = Some(partition);
        self
    }

    /// About this partition.
    pub fn topic_partition(self, partition: &TopicPartition) -> Self {
        self.partition(partition.topic.clone(), partition.partition)
    }

    /// Only the `n`th that fits; 1 is the first.
    pub const fn nth(mut self, n: u32) -> Self {
        self.skip = n.saturating_sub(1);
        self.count = Some(1);
        self
    }

    /// Only the first `count` that fit.
    pub const fn first(mut self, count: u32) -> Self {
        self.count = Some(count);
        self
    }

    /// Each with this chance.
    pub const fn chance(mut self, chance: Chance) -> Self {
        self.chance = Some(chance);
        self
    }

    /// What happens to them.
    pub const fn then(self, action: RequestAction) -> RequestFault {
        RequestFault { on: self, action }
    }
}

impl fmt::Display for RequestMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.api {
            Some(api) => write!(f, "{api:?}")?,
            None => f.write_str("any request")?,
        }
        match self.from {
            Some(RequestOrigin::Clients) => f.write_str(" from clients")?,
            Some(RequestOrigin::Nodes) => f.write_str(" from nodes")?,
            Some(RequestOrigin::Node(node)) => write!(f, " from node {node}")?,
            None => {}
        }
        if let Some(client_id) = &self.client_id {
            write!(f, " from client {client_id:?}")?;
        }
        if let Some(ConnectionId(connection)) = self.connection {
            write!(f, " over connection {connection}")?;
        }
        if let Some(node) = self.to {
            write!(f, " to node {node}")?;
        }
        match (&self.topic, self.partition) {
            (Some(topic), Some(partition)) => write!(f, " about {topic}-{partition}")?,
            (Some(topic), None) => write!(f, " about {topic}")?,
            (None, Some(partition)) => write!(f, " about partition {partition}")?,
            (None, None) => {}
        }
        match (self.skip, self.count) {
            (0, None) => {}
            (skip, Some(1)) => write!(f, ", number {}", u64::from(skip) + 1)?,
            (0, Some(count)) => write!(f, ", the first {count}")?,
            (skip, Some(count)) => write!(f, ", {count} after {skip}")?,
            (skip, None) => write!(f, ", after {skip}")?,
        }
        if let Some(chance) = self.chance {
            write!(f, ", {chance}")?;
        }
        Ok(())
    }
}

/// A chance in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

impl Chance {
    const CERTAIN: u32 = 1_000_000;

    /// So many millionths; more than a million are a million.
    pub const fn millionths(millionths: u32) -> Self {
        Self(if millionths > Self::CERTAIN { Self::CERTAIN } else { millionths })
    }

    /// So many percent; more than a hundred are a hundred.
    pub const fn percent(percent: u32) -> Self {
        Self::millionths(percent.saturating_mul(10_000))
    }

    /// In millionths.
    pub const fn as_millionths(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}% of them", f64::from(self.0) / 10_000.0)
    }
}
