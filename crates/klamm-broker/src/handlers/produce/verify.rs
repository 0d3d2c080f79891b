//! What a Produce of transactional records waits for before it is appended (`ReplicaManager.handleProduceAppend`, KIP-890).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_log::{AppendError, VerificationGuard};
use klamm_node::{Ctx, Timestamp, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::ProduceRequest;
use klamm_wire::record::inspect::InspectedProduce;

use super::Refusal;
use crate::core::{Core, RequestContext, Timer};
use crate::transaction::verification::{PartitionErrors, Question, TransactionSupportedOperation, Waiter};

/// What is known of a request's partitions before they are appended to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verdicts {
    /// What lets records begin a transaction.
    pub(crate) guards: BTreeMap<TopicPartition, VerificationGuard>,
    /// What keeps them out.
    pub(crate) errors: PartitionErrors,
    /// Whether the client adds no partitions to its transaction itself.
    bumps_epoch: bool,
}

impl Verdicts {
    /// Why a partition's records are not to be appended.
    pub(super) fn refusal(&self, partition: &TopicPartition) -> Option<Refusal> {
        let error = *self.errors.get(partition)?;
        // Clients of any age send these again without looking for another leader.
        let unverified = || {
            let message = format!(
                "Unable to verify the partition has been added to the transaction. Underlying error: {error}"
            );
            explained(ErrorCode::NotEnoughReplicas, message)
        };
        Some(match error {
            ErrorCode::InvalidTxnState => {
                explained(ErrorCode::InvalidTxnState, "Partition was not added to the transaction".to_owned())
            }
            ErrorCode::NetworkException
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::NotCoordinator => unverified(),
            ErrorCode::ConcurrentTransactions if !self.bumps_epoch => unverified(),
            error => Refusal::of(error),
        })
    }
}

fn explained(code: ErrorCode, message: String) -> Refusal {
    Refusal { error: AppendError::new(code, message), log_start_offset: -1, explained: true }
}

/// A Produce that waits for the transaction coordinator.
#[derive(Debug, Clone)]
pub(crate) struct ProduceWaiter {
    /// Who asked.
    pub(super) rc: RequestContext,
    /// What it asked.
    pub(super) request: ProduceRequest,
    /// Its records.
    pub(super) inspected: InspectedProduce,
    /// The producer, and its epoch.
    producer: (i64, i16),
    /// The partitions with transactional records, and their first sequences.
    partitions: BTreeMap<TopicPartition, i32>,
    /// When it came.
    since: Timestamp,
    verdicts: Verdicts,
}

/// The producers of transactional records, and the partitions with first sequences.
type Transactional = (BTreeSet<(i64, i16)>, BTreeMap<TopicPartition, i32>);

/// Whether the request holds transactional records, of whatever producer.
pub(super) fn is_transactional(inspected: &InspectedProduce) -> bool {
    let partitions = inspected.iter().flatten();
    let firsts = partitions.filter_map(|batches| batches.as_ref().ok()?.first());
    firsts.into_iter().any(|first| first.batch.header.is_transactional())
}

fn transactional(
    core: &Core,
    version: i16,
    request: &ProduceRequest,
    inspected: &InspectedProduce,
) -> Transactional {
    let (mut producers, mut partitions) = (BTreeSet::new(), BTreeMap::new());
    for (topic, batches) in request.topic_data.iter().zip(inspected) {
        let name = if version < 13 { Some(topic.name.0.clone()) } else { core.topic_name(topic.topic_id) };
        let Some(name) = name else { continue };
        for (data, batches) in topic.partition_data.iter().zip(batches) {
            let place = TopicPartition { topic: name.clone(), partition: data.index };
            let Ok(batches) = batches else { continue };
            if !core.metadata.has_partition(&place) {
                continue;
            }
            let headers = batches.iter().map(|inspected| &inspected.batch.header);
            let own: Vec<_> = headers.filter(|h| h.has_producer_id() && h.is_transactional()).collect();
            if let Some(first) = own.first() {
                producers.extend(own.iter().map(|h| (h.producer_id, h.producer_epoch)));
                partitions.insert(place, first.base_sequence);
            }
        }
    }
    (producers, partitions)
}

