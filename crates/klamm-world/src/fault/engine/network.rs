//! Faults of the network.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_node::{ConnectionId, NodeId, Rng, SendError, Timestamp};
use klamm_wire::{Request, Response};

use crate::client;
use crate::fault::{Fate, FaultId, Link, Messages, NetworkFault, Peer};
use crate::input::Output;
use crate::network::Body;
use crate::world::{Event, World};

/// The network's name for every client behind a real socket.
pub(crate) const OUTSIDE: NodeId = NodeId(i32::MIN);
/// What a message weighs besides its records, in bytes, where bandwidth is short.
const ENVELOPE: u64 = 128;

/// The faults that are armed, and what they hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct NetworkFaults {
    armed: Vec<Rule>,
    held: Vec<HeldMessage>,
    /// Whether a message was ever slowed: those that leave later must not overtake it.
    pub(crate) ever: bool,
}

#[derive(Debug, Clone)]
struct Rule {
    id: FaultId,
    fault: NetworkFault,
    links: BTreeMap<(NodeId, NodeId), LinkState>,
}

/// What a rule keeps of one direction of one link.
#[derive(Debug, Clone)]
struct LinkState {
    /// Keyed by fault and link, so that neither other faults nor traffic elsewhere shift the draws.
    rng: Rng,
    /// When the last byte that is on its way has left.
    free_at: Timestamp,
}

impl LinkState {
    fn new(seed: u64, id: FaultId, from: NodeId, to: NodeId) -> Self {
        let rng = Rng::stream(seed, &format!("fault {} {from}->{to}", id.0));
        Self { rng, free_at: Timestamp::ZERO }
    }
}

#[derive(Debug, Clone)]
struct HeldMessage {
    by: FaultId,
    from: NodeId,
    to: NodeId,
    kind: Messages,
    event: Event,
}

/// What becomes of a message.
enum Passage {
    Later(Duration),
    Stopped(FaultId, Fate),
}

impl Peer {
    fn is(self, node: NodeId) -> bool {
        match self {
            Self::Node(id) => id == node,
            Self::Client(id) => client::node_of(id) == node,
            Self::Clients => client::is_client(node) || node == OUTSIDE,
            Self::Anyone => true,
        }
    }
}

impl Link {
    fn leads(&self, from: NodeId, to: NodeId) -> bool {
        from != to
            && (self.from.is(from) && self.to.is(to)
                || self.both_ways && self.from.is(to) && self.to.is(from))
    }

    fn joins(&self, a: NodeId, b: NodeId) -> bool {
        a != b && (self.from.is(a) && self.to.is(b) || self.from.is(b) && self.to.is(a))
    }
}

impl NetworkFaults {
    /// Whether messages have to ask.
    pub(crate) const fn is_armed(&self) -> bool {
        self.ever
    }

    pub(crate) fn held(&self, id: FaultId) -> usize {
        self.held.iter().filter(|held| held.by == id).count()
    }

    fn stopped(&self, from: NodeId, to: NodeId, kind: Messages) -> Option<(FaultId, Fate)> {
        self.armed.iter().find_map(|rule| match &rule.fault {
            NetworkFault::Cut { link, messages, fate } => {
                let is_meant = *messages == Messages::All || *messages == kind;
                (is_meant && link.leads(from, to)).then_some((rule.id, *fate))
            }
            NetworkFault::Partition { groups, fate } => {
                let group = |node| groups.iter().position(|group| group.iter().any(|peer| peer.is(node)));
                let apart = group(from).zip(group(to)).is_some_and(|(a, b)| a != b);
                apart.then_some((rule.id, *fate))
            }
            _ => None,
        })
    }
}

impl World {
    pub(crate) fn arm_network(&mut self, id: FaultId, fault: NetworkFault) {
        self.faults.network.ever = true;
        if let NetworkFault::Reset { link } = fault {
            self.faults.registry.disarm(id);
            self.fired(id, None, || format!("reset {link}"));
            return;
        }
        let network = &mut self.faults.network;
        let at = network.armed.partition_point(|other| other.id < id);
        network.armed.insert(at, Rule { id, fault, links: BTreeMap::new() });
    }

    /// Ends a fault of the network; what it held goes on its way, unless another holds it too.
    pub(crate) fn disarm_network(&mut self, id: FaultId) {
        self.faults.network.armed.retain(|rule| rule.id != id);
        let held = std::mem::take(&mut self.faults.network.held);
        let (released, kept) = held.into_iter().partition(|held| held.by == id);
        self.faults.network.held = kept;
        for HeldMessage { from, to, kind, event, .. } in released {
            self.travel(from, to, kind, event);
        }
    }

    /// Sends a message on its way while faults of the network are armed.
    pub(crate) fn travel(&mut self, from: NodeId, to: NodeId, kind: Messages, event: Event) {
        match self.passage(from, to, kind, &event) {
            Passage::Later(extra) => {
                let at = self.network.arrival_after(self.now(), from, to, extra);
                self.schedule.push(self.now(), at, event);
            }
            Passage::Stopped(by, fate) => {
                self.fired(by, None, || {
                    let fate = if fate == Fate::Held { "held" } else { "lost" };
                    format!("a message {} -> {} is {fate}", Name(from), Name(to))
                });
                if fate == Fate::Held {
                    self.faults.network.held.push(HeldMessage { by, from, to, kind, event });
                }
            }
        }
    }

