//! Passing over the time in which nothing happens but what always happens.
//!
//! The nodes of a cluster that nobody uses still fetch and send heartbeats, and look from time to time for something to do. A week of
//! that is tens of millions of events that leave everything as it was, only later. [`World::skip_idle`] lets all of those that
//! lie before the first other one have happened at once: it finds the laps that this traffic goes round in, checks that both ends of each
//! agree, and moves each by a whole number of laps. See `docs/decisions/0011-idle-time-is-passed-over.md`.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::idle::{IdleHeartbeat, IdlePeers, IdleTraffic, first_from};
use klamm_node::{CallId, NodeId, Timestamp, TraceKind};

use super::World;
use crate::input::Output;
use crate::node::Node;

/// Less is not worth looking for.
const LEAST: Duration = Duration::from_secs(1);
/// How long time goes on event by event after a look for idle time that found none.
const PATIENCE: Duration = Duration::from_millis(100);

/// Traffic that goes round.
#[derive(Debug)]
struct Lap {
    kind: Kind,
    /// When it next moves.
    next: Timestamp,
    /// How long it rests before that.
    rest: Duration,
    /// How long a lap takes.
    period: Duration,
}

#[derive(Debug)]
enum Kind {
    /// A fetch that waits at `to`.
    Fetch { from: NodeId, to: NodeId, call: CallId },
    /// A broker's heartbeats.
    Heartbeat { broker: NodeId, heartbeat: IdleHeartbeat },
}

impl Lap {
    /// When it next moves, once the laps before `until` are over.
    fn next_from(&self, until: Timestamp) -> Timestamp {
        first_from(self.next, self.period, until)
    }