/// Appends the records of a request that holds transactional ones, after asking the transaction coordinator where that is needed.
///
/// # Errors
/// The request itself and `INVALID_PRODUCER_ID_MAPPING`, when transactional records come of more than one producer.
pub(super) fn verify_and_append(
    core: &mut Core,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: ProduceRequest,
    inspected: InspectedProduce,
) -> Result<(), Box<(RequestContext, ProduceRequest, ErrorCode)>> {
    let (producers, partitions) = transactional(core, rc.api_version, &request, &inspected);
    if producers.len() > 1 {
        return Err(Box::new((rc, request, ErrorCode::InvalidProducerIdMapping)));
    }
    let bumps_epoch = TransactionSupportedOperation::of_produce(rc.api_version).bumps_epoch();
    let Some(producer) =
        producers.first().copied().filter(|_| bumps_epoch || core.config.hot.transaction_verification)
    else {
        super::append_all(core, ctx, &rc, request, inspected, &Verdicts::default());
        return Ok(());
    };
    let verdicts = Verdicts { bumps_epoch, ..Verdicts::default() };
    let since = ctx.now;
    let waiter = ProduceWaiter { rc, request, inspected, producer, partitions, since, verdicts };
    core.ask_for_produce(ctx, Box::new(waiter));
    Ok(())
}

impl Core {
    /// Asks the coordinator about the partitions in which the producer's transaction is not open yet.
    fn ask_for_produce(&mut self, ctx: &mut Ctx<'_>, mut waiter: Box<ProduceWaiter>) {
        let (producer_id, epoch) = waiter.producer;
        let operation = TransactionSupportedOperation::of_produce(waiter.rc.api_version);
        waiter.verdicts.guards.clear();
        waiter.verdicts.errors.clear();
        for (place, sequence) in &waiter.partitions {
            let started = self.start_verification(ctx, place, producer_id, *sequence, epoch, operation);
            match started {
                Ok(None) => {}
                Ok(Some(guard)) => drop(waiter.verdicts.guards.insert(place.clone(), guard)),
                Err(error) => drop(waiter.verdicts.errors.insert(place.clone(), error)),
            }
        }
        let partitions: Vec<_> = waiter.verdicts.guards.keys().cloned().collect();
        if partitions.is_empty() {
            return append(self, ctx, *waiter);
        }
        let transactional_id = waiter.request.transactional_id.as_ref().map(|id| id.0.clone());
        let question = Question {
            transactional_id: transactional_id.unwrap_or_default(),
            producer_id,
            producer_epoch: epoch,
            partitions,
            operation,
        };
        self.add_or_verify_transaction(question, Waiter::Produce(waiter));
    }

    /// Begins to verify a transaction's first records in a partition; `None` when it is open there already.
    pub(crate) fn start_verification(
        &mut self,
        ctx: &Ctx<'_>,
        place: &TopicPartition,
        producer_id: i64,
        sequence: i32,
        epoch: i16,
        operation: TransactionSupportedOperation,
    ) -> Result<Option<VerificationGuard>, ErrorCode> {
        let slot = self.local_partition(place)?;
        let partition = self.replicas.get_mut(slot).filter(|partition| partition.is_leader());
        let partition = partition.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let now_ms = ctx.wall.millis();
        let bumps_epoch = operation.bumps_epoch();
        let guard = partition.log.start_verification(producer_id, sequence, epoch, bumps_epoch, now_ms);
        guard.map_err(|error| error.code)
    }

    /// The coordinator has answered. Where the producer's last transaction is not complete yet, a partition that is to be added is
    /// asked about again after a moment: the client's own back-off is longer, and its records are on the way already.
    pub(crate) fn produce_verified(
        &mut self,
        ctx: &mut Ctx<'_>,
        mut waiter: Box<ProduceWaiter>,
        errors: PartitionErrors,
    ) {
        waiter.verdicts.errors.extend(errors);
        let concurrent = waiter.verdicts.errors.values().any(|e| *e == ErrorCode::ConcurrentTransactions);
        let hot = &self.config.hot;
        let limit = hot.add_partitions_retry_backoff_max_ms.min(hot.request_timeout_ms);
        let limit = waiter.since + Duration::from_millis(limit.into());
        if waiter.verdicts.bumps_epoch && concurrent && ctx.now < limit {
            let at = ctx.now + Duration::from_millis(hot.add_partitions_retry_backoff_ms.into());
            let id = self.add_partitions.next_again;
            self.add_partitions.next_again += 1;
            self.add_partitions.again.insert(id, Waiter::Produce(waiter));
            return self.set_timer(Timer::AddPartitionsAgain(id), at);
        }
        append(self, ctx, *waiter);
    }

    /// The moment is over.
    pub(crate) fn add_partitions_again(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        if let Some(Waiter::Produce(waiter)) = self.add_partitions.again.remove(&id) {
            self.ask_for_produce(ctx, waiter);
        }
    }
}

fn append(core: &mut Core, ctx: &mut Ctx<'_>, waiter: ProduceWaiter) {
    let ProduceWaiter { rc, request, inspected, verdicts, .. } = waiter;
    super::append_all(core, ctx, &rc, request, inspected, &verdicts);
}
