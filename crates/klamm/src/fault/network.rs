//! The network, in its owner's hands.

use std::time::Duration;

use klamm_server::Server;
use klamm_world::fault::{Fate, Link, Messages, NetworkFault, Peer};
use klamm_world::{Command, Fault};

use super::{FaultHandle, inject};
use crate::error::Error;

/// The network between a cluster's nodes, and between them and their clients. A peer is a node's id, or
/// [`Peer::Clients`], or [`Peer::Anyone`].
///
/// ```
/// use std::time::Duration;
/// use klamm::{Cluster, Peer};
///
/// # fn main() -> Result<(), klamm::Error> {
/// let cluster = Cluster::builder().brokers(3).start_blocking()?;
/// let cut = cluster.network().cut(1, 2)?;
/// cluster.network().latency(3, Peer::Clients, Duration::from_millis(50))?;
/// cut.heal();
/// cluster.network().heal();
/// # Ok(())
/// # }
/// ```
///
/// Every method's only error is [`Error::Fault`]: a node that there is not, or a link from a node to itself.
#[derive(Debug, Clone, Copy)]
pub struct Network<'a> {
    pub(super) server: &'a Server,
}

#[expect(clippy::missing_errors_doc, reason = "the type says it once for all")]
impl<'a> Network<'a> {
    /// Cuts the link between two peers. Connections stay open: messages wait, and calls time out.
    pub fn cut(self, a: impl Into<Peer>, b: impl Into<Peer>) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::cut(Link::between(a, b)))
    }

    /// As [`Network::cut`], in one direction.
    pub fn cut_one_way(self, from: impl Into<Peer>, to: impl Into<Peer>) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::cut(Link::one_way(from, to)))
    }

    /// Loses some messages between two peers for good.
    pub fn lose(
        self,
        a: impl Into<Peer>,
        b: impl Into<Peer>,
        messages: Messages,
    ) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::Cut { link: Link::between(a, b), messages, fate: Fate::Lost })
    }

    /// Lets nothing from one group to another. Who is in no group reaches everyone.
    pub fn partition<P: Into<Peer> + Clone>(self, groups: &[&[P]]) -> Result<FaultHandle<'a>, Error> {
        let groups = groups.iter().map(|group| group.iter().cloned().map(Into::into).collect()).collect();
        inject(self.server, NetworkFault::Partition { groups, fate: Fate::Held })
    }

    /// Makes messages between two peers take longer.
    pub fn latency(
        self,
        a: impl Into<Peer>,
        b: impl Into<Peer>,
        by: Duration,
    ) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::Latency { link: Link::between(a, b), by })
    }

    /// Makes messages between two peers take longer by times that are drawn.
    pub fn jitter(
        self,
        a: impl Into<Peer>,
        b: impl Into<Peer>,
        up_to: Duration,
    ) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::Jitter { link: Link::between(a, b), up_to })
    }

    /// Lets so many bytes through in a second, in each direction.
    pub fn bandwidth(
        self,
        a: impl Into<Peer>,
        b: impl Into<Peer>,
        bytes_per_second: u64,
    ) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::Bandwidth { link: Link::between(a, b), bytes_per_second })
    }

    /// Breaks every connection between two peers, once.
    pub fn reset(self, a: impl Into<Peer>, b: impl Into<Peer>) -> Result<FaultHandle<'a>, Error> {
        inject(self.server, NetworkFault::Reset { link: Link::between(a, b) })
    }

    /// Ends every fault of the network.
    pub fn heal(self) {
        let armed = self.server.look(klamm_world::World::faults);
        for status in armed {
            if status.armed && matches!(status.fault, Fault::Network(_)) {
                self.server.command(Command::Heal(status.id));
            }
        }
    }
}
