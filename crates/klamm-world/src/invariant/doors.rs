//! What passes nodes' doors: what clients ask and are answered, and what brokers and controllers tell each other.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use klamm_node::{ConnectionId, NodeId, ReplyTo};
use klamm_wire::messages::{
    DeleteRecordsRequest, FetchRequest, ListOffsetsRequest, ListOffsetsResponse, ProduceRequest, ResponseKind,
};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, FetchResponse, RecordBatch, Request, Response, StrBytes, Uuid};

use super::coordinators::CommitAsked;
use super::g01_groups::{G3, Member};
use super::ghost::Ack;
use super::mirror::Entry;
use super::s11_ack_justified::Answered;
use super::s19_fencing::FollowerFetch;
use super::transaction_doors::TransactionAsked;
use super::transactions::STATE_TOPIC;
use super::{
    Checker, k09_metadata, s06_consistent_read, s09_high_watermark, s11_ack_justified, s18_broker_identity,
    s19_fencing, s20_purgatory,
};
use crate::tap::{Tapped, Traffic};
use crate::world::World;

/// The topic that coordinators keep their groups in.
pub(super) const OFFSETS_TOPIC: &str = "__consumer_offsets";

/// Requests that are not answered yet.
#[derive(Debug, Clone, Default)]
pub(super) struct Doors {
    asked: BTreeMap<(NodeId, ReplyTo), Asked>,
    /// The metadata offset of each broker's last heartbeat.
    told: BTreeMap<NodeId, i64>,
    /// Requests that came in this step.
    new: Vec<(NodeId, ReplyTo)>,
    fetched: Vec<(usize, NodeId, FollowerFetch)>,
}

#[derive(Debug, Clone)]
enum Asked {
    Produce {
        acks: i16,
        batches: Vec<(usize, Entry)>,
    },
    /// A client's; whether it reads only what is committed.
    Fetch {
        committed: bool,
    },
    /// Where logs end, as clients see it.
    Latest,
    /// `newer` is the epoch of a later life of the broker, if there was one when it asked.
    Broker {
        id: NodeId,
        newer: Option<i64>,
        epoch: i64,
        what: &'static str,
    },
    /// Offsets that a member commits.
    Commit(CommitAsked),
    /// `coordinator` is the leader epoch of the group's partition of `__consumer_offsets`, where it was asked.
    Join {
        coordinator: i32,
        member: Member,
    },
    Sync {
        coordinator: i32,
        generation: i32,
        member: Member,
    },
    /// A member of a consumer group says that it lives.
    Beat {
        coordinator: i32,
        group: StrBytes,
    },
    /// `current` says that it reached the coordinator of then.
    Transaction {
        asked: TransactionAsked,
        current: bool,
    },
    /// What keeps logs alike: whatever it makes a node write is not its answer's affair.
    Raft,
    Other,
}

impl Doors {
    /// A node's process ended: nothing of it will be answered.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.asked.retain(|(of, _), _| *of != node);
    }

    /// The metadata offset of a broker's last heartbeat.
    pub(super) fn told(&self, broker: NodeId) -> Option<i64> {
        self.told.get(&broker).copied()
    }
}

impl Checker {
    /// The partition that a node was asked about.
    pub(super) fn locate(&self, topic: &str, id: Uuid, partition: i32) -> Option<usize> {
        let id = if id.is_nil() { self.metadata.image().topics.id(topic)? } else { id };
        self.index.get(&(id, partition)).copied()
    }

