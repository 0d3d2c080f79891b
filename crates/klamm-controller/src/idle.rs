//! What a controller does while nothing is asked of it, and how it takes a stretch of that at once (see [`klamm_node::idle`]).

use klamm_node::idle::{IdleClock, IdleHeartbeat, IdlePeers, IdleTraffic, first_from};
use klamm_node::{CallId, NodeId, Timestamp};

use crate::broker_heartbeat::{BrokerState, HeartbeatFacts};
use crate::controller::{Controller, Timer};
use crate::replication_control;

impl Controller {
    /// The traffic of this controller that may be idle.
    pub fn idle_traffic(&self) -> IdleTraffic {
        let mut traffic = IdleTraffic::default();
        if !self.failed {
            self.raft.idle_traffic(&mut traffic);
        }
        traffic
    }

    /// Whether a broker's heartbeat would change nothing but the time of the last contact.
    pub fn takes_idly(&self, broker: NodeId, heartbeat: &IdleHeartbeat) -> bool {
        if self.failed || !self.is_active() || self.state.check_broker_epoch(broker, heartbeat.epoch).is_err()
        {
            return false;
        }
        let Some(register_offset) = self.state.register_offset(broker) else { return false };
        let facts = HeartbeatFacts {
            metadata_offset: heartbeat.metadata_offset,
            want_fence: false,
            want_shut_down: false,
            register_offset,
            leads: self.state.index.leads(broker),
        };
        self.state.heartbeats.next_state(broker, facts) == (BrokerState::Unfenced, BrokerState::Unfenced)
            && self.state.heartbeats.last_contact(broker, heartbeat.epoch).is_some()
    }

    /// The first moment at which something might happen here that is not idle; `peers` says which of its traffic is.
    pub fn idle_until(&self, clock: IdleClock, peers: &IdlePeers) -> Timestamp {
        if self.failed {
            return Timestamp::MAX;
        }
        let timers = self.timers.iter().map(|(timer, at)| {
            let effective = match timer {
                Timer::FenceStaleBroker => self
                    .state
                    .heartbeats
                    .next_expiry(|session| peers.sessions.contains(session))
                    .unwrap_or(Timestamp::MAX),
                Timer::BalanceLeaders | Timer::ElectUncleanLeaders if self.elects_nobody(*timer) => {
                    Timestamp::MAX
                }
                Timer::BalanceLeaders | Timer::ElectUncleanLeaders => Timestamp::ZERO,
            };
            effective.max(at)
        });
        timers
            .chain(self.snapshots.due_at())
            .chain([self.raft.idle_until(clock, peers)])
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    /// Whether a look for leaders to elect finds none.
    fn elects_nobody(&self, timer: Timer) -> bool {
        let mut records = Vec::new();
        let more = match timer {
            Timer::BalanceLeaders => replication_control::balance_leaders(&self.state, &mut records),
            _ => replication_control::elect_unclean_leaders(&self.state, &mut records),
        };
        records.is_empty() && !more
    }

    /// Lets the idle tasks that are due before `until` have been done.
    pub fn skip_tasks(&mut self, until: Timestamp) {
        let due = self.timers.iter().take_while(|(_, at)| *at < until);
        for (timer, at) in due.map(|(timer, at)| (*timer, at)).collect::<Vec<_>>() {
            let next = first_from(at, self.interval(timer), until);
            self.timers.postpone(&timer, next);
        }
        if !self.failed {
            self.raft.skip_tasks(until);
        }
    }

    /// Lets fetches that wait here have been answered and asked again: each of a follower, by its call, the last time at `asked`,
    /// so that it waits until `until`. In order of the times at which they were last asked.
    pub fn skip_parked(
        &mut self,
        clock: IdleClock,
        from: NodeId,
        call: CallId,
        until: Timestamp,
        asked: Timestamp,
    ) {
        self.raft.skip_parked(clock, from, call, until, asked);
    }

    /// Lets this controller's own fetches have been answered with nothing for so much longer.
    pub fn skip_fetches(&mut self, by: std::time::Duration) {
        self.raft.skip_fetches(by);
    }

    /// Lets a broker's heartbeats have come, the last at `at`.
    pub fn skip_heartbeats(&mut self, broker: NodeId, heartbeat: &IdleHeartbeat, at: Timestamp) {
        self.state.heartbeats.contact_again(broker, heartbeat.epoch, at);
        self.state.heartbeats.touch(broker, false, heartbeat.metadata_offset);
    }
}
