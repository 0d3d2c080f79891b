//! What a scripted client can be asked to do, and how that ends.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::{ApiKey, Request, Response, StrBytes};

use super::error::ClientError;

/// One operation of one scripted client: the first it was asked for is 0, the next 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// Something that a scripted client is asked to do. Each ends exactly once, with an [`OpResult`].
#[derive(Debug, Clone, PartialEq)]
pub enum ClientOp {
    /// Any client: asks a broker, and ends with its response, whatever that says. Nothing is retried.
    Request(RequestOp),
    /// Any client: stops to refresh metadata, and to heed leader hints, until told otherwise: what it knows grows stale.
    FreezeMetadata(bool),
    /// A producer: sends one batch.
    Send(SendOp),
    /// A producer: ends when every send that was asked for before it has ended (`KafkaProducer.flush`).
    Flush,
    /// A consumer: one thing after another, each once the one before has ended.
    Consumer(ConsumerOp),
}

impl From<RequestOp> for ClientOp {
    fn from(op: RequestOp) -> Self {
        Self::Request(op)
    }
}

impl From<SendOp> for ClientOp {
    fn from(op: SendOp) -> Self {
        Self::Send(op)
    }
}

impl From<ConsumerOp> for ClientOp {
    fn from(op: ConsumerOp) -> Self {
        Self::Consumer(op)
    }
}

/// What a consumer can be asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsumerOp {
    /// Reads these partitions from now on, and no others (`assign`).
    Assign(Vec<TopicPartition>),
    /// Joins its group for these topics, instead of what it was subscribed to (`subscribe`). It joins while it is polled.
    Subscribe(Vec<StrBytes>),
    /// Leaves the group, and has no partitions any more (`unsubscribe`). A static member does not tell the coordinator.
    Unsubscribe,
    /// Commits these offsets for its group; `None` for its positions (`commitSync`).
    Commit(Option<Vec<(TopicPartition, CommittedOffset)>>),
    /// Asks what its group has committed. Ends with [`OpValue::Committed`].
    Committed(Vec<TopicPartition>),
    /// Goes somewhere in an assigned partition.
    Seek {
        /// The partition.
        partition: TopicPartition,
        /// Where to.
        to: SeekTo,
    },
    /// Reads from this broker, whoever leads; `None` from the leader again.
    FetchFrom(Option<NodeId>),
    /// Reads until there are so many records, or time is over. Ends with [`OpValue::Records`]; with an error when there
    /// is one and nothing was read before it.
    Poll {
        /// It ends as soon as it has this many; 0 counts as 1.
        at_least: u64,
        /// It ends at the latest after this.
        within: Duration,
    },
    /// Reads for a while. The records show in the history only; the operation ends with their number.
    Consume {
        /// For how long.
        within: Duration,
    },
    /// Asks for the first offset whose record is at least that young (`offsetsForTimes`), for the log's end (-1), its
    /// beginning (-2) or its largest timestamp (-3). Ends with [`OpValue::Offset`].
    ListOffsets {
        /// The partition.
        partition: TopicPartition,
        /// Milliseconds, or one of the special ones.
        timestamp: i64,
    },
}

/// A place in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTo {
    /// The log's beginning.
    Beginning,
    /// The log's end.
    End,
    /// An offset.
    Offset {
        /// The offset of the record to read next.
        offset: i64,
        /// The leader epoch of the record before it, if known: then the position is validated (KIP-320).
        leader_epoch: Option<i32>,
    },
}

impl SeekTo {
    /// An offset of which nothing else is known.
    pub const fn offset(offset: i64) -> Self {
        Self::Offset { offset, leader_epoch: None }
    }
}

/// A record that a consumer was handed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    /// Where it is.
    pub partition: TopicPartition,
    /// At which offset.
    pub offset: i64,
    /// The epoch of the leader that appended it; -1 when the batch does not say.
    pub leader_epoch: i32,
    /// Its timestamp, in milliseconds.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub value: Option<Bytes>,
}

/// An offset of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the record to read next.
    pub offset: i64,
    /// The leader epoch of the record before it; -1 when unknown.
    pub leader_epoch: i32,
}

impl From<i64> for CommittedOffset {
    fn from(offset: i64) -> Self {
        Self { offset, leader_epoch: -1 }
    }
}

/// What a group has committed; `None` where it has committed nothing.
pub type Offsets = BTreeMap<TopicPartition, Option<CommittedOffset>>;

/// An offset that a broker named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOffset {
    /// The offset.
    pub offset: i64,
    /// The record's timestamp, in milliseconds; -1 for a log's beginning or end.
    pub timestamp: i64,
    /// The record's leader epoch; -1 when unknown.
    pub leader_epoch: i32,
}

/// A request as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct RequestOp {
    /// Whom to ask.
    pub to: Target,
    /// What is asked.
    pub api_key: ApiKey,
    /// The version to speak; `None` for the newest that both sides know.
    pub api_version: Option<i16>,
    /// The request.
    pub request: Box<Request>,
    /// How long to wait for the answer; `None` for `request.timeout.ms`.
    pub timeout: Option<Duration>,
}

impl RequestOp {
    /// Asks any broker, in the newest version, with the usual patience.
    pub fn any(api_key: ApiKey, request: Request) -> Self {
        Self { to: Target::Any, api_key, api_version: None, request: Box::new(request), timeout: None }
    }