    /// Takes note of the requests of this step, before anything else is looked at.
    pub(super) fn requests(&mut self, world: &World, tapped: &[Tapped]) {
        self.doors.new.clear();
        self.doors.fetched.clear();
        for Tapped { at, node, peer, traffic } in tapped {
            let Traffic::Request { request, .. } = traffic else { continue };
            let is_client = matches!(peer, ReplyTo::Client { .. });
            self.group_asked(world, *node, *at, request);
            let asked = match request {
                Request::Produce(request) => {
                    let timeout = Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0));
                    self.waiting.came(*node, *peer, *at, timeout);
                    let batches = self.produced(request);
                    Asked::Produce { acks: request.acks, batches }
                }
                Request::Fetch(request)
                    if is_client && request.replica_id.0 < 0 && request.replica_state.replica_id.0 < 0 =>
                {
                    let timeout = Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0));
                    self.waiting.came(*node, *peer, *at, timeout);
                    Asked::Fetch { committed: request.isolation_level == 1 }
                }
                Request::ListOffsets(request) if asks_for_latest(request) => Asked::Latest,
                Request::Fetch(request) => {
                    self.follower_fetches(*node, request);
                    Asked::Raft
                }
                Request::DeleteRecords(request) => {
                    self.deletion_asked(*node, request);
                    Asked::Other
                }
                Request::BrokerHeartbeat(request) => {
                    let id = NodeId(request.broker_id.0);
                    self.doors.told.insert(id, request.current_metadata_offset);
                    let epoch = request.broker_epoch;
                    Asked::Broker {
                        id,
                        newer: self.broker_epochs.newer(id, epoch),
                        epoch,
                        what: "a heartbeat",
                    }
                }
                Request::AlterPartition(request) => {
                    let (id, epoch) = (NodeId(request.broker_id.0), request.broker_epoch);
                    let newer = self.broker_epochs.newer(id, epoch);
                    Asked::Broker { id, newer, epoch, what: "an AlterPartition" }
                }
                Request::OffsetCommit(request) => {
                    let generation = request.generation_id_or_member_epoch;
                    Asked::Commit(self.commit_asked(world, *node, request, |checker| {
                        let member = Member {
                            group: request.group_id.0.clone(),
                            id: request.member_id.clone(),
                            instance: request.group_instance_id.clone(),
                        };
                        let coordinator = checker.coordinator(*node, &member.group);
                        checker.groups.objection(coordinator, generation, &member)
                    }))
                }
                Request::ConsumerGroupHeartbeat(request) => Asked::Beat {
                    coordinator: self.coordinator(*node, &request.group_id.0),
                    group: request.group_id.0.clone(),
                },
                Request::JoinGroup(request) => {
                    let member = Member {
                        group: request.group_id.0.clone(),
                        id: request.member_id.clone(),
                        instance: request.group_instance_id.clone(),
                    };
                    Asked::Join { coordinator: self.coordinator(*node, &member.group), member }
                }
                Request::SyncGroup(request) => {
                    let member = Member {
                        group: request.group_id.0.clone(),
                        id: request.member_id.clone(),
                        instance: request.group_instance_id.clone(),
                    };
                    let coordinator = self.coordinator(*node, &member.group);
                    Asked::Sync { coordinator, generation: request.generation_id, member }
                }
                Request::Vote(_)
                | Request::BeginQuorumEpoch(_)
                | Request::EndQuorumEpoch(_)
                | Request::FetchSnapshot(_) => Asked::Raft,
                request => match TransactionAsked::of(request, &self.transactions) {
                    Some(asked) => {
                        let current =
                            asked.key().is_none_or(|(key, is_id)| self.coordinates(*node, key, is_id));
                        Asked::Transaction { asked, current }
                    }
                    None => Asked::Other,
                },
            };
            self.doors.new.push((*node, *peer));
            self.doors.asked.insert((*node, *peer), asked);
        }
    }

    /// Somebody asks to delete records, up to an offset or (-1) the high watermark.
    fn deletion_asked(&mut self, node: NodeId, request: &DeleteRecordsRequest) {
        for topic in &request.topics {
            for asked in &topic.partitions {
                let index = self.locate(&topic.name.0, Uuid::nil(), asked.partition_index);
                let Some(partition) = index.map(|index| &mut self.partitions[index]) else { continue };
                let end = partition.replicas.get(&node).map_or(0, |replica| replica.view.log_end);
                let below = if asked.offset < 0 { end } else { asked.offset };
                partition.delete_asked = partition.delete_asked.max(below);
            }
        }
    }

    /// Whether a node is the coordinator of a group, or of a transactional id, and no stale one.
    fn coordinates(&self, node: NodeId, key: &StrBytes, is_id: bool) -> bool {
        let topic = if is_id { STATE_TOPIC } else { OFFSETS_TOPIC };
        let index = self.partition_of(topic, key).map(|(index, _)| index);
        let leader = index.and_then(|index| self.partitions[index].true_leader());
        leader.is_some_and(|(id, _)| id == node)
    }

    fn produced(&mut self, request: &ProduceRequest) -> Vec<(usize, Entry)> {
        let mut batches = Vec::new();
        for topic in &request.topic_data {
            for data in &topic.partition_data {
                let Some(index) = self.locate(&topic.name.0, topic.topic_id, data.index) else { continue };
                let batch =
                    data.records.as_ref().and_then(|records| RecordBatch::read(records).ok().flatten());
                if let Some(batch) = batch {
                    let entry = Entry::from(&batch.header);
                    self.sends.sent(index, &entry);
                    batches.push((index, entry));
                }
            }
        }
        batches
    }

    fn follower_fetches(&mut self, node: NodeId, request: &FetchRequest) {
        let follower = NodeId(request.replica_state.replica_id.0.max(request.replica_id.0));
        for topic in &request.topics {
            for asked in &topic.partitions {
                let Some(index) = self.locate(&topic.topic.0, topic.topic_id, asked.partition) else {
                    continue;
                };
                let fetch = FollowerFetch {
                    follower,
                    leader_epoch: asked.current_leader_epoch,
                    offset: asked.fetch_offset,
                    last_fetched_epoch: asked.last_fetched_epoch,
                };
                self.doors.fetched.push((index, node, fetch));
            }
        }
    }

    /// Checks the answers of this step, when everything else has been looked at.
    pub(super) fn responses(&mut self, world: &World, tapped: &[Tapped]) {
        for (index, node, fetch) in std::mem::take(&mut self.doors.fetched) {
            let before = self.before.get(&(index, node));
            s19_fencing::check(&self.partitions[index], node, fetch, before, &mut self.report);
        }
        let quorum = world.stepped().and_then(|node| {
            let (_, controller) = world.controllers().find(|(id, _)| *id == node)?;
            Some((node, controller.quorum_view()))
        });
        if let Some((node, view)) = quorum
            && let [(asked, peer)] = self.doors.new[..]
            && asked == node
            && !matches!(self.doors.asked.get(&(asked, peer)), Some(Asked::Raft))
            && view.log_end > self.doors_log_end(node)
        {
            self.writes.wrote(node, peer, view.log_end);
        }
        if let Some((node, view)) = quorum {
            self.nodes.entry(node).or_default().seen_log_end = view.log_end;
        }
        for Tapped { at, node, peer, traffic } in tapped {
            let asked = match traffic {
                Traffic::Request { .. } => continue,
                _ => self.doors.asked.remove(&(*node, *peer)),
            };
            let in_time = self.waiting.answered(*node, *peer, *at, &mut self.report);
            let Some(asked) = asked else {
                // What a process answers in the step in which it ends was forgotten with it.
                if !self.nodes.get(node).is_some_and(|ghost| ghost.up) {
                    continue;
                }
                if matches!(peer, ReplyTo::Client { connection, .. } if !world.is_connected(*connection)) {
                    continue;
                }
                self.report.violation(
                    s20_purgatory::S20,
                    &format!("node {node}"),
                    format!("{peer:?} was answered twice"),
                );
                continue;
            };
            let Traffic::Response(response) = traffic else { continue };
            if let Some((_, view)) = quorum.filter(|(id, _)| id == node) {
                let is_ok = is_ok(response).unwrap_or(view.state == "Leader");
                self.writes.answered(*node, *peer, is_ok, view.high_watermark, &mut self.report);
            }
            // A controller that does not know yet that another leads answers from what it knows, as long as it writes nothing.
            let is_deposed = quorum.is_some_and(|(_, view)| self.quorum.has_later(view.epoch));
            let asked = match asked {
                Asked::Broker { .. } if is_deposed => Asked::Other,
                asked => asked,
            };
            let at_once = self.doors.new.contains(&(*node, *peer));
            self.answered(world, *node, asked, response, (at_once, in_time));
        }
    }

    fn doors_log_end(&self, node: NodeId) -> i64 {
        self.nodes.get(&node).map_or(0, |ghost| ghost.seen_log_end)
    }

    /// Nobody waits behind a connection that is closed.
    pub(super) fn forget_closed(&mut self, world: &World) {
        let closed: Vec<ConnectionId> = self
            .doors
            .asked
            .keys()
            .filter_map(|(_, peer)| match peer {
                ReplyTo::Client { connection, .. } if !world.is_connected(*connection) => Some(*connection),
                _ => None,
            })
            .collect();
        for connection in closed {
            self.waiting.forget_connection(connection);
            self.doors.asked.retain(
                |(_, peer), _| !matches!(peer, ReplyTo::Client { connection: of, .. } if *of == connection),
            );
        }
    }

    /// `at_once` says that it was asked in this event, `in_time` that it had to be answered in time.
    fn answered(
        &mut self,
        world: &World,
        node: NodeId,
        asked: Asked,
        response: &Response,
        (at_once, in_time): (bool, bool),
    ) {
        match (asked, response) {
            (Asked::Fetch { committed }, Response::Fetch(response)) => {
                self.shown(node, response);
                if committed {
                    self.shown_committed(node, response);
                }
            }
            (asked, Response::Other(response)) => match (asked, &**response) {
                (Asked::Produce { acks, batches }, ResponseKind::Produce(response)) => {
                    for topic in &response.responses {
                        for answer in &topic.partition_responses {
                            let Some(index) = self.locate(&topic.name.0, topic.topic_id, answer.index) else {
                                continue;
                            };
                            let Some((_, sent)) = batches.iter().find(|(of, _)| *of == index) else {
                                continue;
                            };
                            let error = ErrorCode::from_code(answer.error_code)
                                .unwrap_or(ErrorCode::UnknownServerError);
                            let answered = Answered {
                                by: node,
                                level: acks,
                                error,
                                base_offset: answer.base_offset,
                                sent: *sent,
                                at_once,
                            };
                            self.produce_answered(index, answered, in_time);
                        }
                    }
                }
                (Asked::Transaction { asked, current }, response) => {
                    let still = asked.key().is_none_or(|(key, is_id)| self.coordinates(node, key, is_id));
                    asked.answered(response, current && still, &mut self.transactions, &mut self.report);
                }
                (Asked::Latest, ResponseKind::ListOffsets(response)) => self.latest_told(node, response),
                (Asked::Broker { id, newer, epoch, what }, ResponseKind::BrokerHeartbeat(response))
                    if response.error_code == 0 =>
                {
                    s18_broker_identity::accepted(id, newer, epoch, what, &mut self.report);
                    if response.should_shut_down {
                        k09_metadata::let_go(id, self.metadata.image(), &mut self.report);
                    }
                }
                (Asked::Broker { id, newer, epoch, what }, ResponseKind::AlterPartition(response))
                    if response.error_code == 0 =>
                {
                    s18_broker_identity::accepted(id, newer, epoch, what, &mut self.report);
                }
                (Asked::Join { coordinator, member }, ResponseKind::JoinGroup(response))
                    if response.error_code == 0 =>
                {
                    let member = Member { id: response.member_id.clone(), ..member };
                    self.member_heard(&member.group, &member.id, self.report.at);
                    // Members of a consumer group are each in an epoch of their own.
                    let kind = self.inspect(world, node, &member.group).map(|group| group.kind);
                    if kind != Some("consumer") {
                        self.groups.joined(coordinator, response.generation_id, &member, &mut self.report);
                    }
                    self.look_at_group(world, node, &member.group);
                }
                (Asked::Sync { coordinator, generation, member }, ResponseKind::SyncGroup(response))
                    if response.error_code == 0 =>
                {
                    let partitions = assignment(&response.assignment);
                    self.groups.assigned(coordinator, generation, &member, partitions, &mut self.report);
                }
                (Asked::Beat { coordinator, group }, ResponseKind::ConsumerGroupHeartbeat(response))
                    if response.error_code == 0 =>
                {
                    self.epoch_told(coordinator, &group, response.member_epoch);
                    self.look_at_group(world, node, &group);
                }
                (Asked::Commit(asked), ResponseKind::OffsetCommit(response)) => {
                    let mut results = response.topics.iter().flat_map(|topic| &topic.partitions);
                    if results.any(|partition| partition.error_code == 0)
                        && let Some(objection) = &asked.objection
                    {
                        self.report.violation(G3, &asked.group, objection.clone());
                    }
                    self.commit_answered(&asked, response);
                    self.look_at_group(world, node, &asked.group);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn produce_answered(&mut self, index: usize, answered: Answered, in_time: bool) {
        let Answered { by, level, error, base_offset, sent, .. } = answered;
        self.sends.answered(index, &sent, error);
        let partition = &mut self.partitions[index];
        let before = self.before.get(&(index, by));
        s11_ack_justified::check(partition, &answered, before, &mut self.report);
        if error != ErrorCode::None || base_offset < 0 {
            return;
        }
        let last = base_offset + (sent.last - sent.base);
        if level == -1 && in_time && !answered.at_once {
            s20_purgatory::prompt(partition, by, last, before, &mut self.report);
        }
        partition.acked.push(Ack { entry: Entry { base: base_offset, last, ..sent }, level, by });
    }

    /// A broker told a client where logs end.
    fn latest_told(&mut self, node: NodeId, response: &ListOffsetsResponse) {
        for topic in &response.topics {
            for told in topic.partitions.iter().filter(|told| told.error_code == 0 && told.leader_epoch >= 0)
            {
                if let Some(index) = self.locate(&topic.name.0, Uuid::nil(), told.partition_index) {
                    let partition = &mut self.partitions[index];
                    s09_high_watermark::told(
                        partition,
                        node,
                        told.leader_epoch,
                        told.offset,
                        &mut self.report,
                    );
                }
            }
        }
    }

    /// A broker shows records to a client.
    fn shown(&mut self, node: NodeId, response: &FetchResponse) {
        for topic in &response.topics {
            for shown in topic.partitions.iter().filter(|partition| !partition.records.is_empty()) {
                let Some(index) = self.locate(&topic.topic, topic.topic_id, shown.partition) else {
                    continue;
                };
                let records: Bytes = shown.records.concat().into();
                for batch in BatchIter::new(records).flatten() {
                    let entry = Entry::from(&batch.header);
                    let partition = &mut self.partitions[index];
                    s06_consistent_read::shown(
                        partition,
                        node,
                        entry,
                        shown.high_watermark,
                        &mut self.report,
                    );
                }
            }
        }
    }
}

/// Whether a consumer that reads what is committed asks where logs end, and nothing else.
fn asks_for_latest(request: &ListOffsetsRequest) -> bool {
    const LATEST: i64 = -1;
    request.replica_id.0 == -1
        && request.isolation_level == 0
        && request.topics.iter().flat_map(|topic| &topic.partitions).all(|asked| asked.timestamp == LATEST)
}

/// Whether a controller's answer to a broker says that all went well; `None` where it says so for each part by itself.
fn is_ok(response: &Response) -> Option<bool> {
    let Response::Other(kind) = response else { return None };
    let code = match &**kind {
        ResponseKind::BrokerHeartbeat(response) => response.error_code,
        ResponseKind::BrokerRegistration(response) => response.error_code,
        ResponseKind::AlterPartition(response) => response.error_code,
        ResponseKind::AllocateProducerIds(response) => response.error_code,
        _ => return None,
    };
    Some(code == 0)
}

/// The partitions of a classic consumer's assignment (`ConsumerProtocolAssignment`, the same in every version); nothing of what is
/// no such thing.
fn assignment(bytes: &Bytes) -> Vec<(StrBytes, i32)> {
    let mut rest = bytes.clone();
    let mut partitions = Vec::new();
    let read = |rest: &mut Bytes, partitions: &mut Vec<_>| -> Option<()> {
        rest.try_get_i16().ok()?;
        for _ in 0..rest.try_get_i32().ok()? {
            let length =
                usize::try_from(rest.try_get_i16().ok()?).ok().filter(|length| *length <= rest.len())?;
            let topic = StrBytes::try_from(rest.split_to(length)).ok()?;
            for _ in 0..rest.try_get_i32().ok()? {
                partitions.push((topic.clone(), rest.try_get_i32().ok()?));
            }
        }
        Some(())
    };
    // What follows a part that makes no sense is not looked at.
    let _ = read(&mut rest, &mut partitions);
    partitions
}