    fn passage(&mut self, from: NodeId, to: NodeId, kind: Messages, event: &Event) -> Passage {
        let (now, seed) = (self.now(), self.settings.seed);
        if let Some((id, fate)) = self.faults.network.stopped(from, to, kind) {
            return Passage::Stopped(id, fate);
        }
        let mut extra = Duration::ZERO;
        let mut fired = Vec::new();
        for Rule { id, fault, links } in &mut self.faults.network.armed {
            let id = *id;
            let by = match fault {
                NetworkFault::Latency { link, by } if link.leads(from, to) => *by,
                NetworkFault::Jitter { link: of, up_to } if of.leads(from, to) => {
                    let up_to = u64::try_from(up_to.as_nanos()).unwrap_or(u64::MAX);
                    let state = links.entry((from, to)).or_insert_with(|| LinkState::new(seed, id, from, to));
                    Duration::from_nanos(state.rng.below(up_to.saturating_add(1)))
                }
                NetworkFault::Bandwidth { link: of, bytes_per_second } if of.leads(from, to) => {
                    let nanos = u128::from(weight(event)) * 1_000_000_000 / u128::from(*bytes_per_second);
                    let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
                    let state = links.entry((from, to)).or_insert_with(|| LinkState::new(seed, id, from, to));
                    state.free_at = state.free_at.max(now) + takes;
                    Duration::from_nanos(state.free_at.0 - now.0)
                }
                _ => continue,
            };
            extra += by;
            fired.push((id, by));
        }
        for (id, by) in fired {
            self.fired(id, None, || format!("a message {} -> {} takes {by:?} longer", Name(from), Name(to)));
        }
        Passage::Later(extra)
    }

    /// Breaks every connection between two peers: what is under way is gone, and both ends are told.
    pub(crate) fn reset_connections(&mut self, link: Link, out: &mut Vec<Output>) {
        self.schedule.retain(|event| !between(event).is_some_and(|(from, to)| link.joins(from, to)));
        self.faults.network.held.retain(|held| !link.joins(held.from, held.to));
        let ids: Vec<_> = self.slots.iter().map(|slot| slot.id).collect();
        for caller in 0..self.slots.len() {
            let from = self.slots[caller].id;
            for to in ids.iter().copied().filter(|to| link.joins(from, *to)) {
                for call in self.slots[caller].calls.to(to).collect::<Vec<_>>() {
                    let body = Body::Failure { call, error: SendError::Disconnected };
                    let event = Event::Arrival(crate::network::Message { from: to, to: from, body });
                    self.schedule.push(self.now(), self.now(), event);
                }
            }
        }
        for (connection, broker) in self.connections.iter().collect::<Vec<_>>() {
            if link.joins(client_of(connection), broker) {
                self.disconnect(connection, out);
                self.tell_closed(connection, out);
            }
        }
    }

    /// Tells the client of a connection at once that it is closed.
    fn tell_closed(&mut self, connection: ConnectionId, out: &mut Vec<Output>) {
        match client::owner(connection) {
            Some(owner) => {
                let event = Event::ToClient(owner, client::ClientEvent::Lost(connection));
                self.schedule.push(self.now(), self.now(), event);
            }
            None => out.push(Output::Close { connection }),
        }
    }
}

/// The network's name for the client of a connection.
pub(crate) fn client_of(connection: ConnectionId) -> NodeId {
    client::owner(connection).map_or(OUTSIDE, client::node_of)
}

/// From where to where an event is on its way, if it is a message of a connection.
fn between(event: &Event) -> Option<(NodeId, NodeId)> {
    match event {
        Event::Arrival(message) => Some((message.from, message.to)),
        Event::FromClient { broker, request, .. } => Some((client_of(request.connection), *broker)),
        Event::FromOutside { broker, .. } => Some((OUTSIDE, *broker)),
        Event::ToOutside { broker, .. } => Some((*broker, OUTSIDE)),
        _ => None,
    }
}

/// About how many bytes a message has.
fn weight(event: &Event) -> u64 {
    let response = |response: &Response| match response {
        Response::Fetch(fetch) => {
            let partitions = fetch.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| partition.records_len() as u64).sum()
        }
        Response::Other(_) => 0,
    };
    let request = |request: &Request| match request {
        Request::Produce(produce) => {
            let partitions = produce.topic_data.iter().flat_map(|topic| &topic.partition_data);
            partitions.map(|partition| partition.records.as_ref().map_or(0, Bytes::len) as u64).sum()
        }
        _ => 0,
    };
    let records = match event {
        Event::Arrival(message) => match &message.body {
            Body::Response { response: answer, .. } => response(answer),
            Body::Request { .. } | Body::Failure { .. } => 0,
        },
        Event::FromClient { request: from, .. } => request(&from.request),
        Event::FromOutside { request: from, .. } => request(&from.request),
        Event::ToClient(_, client::ClientEvent::Answer { response: answer, .. }) => response(answer),
        Event::ToOutside { output: Output::Response { response: answer, .. }, .. } => response(answer),
        _ => 0,
    };
    records + ENVELOPE
}

/// A peer's name, for a person.
struct Name(NodeId);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            OUTSIDE => f.write_str("clients"),
            node if client::is_client(node) => write!(f, "client {}", -1 - node.0),
            node => node.fmt(f),
        }
    }
}