    /// The latest moment until `until` at which it rests.
    fn rests_before(&self, until: Timestamp) -> Timestamp {
        let next = self.next_from(until);
        let begins = Timestamp(next.0.saturating_sub(nanos(self.rest)));
        if next == self.next || begins <= until {
            until
        } else {
            Timestamp(next.0.saturating_sub(nanos(self.period)))
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl World {
    /// Until when nothing happens but idle traffic, at most until `end`. It is now where something is on its way, a fault is armed, a
    /// clock is not true or a link's delay is drawn.
    pub fn idle_until(&self, end: Timestamp) -> Timestamp {
        self.find_idle(end).map_or(self.now, |(until, _)| until)
    }

    /// Passes over the time until something happens that is not idle traffic, at most until `end`, if that is worth it: a second or
    /// more. What happens at the moment that it ends at has not happened yet. True when time has passed; the trace says so.
    pub fn skip_idle(&mut self, end: Timestamp) -> bool {
        let Some((until, laps)) = self.find_idle(end).filter(|(until, _)| *until >= self.now + LEAST) else {
            return false;
        };
        self.trace.begin(None);
        self.trace.record(self.now, None, TraceKind::IdleTimeSkipped { until });
        self.skip_laps(until, laps);
        for slot in &mut self.slots {
            let clock = slot.idle_clock(self.now);
            match &mut slot.node {
                Some(Node::Broker(node)) => node.skip_tasks(clock, until),
                Some(Node::Controller(node)) => node.skip_tasks(until),
                _ => {}
            }
            slot.refresh_deadline();
        }
        self.now = until;
        self.budget.reset();
        true
    }

    /// Lets everything happen that is due by `end`, passing over idle time.
    pub(super) fn pass(&mut self, end: Timestamp, out: &mut Vec<Output>) {
        let mut look_at = self.now;
        while self.stall.is_none() {
            if self.now >= look_at && !self.skip_idle(end) {
                look_at = self.now + PATIENCE;
            }
            let next = self.next_event();
            if next > end {
                break;
            }
            if next > self.now {
                self.now = next;
                self.budget.reset();
            }
            self.settle(out);
        }
        self.now = self.now.max(end);
    }

    /// The end of the idle time that begins now, and the laps in it.
    fn find_idle(&self, end: Timestamp) -> Option<(Timestamp, Vec<Lap>)> {
        let undisturbed = self.stall.is_none()
            && self.faults.registry.armed().next().is_none()
            && self.slots.iter().all(|slot| slot.clocks.is_true() && !slot.door.is_shut(self.now));
        let clients = self.clients.iter().map(|client| client.deadline).min();
        let outside = self.schedule.next().min(clients.unwrap_or(Timestamp::MAX)).min(end);
        if !undisturbed || outside <= self.now {
            return None;
        }
        let traffic: BTreeMap<NodeId, IdleTraffic> = self
            .slots
            .iter()
            .filter_map(|slot| Some((slot.id, slot.node.as_ref()?.idle_traffic())))
            .collect();
        let mut peers: BTreeMap<NodeId, IdlePeers> = BTreeMap::new();
        let mut laps = self.fetch_laps(&traffic, &mut peers)?;
        laps.extend(self.heartbeat_laps(&traffic, &mut peers)?);

        let mut until = outside;
        let none = IdlePeers::default();
        for slot in &self.slots {
            let Some(node) = &slot.node else { continue };
            let peers = peers.get(&slot.id).unwrap_or(&none);
            until = until.min(node.idle_until(slot.idle_clock(self.now), peers));
            until = until.min(slot.calls.earliest_timeout_but(&peers.fetches));
            if until <= self.now {
                return None;
            }
        }
        // It ends at a moment at which all of the traffic rests.
        for _ in 0..2 * laps.len() {
            let rests = laps.iter().map(|lap| lap.rests_before(until)).min().unwrap_or(until);
            if rests >= until {
                return Some((until, laps));
            }
            until = rests;
            if until <= self.now {
                return None;
            }
        }
        laps.is_empty().then_some((until, laps))
    }

    /// The fetches both ends of which are idle; `None` where one takes a time that is drawn.
    fn fetch_laps(
        &self,
        traffic: &BTreeMap<NodeId, IdleTraffic>,
        peers: &mut BTreeMap<NodeId, IdlePeers>,
    ) -> Option<Vec<Lap>> {
        let mut laps = Vec::new();
        for (from, fetch) in
            traffic.iter().flat_map(|(from, at)| at.fetches.iter().map(|fetch| (*from, *fetch)))
        {
            let at = traffic.get(&fetch.to);
            let parked = at.and_then(|at| at.parked.iter().find(|p| (p.from, p.call) == (from, fetch.call)));
            let Some(parked) = parked else { continue };
            let period = fetch.wait + self.network.round_trip(from, fetch.to)?;
            peers.entry(from).or_default().fetches.insert(fetch.call);
            peers.entry(fetch.to).or_default().parked.insert((from, fetch.call));
            let kind = Kind::Fetch { from, to: fetch.to, call: fetch.call };
            laps.push(Lap { kind, next: parked.until, rest: fetch.wait, period });
        }
        Some(laps)
    }

    fn heartbeat_laps(
        &self,
        traffic: &BTreeMap<NodeId, IdleTraffic>,
        peers: &mut BTreeMap<NodeId, IdlePeers>,
    ) -> Option<Vec<Lap>> {
        let mut laps = Vec::new();
        for (broker, heartbeat) in traffic.iter().filter_map(|(id, at)| Some((*id, at.heartbeat?))) {
            let controller = self.slot(heartbeat.controller).and_then(|slot| self.slots[slot].node.as_ref());
            let Some(Node::Controller(controller)) = controller else { continue };
            if !controller.takes_idly(broker, &heartbeat) {
                continue;
            }
            let period = heartbeat.interval + self.network.round_trip(broker, heartbeat.controller)?;
            peers.entry(broker).or_default().heartbeat = true;
            peers.entry(heartbeat.controller).or_default().sessions.insert((broker, heartbeat.epoch));
            let kind = Kind::Heartbeat { broker, heartbeat };
            laps.push(Lap { kind, next: heartbeat.at, rest: heartbeat.interval, period });
        }
        Some(laps)
    }

    /// Moves traffic by as many laps as lie before `until`.
    fn skip_laps(&mut self, until: Timestamp, mut laps: Vec<Lap>) {
        laps.retain(|lap| lap.next < until);
        // In the order in which each last moved, as controllers count who of them was there since.
        laps.sort_by_key(|lap| Timestamp(lap.next_from(until).0.saturating_sub(nanos(lap.rest))));
        for lap in laps {
            let next = lap.next_from(until);
            let by = next.since(lap.next);
            match lap.kind {
                Kind::Fetch { from, to, call } => {
                    let asked = Timestamp(next.0.saturating_sub(nanos(lap.rest)));
                    if let Some(slot) = self.slot(from) {
                        self.slots[slot].calls.delay(call, by);
                        if let Some(Node::Controller(node)) = &mut self.slots[slot].node {
                            node.skip_fetches(by);
                        }
                    }
                    let Some(slot) = self.slot(to) else { continue };
                    let clock = self.slots[slot].idle_clock(self.now);
                    match &mut self.slots[slot].node {
                        Some(Node::Broker(node)) => node.skip_parked(clock, from, call, next, asked),
                        Some(Node::Controller(node)) => node.skip_parked(clock, from, call, next, asked),
                        _ => {}
                    }
                }
                Kind::Heartbeat { broker, heartbeat } => {
                    if let Some(slot) = self.slot(broker)
                        && let Some(Node::Broker(node)) = &mut self.slots[slot].node
                    {
                        node.skip_heartbeats(next);
                    }
                    // The last one was on its way for as long as this one will be.
                    let there = self.network.latency(broker, heartbeat.controller).unwrap_or_default();
                    let last = Timestamp(next.0.saturating_sub(nanos(lap.period))) + there;
                    if let Some(slot) = self.slot(heartbeat.controller)
                        && let Some(Node::Controller(node)) = &mut self.slots[slot].node
                    {
                        node.skip_heartbeats(broker, &heartbeat, last);
                    }
                }
            }
        }
    }
}
