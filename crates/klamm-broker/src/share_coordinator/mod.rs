//! The share coordinator (`ShareCoordinatorService`): keeps the state of share-partitions in `__share_group_state`, for the brokers
//! that lead the partitions and for the group coordinator.
//!
//! Each partition of the topic that this broker leads is a [`shard::Shard`]. A write is applied once it is in the local log, and answered
//! once it is committed; the leader's epoch and the group's state epoch fence those who lag behind.

pub(crate) mod ask;
mod config;
mod records;
mod shard;
pub(crate) mod state;
mod timer;

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_log::ReadError;
use klamm_node::{Ctx, ReplyTo, TopicPartition};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::core::{CoordinatorEvent, Core, SHARE_GROUP_STATE_TOPIC, Timer};
use crate::partition::Changes;
use crate::share::key::SharePartitionKey;

pub(crate) use timer::ShareCoordinatorTimer;

use ask::{Answer, Ask, Gathers, Respond};
use config::ShareCoordinatorConfig;
use shard::{Env, Shard, ShardState};

/// A request's questions, by topic and partition.
pub(crate) type Asks = Vec<(Uuid, Vec<(i32, Ask)>)>;

/// The states of share-partitions that this broker keeps.
#[derive(Debug, Clone)]
pub(crate) struct ShareCoordinator {
    config: ShareCoordinatorConfig,
    shards: BTreeMap<i32, Shard>,
    gathers: Gathers,
    /// How many partitions `__share_group_state` has; the configured number until it exists.
    partitions: i32,
}

impl ShareCoordinator {
    /// A coordinator that has loaded nothing.
    pub(crate) fn new(core: &Core) -> Self {
        let config = ShareCoordinatorConfig::new(&core.config);
        let partitions = config.partitions;
        Self { config, shards: BTreeMap::new(), gathers: Gathers::default(), partitions }
    }

    /// Takes note of an election, a resignation, a commit or a deletion.
    pub(crate) fn on_event(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, event: &CoordinatorEvent) {
        if let Some(partitions) = core.partition_count(SHARE_GROUP_STATE_TOPIC) {
            self.partitions = partitions;
        }
        match event {
            CoordinatorEvent::Elected { topic, partition, leader_epoch } if is_ours(topic) => {
                self.elected(core, ctx, *partition, *leader_epoch);
            }
            CoordinatorEvent::Resigned { topic, partition } if is_ours(topic) => {
                self.unload(core, ctx, *partition);
            }
            CoordinatorEvent::HighWatermark { topic, partition, offset } if is_ours(topic) => {
                if let Some((shard, mut env)) = self.active(core, ctx, *partition) {
                    shard.on_high_watermark(&mut env, *offset);
                }
            }
            CoordinatorEvent::TopicsDeleted { topics } => {
                let deleted: Vec<Uuid> = topics.iter().map(|(_, id)| *id).collect();
                self.each_active(core, ctx, |shard, env| shard.topics_deleted(env, &deleted));
            }
            CoordinatorEvent::Elected { .. }
            | CoordinatorEvent::Resigned { .. }
            | CoordinatorEvent::HighWatermark { .. }
            | CoordinatorEvent::ProducerIds { .. } => {}
        }
    }

