//! Every decision as a typed event, and its one-line rendering.

use std::time::Duration;

use std::fmt;

use klamm_wire::{ErrorCode, StrBytes};

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
    /// A group changed state.
    GroupState {
        /// The group.
        group: StrBytes,
        /// Before.
        from: &'static str,
        /// Now.
        to: &'static str,
        /// Its generation.
        generation: i32,
        /// Why.
        cause: &'static str,
    },
    /// A member joined a group.
    MemberJoined {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
    },
    /// A static member came back under a new id: the old one is fenced (KIP-345).
    MemberReplaced {
        /// The group.
        group: StrBytes,
        /// Its group instance id.
        instance: StrBytes,
        /// The id it had.
        from: StrBytes,
        /// The id it has.
        to: StrBytes,
    },
    /// A group's member was removed.
    MemberRemoved {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// Why.
        cause: &'static str,
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
    /// The epoch of a group of the consumer protocol grew: its assignment has to be computed anew.
    GroupEpochBumped {
        /// The group.
        group: StrBytes,
        /// The epoch.
        epoch: i32,
        /// Why.
        cause: &'static str,
    },
    /// The coordinator computed what each member of a group is to have.
    TargetAssignmentComputed {
        /// The group.
        group: StrBytes,
        /// The epoch that it is for.
        epoch: i32,
    },
    /// A member of a consumer group took a step towards its target.
    MemberReconciled {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// The epoch that it is in.
        epoch: i32,
        /// Kafka's name of its state.
        state: &'static str,
        /// What it has.
        assigned: Vec<TopicPartition>,
        /// What it must give up.
        revoking: Vec<TopicPartition>,
    },
    /// A group with members changed its protocol.
    GroupConverted {
        /// The group.
        group: StrBytes,
        /// The type that it had.
        from: &'static str,
        /// The type that it has.
        to: &'static str,
        /// The generation that became its epoch, or the other way round.
        epoch: i32,
    },
    /// A partition's leader has read how far a share group is with it.
    SharePartitionLoaded {
        /// The group.
        group: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record that the group is not done with.
        start_offset: i64,
    },
    /// A partition's leader forgot what a share group does with it.
    SharePartitionDropped {
        /// The group.
        group: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// Why.
        cause: &'static str,
    },
    /// A share group's member was given records.
    ShareRecordsAcquired {
        /// The group.
        group: StrBytes,
        /// The member.
        member: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record.
        first: i64,
        /// The last record.
        last: i64,
        /// How often they were delivered, this time included.
        deliveries: i16,
    },
    /// Records of a share group were acknowledged, given back, or lost by their member.
    ShareRecordsChanged {
        /// The group.
        group: StrBytes,
        /// The partition.
        partition: TopicPartition,
        /// The first record.
        first: i64,
        /// The last record.
        last: i64,
        /// What they are now: `AVAILABLE`, `ACKNOWLEDGED` or `ARCHIVED`.
        state: &'static str,
        /// How often they were delivered.
        deliveries: i16,
        /// Why.
        cause: &'static str,
    },
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
    /// A coordinator has read its partition of `__consumer_offsets`.
    GroupsLoaded {
        /// The partition.
        partition: TopicPartition,
        /// The epoch in which it leads it.
        epoch: i32,
        /// How many groups it holds.
        groups: usize,
        /// How many committed offsets it holds.
        offsets: usize,
    },
    /// Something that no other kind describes; the text says what.
    Note {
        /// What happened.
        text: String,
    },
}

impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "{} [{node}] {}", self.at, self.kind),
            None => write!(f, "{} [-] {}", self.at, self.kind),
        }
    }
}

/// The ids of a replica list as Kafka prints them: `[1, 2, 3]`.
struct Ids<'a>(&'a [NodeId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, id) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            id.fmt(f)?;
        }
        f.write_str("]")
    }
}

fn list(f: &mut fmt::Formatter<'_>, partitions: &[TopicPartition]) -> fmt::Result {
    for (index, partition) in partitions.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{partition}")?;
    }
    Ok(())
}

