//! What a broker does while nobody asks anything of it, and how it takes a stretch of that at once (see [`klamm_node::idle`]).
//!
//! Every timer is either known here to find nothing to do before some moment, or counts as something that happens.

use std::time::Duration;

use klamm_node::idle::{
    IdleClock, IdleHeartbeat, IdlePeers, IdleTraffic, ParkedFetch, RepeatedFetch, first_from,
};
use klamm_node::{CallId, NodeId, ReplyTo, Timestamp};

use crate::broker::Broker;
use crate::core::{Call, Core, Timer};
use crate::group::GroupTimer;
use crate::log_dirs::Dir;
use crate::metadata;
use crate::purgatory::OpId;
use crate::purgatory::fetch::{FetchOp, FetchScope};

/// A task that comes from time to time.
struct Recurring {
    period: Duration,
    /// When it might find something to do; `None` for never.
    effective: Option<Timestamp>,
}

impl Broker {
    /// The traffic of this broker that may be idle.
    pub fn idle_traffic(&self) -> IdleTraffic {
        let core = &self.core;
        let mut traffic = IdleTraffic::default();
        for (id, op, until) in core.fetch_ops.iter() {
            if let ReplyTo::Node { node: from, call } = op.reply_to
                && core.is_idle_fetch(id, op)
            {
                traffic.parked.push(ParkedFetch { from, call, until });
            }
        }
        let follower_wait = core.config.hot.replica_fetch_wait_max_ms;
        #[expect(clippy::iter_over_hash_type, reason = "sorted below")]
        for (call, purpose) in &core.calls {
            let (to, wait_ms) = match purpose {
                Call::FollowerFetch { leader } if core.repeats_fetch(*leader) => (*leader, follower_wait),
                Call::MetadataFetch if core.metadata.only_waits() && core.asks_the_active_controller() => {
                    (core.controller.active(), metadata::MAX_WAIT_MS)
                }
                _ => continue,
            };
            let wait = Duration::from_millis(wait_ms.max(0).unsigned_abs().into());
            traffic.fetches.push(RepeatedFetch { call: *call, to, wait });
        }
        traffic.fetches.sort_unstable_by_key(|fetch| fetch.call);
        traffic.heartbeat = core.idle_heartbeat();
        traffic
    }

    /// The first moment at which something might happen here that is not idle; `peers` says which of its traffic is.
    pub fn idle_until(&self, clock: IdleClock, peers: &IdlePeers) -> Timestamp {
        let core = &self.core;
        let is_idle = |op: &FetchOp| matches!(op.reply_to, ReplyTo::Node { node, call } if peers.parked.contains(&(node, call)));
        let fetches = core.fetch_ops.iter().filter(|(_, op, _)| !is_idle(op)).map(|(_, _, at)| at).min();
        let timers = core.timers.iter().map(|(timer, at)| match self.recurring(timer, clock) {
            Some(Recurring { effective, .. }) => effective.map_or(Timestamp::MAX, |from| from.max(at)),
            None if *timer == Timer::Heartbeat && peers.heartbeat => Timestamp::MAX,
            None => at,
        });
        [
            core.produce_ops.next_deadline(),
            core.delete_ops.next_deadline(),
            self.share.next_deadline(),
            fetches,
        ]
        .into_iter()
        .flatten()
        .chain(timers)
        .min()
        .unwrap_or(Timestamp::MAX)
    }

    /// A task that finds nothing to do for a while; `None` for any other timer.
    fn recurring(&self, timer: &Timer, clock: IdleClock) -> Option<Recurring> {
        let core = &self.core;
        let hot = &core.config.hot;
        let unless = |idle: bool| (!idle).then_some(Timestamp::ZERO);
        let from = |millis: Option<i64>| millis.map(|millis| clock.when(millis));
        let (period, effective) = match timer {
            Timer::ShrinkIsrs => (core.isr_check_interval(), unless(core.all_in_sync_hold_everything())),
            Timer::CheckpointHighWatermarks => {
                (hot.high_watermark_checkpoint_interval, unless(!core.replicas.checkpoint_due))
            }
            Timer::CheckpointLogs => (hot.flush_checkpoint_interval, unless(core.is_checkpointed())),
            Timer::Retention => (hot.retention_check_interval, from(core.next_retention_ms())),
            Timer::Clean => (core.cleaner_backoff(), from(core.next_cleaning_ms(clock.wall.millis()))),
            Timer::Group(GroupTimer::ExpireOffsets { partition }) => {
                (self.groups.expiry_interval(), from(self.groups.next_expiry_ms(*partition)))
            }
            Timer::Transaction(timer) => {
                let (period, next) = self.transactions.sweep(timer)?;
                (period, from(next))
            }
            Timer::ShareCoordinator(timer) => (self.share_coordinator.idle_interval(timer)?, None),
            _ => return None,
        };
        Some(Recurring { period, effective })
    }

    /// Lets the idle tasks that are due before `until` have been done.
    pub fn skip_tasks(&mut self, clock: IdleClock, until: Timestamp) {
        let due = self.core.timers.iter().take_while(|(_, at)| *at < until);
        let due =
            due.filter_map(|(timer, at)| Some((timer.clone(), at, self.recurring(timer, clock)?.period)));
        for (timer, at, period) in due.collect::<Vec<_>>() {
            self.core.timers.postpone(&timer, first_from(at, period, until));
        }
    }

