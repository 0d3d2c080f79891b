//! What a scenario does, step by step: every name resolved, every value checked.

use std::time::Duration;

use klamm_node::{NodeId, TopicPartition};
use klamm_wire::KafkaVersion;

use klamm_world::Fault;
use klamm_world::scripted::{ConsumerOp, GroupSettings, OffsetReset};

use crate::expect::Expectation;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Prose.
    Note(String),
    /// Declares a client.
    Producer(ProducerSpec),
    /// Declares a client.
    Consumer(ConsumerSpec),
    /// Sends records; with `wait`, waits for their results.
    Send { send: Send, wait: Option<Wait> },
    /// Waits for the results of records; of all that are pending, when there are none.
    Await { client: String, records: Vec<String>, wait: Wait },
    /// A producer begins or ends a transaction.
    Transaction(TransactionStep),
    /// Reads a partition.
    Consume(Consume),
    /// Has a consumer of the world do something.
    Member { client: String, op: ConsumerOp, error: String, wait: bool, patience: Duration },
    /// A consumer's process dies.
    EndMember(String),
    /// Declares a client.
    ShareConsumer { name: String, group: String },
    /// A consumer of a share group does something.
    Share(ShareStep),
    /// Lets time pass.
    Advance(Duration),
    /// Lets time pass until this long after the first step.
    AdvanceTo(Duration),
    /// Lets time pass until all is in sync.
    Settle(Duration),
    /// Makes things go wrong, one after another.
    Inject(Vec<Inject>),
    /// Stops nodes in order, and waits until they have.
    Stop(Vec<NodeId>),
    /// Ends faults with a name; all of them, when there are none.
    Heal(Vec<String>),
    /// Lets time pass until a fault has fired so often.
    AwaitFired { name: String, times: u64, within: Duration },
    /// Changes a link.
    Link { from: NodeId, to: NodeId, latency: Duration, jitter: Duration, one_way: bool },
    /// Asks the cluster for something as an administrator does.
    Admin { ask: Admin, error: String },
    /// States what must hold.
    Expect { when: When, all: Vec<Expectation> },
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inject {
    /// What `heal` and `fired` know it by.
    pub(crate) name: Option<String>,
    pub(crate) fault: Fault,
    /// Whether it may be that it never fires.
    pub(crate) may_not_fire: bool,
}

/// When expectations must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Now.
    Now,
    /// At some moment within the time, and none before.
    Eventually { within: Duration, not_before: Duration },
    /// At every moment of the time.
    Always(Duration),
}

/// A simulated producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProducerSpec {
    pub(crate) name: String,
    pub(crate) acks: i16,
    pub(crate) idempotent: bool,
    pub(crate) retries: u32,
    pub(crate) retry_backoff: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) delivery_timeout: Duration,
    pub(crate) transactional: Option<TransactionalSpec>,
}

/// How a producer sends in transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionalSpec {
    /// `transactional.id`
    pub(crate) id: String,
    /// `transaction.timeout.ms`
    pub(crate) timeout: Duration,
    /// Whether leaders add its partitions to its transactions, and each transaction has an epoch of its own (KIP-890).
    pub(crate) v2: bool,
    /// The release of the cluster, which bounds the versions it speaks.
    pub(crate) release: KafkaVersion,
}

/// What a transactional producer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transaction {
    Init,
    Begin,
    End {
        commit: bool,
    },
    SendOffset {
        partition: TopicPartition,
        group: String,
        offset: i64,
        of: Metadata,
    },
    /// The coordinator's record is written with this producer epoch.
    WriteEpoch(i16),
}

/// For which member of a group a position is committed (`ConsumerGroupMetadata`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metadata {
    /// The consumer that it is asked of.
    pub(crate) consumer: Option<String>,
    /// Instead of the consumer's.
    pub(crate) generation: Option<i32>,
    pub(crate) member: Option<String>,
    pub(crate) instance: Option<String>,
}

/// A simulated consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConsumerSpec {
    pub(crate) name: String,
    pub(crate) read_committed: bool,
    pub(crate) rack: Option<String>,
    pub(crate) member: MemberSpec,
    pub(crate) request_timeout: Duration,
}

