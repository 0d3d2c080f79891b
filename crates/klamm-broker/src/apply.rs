//! What a metadata delta does to this broker's replicas and configuration (`ReplicaManager.applyDelta`, `DynamicConfigPublisher`).

use std::collections::BTreeSet;
use std::sync::Arc;

use klamm_metadata::{ConfigResourceKind, DIRECTORY_UNASSIGNED, MetadataDelta, PartitionRegistration};
use klamm_node::{Ctx, Era, NodeId, TopicIdPartition, TopicPartition, TraceKind};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::config::BrokerConfig;
use crate::core::{CoordinatorEvent, Core, leader_env};
use crate::log_dirs::Dir;
use crate::partition::{Partition, Slot};

impl Core {
    /// Takes over dynamic configuration.
    pub(crate) fn apply_configs(&mut self, delta: &MetadataDelta) {
        let mut broker_changed = false;
        let mut topics: Vec<StrBytes> = Vec::new();
        let me = self.settings.node.to_string();
        for resource in delta.configs.keys() {
            match resource.kind {
                ConfigResourceKind::Broker if resource.name.is_empty() || *resource.name == *me => {
                    broker_changed = true;
                }
                ConfigResourceKind::Topic => topics.push(resource.name.clone()),
                _ => {}
            }
        }
        if broker_changed {
            self.config.apply(self.settings.node, &self.metadata.image().configs);
            self.quotas.follow(&self.config);
            let limits = self.config.log_limits(self.settings.node);
            self.replicas.set_log_limits(limits);
            // A topic's defaults are the broker's keys.
            self.replicas.forget_config(None);
            for slot in self.replicas.slots() {
                self.refresh_log_config(slot);
            }
            return;
        }
        for topic in topics {
            self.replicas.forget_config(Some(&topic));
            let partitions = self.metadata.image().topics.by_name(&topic).map_or(0, |t| t.partitions.len());
            for index in 0..partitions {
                let name = TopicPartition { topic: topic.clone(), partition: index as i32 };
                if let Some(slot) = self.replicas.slot_by_name(&name) {
                    self.refresh_log_config(slot);
                }
            }
        }
    }

    fn refresh_log_config(&mut self, slot: Slot) {
        let Some(topic) = self.replicas.get(slot).map(|partition| partition.name.topic.clone()) else {
            return;
        };
        let (config, configs) = (&self.config, &self.metadata.image().configs);
        let config = self.replicas.log_config(&topic, || config.log_config(configs, &topic));
        if let Some(partition) = self.replicas.get_mut(slot) {
            if let Some(future) = &mut partition.future {
                future.log.update_config(config.clone());
            }
            partition.log.update_config(config);
            partition.note_throttles(self.settings.node);
        }
    }

    /// Takes over topics and partitions: deletions, then leaders, then followers, as Kafka does.
    pub(crate) fn apply_topics(&mut self, ctx: &mut Ctx<'_>, delta: &MetadataDelta) {
        let me = self.settings.node;
        let mut deleted = Vec::new();
        let mut leads: Vec<(TopicIdPartition, StrBytes, Arc<PartitionRegistration>)> = Vec::new();
        let mut follows = leads.clone();
        for (id, topic) in &delta.topics {
            if let Some(removed) = &topic.removed {
                for (index, _) in removed.iter() {
                    self.stop_replica(ctx, *id, index, &topic.name);
                }
                deleted.push((topic.name.clone(), *id));
                if self.metadata.image().topics.by_id(*id).is_none() {
                    continue;
                }
            }
            for (index, before) in &topic.partitions {
                let key = TopicIdPartition { topic_id: *id, partition: *index };
                let Some(now) = self.metadata.image().topics.partition(*id, *index).cloned() else {
                    continue;
                };
                if !now.has_replica(me) {
                    if before.as_ref().is_some_and(|before| before.has_replica(me)) {
                        self.stop_replica(ctx, *id, *index, &topic.name);
                    }
                } else if now.leader == me {
                    leads.push((key, topic.name.clone(), now));
                } else {
                    follows.push((key, topic.name.clone(), now));
                }
            }
        }
        if !deleted.is_empty() {
            self.coordinator_events.push_back(CoordinatorEvent::TopicsDeleted { topics: deleted });
        }
        let mut followers = BTreeSet::new();
        for (key, name, registration) in leads {
            if self.lead(ctx, key, &name, &registration) {
                followers.extend(registration.replicas.iter().copied().filter(|id| *id != me));
            }
        }
        self.release_followers(ctx, &followers.into_iter().collect::<Vec<_>>());
        for (key, name, registration) in follows {
            self.follow(ctx, key, &name, &registration);
        }
        // Leaders that came or went decide whom a follower can ask.
        if delta.brokers.keys().any(|id| *id != me) {
            self.refollow(&delta.brokers.keys().copied().collect::<Vec<_>>());
        }
    }

