//! How the checker follows a world: nodes that come and go, the metadata that is committed, replicas that change.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_broker::{Broker, ReplicaInspection};
use klamm_controller::Controller;
use klamm_metadata::{ConfigResource, MetadataRecord, PartitionRegistration};
use klamm_node::config::topic;
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::Uuid;
use klamm_wire::record::batch::BatchIter;

use super::ghost::{Partition, Replica};
use super::k01_quorum::Voter;
use super::mirror::{Entry, Mirror};
use super::s21_retention::{self, Retention};
use super::{Checker, k09_metadata, p06_producer_state, s12_well_formed, s13_single_writer, s14_epochs};
use super::{s15_registration, s16_truncation, s17_unclean_exclusion, s22_compaction};
use crate::input::Output;
use crate::node::Node;
use crate::world::World;

/// A broker's step.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Whether it is registered in this life.
    running: bool,
    /// Whether it applied metadata.
    learned: bool,
    /// Its wall clock, in milliseconds.
    wall_ms: i64,
}

/// The producers that have a batch in a log, and those that its state names: that remembers some of whom compaction left nothing.
fn known_producers(inspection: &ReplicaInspection<'_>, log: &[Entry]) -> BTreeSet<i64> {
    let named = inspection.producers().into_iter().map(|producer| producer.producer_id);
    named.chain(log.iter().map(|entry| entry.producer_id)).filter(|id| *id >= 0).collect()
}

impl World {
    pub(super) fn brokers(&self) -> impl Iterator<Item = (NodeId, &Broker)> {
        self.slots.iter().filter_map(|slot| match &slot.node {
            Some(Node::Broker(broker)) => Some((slot.id, &**broker)),
            _ => None,
        })
    }
}

impl Checker {
    /// Takes note of nodes that came or went.
    pub(super) fn follow_nodes(&mut self, world: &World, out: &[Output]) {
        for output in out {
            if let Output::NodeStopped { node, cause } = output {
                self.nodes.entry(*node).or_default().lost_power = *cause == "power loss";
            }
        }
        for slot in &world.slots {
            let ghost = self.nodes.entry(slot.id).or_default();
            let up = slot.node.is_some();
            if (up, slot.incarnation) == (ghost.up, ghost.incarnation) {
                continue;
            }
            let is_new = slot.incarnation != ghost.incarnation;
            (ghost.up, ghost.incarnation, ghost.registered) = (up, slot.incarnation, false);
            ghost.marks.clear();
            ghost.led_epoch = None;
            let lossy = ghost.lost_power;
            self.waiting.forget(slot.id);
            self.writes.forget(slot.id);
            self.doors.forget(slot.id);
            for (index, partition) in self.partitions.iter_mut().enumerate() {
                let Some(replica) = partition.replicas.get_mut(&slot.id) else { continue };
                replica.running = false;
                replica.reloaded = None;
                if !up && lossy {
                    partition.lossy.insert(slot.id);
                    self.touched.insert((index, None));
                }
            }
            if lossy && world.settings.controllers.contains(&slot.id) {
                self.quorum.lossy.insert(slot.id);
            }
            if up && is_new {
                self.follow_node(world, slot.id);
            }
        }
    }

    /// Looks at a node after its step.
    pub(super) fn follow_node(&mut self, world: &World, node: NodeId) {
        let Some(slot) = world.slot(node) else { return };
        match &world.slots[slot].node {
            Some(Node::Broker(broker)) => {
                let wall_ms = world.slots[slot].clocks.wall(world.now()).millis();
                self.follow_broker(node, broker, wall_ms);
            }
            Some(Node::Controller(controller)) => self.follow_controller(world, node, controller),
            _ => {}
        }
    }

    fn follow_controller(&mut self, world: &World, node: NodeId, controller: &Controller) {
        let view = controller.quorum_view();
        self.nodes.entry(node).or_default().log_end = view.log_end;
        let voters: Vec<_> = world
            .settings
            .controllers
            .iter()
            .map(|id| Voter {
                node: *id,
                view: (*id == node).then_some(view),
                log_end: self.nodes.get(id).map_or(0, |ghost| ghost.log_end),
            })
            .collect();
        self.quorum.check(node, &voters, &mut self.report);
        if view.log_end >= self.quorum.committed.end() {
            self.quorum.lossy.remove(&node);
        }
        if view.state != "Leader" {
            return;
        }
        let ids = &world.settings.controllers;
        self.stability.leads(node, view.epoch, ids, world.now(), &mut self.report);
        let ghost = self.nodes.entry(node).or_default();
        if ghost.led_epoch != Some(view.epoch) {
            ghost.led_epoch = Some(view.epoch);
            self.quorum.leads(node, view.log_end, voters.len(), &mut self.report);
        }
        if view.high_watermark <= self.quorum.committed.end() {
            return;
        }
        let from = self.quorum.committed.end();
        let headers = controller.metadata_headers(from);
        let entries: Vec<_> = headers
            .iter()
            .map(Entry::from)
            .filter(|entry| entry.base >= from && entry.last < view.high_watermark)
            .collect();
        self.quorum.commit(node, view.epoch, &entries, &mut self.report);
        self.load_metadata(controller, view.high_watermark);
    }

