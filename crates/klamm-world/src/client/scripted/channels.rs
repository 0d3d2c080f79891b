//! Connections as Kafka's clients keep them (`NetworkClient`, `ClusterConnectionStates`): opened when first needed, asked
//! for their versions before anything else, and after a failure not opened again for a while.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp};
use klamm_wire::messages::{ApiVersionsRequest, ResponseKind};
use klamm_wire::{Api, ApiKey, Request, Response, StrBytes};

use super::backoff::Backoff;
use crate::client::{Answer, ClientCtx};

/// `socket.connection.setup.timeout.ms`.
const SETUP_TIMEOUT: Duration = Duration::from_secs(10);
/// `reconnect.backoff.ms` and `reconnect.backoff.max.ms`.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not open, and not to be opened before then.
    Closed(Timestamp),
    /// Opening; the request that asks for the broker's versions.
    Opening(i32),
    Ready,
}

#[derive(Debug, Clone)]
struct Channel {
    state: State,
    failures: u32,
    /// The newest version that the broker has of each API.
    versions: BTreeMap<i16, i16>,
}

/// A client's connections, by broker.
#[derive(Debug, Clone, Default)]
pub(super) struct Channels {
    by_broker: BTreeMap<NodeId, Channel>,
}

impl Channels {
    /// Whether a request can be sent to a broker now. Opens a connection where there is none and one may be opened.
    pub(super) fn ready(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) -> bool {
        let state = self.by_broker.get(&broker).map(|channel| channel.state);
        match state {
            Some(State::Ready) => true,
            Some(State::Closed(until)) if until > ctx.now => false,
            Some(State::Opening(_)) => false,
            Some(State::Closed(_)) | None => {
                self.open(ctx, broker);
                false
            }
        }
    }

    fn open(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("klamm"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let version = Api::of(ApiKey::ApiVersions).max;
        let handshake = ctx.ask_within(
            broker,
            ApiKey::ApiVersions,
            version,
            Request::ApiVersions(request),
            SETUP_TIMEOUT,
        );
        let channel = self.by_broker.entry(broker).or_insert_with(|| Channel {
            state: State::Opening(handshake),
            failures: 0,
            versions: BTreeMap::new(),
        });
        channel.state = State::Opening(handshake);
    }

    /// Takes an answer that is a handshake's; false when it is another's.
    pub(super) fn on_answer(&mut self, correlation_id: i32, answer: &Answer) -> bool {
        let opening = |channel: &&mut Channel| channel.state == State::Opening(correlation_id);
        let Some(channel) = self.by_broker.values_mut().find(opening) else { return false };
        // A handshake that failed has lost its connection, which is told apart from it.
        let Answer::Response(Response::Other(response)) = answer else { return true };
        let ResponseKind::ApiVersions(response) = &**response else { return true };
        channel.state = State::Ready;
        channel.failures = 0;
        channel.versions = response.api_keys.iter().map(|api| (api.api_key, api.max_version)).collect();
        true
    }

    /// A connection broke, or was given up.
    pub(super) fn on_lost(&mut self, ctx: &mut ClientCtx<'_>, broker: NodeId) {
        if let Some(channel) = self.by_broker.get_mut(&broker) {
            let wait = Backoff::new(RECONNECT.0, RECONNECT.1).wait(ctx.rng, channel.failures);
            channel.failures += 1;
            channel.state = State::Closed(ctx.now + wait);
        }
    }

    /// The version of an API to speak with a broker: the newest that both sides know.
    pub(super) fn version(&self, broker: NodeId, key: ApiKey, newest: i16) -> i16 {
        let theirs = self.by_broker.get(&broker).and_then(|channel| channel.versions.get(&(key as i16)));
        theirs.map_or(newest, |theirs| newest.min(*theirs))
    }

    /// Whether a broker said that it serves an API.
    pub(super) fn serves(&self, broker: NodeId, key: ApiKey) -> bool {
        self.by_broker.get(&broker).is_some_and(|channel| channel.versions.contains_key(&(key as i16)))
    }

    /// A broker that can be asked now: the one with the fewest requests in flight, chance among equals. Begins to connect
    /// when there is none (`NetworkClient.leastLoadedNode`).
    pub(super) fn least_loaded(&mut self, ctx: &mut ClientCtx<'_>) -> Option<NodeId> {
        let count = ctx.brokers.len();
        if count == 0 {
            return None;
        }
        let start = ctx.rng.below(count as u64) as usize;
        let order: Vec<NodeId> = (0..count).map(|i| ctx.brokers[(start + i) % count]).collect();
        let state = |broker: &NodeId| self.by_broker.get(broker).map(|channel| channel.state);
        let ready = order.iter().filter(|broker| state(broker) == Some(State::Ready));
        if let Some(broker) = ready.min_by_key(|broker| ctx.in_flight(**broker)) {
            return Some(*broker);
        }
        if order.iter().any(|broker| matches!(state(broker), Some(State::Opening(_)))) {
            return None;
        }
        let free = order
            .iter()
            .find(|broker| !matches!(state(broker), Some(State::Closed(until)) if until > ctx.now));
        if let Some(broker) = free.copied() {
            self.open(ctx, broker);
        }
        None
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        self.by_broker.values().filter_map(|channel| match channel.state {
            State::Closed(until) => Some(until),
            State::Opening(_) | State::Ready => None,
        })
    }
}