    /// A deadline has come.
    pub(crate) fn on_timer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, timer: ShareCoordinatorTimer) {
        match timer {
            ShareCoordinatorTimer::Load(partition) => self.load(core, ctx, partition),
            ShareCoordinatorTimer::WriteTimeout(partition) => {
                if let Some((shard, mut env)) = self.active(core, ctx, partition) {
                    shard.on_write_timeout(&mut env);
                }
            }
            ShareCoordinatorTimer::Prune => {
                self.prune(core, ctx);
                self.schedule(core, ctx, timer);
            }
            ShareCoordinatorTimer::ColdSnapshots => {
                self.each_active(core, ctx, |shard, env| shard.snapshot_cold(env));
                self.schedule(core, ctx, timer);
            }
        }
    }

    /// Answers a request; nothing is asked where the request names no group, no topic, or a topic without partitions.
    pub(crate) fn ask(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        group: &str,
        asks: Asks,
        respond: Respond,
    ) {
        if group.is_empty() || asks.is_empty() || asks.iter().any(|(_, partitions)| partitions.is_empty()) {
            return ctx.reply(to, respond(Vec::new()));
        }
        let shape = asks.iter().map(|(topic, partitions)| (*topic, partitions.len())).collect();
        let gather = self.gathers.begin(to, respond, shape);
        let each = asks.into_iter().flat_map(|(topic, partitions)| {
            partitions.into_iter().map(move |(partition, ask)| (topic, partition, ask))
        });
        for (at, (topic, partition, ask)) in each.enumerate() {
            let key = SharePartitionKey::new(group, topic, partition);
            let place = key.coordinator_partition(self.partitions);
            match self.shards.get(&place).map(|shard| shard.state) {
                Some(ShardState::Active) => {
                    if let Some((shard, mut env)) = self.active(core, ctx, place) {
                        shard.ask(&mut env, key, ask, (gather, at));
                    }
                }
                state => {
                    let (error, message) = match state {
                        Some(_) => {
                            (ErrorCode::CoordinatorLoadInProgress, "The share coordinator is loading.")
                        }
                        None => (ErrorCode::NotCoordinator, "This is not the correct coordinator."),
                    };
                    let answer = Answer::error(partition, error, message);
                    self.gathers.answer(ctx, gather, at, answer);
                }
            }
        }
    }

    fn elected(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32, leader_epoch: i32) {
        if let Some(shard) = self.shards.get_mut(&partition) {
            // It led before and leads on: nobody else wrote to the log in between.
            shard.leader_epoch = shard.leader_epoch.max(leader_epoch);
            return;
        }
        if self.shards.is_empty() {
            self.schedule(core, ctx, ShareCoordinatorTimer::Prune);
            self.schedule(core, ctx, ShareCoordinatorTimer::ColdSnapshots);
        }
        let log_start = core.log_start(&name(partition)).unwrap_or(0);
        self.shards.insert(partition, Shard::new(partition, leader_epoch, log_start));
        self.load(core, ctx, partition);
    }

    /// Loads a piece, and asks to be called again if there is more: other work comes between the pieces.
    fn load(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32) {
        let Some((shard, mut env)) = self.env(core, ctx, partition) else { return };
        // An empty or short log, the usual one, is read to its end at once: the second read finds nothing.
        let loaded = match shard.load(&mut env) {
            Ok(false) => shard.load(&mut env),
            other => other,
        };
        match loaded {
            Ok(true) => {}
            Ok(false) => {
                core.set_timer(Timer::ShareCoordinator(ShareCoordinatorTimer::Load(partition)), ctx.now);
            }
            // The log cannot be read: as long as that is so, this broker is no coordinator.
            Err(_) => self.unload(core, ctx, partition),
        }
    }

    fn unload(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32) {
        if let Some(shard) = self.shards.remove(&partition) {
            let (config, gathers) = (&self.config, &mut self.gathers);
            shard.unload(&mut Env { core, ctx, config, gathers });
        }
    }

    /// Sets a deadline of a task that goes on for as long as there is a shard.
    fn schedule(&self, core: &mut Core, ctx: &Ctx<'_>, timer: ShareCoordinatorTimer) {
        core.set_timer(Timer::ShareCoordinator(timer), ctx.now + self.interval(timer));
    }

    /// How often a task comes that finds nothing to do as long as nobody uses a share group; `None` where it might, and for what is
    /// no such task.
    pub(crate) fn idle_interval(&self, timer: &ShareCoordinatorTimer) -> Option<Duration> {
        let nothing = self.shards.values().all(Shard::is_empty);
        match timer {
            ShareCoordinatorTimer::Prune | ShareCoordinatorTimer::ColdSnapshots if nothing => {
                Some(self.interval(*timer))
            }
            _ => None,
        }
    }

    fn interval(&self, timer: ShareCoordinatorTimer) -> Duration {
        Duration::from_millis(match timer {
            ShareCoordinatorTimer::Prune => self.config.prune_interval_ms,
            _ => self.config.cold_snapshot_interval_ms.unsigned_abs(),
        })
    }

    /// Deletes what newer snapshots have made redundant.
    fn prune(&self, core: &mut Core, ctx: &mut Ctx<'_>) {
        for (partition, shard) in &self.shards {
            if shard.state == ShardState::Active
                && let Some(offset) = shard.redundant_below()
            {
                core.delete_redundant(ctx, &name(*partition), offset);
            }
        }
    }

    fn env<'e, 'c>(
        &'e mut self,
        core: &'e mut Core,
        ctx: &'e mut Ctx<'c>,
        partition: i32,
    ) -> Option<(&'e mut Shard, Env<'e, 'c>)> {
        let shard = self.shards.get_mut(&partition)?;
        Some((shard, Env { core, ctx, config: &self.config, gathers: &mut self.gathers }))
    }

    fn active<'e, 'c>(
        &'e mut self,
        core: &'e mut Core,
        ctx: &'e mut Ctx<'c>,
        partition: i32,
    ) -> Option<(&'e mut Shard, Env<'e, 'c>)> {
        self.env(core, ctx, partition).filter(|(shard, _)| shard.state == ShardState::Active)
    }

    fn each_active(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        mut act: impl FnMut(&mut Shard, &mut Env<'_, '_>),
    ) {
        let mut env = Env { core, ctx, config: &self.config, gathers: &mut self.gathers };
        for shard in self.shards.values_mut().filter(|shard| shard.state == ShardState::Active) {
            act(shard, &mut env);
        }
    }
}

fn is_ours(topic: &StrBytes) -> bool {
    topic.as_str() == SHARE_GROUP_STATE_TOPIC
}

fn name(partition: i32) -> TopicPartition {
    TopicPartition::new(StrBytes::from_static_str(SHARE_GROUP_STATE_TOPIC), partition)
}

impl Core {
    /// Moves the start of a log that this broker leads up to `offset`, but not beyond what is committed.
    fn delete_redundant(&mut self, ctx: &mut Ctx<'_>, name: &TopicPartition, offset: i64) {
        let Ok(slot) = self.local_partition(name) else { return };
        let Some(partition) = self.replicas.get_mut(slot).filter(|partition| partition.is_leader()) else {
            return;
        };
        let offset = offset.min(partition.log.high_watermark());
        let dir = partition.dir;
        match partition.log.maybe_increment_log_start_offset(&mut *self.disk, offset) {
            Ok(true) => {
                partition.changes.add(Changes::LOG_START);
                self.replicas.note(slot);
            }
            Ok(false) | Err(ReadError::OffsetOutOfRange { .. }) => {}
            Err(ReadError::Log(error)) => self.on_log_failure(ctx, dir, &error),
            Err(_) => {}
        }
    }
}