    /// Leads a partition from now on. True when it did not before.
    fn lead(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: TopicIdPartition,
        topic: &StrBytes,
        registration: &PartitionRegistration,
    ) -> bool {
        let Some(slot) = self.host(ctx, key, topic, registration) else { return false };
        self.fetchers.remove(slot);
        self.cancel_proposal(&key);
        let env = leader_env!(self, ctx);
        let Some(partition) = self.replicas.get_mut(slot) else { return false };
        let dir = partition.dir;
        let change = match partition.make_leader(registration, &mut *self.disk, env) {
            Ok(Some(change)) => change,
            Ok(None) => return false,
            Err(error) => {
                self.on_log_failure(ctx, dir, &error);
                return false;
            }
        };
        if change.new_epoch {
            let (epoch, start_offset) = (partition.leader_epoch, partition.log.log_end_offset());
            let (name, internal) = (partition.name.clone(), partition.is_internal);
            ctx.trace(TraceKind::BecameLeader { partition: name.clone(), epoch, start_offset });
            if internal {
                self.coordinator_events.push_back(CoordinatorEvent::Elected {
                    topic: name.topic,
                    partition: name.partition,
                    leader_epoch: epoch,
                });
            }
        }
        self.replicas.note(slot);
        change.new_role
    }

    fn follow(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: TopicIdPartition,
        topic: &StrBytes,
        registration: &PartitionRegistration,
    ) {
        let Some(slot) = self.host(ctx, key, topic, registration) else { return };
        self.cancel_proposal(&key);
        let Some(partition) = self.replicas.get_mut(slot) else { return };
        let Some(change) = partition.make_follower(registration) else { return };
        let (epoch, leader) = (partition.leader_epoch, partition.leader);
        if change.new_role && partition.is_internal {
            self.coordinator_events.push_back(CoordinatorEvent::Resigned {
                topic: partition.name.topic.clone(),
                partition: partition.name.partition,
            });
        }
        if change.new_epoch && ctx.tracing() {
            ctx.trace(TraceKind::BecameFollower { partition: partition.name.clone(), epoch, leader });
        }
        self.replicas.note(slot);
        if (change.new_role || change.new_epoch) && self.settings.eras.on(Era::TruncateToHw) {
            self.truncate_to_high_watermark(ctx, slot);
        }
        if change.new_role || change.new_epoch {
            self.follow_leader(slot, key, leader, epoch);
        }
    }

    /// Fetches from a leader that lives; otherwise waits for metadata that names one.
    fn follow_leader(&mut self, slot: Slot, key: TopicIdPartition, leader: NodeId, epoch: i32) {
        if self.metadata.image().cluster.broker(leader).is_some() && !self.lifecycle.is_stopping() {
            self.fetchers.follow(slot, key, leader, epoch);
        } else {
            self.fetchers.remove(slot);
        }
    }

    /// Brokers registered: partitions that waited for one of them as leader can be followed now.
    fn refollow(&mut self, brokers: &[NodeId]) {
        let waiting: Vec<_> = self
            .replicas
            .iter()
            .filter(|(slot, partition)| {
                !partition.is_leader()
                    && brokers.contains(&partition.leader)
                    && !self.fetchers.is_following(*slot)
            })
            .map(|(slot, partition)| {
                let key =
                    TopicIdPartition { topic_id: partition.topic_id, partition: partition.name.partition };
                (slot, key, partition.leader, partition.leader_epoch)
            })
            .collect();
        for (slot, key, leader, epoch) in waiting {
            self.follow_leader(slot, key, leader, epoch);
        }
    }

    /// The place of a partition's replica, which is created, or claimed from what was found on the disk, if need be. There is
    /// none while the replica is in a directory that failed (`getOrCreatePartition`, `createLogInAssignedDirectoryId`).
    fn host(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: TopicIdPartition,
        topic: &StrBytes,
        registration: &PartitionRegistration,
    ) -> Option<Slot> {
        let slot = match self.replicas.slot_by_id(key.topic_id, key.partition) {
            Some(slot) => slot,
            None => self.make_replica(ctx, key, topic, registration)?,
        };
        self.check_assignment(slot, registration);
        if std::mem::take(&mut self.moves_due) {
            self.note_move(ctx);
        }
        Some(slot)
    }