/// What a consumer is beyond one that only fetches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberSpec {
    pub(crate) reset: OffsetReset,
    pub(crate) group: Option<GroupSettings>,
}

/// What a consumer of a share group does, and how that must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShareStep {
    pub(crate) client: String,
    pub(crate) what: ShareWhat,
    pub(crate) error: String,
    pub(crate) within: Duration,
}

/// What a consumer of a share group says of a record that it keeps (`AcknowledgeType.RENEW`).
pub(crate) const RENEW: i8 = 4;

/// What a consumer of a share group does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ShareWhat {
    Join(Vec<String>),
    Leave,
    Poll(TopicPartition),
    /// Says so of these records; of all that it has, when there are none.
    Acknowledge {
        kind: i8,
        records: Vec<String>,
    },
}

/// Records to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Send {
    pub(crate) client: String,
    pub(crate) to: TopicPartition,
    pub(crate) records: Vec<String>,
    pub(crate) acks: Option<i16>,
    pub(crate) broker: Option<NodeId>,
    pub(crate) one_batch: bool,
    /// Every record's key.
    pub(crate) key: Option<String>,
    /// How long ago the records were made, in milliseconds; negative for the future.
    pub(crate) age_ms: i64,
    /// They have no value.
    pub(crate) tombstone: bool,
    /// The first sequence and the epoch that they claim, instead of the producer's own.
    pub(crate) sequence: Option<i32>,
    pub(crate) epoch: Option<i16>,
}

/// What a producer does with its transaction, and how that must end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TransactionStep {
    pub(crate) client: String,
    pub(crate) what: Transaction,
    pub(crate) error: String,
    pub(crate) retry: bool,
    pub(crate) wait: bool,
    pub(crate) within: Duration,
    /// The epoch that it claims, instead of its own.
    pub(crate) epoch: Option<i16>,
}

/// Results to wait for, and what they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) error: String,
    pub(crate) offset: Option<i64>,
    pub(crate) within: Option<Duration>,
}

/// A partition to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Consume {
    pub(crate) client: String,
    pub(crate) partition: TopicPartition,
    pub(crate) from: Option<i64>,
    pub(crate) broker: Option<NodeId>,
    pub(crate) epoch: Option<i32>,
    /// The epoch of the record before the first one that is wanted.
    pub(crate) last_epoch: Option<i32>,
    pub(crate) max_wait: Duration,
    pub(crate) wait: bool,
    pub(crate) error: String,
}

/// What an administrator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Admin {
    CreateTopic(TopicSpec),
    DeleteTopic(String),
    AddPartitions {
        topic: String,
        count: i32,
    },
    DeleteRecords {
        partition: TopicPartition,
        before: i64,
    },
    Elect {
        unclean: bool,
        partition: TopicPartition,
    },
    /// With `None`, cancels.
    Reassign {
        partition: TopicPartition,
        to: Option<Vec<NodeId>>,
    },
    Unregister(NodeId),
    /// Asks for a topic's metadata, and with `create` for the topic itself where there is none.
    Metadata {
        topic: String,
        create: bool,
        broker: Option<NodeId>,
    },
    /// Names by type, `None` for the default; bounds by key, 0 for none.
    AlterQuota {
        entity: Vec<(&'static str, Option<String>)>,
        values: Vec<(&'static str, i64)>,
    },
    AlterConfig {
        resource: Resource,
        configs: Vec<(String, String)>,
    },
}

/// What is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource {
    Topic(String),
    /// One broker, or with `None` all of them.
    Broker(Option<NodeId>),
}

/// A topic to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicSpec {
    pub(crate) name: String,
    pub(crate) placement: Placement,
    pub(crate) configs: Vec<(String, String)>,
    /// The version of the request, where it is not the newest.
    pub(crate) api_version: Option<i16>,
}

/// Where a topic's replicas go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Each partition's replicas.
    Manual(Vec<Vec<NodeId>>),
    /// As the controller sees fit.
    Controller { partitions: i32, replication_factor: i16 },
}

impl TopicSpec {
    pub(crate) fn partitions(&self) -> i32 {
        match &self.placement {
            Placement::Manual(partitions) => i32::try_from(partitions.len()).unwrap_or(i32::MAX),
            Placement::Controller { partitions, .. } => *partitions,
        }
    }
}
