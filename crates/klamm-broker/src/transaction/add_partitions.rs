//! Partitions join a transaction, or a broker asks whether they have (`handleAddPartitionsToTransaction`,
//! `handleVerifyPartitionsInTransaction`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{Ctx, ReplyTo, TopicPartition};
use klamm_wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use klamm_wire::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, ResponseKind, TopicName, TransactionalId,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::TransactionCoordinator;
use super::append::After;
use super::metadata::Transit;
use super::state::{TransactionState, TransactionVersion};
use crate::core::Core;

/// Partitions that a producer adds to its transaction.
#[derive(Debug, Clone)]
pub(crate) struct AddPartitions {
    /// The transactional id.
    pub(crate) transactional_id: StrBytes,
    /// The producer.
    pub(crate) producer_id: i64,
    /// Its epoch.
    pub(crate) producer_epoch: i16,
    /// The partitions, topic by topic, as they were asked for.
    pub(crate) topics: Vec<(StrBytes, Vec<i32>)>,
    /// What the client works at.
    pub(crate) client_version: TransactionVersion,
    /// Where the answer goes.
    pub(crate) reply: AddReply,
}

/// The answer to a request that adds partitions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum AddReply {
    /// A part of the answer to an AddPartitionsToTxn.
    Partitions(BatchId),
    /// The answer to an AddOffsetsToTxn.
    Offsets {
        /// Where it goes.
        to: ReplyTo,
        /// The request's version.
        version: i16,
    },
}

/// Names an answer that is being put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BatchId(u64);

/// Answers to AddPartitionsToTxn that are not complete: since version 4 a request names several transactions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batches {
    next: u64,
    open: BTreeMap<BatchId, Batch>,
}

#[derive(Debug, Clone)]
struct Batch {
    to: ReplyTo,
    version: i16,
    missing: usize,
    results: Vec<AddPartitionsToTxnResult>,
}

impl AddPartitions {
    /// The partitions.
    pub(crate) fn partitions(&self) -> impl Iterator<Item = TopicPartition> + '_ {
        self.topics
            .iter()
            .flat_map(|(topic, ids)| ids.iter().map(|id| TopicPartition::new(topic.clone(), *id)))
    }

    /// What the answer says of each partition.
    pub(crate) fn result(&self, error_of: impl Fn(&TopicPartition) -> ErrorCode) -> AddPartitionsToTxnResult {
        let topics = self.topics.iter().map(|(topic, ids)| {
            let partitions = ids.iter().map(|id| {
                let error = error_of(&TopicPartition::new(topic.clone(), *id));
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*id)
                    .with_partition_error_code(error.code())
            });
            AddPartitionsToTxnTopicResult::default()
                .with_name(TopicName(topic.clone()))
                .with_results_by_partition(partitions.collect())
        });
        AddPartitionsToTxnResult::default()
            .with_transactional_id(TransactionalId(self.transactional_id.clone()))
            .with_topic_results(topics.collect())
    }
}

impl TransactionCoordinator {
    /// Begins an answer to an AddPartitionsToTxn about some transactions; a request about none is answered at once.
    pub(crate) fn begin_batch(
        &mut self,
        ctx: &mut Ctx<'_>,
        to: ReplyTo,
        version: i16,
        transactions: usize,
    ) -> BatchId {
        let id = BatchId(self.batches.next);
        self.batches.next += 1;
        let batch = Batch { to, version, missing: transactions, results: Vec::new() };
        self.batches.open.insert(id, batch);
        self.finish_batch(ctx, id);
        id
    }

    /// A part of an answer is known.
    pub(crate) fn add_result(&mut self, ctx: &mut Ctx<'_>, id: BatchId, result: AddPartitionsToTxnResult) {
        if let Some(batch) = self.batches.open.get_mut(&id) {
            batch.missing = batch.missing.saturating_sub(1);
            batch.results.push(result);
        }
        self.finish_batch(ctx, id);
    }

    fn finish_batch(&mut self, ctx: &mut Ctx<'_>, id: BatchId) {
        if self.batches.open.get(&id).is_none_or(|batch| batch.missing > 0) {
            return;
        }
        let Some(batch) = self.batches.open.remove(&id) else { return };
        let response = AddPartitionsToTxnResponse::default();
        let response = if batch.version < 4 {
            let only = batch.results.into_iter().next().unwrap_or_default();
            response.with_results_by_topic_v3_and_below(only.topic_results)
        } else {
            response.with_results_by_transaction(batch.results)
        };
        ctx.reply(batch.to, ResponseKind::AddPartitionsToTxn(response));
    }

