//! TxnOffsetCommit, and the markers of the transactions that it is part of (Kafka's `OffsetMetadataManager`, KIP-98, KIP-447).

use std::collections::BTreeMap;

use klamm_log::{AppendAs, AppendOrigin, VerificationGuard};
use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::txn_offset_commit_request::TxnOffsetCommitRequestPartition;
use klamm_wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use klamm_wire::messages::{ResponseKind, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use klamm_wire::record::control::EndTxnMarker;
use klamm_wire::{ErrorCode, RecordBatch, StrBytes, Uuid};

use super::GroupCoordinator;
use super::classic::ClassicGroup;
use super::commit::is_longer;
use super::done::Done;
use super::groups::Group;
use super::host::{Host, offsets_partition};
use super::member::own;
use super::offsets::OffsetAndMetadata;
use super::records::{Record, encode_transactional};
use super::shard::{Env, Failure, Shard, ShardState, coordinator_error};
use super::state::ClassicState;
use crate::core::RequestContext;
use crate::handlers::write_txn_markers::{MarkerOutcome, MarkersId, TxnEnd};

/// A TxnOffsetCommit whose topics are known.
#[derive(Debug, Clone)]
pub(crate) struct TxnCommit {
    /// The request, less what was refused; its topics have both their names and their ids.
    pub(crate) request: TxnOffsetCommitRequest,
    /// What was refused.
    pub(crate) response: TxnOffsetCommitResponse,
    /// What lets it begin its transaction in the log.
    pub(crate) guard: Option<VerificationGuard>,
}

impl TxnCommit {
    /// Answers with an error for all that was not refused before.
    pub(crate) fn refuse(mut self, ctx: &mut Ctx<'_>, rc: &RequestContext, error: ErrorCode) {
        merge(&mut self.response, commit_error(&self.request, error));
        reply(ctx, rc.reply_to, rc.api_version, self.response);
    }
}

impl GroupCoordinator {
    /// TxnOffsetCommit, of which the transaction coordinator knows.
    pub(crate) fn commit_transactional(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        commit: TxnCommit,
    ) {
        match self.lookup_named(&commit.request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.commit_transactional(&mut env, rc, commit);
            }
            Err(error) => commit.refuse(ctx, rc, error),
        }
    }

    /// A transaction ends in a partition of `__consumer_offsets`: its marker goes into the log, and what groups committed in it becomes
    /// theirs or is forgotten.
    pub(crate) fn complete_transaction(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        partition: i32,
        end: TxnEnd,
        id: MarkersId,
    ) {
        let outcome = MarkerOutcome {
            producer_id: end.producer_id,
            partition: offsets_partition(partition),
            error: ErrorCode::None,
        };
        match self.shard(host, ctx, partition) {
            Some((shard, mut env)) if shard.state == ShardState::Active => {
                shard.complete_transaction(&mut env, end, id, outcome);
            }
            // The transaction coordinator knows these as errors of a partition's leader.
            _ => {
                let error = ErrorCode::NotLeaderOrFollower;
                host.marker_written(ctx, id, MarkerOutcome { error, ..outcome });
            }
        }
    }
}

