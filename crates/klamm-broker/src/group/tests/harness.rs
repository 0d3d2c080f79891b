//! A coordinator with a log in memory, and words to talk to it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use klamm_log::AppendAs;
use klamm_node::{
    ConnectionId, Ctx, Effect, NodeId, Origin, ReplyTo, Rng, TimerTable, Timestamp, Trace, WallTime,
};
use klamm_wire::messages::join_group_request::JoinGroupRequestProtocol;
use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_fetch_request::OffsetFetchRequestTopics;
use klamm_wire::messages::sync_group_request::SyncGroupRequestAssignment;
use klamm_wire::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchResponse, ResponseKind,
    SyncGroupRequest, SyncGroupResponse, TopicName,
};
use klamm_wire::{ErrorCode, KafkaVersion, RecordBatch, Response, StrBytes, Uuid};

use crate::config::BrokerConfig;
use crate::core::{CoordinatorEvent, GROUP_METADATA_TOPIC, InternalAppend, LogPiece, RequestContext};
use crate::group::config::GroupConfig;
use crate::group::fetch::GroupFetch;
use crate::group::host::{Host, Topic};
use crate::group::records::{self, GroupValue, Record};
use crate::group::state::ClassicState;
use crate::group::{Asks, GroupCoordinator, GroupTimer, ShareAsked};
use crate::handlers::write_txn_markers::{MarkerOutcome, MarkersId};

/// A request that was sent; its answer is asked for by this name.
pub(super) type Token = u64;

/// The newest versions.
pub(super) const JOIN: i16 = 9;
pub(super) const SYNC: i16 = 5;
pub(super) const HEARTBEAT: i16 = 4;
pub(super) const LEAVE: i16 = 5;
pub(super) const COMMIT: i16 = 9;
pub(super) const FETCH: i16 = 9;

