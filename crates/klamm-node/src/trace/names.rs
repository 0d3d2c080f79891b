//! The names of the kinds of events, by which people ask for them.

use super::TraceKind;

/// Writes down every variant once: a new one does not compile until its name is here.
macro_rules! names {
    ($($name:ident),* $(,)?) => {
        impl TraceKind {
            /// The names of all kinds.
            pub const NAMES: &[&'static str] = &[$(stringify!($name)),*];

            /// The name of the variant: `HighWatermarkMoved`.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)*
                }
            }
        }
    };
}

names! {
    NodeStarted,
    NodeStopped,
    BrokerRegistered,
    BrokerFenced,
    BrokerUnfenced,
    BrokerShuttingDown,
    BrokerUnregistered,
    ControllerElected,
    QuorumState,
    VoteAnswered,
    ControllerDeposed,
    SnapshotTaken,
    SnapshotLoaded,
    IsrRefused,
    PartitionsAdded,
    ConfigChanged,
    ClientThrottled,
    TopicCreated,
    TopicDeleted,
    LeaderElected,
    IsrChanged,
    ReplicasChanged,
    IsrProposed,
    BecameLeader,
    BecameFollower,
    Appended,
    HighWatermarkMoved,
    LastStableOffsetMoved,
    MarkerAppended,
    TransactionVerified,
    LogDirectoryOffline,
    LogTruncated,
    ReplicaMoveBegan,
    ReplicaMoveEnded,
    LogCompacted,
    LogUncleanable,
    SegmentsDeleted,
    GroupState,
    MemberJoined,
    MemberReplaced,
    MemberRemoved,
    GroupEpochBumped,
    TargetAssignmentComputed,
    MemberReconciled,
    GroupConverted,
    TransactionState,
    TransactionMarkersSent,
    TransactionRefused,
    SharePartitionLoaded,
    SharePartitionDropped,
    ShareRecordsAcquired,
    ShareRecordsChanged,
    ClientSent,
    ClientAcked,
    ClientFailed,
    ClientConsumed,
    FaultArmed,
    FaultFired,
    FaultHealed,
    BrokerRunning,
    RegistrationRefused,
    NodeHalted,
    MetadataNotTaken,
    MetadataLogNotClosed,
    FetchRefused,
    FetchNotAppended,
    TopicNotCreated,
    GroupsLoaded,
    Note,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_the_name_of_its_variant() {
        assert_eq!(TraceKind::NodeStarted.name(), "NodeStarted");
        assert_eq!(TraceKind::NodeStopped { cause: "crash" }.name(), "NodeStopped");
        assert!(TraceKind::NAMES.contains(&"HighWatermarkMoved"));
    }
}
