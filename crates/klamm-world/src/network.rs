//! The network between nodes: directed links that take time, and messages that travel as values.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use klamm_node::{CallId, EventId, NodeId, Rng, SendError, Timestamp};
use klamm_wire::{Request, Response, StrBytes};
use rustc_hash::FxHashMap;

use crate::settings::LinkSettings;

/// A message on its way from one node to another.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// The sender.
    pub(crate) from: NodeId,
    /// The receiver.
    pub(crate) to: NodeId,
    /// What it says.
    pub(crate) body: Body,
}

/// What a message says.
#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// The sender asks.
    Request {
        /// The sender's name for the call.
        call: CallId,
        /// The receiver's incarnation when the message left, if it was up: a later one has not got this connection.
        incarnation: Option<u32>,
        /// The request's version.
        api_version: i16,
        /// The client that it is passed on for.
        client_id: Option<StrBytes>,
        /// The request.
        request: Box<Request>,
    },
    /// The sender answers a call of the receiver's.
    Response {
        /// The receiver's name for the call.
        call: CallId,
        /// The answer.
        response: Response,
    },
    /// The receiver's connection for a call is found broken.
    Failure {
        /// The receiver's name for the call.
        call: CallId,
        /// How.
        error: SendError,
    },
}

/// Every directed link between two nodes.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    seed: u64,
    default: LinkSettings,
    /// Looked up for every message, and never walked through.
    links: FxHashMap<(NodeId, NodeId), Link>,
    sent: u64,
}

#[derive(Debug, Clone)]
struct Link {
    settings: LinkSettings,
    rng: Rng,
    last_arrival: Timestamp,
}

impl Network {
    /// A network whose links are all like `default`.
    pub(crate) fn new(seed: u64, default: LinkSettings) -> Self {
        Self { seed, default, links: FxHashMap::default(), sent: 0 }
    }

    /// Changes a link for the messages to come.
    pub(crate) fn set(&mut self, from: NodeId, to: NodeId, settings: LinkSettings) {
        self.link(from, to).settings = settings;
    }

    /// How many messages were ever sent.
    pub(crate) const fn sent(&self) -> u64 {
        self.sent
    }

    /// How long a message takes; `None` where that is drawn.
    pub(crate) fn latency(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        let settings = self.links.get(&(from, to)).map_or(self.default, |link| link.settings);
        settings.jitter.is_zero().then_some(settings.latency)
    }

    /// How long a message and its answer take; `None` where that is drawn.
    pub(crate) fn round_trip(&self, from: NodeId, to: NodeId) -> Option<Duration> {
        Some(self.latency(from, to)? + self.latency(to, from)?)
    }

    /// When a message that leaves now arrives. Messages on one link do not overtake each other.
    pub(crate) fn arrival(&mut self, now: Timestamp, from: NodeId, to: NodeId) -> Timestamp {
        self.sent += 1;
        if self.links.is_empty() && self.default == LinkSettings::default() {
            return now;
        }
        let link = self.link(from, to);
        let jitter = u64::try_from(link.settings.jitter.as_nanos()).unwrap_or(u64::MAX);
        let extra = if jitter == 0 { 0 } else { link.rng.below(jitter.saturating_add(1)) };
        let at = now + link.settings.latency + Duration::from_nanos(extra);
        link.last_arrival = link.last_arrival.max(at);
        link.last_arrival
    }

    /// As [`Network::arrival`], for a message that takes `extra` longer.
    pub(crate) fn arrival_after(
        &mut self,
        now: Timestamp,
        from: NodeId,
        to: NodeId,
        extra: Duration,
    ) -> Timestamp {
        // So that later messages on the link do not overtake this one.
        self.link(from, to);
        let at = self.arrival(now, from, to) + extra;
        let link = self.link(from, to);
        link.last_arrival = link.last_arrival.max(at);
        link.last_arrival
    }

    fn link(&mut self, from: NodeId, to: NodeId) -> &mut Link {
        let (seed, settings) = (self.seed, self.default);
        self.links.entry((from, to)).or_insert_with(|| Link {
            settings,
            // Keyed by the link, so that traffic elsewhere does not shift this link's draws.
            rng: Rng::stream(seed, &format!("link {from}->{to}")),
            last_arrival: Timestamp::ZERO,
        })
    }
}

/// A node's calls to others that are not answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Calls {
    /// In order of ids, which is nearly always that of opening; there are a handful.
    open: VecDeque<(CallId, Call)>,
    /// No call times out before this. It is not moved when calls are answered: nearly all are, and soon.
    earliest: Timestamp,
}

#[derive(Debug, Clone, Copy)]
struct Call {
    to: NodeId,
    times_out: Timestamp,
    /// What it follows from that it times out: what it was sent in.
    cause: Option<EventId>,
}

impl Default for Calls {
    fn default() -> Self {
        Self { open: VecDeque::new(), earliest: Timestamp::MAX }
    }
}

