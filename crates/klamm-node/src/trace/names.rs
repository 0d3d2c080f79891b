//! The names of the kinds of events, by which people ask for them.

use std::fmt;
use std::str::FromStr;

use super::client::ClientDid;
use super::event::TraceKind;
use super::group::GroupEvent;
use super::share::ShareEvent;
use super::transaction::TransactionEvent;

/// Writes down every variant once: a new one does not compile until its name is here.
macro_rules! names {
    ($($own:ident,)*; $($outer:ident($inner:ident) { $($name:ident,)* })*) => {
        /// What an event is about, without its details: the name of its variant.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum EventKind {
            $(#[doc = concat!("[`TraceKind::", stringify!($own), "`].")] $own,)*
            $($(#[doc = concat!("[`", stringify!($inner), "::", stringify!($name), "`].")] $name,)*)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$own,)* $($(Self::$name,)*)*];

            /// Its name: `HighWatermarkMoved`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$own => stringify!($own),)*
                    $($(Self::$name => stringify!($name),)*)*
                }
            }
        }

        impl TraceKind {
            /// The names of all kinds.
            pub const NAMES: &[&'static str] = &[$(stringify!($own),)* $($(stringify!($name),)*)*];

            /// What it is about, without its details.
            pub const fn kind(&self) -> EventKind {
                match self {
                    $(Self::$own { .. } => EventKind::$own,)*
                    $($(Self::$outer($inner::$name { .. }) => EventKind::$name,)*)*
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
    HeartbeatExpired,
    RequestExpired,
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
    LogDirectoryOffline,
    LogTruncated,
    ReplicaMoveBegan,
    ReplicaMoveEnded,
    LogCompacted,
    LogUncleanable,
    SegmentsDeleted,
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
    Stalled,
    IdleTimeSkipped,
    ;
    Client(ClientDid) {
        ClientSent,
        ClientAcked,
        ClientFailed,
        ClientConsumed,
    }
    Group(GroupEvent) {
        GroupState,
        MemberJoined,
        MemberReplaced,
        MemberRemoved,
        GroupEpochBumped,
        TargetAssignmentComputed,
        MemberReconciled,
        GroupConverted,
        GroupsLoaded,
    }
    Share(ShareEvent) {
        SharePartitionLoaded,
        SharePartitionDropped,
        ShareRecordsAcquired,
        ShareRecordsRenewed,
        ShareRecordsChanged,
        ShareStateLoaded,
    }
    Transaction(TransactionEvent) {
        MarkerAppended,
        TransactionVerified,
        TransactionState,
        TransactionMarkersSent,
        TransactionRefused,
        MarkerGivenUp,
        TransactionsLoaded,
    }
}

impl TraceKind {
    /// The name of its kind: `HighWatermarkMoved`.
    pub const fn name(&self) -> &'static str {
        self.kind().name()
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no kind of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the trace has no events `{}`; its kinds are {}", self.0, TraceKind::NAMES.join(", "))
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for EventKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<Self, UnknownKind> {
        let kind = Self::ALL.iter().find(|kind| kind.name() == name);
        kind.copied().ok_or_else(|| UnknownKind(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use klamm_wire::StrBytes;

    use super::*;

    #[test]
    fn a_kind_has_the_name_of_its_variant() {
        assert_eq!(TraceKind::NodeStarted.name(), "NodeStarted");
        assert_eq!(TraceKind::NodeStopped { cause: "crash" }.name(), "NodeStopped");
        let nobody = StrBytes::from_static_str("");
        let joined = GroupEvent::MemberJoined { group: nobody.clone(), member: nobody };
        assert_eq!(TraceKind::from(joined).kind(), EventKind::MemberJoined);
        assert_eq!(EventKind::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>(), TraceKind::NAMES);
    }

    #[test]
    fn a_kind_is_known_by_its_name() {
        assert!(EventKind::ALL.iter().all(|kind| kind.name().parse() == Ok(*kind)));
        let unknown = "LeaderElect".parse::<EventKind>().unwrap_err();
        assert!(
            unknown
                .to_string()
                .starts_with("the trace has no events `LeaderElect`; its kinds are NodeStarted, ")
        );
    }
}
