//! How the checker follows groups: it looks at one, as its coordinator has it, with each request that is about it and each answer.

use std::collections::BTreeMap;

use klamm_broker::{GroupInspection, TransactionView, partition_for_group};
use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::messages::{OffsetCommitRequest, OffsetCommitResponse};
use klamm_wire::{Request, StrBytes};

use super::Checker;
use super::doors::OFFSETS_TOPIC;
use super::g04_consumer_groups::{self, Epochs};
use super::g06_commits::Commits;
use super::g08_sessions::Sessions;
use super::g09_at_least_once::Deliveries;
use super::report::Report;
use super::{l06_transactions, l08_groups};
use crate::client::scripted::HistoryEvent;
use crate::node::Node;
use crate::world::World;

const TRANSACTIONS_TOPIC: &str = "__transaction_state";

/// What the checker remembers of groups beyond generations.
#[derive(Debug, Clone, Default)]
pub(super) struct Coordinators {
    epochs: BTreeMap<StrBytes, Epochs>,
    /// Each group's kind when it was last looked at.
    kinds: BTreeMap<StrBytes, &'static str>,
    commits: Commits,
    sessions: Sessions,
    deliveries: Deliveries,
    /// How much of what scripted clients did has been read.
    read: u64,
}

impl Coordinators {
    /// Records of `__consumer_offsets` were lost, and nobody promised to keep them.
    pub(super) fn forget(&mut self) {
        self.epochs.clear();
        self.commits.forget();
    }

    /// Records of a partition were lost, and nobody promised to keep them.
    pub(super) fn forget_partition(&mut self, partition: &TopicPartition) {
        self.deliveries.forget(partition);
    }
}

/// An offset commit that is not answered yet.
#[derive(Debug, Clone)]
pub(super) struct CommitAsked {
    pub(super) group: StrBytes,
    order: (i32, u64),
    offsets: BTreeMap<TopicPartition, i64>,
    /// What would be wrong if it were accepted.
    pub(super) objection: Option<String>,
}

impl Checker {
    /// The place of the partition of `__consumer_offsets` that keeps a group, and its number.
    fn offsets_partition(&self, group: &StrBytes) -> Option<(usize, i32)> {
        self.partition_of(OFFSETS_TOPIC, group)
    }

    /// The place of the partition of an internal topic that keeps what goes by a name, and its number.
    pub(super) fn partition_of(&self, topic: &str, name: &StrBytes) -> Option<(usize, i32)> {
        let topics = &self.metadata.image().topics;
        let count = topics.by_name(topic).map_or(0, |topic| topic.partitions.len());
        let count = i32::try_from(count).ok().filter(|count| *count > 0)?;
        let number = partition_for_group(name, count);
        let id = topics.id(topic)?;
        Some((*self.index.get(&(id, number))?, number))
    }

    /// Looks at every transactional id as its coordinator has it.
    pub(super) fn transactions_decided(&self, world: &World, report: &mut Report) {
        for (node, broker) in world.brokers() {
            let wall = world.slot(node).map(|slot| world.slots[slot].clocks.wall(world.now()));
            for (name, view) in broker.transactions() {
                let index = self.partition_of(TRANSACTIONS_TOPIC, &name).map(|(index, _)| index);
                let leader = index.and_then(|index| self.partitions[index].true_leader());
                let coordinates = leader.is_some_and(|(id, leader)| {
                    id == node && leader.view.leader_epoch == view.coordinator_epoch
                });
                let excused = self.cannot_end(index, &view);
                if let Some(wall) = wall.filter(|_| coordinates && !excused) {
                    l06_transactions::check(&name, &view, wall.millis(), report);
                }
            }
        }
    }