    /// Lets a fetch that waits here have been answered and asked again; the last time so that it waits until `until`.
    pub fn skip_parked(
        &mut self,
        clock: IdleClock,
        from: NodeId,
        call: CallId,
        until: Timestamp,
        asked: Timestamp,
    ) {
        let core = &mut self.core;
        let Some(id) = core.parked_followers.get(&from).copied() else { return };
        let Some(op) = core.fetch_ops.get_mut(id) else { return };
        if op.reply_to != (ReplyTo::Node { node: from, call }) {
            return;
        }
        let scope = op.scope.clone();
        core.fetch_ops.set_deadline(id, until);
        if let FetchScope::Session { id, .. } = scope {
            if let Some(session) = core.sessions.get_mut(id) {
                session.last_fetch_ms = clock.wall_at(asked);
            }
            core.sessions.note_use(id, asked.as_millis());
        }
    }

    /// Lets heartbeats have been sent and answered, so that the next is due at `at`.
    pub fn skip_heartbeats(&mut self, at: Timestamp) {
        self.core.timers.postpone(&Timer::Heartbeat, at);
        self.core.lifecycle.told_offset = self.core.metadata.image().provenance.last_contained_offset;
    }
}

impl Core {
    /// Whether a fetch waits that will be answered with nothing, and leaves nothing changed behind.
    fn is_idle_fetch(&self, id: OpId, op: &FetchOp) -> bool {
        let FetchScope::Session { id: session, epoch } = op.scope else { return false };
        self.parked_followers.get(&op.params.replica) == Some(&id)
            && !self.quotas.leader.is_set()
            && self.sessions.get(session).is_some_and(|session| {
                session.epoch == epoch && session.parked == Some(id) && session.queued().next().is_none()
            })
    }

    /// Whether a fetch from a leader that brings nothing is followed by the same again.
    fn repeats_fetch(&self, leader: NodeId) -> bool {
        !self.quotas.follower.is_set() && self.fetchers.only_waits(leader)
    }

    fn asks_the_active_controller(&self) -> bool {
        self.controller.fetching_from == Some(self.controller.active())
    }

    fn idle_heartbeat(&self) -> Option<IdleHeartbeat> {
        if !self.lifecycle.only_keeps_its_session() {
            return None;
        }
        Some(IdleHeartbeat {
            controller: self.controller.active(),
            epoch: self.lifecycle.epoch,
            metadata_offset: self.metadata.image().provenance.last_contained_offset,
            at: self.timers.deadline(&Timer::Heartbeat)?,
            interval: self.config.hot.heartbeat_interval,
        })
    }

    /// Whether nobody can fall out of an ISR while nothing is written: every member holds what its leader holds.
    fn all_in_sync_hold_everything(&self) -> bool {
        self.replicas.iter().all(|(_, partition)| {
            let Some(leading) = &partition.leading else { return true };
            let end = partition.log.log_end_offset();
            let holds_all =
                |id: &NodeId| leading.remote(*id).is_some_and(|replica| replica.log_end_offset == end);
            !leading.isr_state.is_inflight()
                && partition.isr.iter().all(|id| *id == self.settings.node || holds_all(id))
        })
    }

    fn is_checkpointed(&self) -> bool {
        self.replicas.dirs.online().into_iter().all(|dir| {
            let metadata = (dir == Dir::METADATA).then(|| self.metadata.log());
            let here = self.replicas.iter().filter(|(_, p)| p.dir == dir).map(|(_, p)| &p.log);
            let manager = self.replicas.dirs.manager(dir);
            manager.is_some_and(|manager| manager.is_checkpointed(metadata.into_iter().chain(here)))
        })
    }

    /// When retention might find something to do, in milliseconds of the wall clock.
    fn next_retention_ms(&self) -> Option<i64> {
        let logs = self.replicas.iter().map(|(_, partition)| &partition.log);
        let next = logs.flat_map(|log| {
            let retention = if log.config().compact { None } else { log.next_retention_ms() };
            [log.next_on_time_ms(), retention].into_iter().flatten()
        });
        next.min()
    }

    /// When the cleaners might find something to do, in milliseconds of the wall clock.
    fn next_cleaning_ms(&self, now_ms: i64) -> Option<i64> {
        if !self.cleaners.is_idle() {
            return Some(now_ms);
        }
        let compacted = self.replicas.iter().map(|(_, p)| p).filter(|p| p.log.config().compact);
        let next = compacted.filter(|p| !self.cleaners.leaves_alone(&p.name)).flat_map(|partition| {
            let log = &partition.log;
            let due = log.cleanable(now_ms).is_some_and(|cleanable| {
                cleanable.is_due && cleanable.first_uncleanable_offset > cleanable.first_dirty_offset
            });
            let due = (due && partition.future.is_none()).then_some(now_ms);
            [due, log.next_cleaning_ms(now_ms), log.next_retention_ms()].into_iter().flatten()
        });
        next.min()
    }
}