    /// Adds partitions to a transaction, which begins with the first.
    pub(crate) fn add_partitions(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, add: AddPartitions) {
        match self.prepare_add(ctx, &add) {
            Ok(Some((epoch, transit))) => {
                let id = add.transactional_id.clone();
                self.append(core, ctx, &id, epoch, transit, After::Add(add));
            }
            Ok(None) => self.answer_add(ctx, add, Ok(())),
            Err(error) => {
                let request = match add.reply {
                    AddReply::Partitions(_) => "AddPartitionsToTxn",
                    AddReply::Offsets { .. } => "AddOffsetsToTxn",
                };
                self.trace_refused(ctx, &add.transactional_id, request, error);
                self.answer_add(ctx, add, Err(error));
            }
        }
    }

    /// `None` when the partitions are in the transaction already.
    fn prepare_add(
        &mut self,
        ctx: &Ctx<'_>,
        add: &AddPartitions,
    ) -> Result<Option<(i32, Transit)>, ErrorCode> {
        if add.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let (epoch, metadata) = self.transaction(&add.transactional_id)?;
        let metadata = metadata.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        // First of all, for a producer may have its new id already while the end of its last transaction is pending.
        if metadata.pending.is_some() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let now = &metadata.current;
        if now.producer_id != add.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if now.producer_epoch != add.producer_epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if now.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        let is_open = now.state == TransactionState::Ongoing;
        if is_open && add.partitions().all(|partition| now.partitions.contains(&partition)) {
            return Ok(None);
        }
        // What is kept must not hold on to the memory of the request.
        let partitions: BTreeSet<TopicPartition> = add
            .topics
            .iter()
            .flat_map(|(topic, ids)| {
                let topic = crate::group::own(topic);
                ids.iter().map(move |id| TopicPartition::new(topic.clone(), *id))
            })
            .collect();
        let transit = metadata.prepare_add_partitions(partitions, ctx.wall.millis(), add.client_version)?;
        Ok(Some((epoch, transit)))
    }

    /// Tells whether partitions are in a transaction, without changing it.
    pub(crate) fn verify_partitions(&mut self, ctx: &mut Ctx<'_>, add: &AddPartitions) {
        let AddReply::Partitions(batch) = add.reply else { return };
        let result = match self.verify(add) {
            Ok(open) => add.result(|partition| {
                if open.contains(partition) { ErrorCode::None } else { ErrorCode::TransactionAbortable }
            }),
            Err(error) => {
                self.trace_refused(ctx, &add.transactional_id, "AddPartitionsToTxn verification", error);
                add.result(|_| error)
            }
        };
        self.add_result(ctx, batch, result);
    }

    fn verify(&mut self, add: &AddPartitions) -> Result<&BTreeSet<TopicPartition>, ErrorCode> {
        if add.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let (_, metadata) = self.transaction(&add.transactional_id)?;
        let now = &metadata.ok_or(ErrorCode::InvalidProducerIdMapping)?.current;
        if now.producer_id != add.producer_id {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        if now.producer_epoch != add.producer_epoch {
            return Err(ErrorCode::ProducerFenced);
        }
        if now.state.is_prepared() {
            return Err(ErrorCode::ConcurrentTransactions);
        }
        Ok(&now.partitions)
    }

    /// Answers a request that adds partitions. Clients before version 2 do not know `PRODUCER_FENCED`.
    pub(super) fn answer_add(
        &mut self,
        ctx: &mut Ctx<'_>,
        add: AddPartitions,
        result: Result<(), ErrorCode>,
    ) {
        let error = result.err().unwrap_or(ErrorCode::None);
        let for_version = |version: i16| match error {
            ErrorCode::ProducerFenced if version < 2 => ErrorCode::InvalidProducerEpoch,
            error => error,
        };
        match add.reply {
            AddReply::Offsets { to, version } => {
                let error = for_version(version);
                let response = AddOffsetsToTxnResponse::default().with_error_code(error.code());
                ctx.reply(to, ResponseKind::AddOffsetsToTxn(response));
            }
            AddReply::Partitions(id) => {
                let version = self.batches.open.get(&id).map_or(0, |batch| batch.version);
                let error = for_version(version);
                self.add_result(ctx, id, add.result(|_| error));
            }
        }
    }
}