    /// Whether nothing can end a transaction, whose id a partition of `__transaction_state` keeps: a partition has no leader, and its marker waits
    /// for one; or records were lost there, and its marker is refused for good, because the log knows a later epoch of the producer than its
    /// coordinator does (`TransactionMarkerRequestCompletionHandler`).
    fn cannot_end(&self, kept_in: Option<usize>, view: &TransactionView) -> bool {
        let kept_in = kept_in.map(|index| &self.partitions[index].name);
        let is_lost = |name: &TopicPartition| self.transactions.has_lost(name);
        let waits = |name: &TopicPartition| {
            let topics = &self.metadata.image().topics;
            let registration = topics.partition_by_name(&name.topic, name.partition);
            registration.is_some_and(|registration| !registration.has_leader())
        };
        let is_decided = matches!(view.state, "PrepareCommit" | "PrepareAbort");
        kept_in.is_some_and(is_lost)
            || view.partitions.iter().any(|name| is_lost(name) || is_decided && waits(name))
    }

    /// The leader epoch in which a node leads the partition of `__consumer_offsets` that keeps a group; -1 where it does not.
    pub(super) fn coordinator(&self, node: NodeId, group: &StrBytes) -> i32 {
        let index = self.offsets_partition(group).map(|(index, _)| index);
        let replica = index.and_then(|index| self.partitions[index].replicas.get(&node));
        replica
            .filter(|replica| replica.view.leading.is_some())
            .map_or(-1, |replica| replica.view.leader_epoch)
    }

    /// A group as a broker has it; `None` where it does not serve it.
    pub(super) fn inspect(&self, world: &World, node: NodeId, group: &StrBytes) -> Option<GroupInspection> {
        let (_, number) = self.offsets_partition(group)?;
        match &world.slots[world.slot(node)?].node {
            Some(Node::Broker(broker)) => broker.inspect_group(number, group),
            _ => None,
        }
    }

    /// A group as its coordinator has it, and that; `None` while there is none that serves.
    fn inspect_current(&self, world: &World, group: &StrBytes) -> Option<(NodeId, i32, GroupInspection)> {
        let (index, _) = self.offsets_partition(group)?;
        let (node, leader) = self.partitions[index].true_leader()?;
        Some((node, leader.view.leader_epoch, self.inspect(world, node, group)?))
    }

    /// Takes note of a group's kind, as its coordinator has it, if that is this node.
    fn follow_kind(
        &mut self,
        world: &World,
        node: NodeId,
        group: &StrBytes,
    ) -> Option<(i32, GroupInspection)> {
        let (_, coordinator, inspection) =
            self.inspect_current(world, group).filter(|(current, _, _)| *current == node)?;
        let kind = self.coordinators.kinds.insert(group.clone(), inspection.kind);
        if inspection.kind == "classic" && kind == Some("consumer") {
            let members = inspection.members.iter().map(|member| &member.id);
            self.groups.became_classic(group, inspection.epoch, members);
        }
        Some((coordinator, inspection))
    }

    /// A request that is about a group reaches a node, or its answer leaves it.
    pub(super) fn look_at_group(&mut self, world: &World, node: NodeId, group: &StrBytes) {
        let Some((coordinator, inspection)) = self.follow_kind(world, node, group) else { return };
        let topics = &self.metadata.image().topics;
        let topic_name = |id| Some(StrBytes::from(topics.by_id(id)?.name.to_string()));
        let epochs = self.coordinators.epochs.entry(group.clone()).or_default();
        epochs.check(group, coordinator, &inspection, topic_name, &mut self.report);
        self.coordinators.commits.check(group, coordinator, &inspection.offsets, &mut self.report);
    }