    /// Folds in what was committed, record by record.
    fn load_metadata(&mut self, controller: &Controller, high_watermark: i64) {
        let (mut changed, mut all) = (Vec::new(), false);
        while self.metadata.next_offset() < high_watermark {
            let from = self.metadata.next_offset();
            let batches: Vec<Bytes> = controller.metadata_batches(from);
            for batch in BatchIter::new(batches.concat().into()).flatten() {
                let header = &batch.header;
                if header.next_offset() > high_watermark || header.last_offset() < self.metadata.next_offset()
                {
                    continue;
                }
                if !header.is_control()
                    && let Ok(records) = batch.records(64 << 20)
                {
                    for record in records.into_iter().flatten() {
                        let value = record.value.map(Bytes::copy_from_slice).unwrap_or_default();
                        let offset = header.base_offset + i64::from(record.offset_delta);
                        if let Ok((record, _)) = MetadataRecord::decode(&value) {
                            all |=
                                self.load_record(offset, header.partition_leader_epoch, record, &mut changed);
                        }
                    }
                }
                self.metadata.skip(header.last_offset(), header.partition_leader_epoch);
            }
            if self.metadata.next_offset() == from {
                break;
            }
        }
        if all {
            changed = self.index.values().copied().collect();
        }
        changed.sort_unstable();
        changed.dedup();
        for index in changed {
            self.register(index);
            self.touched.insert((index, None));
            s15_registration::check(
                &self.partitions[index],
                &self.metadata.image().cluster,
                &mut self.report,
            );
        }
    }

    /// Folds in one record. True when it may concern every partition.
    fn load_record(
        &mut self,
        offset: i64,
        epoch: i32,
        record: MetadataRecord,
        changed: &mut Vec<usize>,
    ) -> bool {
        let mut change = None;
        let mut all = false;
        let mut unfenced = None;
        match &record {
            MetadataRecord::PartitionChange(r) => change = Some((r.topic_id, r.partition_id)),
            MetadataRecord::Partition(r) => {
                let key = (r.topic_id, r.partition_id);
                let index = self.place(key);
                self.partitions[index].true_hw = 0;
                changed.push(index);
            }
            MetadataRecord::RegisterBroker(r) => {
                let broker = NodeId(r.broker_id);
                self.broker_epochs.registered(broker, r.broker_epoch, r.incarnation_id, &mut self.report);
                all = true;
            }
            MetadataRecord::BrokerRegistrationChange(r) => {
                all = true;
                if r.fenced == -1 {
                    unfenced = Some(NodeId(r.broker_id));
                }
            }
            MetadataRecord::RemoveTopic(_)
            | MetadataRecord::Config(_)
            | MetadataRecord::FeatureLevel(_)
            | MetadataRecord::UnregisterBroker(_)
            | MetadataRecord::FenceBroker(_)
            | MetadataRecord::UnfenceBroker(_) => all = true,
            _ => {}
        }
        let registration = |checker: &Self, (id, partition): (Uuid, i32)| {
            checker.metadata.image().topics.partition(id, partition).cloned()
        };
        let before = change.and_then(|key| registration(self, key));
        if let Some(broker) = unfenced {
            let registered = self.metadata.register_offsets().get(&broker).copied().unwrap_or(-1);
            if let Some(told) = self.doors.told(broker) {
                k09_metadata::unfenced(broker, told, registered, &mut self.report);
            }
        }
        // What cannot be folded in would have failed at the controller first.
        let _ = self.metadata.load(offset, epoch, record);
        if let (Some(key), Some(before)) = (change, before)
            && let Some(after) = registration(self, key)
            && before != after
        {
            let index = self.place(key);
            changed.push(index);
            self.changed(index, &before, &after);
        }
        all
    }

    fn changed(&mut self, index: usize, before: &PartitionRegistration, after: &PartitionRegistration) {
        // What was allowed when it was decided: records come after the configuration that they rest on.
        self.register(index);
        let partition = &mut self.partitions[index];
        s14_epochs::changed(partition, before, after, &mut self.report);
        if s17_unclean_exclusion::elected(partition, before, after, &mut self.report) {
            partition.unclean = Some("an unclean election");
        }
    }

