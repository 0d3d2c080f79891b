//! The group coordinator (Kafka's `GroupCoordinatorService`): who may ask what, and which shard answers.
//!
//! Each partition of `__consumer_offsets` that this broker leads is a [`shard::Shard`]: a state machine that knows its log and
//! its broker only as a [`host::Host`]. Requests come in through the [`doors`]; each is answered from one shard, except
//! those that name several groups ([`gather`]).
//!
//! Rules are Kafka 4.4's. What a client sees different: a second JoinGroup or SyncGroup of a member whose first one still
//! waits gets the first one answered with `REBALANCE_IN_PROGRESS`, where Kafka leaves it without an answer.

mod classic;
mod commit;
mod config;
mod describe;
mod done;
mod doors;
mod fetch;
mod force;
mod gather;
mod groups;
mod host;
mod inspect;
mod join;
mod leave;
mod member;
pub(crate) mod modern;
mod offsets;
mod partitioner;
mod pending;
mod rebalance;
mod records;
mod reply;
mod shard;
mod state;
mod sync;
#[cfg(test)]
mod tests;
mod timer;
pub(crate) mod txn;
mod view;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_node::Ctx;
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::core::{CoordinatorEvent, Core, GROUP_METADATA_TOPIC, RequestContext};
use crate::handlers::group::find_coordinator::WaitingFinds;

pub(crate) use fetch::GroupFetch;
pub(crate) use host::offsets_partition;
pub use inspect::{AssignedPartitions, GroupInspection, GroupMemberInspection};
pub(crate) use modern::share::initialize::{Answers, Asks, ShareAsked};
pub(crate) use partitioner::partition_for;
pub(crate) use shard::coordinator_error;
pub(crate) use timer::GroupTimer;
pub use view::GroupView;

use config::GroupConfig;
use gather::Gathers;
use host::Host;
use member::Parked;
pub(crate) use member::own;

use shard::{Env, Shard, ShardState};

/// Groups, and the offsets they committed.
#[derive(Debug, Clone)]
pub(crate) struct GroupCoordinator {
    config: GroupConfig,
    shards: BTreeMap<i32, Shard>,
    gathers: Gathers,
    /// How many partitions `__consumer_offsets` has; the configured number until it exists.
    partitions: i32,
    /// FindCoordinator requests that wait for `__consumer_offsets`.
    pub(crate) waiting_finds: WaitingFinds,
}

impl GroupCoordinator {
    /// A coordinator that has loaded nothing.
    pub(crate) fn new(core: &mut Core, _ctx: &mut Ctx<'_>) -> Self {
        Self::with_config(GroupConfig::new(&core.config))
    }

    fn with_config(config: GroupConfig) -> Self {
        let partitions = config.partitions;
        Self {
            config,
            shards: BTreeMap::new(),
            gathers: Gathers::default(),
            partitions,
            waiting_finds: WaitingFinds::default(),
        }
    }

    /// Takes note of an election, a resignation, a commit or a deletion.
    pub(crate) fn on_event(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, event: CoordinatorEvent) {
        if let Some(partitions) = core.partition_count(GROUP_METADATA_TOPIC) {
            self.partitions = partitions;
        }
        self.on_host_event(core, ctx, event);
    }

    fn on_host_event(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, event: CoordinatorEvent) {
        match event {
            CoordinatorEvent::Elected { topic, partition, leader_epoch }
                if topic.as_str() == GROUP_METADATA_TOPIC =>
            {
                self.elected(host, ctx, partition, leader_epoch);
            }
            CoordinatorEvent::Resigned { topic, partition } if topic.as_str() == GROUP_METADATA_TOPIC => {
                if let Some(shard) = self.shards.remove(&partition) {
                    let gathers = &mut self.gathers;
                    shard.unload(&mut Env { host, ctx, config: &self.config, gathers });
                }
            }
            CoordinatorEvent::HighWatermark { topic, partition, offset }
                if topic.as_str() == GROUP_METADATA_TOPIC =>
            {
                if let Some((shard, mut env)) = self.shard(host, ctx, partition)
                    && shard.state == ShardState::Active
                {
                    shard.on_high_watermark(&mut env, offset);
                }
            }
            CoordinatorEvent::TopicsDeleted { topics } => self.topics_deleted(host, ctx, &topics),
            CoordinatorEvent::Elected { .. }
            | CoordinatorEvent::Resigned { .. }
            | CoordinatorEvent::HighWatermark { .. }
            | CoordinatorEvent::ProducerIds { .. } => {}
        }
    }