impl Calls {
    /// Notes a call.
    pub(crate) fn open(&mut self, call: CallId, to: NodeId, times_out: Timestamp, cause: Option<EventId>) {
        let opened = Call { to, times_out, cause };
        match self.find(call) {
            Ok(at) => self.open[at].1 = opened,
            Err(at) => self.open.insert(at, (call, opened)),
        }
        self.earliest = self.earliest.min(times_out);
    }

    /// Ends a call; false when it has ended already.
    pub(crate) fn close(&mut self, call: CallId) -> bool {
        self.find(call).is_ok_and(|at| self.open.remove(at).is_some())
    }

    fn find(&self, call: CallId) -> Result<usize, usize> {
        self.open.binary_search_by_key(&call, |(id, _)| *id)
    }

    /// No call times out before this.
    pub(crate) const fn earliest_timeout(&self) -> Timestamp {
        self.earliest
    }

    /// When the first call times out that is none of `but`; [`Timestamp::MAX`] for never.
    pub(crate) fn earliest_timeout_but(&self, but: &BTreeSet<CallId>) -> Timestamp {
        let others = self.open.iter().filter(|(id, _)| !but.contains(id)).map(|(_, call)| call.times_out);
        others.min().unwrap_or(Timestamp::MAX)
    }

    /// Has a call time out later: it was answered and made again.
    pub(crate) fn delay(&mut self, call: CallId, by: Duration) {
        if let Ok(at) = self.find(call) {
            self.open[at].1.times_out += by;
        }
        self.earliest = self.open.iter().map(|(_, call)| call.times_out).min().unwrap_or(Timestamp::MAX);
    }

    /// Ends and returns the calls that have timed out, each with what that follows from.
    pub(crate) fn expire(&mut self, now: Timestamp) -> Vec<(CallId, Option<EventId>)> {
        let mut expired = Vec::new();
        let mut earliest = Timestamp::MAX;
        self.open.retain(|(id, call)| {
            if call.times_out <= now {
                expired.push((*id, call.cause));
                return false;
            }
            earliest = earliest.min(call.times_out);
            true
        });
        self.earliest = earliest;
        expired
    }

    /// The open calls to a node.
    pub(crate) fn to(&self, node: NodeId) -> impl Iterator<Item = CallId> {
        self.open.iter().filter(move |(_, call)| call.to == node).map(|(id, _)| *id)
    }

    /// Brings every timeout nearer: the caller's clock jumped.
    pub(crate) fn hasten(&mut self, by: Duration) {
        let nearer =
            |at: Timestamp| Timestamp(at.0.saturating_sub(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX)));
        for (_, call) in &mut self.open {
            call.times_out = nearer(call.times_out);
        }
        if self.earliest != Timestamp::MAX {
            self.earliest = nearer(self.earliest);
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn messages_on_one_link_do_not_overtake() {
        let mut network = Network::new(7, LinkSettings { latency: millis(1), jitter: millis(50) });
        let mut last = Timestamp::ZERO;
        let mut spread = false;
        for i in 0..200 {
            let now = Timestamp::from_millis(i);
            let arrival = network.arrival(now, NodeId(1), NodeId(2));
            assert!(arrival >= last && arrival >= now + millis(1));
            spread |= arrival > now + millis(2);
            last = arrival;
        }
        assert!(spread, "jitter was never drawn");
    }

    #[test]
    fn a_links_jitter_does_not_depend_on_other_links() {
        let settings = LinkSettings { latency: millis(0), jitter: millis(50) };
        let arrivals = |noise: bool| {
            let mut network = Network::new(7, settings);
            (0..50)
                .map(|i| {
                    if noise {
                        network.arrival(Timestamp::from_millis(i * 100), NodeId(3), NodeId(1));
                    }
                    network.arrival(Timestamp::from_millis(i * 100), NodeId(1), NodeId(2))
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(arrivals(false), arrivals(true));
    }

    #[test]
    fn calls_expire_once_and_only_if_unanswered() {
        let mut calls = Calls::default();
        calls.open(CallId(1), NodeId(2), Timestamp(10), Some(EventId(7)));
        calls.open(CallId(2), NodeId(2), Timestamp(20), Some(EventId(7)));
        calls.open(CallId(3), NodeId(3), Timestamp(10), Some(EventId(7)));
        assert!(calls.close(CallId(3)) && !calls.close(CallId(3)));
        assert_eq!(calls.earliest_timeout(), Timestamp(10));
        assert_eq!(calls.expire(Timestamp(10)), [(CallId(1), Some(EventId(7)))]);
        assert_eq!(calls.earliest_timeout(), Timestamp(20));
        assert_eq!(calls.to(NodeId(2)).collect::<Vec<_>>(), [CallId(2)]);
        assert_eq!(calls.expire(Timestamp(30)), [(CallId(2), Some(EventId(7)))]);
        assert_eq!((calls.len(), calls.earliest_timeout()), (0, Timestamp::MAX));
    }
}