impl fmt::Display for TraceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeStarted => f.write_str("started"),
            Self::NodeStopped { cause } => write!(f, "stopped: {cause}"),
            Self::BrokerRegistered { broker, epoch } => {
                write!(f, "broker {broker} registered with epoch {epoch}")
            }
            Self::BrokerFenced { broker, cause } => write!(f, "broker {broker} fenced: {cause}"),
            Self::BrokerUnfenced { broker } => write!(f, "broker {broker} unfenced"),
            Self::BrokerShuttingDown { broker } => write!(f, "broker {broker} shuts down in order"),
            Self::BrokerUnregistered { broker } => write!(f, "broker {broker} unregistered"),
            Self::ControllerElected { epoch } => write!(f, "leads the metadata quorum in epoch {epoch}"),
            Self::QuorumState { from, to, epoch, leader, cause } => {
                write!(f, "quorum: {from} -> {to} in epoch {epoch}")?;
                if let Some(leader) = leader {
                    write!(f, ", leader {leader}")?;
                }
                write!(f, ": {cause}")
            }
            Self::VoteAnswered { candidate, epoch, pre_vote, granted, cause } => {
                let kind = if *pre_vote { "pre-vote" } else { "vote" };
                let answer = if *granted { "granted" } else { "refused" };
                write!(f, "{kind} for {candidate} in epoch {epoch} {answer}: {cause}")
            }
            Self::ControllerDeposed { epoch, reverted_to, from } => {
                write!(f, "led the metadata quorum in epoch {epoch}, state {from} -> {reverted_to}")
            }
            Self::SnapshotTaken { end_offset, epoch } => {
                write!(f, "metadata snapshot {end_offset}-{epoch} taken")
            }
            Self::SnapshotLoaded { end_offset, epoch } => {
                write!(f, "metadata snapshot {end_offset}-{epoch} loaded")
            }
            Self::IsrRefused { partition, broker, error } => {
                write!(f, "{partition} ISR proposed by {broker} refused: {error}")
            }
            Self::PartitionsAdded { topic, partitions } => {
                write!(f, "topic {topic} has {partitions} partitions now")
            }
            Self::ConfigChanged { resource, key, value: Some(value) } => {
                write!(f, "{resource} {key}={value}")
            }
            Self::ConfigChanged { resource, key, value: None } => write!(f, "{resource} {key} deleted"),
            Self::ClientThrottled { client_id, quota, by } => {
                write!(f, "client {client_id} throttled for {} ms: {quota}", by.as_millis())
            }
            Self::TopicCreated { topic, partitions } => {
                write!(f, "topic {topic} created, {partitions} partitions")
            }
            Self::TopicDeleted { topic } => write!(f, "topic {topic} deleted"),
            Self::LeaderElected { partition, leader, epoch, cause } => {
                write!(f, "{partition} leader {leader} epoch {epoch}: {cause}")
            }
            Self::IsrChanged { partition, from, to, partition_epoch, cause } => {
                write!(
                    f,
                    "{partition} ISR {} -> {} partition epoch {partition_epoch}: {cause}",
                    Ids(from),
                    Ids(to)
                )
            }
            Self::ReplicasChanged { partition, replicas, adding, removing, cause } => {
                write!(
                    f,
                    "{partition} replicas {} adding {} removing {}: {cause}",
                    Ids(replicas),
                    Ids(adding),
                    Ids(removing)
                )
            }
            Self::IsrProposed { partition, isr, cause } => {
                write!(f, "{partition} proposes ISR {}: {cause}", Ids(isr))
            }
            Self::BecameLeader { partition, epoch, start_offset } => {
                write!(f, "{partition} leads epoch {epoch} from offset {start_offset}")
            }
            Self::BecameFollower { partition, epoch, leader } => {
                write!(f, "{partition} follows {leader} in epoch {epoch}")
            }
            Self::Appended { partition, from, to } => write!(f, "{partition} log end {from} -> {to}"),
            Self::HighWatermarkMoved { partition, from, to } => {
                write!(f, "{partition} high watermark {from} -> {to}")
            }
            Self::LastStableOffsetMoved { partition, from, to } => {
                write!(f, "{partition} last stable offset {from} -> {to}")
            }
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
            Self::LogDirectoryOffline { directory, cause } => {
                write!(f, "log directory {directory} goes offline: {cause}")
            }
            Self::ReplicaMoveBegan { partition, directory } => {
                write!(f, "{partition} begins to move to {directory}")
            }
            Self::ReplicaMoveEnded { partition, directory, moved: true } => {
                write!(f, "{partition} has moved to {directory}")
            }
            Self::ReplicaMoveEnded { partition, directory, moved: false } => {
                write!(f, "{partition} does not move to {directory}")
            }
            Self::LogCompacted { partition, from, to, bytes_before, bytes_after } => {
                write!(f, "{partition} compacted {from} -> {to}: {bytes_before} -> {bytes_after} bytes")
            }
            Self::LogUncleanable { partition, cause } => {
                write!(f, "{partition} cannot be compacted: {cause}")
            }
            Self::SegmentsDeleted { partition, segments, log_start, cause } => {
                let plural = if *segments == 1 { "" } else { "s" };
                write!(f, "{partition} {segments} segment{plural} deleted, log start {log_start}: {cause}")
            }
            Self::LogTruncated { partition, from, to, cause } => {
                write!(f, "{partition} truncated {from} -> {to}: {cause}")
            }
            Self::GroupState { group, from, to, generation, cause } => {
                write!(f, "group {group} {from} -> {to} generation {generation}: {cause}")
            }
            Self::MemberJoined { group, member } => write!(f, "group {group} member {member} joined"),
            Self::MemberReplaced { group, instance, from, to } => {
                write!(f, "group {group} static member {instance} is {to}, no longer {from}")
            }
            Self::MemberRemoved { group, member, cause } => {
                write!(f, "group {group} member {member} removed: {cause}")
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
            Self::GroupEpochBumped { group, epoch, cause } => {
                write!(f, "group {group} epoch {epoch}: {cause}")
            }
            Self::TargetAssignmentComputed { group, epoch } => {
                write!(f, "group {group} target of epoch {epoch} computed")
            }
            Self::MemberReconciled { group, member, epoch, state, assigned, revoking } => {
                write!(f, "group {group} member {member} epoch {epoch} {state}: has [")?;
                list(f, assigned)?;
                f.write_str("]")?;
                if !revoking.is_empty() {
                    f.write_str(", gives up [")?;
                    list(f, revoking)?;
                    f.write_str("]")?;
                }
                Ok(())
            }
            Self::GroupConverted { group, from, to, epoch } => {
                write!(f, "group {group} is a {to} group, no longer a {from} one, epoch {epoch}")
            }
            Self::SharePartitionLoaded { group, partition, start_offset } => {
                write!(f, "share group {group} {partition} loaded, starts at {start_offset}")
            }
            Self::SharePartitionDropped { group, partition, cause } => {
                write!(f, "share group {group} {partition} dropped: {cause}")
            }
            Self::ShareRecordsAcquired { group, member, partition, first, last, deliveries } => {
                write!(
                    f,
                    "share group {group} {partition} {first}-{last} acquired by {member}, delivery {deliveries}"
                )
            }
            Self::ShareRecordsChanged { group, partition, first, last, state, deliveries, cause } => {
                write!(
                    f,
                    "share group {group} {partition} {first}-{last} {state} after {deliveries} deliveries: {cause}"
                )
            }
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
            Self::FaultArmed { fault, text } => write!(f, "fault #{fault} armed: {text}"),
            Self::FaultFired { fault, text } => write!(f, "fault #{fault} fired: {text}"),
            Self::FaultHealed { fault } => write!(f, "fault #{fault} healed"),
            Self::BrokerRunning => f.write_str("running"),
            Self::RegistrationRefused { error } => write!(f, "registration refused: {error}"),
            Self::NodeHalted { cause } => write!(f, "halting: {cause}"),
            Self::MetadataNotTaken { what, cause } => write!(f, "metadata {what} not taken: {cause}"),
            Self::MetadataLogNotClosed { cause } => {
                write!(f, "the metadata log was not closed in order: {cause}")
            }
            Self::FetchRefused { partition, leader, error } => {
                write!(f, "fetch of {partition} from {leader}: {error}")
            }
            Self::FetchNotAppended { partition, leader, cause } => {
                write!(f, "fetch of {partition} from {leader} not appended: {cause}")
            }
            Self::TopicNotCreated { topic, error, message } => {
                write!(f, "topic {topic} not created: {error} {message}")
            }
            Self::GroupsLoaded { partition, epoch, groups, offsets } => {
                write!(f, "{partition} loaded in epoch {epoch}: {groups} groups, {offsets} offsets")
            }
            Self::Note { text } => f.write_str(text),
        }
    }
}