impl Shard {
    fn commit_transactional(&mut self, env: &mut Env<'_, '_>, rc: &RequestContext, commit: TxnCommit) {
        let TxnCommit { request, mut response, guard } = commit;
        let (to, version) = (rc.reply_to, rc.api_version);
        if let Err(error) = self.accept_txn_commit(env, version, &request) {
            merge(&mut response, commit_error(&request, error));
            return self.finish(env, Done::TxnCommit { to, version, response }, Ok(()));
        }
        let wall_ms = env.wall_ms();
        let group = match self.groups.group(&request.group_id.0) {
            Some(group) => group.id().clone(),
            None => own(&request.group_id),
        };
        let mut records = Vec::new();
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let topic_id = topic.topic_id;
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in topic.partitions {
                let too_large =
                    is_longer(partition.committed_metadata.as_ref(), env.config.metadata_max_size);
                let error = if too_large { ErrorCode::OffsetMetadataTooLarge } else { ErrorCode::None };
                partitions.push(refusal(partition.partition_index, error));
                if !too_large {
                    records.push(Record::Offset {
                        group: group.clone(),
                        topic: topic.name.0.clone(),
                        partition: partition.partition_index,
                        value: Some(position(partition, wall_ms, topic_id)),
                    });
                }
            }
            let answer =
                TxnOffsetCommitResponseTopic::default().with_name(topic.name).with_topic_id(topic_id);
            topics.push(answer.with_partitions(partitions));
        }
        merge(&mut response, topics);
        let done = Done::TxnCommit { to, version, response };
        if records.is_empty() {
            return self.after_writes(env, done);
        }
        let (producer_id, epoch) = (request.producer_id.0, request.producer_epoch);
        let how = AppendAs { guard, ..AppendOrigin::Coordinator.into() };
        let appended = encode_transactional(&records, wall_ms, env.config.compression, producer_id, epoch)
            .and_then(|batch| env.host.append_as(env.ctx, self.partition, batch, how));
        match appended {
            Ok(append) => {
                for (offset, record) in (append.base_offset..).zip(records) {
                    self.replay_of(producer_id, offset, record);
                }
                self.appended_up_to(env, append.next_offset, done);
            }
            Err(error) => {
                let failure = Failure { error: coordinator_error(error), in_log: false };
                self.finish(env, done, Err(failure));
            }
        }
    }

    fn accept_txn_commit(
        &self,
        env: &Env<'_, '_>,
        version: i16,
        request: &TxnOffsetCommitRequest,
    ) -> Result<(), ErrorCode> {
        match self.groups.group(&request.group_id.0) {
            Some(Group::Classic(group)) => group.validate_txn_offset_commit(request),
            Some(Group::Consumer(group)) => {
                let max = env.config.metadata_max_size;
                let fits = |metadata: Option<&StrBytes>| !is_longer(metadata, max);
                let valid = group.validate_txn_offset_commit(request, env.config.release, fits);
                valid.map_err(|error| match error {
                    // Before KIP-1319 producers know but the older word for it.
                    ErrorCode::StaleMemberEpoch if version < 6 => ErrorCode::IllegalGeneration,
                    error => error,
                })
            }
            Some(Group::Share(_)) => Err(ErrorCode::GroupIdNotFound),
            None if request.generation_id_or_member_epoch < 0 => Ok(()),
            None if version >= 6 => Err(ErrorCode::GroupIdNotFound),
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn complete_transaction(
        &mut self,
        env: &mut Env<'_, '_>,
        end: TxnEnd,
        id: MarkersId,
        outcome: MarkerOutcome,
    ) {
        let (batch, how) = end.batch(env.wall_ms());
        match env.host.append_as(env.ctx, self.partition, batch, how) {
            Ok(append) => {
                end.trace(env.ctx, &outcome.partition, append.base_offset);
                self.replay_marker(append.base_offset, end.producer_id, end.marker.committed);
                self.appended_up_to(env, append.next_offset, Done::Marker { id, outcome });
            }
            Err(error) => env.host.marker_written(env.ctx, id, MarkerOutcome { error, ..outcome }),
        }
    }

    /// Applies a record of the log that a producer wrote in a transaction, or (with -1) nobody in none.
    pub(crate) fn replay_of(&mut self, producer_id: i64, offset: i64, record: Record) {
        let Record::Offset { group, topic, partition, value: Some(value) } = record else {
            return self.replay(offset, record);
        };
        if producer_id < 0 {
            return self.replay(offset, Record::Offset { group, topic, partition, value: Some(value) });
        }
        self.know_group(&group, value.commit_timestamp);
        self.pending.add(producer_id, (group, topic, partition), offset, value);
    }

    /// Applies the markers of a control batch of the log.
    pub(crate) fn replay_control(&mut self, batch: &RecordBatch) {
        let Ok(records) = batch.records(1 << 20) else { return };
        for record in records.iter().map_while(Result::ok) {
            let (Some(key), Some(value)) = (record.key, record.value) else { continue };
            if let Some(marker) = EndTxnMarker::read(key, value) {
                let offset = batch.header.base_offset + i64::from(record.offset_delta);
                self.replay_marker(offset, batch.header.producer_id, marker.committed);
            }
        }
    }

    fn replay_marker(&mut self, marker_offset: i64, producer_id: i64, committed: bool) {
        let ended = self.pending.end(producer_id);
        if !committed {
            return;
        }
        for ((group, topic, partition), pending) in ended {
            let at = (pending.record_offset, marker_offset);
            self.offsets.apply_transactional(at, &group, &topic, partition, pending.value);
        }
    }
}

impl ClassicGroup {
    /// As [`ClassicGroup::validate_offset_commit`], of a transaction's: it may come without a member in any state, for the versions
    /// before KIP-447 have no room for one, and while the group rebalances.
    fn validate_txn_offset_commit(&self, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
        if self.is(ClassicState::Dead) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        let (generation, instance) =
            (request.generation_id_or_member_epoch, request.group_instance_id.as_ref());
        if generation < 0 && self.is(ClassicState::Empty) {
            return Ok(());
        }
        if generation >= 0 || !request.member_id.is_empty() || instance.is_some() {
            self.validate_member(&request.member_id, instance)?;
            if generation != self.generation() {
                return Err(ErrorCode::IllegalGeneration);
            }
        }
        Ok(())
    }
}

fn position(
    partition: TxnOffsetCommitRequestPartition,
    commit_timestamp: i64,
    topic_id: Uuid,
) -> OffsetAndMetadata {
    OffsetAndMetadata {
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch,
        metadata: partition.committed_metadata.as_ref().map(own).unwrap_or_default(),
        commit_timestamp,
        expire_timestamp: None,
        topic_id,
    }
}

/// What the transaction coordinator is told of a marker that is not committed: it knows the errors of a partition's leader.
pub(crate) const fn marker_error(failure: Failure) -> ErrorCode {
    match failure.error {
        ErrorCode::CoordinatorNotAvailable if failure.in_log => ErrorCode::RequestTimedOut,
        ErrorCode::CoordinatorNotAvailable
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::NotCoordinator => ErrorCode::NotLeaderOrFollower,
        error => error,
    }
}

/// One partition's answer.
pub(crate) fn refusal(partition: i32, error: ErrorCode) -> TxnOffsetCommitResponsePartition {
    TxnOffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(error.code())
}

/// One error for everything that a commit asked for.
fn commit_error(request: &TxnOffsetCommitRequest, error: ErrorCode) -> Vec<TxnOffsetCommitResponseTopic> {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| refusal(p.partition_index, error));
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(topic.topic_id)
            .with_partitions(partitions.collect())
    });
    topics.collect()
}

