//! What a client did or saw.

use std::collections::BTreeMap;

/// What clients wrote down, each line once what it tells was so: before a client does something, after it saw something. The
/// lines of one client are in its order; when several share a program, those of the program are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The lines, in order.
    pub events: Vec<Event>,
}

/// One line. `who` names a client: a producer or a consumer from its construction to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A producer begins.
    Producer {
        /// Its name.
        who: String,
        /// Whether it asks for acks=all.
        acks_all: bool,
        /// Whether it is idempotent.
        idempotent: bool,
    },
    /// A consumer begins.
    Consumer {
        /// Its name.
        who: String,
        /// Whether its isolation level is `read_committed`.
        read_committed: bool,
    },
    /// A producer is about to send a value.
    Send {
        /// The producer.
        who: String,
        /// The value; nothing else ever sends it.
        value: u64,
        /// The partition, as `topic-0`.
        to: String,
        /// The transaction in which it does, which no other producer names so.
        transaction: Option<String>,
    },
    /// A producer was told what became of a value.
    Sent {
        /// The value.
        value: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A producer is about to ask for the end of a transaction.
    Asked {
        /// The transaction.
        transaction: String,
        /// Whether it asks to commit it.
        commit: bool,
    },
    /// A producer was told how a transaction ended.
    Ended {
        /// The transaction.
        transaction: String,
        /// How.
        end: End,
    },
    /// A consumer's position in these partitions begins anew: they were assigned, revoked, or it is about to seek.
    Moved {
        /// The consumer.
        who: String,
        /// The partitions.
        partitions: Vec<String>,
    },
    /// A consumer polled records.
    Polled {
        /// The consumer.
        who: String,
        /// For each partition, its records in order.
        records: BTreeMap<String, Vec<Record>>,
    },
    /// A consumer, having begun at the beginning of these partitions when all producers had ended, read up to their ends.
    ReadAll {
        /// The consumer.
        who: String,
        /// The partitions and the offsets of their ends.
        ends: BTreeMap<String, i64>,
    },
}

/// A record as a consumer saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its offset.
    pub offset: i64,
    /// Its value.
    pub value: u64,
}

/// What became of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was acknowledged.
    Acked {
        /// The offset, where the client was told.
        offset: Option<i64>,
    },
    /// It certainly is not in the log, and will not be.
    Failed,
    /// It may be in the log, or may still get there: a timeout, a lost connection.
    Unknown,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was committed.
    Committed,
    /// It was aborted, and what it wrote will never be seen.
    Aborted,
    /// One or the other.
    Unknown,
}
