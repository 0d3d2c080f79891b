//! Whether a fault can be.

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::{Api, StrBytes};

use super::{DiskFault, Fault, FaultError, Link, NetworkFault, NodeFault, Peer, RequestMatch};
use super::{DiskScope, RequestOrigin};
use crate::world::World;

impl World {
    /// Whether a fault could be injected now.
    ///
    /// # Errors
    /// Why not.
    pub fn check_fault(&self, fault: &Fault) -> Result<(), FaultError> {
        match fault {
            Fault::Request(fault) => self.check_match(&fault.on),
            Fault::Node { node, fault } => self.check_node_fault(*node, *fault),
            Fault::Network(fault) => self.check_network_fault(fault),
            Fault::Disk { node, fault } => self.check_disk_fault(*node, fault),
            Fault::Cluster(fault) => self.check_cluster_fault(fault),
            Fault::Breakpoint(breakpoint) => {
                if breakpoint.nth == 0 {
                    return Err(FaultError::Senseless("arrivals are counted from 1".to_owned()));
                }
                breakpoint.node.map_or(Ok(()), |node| self.check_node(node))?;
                breakpoint.partition.as_ref().map_or(Ok(()), |partition| self.check_partition(partition))
            }
        }
    }

    fn check_match(&self, on: &RequestMatch) -> Result<(), FaultError> {
        if let Some(api) = on.api
            && !Api::of(api).served
        {
            return Err(FaultError::NotServed(api));
        }
        if on.count == Some(0) {
            return Err(FaultError::Senseless("a fault that hits no request at all is no fault".to_owned()));
        }
        if let Some(RequestOrigin::Node(node)) = on.from {
            self.check_node(node)?;
        }
        on.to.map_or(Ok(()), |node| self.check_node(node))
    }

    pub(super) fn check_node(&self, node: NodeId) -> Result<(), FaultError> {
        if self.slot(node).is_some() {
            return Ok(());
        }
        let ids: Vec<_> = self.slots.iter().map(|slot| slot.id.to_string()).collect();
        Err(FaultError::NoNode { node, known: format!("the nodes are {}", ids.join(", ")) })
    }

    fn check_node_fault(&self, node: NodeId, fault: NodeFault) -> Result<(), FaultError> {
        self.check_node(node)?;
        let up = self.is_up(node);
        let paused = self.slot(node).is_some_and(|slot| self.slots[slot].door.paused.is_some());
        let must_be_up = |what| if up { Ok(()) } else { Err(FaultError::Down(node, what)) };
        let broker = |what| {
            let is_controller = self.settings.controllers.contains(&node);
            if is_controller { Err(FaultError::NotABroker(node, what)) } else { Ok(()) }
        };
        match fault {
            NodeFault::Start if up => Err(FaultError::Up(node)),
            NodeFault::Stop => must_be_up("stopped"),
            NodeFault::Crash => must_be_up("crashed"),
            NodeFault::PowerLoss => must_be_up("cut from its power"),
            NodeFault::Pause => {
                must_be_up("paused")?;
                if paused { Err(FaultError::Paused(node)) } else { Ok(()) }
            }
            NodeFault::Resume if !paused => Err(FaultError::NotPaused(node)),
            NodeFault::Fence | NodeFault::ExpireSession => {
                broker("fenced")?;
                self.check_controller("fenced").map(|_| ())
            }
            NodeFault::Drift { ppm } if ppm <= -1_000_000 => Err(FaultError::Senseless(
                "a clock that drifts by -1,000,000 ppm or more stands still or runs backwards".to_owned(),
            )),
            NodeFault::Start
            | NodeFault::Restart
            | NodeFault::Resume
            | NodeFault::Slow { .. }
            | NodeFault::WallClock { .. }
            | NodeFault::MonotonicClock { .. }
            | NodeFault::Drift { .. } => Ok(()),
        }
    }

    fn check_network_fault(&self, fault: &NetworkFault) -> Result<(), FaultError> {
        match fault {
            NetworkFault::Cut { link, .. }
            | NetworkFault::Latency { link, .. }
            | NetworkFault::Jitter { link, .. }
            | NetworkFault::Reset { link } => self.check_link(link),
            NetworkFault::Bandwidth { link, bytes_per_second } => {
                if *bytes_per_second == 0 {
                    let why = "a link with no bandwidth at all is a cut; use one".to_owned();
                    return Err(FaultError::Senseless(why));
                }
                self.check_link(link)
            }
            NetworkFault::Partition { groups, .. } => {
                let mut peers: Vec<_> = groups.iter().flatten().copied().collect();
                for peer in &peers {
                    self.check_peer(*peer)?;
                }
                let count = peers.len();
                peers.sort_unstable();
                peers.dedup();
                if peers.len() < count {
                    return Err(FaultError::NotAPartition("somebody is in two groups".to_owned()));
                }
                if groups.iter().filter(|group| !group.is_empty()).count() < 2 {
                    return Err(FaultError::NotAPartition("it needs two groups at least".to_owned()));
                }
                Ok(())
            }
        }
    }

    fn check_link(&self, link: &Link) -> Result<(), FaultError> {
        self.check_peer(link.from)?;
        self.check_peer(link.to)?;
        if link.from == link.to && link.from != Peer::Anyone {
            return Err(FaultError::SameEnds(link.from.to_string()));
        }
        Ok(())
    }

    fn check_peer(&self, peer: Peer) -> Result<(), FaultError> {
        match peer {
            Peer::Node(node) => self.check_node(node),
            Peer::Client(client) if !self.has_client(client) => Err(FaultError::NoClient(client.0)),
            Peer::Client(_) | Peer::Clients | Peer::Anyone => Ok(()),
        }
    }

    fn check_disk_fault(&self, node: NodeId, fault: &DiskFault) -> Result<(), FaultError> {
        self.check_node(node)?;
        match fault {
            DiskFault::Full { scope, .. }
            | DiskFault::Error { scope, .. }
            | DiskFault::Slow { scope, .. }
            | DiskFault::AtPowerLoss { scope, .. }
            | DiskFault::LostDirectory { scope } => match scope {
                DiskScope::Partition(partition) => self.check_partition(partition),
                DiskScope::Everything | DiskScope::Path(_) => Ok(()),
            },
            DiskFault::BitRot { .. } => Ok(()),
        }
    }

    /// Whether the cluster has this partition.
    pub(super) fn check_partition(&self, partition: &TopicPartition) -> Result<(), FaultError> {
        let metadata = self.metadata().ok_or(FaultError::NoController("said of a topic"))?;
        let Some(topic) = metadata.topics.by_name(&partition.topic) else {
            return Err(FaultError::NoTopic {
                topic: partition.topic.clone(),
                known: named("topics", metadata.topics.iter().map(|topic| &topic.name)),
            });
        };
        let count = topic.iter().len();
        if topic.iter().any(|(id, _)| id == partition.partition) {
            return Ok(());
        }
        Err(FaultError::NoPartition { partition: partition.clone(), count })
    }
}

/// What there is, for a person: `the topics are a, b`.
pub(super) fn named<'a>(what: &str, names: impl Iterator<Item = &'a StrBytes>) -> String {
    let names: Vec<_> = names.take(20).map(|name| &**name).collect();
    if names.is_empty() {
        format!("there are no {what}")
    } else {
        format!("the {what} are {}", names.join(", "))
    }
}
