//! OffsetCommit, OffsetDelete, DeleteGroups and the sweep of expired offsets
//! (the writing half of Kafka's `OffsetMetadataManager`).

use std::collections::BTreeMap;

use klamm_wire::messages::delete_groups_response::DeletableGroupResult;
use klamm_wire::messages::offset_commit_request::OffsetCommitRequestPartition;
use klamm_wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use klamm_wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use klamm_wire::messages::{GroupId, OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::GroupTimer;
use super::done::Done;
use super::gather::GatherId;
use super::groups::Group;
use super::member::own;
use super::offsets::{OffsetAndMetadata, View};
use super::records::Record;
use super::shard::{Env, Shard};
use super::state::ClassicState;
use crate::core::RequestContext;

/// Tombstones written in one batch, so that a sweep stays below `max.message.bytes`.
const TOMBSTONES_PER_BATCH: usize = 2_000;

impl Shard {
    /// A member, or whoever manages a group's offsets, commits positions. `refused` are topics that do not exist.
    pub(crate) fn commit(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: OffsetCommitRequest,
        refused: Vec<OffsetCommitResponseTopic>,
    ) {
        let to = rc.reply_to;
        if let Err(error) = self.accept_commit(env, rc, &request) {
            let topics = commit_error(&request, error);
            return self.finish(env, Done::Commit { to, refused, topics }, Ok(()));
        }
        let wall_ms = env.wall_ms();
        let expire_timestamp =
            (request.retention_time_ms != -1).then(|| wall_ms.saturating_add(request.retention_time_ms));
        let group = match self.groups.group(&request.group_id.0) {
            Some(group) => group.id().clone(),
            None => own(&request.group_id),
        };
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let too_large =
                    is_longer(partition.committed_metadata.as_ref(), env.config.metadata_max_size);
                let error = if too_large { ErrorCode::OffsetMetadataTooLarge } else { ErrorCode::None };
                partitions.push(
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(error.code()),
                );
                if !too_large {
                    records.push(Record::Offset {
                        group: group.clone(),
                        topic: topic.name.0.clone(),
                        partition: partition.partition_index,
                        value: Some(position(partition, wall_ms, expire_timestamp, topic.topic_id)),
                    });
                }
            }
            topics.push(
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name)
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions),
            );
        }
        let done = Done::Commit { to, refused, topics };
        if records.is_empty() {
            self.after_writes(env, done);
        } else {
            let _ = self.write(env, records, true, done);
        }
    }

    fn accept_commit(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: &OffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        let id = &request.group_id.0;
        let generation = request.generation_id_or_member_epoch;
        let Some(group) = self.groups.group(id) else {
            // Without a generation it is an administrator, or a consumer that manages its partitions itself: the
            // offsets make the group.
            return match generation {
                ..0 => Ok(()),
                _ if rc.api_version >= 9 => Err(ErrorCode::GroupIdNotFound),
                _ => Err(ErrorCode::IllegalGeneration),
            };
        };
        let group = match group {
            Group::Classic(group) => group,
            Group::Consumer(group) => {
                let max = env.config.metadata_max_size;
                let fits = |metadata: Option<&StrBytes>| !is_longer(metadata, max);
                return group.validate_offset_commit(request, rc.api_version, env.config.release, fits);
            }
            // Where it is in a partition, a share group keeps with the share coordinator.
            Group::Share(_) => return Err(ErrorCode::GroupIdNotFound),
        };
        group.validate_offset_commit(&request.member_id, request.group_instance_id.as_ref(), generation)?;
        if matches!(group.state(), ClassicState::Stable | ClassicState::PreparingRebalance)
            && let Some(member) = group.member(&request.member_id)
        {
            // Who commits is alive.
            let timeout_ms = member.session_timeout_ms;
            self.restart_session(env, id, &request.member_id, timeout_ms);
        }
        Ok(())
    }

    /// Positions of a group are deleted. `response` holds what was refused before.
    pub(crate) fn delete_offsets(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: OffsetDeleteRequest,
        mut response: OffsetDeleteResponse,
    ) {
        let to = rc.reply_to;
        let id = request.group_id.0;
        let valid = match self.groups.group(&id) {
            None => Err(ErrorCode::GroupIdNotFound),
            Some(group) => group.validate_offset_delete(),
        };
        if let Err(error) = valid {
            let response = OffsetDeleteResponse::default().with_error_code(error.code());
            return self.finish(env, Done::OffsetDelete { to, response }, Ok(()));
        }
        let mut records = Vec::new();
        let mut known: BTreeMap<StrBytes, usize> =
            response.topics.iter().enumerate().map(|(i, topic)| (topic.name.0.clone(), i)).collect();
        for topic in request.topics {
            let subscribed = self.groups.group(&id).is_some_and(|group| group.is_subscribed_to(&topic.name));
            let error = if subscribed { ErrorCode::GroupSubscribedToTopic } else { ErrorCode::None };
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let index = partition.partition_index;
                partitions.push(
                    OffsetDeleteResponsePartition::default()
                        .with_partition_index(index)
                        .with_error_code(error.code()),
                );
                let is_known = self.offsets.get(View::Latest, &id, &topic.name, index).is_some()
                    || self.pending.contains(&id, &topic.name, index);
                if !subscribed && is_known {
                    records.push(tombstone(&id, &topic.name, index));
                }
            }
            let at = *known.entry(topic.name.0.clone()).or_insert_with(|| {
                response.topics.push(OffsetDeleteResponseTopic::default().with_name(topic.name.clone()));
                response.topics.len() - 1
            });
            response.topics[at].partitions.extend(partitions);
        }
        let done = Done::OffsetDelete { to, response };
        if records.is_empty() {
            self.after_writes(env, done);
        } else {
            let _ = self.write(env, records, true, done);
        }
    }

    /// Groups are deleted with everything they committed, share groups once the share coordinator has forgotten them. Each comes with
    /// its place in the answer.
    pub(crate) fn delete_groups(
        &mut self,
        env: &mut Env<'_, '_>,
        gather: GatherId,
        mut ids: Vec<(usize, StrBytes)>,
    ) {
        ids.retain(|(slot, id)| !self.begins_share_deletion(env, gather, *slot, id));
        if !ids.is_empty() {
            self.delete_now(env, gather, ids);
        }
    }

    /// Deletes groups of which nobody else keeps anything.
    pub(crate) fn delete_now(
        &mut self,
        env: &mut Env<'_, '_>,
        gather: GatherId,
        ids: Vec<(usize, StrBytes)>,
    ) {
        let mut records = Vec::new();
        let mut results = Vec::with_capacity(ids.len());
        for (slot, id) in ids {
            let valid = match self.groups.group(&id) {
                None => Err(ErrorCode::GroupIdNotFound),
                Some(group) => group.validate_delete(),
            };
            if valid.is_ok() {
                records.extend(self.all_tombstones(&id));
                env.host.cancel_timer(self.join_timer(&id));
            }
            let error = valid.err().unwrap_or(ErrorCode::None);
            let result = DeletableGroupResult::default()
                .with_group_id(GroupId::from(id))
                .with_error_code(error.code());
            results.push((slot, result));
        }
        let done = Done::Delete { gather, results };
        if records.is_empty() {
            self.after_writes(env, done);
        } else {
            let _ = self.write(env, records, true, done);
        }
    }

    fn all_tombstones(&self, id: &StrBytes) -> Vec<Record> {
        self.offsets
            .of_group(View::Latest, id)
            .map(|(topic, partition, _)| tombstone(id, topic, partition))
            .chain(
                self.pending
                    .of_group(id)
                    .filter(|(topic, partition)| {
                        self.offsets.get(View::Latest, id, topic, *partition).is_none()
                    })
                    .map(|(topic, partition)| tombstone(id, topic, partition)),
            )
            .chain(self.groups.group(id).into_iter().flat_map(Group::tombstones))
            .collect()
    }

    /// Sets the next sweep.
    pub(crate) fn schedule_expiry(&self, env: &mut Env<'_, '_>) {
        let interval = std::time::Duration::from_millis(env.config.offsets_retention_check_interval_ms);
        let timer = GroupTimer::ExpireOffsets { partition: self.partition };
        env.host.set_timer(timer, env.ctx.now + interval);
    }

    /// Forgets offsets that nobody used for the retention time, and groups that have neither members nor offsets.
    pub(crate) fn expire_offsets(&mut self, env: &mut Env<'_, '_>) {
        let (now, retention_ms) = (env.wall_ms(), env.config.offsets_retention_ms);
        let mut records = Vec::new();
        for (id, group) in self.groups.iter() {
            let base = expiry_base(group);
            let mut all_expired = !self.pending.has_group(id);
            for (topic, partition, value) in self.offsets.of_group(View::Latest, id) {
                let expired = match base {
                    _ if self.pending.contains(id, topic, partition) => false,
                    _ if group.is_subscribed_to(topic) => false,
                    ExpiryBase::Never => false,
                    _ if value.expire_timestamp.is_some_and(|at| now < at) => false,
                    _ if value.expire_timestamp.is_some() => true,
                    ExpiryBase::Commit => now.saturating_sub(value.commit_timestamp) >= retention_ms,
                    ExpiryBase::Emptied(at) => now.saturating_sub(at) >= retention_ms,
                };
                if expired {
                    records.push(tombstone(id, topic, partition));
                } else {
                    all_expired = false;
                }
            }
            if all_expired && group.is_empty() && !matches!(group, Group::Share(_)) {
                records.extend(group.tombstones());
            }
        }
        self.write_tombstones(env, records);
        self.schedule_expiry(env);
    }

    /// When [`expire_offsets`](Self::expire_offsets) might find something, as long as nobody uses the groups; `None` for never. It may
    /// be early, never late.
    pub(crate) fn next_expiry_ms(&self, retention_ms: i64) -> Option<i64> {
        let mut next: Option<i64> = None;
        for (id, group) in self.groups.iter() {
            let base = expiry_base(group);
            let mut stays = self.pending.has_group(id);
            for (topic, partition, value) in self.offsets.of_group(View::Latest, id) {
                stays = true;
                if self.pending.contains(id, topic, partition) || group.is_subscribed_to(topic) {
                    continue;
                }
                let at = match (base, value.expire_timestamp) {
                    (ExpiryBase::Never, _) => continue,
                    (_, Some(at)) => at,
                    (ExpiryBase::Commit, None) => value.commit_timestamp.saturating_add(retention_ms),
                    (ExpiryBase::Emptied(at), None) => at.saturating_add(retention_ms),
                };
                next = Some(next.map_or(at, |next| next.min(at)));
            }
            if !stays && group.is_empty() && !matches!(group, Group::Share(_)) {
                return Some(i64::MIN);
            }
        }
        next
    }

    /// Topics are gone: positions in them mean nothing any more.
    pub(crate) fn forget_topics(&mut self, env: &mut Env<'_, '_>, deleted: &[(StrBytes, Uuid)]) {
        let mut records = Vec::new();
        // A topic of that name may have been made again: its positions stay.
        let is_gone = |topic: &StrBytes, value: &OffsetAndMetadata| {
            deleted.iter().any(|(name, topic_id)| {
                name == topic && (value.topic_id.is_nil() || value.topic_id == *topic_id)
            })
        };
        for id in self.offsets.groups() {
            for (topic, partition, value) in self.offsets.of_group(View::Latest, id) {
                if is_gone(topic, value) {
                    records.push(tombstone(id, topic, partition));
                }
            }
        }
        for ((group, topic, partition), pending) in self.pending.iter() {
            if is_gone(topic, &pending.value) {
                records.push(tombstone(group, topic, *partition));
            }
        }
        self.write_tombstones(env, records);
    }

    fn write_tombstones(&mut self, env: &mut Env<'_, '_>, mut records: Vec<Record>) {
        while !records.is_empty() {
            let rest = records.split_off(records.len().min(TOMBSTONES_PER_BATCH));
            let _ = self.write(env, records, true, Done::Nothing);
            records = rest;
        }
    }
}

