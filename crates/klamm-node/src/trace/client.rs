//! What simulated clients did.

use std::fmt;

use klamm_wire::StrBytes;

use super::TraceKind;
use crate::ids::{NodeId, TopicPartition};

/// What a simulated client did.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientDid {
    /// A simulated client sent a batch.
    ClientSent {
        /// Its `client.id`.
        client: StrBytes,
        /// Where to.
        partition: TopicPartition,
        /// The broker.
        to: NodeId,
        /// How many records.
        records: usize,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// A simulated client was told that its batch is written.
    ClientAcked {
        /// Its `client.id`.
        client: StrBytes,
        /// Where the batch is.
        partition: TopicPartition,
        /// The first record's offset, -1 when the broker did not say.
        offset: i64,
        /// How many records.
        records: usize,
    },
    /// Something that a simulated client was asked to do failed.
    ClientFailed {
        /// Its `client.id`.
        client: StrBytes,
        /// What it was: a partition, for a batch.
        what: String,
        /// The error's name, and what is known of it.
        error: String,
    },
    /// A simulated client read a record.
    ClientConsumed {
        /// Its `client.id`.
        client: StrBytes,
        /// Where it is.
        partition: TopicPartition,
        /// At which offset.
        offset: i64,
        /// Its leader's epoch.
        leader_epoch: i32,
    },
}

impl ClientDid {
    /// The partition that it is about.
    pub const fn partition(&self) -> Option<&TopicPartition> {
        match self {
            Self::ClientSent { partition, .. }
            | Self::ClientAcked { partition, .. }
            | Self::ClientConsumed { partition, .. } => Some(partition),
            Self::ClientFailed { .. } => None,
        }
    }
}

impl From<ClientDid> for TraceKind {
    fn from(event: ClientDid) -> Self {
        Self::Client(event)
    }
}

impl fmt::Display for ClientDid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSent { client, partition, to, records, attempt } => {
                write!(f, "{client} sends {records} records of {partition} to {to}, attempt {attempt}")
            }
            Self::ClientAcked { client, partition, offset, records } => {
                write!(f, "{client} has {records} records of {partition} acknowledged at {offset}")
            }
            Self::ClientFailed { client, what, error } => write!(f, "{client} failed: {what}: {error}"),
            Self::ClientConsumed { client, partition, offset, leader_epoch } => {
                write!(f, "{client} reads {partition} offset {offset} of epoch {leader_epoch}")
            }
        }
    }
}