    /// A partition's place.
    fn place(&mut self, key: (Uuid, i32)) -> usize {
        if let Some(index) = self.index.get(&key) {
            return *index;
        }
        let index = self.partitions.len();
        let name = self.metadata.image().topics.by_id(key.0).map(|topic| topic.name.clone());
        self.partitions.push(Partition::new(TopicPartition::new(name.unwrap_or_default(), key.1), key.0));
        self.index.insert(key, index);
        index
    }

    /// What the controller has committed of a partition, and the configuration that applies to it.
    fn register(&mut self, index: usize) {
        let image = self.metadata.image();
        let partition = &mut self.partitions[index];
        partition.registration =
            image.topics.partition(partition.topic_id, partition.name.partition).cloned();
        let Some(registration) = &partition.registration else {
            partition.replicas.clear();
            partition.acked.clear();
            partition.consumed.clear();
            return;
        };
        let keys = |resource: &ConfigResource| -> BTreeMap<String, String> {
            let keys = image.configs.get(resource);
            keys.into_iter()
                .flat_map(|keys| keys.iter().map(|(k, v)| (k.to_string(), v.to_string())))
                .collect()
        };
        self.config.set_dynamic_default(keys(&ConfigResource::broker_default()));
        let own = keys(&ConfigResource::topic(partition.name.topic.clone()));
        let config = self.config.topic(&own);
        let min_isr = usize::try_from(config.get(topic::MIN_INSYNC_REPLICAS)).unwrap_or(1);
        partition.min_isr = min_isr.min(registration.replicas.len());
        partition.unclean_allowed = config.get(topic::UNCLEAN_LEADER_ELECTION_ENABLE);
        partition.retention = Retention {
            deletes: config.get(topic::CLEANUP_POLICY).iter().any(|policy| policy == "delete"),
            ms: config.get(topic::RETENTION_MS),
            bytes: config.get(topic::RETENTION_BYTES),
        };
        partition.elr_enabled = image.features.level("eligible.leader.replicas.version") > 0;
        partition.elr_promised = partition.elr_enabled || self.elr_taken;
        let replicas = &registration.replicas;
        partition.lossy.retain(|id| replicas.contains(id));
    }

    fn follow_broker(&mut self, node: NodeId, broker: &Broker, wall_ms: i64) {
        k09_metadata::applied(node, broker.applied_metadata(), self.metadata.next_offset(), &mut self.report);
        let epoch = broker.epoch();
        let registered =
            epoch >= 0 && self.metadata.image().cluster.epoch(node) == Some(epoch) && !broker.is_offline();
        let ghost = self.nodes.entry(node).or_default();
        let fresh = ghost.registered != registered;
        ghost.registered = registered;
        let learned = std::mem::replace(&mut ghost.applied, broker.applied_metadata()) < ghost.applied;
        let mut marks = std::mem::take(&mut ghost.marks);
        let seen = Seen { running: registered, learned, wall_ms };
        let mut at = 0;
        for inspection in broker.inspect() {
            let key = (inspection.topic_id(), inspection.name().partition);
            let mark = inspection.mark();
            match marks.get(at) {
                Some((known, _, seen)) if *known == key && *seen == mark && !fresh => {}
                Some((known, index, _)) if *known == key => {
                    let index = *index;
                    marks[at].2 = mark;
                    self.follow_replica(index, node, &inspection, seen);
                }
                _ => {
                    let index = self.place(key);
                    self.drop_marks(node, marks.drain(at..));
                    marks.push((key, index, mark));
                    self.follow_replica(index, node, &inspection, seen);
                }
            }
            at += 1;
        }
        self.drop_marks(node, marks.drain(at..));
        self.nodes.entry(node).or_default().marks = marks;
    }

    /// Replicas that are where they were no more: deleted, or at another place in the order, where they are found again.
    fn drop_marks(&mut self, node: NodeId, marks: impl Iterator<Item = ((Uuid, i32), usize, u64)>) {
        for (_, index, _) in marks {
            if let Some(replica) = self.partitions[index].replicas.get_mut(&node) {
                replica.running = false;
            }
        }
    }