/// Joins the coordinator's topics to the refused ones; a topic that is in both keeps one entry.
fn merge(response: &mut TxnOffsetCommitResponse, topics: Vec<TxnOffsetCommitResponseTopic>) {
    // Whoever is asked by id knows no name of what it refuses, and whoever is asked by name no id.
    let place = |topic: &TxnOffsetCommitResponseTopic| (topic.topic_id, topic.name.clone());
    let known: BTreeMap<_, usize> =
        response.topics.iter().enumerate().map(|(at, topic)| (place(topic), at)).collect();
    for topic in topics {
        match known.get(&place(&topic)) {
            Some(at) => response.topics[*at].partitions.extend(topic.partitions),
            None => response.topics.push(topic),
        }
    }
}

/// Makes every partition that the coordinator saw an error.
pub(crate) fn fail(response: &mut TxnOffsetCommitResponse, error: ErrorCode) {
    for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if partition.error_code == 0 || partition.error_code == ErrorCode::OffsetMetadataTooLarge.code() {
            partition.error_code = error.code();
        }
    }
}

/// Answers. Producers older than version 2 do not know that a coordinator loads.
pub(crate) fn reply(ctx: &mut Ctx<'_>, to: ReplyTo, version: i16, mut response: TxnOffsetCommitResponse) {
    if version < 2 {
        let loading = ErrorCode::CoordinatorLoadInProgress.code();
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if partition.error_code == loading {
                partition.error_code = ErrorCode::CoordinatorNotAvailable.code();
            }
        }
    }
    ctx.reply(to, ResponseKind::TxnOffsetCommit(response));
}
