//! A group's offsets: committing them, and asking for what was committed (`ConsumerCoordinator`).

use std::collections::BTreeMap;

use klamm_node::{Timestamp, TopicPartition};
use klamm_wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use klamm_wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use klamm_wire::messages::{OffsetCommitRequest, OffsetFetchRequest, ResponseKind, TopicName};
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};

use super::{Identity, Member, group_id};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::scripted::op::{CommittedOffset, Offsets};
use crate::client::{Answer, ClientCtx};

const COMMIT_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 9;

/// Offsets to commit.
#[derive(Debug, Clone)]
pub(in super::super) struct Commit {
    pub(in super::super) offsets: BTreeMap<TopicPartition, CommittedOffset>,
    pub(in super::super) gives_up: Timestamp,
    pub(in super::super) retry_at: Timestamp,
    asked: Option<i32>,
    /// Under which name they were sent.
    sent: Identity,
}

/// Offsets to be told.
#[derive(Debug, Clone)]
pub(in super::super) struct Committed {
    pub(in super::super) partitions: Vec<TopicPartition>,
    pub(in super::super) gives_up: Timestamp,
    pub(in super::super) retry_at: Timestamp,
    asked: Option<i32>,
}

/// What has become of a request for offsets.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum OffsetsAnswer<T> {
    /// The answer is to another request.
    NotMine,
    /// It is asked again.
    Retry,
    /// It ended.
    Ended(Result<T, ClientError>),
}

impl Commit {
    pub(in super::super) fn new(
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
        gives_up: Timestamp,
    ) -> Self {
        Self { offsets, gives_up, retry_at: Timestamp::ZERO, asked: None, sent: Identity::default() }
    }

    /// Sends it when that is possible; an error when the member has no right to commit.
    pub(in super::super) fn go_on(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        member: &mut Member,
    ) -> Result<(), ClientError> {
        if self.asked.is_some() || self.retry_at > ctx.now {
            return Ok(());
        }
        if let Some(error) = member.objects_to_commit() {
            return Err(error);
        }
        member.find_coordinator(ctx, base);
        let Some(to) = member.coordinator().ready(ctx, base) else { return Ok(()) };
        let mut by_topic: BTreeMap<&StrBytes, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for (name, committed) in &self.offsets {
            by_topic.entry(&name.topic).or_default().push(
                OffsetCommitRequestPartition::default()
                    .with_partition_index(name.partition)
                    .with_committed_offset(committed.offset)
                    .with_committed_metadata(Some(StrBytes::default()))
                    .with_committed_leader_epoch(committed.leader_epoch),
            );
        }
        let topic = |(name, partitions): (&StrBytes, Vec<_>)| {
            OffsetCommitRequestTopic::default().with_name(TopicName(name.clone())).with_partitions(partitions)
        };
        self.sent = member.identity();
        let request = OffsetCommitRequest::default()
            .with_group_id(group_id(member.settings()))
            .with_generation_id_or_member_epoch(self.sent.generation)
            .with_member_id(self.sent.member_id.clone())
            .with_topics(by_topic.into_iter().map(topic).collect());
        let instance = self.sent.instance.clone();
        self.asked = Some(base.ask(ctx, to, ApiKey::OffsetCommit, COMMIT_VERSION, |version| {
            let request = if version >= 7 { request.with_group_instance_id(instance) } else { request };
            Request::OffsetCommit(request)
        }));
        Ok(())
    }

    pub(in super::super) fn on_answer(
        &mut self,
        ctx: &ClientCtx<'_>,
        base: &Base,
        member: &mut Member,
        correlation_id: i32,
        answer: &Answer,
    ) -> OffsetsAnswer<()> {
        if self.asked != Some(correlation_id) {
            return OffsetsAnswer::NotMine;
        }
        self.asked = None;
        let error = match commit_error(answer) {
            Some(ErrorCode::None) => return OffsetsAnswer::Ended(Ok(())),
            None
            | Some(
                ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::RequestTimedOut,
            ) => {
                member.coordinator().forget();
                None
            }
            Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::UnknownTopicOrPartition) => None,
            Some(error) => Some(member.commit_refused(error, &self.sent)),
        };
        match error {
            Some(error) => OffsetsAnswer::Ended(Err(error)),
            None => {
                self.retry_at = ctx.now + base.settings.retry_backoff;
                OffsetsAnswer::Retry
            }
        }
    }
}

/// The first error of any partition.
fn commit_error(answer: &Answer) -> Option<ErrorCode> {
    let Answer::Response(Response::Other(response)) = answer else { return None };
    let ResponseKind::OffsetCommit(response) = &**response else { return None };
    let codes =
        response.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    let first = codes.into_iter().find(|code| *code != 0).unwrap_or(0);
    Some(ErrorCode::from_code(first).unwrap_or(ErrorCode::UnknownServerError))
}

