//! What can be wrong with a history.

use std::fmt;

/// One thing that is wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anomaly {
    /// What is wrong.
    pub kind: Kind,
    /// What was seen, for a person.
    pub what: String,
    /// Why Kafka may do that; `None` where it may not.
    pub allowed: Option<&'static str>,
}

impl Anomaly {
    pub(super) fn forbidden(kind: Kind, what: String) -> Self {
        Self { kind, what, allowed: None }
    }

    pub(super) fn new(kind: Kind, what: String, allowed: Option<&'static str>) -> Self {
        Self { kind, what, allowed }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.what)?;
        self.allowed.map_or(Ok(()), |why| write!(f, " (allowed: {why})"))
    }
}

/// The kinds of anomalies, under Jepsen's names where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An acknowledged value is below what was read, and nobody read it.
    LostWrite,
    /// An acknowledged value lies above what was read, though everything was read in the end.
    Unseen,
    /// A value was read whose send failed, or whose transaction did not commit (Adya's G1a).
    AbortedRead,
    /// A value was read before its transaction was asked to commit.
    PrecommittedRead,
    /// Some of a transaction was read, and some of it is not there.
    TornTransaction,
    /// One value lies at two offsets.
    Duplicate,
    /// Two values were seen at one offset.
    InconsistentOffset,
    /// A value was read that nobody sent there.
    Unsent,
    /// A consumer skipped a value that is there.
    PollSkip,
    /// A consumer went back without being told to.
    NonmonotonicPoll,
    /// Two values of one producer lie in the wrong order.
    NonmonotonicSend,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LostWrite => "lost write",
            Self::Unseen => "unseen",
            Self::AbortedRead => "aborted read",
            Self::PrecommittedRead => "precommitted read",
            Self::TornTransaction => "torn transaction",
            Self::Duplicate => "duplicate",
            Self::InconsistentOffset => "inconsistent offset",
            Self::Unsent => "unsent",
            Self::PollSkip => "poll skip",
            Self::NonmonotonicPoll => "non-monotonic poll",
            Self::NonmonotonicSend => "non-monotonic send",
        })
    }
}