    /// A deadline has come.
    pub(crate) fn on_timer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, timer: GroupTimer) {
        match timer {
            GroupTimer::Find => self.waiting_finds.expire(core, ctx),
            timer => self.on_host_timer(core, ctx, timer),
        }
    }

    fn on_host_timer(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, timer: GroupTimer) {
        let Some(partition) = timer.partition() else { return };
        if matches!(timer, GroupTimer::Load { .. }) {
            return self.load(host, ctx, partition);
        }
        let Some((shard, mut env)) = self.shard(host, ctx, partition) else { return };
        if shard.state != ShardState::Active {
            return;
        }
        match timer {
            GroupTimer::Find | GroupTimer::Load { .. } => {}
            GroupTimer::WriteTimeout { .. } => shard.on_write_timeout(&mut env),
            GroupTimer::ExpireOffsets { .. } => shard.expire_offsets(&mut env),
            GroupTimer::Join { group, .. } => shard.on_join_timeout(&mut env, &group),
            GroupTimer::Sync { group, .. } => shard.on_sync_timeout(&mut env, &group),
            GroupTimer::Session { group, member, .. } => {
                if !shard.fence_silent(&mut env, &group, &member, "session expired") {
                    shard.on_session_timeout(&mut env, &group, &member);
                }
            }
            GroupTimer::Rebalance { group, member, .. } => {
                shard.on_rebalance_timeout(&mut env, &group, &member);
            }
            GroupTimer::MemberJoin { group, member, .. } => {
                shard.fence_silent(&mut env, &group, &member, "did not join in time");
            }
            GroupTimer::MemberSync { group, member, .. } => {
                shard.fence_silent(&mut env, &group, &member, "did not sync in time");
            }
        }
    }

    /// When the offsets of a shard might expire, in milliseconds of the wall clock, as long as nobody uses its groups; `None` for
    /// never.
    pub(crate) fn next_expiry_ms(&self, partition: i32) -> Option<i64> {
        match self.shards.get(&partition) {
            Some(shard) if shard.state == ShardState::Active => {
                shard.next_expiry_ms(self.config.offsets_retention_ms)
            }
            _ => Some(i64::MIN),
        }
    }

    /// How often expired offsets are looked for.
    pub(crate) const fn expiry_interval(&self) -> Duration {
        Duration::from_millis(self.config.offsets_retention_check_interval_ms)
    }

    /// The partition of `__consumer_offsets` that keeps a group.
    pub(crate) fn partition_for(&self, group: &str) -> i32 {
        partition_for(group, self.partitions)
    }

    fn elected(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, partition: i32, leader_epoch: i32) {
        if let Some(shard) = self.shards.get_mut(&partition) {
            // It led before and leads on: nobody else wrote to the log in between.
            shard.leader_epoch = shard.leader_epoch.max(leader_epoch);
            return;
        }
        let log_start = host.log_start(partition).unwrap_or(0);
        self.shards.insert(partition, Shard::new(&self.config, partition, leader_epoch, log_start));
        self.load(host, ctx, partition);
    }

    /// Loads a piece, and asks to be called again if there is more: other work comes between the pieces.
    fn load(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, partition: i32) {
        let Some((shard, mut env)) = self.shard(host, ctx, partition) else { return };
        // An empty or short log, the usual one, is read to its end at once: the second read finds nothing.
        let loaded = match shard.load(&mut env) {
            Ok(false) => shard.load(&mut env),
            other => other,
        };
        match loaded {
            Ok(true) => {}
            Ok(false) => env.set_timer(GroupTimer::Load { partition }, 0),
            Err(_) => {
                // The log cannot be read: as long as that is so, this broker is no coordinator.
                if let Some(shard) = self.shards.remove(&partition) {
                    let gathers = &mut self.gathers;
                    shard.unload(&mut Env { host, ctx, config: &self.config, gathers });
                }
            }
        }
    }

    fn topics_deleted(&mut self, host: &mut dyn Host, ctx: &mut Ctx<'_>, topics: &[(StrBytes, Uuid)]) {
        let partitions: Vec<i32> = self.shards.keys().copied().collect();
        for partition in partitions {
            if let Some((shard, mut env)) = self.shard(host, ctx, partition)
                && shard.state == ShardState::Active
            {
                shard.forget_topics(&mut env, topics);
                shard.share_topics_deleted(&mut env, &topics.iter().map(|(_, id)| *id).collect());
            }
        }
    }

    fn shard_state(&self, partition: i32) -> Result<(), ErrorCode> {
        match self.shards.get(&partition).map(|shard| shard.state) {
            None => Err(ErrorCode::NotCoordinator),
            Some(ShardState::Loading(_)) => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(ShardState::Active) => Ok(()),
        }
    }

    fn shard<'a, 'c>(
        &'a mut self,
        host: &'a mut dyn Host,
        ctx: &'a mut Ctx<'c>,
        partition: i32,
    ) -> Option<(&'a mut Shard, Env<'a, 'c>)> {
        let shard = self.shards.get_mut(&partition)?;
        Some((shard, Env { host, ctx, config: &self.config, gathers: &mut self.gathers }))
    }

    /// The shard of a group, if it serves.
    fn lookup(&self, group: &str) -> Result<i32, ErrorCode> {
        let partition = self.partition_for(group);
        self.shard_state(partition).map(|()| partition)
    }

    /// As [`Self::lookup`], for requests to which a group without a name is none.
    fn lookup_named(&self, group: &str) -> Result<i32, ErrorCode> {
        if group.is_empty() { Err(ErrorCode::InvalidGroupId) } else { self.lookup(group) }
    }

    fn at<'a, 'c>(
        &'a mut self,
        host: &'a mut dyn Host,
        ctx: &'a mut Ctx<'c>,
        partition: i32,
    ) -> (&'a mut Shard, Env<'a, 'c>) {
        self.shard(host, ctx, partition).expect("the partition was looked up a moment ago")
    }
}

const fn parked(rc: &RequestContext) -> Parked {
    Parked { to: rc.reply_to, version: rc.api_version }
}
