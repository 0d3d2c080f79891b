//! Named points at which a test can hold a node.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::ctx::Ctx;
use crate::effect::Effect;
use crate::ids::TopicPartition;

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

/// The breakpoints that are armed within one node. Empty, it costs one branch at a point.
#[derive(Debug, Clone, Default)]
pub struct Pauses {
    armed: Vec<Armed>,
}

#[derive(Debug, Clone)]
struct Armed {
    fault: u32,
    at: PausePoint,
    partition: Option<TopicPartition>,
    /// How many arrivals pass first.
    skip: u32,
    /// Where it holds, each partition once.
    held: BTreeSet<TopicPartition>,
}

/// What a node is to do at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Go on.
    No,
    /// Stop here, and tell the world that this fault did it.
    Arrived(u32),
    /// Stop here, as before.
    Held,
}

impl Pauses {
    /// Whether none is armed.
    pub const fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// Arms a breakpoint.
    pub fn arm(&mut self, fault: u32, at: PausePoint, partition: Option<TopicPartition>, nth: u32) {
        self.armed.push(Armed { fault, at, partition, skip: nth.saturating_sub(1), held: BTreeSet::new() });
    }

    /// Ends a breakpoint; the partitions that it held.
    pub fn disarm(&mut self, fault: u32) -> BTreeSet<TopicPartition> {
        let at = self.armed.iter().position(|armed| armed.fault == fault);
        at.map(|at| self.armed.remove(at).held).unwrap_or_default()
    }

    /// The node has come to a point with a partition.
    pub fn arrive(&mut self, at: PausePoint, partition: &TopicPartition) -> Pause {
        for armed in &mut self.armed {
            if armed.at != at || armed.partition.as_ref().is_some_and(|only| only != partition) {
                continue;
            }
            if armed.held.contains(partition) {
                return Pause::Held;
            }
            if armed.skip > 0 {
                armed.skip -= 1;
                continue;
            }
            armed.held.insert(partition.clone());
            return Pause::Arrived(armed.fault);
        }
        Pause::No
    }

    /// As [`Pauses::arrive`], telling the world of a new arrival. Whether to stop here.
    pub fn tell(&mut self, ctx: &mut Ctx<'_>, at: PausePoint, partition: &TopicPartition) -> bool {
        match self.arrive(at, partition) {
            Pause::No => false,
            Pause::Held => true,
            Pause::Arrived(fault) => {
                ctx.effects.push(Effect::Reached { fault, at, partition: partition.clone() });
                true
            }
        }
    }

    /// Whether a breakpoint holds a partition at a point.
    pub fn holds(&self, at: PausePoint, partition: &TopicPartition) -> bool {
        self.armed.iter().any(|armed| armed.at == at && armed.held.contains(partition))
    }

    /// How many partitions a breakpoint holds.
    pub fn held(&self, fault: u32) -> usize {
        self.armed.iter().filter(|armed| armed.fault == fault).map(|armed| armed.held.len()).sum()
    }
}
