//! TxnOffsetCommit (key 28), versions 0–6. Answers to `KafkaApis.handleTxnOffsetCommitRequest`.
//!
//! * v2 leader epochs (KIP-320) · v3 flexible, member and generation (KIP-447) · v4 `TRANSACTION_ABORTABLE` (KIP-890)
//! * v5 the offsets' partition is added to the transaction on the way (KIP-890)
//! * v6 topic ids instead of names, `GROUP_ID_NOT_FOUND` and `STALE_MEMBER_EPOCH` (KIP-1319)

use klamm_node::{Ctx, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::txn_offset_commit_response::TxnOffsetCommitResponseTopic;
use klamm_wire::messages::{TopicName, TxnOffsetCommitRequest, TxnOffsetCommitResponse};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::group::txn::{self, TxnCommit};
use crate::group::{coordinator_error, offsets_partition};
use crate::transaction::verification::{PartitionErrors, Question, TransactionSupportedOperation, Waiter};

/// Since this version topics are named by their ids.
const FIRST_WITH_IDS: i16 = 6;

/// A TxnOffsetCommit that waits for the transaction coordinator.
#[derive(Debug, Clone)]
pub(crate) struct CommitWaiter {
    rc: RequestContext,
    commit: TxnCommit,
    place: TopicPartition,
}

/// Answers once the offsets are in the transaction and committed as such; partitions that do not exist are refused here.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    mut request: TxnOffsetCommitRequest,
) {
    let by_id = rc.api_version >= FIRST_WITH_IDS;
    let unknown = if by_id { ErrorCode::UnknownTopicId } else { ErrorCode::UnknownTopicOrPartition };
    let mut response = TxnOffsetCommitResponse::default();
    request.topics.retain_mut(|topic| {
        let id = if by_id { Some(topic.topic_id) } else { broker.core.topic_id(&topic.name) };
        let known = id.and_then(|id| broker.core.topic_name(id).map(|name| (name, id)));
        let count = known.as_ref().map_or(0, |(name, _)| broker.core.partition_count(name).unwrap_or(0));
        let error = if known.is_some() { ErrorCode::UnknownTopicOrPartition } else { unknown };
        let mut answer = TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_topic_id(id.unwrap_or_default());
        topic.partitions.retain(|partition| {
            let exists = (0..count).contains(&partition.partition_index);
            if !exists {
                answer.partitions.push(txn::refusal(partition.partition_index, error));
            }
            exists
        });
        if let Some((name, id)) = &known {
            // The metadata's own name: it is kept, and that of the request would keep the request with it.
            topic.name = TopicName::from(name.clone());
            topic.topic_id = *id;
            answer.name = topic.name.clone();
        }
        if known.is_none() || !answer.partitions.is_empty() {
            response.topics.push(answer);
        }
        known.is_some() && !topic.partitions.is_empty()
    });
    if request.topics.is_empty() {
        return txn::reply(ctx, rc.reply_to, rc.api_version, response);
    }
    let commit = TxnCommit { request, response, guard: None };
    if commit.request.group_id.is_empty() {
        return commit.refuse(ctx, &rc, ErrorCode::InvalidGroupId);
    }
    let operation = TransactionSupportedOperation::of_txn_offset_commit(rc.api_version);
    if !operation.bumps_epoch() && !broker.core.config.hot.transaction_verification {
        return broker.groups.commit_transactional(&mut broker.core, ctx, &rc, commit);
    }
    let place = offsets_partition(broker.groups.partition_for(&commit.request.group_id));
    let (producer_id, epoch) = (commit.request.producer_id.0, commit.request.producer_epoch);
    // Offsets have no sequences.
    match broker.core.start_verification(ctx, &place, producer_id, -1, epoch, operation) {
        Ok(None) => broker.groups.commit_transactional(&mut broker.core, ctx, &rc, commit),
        Ok(guard) => {
            let question = Question {
                transactional_id: commit.request.transactional_id.0.clone(),
                producer_id,
                producer_epoch: epoch,
                partitions: vec![place.clone()],
                operation,
            };
            let commit = TxnCommit { guard, ..commit };
            let waiter = Waiter::TxnOffsetCommit(Box::new(CommitWaiter { rc, commit, place }));
            broker.core.add_or_verify_transaction(question, waiter);
        }
        Err(error) => commit.refuse(ctx, &rc, coordinator_error(error)),
    }
}

/// The transaction coordinator has answered.
pub(crate) fn verified(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    waiter: CommitWaiter,
    errors: &PartitionErrors,
) {
    let CommitWaiter { rc, commit, place } = waiter;
    match errors.get(&place) {
        Some(error) => commit.refuse(ctx, &rc, coordinator_error(*error)),
        None => broker.groups.commit_transactional(&mut broker.core, ctx, &rc, commit),
    }
}