    /// Takes note of whom a request shows to be alive, and of the group that it is about.
    pub(super) fn group_asked(&mut self, world: &World, node: NodeId, at: Timestamp, request: &Request) {
        let (group, members) = match request {
            Request::ConsumerGroupHeartbeat(request) => (&request.group_id, vec![&request.member_id]),
            Request::Heartbeat(request) => (&request.group_id, vec![&request.member_id]),
            Request::JoinGroup(request) => (&request.group_id, vec![&request.member_id]),
            Request::SyncGroup(request) => (&request.group_id, vec![&request.member_id]),
            Request::OffsetCommit(request) => (&request.group_id, vec![&request.member_id]),
            Request::TxnOffsetCommit(request) => (&request.group_id, vec![&request.member_id]),
            Request::LeaveGroup(request) => {
                let members = request.members.iter().map(|member| &member.member_id);
                (&request.group_id, members.chain([&request.member_id]).collect())
            }
            _ => return,
        };
        for member in members {
            self.coordinators.sessions.heard(&group.0, member, at);
        }
        if matches!(request, Request::OffsetCommit(_)) {
            // What it commits may be there already, and is noted first.
            self.follow_kind(world, node, &group.0);
        } else {
            self.look_at_group(world, node, &group.0);
        }
        if let Request::TxnOffsetCommit(request) = request {
            let topics = &self.metadata.image().topics;
            let names = request.topics.iter().flat_map(|topic| {
                let by_id = topics.by_id(topic.topic_id).map(|topic| StrBytes::from(topic.name.to_string()));
                let name = by_id.unwrap_or_else(|| topic.name.0.clone());
                topic.partitions.iter().map(move |p| TopicPartition::new(name.clone(), p.partition_index))
            });
            self.coordinators.commits.transactional(&group.0, names);
        }
    }

    /// A member joined: it is alive while it does not know its id either.
    pub(super) fn member_heard(&mut self, group: &StrBytes, member: &StrBytes, at: Timestamp) {
        self.coordinators.sessions.heard(group, member, at);
    }

    /// A member was told the epoch that it is in.
    pub(super) fn epoch_told(&mut self, coordinator: i32, group: &StrBytes, epoch: i32) {
        if epoch > 0 {
            self.coordinators.epochs.entry(group.clone()).or_default().told(coordinator, epoch);
        }
    }

    /// A commit reaches a node.
    pub(super) fn commit_asked(
        &mut self,
        world: &World,
        node: NodeId,
        request: &OffsetCommitRequest,
        objection: impl FnOnce(&Self) -> Option<String>,
    ) -> CommitAsked {
        let group = request.group_id.0.clone();
        let coordinator = self.coordinator(node, &group);
        let topics = &self.metadata.image().topics;
        let mut offsets = BTreeMap::new();
        let mut partitions = Vec::new();
        for topic in &request.topics {
            let by_id = topics.by_id(topic.topic_id).map(|topic| StrBytes::from(topic.name.to_string()));
            let name = by_id.unwrap_or_else(|| topic.name.0.clone());
            for partition in &topic.partitions {
                let name = TopicPartition::new(name.clone(), partition.partition_index);
                partitions.push((name.clone(), topics.id(&name.topic)));
                offsets.insert(name, partition.committed_offset);
            }
        }
        let inspection = self.inspect(world, node, &group).filter(|group| group.kind == "consumer");
        let objection = match inspection {
            Some(inspection) => g04_consumer_groups::objection(
                &inspection,
                (&request.member_id, request.generation_id_or_member_epoch),
                world.settings().kafka_version,
                &partitions,
            ),
            None => objection(self),
        };
        let asked: Vec<_> = offsets.iter().map(|(name, offset)| (name.clone(), *offset)).collect();
        let turn = self.coordinators.commits.asked(coordinator, &group, &asked);
        CommitAsked { group, order: (coordinator, turn), offsets, objection }
    }

    /// A commit is answered.
    pub(super) fn commit_answered(&mut self, asked: &CommitAsked, response: &OffsetCommitResponse) {
        let CommitAsked { group, order, offsets, .. } = asked;
        let topics = &self.metadata.image().topics;
        let mut acked = Vec::new();
        for topic in &response.topics {
            let by_id = topics.by_id(topic.topic_id).map(|topic| StrBytes::from(topic.name.to_string()));
            let name = by_id.unwrap_or_else(|| topic.name.0.clone());
            for partition in topic.partitions.iter().filter(|partition| partition.error_code == 0) {
                let name = TopicPartition::new(name.clone(), partition.partition_index);
                acked.extend(offsets.get(&name).map(|offset| (name, *offset)));
            }
        }
        self.coordinators.commits.answered(*order, group, acked);
    }