/// Since when a group's offsets count as unused.
#[derive(Debug, Clone, Copy)]
enum ExpiryBase {
    /// Since each was committed.
    Commit,
    /// Since the group became empty, at this wall time.
    Emptied(i64),
    /// They are in use.
    Never,
}

fn expiry_base(group: &Group) -> ExpiryBase {
    let group = match group {
        Group::Classic(group) => group,
        Group::Consumer(_) => return ExpiryBase::Commit,
        Group::Share(_) => return ExpiryBase::Never,
    };
    match (group.protocol_type(), group.state()) {
        (None, _) => ExpiryBase::Commit,
        (Some(_), ClassicState::Empty) => {
            group.state_timestamp().map_or(ExpiryBase::Commit, ExpiryBase::Emptied)
        }
        (Some(_), ClassicState::Stable)
            if group.uses_consumer_protocol() && group.subscribed_topics().is_some() =>
        {
            ExpiryBase::Commit
        }
        _ => ExpiryBase::Never,
    }
}

fn position(
    partition: OffsetCommitRequestPartition,
    commit_timestamp: i64,
    expire_timestamp: Option<i64>,
    topic_id: Uuid,
) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(own).unwrap_or_default(),
        commit_timestamp,
        expire_timestamp,
        topic_id,
    }
}

/// Whether a text has more UTF-16 units than allowed: Kafka counts Java characters.
pub(crate) fn is_longer(text: Option<&StrBytes>, max: usize) -> bool {
    // A text never has more UTF-16 units than bytes.
    text.is_some_and(|text| text.len() > max && text.encode_utf16().count() > max)
}

fn tombstone(group: &StrBytes, topic: &StrBytes, partition: i32) -> Record {
    Record::Offset { group: group.clone(), topic: topic.clone(), partition, value: None }
}

/// One error for everything that a commit asked for.
pub(crate) fn commit_error(
    request: &OffsetCommitRequest,
    error: ErrorCode,
) -> Vec<OffsetCommitResponseTopic> {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code())
        });
        OffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}
