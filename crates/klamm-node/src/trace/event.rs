//! Every decision as a typed event.

use std::time::Duration;

use klamm_wire::StrBytes;

use super::client::ClientDid;
use super::group::GroupEvent;
use super::share::ShareEvent;
use super::transaction::TransactionEvent;
use crate::ids::{NodeId, TopicPartition};
use crate::time::Timestamp;

/// An event's number within its trace, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceEvent {
    /// Its number.
    pub id: EventId,
    /// The event that it follows from, where that is known.
    pub cause: Option<EventId>,
    /// When, on the world's clock.
    pub at: Timestamp,
    /// Which node decided; `None` for the world itself.
    pub node: Option<NodeId>,
    /// What was decided.
    pub kind: TraceKind,
}

/// What was decided. Offsets are exclusive ends unless said otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TraceKind {
    /// A node's process started.
    NodeStarted,
    /// A node's process ended; `cause` says how.
    NodeStopped {
        /// `crash`, `shutdown`, `power loss`.
        cause: &'static str,
    },
    /// The controller registered a broker.
    BrokerRegistered {
        /// The broker.
        broker: NodeId,
        /// Its new epoch.
        epoch: i64,
    },
    /// The controller fenced a broker.
    BrokerFenced {
        /// The broker.
        broker: NodeId,
        /// Why.
        cause: &'static str,
    },
    /// A heartbeat waited for too long at an overloaded controller: it kept the broker's session and changed nothing.
    HeartbeatExpired {
        /// The broker.
        broker: NodeId,
        /// For how many milliseconds it had waited.
        waited_ms: i64,
    },
    /// A request waited at an overloaded controller for longer than its timeout, and was not carried out.
    RequestExpired {
        /// What was asked.
        api: &'static str,
        /// For how many milliseconds it had waited.
        waited_ms: i64,
    },
    /// The controller unfenced a broker.
    BrokerUnfenced {
        /// The broker.
        broker: NodeId,
    },
    /// The controller began a broker's controlled shutdown.
    BrokerShuttingDown {
        /// The broker.
        broker: NodeId,
    },
    /// The controller removed a broker from the cluster.
    BrokerUnregistered {
        /// The broker.
        broker: NodeId,
    },
    /// A controller became the leader of the metadata quorum.
    ControllerElected {
        /// The epoch of the quorum.
        epoch: i32,
    },
    /// A controller went from one state of the quorum to another.
    QuorumState {
        /// The state before, by Kafka's name: `Follower`.
        from: &'static str,
        /// The state now.
        to: &'static str,
        /// The epoch now.
        epoch: i32,
        /// The epoch's leader, where it is known.
        leader: Option<NodeId>,
        /// Why.
        cause: &'static str,
    },
    /// A controller answered another one that wants its vote.
    VoteAnswered {
        /// Who wants it.
        candidate: NodeId,
        /// For which epoch.
        epoch: i32,
        /// Whether it only asked whether it would get it (KIP-996).
        pre_vote: bool,
        /// Whether it gets it.
        granted: bool,
        /// Why.
        cause: &'static str,
    },
    /// A controller that led the cluster does so no more: what it had not committed is undone.
    ControllerDeposed {
        /// The epoch that it led.
        epoch: i32,
        /// The offset that its state went back to.
        reverted_to: i64,
        /// Its state's end before.
        from: i64,
    },
    /// A node wrote a snapshot of the metadata.
    SnapshotTaken {
        /// The offset up to which it reaches.
        end_offset: i64,
        /// The epoch of the last record in it.
        epoch: i32,
    },
    /// A node replaced its metadata with a snapshot.
    SnapshotLoaded {
        /// The offset up to which it reaches.
        end_offset: i64,
        /// The epoch of the last record in it.
        epoch: i32,
    },
    /// The controller refused a leader's proposal of another ISR.
    IsrRefused {
        /// The partition.
        partition: TopicPartition,
        /// The broker that proposed it.
        broker: NodeId,
        /// The error that it was answered.
        error: &'static str,
    },
    /// The controller gave a topic more partitions.
    PartitionsAdded {
        /// The topic.
        topic: StrBytes,
        /// How many partitions it has now.
        partitions: i32,
    },
    /// The controller set or deleted a configuration key.
    ConfigChanged {
        /// What is configured: `topic orders`, `broker 1`, `brokers`.
        resource: String,
        /// The key.
        key: StrBytes,
        /// The new value, `None` for deleted.
        value: Option<StrBytes>,
    },
    /// A broker has a client wait that is over a quota.
    ClientThrottled {
        /// The client.
        client_id: StrBytes,
        /// The quota's key.
        quota: &'static str,
        /// For how long.
        by: Duration,
    },
    /// The controller created a topic.
    TopicCreated {
        /// The topic.
        topic: StrBytes,
        /// Its partitions.
        partitions: i32,
    },
    /// The controller deleted a topic.
    TopicDeleted {
        /// The topic.
        topic: StrBytes,
    },
    /// The controller changed a partition's leader.
    LeaderElected {
        /// The partition.
        partition: TopicPartition,
        /// The new leader; -1 for none.
        leader: NodeId,
        /// Its epoch.
        epoch: i32,
        /// Why.
        cause: &'static str,
    },
    /// The controller changed a partition's ISR.
    IsrChanged {
        /// The partition.
        partition: TopicPartition,
        /// The ISR before.
        from: Vec<NodeId>,
        /// The ISR now.
        to: Vec<NodeId>,
        /// The partition epoch of the change.
        partition_epoch: i32,
        /// Why.
        cause: &'static str,
    },
    /// The controller moved a partition's replicas: a reassignment began, ended, or was changed or cancelled.
    ReplicasChanged {
        /// The partition.
        partition: TopicPartition,
        /// The replicas now, the preferred leader first.
        replicas: Vec<NodeId>,
        /// Those that are being added.
        adding: Vec<NodeId>,
        /// Those that are being removed.
        removing: Vec<NodeId>,
        /// Why.
        cause: &'static str,
    },
    /// A leader asked the controller for another ISR.
    IsrProposed {
        /// The partition.
        partition: TopicPartition,
        /// The ISR that it wants.
        isr: Vec<NodeId>,
        /// Why.
        cause: &'static str,
    },
    /// A broker became leader of a partition.
    BecameLeader {
        /// The partition.
        partition: TopicPartition,
        /// The epoch.
        epoch: i32,
        /// Where the epoch starts.
        start_offset: i64,
    },
    /// A broker became follower of a partition.
    BecameFollower {
        /// The partition.
        partition: TopicPartition,
        /// The epoch.
        epoch: i32,
        /// Whom it follows.
        leader: NodeId,
    },
    /// A replica's log grew.
    Appended {
        /// The partition.
        partition: TopicPartition,
        /// The log end before.
        from: i64,
        /// The log end now.
        to: i64,
    },
    /// A replica's high watermark moved.
    HighWatermarkMoved {
        /// The partition.
        partition: TopicPartition,
        /// Before.
        from: i64,
        /// Now.
        to: i64,
    },
    /// A replica's last stable offset moved otherwise than with the high watermark: a transaction is open below it, or was.
    LastStableOffsetMoved {
        /// The partition.
        partition: TopicPartition,
        /// Before.
        from: i64,
        /// Now.
        to: i64,
    },
    /// A broker gave up a log directory: its disk failed.
    LogDirectoryOffline {
        /// The directory, as `log.dirs` names it.
        directory: String,
        /// What failed.
        cause: String,
    },
    /// A replica begins to move to another log directory of its broker.
    ReplicaMoveBegan {
        /// The partition.
        partition: TopicPartition,
        /// Where it goes.
        directory: String,
    },
    /// A replica has moved to another log directory, or will not.
    ReplicaMoveEnded {
        /// The partition.
        partition: TopicPartition,
        /// Where it was to go.
        directory: String,
        /// Whether it is there.
        moved: bool,
    },
    /// A replica's log was compacted.
    LogCompacted {
        /// The partition.
        partition: TopicPartition,
        /// The first offset that had not been compacted before.
        from: i64,
        /// The end of what is compacted now.
        to: i64,
        /// How large the segments were.
        bytes_before: u64,
        /// How large they are now.
        bytes_after: u64,
    },
    /// A replica's log cannot be compacted: the cleaner leaves it alone until the broker starts again.
    LogUncleanable {
        /// The partition.
        partition: TopicPartition,
        /// What could not be read.
        cause: String,
    },
    /// Retention deleted segments of a replica's log.
    SegmentsDeleted {
        /// The partition.
        partition: TopicPartition,
        /// How many.
        segments: usize,
        /// The log start now.
        log_start: i64,
        /// What let them go.
        cause: &'static str,
    },
    /// A replica's log was truncated.
    LogTruncated {
        /// The partition.
        partition: TopicPartition,
        /// The log end before.
        from: i64,
        /// The log end now.
        to: i64,
        /// Why.
        cause: &'static str,
    },
    /// A fault was injected.
    FaultArmed {
        /// Its name.
        fault: u32,
        /// What it is.
        text: String,
    },
    /// A fault fired.
    FaultFired {
        /// Its name.
        fault: u32,
        /// What it did.
        text: String,
    },
    /// A fault was healed.
    FaultHealed {
        /// Its name.
        fault: u32,
    },
    /// A broker is unfenced, and does its work.
    BrokerRunning,
    /// A broker's registration was refused.
    RegistrationRefused {
        /// The error that it was answered.
        error: &'static str,
    },
    /// A node ends its process: it cannot go on.
    NodeHalted {
        /// Why.
        cause: String,
    },
    /// A node could not take the metadata that it fetched, and asks again.
    MetadataNotTaken {
        /// `log` or `snapshot`.
        what: &'static str,
        /// Why.
        cause: String,
    },
    /// A controller's log could not be closed in order: the next start recovers it.
    MetadataLogNotClosed {
        /// Why.
        cause: String,
    },
    /// A fetch of a follower was refused by its leader.
    FetchRefused {
        /// The partition.
        partition: TopicPartition,
        /// The leader that was asked.
        leader: NodeId,
        /// The error that it was answered.
        error: &'static str,
    },
    /// What a follower fetched could not be appended to its log.
    FetchNotAppended {
        /// The partition.
        partition: TopicPartition,
        /// The leader that it came from.
        leader: NodeId,
        /// Why.
        cause: String,
    },
    /// A topic that a client asked for could not be created.
    TopicNotCreated {
        /// The topic.
        topic: StrBytes,
        /// The controller's error.
        error: &'static str,
        /// What the controller says about it.
        message: String,
    },
    /// The world stopped: too many steps were taken without time moving.
    Stalled {
        /// What the steps were.
        cause: String,
    },
    /// Time was passed over in which nothing happened but what always does: fetches without an answer, heartbeats, checks that found
    /// nothing.
    IdleTimeSkipped {
        /// When it ended.
        until: Timestamp,
    },
    /// Something of a simulated client.
    Client(ClientDid),
    /// Something of a group.
    Group(GroupEvent),
    /// Something of a share group.
    Share(ShareEvent),
    /// Something of a transaction.
    Transaction(TransactionEvent),
}