    fn follow_replica(
        &mut self,
        index: usize,
        node: NodeId,
        inspection: &ReplicaInspection<'_>,
        Seen { running, learned, wall_ms }: Seen,
    ) {
        let lost_power = self.nodes.get(&node).is_some_and(|ghost| ghost.lost_power);
        let partition = &mut self.partitions[index];
        if partition.registration.is_none()
            && self.metadata.image().topics.by_id(partition.topic_id).is_none()
        {
            return;
        }
        let view = inspection.view();
        self.touched.insert((index, Some(node)));
        let known = partition.replicas.get(&node).map(|replica| (replica.view.clone(), replica.running));
        let Some((before, true)) = known else {
            // A new life, or a first sight: all is read.
            let mut log = Mirror::default();
            inspection.headers(0).iter().for_each(|header| log.push(Entry::from(header)));
            self.transactions.learn(index, inspection, log.entries(), self.report.at);
            let old = partition.replicas.remove(&node);
            let known = known_producers(inspection, log.entries());
            let replica = Replica::look(old.as_ref(), running, lost_power, view, log, known);
            partition.replicas.insert(node, replica);
            return;
        };
        self.before.insert((index, node), before.clone());
        let starts = (before.log_start, view.log_start);
        s21_retention::advanced(partition, node, starts, wall_ms, &mut self.report);
        let leads =
            view.leading.is_some() && before.leading.is_some() && view.leader_epoch == before.leader_epoch;
        if view.log_end < before.log_end {
            s16_truncation::truncated(partition, node, before.log_end, view.log_end, &mut self.report);
            partition.cut(node, view.log_end);
        }
        let Some(replica) = partition.replicas.get_mut(&node) else { return };
        let begins_anew = view.log_start > replica.log.end();
        if begins_anew {
            // It starts anew where its leader's log begins.
            replica.log = Mirror::default();
            replica.drop_excused();
        }
        if view.log_end < before.log_end || begins_anew {
            replica.reloaded = Some(view.log_end);
            // Compaction in place shows in the log, and not in what was seen of it.
            let stored: Vec<_> = inspection.headers(0).iter().map(Entry::from).collect();
            replica.known = known_producers(inspection, &stored);
        }
        let end = if replica.log.entries().is_empty() { view.log_start } else { replica.log.end() };
        let mut new = Vec::new();
        if view.log_end > end && view.log_end > view.log_start {
            new.extend(inspection.headers(end).iter().map(Entry::from).filter(|entry| entry.base >= end));
            new.iter().for_each(|entry| replica.log.push(*entry));
        }
        replica.epochs.see(&view);
        replica.forget_proposal(&before, &view, learned);
        replica.view = view;
        replica.running = running;
        if !new.is_empty() {
            partition.keep_in_hole(node, end);
        }
        self.transactions.learn(index, inspection, &new, self.report.at);
        if leads {
            s13_single_writer::wrote(partition, node, &new, &mut self.report);
        }
    }

    /// Reads the records of compacted partitions, for their keys.
    pub(super) fn scan_compacted(&mut self, world: &World) {
        let known = !self.transactions.is_off();
        for partition in &mut self.partitions {
            let name = partition.name.clone();
            if partition.registration.is_none() || !partition.is_compacted() || name.topic.starts_with("__") {
                continue;
            }
            let stored = |node| world.stored_log(node, &name.topic, name.partition).map(|log| log.records);
            let leader = partition.true_leader().map(|(node, _)| node);
            if let Some(records) = leader.and_then(stored) {
                partition.newest.read(partition.true_hw, &records);
            }
            for node in partition.replicas.keys().copied().collect::<Vec<_>>() {
                if let Some(records) = stored(node) {
                    s22_compaction::scan(partition, node, &records, known, &mut self.report);
                }
            }
        }
    }

    /// Compares every copy of every log with what was seen of it, batch by batch.
    pub(super) fn compare_copies(&mut self, world: &World) {
        let log_of = |headers: Vec<klamm_wire::record::batch::BatchHeader>| {
            let mut log = Mirror::default();
            headers.iter().for_each(|header| log.push(Entry::from(header)));
            log
        };
        for (node, controller) in world.controllers() {
            let view = controller.quorum_view();
            let log = log_of(controller.metadata_headers(0));
            self.quorum.copy(node, &log, view.log_start, view.high_watermark, &mut self.report);
        }
        for (node, broker) in world.brokers() {
            let below = broker.metadata_high_watermark();
            let log = log_of(broker.metadata_headers(0));
            let start = log.entries().first().map_or(0, |entry| entry.base);
            self.quorum.copy(node, &log, start, below.min(log.end()), &mut self.report);
            for inspection in broker.inspect() {
                let key = (inspection.topic_id(), inspection.name().partition);
                let Some(index) = self.index.get(&key) else { continue };
                let partition = &self.partitions[*index];
                p06_producer_state::scan(partition, node, &inspection.producers(), &mut self.report);
                let Some(replica) = partition.replicas.get(&node).filter(|r| r.running && !r.view.compacted)
                else {
                    continue;
                };
                let log = log_of(inspection.headers(replica.view.log_start));
                let (from, to) = (replica.view.log_start, replica.view.log_end);
                if let Some(offset) = log.first_difference(&replica.log, from, to, false) {
                    let what = format!("the log of {node} changed in place at offset {offset}");
                    self.report.violation(s12_well_formed::S12, &partition.name, what);
                }
            }
        }
    }
}