    fn make_replica(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: TopicIdPartition,
        topic: &StrBytes,
        registration: &PartitionRegistration,
    ) -> Option<Slot> {
        let eras = self.settings.eras;
        let name = TopicPartition { topic: topic.clone(), partition: key.partition };
        // The same name under another id: the topic was deleted and created again while nobody told us.
        if let Some(old) = self.replicas.slot_by_name(&name) {
            self.drop_replica(ctx, old);
        }
        match self.replicas.offline.get(&name) {
            Some(id) if *id == Some(key.topic_id) => return None,
            Some(_) => drop(self.replicas.offline.remove(&name)),
            None => {}
        }
        if let Some((dir, loaded)) = self.replicas.unclaimed.remove(&name) {
            if loaded.topic_id == Some(key.topic_id) {
                let mut log = loaded.log;
                log.update_config(self.topic_log_config(topic));
                let slot = self.place(Partition::new(name, key.topic_id, dir, log, eras));
                self.resume_move(ctx, slot);
                return Some(slot);
            }
            self.delete_log(ctx, dir, loaded.log);
        }
        let assigned = registration.directory(self.settings.node).unwrap_or(DIRECTORY_UNASSIGNED);
        let dirs = match self.replicas.dirs.by_id(assigned) {
            Some(dir) => vec![dir],
            None if assigned != DIRECTORY_UNASSIGNED && self.replicas.dirs.any_offline() => {
                // The log may be there already, in the directory that is offline.
                self.replicas.offline.insert(name, Some(key.topic_id));
                return None;
            }
            None => match self.replicas.preferred_dirs.get(&name) {
                Some(dir) if self.replicas.dirs.manager_mut(*dir).is_some() => vec![*dir],
                _ => self.replicas.next_dirs(),
            },
        };
        self.replicas.preferred_dirs.remove(&name);
        let now = ctx.wall.millis();
        let config = self.topic_log_config(topic);
        for dir in dirs {
            let Some(manager) = self.replicas.dirs.manager_mut(dir) else { continue };
            let (id, config) = (Some(key.topic_id), config.clone());
            match manager.create_log(&mut *self.disk, topic, name.partition, id, config, now) {
                Ok(log) => {
                    return Some(self.place(Partition::new(name, key.topic_id, dir, log, eras)));
                }
                Err(error) => self.on_log_failure(ctx, dir, &error),
            }
        }
        self.replicas.offline.insert(name, Some(key.topic_id));
        None
    }

    fn place(&mut self, mut partition: Partition) -> Slot {
        partition.note_throttles(self.settings.node);
        self.replicas.insert(partition)
    }

    fn topic_log_config(&mut self, topic: &StrBytes) -> Arc<klamm_log::LogConfig> {
        let (config, configs) = (&self.config, &self.metadata.image().configs);
        self.replicas.log_config(topic, || config.log_config(configs, topic))
    }

    /// Deletes a log; its files go later.
    pub(crate) fn delete_log(&mut self, ctx: &mut Ctx<'_>, dir: Dir, log: klamm_log::Log) {
        let Some(manager) = self.replicas.dirs.manager_mut(dir) else { return };
        match manager.delete_log(&mut *self.disk, log, ctx.wall.millis()) {
            Ok(()) => self.remove_deleted_logs(ctx),
            Err(error) => self.on_log_failure(ctx, dir, &error),
        }
    }

    /// This broker holds the partition no more.
    fn stop_replica(&mut self, ctx: &mut Ctx<'_>, topic_id: Uuid, partition: i32, topic: &StrBytes) {
        if let Some(slot) = self.replicas.slot_by_id(topic_id, partition) {
            return self.drop_replica(ctx, slot);
        }
        let name = TopicPartition { topic: topic.clone(), partition };
        if self.replicas.offline.get(&name) == Some(&Some(topic_id)) {
            self.replicas.offline.remove(&name);
        }
    }

    fn drop_replica(&mut self, ctx: &mut Ctx<'_>, slot: Slot) {
        self.drop_future(ctx, slot, true);
        let evicted = self.evict_partition(ctx, slot, ErrorCode::NotLeaderOrFollower);
        let Some(partition) = evicted else { return };
        self.cancel_proposal(&TopicIdPartition {
            topic_id: partition.topic_id,
            partition: partition.name.partition,
        });
        self.replicas.forget_config(Some(&partition.name.topic));
        self.replicas.checkpoint_due = true;
        self.delete_log(ctx, partition.dir, partition.log);
    }

    /// The broker has read all metadata: logs that nobody claimed are of partitions that went away while it was down.
    pub(crate) fn on_caught_up(&mut self, ctx: &mut Ctx<'_>) {
        for (_, (dir, stray)) in std::mem::take(&mut self.replicas.unclaimed) {
            self.delete_log(ctx, dir, stray.log);
        }
        for (_, (dir, stray)) in std::mem::take(&mut self.replicas.unclaimed_futures) {
            self.delete_log(ctx, dir, stray.log);
        }
    }

    /// The configuration of a topic as set on the topic itself.
    pub(crate) fn topic_overrides(&self, topic: &str) -> std::collections::BTreeMap<String, String> {
        BrokerConfig::topic_overrides(&self.metadata.image().configs, topic)
    }
}
