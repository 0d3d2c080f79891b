//! Named points at which a test can hold a node.

use std::fmt;
use std::str::FromStr;

/// A named point. What follows it is held while a breakpoint is armed there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PausePoint {
    /// A leader has appended a produced batch; its answer has not left.
    AfterAppendBeforeAck,
    /// A leader's high watermark has moved; the operations that wait for it have not looked.
    AfterHwAdvanceBeforePurgatory,
    /// A leader has proposed another ISR; the controller has not seen it.
    AlterPartitionInFlight,
    /// The controller has decided on a proposed ISR; the leader has not heard.
    AlterPartitionAnswerInFlight,
    /// A follower has truncated its log; its next fetch has not left.
    BetweenTruncateAndFetch,
    /// A leader has read for a follower's fetch; the follower has not got the answer.
    FollowerFetchAnswerInFlight,
    /// The active controller has appended metadata; no other controller has fetched it.
    AfterMetadataAppendBeforeReplication,
}

impl PausePoint {
    /// Every point.
    pub const ALL: &'static [Self] = &[
        Self::AfterAppendBeforeAck,
        Self::AfterHwAdvanceBeforePurgatory,
        Self::AlterPartitionInFlight,
        Self::AlterPartitionAnswerInFlight,
        Self::BetweenTruncateAndFetch,
        Self::FollowerFetchAnswerInFlight,
        Self::AfterMetadataAppendBeforeReplication,
    ];

    /// Its name, as tests and scenarios write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AfterAppendBeforeAck => "after_append_before_ack",
            Self::AfterHwAdvanceBeforePurgatory => "after_hw_advance_before_purgatory",
            Self::AlterPartitionInFlight => "alterpartition_inflight",
            Self::AlterPartitionAnswerInFlight => "alterpartition_answer_inflight",
            Self::BetweenTruncateAndFetch => "between_truncate_and_fetch",
            Self::FollowerFetchAnswerInFlight => "follower_fetch_answer_inflight",
            Self::AfterMetadataAppendBeforeReplication => "after_metadata_append_before_replication",
        }
    }
}

impl fmt::Display for PausePoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no point has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no breakpoint {name:?}; there are {}", names())]
pub struct UnknownPausePoint {
    /// The name.
    pub name: String,
}

fn names() -> String {
    let names: Vec<_> = PausePoint::ALL.iter().map(|point| point.name()).collect();
    names.join(", ")
}

impl FromStr for PausePoint {
    type Err = UnknownPausePoint;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let point = Self::ALL.iter().find(|point| point.name() == name);
        point.copied().ok_or_else(|| UnknownPausePoint { name: name.to_owned() })
    }
}