/// A short text.
pub(super) fn s(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A broker that is nothing but one log and a table of timers.
#[derive(Debug, Default)]
pub(super) struct FakeBroker {
    pub(super) log: Vec<RecordBatch>,
    pub(super) log_end: i64,
    pub(super) high_watermark: i64,
    /// Whether appends are committed at once.
    pub(super) commits: bool,
    /// What the next appends fail with.
    pub(super) append_error: Option<ErrorCode>,
    /// How many batches a read returns at most.
    pub(super) batches_per_read: usize,
    pub(super) timers: TimerTable<GroupTimer>,
    /// The topics there are, with how many partitions.
    pub(super) topics: BTreeMap<String, Topic>,
    /// How often the topics changed.
    pub(super) metadata_offset: i64,
    pub(super) topics_created_at: i64,
    /// What is set on groups: by group and key.
    pub(super) group_configs: BTreeMap<(String, String), StrBytes>,
    /// What became of markers.
    pub(super) markers: Vec<MarkerOutcome>,
}

impl FakeBroker {
    /// Makes a topic, or gives it another number of partitions.
    pub(super) fn set_topic(&mut self, name: &str, partitions: i32) {
        self.metadata_offset += 1;
        if !self.topics.contains_key(name) {
            self.topics_created_at = self.metadata_offset;
        }
        self.topics.insert(name.to_owned(), Topic { id: topic_id(name), partitions });
    }

    /// Deletes a topic.
    pub(super) fn remove_topic(&mut self, name: &str) {
        self.metadata_offset += 1;
        self.topics.remove(name);
    }
}

/// The id of a topic: its name's first 16 bytes.
pub(super) fn topic_id(name: &str) -> Uuid {
    let mut bytes = [1; 16];
    for (byte, letter) in bytes.iter_mut().zip(name.bytes()) {
        *byte = letter;
    }
    Uuid::from_bytes(bytes)
}

impl Host for FakeBroker {
    fn append(
        &mut self,
        _: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<InternalAppend, ErrorCode> {
        assert_eq!(partition, 0);
        if let Some(error) = self.append_error {
            return Err(error);
        }
        let base_offset = self.log_end;
        let batch = batch.stamped(base_offset, 0);
        self.log_end = batch.header.next_offset();
        self.log.push(batch);
        if self.commits {
            self.high_watermark = self.log_end;
        }
        Ok(InternalAppend { base_offset, next_offset: self.log_end })
    }

    fn append_as(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
        _: AppendAs,
    ) -> Result<InternalAppend, ErrorCode> {
        self.append(ctx, partition, batch)
    }

    fn marker_written(&mut self, _: &mut Ctx<'_>, _: MarkersId, outcome: MarkerOutcome) {
        self.markers.push(outcome);
    }

    fn read(&mut self, _: &mut Ctx<'_>, _: i32, offset: i64, _: usize) -> Result<LogPiece, ErrorCode> {
        let batches: Vec<RecordBatch> = self
            .log
            .iter()
            .filter(|b| b.header.base_offset >= offset)
            .take(self.batches_per_read.max(1))
            .cloned()
            .collect();
        let next_offset = batches.last().map_or(offset, |b| b.header.next_offset());
        Ok(LogPiece { batches, next_offset })
    }

    fn ask_share_coordinator(&mut self, _: &mut Ctx<'_>, _: Asks, _: ShareAsked) {
        panic!("there is no share coordinator here");
    }

    fn log_start(&self, _: i32) -> Option<i64> {
        Some(0)
    }

    fn high_watermark(&self, _: i32) -> Option<i64> {
        Some(self.high_watermark)
    }

    fn topic(&self, name: &str) -> Option<Topic> {
        self.topics.get(name).copied()
    }

    fn topic_name(&self, id: Uuid) -> Option<StrBytes> {
        self.topics.iter().find(|(_, topic)| topic.id == id).map(|(name, _)| s(name))
    }

    fn topic_names(&self) -> Vec<StrBytes> {
        self.topics.keys().map(|name| s(name)).collect()
    }

    fn partition_racks(&self, _: &str, _: i32) -> Vec<StrBytes> {
        Vec::new()
    }

    fn metadata_offset(&self) -> i64 {
        self.metadata_offset
    }

    fn topics_created_at(&self) -> i64 {
        self.topics_created_at
    }

    fn group_override(&self, group: &str, key: &str) -> Option<StrBytes> {
        self.group_configs.get(&(group.to_owned(), key.to_owned())).cloned()
    }

    fn has_timer(&self, timer: &GroupTimer) -> bool {
        self.timers.deadline(timer).is_some()
    }

    fn set_timer(&mut self, timer: GroupTimer, at: Timestamp) {
        self.timers.set(timer, at);
    }

    fn cancel_timer(&mut self, timer: GroupTimer) {
        self.timers.cancel(&timer);
    }
}

/// A coordinator of one partition, and everything it touches.
#[derive(Debug)]
pub(super) struct Harness {
    pub(super) coordinator: GroupCoordinator,
    pub(super) broker: FakeBroker,
    rng: Rng,
    pub(super) trace: Trace,
    now: Timestamp,
    sent: Token,
    answers: BTreeMap<Token, ResponseKind>,
    answered: u64,
}

impl Harness {
    /// A coordinator with this configuration, elected on an empty log.
    pub(super) fn with(config: &[(&str, &str)]) -> Self {
        let mut harness = Self::on_log(config, Vec::new());
        harness.broker.commits = true;
        harness
    }

    /// A coordinator with Kafka's configuration, and no delay of the first rebalance.
    pub(super) fn new() -> Self {
        Self::with(&[])
    }

    /// As [`Self::with`], with the rules of a release.
    pub(super) fn of_release(release: &str, config: &[(&str, &str)]) -> Self {
        Self::on_log_of(release.parse().expect("a release"), config, Vec::new())
    }

    /// A coordinator elected on a log that is there already, all of it committed.
    pub(super) fn on_log(config: &[(&str, &str)], log: Vec<RecordBatch>) -> Self {
        Self::on_log_of(KafkaVersion::NEWEST, config, log)
    }

    fn on_log_of(release: KafkaVersion, config: &[(&str, &str)], log: Vec<RecordBatch>) -> Self {
        let mut properties: BTreeMap<String, String> =
            config.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        properties.insert("offsets.topic.num.partitions".into(), "1".into());
        let config = GroupConfig::new(&BrokerConfig::new(release, properties).expect("the keys are known"));
        let log_end = log.last().map_or(0, |b| b.header.next_offset());
        let broker = FakeBroker {
            log,
            log_end,
            high_watermark: log_end,
            commits: true,
            batches_per_read: usize::MAX,
            ..FakeBroker::default()
        };
        let mut harness = Self {
            coordinator: GroupCoordinator::with_config(config),
            broker,
            rng: Rng::from_seed(7),
            trace: Trace::new(10_000),
            now: Timestamp::from_millis(1_000),
            sent: 0,
            answers: BTreeMap::new(),
            answered: 0,
        };
        harness.elect();
        harness
    }

    pub(super) fn elect(&mut self) {
        let topic = s(GROUP_METADATA_TOPIC);
        self.event(CoordinatorEvent::Elected { topic, partition: 0, leader_epoch: 1 });
    }

    pub(super) fn resign(&mut self) {
        self.event(CoordinatorEvent::Resigned { topic: s(GROUP_METADATA_TOPIC), partition: 0 });
    }

    /// Moves the high watermark to the log's end.
    pub(super) fn commit_log(&mut self) {
        self.commit_log_to(self.broker.log_end);
    }

    /// Moves the high watermark.
    pub(super) fn commit_log_to(&mut self, offset: i64) {
        self.broker.high_watermark = offset;
        let topic = s(GROUP_METADATA_TOPIC);
        self.event(CoordinatorEvent::HighWatermark { topic, partition: 0, offset });
    }

    pub(super) fn event(&mut self, event: CoordinatorEvent) {
        self.step(|coordinator, broker, ctx| coordinator.on_host_event(broker, ctx, event));
    }

    /// One step of the coordinator, in a context of its own.
    pub(super) fn step<T>(
        &mut self,
        step: impl FnOnce(&mut GroupCoordinator, &mut FakeBroker, &mut Ctx<'_>) -> T,
    ) -> T {
        let mut effects = Vec::new();
        let mut next_call = 0;
        let mut ctx = Ctx {
            now: self.now,
            wall: WallTime(1_700_000_000_000 + self.now.as_millis()),
            node: NodeId(1),
            rng: &mut self.rng,
            trace: &mut self.trace,
            effects: &mut effects,
            next_call: &mut next_call,
        };
        let result = step(&mut self.coordinator, &mut self.broker, &mut ctx);
        for effect in effects {
            let Effect::Reply { to: ReplyTo::Client { ordinal, .. }, response: Response::Other(response) } =
                effect
            else {
                panic!("an effect other than an answer: {effect:?}");
            };
            self.answered += 1;
            assert!(self.answers.insert(ordinal, *response).is_none(), "request {ordinal} answered twice");
        }
        result
    }

    /// Time passes; everything due happens at its own time.
    pub(super) fn advance(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while let Some(at) = self.broker.timers.next().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            let Some((timer, _)) = self.broker.timers.pop_due(self.now) else { break };
            self.step(|coordinator, broker, ctx| coordinator.on_host_timer(broker, ctx, timer));
        }
        self.now = end;
    }

    /// A request's context.
    pub(super) fn rc(&mut self, version: i16) -> RequestContext {
        self.sent += 1;
        RequestContext {
            reply_to: ReplyTo::Client { connection: ConnectionId(0), ordinal: self.sent },
            origin: Origin::Client { connection: ConnectionId(0), host: s("10.0.0.1") },
            api_version: version,
            client_id: Some(s("client")),
        }
    }

    pub(super) fn requests_sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn requests_answered(&self) -> u64 {
        self.answered
    }

    /// A request's answer, if there is one.
    pub(super) fn answer(&self, token: Token) -> Option<&ResponseKind> {
        self.answers.get(&token)
    }

    pub(super) fn is_answered(&self, token: Token) -> bool {
        self.answers.contains_key(&token)
    }

    pub(super) fn send_join(&mut self, version: i16, request: JoinGroupRequest) -> Token {
        let rc = self.rc(version);
        self.step(|coordinator, broker, ctx| coordinator.join(broker, ctx, &rc, request));
        self.sent
    }

    pub(super) fn send_sync(&mut self, version: i16, request: SyncGroupRequest) -> Token {
        let rc = self.rc(version);
        self.step(|coordinator, broker, ctx| coordinator.sync(broker, ctx, &rc, request));
        self.sent
    }

    pub(super) fn joined(&self, token: Token) -> JoinGroupResponse {
        match self.answer(token) {
            Some(ResponseKind::JoinGroup(response)) => response.clone(),
            other => panic!("JoinGroup {token}: {other:?}"),
        }
    }

    pub(super) fn synced(&self, token: Token) -> SyncGroupResponse {
        match self.answer(token) {
            Some(ResponseKind::SyncGroup(response)) => response.clone(),
            other => panic!("SyncGroup {token}: {other:?}"),
        }
    }

    /// A member that is given an id first, then joins (KIP-394).
    pub(super) fn join_new(&mut self, group: &str) -> (StrBytes, Token) {
        let first = self.send_join(JOIN, join_request(group, ""));
        let id = self.joined(first).member_id;
        assert_eq!(self.joined(first).error_code, ErrorCode::MemberIdRequired.code());
        let second = self.send_join(JOIN, join_request(group, &id));
        (id, second)
    }

    pub(super) fn rejoin(&mut self, group: &str, member: &str) -> Token {
        self.send_join(JOIN, join_request(group, member))
    }

    /// The leader brings an assignment: each member gets its own id as bytes.
    pub(super) fn sync_leader(
        &mut self,
        group: &str,
        generation: i32,
        leader: &str,
        members: &[&str],
    ) -> Token {
        let assignments = members.iter().map(|member| {
            SyncGroupRequestAssignment::default()
                .with_member_id(s(member))
                .with_assignment(Bytes::copy_from_slice(member.as_bytes()))
        });
        let request = sync_request(group, generation, leader).with_assignments(assignments.collect());
        self.send_sync(SYNC, request)
    }

    pub(super) fn sync_follower(&mut self, group: &str, generation: i32, member: &str) -> Token {
        self.send_sync(SYNC, sync_request(group, generation, member))
    }

    /// A stable group of `count` dynamic members; the first one leads.
    pub(super) fn stable_group(&mut self, group: &str, count: usize) -> Vec<StrBytes> {
        let mut ids = Vec::new();
        for _ in 0..count {
            let (id, _) = self.join_new(group);
            ids.push(id);
        }
        // Each newcomer started a rebalance; in the last one everyone joins again.
        self.rebalance(group, &ids);
        ids
    }

    /// Everyone joins again and syncs. Returns the generation.
    pub(super) fn rebalance(&mut self, group: &str, ids: &[StrBytes]) -> i32 {
        // The leader first: in a stable group only its JoinGroup starts a rebalance by itself.
        let leader = self.leader(group);
        let mut tokens = vec![self.rejoin(group, &leader)];
        tokens.extend(ids.iter().filter(|id| **id != leader).map(|id| self.rejoin(group, id)));
        for token in tokens {
            assert_eq!(self.joined(token).error_code, 0);
        }
        let generation = self.generation(group);
        let leader = self.leader(group);
        let members: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
        for id in ids {
            if *id != leader {
                self.sync_follower(group, generation, id);
            }
        }
        self.sync_leader(group, generation, &leader, &members);
        assert_eq!(self.state(group), ClassicState::Stable);
        generation
    }

    pub(super) fn shard_group(&self, group: &str) -> &crate::group::classic::ClassicGroup {
        let shard = self.coordinator.shards.get(&0).expect("the partition is led here");
        shard.groups.classic(&s(group)).unwrap_or_else(|| panic!("no group {group}"))
    }

    pub(super) fn has_group(&self, group: &str) -> bool {
        self.coordinator.shards.get(&0).is_some_and(|shard| shard.groups.contains(&s(group)))
    }

    pub(super) fn state(&self, group: &str) -> ClassicState {
        self.shard_group(group).state()
    }

    pub(super) fn generation(&self, group: &str) -> i32 {
        self.shard_group(group).generation()
    }

    pub(super) fn leader(&self, group: &str) -> StrBytes {
        self.shard_group(group).leader().cloned().unwrap_or_default()
    }

    pub(super) fn member_ids(&self, group: &str) -> Vec<StrBytes> {
        self.shard_group(group).members().map(|m| m.id.clone()).collect()
    }

    pub(super) fn heartbeat(&mut self, group: &str, generation: i32, member: &str) -> ErrorCode {
        self.heartbeat_as(group, generation, member, None)
    }

    pub(super) fn heartbeat_as(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        instance_id: Option<&str>,
    ) -> ErrorCode {
        let token = self.send_heartbeat(group, generation, member, instance_id);
        match self.answer(token) {
            Some(ResponseKind::Heartbeat(HeartbeatResponse { error_code, .. })) => error(*error_code),
            other => panic!("Heartbeat: {other:?}"),
        }
    }

    pub(super) fn send_heartbeat(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        instance_id: Option<&str>,
    ) -> Token {
        let rc = self.rc(HEARTBEAT);
        let request = HeartbeatRequest::default()
            .with_group_id(GroupId(s(group)))
            .with_generation_id(generation)
            .with_member_id(s(member))
            .with_group_instance_id(instance_id.map(s));
        self.step(|coordinator, broker, ctx| coordinator.heartbeat(broker, ctx, &rc, &request));
        self.sent
    }

    /// Members leave: (member id, instance id) each.
    pub(super) fn send_leave(
        &mut self,
        version: i16,
        group: &str,
        members: &[(&str, Option<&str>)],
    ) -> Token {
        let rc = self.rc(version);
        let mut request = LeaveGroupRequest::default().with_group_id(GroupId(s(group)));
        if version >= 3 {
            let identities = members.iter().map(|(member, instance)| {
                MemberIdentity::default().with_member_id(s(member)).with_group_instance_id(instance.map(s))
            });
            request.members = identities.collect();
        } else {
            request.member_id = s(members[0].0);
        }
        self.step(|coordinator, broker, ctx| coordinator.leave(broker, ctx, &rc, request));
        self.sent
    }

    pub(super) fn left(&self, token: Token) -> LeaveGroupResponse {
        match self.answer(token) {
            Some(ResponseKind::LeaveGroup(response)) => response.clone(),
            other => panic!("LeaveGroup {token}: {other:?}"),
        }
    }

    /// Commits `offset` for partition 0 of a topic.
    pub(super) fn send_commit(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        topic: &str,
        offset: i64,
    ) -> Token {
        self.send_commit_request(COMMIT, commit_request(group, generation, member, topic, offset, ""))
    }

    pub(super) fn send_commit_request(&mut self, version: i16, request: OffsetCommitRequest) -> Token {
        let rc = self.rc(version);
        self.step(|coordinator, broker, ctx| coordinator.commit(broker, ctx, &rc, request, Vec::new()));
        self.sent
    }

    pub(super) fn committed(&self, token: Token) -> ErrorCode {
        match self.answer(token) {
            Some(ResponseKind::OffsetCommit(OffsetCommitResponse { topics, .. })) => {
                error(topics[0].partitions[0].error_code)
            }
            other => panic!("OffsetCommit {token}: {other:?}"),
        }
    }

    pub(super) fn commit(
        &mut self,
        group: &str,
        generation: i32,
        member: &str,
        topic: &str,
        offset: i64,
    ) -> ErrorCode {
        let token = self.send_commit(group, generation, member, topic, offset);
        self.committed(token)
    }

    pub(super) fn send_fetch(
        &mut self,
        version: i16,
        require_stable: bool,
        groups: &[(&str, Option<&str>)],
    ) -> Token {
        let rc = self.rc(version);
        let groups = groups.iter().map(|(group, topic)| GroupFetch {
            group: s(group),
            member: None,
            member_epoch: -1,
            topics: topic.map(|topic| {
                vec![
                    OffsetFetchRequestTopics::default()
                        .with_name(TopicName(s(topic)))
                        .with_partition_indexes(vec![0]),
                ]
            }),
            refused: Vec::new(),
        });
        let groups = groups.collect();
        self.step(|coordinator, broker, ctx| coordinator.fetch(broker, ctx, &rc, require_stable, groups));
        self.sent
    }

    /// A member of a consumer group asks for everything.
    pub(super) fn send_member_fetch(&mut self, group: &str, member: &str, epoch: i32) -> Token {
        let rc = self.rc(FETCH);
        let fetch = GroupFetch {
            group: s(group),
            member: Some(s(member)),
            member_epoch: epoch,
            topics: None,
            refused: Vec::new(),
        };
        self.step(|coordinator, broker, ctx| coordinator.fetch(broker, ctx, &rc, false, vec![fetch]));
        self.sent
    }

    pub(super) fn delete_group(&mut self, group: &str) -> ErrorCode {
        let rc = self.rc(2);
        let groups = vec![GroupId(s(group))];
        self.step(|coordinator, broker, ctx| coordinator.delete_groups(broker, ctx, &rc, groups));
        match self.answer(self.sent) {
            Some(ResponseKind::DeleteGroups(response)) => error(response.results[0].error_code),
            other => panic!("DeleteGroups: {other:?}"),
        }
    }

    pub(super) fn fetched(&self, token: Token) -> OffsetFetchResponse {
        match self.answer(token) {
            Some(ResponseKind::OffsetFetch(response)) => response.clone(),
            other => panic!("OffsetFetch {token}: {other:?}"),
        }
    }

    /// The committed offset of partition 0 of a topic, -1 for none.
    pub(super) fn fetch(&mut self, group: &str, topic: &str) -> i64 {
        let token = self.send_fetch(FETCH, false, &[(group, Some(topic))]);
        self.fetched(token).groups[0].topics[0].partitions[0].committed_offset
    }

    /// Everything in the log, decoded.
    pub(super) fn records(&self) -> Vec<Record> {
        self.broker.log.iter().flat_map(records::decode).map(|(_, record)| record).collect()
    }

    /// A group as its record would describe it now.
    pub(super) fn group_value(&self, group: &StrBytes) -> GroupValue {
        let shard = self.coordinator.shards.get(&0).expect("the partition is led here");
        let group = shard.groups.classic(group).expect("it is a classic group");
        GroupValue::of(group, |member| member.assignment.clone())
    }

    /// The causes of a group's changes of state, in order.
    pub(super) fn causes(&self) -> Vec<String> {
        self.trace.events().map(|event| event.kind.to_string()).collect()
    }
}

/// An error by its number.
pub(super) fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or_else(|| panic!("no error {code}"))
}

/// A consumer's subscription to a topic, as the consumer protocol lays it out.
pub(super) fn subscription(topic: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(1);
    bytes.put_i32(1);
    bytes.put_i16(topic.len() as i16);
    bytes.put_slice(topic.as_bytes());
    bytes.put_i32(-1);
    bytes.put_i32(0);
    bytes.freeze()
}

pub(super) fn protocols(offers: &[(&str, &str)]) -> Vec<JoinGroupRequestProtocol> {
    let protocols = offers.iter().map(|(name, topic)| {
        JoinGroupRequestProtocol::default().with_name(s(name)).with_metadata(subscription(topic))
    });
    protocols.collect()
}

/// A consumer that subscribes to `orders`, with 10 s session and 60 s rebalance timeout.
pub(super) fn join_request(group: &str, member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_group_id(GroupId(s(group)))
        .with_member_id(s(member))
        .with_session_timeout_ms(10_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(s("consumer"))
        .with_protocols(protocols(&[("range", "orders")]))
}

pub(super) fn sync_request(group: &str, generation: i32, member: &str) -> SyncGroupRequest {
    SyncGroupRequest::default()
        .with_group_id(GroupId(s(group)))
        .with_generation_id(generation)
        .with_member_id(s(member))
        .with_protocol_type(Some(s("consumer")))
        .with_protocol_name(Some(s("range")))
}

pub(super) fn commit_request(
    group: &str,
    generation: i32,
    member: &str,
    topic: &str,
    offset: i64,
    metadata: &str,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(offset)
        .with_committed_metadata(Some(s(metadata)));
    let topic =
        OffsetCommitRequestTopic::default().with_name(TopicName(s(topic))).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(s(group)))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(s(member))
        .with_topics(vec![topic])
}
