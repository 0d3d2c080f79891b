//! What scripted clients did and saw, in the order in which it happened: the raw material of invariants and reports.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use bytes::Bytes;
use klamm_node::{NodeId, Timestamp, TopicPartition};

use super::error::ClientError;
use super::op::{CommittedOffset, NewRecord, OpId};
use crate::client::ClientId;

/// One thing that a client did or saw.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryEntry {
    /// When, on the world's clock.
    pub at: Timestamp,
    /// Which client.
    pub client: ClientId,
    /// The operation it belongs to; `None` for what the client does by itself.
    pub op: Option<OpId>,
    /// What happened.
    pub event: HistoryEvent,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum HistoryEvent {
    /// A producer was asked to send a batch.
    SendAsked {
        /// Where to.
        partition: TopicPartition,
        /// `acks`.
        acks: i16,
        /// Whether the producer is idempotent.
        idempotent: bool,
        /// The records.
        records: std::sync::Arc<[NewRecord]>,
    },
    /// A batch left for a broker.
    Sent {
        /// Where to.
        partition: TopicPartition,
        /// The broker.
        to: NodeId,
        /// How many records.
        records: usize,
        /// Which attempt, from 1.
        attempt: u32,
        /// Producer id, epoch and base sequence, of an idempotent producer.
        producer: Option<(i64, i16, i32)>,
    },
    /// A batch was acknowledged.
    Acked {
        /// Where it is.
        partition: TopicPartition,
        /// `acks`.
        acks: i16,
        /// The first record's offset, if the broker said.
        base_offset: Option<i64>,
        /// How many records.
        records: usize,
        /// The broker's append time, or the first record's time, in milliseconds.
        timestamp: i64,
    },
    /// A batch failed for good.
    SendFailed {
        /// Where it should have gone.
        partition: TopicPartition,
        /// Why.
        error: ClientError,
        /// Whether it may be in the log nevertheless: some attempt had no answer, or one that says it was appended.
        maybe_appended: bool,
    },
    /// Any other operation ended.
    Ended {
        /// Why it failed, if it did.
        error: Option<ClientError>,
    },
    /// A member of a group took its share over.
    Assigned {
        /// The group's generation.
        generation: i32,
        /// All that it has now.
        partitions: Vec<TopicPartition>,
    },
    /// A member of a group gave partitions up.
    Revoked {
        /// What it gave up.
        partitions: Vec<TopicPartition>,
        /// Whether others may have had them before it knew.
        lost: bool,
    },
    /// Offsets were committed.
    Committed {
        /// The member's generation; -1 for who is no member.
        generation: i32,
        /// The offsets.
        offsets: BTreeMap<TopicPartition, CommittedOffset>,
    },
    /// A consumer went to another place in a partition.
    Positioned {
        /// The partition.
        partition: TopicPartition,
        /// Where it was, if it had a place.
        from: Option<i64>,
        /// The offset that it reads next.
        to: i64,
        /// Why: `seek`, `reset to earliest`, `reset to latest`, `committed`, `the log was truncated`.
        cause: &'static str,
    },
    /// A consumer was handed a record.
    Read {
        /// Where it is.
        partition: TopicPartition,
        /// At which offset.
        offset: i64,
        /// The epoch of the leader that appended it.
        leader_epoch: i32,
        /// Its key.
        key: Option<Bytes>,
        /// Its value.
        value: Option<Bytes>,
        /// The broker that it was read from.
        from: NodeId,
        /// The first offset that the broker did not show: its high watermark, or its last stable offset for read_committed.
        visible_end: i64,
        /// Whether the consumer is read_committed.
        read_committed: bool,
    },
}

/// The newest entries, and how many there ever were.
#[derive(Debug, Clone)]
pub struct History {
    entries: VecDeque<HistoryEntry>,
    capacity: usize,
    recorded: u64,
}

impl History {
    /// A history that keeps the newest `capacity` entries.
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { entries: VecDeque::new(), capacity, recorded: 0 }
    }

    pub(crate) fn record(&mut self, entry: HistoryEntry) {
        self.recorded += 1;
        if self.capacity == 0 {
            return;
        }
        if self.entries.len() == self.capacity {
            self.entries.pop_front();
        }
        self.entries.push_back(entry);
    }

    /// How many entries are kept at most.
    pub const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many entries were ever recorded.
    pub const fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The value of every record of a partition that a client has read, in order, as far as the entries are kept.
    pub fn reads(&self, client: ClientId, partition: &TopicPartition) -> Vec<Option<Bytes>> {
        let of_client = self.entries().filter(|entry| entry.client == client);
        let values = of_client.filter_map(|entry| match &entry.event {
            HistoryEvent::Read { partition: of, value, .. } if of == partition => Some(value.clone()),
            _ => None,
        });
        values.collect()
    }

    /// The kept entries, oldest first.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &HistoryEntry> {
        self.entries.iter()
    }

    /// The kept entries from the `recorded`-th on, counted from 0: what came since a reader last looked.
    pub fn since(&self, recorded: u64) -> impl ExactSizeIterator<Item = &HistoryEntry> {
        let first = self.recorded - self.entries.len() as u64;
        let skip = usize::try_from(recorded.saturating_sub(first)).unwrap_or(usize::MAX);
        self.entries.range(skip.min(self.entries.len())..)
    }
}

impl fmt::Display for HistoryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} client {}", self.at, self.client.0)?;
        if let Some(op) = self.op {
            write!(f, " op {}", op.0)?;
        }
        write!(f, " {:?}", self.event)
    }
}