    /// Reads what members were handed and committed since it last looked.
    pub(super) fn follow_members(&mut self, world: &World) {
        let history = world.client_history();
        if history.recorded() == self.coordinators.read {
            return;
        }
        for entry in history.since(self.coordinators.read) {
            let group = || world.client_group(entry.client);
            match &entry.event {
                HistoryEvent::Read { partition, offset, .. } => {
                    if let Some(group) = group() {
                        self.coordinators.deliveries.read(group, partition, *offset);
                    }
                }
                HistoryEvent::Committed { offsets, .. } => {
                    let Some(group) = group() else { continue };
                    for (name, committed) in offsets {
                        let Some(index) = self.locate(&name.topic, klamm_wire::Uuid::nil(), name.partition)
                        else {
                            continue;
                        };
                        let partition = &self.partitions[index];
                        let deliveries = &mut self.coordinators.deliveries;
                        deliveries.committed(group, partition, committed.offset, &mut self.report);
                    }
                }
                _ => {}
            }
        }
        self.coordinators.read = history.recorded();
    }

    /// Looks at every group that is known.
    pub(super) fn scan_groups(&mut self, world: &World) {
        let known: Vec<_> = self.coordinators.kinds.keys().cloned().collect();
        for group in known {
            let Some((node, coordinator, inspection)) = self.inspect_current(world, &group) else { continue };
            self.look_at_group(world, node, &group);
            let excused = self.is_held_up(world, node, &group);
            let sessions = &mut self.coordinators.sessions;
            sessions.check(&group, coordinator, &inspection, excused, world.now(), &mut self.report);
        }
    }

    /// Whether a coordinator stands still, or cannot write.
    fn is_held_up(&self, world: &World, node: NodeId, group: &StrBytes) -> bool {
        let is_paused = world.slot(node).is_none_or(|slot| world.slots[slot].door.paused.is_some());
        let cannot_write = self.offsets_partition(group).is_none_or(|(index, _)| {
            let partition = &self.partitions[index];
            partition.registration.as_ref().is_none_or(|r| r.isr.len() < partition.min_isr)
        });
        is_paused || cannot_write || self.waiting.is_held(node)
    }

    /// What must be true of groups once the faults have healed and nothing is produced any more, while members go on reading and
    /// committing.
    pub fn settled(&mut self, world: &World) {
        let unsettled = self.unsettled(world);
        self.report.add(unsettled);
    }

    /// Whether it is already. An election may come between, whenever it is looked at.
    pub fn has_settled(&mut self, world: &World) -> bool {
        self.unsettled(world).violations.is_empty()
    }

    fn unsettled(&mut self, world: &World) -> Report {
        self.report.at = world.now();
        self.follow_members(world);
        let mut report = Report::default();
        let known: Vec<_> = self.coordinators.kinds.keys().cloned().collect();
        for group in known {
            let available = self.offsets_partition(&group).is_some_and(|(index, _)| {
                self.partitions[index].registration.as_ref().is_some_and(|r| r.has_leader())
            });
            if !available {
                continue;
            }
            let Some((_, _, inspection)) = self.inspect_current(world, &group) else {
                let what = "its coordinator does not serve it".to_owned();
                report.violation(l08_groups::L8, &group, what);
                continue;
            };
            let members: Vec<_> =
                world.clients.iter().filter_map(|client| client.member_of(&group)).collect();
            l08_groups::members(&group, &inspection, &members, &mut report);
            if members.is_empty() {
                continue;
            }
            for partition in &self.partitions {
                let is_read = members.iter().any(|(_, topics)| topics.contains(&partition.name.topic));
                if partition.registration.is_some() && is_read {
                    let unseen = |end| self.coordinators.deliveries.unseen(&group, partition, end);
                    l08_groups::partition(&group, &inspection, partition, unseen, &mut report);
                }
            }
        }
        report
    }
}
