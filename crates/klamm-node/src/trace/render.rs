//! An event as one line.

use std::fmt;

use super::event::{TraceEvent, TraceKind};
use crate::ids::NodeId;

/// `1.500000s [2] t-0 log end 0 -> 1`; with `{:#}` also its number and that of what it follows from: `#7 … (after #3)`.
impl fmt::Display for TraceEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, kind) = (self.at, &self.kind);
        if f.alternate() {
            write!(f, "#{} ", self.id.0)?;
        }
        match self.node {
            Some(node) => write!(f, "{at} [{node}] {kind}")?,
            None => write!(f, "{at} [-] {kind}")?,
        }
        match self.cause {
            Some(cause) if f.alternate() => write!(f, " (after #{})", cause.0),
            _ => Ok(()),
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

impl fmt::Display for TraceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NodeStarted => f.write_str("started"),
            Self::NodeStopped { cause } => write!(f, "stopped: {cause}"),
            Self::BrokerRegistered { broker, epoch } => {
                write!(f, "broker {broker} registered with epoch {epoch}")
            }
            Self::BrokerFenced { broker, cause } => write!(f, "broker {broker} fenced: {cause}"),
            Self::HeartbeatExpired { broker, waited_ms } => {
                write!(f, "heartbeat of broker {broker} expired after {waited_ms} ms in the queue")
            }
            Self::RequestExpired { api, waited_ms } => {
                write!(f, "{api} expired after {waited_ms} ms in the queue")
            }
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
            Self::Stalled { cause } => f.write_str(cause),
            Self::IdleTimeSkipped { until } => write!(f, "nothing happens until {until}"),
            Self::Client(event) => event.fmt(f),
            Self::Group(event) => event.fmt(f),
            Self::Share(event) => event.fmt(f),
            Self::Transaction(event) => event.fmt(f),
        }
    }
}
