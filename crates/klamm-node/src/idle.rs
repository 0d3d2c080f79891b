//! What nodes of an idle cluster do to each other, so that a stretch of it can be passed over at once.
//!
//! Idle traffic goes round in laps: a fetch waits for its time, is answered with nothing and asked again; a heartbeat is sent and
//! answered. After a lap everything is as before it, one lap later. A node tells which of its traffic may be of that kind, the world
//! finds the two ends of each lap, and both ends are told how many laps have passed.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::effect::CallId;
use crate::ids::NodeId;
use crate::time::{Timestamp, WallTime};

/// A fetch that waits at the node that it asks, and that will be answered with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParkedFetch {
    /// Who asks.
    pub from: NodeId,
    /// The asker's name for the call.
    pub call: CallId,
    /// When it is answered, on the node's monotonic clock.
    pub until: Timestamp,
}

/// A node's own fetch, which it will repeat as it is when it is answered with nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatedFetch {
    /// The call that is under way.
    pub call: CallId,
    /// Who is asked.
    pub to: NodeId,
    /// How long the one who is asked waits.
    pub wait: Duration,
}

/// A broker's next heartbeat, which says what the last one said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleHeartbeat {
    /// The controller that it goes to.
    pub controller: NodeId,
    /// The broker's epoch.
    pub epoch: i64,
    /// How far the broker has read the metadata.
    pub metadata_offset: i64,
    /// When it is due, on the broker's monotonic clock.
    pub at: Timestamp,
    /// How long after an answer the next is due.
    pub interval: Duration,
}

/// The traffic of a node that may be idle, if its other end agrees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdleTraffic {
    /// Fetches that wait here.
    pub parked: Vec<ParkedFetch>,
    /// Fetches that this node has under way.
    pub fetches: Vec<RepeatedFetch>,
    /// A broker's next heartbeat.
    pub heartbeat: Option<IdleHeartbeat>,
}

/// Which of a node's traffic is idle at both ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IdlePeers {
    /// Fetches that wait here, by asker and call.
    pub parked: BTreeSet<(NodeId, CallId)>,
    /// Fetches that this node has under way.
    pub fetches: BTreeSet<CallId>,
    /// The brokers whose heartbeats keep their sessions here, by broker and epoch.
    pub sessions: BTreeSet<(NodeId, i64)>,
    /// Whether this broker's heartbeats are idle.
    pub heartbeat: bool,
}

/// A node's two clocks at one moment, from which follow their readings at others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdleClock {
    /// The monotonic clock.
    pub now: Timestamp,
    /// The wall clock.
    pub wall: WallTime,
}

impl IdleClock {
    /// What the wall clock shows at a moment.
    pub const fn wall_at(&self, at: Timestamp) -> i64 {
        self.wall.millis() + (at.as_millis() - self.now.as_millis())
    }

    /// The first moment from now on at which the wall clock shows `millis` or more.
    pub fn when(&self, millis: i64) -> Timestamp {
        let ahead = millis.saturating_sub(self.wall.millis());
        if ahead <= 0 {
            return self.now;
        }
        let at = i128::from(self.now.as_millis()) + i128::from(ahead);
        u64::try_from(at * 1_000_000).map_or(Timestamp::MAX, Timestamp)
    }
}

/// When something that recurs every `period` from `at` on comes for the first time at `until` or later.
pub fn first_from(at: Timestamp, period: Duration, until: Timestamp) -> Timestamp {
    let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX).max(1);
    let behind = until.0.saturating_sub(at.0);
    Timestamp(at.0.saturating_add(behind.div_ceil(period).saturating_mul(period)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn laps_end_at_or_after_the_moment() {
        let second = Duration::from_secs(1);
        let at = Timestamp::from_millis;
        assert_eq!(first_from(at(500), second, at(400)), at(500), "not before its time");
        assert_eq!(first_from(at(500), second, at(500)), at(500));
        assert_eq!(first_from(at(500), second, at(501)), at(1_500));
        assert_eq!(first_from(at(500), second, at(9_500)), at(9_500));
    }

    #[test]
    fn a_wall_clock_shows_a_time_from_a_whole_millisecond_on() {
        let clock = IdleClock { now: Timestamp(1_999_999), wall: WallTime(50) };
        assert_eq!(clock.when(50), clock.now);
        let at = clock.when(52);
        assert_eq!((clock.wall_at(at), clock.wall_at(Timestamp(at.0 - 1))), (52, 51));
        assert_eq!(clock.when(i64::MIN), clock.now);
        assert!(clock.when(i64::MAX) > Timestamp::from_millis(1 << 40));
    }
}
