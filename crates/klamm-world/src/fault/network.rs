//! What can happen on the network.

use std::fmt;
use std::time::Duration;

use klamm_node::NodeId;

use crate::client::ClientId;

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A broker or controller.
    Node(NodeId),
    /// One simulated client.
    Client(ClientId),
    /// Every client, simulated or not.
    Clients,
    /// Every node and client.
    Anyone,
}

impl From<NodeId> for Peer {
    fn from(node: NodeId) -> Self {
        Self::Node(node)
    }
}

impl From<i32> for Peer {
    fn from(node: i32) -> Self {
        Self::Node(NodeId(node))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => node.fmt(f),
            Self::Client(ClientId(client)) => write!(f, "client {client}"),
            Self::Clients => f.write_str("clients"),
            Self::Anyone => f.write_str("anyone"),
        }
    }
}

/// The road from one peer to another, or in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Where messages leave.
    pub from: Peer,
    /// Where they arrive.
    pub to: Peer,
    /// Whether the other direction is meant too.
    pub both_ways: bool,
}

impl Link {
    /// From one peer to another.
    pub fn one_way(from: impl Into<Peer>, to: impl Into<Peer>) -> Self {
        Self { from: from.into(), to: to.into(), both_ways: false }
    }

    /// Between two peers, in both directions.
    pub fn between(a: impl Into<Peer>, b: impl Into<Peer>) -> Self {
        Self { from: a.into(), to: b.into(), both_ways: true }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, if self.both_ways { "<->" } else { "->" }, self.to)
    }
}

/// What becomes of a message that does not get through. Nobody is told either way: calls time out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fate {
    /// It waits, as TCP sends again what was not acknowledged, and arrives when the fault is healed.
    #[default]
    Held,
    /// It is gone for good, as when a connection dies before the link is healed.
    Lost,
}

/// Which messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Messages {
    /// All.
    #[default]
    All,
    /// Requests only.
    Requests,
    /// Answers only.
    Answers,
}

/// What happens on the network, until healed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkFault {
    /// Messages do not get through. Connections stay open, and nobody is told.
    Cut {
        /// Where.
        link: Link,
        /// Which messages.
        messages: Messages,
        /// What becomes of them.
        fate: Fate,
    },
    /// Nothing gets from one group to another. Who is in no group reaches everyone.
    Partition {
        /// The groups.
        groups: Vec<Vec<Peer>>,
        /// What becomes of messages from one to another.
        fate: Fate,
    },
    /// Messages take longer.
    Latency {
        /// Where.
        link: Link,
        /// How much longer.
        by: Duration,
    },
    /// Messages take longer by a time that is drawn for each.
    Jitter {
        /// Where.
        link: Link,
        /// At most this much.
        up_to: Duration,
    },
    /// So many bytes get through in a second; messages queue behind each other.
    Bandwidth {
        /// Where; each direction by itself.
        link: Link,
        /// Bytes in a second, at least 1.
        bytes_per_second: u64,
    },
    /// Every connection between the two is reset, once: what is under way is gone, and both are told.
    Reset {
        /// Between whom; the direction does not matter.
        link: Link,
    },
}

impl NetworkFault {
    /// Cuts a link for all messages, which wait until it is healed.
    pub const fn cut(link: Link) -> Self {
        Self::Cut { link, messages: Messages::All, fate: Fate::Held }
    }
}

impl fmt::Display for NetworkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fate = |fate: &Fate| match fate {
            Fate::Held => "",
            Fate::Lost => ", messages are lost",
        };
        match self {
            Self::Cut { link, messages, fate: f8 } => {
                let what = match messages {
                    Messages::All => "",
                    Messages::Requests => " for requests",
                    Messages::Answers => " for answers",
                };
                write!(f, "cut {link}{what}{}", fate(f8))
            }
            Self::Partition { groups, fate: f8 } => {
                f.write_str("partition ")?;
                for (i, group) in groups.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" | ")?;
                    }
                    for (i, peer) in group.iter().enumerate() {
                        write!(f, "{}{peer}", if i > 0 { ", " } else { "" })?;
                    }
                }
                f.write_str(fate(f8))
            }
            Self::Latency { link, by } => write!(f, "latency {link} +{by:?}"),
            Self::Jitter { link, up_to } => write!(f, "jitter {link} up to {up_to:?}"),
            Self::Bandwidth { link, bytes_per_second } => {
                write!(f, "bandwidth {link} {bytes_per_second} B/s")
            }
            Self::Reset { link } => write!(f, "reset {link}"),
        }
    }
}
