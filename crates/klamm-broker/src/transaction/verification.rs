//! Asking the transaction coordinator whether partitions are in a transaction before records of it are appended, or putting them
//! into it (`AddPartitionsToTxnManager`, KIP-890).
//!
//! A coordinator is asked with one request at a time; what comes up meanwhile goes into the next, with one question a transactional id.
//! Kafka words all errors of a request for the client that asked first; here each question's are worded for its own client.

use std::collections::{BTreeMap, VecDeque};

use klamm_node::{Ctx, NodeId, SendError, TopicPartition, TransactionEvent};
use klamm_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use klamm_wire::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ProducerId, ResponseKind, TopicName,
    TransactionalId,
};
use klamm_wire::{Api, ApiKey, ErrorCode, Response, StrBytes};

use crate::core::{Call, Core, TRANSACTION_STATE_TOPIC};
use crate::group::partition_for;
use crate::handlers::produce::verify::ProduceWaiter;
use crate::handlers::txn_offset_commit::CommitWaiter;

/// The first version of AddPartitionsToTxn that can ask without adding, and for many transactions.
const FIRST_FOR_BROKERS: i16 = 4;

/// What a client can be told, and whether its partitions are added to its transaction on the way (`TransactionSupportedOperation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionSupportedOperation {
    /// It does not know `TRANSACTION_ABORTABLE`.
    DefaultError,
    /// It knows all errors, and adds its partitions itself.
    GenericErrorSupported,
    /// It leaves adding to the partition's leader (`transaction.version` 2).
    AddPartition,
}

impl TransactionSupportedOperation {
    /// Of a Produce in this version.
    pub(crate) const fn of_produce(version: i16) -> Self {
        match version {
            12.. => Self::AddPartition,
            11 => Self::GenericErrorSupported,
            _ => Self::DefaultError,
        }
    }

    /// Of a TxnOffsetCommit in this version.
    pub(crate) const fn of_txn_offset_commit(version: i16) -> Self {
        match version {
            5.. => Self::AddPartition,
            4 => Self::GenericErrorSupported,
            _ => Self::DefaultError,
        }
    }

    /// Whether the producer takes a new epoch with each transaction.
    pub(crate) const fn bumps_epoch(self) -> bool {
        matches!(self, Self::AddPartition)
    }
}

/// What a coordinator is asked.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// The transaction's id.
    pub(crate) transactional_id: StrBytes,
    /// The producer.
    pub(crate) producer_id: i64,
    /// Its epoch.
    pub(crate) producer_epoch: i16,
    /// The partitions.
    pub(crate) partitions: Vec<TopicPartition>,
    /// Whether they are added, and what the client can be told.
    pub(crate) operation: TransactionSupportedOperation,
}

/// What goes on once a question is answered.
#[derive(Debug, Clone)]
pub(crate) enum Waiter {
    /// A Produce.
    Produce(Box<ProduceWaiter>),
    /// A TxnOffsetCommit.
    TxnOffsetCommit(Box<CommitWaiter>),
}

/// Errors of partitions; those without one may go on.
pub(crate) type PartitionErrors = BTreeMap<TopicPartition, ErrorCode>;

type Asked = BTreeMap<StrBytes, (Question, Waiter)>;

/// Questions to transaction coordinators, and those who wait for the answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct AddPartitionsToTxnManager {
    queued: BTreeMap<NodeId, Asked>,
    in_flight: BTreeMap<NodeId, Asked>,
    /// What was answered and has not gone on yet.
    pub(crate) answered: VecDeque<(Waiter, PartitionErrors)>,
    /// Those that ask again later, by the number of their timer.
    pub(crate) again: BTreeMap<u64, Waiter>,
    /// The next timer's number.
    pub(crate) next_again: u64,
}

impl AddPartitionsToTxnManager {
    /// How many questions wait for their answer.
    pub(crate) fn len(&self) -> usize {
        let asked = self.queued.values().chain(self.in_flight.values());
        asked.map(BTreeMap::len).sum::<usize>() + self.answered.len() + self.again.len()
    }
}

impl Core {
    /// Asks the coordinator of a transaction; `waiter` goes on with the answer before the step ends in which it comes.
    pub(crate) fn add_or_verify_transaction(&mut self, question: Question, waiter: Waiter) {
        let Some(node) = self.transaction_coordinator(&question.transactional_id) else {
            let errors = all(&question, ErrorCode::CoordinatorNotAvailable);
            self.add_partitions.answered.push_back((waiter, errors));
            return;
        };
        let queued = self.add_partitions.queued.entry(node).or_default();
        if let Some((earlier, _)) = queued.get(&question.transactional_id) {
            if earlier.producer_epoch > question.producer_epoch {
                let errors = all(&question, ErrorCode::InvalidProducerEpoch);
                self.add_partitions.answered.push_back((waiter, errors));
                return;
            }
            // The client is likely to have come again: its first try gets an error to retry on, or is fenced.
            let error = match earlier.producer_epoch < question.producer_epoch {
                true => ErrorCode::InvalidProducerEpoch,
                false => ErrorCode::NetworkException,
            };
            if let Some((earlier, waiter)) = queued.remove(&question.transactional_id) {
                self.add_partitions.answered.push_back((waiter, all(&earlier, error)));
            }
        }
        queued.insert(question.transactional_id.clone(), (question, waiter));
    }

