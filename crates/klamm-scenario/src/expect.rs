//! What may be expected of a cluster.

use std::time::Duration;

use klamm_node::{NodeId, TopicPartition, TracePattern};

/// One expectation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expectation {
    Partition {
        partition: TopicPartition,
        facts: Vec<PartitionFact>,
    },
    Replica {
        partition: TopicPartition,
        broker: NodeId,
        facts: Vec<ReplicaFact>,
    },
    Log {
        partition: TopicPartition,
        broker: NodeId,
        from: Option<i64>,
        records: Vec<RecordPattern>,
    },
    SameLogs {
        partition: TopicPartition,
        brokers: Vec<NodeId>,
    },
    Result {
        client: String,
        records: Vec<String>,
        error: Option<String>,
        offset: Option<i64>,
        throttle: Option<Duration>,
    },
    Consumed {
        client: String,
        partition: TopicPartition,
        records: Vec<String>,
        error: Option<String>,
    },
    Acquired {
        client: String,
        partition: TopicPartition,
        records: Vec<String>,
        deliveries: Option<i16>,
    },
    Broker {
        broker: NodeId,
        facts: Vec<BrokerFact>,
    },
    Controller {
        controller: NodeId,
        facts: Vec<ControllerFact>,
    },
    Topic {
        topic: String,
        exists: Option<bool>,
        partitions: Option<i32>,
    },
    Group {
        group: String,
        facts: Vec<GroupFact>,
    },
    Committed {
        group: String,
        partition: TopicPartition,
        offset: Option<i64>,
    },
    Position {
        client: String,
        partition: TopicPartition,
        offset: i64,
    },
    Member {
        client: String,
        facts: Vec<MemberFact>,
    },
    Disconnected {
        client: String,
        times: i64,
    },
    Fired {
        fault: String,
        times: Option<i64>,
    },
    Happened {
        event: TracePattern,
        times: Option<i64>,
    },
    HappenedBefore {
        first: TracePattern,
        second: TracePattern,
    },
    Never {
        event: TracePattern,
    },
}

/// What the controller says of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PartitionFact {
    Leader(Option<NodeId>),
    LeaderEpoch(i64),
    PartitionEpoch(i64),
    Isr(Vec<NodeId>),
    Elr(Vec<NodeId>),
    LastKnownLeader(Option<NodeId>),
    Replicas(Vec<NodeId>),
    Adding(Vec<NodeId>),
    Removing(Vec<NodeId>),
    Recovering(bool),
    LogEnd(i64),
    HighWatermark(i64),
    LastStableOffset(i64),
}

/// What a broker says of its replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplicaFact {
    LogStart(i64),
    LogEnd(i64),
    HighWatermark(i64),
    LastStableOffset(i64),
    LeaderEpoch(i64),
    Epochs(Vec<(i32, i64)>),
    Hosted(bool),
}

/// How a broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BrokerFact {
    Up(bool),
    Fenced(bool),
    Registered(bool),
    ShuttingDown(bool),
}

/// What a controller says of itself and of the quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ControllerFact {
    Up(bool),
    Active(bool),
    State(String),
    Epoch(i64),
    Leader(Option<NodeId>),
    LogEnd(i64),
    HighWatermark(i64),
}

/// How a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupFact {
    State(String),
    Generation(i64),
    Members(i64),
    Coordinator(NodeId),
}

/// How a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberFact {
    Generation(i64),
    Leads(bool),
    Coordinator(Option<NodeId>),
    Assigned(Vec<TopicPartition>),
}

/// A record in a log: its value, and the epoch of its batch if that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordPattern {
    pub(crate) value: String,
    pub(crate) epoch: Option<i32>,
}
