//! The quorum's part of a stretch of time in which nothing is decided.

use std::collections::BTreeSet;
use std::time::Duration;

use klamm_node::idle::{IdleClock, IdlePeers, IdleTraffic, ParkedFetch, RepeatedFetch, first_from};
use klamm_node::{CallId, NodeId, ReplyTo, Timestamp};

use super::Raft;
use super::quorum_state::State;
use super::replication::MAX_FETCH_WAIT_MS;
use super::snapshot::CLEAN_INTERVAL;

impl Raft {
    /// The fetches that wait here for what is not there, and our own.
    pub(crate) fn idle_traffic(&self, traffic: &mut IdleTraffic) {
        if self.is_persisting() || self.closing.is_some() {
            return;
        }
        let (end, committed) = (self.log.log_end_offset(), self.high_watermark.unwrap_or(-1));
        if self.is_leader() {
            for (to, wanted, until) in self.fetches.iter() {
                let ReplyTo::Node { node: from, call } = to else { continue };
                let holds_all = wanted.offset == end && wanted.high_watermark == committed;
                if from == wanted.from && wanted.current_leader_epoch == self.epoch && holds_all {
                    traffic.parked.push(ParkedFetch { from, call, until });
                }
            }
        }
        if let State::Follower(follower) = &self.state
            && follower.download.is_none()
            && self.log.recovery_point() >= end
            && let Some(call) = self.connections.fetching_from(follower.leader)
        {
            let wait = Duration::from_millis(u64::from(MAX_FETCH_WAIT_MS.unsigned_abs()));
            traffic.fetches.push(RepeatedFetch { call, to: follower.leader, wait });
        }
    }

    /// The first moment at which something might happen here that is not idle.
    pub(crate) fn idle_until(&self, clock: IdleClock, peers: &IdlePeers) -> Timestamp {
        let state = match &self.state {
            State::Unattached { deadline, .. }
            | State::Prospective { deadline, .. }
            | State::Candidate { deadline, .. }
            | State::Resigned { deadline, .. } => *deadline,
            State::Follower(_) if self.repeats_fetch(peers) => Timestamp::MAX,
            State::Follower(follower) => follower.fetch_deadline,
            State::Leader(leader) => {
                let fetching: BTreeSet<NodeId> = peers.parked.iter().map(|(from, _)| *from).collect();
                if self.others().all(|voter| fetching.contains(&voter)) {
                    Timestamp::MAX
                } else {
                    leader.check_quorum_at().map_or(leader.begin_epoch_at, |at| at.min(leader.begin_epoch_at))
                }
            }
        };
        let is_idle =
            |to: ReplyTo| matches!(to, ReplyTo::Node { node, call } if peers.parked.contains(&(node, call)));
        let parked = self.fetches.iter().filter(|(to, ..)| !is_idle(*to)).map(|(_, _, until)| until);
        let cleaning = self.snapshots.next_deadline().map(|at| at.max(self.cleans_at(clock)));
        parked
            .chain([state])
            .chain(self.retry_at)
            .chain(self.closing)
            .chain(cleaning)
            .min()
            .unwrap_or(Timestamp::MAX)
    }

    fn repeats_fetch(&self, peers: &IdlePeers) -> bool {
        let State::Follower(follower) = &self.state else { return false };
        self.connections.fetching_from(follower.leader).is_some_and(|call| peers.fetches.contains(&call))
    }

    /// When a look at old snapshots might find one to delete.
    fn cleans_at(&self, clock: IdleClock) -> Timestamp {
        let sizes = self.snapshots.total_size() + self.log.size();
        let several = self.snapshots.oldest_of_several_ms();
        let too_large = u64::try_from(self.config.retention_bytes).is_ok_and(|most| sizes > most);
        let too_old = several.map(|oldest| match self.config.retention_ms {
            _ if too_large => i64::MIN,
            retention if retention >= 0 => oldest.saturating_add(retention).saturating_add(1),
            _ => i64::MAX,
        });
        let next = [too_old, self.log.next_on_time_ms()].into_iter().flatten().min();
        // With nothing left to look after, the next look is the last.
        let last = self.snapshots.next_deadline().filter(|_| several.is_none() && next.is_none());
        last.unwrap_or_else(|| next.map_or(Timestamp::MAX, |millis| clock.when(millis)))
    }

    /// Lets the looks at old snapshots that are due before `until` have been taken, and voters have been told that they fetch.
    pub(crate) fn skip_tasks(&mut self, until: Timestamp) {
        if let Some(at) = self.snapshots.next_deadline() {
            self.snapshots.clean_later(first_from(at, CLEAN_INTERVAL, until));
        }
        let interval = self.config.fetch_timeout / 2;
        if let State::Leader(leader) = &mut self.state {
            leader.begin_epoch_at = first_from(leader.begin_epoch_at, interval, until);
        }
    }

    /// Lets a fetch that waits here have been answered and asked again.
    pub(crate) fn skip_parked(
        &mut self,
        clock: IdleClock,
        from: NodeId,
        call: CallId,
        until: Timestamp,
        asked: Timestamp,
    ) {
        let Some(directory_id) = self.fetches.wait_until(ReplyTo::Node { node: from, call }, until) else {
            return;
        };
        if let State::Leader(leader) = &mut self.state {
            leader.note_idle_fetch(from, directory_id, asked, clock.wall_at(asked));
        }
    }

    /// Lets our own fetches have been answered for so much longer.
    pub(crate) fn skip_fetches(&mut self, by: Duration) {
        if let State::Follower(follower) = &mut self.state {
            follower.fetch_deadline += by;
        }
    }
}
