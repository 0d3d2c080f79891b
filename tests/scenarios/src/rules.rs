//! Which faults can happen to a real Kafka, and which messages each is about.

use klamm_node::NodeId;
use klamm_node::pause::PausePoint;
use klamm_wire::ApiKey;
use klamm_world::Fault;
use klamm_world::fault::{
    ClusterFault, DiskFault, DiskScope, Keep, Link, Messages, NetworkFault, NodeFault, Peer, Place,
    RequestAction, RequestMatch, RequestOrigin,
};

use crate::frames::Header;

/// A message on its way. `None` is a client.
#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) from: Option<NodeId>,
    pub(crate) to: Option<NodeId>,
    pub(crate) answer: bool,
}

/// Whether Kafka can be made to suffer this.
///
/// # Errors
/// Why not.
pub(crate) fn check(fault: &Fault) -> Result<(), String> {
    let can = match fault {
        Fault::Request(fault) => {
            let on = &fault.on;
            on.topic.is_none()
                && on.partition.is_none()
                && on.chance.is_none()
                && on.connection.is_none()
                && !matches!(
                    fault.action,
                    RequestAction::Error(_)
                        | RequestAction::Truncate { .. }
                        | RequestAction::Corrupt { .. }
                        | RequestAction::Throttle(_)
                )
        }
        Fault::Node { fault, .. } => matches!(
            fault,
            NodeFault::Stop
                | NodeFault::Start
                | NodeFault::Restart
                | NodeFault::Crash
                | NodeFault::PowerLoss
                | NodeFault::Pause
                | NodeFault::Resume
                | NodeFault::Fence
                | NodeFault::ExpireSession
        ),
        Fault::Network(fault) => match fault {
            NetworkFault::Cut { link, .. } | NetworkFault::Latency { link, .. } => is_known(link),
            NetworkFault::Partition { groups, .. } => {
                groups.iter().flatten().all(|peer| matches!(peer, Peer::Node(_)))
            }
            NetworkFault::Reset { link } => is_known(link),
            NetworkFault::Jitter { .. } | NetworkFault::Bandwidth { .. } => false,
        },
        Fault::Disk { fault, .. } => match fault {
            DiskFault::AtPowerLoss { scope, keep } => {
                !matches!(scope, DiskScope::Path(_)) && !matches!(keep, Keep::Bytes(_))
            }
            DiskFault::BitRot { place, .. } => matches!(place, Place::Batch { .. }),
            _ => false,
        },
        Fault::Cluster(fault) => matches!(
            fault,
            ClusterFault::MoveLeader { .. } | ClusterFault::HoldIsr { .. } | ClusterFault::SetIsr { .. }
        ),
        Fault::Breakpoint(_) => request_fault(fault).is_some(),
    };
    if can { Ok(()) } else { Err("a running Kafka cannot be made to".to_owned()) }
}

fn is_known(link: &Link) -> bool {
    [link.from, link.to].iter().all(|peer| !matches!(peer, Peer::Client(_)))
}

/// What a fault is to requests, if it is about them: breakpoints at which a message is on its way hold that message.
pub(crate) fn request_fault(fault: &Fault) -> Option<(RequestMatch, RequestAction)> {
    match fault {
        Fault::Request(fault) => Some((fault.on.clone(), fault.action)),
        Fault::Cluster(ClusterFault::HoldIsr { .. }) => {
            Some((RequestMatch::api(ApiKey::AlterPartition), RequestAction::Hold))
        }
        // Its heartbeats would have it unfenced again.
        Fault::Node { node, fault: NodeFault::Fence } => {
            Some((RequestMatch::api(ApiKey::BrokerHeartbeat).from_node(*node), RequestAction::Hold))
        }
        Fault::Breakpoint(breakpoint) => {
            let (api, action) = match breakpoint.at {
                PausePoint::AlterPartitionInFlight => (ApiKey::AlterPartition, RequestAction::Hold),
                PausePoint::AlterPartitionAnswerInFlight => {
                    (ApiKey::AlterPartition, RequestAction::HoldAnswer)
                }
                PausePoint::FollowerFetchAnswerInFlight => (ApiKey::Fetch, RequestAction::HoldAnswer),
                _ => return None,
            };
            let node = breakpoint.node?;
            let mut on = RequestMatch::api(api).from_node(node);
            on.skip = breakpoint.nth - 1;
            Some((on, action))
        }
        _ => None,
    }
}

/// Whether a request is one that a fault is about.
pub(crate) fn fits(on: &RequestMatch, from: Option<NodeId>, to: NodeId, header: &Header) -> bool {
    let of_api = on.api.is_none_or(|api| api as i16 == header.api_key);
    let of_client = on.client_id.as_ref().is_none_or(|id| **id == *header.client_id);
    let from_there = match on.from {
        None => true,
        Some(RequestOrigin::Clients) => from.is_none(),
        Some(RequestOrigin::Nodes) => from.is_some(),
        Some(RequestOrigin::Node(node)) => from == Some(node),
    };
    of_api && of_client && from_there && on.to.is_none_or(|node| node == to)
}

/// Whether a fault of the network is about a message.
pub(crate) fn crosses(fault: &NetworkFault, way: Way) -> bool {
    match fault {
        NetworkFault::Cut { link, messages, .. } => {
            let meant = match messages {
                Messages::All => true,
                Messages::Requests => !way.answer,
                Messages::Answers => way.answer,
            };
            meant && is_on(link, way)
        }
        NetworkFault::Latency { link, .. } => is_on(link, way),
        NetworkFault::Partition { groups, .. } => {
            let group =
                |peer: Option<NodeId>| groups.iter().position(|group| group.iter().any(|one| is(*one, peer)));
            let (from, to) = (group(way.from), group(way.to));
            from.is_some() && to.is_some() && from != to
        }
        _ => false,
    }
}

pub(crate) fn is_on(link: &Link, way: Way) -> bool {
    let goes = |from, to| is(from, way.from) && is(to, way.to);
    goes(link.from, link.to) || (link.both_ways && goes(link.to, link.from))
}

fn is(peer: Peer, who: Option<NodeId>) -> bool {
    match peer {
        Peer::Node(node) => who == Some(node),
        Peer::Clients => who.is_none(),
        Peer::Client(_) => false,
        Peer::Anyone => true,
    }
}
