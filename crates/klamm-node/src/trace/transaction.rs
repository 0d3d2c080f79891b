//! Decisions about transactions.

use std::fmt;

use klamm_wire::{ErrorCode, StrBytes};

use super::TraceKind;
use crate::ids::{NodeId, TopicPartition};

/// What a transaction coordinator, or a leader that holds part of a transaction, decided.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransactionEvent {
    /// A leader wrote the end of a transaction into its log.
    MarkerAppended {
        /// The partition.
        partition: TopicPartition,
        /// The marker's offset.
        offset: i64,
        /// The producer.
        producer_id: i64,
        /// The epoch that the marker carries.
        producer_epoch: i16,
        /// What the marker says: commit, or abort.
        committed: bool,
        /// Epoch of the coordinator that decided.
        coordinator_epoch: i32,
    },
    /// A leader asked the transaction coordinator whether a partition is in a producer's transaction, and was answered.
    TransactionVerified {
        /// The partition.
        partition: TopicPartition,
        /// The producer.
        producer_id: i64,
        /// Its epoch.
        producer_epoch: i16,
        /// The answer, as the leader reads it.
        error: ErrorCode,
    },
    /// A transactional id changed state.
    TransactionState {
        /// The id.
        transactional_id: StrBytes,
        /// Before.
        from: &'static str,
        /// Now.
        to: &'static str,
        /// Its producer now.
        producer_id: i64,
        /// The producer's epoch now.
        producer_epoch: i16,
        /// Why.
        cause: &'static str,
    },
    /// A transaction coordinator sent markers to a broker.
    TransactionMarkersSent {
        /// The transactional id.
        transactional_id: StrBytes,
        /// The broker.
        to: NodeId,
        /// `commit` or `abort`.
        outcome: &'static str,
        /// The partitions.
        partitions: Vec<TopicPartition>,
        /// The coordinator's epoch.
        coordinator_epoch: i32,
    },
    /// A transaction coordinator refused a request.
    TransactionRefused {
        /// The transactional id.
        transactional_id: StrBytes,
        /// What was asked for, by Kafka's name.
        request: &'static str,
        /// The error that it was answered.
        error: &'static str,
        /// Where the transactional id stands.
        state: String,
    },
    /// The marker of a partition is not sent any more: it cannot be written.
    MarkerGivenUp {
        /// The transactional id.
        transactional_id: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// What its leader answered.
        error: &'static str,
    },
    /// A coordinator has read its partition of `__transaction_state`.
    TransactionsLoaded {
        /// The partition.
        partition: TopicPartition,
        /// The epoch in which it leads it.
        epoch: i32,
        /// How many transactional ids it holds.
        transactional_ids: usize,
    },
}

impl TransactionEvent {
    /// The partition that it is about.
    pub const fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::MarkerAppended { partition, .. }
            | Self::TransactionVerified { partition, .. }
            | Self::MarkerGivenUp { partition, .. }
            | Self::TransactionsLoaded { partition, .. } => Some(partition),
            _ => None,
        }
    }
}

impl From<TransactionEvent> for TraceKind {
    fn from(event: TransactionEvent) -> Self {
        Self::Transaction(event)
    }
}

impl fmt::Display for TransactionEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarkerAppended {
                partition,
                offset,
                producer_id,
                producer_epoch,
                committed,
                coordinator_epoch,
            } => {
                let marker = if *committed { "commit" } else { "abort" };
                write!(
                    f,
                    "{partition} {marker} marker at {offset} of producer {producer_id} in epoch {producer_epoch} by coordinator \
                     epoch {coordinator_epoch}"
                )
            }
            Self::TransactionVerified { partition, producer_id, producer_epoch, error } => {
                let outcome = if *error == ErrorCode::None { "is" } else { "is not" };
                write!(
                    f,
                    "{partition} {outcome} in the transaction of producer {producer_id} in epoch {producer_epoch}"
                )?;
                if *error == ErrorCode::None { Ok(()) } else { write!(f, ": {error}") }
            }
            Self::TransactionState { transactional_id, from, to, producer_id, producer_epoch, cause } => {
                write!(
                    f,
                    "transaction {transactional_id} {from} -> {to} producer {producer_id} epoch {producer_epoch}: {cause}"
                )
            }
            Self::TransactionMarkersSent { transactional_id, to, outcome, partitions, coordinator_epoch } => {
                write!(f, "transaction {transactional_id} {outcome} markers to {to} for ")?;
                for (i, partition) in partitions.iter().enumerate() {
                    write!(f, "{}{partition}", if i > 0 { ", " } else { "" })?;
                }
                write!(f, " by coordinator epoch {coordinator_epoch}")
            }
            Self::TransactionRefused { transactional_id, request, error, state } => {
                write!(f, "transaction {transactional_id} refuses {request}: {error}, it is {state}")
            }
            Self::MarkerGivenUp { transactional_id, partition, error } => {
                write!(f, "transaction {transactional_id}: the marker of {partition} is given up: {error}")
            }
            Self::TransactionsLoaded { partition, epoch, transactional_ids } => {
                write!(f, "{partition} loaded in epoch {epoch}: {transactional_ids} transactional ids")
            }
        }
    }
}