    fn transaction_coordinator(&self, transactional_id: &str) -> Option<NodeId> {
        let partitions = self.partition_count(TRANSACTION_STATE_TOPIC)?;
        let partition = partition_for(transactional_id, partitions);
        self.leader_endpoint(TRANSACTION_STATE_TOPIC, partition).map(|(node, ..)| node)
    }

    /// Sends what is queued to coordinators that have answered the last. True when something was done.
    pub(crate) fn send_verifications(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let manager = &self.add_partitions;
        let free = |node: &&NodeId| !manager.in_flight.contains_key(node);
        let Some(node) = manager.queued.keys().find(free).copied() else { return false };
        let Some(asked) = self.add_partitions.queued.remove(&node) else { return false };
        let version = Api::of(ApiKey::AddPartitionsToTxn).versions_in(self.settings.kafka_version);
        let Some((_, version)) = version.filter(|(_, max)| *max >= FIRST_FOR_BROKERS) else {
            // A coordinator of that age cannot be asked: as in Kafka, its clients are believed.
            let answered = asked.into_values().map(|(_, waiter)| (waiter, PartitionErrors::new()));
            self.add_partitions.answered.extend(answered);
            return true;
        };
        let transactions = asked.values().map(|(question, _)| transaction(question)).collect();
        let request = AddPartitionsToTxnRequest::default().with_transactions(transactions);
        let timeout_ms = self.config.hot.request_timeout_ms;
        let call = ctx.send(node, version, request.into(), timeout_ms);
        self.calls.insert(call, Call::AddPartitionsToTxn { coordinator: node });
        self.add_partitions.in_flight.insert(node, asked);
        true
    }

    /// A coordinator answered, or did not.
    pub(crate) fn on_verified(
        &mut self,
        ctx: &mut Ctx<'_>,
        coordinator: NodeId,
        result: &Result<Response, SendError>,
    ) {
        let Some(asked) = self.add_partitions.in_flight.remove(&coordinator) else { return };
        let answer = match result {
            Ok(Response::Other(kind)) => match &**kind {
                ResponseKind::AddPartitionsToTxn(answer) => Ok(answer),
                _ => Err(ErrorCode::UnknownServerError),
            },
            Ok(_) => Err(ErrorCode::UnknownServerError),
            Err(_) => Err(ErrorCode::NetworkException),
        };
        let refused = match answer {
            Ok(answer) => Some(error_code(answer.error_code)).filter(|e| *e != ErrorCode::None),
            Err(error) => Some(error),
        };
        for (question, waiter) in asked.into_values() {
            let errors = match (answer, refused) {
                // Clients shall not hear that their broker may not ask.
                (_, Some(ErrorCode::ClusterAuthorizationFailed)) => {
                    all(&question, ErrorCode::InvalidTxnState)
                }
                (_, Some(error)) | (Err(error), None) => all(&question, error),
                (Ok(answer), None) => errors_of(answer, &question),
            };
            trace(ctx, &question, &errors);
            self.add_partitions.answered.push_back((waiter, errors));
        }
    }
}

fn transaction(question: &Question) -> AddPartitionsToTxnTransaction {
    let mut topics: BTreeMap<&StrBytes, Vec<i32>> = BTreeMap::new();
    for partition in &question.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| {
        AddPartitionsToTxnTopic::default().with_name(TopicName(name.clone())).with_partitions(partitions)
    });
    AddPartitionsToTxnTransaction::default()
        .with_transactional_id(TransactionalId(question.transactional_id.clone()))
        .with_producer_id(ProducerId(question.producer_id))
        .with_producer_epoch(question.producer_epoch)
        .with_verify_only(!question.operation.bumps_epoch())
        .with_topics(topics.collect())
}

/// The errors of a transaction's partitions, in words that the client knows.
fn errors_of(answer: &AddPartitionsToTxnResponse, question: &Question) -> PartitionErrors {
    let results = answer.results_by_transaction.iter();
    let mut of_this =
        results.filter(|result| result.transactional_id.0 == question.transactional_id).peekable();
    if of_this.peek().is_none() {
        return all(question, ErrorCode::UnknownServerError);
    }
    let mut errors = PartitionErrors::new();
    for topic in of_this.flat_map(|result| &result.topic_results) {
        for partition in &topic.results_by_partition {
            let error = match error_code(partition.partition_error_code) {
                ErrorCode::None => continue,
                // What producers expect to hear in its place.
                ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
                ErrorCode::TransactionAbortable
                    if question.operation == TransactionSupportedOperation::DefaultError =>
                {
                    ErrorCode::InvalidTxnState
                }
                error => error,
            };
            let place = TopicPartition { topic: topic.name.0.clone(), partition: partition.partition_index };
            errors.insert(place, error);
        }
    }
    errors
}

fn error_code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

/// One error for all that was asked about.
fn all(question: &Question, error: ErrorCode) -> PartitionErrors {
    question.partitions.iter().map(|partition| (partition.clone(), error)).collect()
}

fn trace(ctx: &mut Ctx<'_>, question: &Question, errors: &PartitionErrors) {
    if !ctx.tracing() {
        return;
    }
    for partition in &question.partitions {
        ctx.trace(TransactionEvent::TransactionVerified {
            partition: partition.clone(),
            producer_id: question.producer_id,
            producer_epoch: question.producer_epoch,
            error: errors.get(partition).copied().unwrap_or(ErrorCode::None),
        });
    }
}
