//! What a leader knows of a follower (`Replica`, `ReplicaState`).

use klamm_node::NodeId;

/// A log end offset that no fetch has told yet (`UnifiedLog.UNKNOWN_OFFSET`).
pub(crate) const UNKNOWN_OFFSET: i64 = -1;

/// A remote replica as its fetches show it. Times are the leader's wall clock in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    /// The follower.
    pub(crate) id: NodeId,
    /// First offset of its log.
    pub(crate) log_start_offset: i64,
    /// Its log end: the offset it last asked for.
    pub(crate) log_end_offset: i64,
    /// The leader's log end when it last asked.
    pub(crate) last_fetch_leader_log_end_offset: i64,
    /// When it last asked.
    pub(crate) last_fetch_time_ms: i64,
    /// The latest time at which it is known to have held everything.
    pub(crate) last_caught_up_time_ms: i64,
    /// The broker epoch that it last asked with.
    pub(crate) broker_epoch: Option<i64>,
    /// The fetch session that holds this partition, 0 for none. A fetch in it that does not name the partition repeats the last
    /// position, which [`Replica::note_session_fetch`] makes up for.
    pub(crate) session_id: i32,
}

impl Replica {
    /// A follower that has not fetched.
    pub(crate) const fn new(id: NodeId) -> Self {
        Self {
            id,
            log_start_offset: UNKNOWN_OFFSET,
            log_end_offset: UNKNOWN_OFFSET,
            last_fetch_leader_log_end_offset: 0,
            last_fetch_time_ms: 0,
            last_caught_up_time_ms: 0,
            broker_epoch: None,
            session_id: 0,
        }
    }

    /// Forgets what an earlier leadership knew: its leader was elected (`is_new_leader`) or elected again.
    pub(crate) const fn reset(
        &mut self,
        now_ms: i64,
        leader_end_offset: i64,
        is_new_leader: bool,
        in_sync: bool,
    ) {
        let time = if in_sync { now_ms } else { 0 };
        if is_new_leader {
            *self = Self {
                last_fetch_leader_log_end_offset: UNKNOWN_OFFSET,
                last_caught_up_time_ms: time,
                ..Self::new(self.id)
            };
        } else {
            self.last_fetch_leader_log_end_offset = leader_end_offset;
            self.last_fetch_time_ms = time;
            self.last_caught_up_time_ms = time;
        }
    }

    /// Takes note of a fetch at `offset`. The follower has caught up now if it asks for the leader's end, and had caught
    /// up at its previous fetch if it asks for what was the end then.
    pub(crate) fn update_fetch_state(
        &mut self,
        offset: i64,
        follower_start_offset: i64,
        now_ms: i64,
        leader_end_offset: i64,
        broker_epoch: i64,
    ) {
        if offset >= leader_end_offset {
            self.last_caught_up_time_ms = self.last_caught_up_time_ms.max(now_ms);
        } else if offset >= self.last_fetch_leader_log_end_offset {
            self.last_caught_up_time_ms = self.last_caught_up_time_ms.max(self.last_fetch_time_ms);
        }
        self.log_start_offset = follower_start_offset;
        self.log_end_offset = offset;
        self.last_fetch_leader_log_end_offset = self.last_fetch_leader_log_end_offset.max(leader_end_offset);
        self.last_fetch_time_ms = now_ms;
        self.broker_epoch = Some(broker_epoch);
    }

    /// Before the leader's log grows: a follower that held everything has, by the fetches of its session that left this
    /// partition out, held everything until the last of them. Kafka updates every partition of a session at every fetch; this has
    /// the same outcome at the cost of the changed ones.
    pub(crate) fn note_session_fetch(&mut self, leader_end_offset: i64, session_fetch_ms: i64) {
        if self.log_end_offset >= leader_end_offset {
            self.last_caught_up_time_ms = self.last_caught_up_time_ms.max(session_fetch_ms);
            self.last_fetch_time_ms = self.last_fetch_time_ms.max(session_fetch_ms);
            self.last_fetch_leader_log_end_offset =
                self.last_fetch_leader_log_end_offset.max(leader_end_offset);
        }
    }

    /// Whether the follower counts as in sync: at the leader's end, or there within the last `max_lag_ms`.
    pub(crate) const fn is_caught_up(&self, leader_end_offset: i64, now_ms: i64, max_lag_ms: i64) -> bool {
        leader_end_offset == self.log_end_offset || now_ms - self.last_caught_up_time_ms <= max_lag_ms
    }
}
