//! One partition's replica on this broker: its log and its role (`Partition`).
//!
//! A partition only changes itself and notes in [`Changes`] what happened; whoever waits for it is told by the broker
//! before the step ends.

pub(crate) mod append;
pub(crate) mod fetch;
pub(crate) mod high_watermark;
pub(crate) mod isr;
pub(crate) mod replica;

use klamm_log::{Disk, Log, LogError};
use klamm_metadata::{ClusterImage, LeaderRecoveryState, PartitionRegistration};
use klamm_node::{Era, Eras, NodeId, TopicPartition};
use klamm_wire::{ErrorCode, Uuid};
use smallvec::SmallVec;

use crate::future_replica::FutureReplica;
use crate::log_dirs::Dir;
use crate::partition::isr::IsrState;
use crate::partition::replica::Replica;
use crate::quota::replication::Throttled;

/// A partition's place in the replica manager's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot(pub(crate) u32);

/// What happened to a partition since anybody looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Changes(u8);

impl Changes {
    /// The log end moved.
    pub(crate) const LOG_END: Self = Self(1);
    /// The high watermark or the last stable offset moved.
    pub(crate) const HIGH_WATERMARK: Self = Self(2);
    /// The log start of a replica moved.
    pub(crate) const LOG_START: Self = Self(4);
    /// The role, leader or epoch changed, or the replica went away.
    pub(crate) const ROLE: Self = Self(8);

    /// The ISR changed: a follower may have to join it again.
    pub(crate) const ISR: Self = Self(16);

    /// Nothing happened.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These, but for `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether any of `other` happened.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds.
    pub(crate) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// What a leader consults beyond its own state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeaderEnv<'a> {
    /// This broker.
    pub(crate) me: NodeId,
    /// This broker's epoch.
    pub(crate) my_epoch: i64,
    /// The brokers, as this one's metadata has them.
    pub(crate) cluster: &'a ClusterImage,
    /// The wall clock, in milliseconds.
    pub(crate) now_ms: i64,
    /// `replica.lag.time.max.ms`
    pub(crate) max_lag_ms: i64,
}

/// A leader's side of a partition.
#[derive(Debug, Clone)]
pub(crate) struct LeaderState {
    /// The log end when this epoch began.
    pub(crate) epoch_start_offset: i64,
    /// The followers.
    pub(crate) remotes: SmallVec<[Replica; 4]>,
    /// Whether a change of the ISR is on its way to the controller.
    pub(crate) isr_state: IsrState,
}

impl LeaderState {
    /// A follower.
    pub(crate) fn remote(&self, id: NodeId) -> Option<&Replica> {
        self.remotes.iter().find(|replica| replica.id == id)
    }

    /// A follower.
    pub(crate) fn remote_mut(&mut self, id: NodeId) -> Option<&mut Replica> {
        self.remotes.iter_mut().find(|replica| replica.id == id)
    }
}

/// What becoming leader or follower changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleChange {
    /// The role is another than before.
    pub(crate) new_role: bool,
    /// The leader epoch grew.
    pub(crate) new_epoch: bool,
}

/// One partition's replica.
#[derive(Debug, Clone)]
pub(crate) struct Partition {
    /// Its name.
    pub(crate) name: TopicPartition,
    /// Its topic's id.
    pub(crate) topic_id: Uuid,
    /// Whether a coordinator keeps its state in it.
    pub(crate) is_internal: bool,
    /// The directory that its log is in.
    pub(crate) dir: Dir,
    /// Its log.
    pub(crate) log: Log,
    /// The log in another directory that is to take its place.
    pub(crate) future: Option<Box<FutureReplica>>,
    /// Which rules are those of an older Kafka.
    pub(crate) eras: Eras,
    /// The leader, -1 for none.
    pub(crate) leader: NodeId,
    /// The leader's epoch; -1 before any is known.
    pub(crate) leader_epoch: i32,
    /// The epoch of the partition's state; -1 before any is known.
    pub(crate) partition_epoch: i32,
    /// The replicas, in assignment order.
    pub(crate) replicas: Vec<NodeId>,
    /// The ISR that the controller last committed. Kafka empties it on followers; here it stays for inspection.
    pub(crate) isr: Vec<NodeId>,
    /// Whether the leader recovers from an unclean election.
    pub(crate) leader_recovery_state: LeaderRecoveryState,
    /// The leader's side, while this broker leads.
    pub(crate) leading: Option<LeaderState>,
    /// Whether its replication is throttled here.
    pub(crate) throttled: Throttled,
    /// What happened since anybody looked.
    pub(crate) changes: Changes,
    /// Whether it is queued for those who wait for it.
    pub(crate) queued: bool,
    /// The log end that was last traced.
    pub(crate) seen_log_end: i64,
    /// The high watermark that was last told.
    pub(crate) seen_high_watermark: i64,
    /// The last stable offset that was last traced.
    pub(crate) seen_last_stable_offset: i64,
    /// Fetch sessions that want to be told of the next change, with this partition's place in each. Telling ends the
    /// subscription: a session that its fetcher forgot costs nothing from then on.
    pub(crate) subscribers: SmallVec<[(i32, u32); 4]>,
}