    /// The same, of one broker.
    #[must_use]
    pub fn to(mut self, broker: NodeId) -> Self {
        self.to = Target::Broker(broker);
        self
    }
}

/// Whom to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Any broker that can be reached: the least loaded one.
    Any,
    /// One broker.
    Broker(NodeId),
    /// The broker that leads a partition, as far as the client's metadata knows.
    Leader(TopicPartition),
}

/// One batch to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendOp {
    /// Where to.
    pub partition: TopicPartition,
    /// The records, which stay together in one batch (`linger.ms` is 0, and a batch is never split).
    pub records: Vec<NewRecord>,
    /// The broker to send it to, whoever leads; `None` for the leader that metadata names.
    pub to: Option<NodeId>,
}

impl SendOp {
    /// Sends values to a partition's leader, in one batch.
    pub fn new(
        topic: impl Into<StrBytes>,
        partition: i32,
        values: impl IntoIterator<Item = impl Into<Bytes>>,
    ) -> Self {
        let records = values.into_iter().map(NewRecord::value).collect();
        Self { partition: TopicPartition::new(topic, partition), records, to: None }
    }

    /// The same, to one broker on purpose.
    #[must_use]
    pub const fn to(mut self, broker: NodeId) -> Self {
        self.to = Some(broker);
        self
    }
}

/// A record to send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewRecord {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// Its timestamp, in milliseconds; `None` for the client's wall clock.
    pub timestamp: Option<i64>,
}

impl NewRecord {
    /// A record without a key.
    pub fn value(value: impl Into<Bytes>) -> Self {
        Self { key: None, value: Some(value.into()), timestamp: None }
    }

    /// A record with a key.
    pub fn keyed(key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { key: Some(key.into()), ..Self::value(value) }
    }
}

/// How an operation ended.
pub type OpResult = Result<OpValue, ClientError>;

/// What an operation brought.
#[derive(Debug, Clone, PartialEq)]
pub enum OpValue {
    /// It is done; there is nothing to tell.
    Done,
    /// A batch was acknowledged.
    Produced(Produced),
    /// A broker's response.
    Response(Box<Response>),
    /// Records, in the order in which they were handed out.
    Records(Vec<ConsumedRecord>),
    /// How many records were read.
    Consumed(u64),
    /// An offset; `None` when no record is that young.
    Offset(Option<FoundOffset>),
    /// What a group has committed.
    Committed(Offsets),
}

impl OpValue {
    /// The records that were read, if this is about them.
    pub fn records(&self) -> Option<&[ConsumedRecord]> {
        if let Self::Records(records) = self { Some(records) } else { None }
    }

    /// Where a batch was written, if this is about one.
    pub const fn produced(&self) -> Option<&Produced> {
        if let Self::Produced(produced) = self { Some(produced) } else { None }
    }

    /// A broker's response, if this is one.
    pub fn response(&self) -> Option<&Response> {
        if let Self::Response(response) = self { Some(response) } else { None }
    }
}

/// An acknowledged batch (`RecordMetadata`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Produced {
    /// The partition.
    pub partition: TopicPartition,
    /// The first record's offset; `None` with acks=0, and for a duplicate whose offset the broker no longer knows.
    pub base_offset: Option<i64>,
    /// The time at which the broker appended it (`LogAppendTime` topics), or else the first record's own, in milliseconds.
    pub timestamp: i64,
    /// How many times it was sent.
    pub attempts: u32,
}

/// One operation, from its beginning to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct OpRecord {
    /// When it was asked for.
    pub asked_at: Timestamp,
    /// When and how it ended; `None` while it has not.
    pub ended: Option<(Timestamp, OpResult)>,
}

impl OpRecord {
    /// How it ended, if it has.
    pub fn result(&self) -> Option<&OpResult> {
        self.ended.as_ref().map(|(_, result)| result)
    }

    /// The error that it ended with, if it has.
    pub fn error(&self) -> Option<&ClientError> {
        self.result()?.as_ref().err()
    }
}

/// A client's operations, the finished ones as far as they are kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ops {
    records: BTreeMap<OpId, OpRecord>,
    asked: u64,
}

impl Ops {
    /// Notes a new operation. Beyond `capacity` the oldest is forgotten, if it has ended.
    pub(crate) fn ask(&mut self, at: Timestamp, capacity: usize) -> OpId {
        let id = OpId(self.asked);
        self.asked += 1;
        self.records.insert(id, OpRecord { asked_at: at, ended: None });
        while self.records.len() > capacity.max(1)
            && self.records.first_key_value().is_some_and(|(_, record)| record.ended.is_some())
        {
            self.records.pop_first();
        }
        id
    }

    pub(crate) fn end(&mut self, at: Timestamp, id: OpId, result: OpResult) {
        if let Some(record) = self.records.get_mut(&id)
            && record.ended.is_none()
        {
            record.ended = Some((at, result));
        }
    }

    pub(crate) fn get(&self, id: OpId) -> Option<&OpRecord> {
        self.records.get(&id)
    }

    pub(crate) const fn asked(&self) -> u64 {
        self.asked
    }

    /// Whether every operation has ended.
    pub(crate) fn is_idle(&self) -> bool {
        self.records.values().all(|record| record.ended.is_some())
    }

    /// Ends everything that has not ended.
    pub(crate) fn end_all(&mut self, at: Timestamp, error: &ClientError) {
        for record in self.records.values_mut().filter(|record| record.ended.is_none()) {
            record.ended = Some((at, Err(error.clone())));
        }
    }
}
