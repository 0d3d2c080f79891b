//! The states of a transaction, and which may follow which (Kafka's `TransactionState`).

/// Where a transactional id stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TransactionState {
    /// It has a producer, and no transaction.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// The commit is decided; not every partition has its marker.
    PrepareCommit,
    /// The abort is decided; not every partition has its marker.
    PrepareAbort,
    /// Every partition knows of the commit.
    CompleteCommit,
    /// Every partition knows of the abort.
    CompleteAbort,
    /// The id expired and is about to be forgotten. Only ever pending.
    Dead,
    /// The producer is being fenced: what comes next is [`Self::PrepareAbort`]. Only ever pending.
    PrepareEpochFence,
}

impl TransactionState {
    /// Every state, in the order of their numbers.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// Its number in `__transaction_state`.
    pub(crate) const fn id(self) -> i8 {
        self as i8
    }

    /// The state with a number.
    pub(crate) fn from_id(id: i8) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.id() == id)
    }

    /// Its name, as Kafka's tools show it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state with a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Whether it may come after `previous` (`VALID_PREVIOUS_STATES`).
    pub(crate) const fn may_follow(self, previous: Self) -> bool {
        match self {
            Self::Empty | Self::Dead => {
                matches!(previous, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
            }
            Self::Ongoing => {
                matches!(previous, Self::Ongoing | Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
            }
            Self::PrepareCommit | Self::PrepareEpochFence => matches!(previous, Self::Ongoing),
            Self::PrepareAbort => matches!(
                previous,
                Self::Ongoing
                    | Self::PrepareEpochFence
                    | Self::Empty
                    | Self::CompleteCommit
                    | Self::CompleteAbort
            ),
            Self::CompleteCommit => matches!(previous, Self::PrepareCommit),
            Self::CompleteAbort => matches!(previous, Self::PrepareAbort),
        }
    }

    /// Whether an id in this state is forgotten after `transactional.id.expiration.ms`.
    pub(crate) const fn may_expire(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// Whether the outcome is decided and markers are under way.
    pub(crate) const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// The level of `transaction.version` that a client or the cluster works at (Kafka's `TransactionVersion`, KIP-890).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TransactionVersion {
    /// As it was before KIP-890.
    V0,
    /// Records of `__transaction_state` in the flexible format.
    V1,
    /// Each transaction has an epoch of its own, and partitions are added by producing to them.
    V2,
}

impl TransactionVersion {
    /// The version of a feature level; levels that are not known count as the nearest that is.
    pub(crate) const fn from_level(level: i16) -> Self {
        match level {
            ..=0 => Self::V0,
            1 => Self::V1,
            2.. => Self::V2,
        }
    }

    /// The feature level.
    pub(crate) const fn level(self) -> i16 {
        self as i16
    }

    /// The version of the records in `__transaction_state`.
    pub(crate) const fn log_value_version(self) -> i16 {
        match self {
            Self::V0 => 0,
            Self::V1 | Self::V2 => 1,
        }
    }

    /// Whether the end of a transaction bumps the producer's epoch.
    pub(crate) const fn bumps_epoch(self) -> bool {
        matches!(self, Self::V2)
    }
}