impl Partition {
    /// A replica without a role.
    pub(crate) fn new(name: TopicPartition, topic_id: Uuid, dir: Dir, log: Log, eras: Eras) -> Self {
        let is_internal = crate::core::is_internal(&name.topic);
        Self {
            seen_log_end: log.log_end_offset(),
            seen_high_watermark: log.high_watermark(),
            seen_last_stable_offset: log.last_stable_offset(),
            queued: false,
            name,
            topic_id,
            is_internal,
            dir,
            log,
            future: None,
            eras,
            leader: NodeId(-1),
            leader_epoch: -1,
            partition_epoch: -1,
            replicas: Vec::new(),
            isr: Vec::new(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leading: None,
            throttled: Throttled::default(),
            changes: Changes::default(),
            subscribers: SmallVec::new(),
        }
    }

    /// Takes over whether its topic throttles its replication at the broker `me`.
    pub(crate) fn note_throttles(&mut self, me: NodeId) {
        self.throttled = Throttled::of(self.log.config(), self.name.partition, me);
    }

    /// Whether this broker leads.
    pub(crate) const fn is_leader(&self) -> bool {
        self.leading.is_some()
    }

    /// Compares the epoch that a request knows with ours (KIP-320). R8.
    pub(crate) const fn check_epoch(&self, known: Option<i32>) -> Result<(), ErrorCode> {
        if self.eras.on(Era::NoFetchFencing) {
            return Ok(());
        }
        match known {
            Some(epoch) if self.leader_epoch > epoch => Err(ErrorCode::FencedLeaderEpoch),
            Some(epoch) if self.leader_epoch < epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Takes the leader's role for the state that the controller committed (`Partition.makeLeader`).
    pub(crate) fn make_leader(
        &mut self,
        registration: &PartitionRegistration,
        disk: &mut dyn Disk,
        env: LeaderEnv<'_>,
    ) -> Result<Option<RoleChange>, LogError> {
        if registration.partition_epoch < self.partition_epoch {
            return Ok(None);
        }
        let new_role = self.leading.is_none();
        let new_epoch = registration.leader_epoch > self.leader_epoch;
        if self.isr != registration.isr {
            self.changes.add(Changes::ISR);
        }
        self.replicas.clone_from(&registration.replicas);
        self.isr.clone_from(&registration.isr);
        // Kafka marks an uncleanly elected leader as recovered at once.
        self.leader_recovery_state = LeaderRecoveryState::Recovered;
        let log_end = self.log.log_end_offset();
        let mut state = self.leading.take().unwrap_or_else(|| LeaderState {
            epoch_start_offset: log_end,
            remotes: SmallVec::new(),
            isr_state: IsrState::Committed,
        });
        state.isr_state = IsrState::Committed;
        state.remotes.retain(|r| registration.replicas.contains(&r.id));
        for id in registration.replicas.iter().filter(|id| **id != env.me) {
            if state.remote(*id).is_none() {
                state.remotes.push(Replica::new(*id));
            }
        }
        if new_epoch {
            self.log.assign_epoch_start_offset(disk, registration.leader_epoch, log_end)?;
            for replica in &mut state.remotes {
                let in_sync = registration.isr.contains(&replica.id);
                replica.reset(env.now_ms, log_end, new_role, in_sync);
            }
            self.leader_epoch = registration.leader_epoch;
            state.epoch_start_offset = log_end;
        }
        self.leading = Some(state);
        self.partition_epoch = registration.partition_epoch;
        self.leader = env.me;
        self.maybe_increment_high_watermark(env);
        if new_role || new_epoch {
            self.changes.add(Changes::ROLE);
        }
        Ok(Some(RoleChange { new_role, new_epoch }))
    }

    /// Takes a follower's role, also when there is no leader to follow (`Partition.makeFollower`).
    pub(crate) fn make_follower(&mut self, registration: &PartitionRegistration) -> Option<RoleChange> {
        if registration.partition_epoch < self.partition_epoch {
            return None;
        }
        let new_role = self.leading.is_some();
        let new_epoch = registration.leader_epoch > self.leader_epoch;
        self.leading = None;
        self.leader = registration.leader;
        self.leader_epoch = registration.leader_epoch;
        self.partition_epoch = registration.partition_epoch;
        self.replicas.clone_from(&registration.replicas);
        self.isr.clone_from(&registration.isr);
        self.leader_recovery_state = registration.leader_recovery_state;
        if new_role || new_epoch {
            self.changes.add(Changes::ROLE);
        }
        Some(RoleChange { new_role, new_epoch })
    }
}
