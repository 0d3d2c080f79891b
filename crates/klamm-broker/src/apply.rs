//! What a metadata delta does to this broker's replicas and configuration (`ReplicaManager.applyDelta`, `DynamicConfigPublisher`).

use std::collections::BTreeSet;
use std::sync::Arc;

use klamm_metadata::{ConfigResourceKind, MetadataDelta, PartitionRegistration};
use klamm_node::{Ctx, Era, NodeId, TopicIdPartition, TopicPartition, TraceKind};
use klamm_wire::{StrBytes, Uuid};

use crate::config::BrokerConfig;
use crate::core::{CoordinatorEvent, Core, leader_env};
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
            partition.log.update_config(config);
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
                    self.stop_replica(ctx, *id, index);
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
                        self.stop_replica(ctx, *id, *index);
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
        let Some(slot) = self.host(ctx, key, topic) else { return false };
        self.fetchers.remove(slot);
        self.cancel_proposal(&key);
        let env = leader_env!(self, ctx);
        let Some(partition) = self.replicas.get_mut(slot) else { return false };
        let change = match partition.make_leader(registration, &mut *self.disk, env) {
            Ok(Some(change)) => change,
            Ok(None) => return false,
            Err(error) => {
                self.on_storage_failure(ctx, &error.to_string());
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
        let Some(slot) = self.host(ctx, key, topic) else { return };
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

    /// The place of a partition's replica, which is created, or claimed from what was found on the disk, if need be.
    fn host(&mut self, ctx: &mut Ctx<'_>, key: TopicIdPartition, topic: &StrBytes) -> Option<Slot> {
        if let Some(slot) = self.replicas.slot_by_id(key.topic_id, key.partition) {
            return Some(slot);
        }
        if self.replicas.offline {
            return None;
        }
        let name = TopicPartition { topic: topic.clone(), partition: key.partition };
        // The same name under another id: the topic was deleted and created again while nobody told us.
        if let Some(old) = self.replicas.slot_by_name(&name) {
            self.drop_replica(ctx, old);
        }
        let (config, configs) = (&self.config, &self.metadata.image().configs);
        let config = self.replicas.log_config(topic, || config.log_config(configs, topic));
        let now = ctx.wall.millis();
        let result = match self.replicas.unclaimed.remove(&name) {
            Some(loaded) if loaded.topic_id == Some(key.topic_id) => {
                let mut log = loaded.log;
                log.update_config(config);
                Ok(log)
            }
            Some(stray) => self
                .replicas
                .log_manager
                .delete_log(&mut *self.disk, stray.log, now)
                .and_then(|()| self.create_log(key.topic_id, &name, config, now)),
            None => self.create_log(key.topic_id, &name, config, now),
        };
        match result {
            Ok(log) => {
                Some(self.replicas.insert(Partition::new(name, key.topic_id, log, self.settings.eras)))
            }
            Err(error) => {
                self.on_storage_failure(ctx, &error.to_string());
                None
            }
        }
    }

    fn create_log(
        &mut self,
        topic_id: Uuid,
        name: &TopicPartition,
        config: Arc<klamm_log::LogConfig>,
        now: i64,
    ) -> Result<klamm_log::Log, klamm_log::LogError> {
        self.replicas.log_manager.create_log(
            &mut *self.disk,
            &name.topic,
            name.partition,
            Some(topic_id),
            config,
            now,
        )
    }

    /// This broker holds the partition no more.
    fn stop_replica(&mut self, ctx: &mut Ctx<'_>, topic_id: Uuid, partition: i32) {
        if let Some(slot) = self.replicas.slot_by_id(topic_id, partition) {
            self.drop_replica(ctx, slot);
        }
    }

    fn drop_replica(&mut self, ctx: &mut Ctx<'_>, slot: Slot) {
        let Some(partition) = self.evict_partition(ctx, slot) else { return };
        self.cancel_proposal(&TopicIdPartition {
            topic_id: partition.topic_id,
            partition: partition.name.partition,
        });
        self.replicas.forget_config(Some(&partition.name.topic));
        self.replicas.checkpoint_due = true;
        let deleted = self.replicas.log_manager.delete_log(&mut *self.disk, partition.log, ctx.wall.millis());
        match deleted {
            Ok(()) => self.schedule_log_deletion(ctx),
            Err(error) => self.on_storage_failure(ctx, &error.to_string()),
        }
    }

    /// The broker has read all metadata: logs that nobody claimed are of partitions that went away while it was down.
    pub(crate) fn on_caught_up(&mut self, ctx: &mut Ctx<'_>) {
        for (_, stray) in std::mem::take(&mut self.replicas.unclaimed) {
            let deleted = self.replicas.log_manager.delete_log(&mut *self.disk, stray.log, ctx.wall.millis());
            if let Err(error) = deleted {
                return self.on_storage_failure(ctx, &error.to_string());
            }
        }
        self.schedule_log_deletion(ctx);
    }

    /// The configuration of a topic as set on the topic itself.
    pub(crate) fn topic_overrides(&self, topic: &str) -> std::collections::BTreeMap<String, String> {
        BrokerConfig::topic_overrides(&self.metadata.image().configs, topic)
    }
}