impl Committed {
    pub(in super::super) const fn new(partitions: Vec<TopicPartition>, gives_up: Timestamp) -> Self {
        Self { partitions, gives_up, retry_at: Timestamp::ZERO, asked: None }
    }

    pub(in super::super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, member: &mut Member) {
        if self.asked.is_some() || self.retry_at > ctx.now {
            return;
        }
        member.find_coordinator(ctx, base);
        let Some(to) = member.coordinator().ready(ctx, base) else { return };
        let mut by_topic: BTreeMap<&StrBytes, Vec<i32>> = BTreeMap::new();
        for TopicPartition { topic, partition } in &self.partitions {
            by_topic.entry(topic).or_default().push(*partition);
        }
        let group = group_id(member.settings());
        let identity = match member {
            Member::Classic(_) => None,
            Member::Modern(_) => Some(member.identity()).filter(|identity| identity.generation >= 0),
        };
        self.asked = Some(base.ask(ctx, to, ApiKey::OffsetFetch, FETCH_VERSION, |version| {
            let request = OffsetFetchRequest::default();
            let request = if version >= 8 {
                let topic = |(name, partitions): (&StrBytes, Vec<i32>)| {
                    OffsetFetchRequestTopics::default()
                        .with_name(TopicName(name.clone()))
                        .with_partition_indexes(partitions)
                };
                let group = OffsetFetchRequestGroup::default()
                    .with_group_id(group)
                    .with_topics(Some(by_topic.into_iter().map(topic).collect()));
                let group = match identity.filter(|_| version >= 9) {
                    Some(Identity { generation, member_id, .. }) => {
                        group.with_member_id(Some(member_id)).with_member_epoch(generation)
                    }
                    None => group,
                };
                request.with_groups(vec![group])
            } else {
                let topic = |(name, partitions): (&StrBytes, Vec<i32>)| {
                    OffsetFetchRequestTopic::default()
                        .with_name(TopicName(name.clone()))
                        .with_partition_indexes(partitions)
                };
                request.with_group_id(group).with_topics(Some(by_topic.into_iter().map(topic).collect()))
            };
            Request::OffsetFetch(if version >= 7 { request.with_require_stable(true) } else { request })
        }));
    }

    pub(in super::super) fn on_answer(
        &mut self,
        ctx: &ClientCtx<'_>,
        base: &Base,
        member: &mut Member,
        correlation_id: i32,
        answer: &Answer,
    ) -> OffsetsAnswer<Offsets> {
        if self.asked != Some(correlation_id) {
            return OffsetsAnswer::NotMine;
        }
        self.asked = None;
        match fetched(answer) {
            Ok(offsets) => OffsetsAnswer::Ended(Ok(offsets)),
            // Whoever is in the group still asks again under its new epoch.
            Err(Some(ErrorCode::StaleMemberEpoch)) if member.generation() >= 0 => {
                self.retry_at = ctx.now + base.settings.retry_backoff;
                OffsetsAnswer::Retry
            }
            Err(Some(error)) if !error.is_retriable() => {
                OffsetsAnswer::Ended(Err(ClientError::Broker(error)))
            }
            Err(error) => {
                if !matches!(
                    error,
                    Some(ErrorCode::CoordinatorLoadInProgress | ErrorCode::UnstableOffsetCommit)
                ) {
                    member.coordinator().forget();
                }
                self.retry_at = ctx.now + base.settings.retry_backoff;
                OffsetsAnswer::Retry
            }
        }
    }
}

fn fetched(answer: &Answer) -> Result<Offsets, Option<ErrorCode>> {
    let Answer::Response(Response::Other(response)) = answer else { return Err(None) };
    let ResponseKind::OffsetFetch(response) = &**response else { return Err(None) };
    let mut offsets = Offsets::new();
    let check = |code: i16| match ErrorCode::from_code(code) {
        Some(ErrorCode::None) => Ok(()),
        error => Err(error),
    };
    let mut add = |topic: &TopicName, partition: i32, offset: i64, leader_epoch: i32| {
        let committed = (offset >= 0).then_some(CommittedOffset { offset, leader_epoch });
        offsets.insert(TopicPartition { topic: topic.0.clone(), partition }, committed);
    };
    check(response.error_code)?;
    for topic in &response.topics {
        for partition in &topic.partitions {
            check(partition.error_code)?;
            let (index, offset) = (partition.partition_index, partition.committed_offset);
            add(&topic.name, index, offset, partition.committed_leader_epoch);
        }
    }
    for group in &response.groups {
        check(group.error_code)?;
        for topic in &group.topics {
            for partition in &topic.partitions {
                check(partition.error_code)?;
                let (index, offset) = (partition.partition_index, partition.committed_offset);
                add(&topic.name, index, offset, partition.committed_leader_epoch);
            }
        }
    }
    Ok(offsets)
}
