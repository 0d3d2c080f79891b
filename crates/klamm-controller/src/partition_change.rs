//! Works out the record that changes a partition (`PartitionChangeBuilder`): who leads, who is in the ISR and the ELR.

use std::collections::BTreeSet;

use klamm_metadata::record::PartitionChangeRecord;
use klamm_metadata::{LeaderRecoveryState, NO_LEADER, NO_LEADER_CHANGE, PartitionRegistration};
use klamm_node::{Era, Eras, NodeId};
use klamm_wire::Uuid;

/// Who may be elected when the leader has to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Election {
    /// The preferred replica if it is eligible, else as `Online`.
    Preferred,
    /// The current leader if it is still eligible, else the first eligible replica.
    Online,
    /// As `Online`, but rather a replica that may miss records than none.
    Unclean,
}

/// The cluster's rules for changes of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Whether `eligible.leader.replicas.version` is 1 (KIP-966).
    pub(crate) elr_enabled: bool,
    /// Which rules are those of an older Kafka.
    pub(crate) eras: Eras,
}

/// A change in the making: start from the partition as it is, say what should differ, and [`build`](Self::build).
pub(crate) struct PartitionChange<'a> {
    partition: &'a PartitionRegistration,
    /// Whether a broker may lead: active, and the replica's directory online.
    acceptable: &'a dyn Fn(NodeId) -> bool,
    /// Where a broker's new replica goes.
    default_dir: &'a dyn Fn(NodeId) -> Uuid,
    /// min(`min.insync.replicas`, replicas).
    min_isr: usize,
    elr_enabled: bool,
    eras: Eras,
    election: Election,
    isr: Vec<NodeId>,
    replicas: Vec<NodeId>,
    removing: Vec<NodeId>,
    adding: Vec<NodeId>,
    elr: Vec<NodeId>,
    /// A replica whose directory is to be another one.
    directory: Option<(NodeId, Uuid)>,
    recovery_state: LeaderRecoveryState,
    /// Brokers known to have lost unflushed records.
    unclean_shutdown: Option<NodeId>,
}

/// Whom an election chose.
struct Elected {
    leader: NodeId,
    unclean: bool,
}

impl<'a> PartitionChange<'a> {
    pub(crate) fn new(
        partition: &'a PartitionRegistration,
        acceptable: &'a dyn Fn(NodeId) -> bool,
        default_dir: &'a dyn Fn(NodeId) -> Uuid,
        min_isr: usize,
        rules: Rules,
    ) -> Self {
        Self {
            partition,
            acceptable,
            default_dir,
            min_isr,
            elr_enabled: rules.elr_enabled,
            eras: rules.eras,
            election: Election::Online,
            isr: partition.isr.clone(),
            replicas: partition.replicas.clone(),
            removing: partition.removing_replicas.clone(),
            adding: partition.adding_replicas.clone(),
            elr: partition.elr.clone(),
            directory: None,
            recovery_state: partition.leader_recovery_state,
            unclean_shutdown: None,
        }
    }

    pub(crate) fn election(mut self, election: Election) -> Self {
        self.election = election;
        self
    }

    pub(crate) fn isr(mut self, isr: Vec<NodeId>) -> Self {
        self.isr = isr;
        self
    }

    pub(crate) fn replicas(mut self, replicas: Vec<NodeId>) -> Self {
        self.replicas = replicas;
        self
    }

    pub(crate) fn removing(mut self, removing: Vec<NodeId>) -> Self {
        self.removing = removing;
        self
    }

    pub(crate) fn adding(mut self, adding: Vec<NodeId>) -> Self {
        self.adding = adding;
        self
    }

    pub(crate) const fn directory(mut self, replica: NodeId, directory: Uuid) -> Self {
        self.directory = Some((replica, directory));
        self
    }

    pub(crate) fn recovery_state(mut self, state: LeaderRecoveryState) -> Self {
        self.recovery_state = state;
        self
    }

    pub(crate) fn unclean_shutdown(mut self, broker: Option<NodeId>) -> Self {
        self.unclean_shutdown = broker;
        self
    }

    /// The record; `None` when nothing changes.
    pub(crate) fn build(mut self, topic_id: Uuid, partition_id: i32) -> Option<PartitionChangeRecord> {
        let mut record = PartitionChangeRecord { topic_id, partition_id, ..PartitionChangeRecord::default() };
        self.complete_reassignment();
        self.populate_elr();
        self.elect(&mut record);
        self.bump_epoch_for_removed_replicas(&mut record);
        self.set_elr(&mut record);
        // Without ELR the last member stays in the ISR: an empty ISR would forget who has every record.
        let isr_may_be = self.elr_enabled || !self.isr.is_empty();
        if record.isr.is_none() && isr_may_be && self.isr != self.partition.isr {
            record.isr = Some(numbers(&self.isr));
        }
        self.set_last_known_leader(&mut record);
        self.set_assignment(&mut record);
        if self.recovery_state != self.partition.leader_recovery_state {
            record.leader_recovery_state = self.recovery_state.code();
        }
        if is_no_op(&record) { None } else { Some(record) }
    }

    /// Ends a reassignment once every added replica is in sync (`PartitionReassignmentReplicas`, KIP-455).
    fn complete_reassignment(&mut self) {
        if self.removing.is_empty() && self.adding.is_empty() {
            return;
        }
        let keep = |list: &[NodeId]| -> Vec<NodeId> {
            list.iter().copied().filter(|id| !self.removing.contains(id)).collect()
        };
        let (isr, replicas) = (keep(&self.isr), keep(&self.replicas));
        if !self.removing.is_empty() && (isr.is_empty() || replicas.is_empty()) {
            return;
        }
        if !self.adding.iter().all(|id| isr.contains(id)) {
            return;
        }
        // A smaller replica set waits until all of it is in sync, so as not to shrink the ISR on the way.
        if self.adding.len() < self.removing.len() && !replicas.iter().all(|id| isr.contains(id)) {
            return;
        }
        self.isr = isr;
        self.replicas = replicas;
        self.removing.clear();
        self.adding.clear();
    }

    /// Below min ISR, who leaves the ISR without losing records stays eligible (KIP-966).
    fn populate_elr(&mut self) {
        if !self.elr_enabled {
            return;
        }
        if self.isr.len() >= self.min_isr {
            self.elr.clear();
            return;
        }
        let candidates: BTreeSet<NodeId> = self.elr.iter().chain(&self.partition.isr).copied().collect();
        self.elr = candidates
            .into_iter()
            .filter(|id| !self.isr.contains(id) && self.unclean_shutdown != Some(*id))
            // Kafka keeps a replica here that a reassignment has just removed.
            .filter(|id| self.replicas.contains(id))
            .collect();
    }

    fn elect(&mut self, record: &mut PartitionChangeRecord) {
        let elected = match self.election {
            Election::Preferred => self.elect_preferred(),
            Election::Online | Election::Unclean => self.elect_any(),
        };
        if elected.leader == self.partition.leader {
            return;
        }
        if self.elr.contains(&elected.leader) {
            self.isr = vec![elected.leader];
            self.elr.retain(|id| *id != elected.leader);
        }
        record.leader = elected.leader.0;
        if elected.unclean {
            record.isr = Some(vec![elected.leader.0]);
            if self.partition.leader_recovery_state != LeaderRecoveryState::Recovering {
                record.leader_recovery_state = LeaderRecoveryState::Recovering.code();
            }
        }
    }

    fn elect_preferred(&self) -> Elected {
        if let Some(preferred) = self.replicas.first().copied().filter(|id| self.is_eligible(*id)) {
            return Elected { leader: preferred, unclean: false };
        }
        self.elect_clean().unwrap_or(Elected { leader: NO_LEADER, unclean: false })
    }

    fn elect_any(&self) -> Elected {
        if let Some(elected) = self.elect_clean() {
            return elected;
        }
        let acceptable = self.replicas.iter().copied().find(|id| (self.acceptable)(*id));
        match acceptable {
            Some(leader) if self.election == Election::Unclean => Elected { leader, unclean: true },
            _ => Elected { leader: NO_LEADER, unclean: false },
        }
    }

    /// The current leader, the first eligible replica in order of assignment, or the last known leader.
    fn elect_clean(&self) -> Option<Elected> {
        if self.is_eligible(self.partition.leader) {
            return Some(Elected { leader: self.partition.leader, unclean: false });
        }
        if let Some(leader) = self.replicas.iter().copied().find(|id| self.is_eligible(*id)) {
            return Some(Elected { leader, unclean: false });
        }
        Some(Elected { leader: self.last_known_leader()?, unclean: true })
    }

    /// In the ISR, or in the ELR while the ISR is empty, and able to lead.
    fn is_eligible(&self, id: NodeId) -> bool {
        let clean = self.isr.contains(&id) || self.isr.is_empty() && self.elr.contains(&id);
        clean && (self.acceptable)(id)
    }

    /// With nobody left in ISR and ELR, the leader that was last (KIP-966's balanced recovery).
    fn last_known_leader(&self) -> Option<NodeId> {
        if !self.elr_enabled || !self.elr.is_empty() || !self.isr.is_empty() {
            return None;
        }
        match self.partition.last_known_elr.as_slice() {
            [last] if (self.acceptable)(*last) => Some(*last),
            _ => None,
        }
    }

    /// A replica that is removed must not go on fetching in the old epoch: name the leader again. Once also for one that
    /// leaves the ISR.
    fn bump_epoch_for_removed_replicas(&self, record: &mut PartitionChangeRecord) {
        let removed = self.partition.replicas.iter().any(|id| !self.replicas.contains(id));
        let shrunk = self.eras.on(Era::EpochBumpOnShrink)
            && self.partition.isr.iter().any(|id| !self.isr.contains(id));
        if record.leader == NO_LEADER_CHANGE && (removed || shrunk) {
            record.leader = self.partition.leader.0;
        }
    }

    fn set_elr(&mut self, record: &mut PartitionChangeRecord) {
        let unclean = record.isr.is_some();
        if unclean || !self.elr_enabled {
            self.elr.clear();
        }
        if self.elr != self.partition.elr {
            record.eligible_leader_replicas = Some(numbers(&self.elr));
        }
    }

    fn set_last_known_leader(&self, record: &mut PartitionChangeRecord) {
        if !self.elr_enabled {
            return;
        }
        if record.leader == NO_LEADER.0 && self.partition.last_known_elr.is_empty() {
            record.last_known_elr = Some(vec![self.partition.leader.0]);
        } else if record.leader >= 0 && !self.partition.last_known_elr.is_empty() {
            record.last_known_elr = Some(Vec::new());
        }
    }

    fn set_assignment(&self, record: &mut PartitionChangeRecord) {
        let directory = |id: &NodeId| match self.directory {
            Some((replica, directory)) if replica == *id => directory,
            _ => self.partition.directory(*id).unwrap_or_else(|| (self.default_dir)(*id)),
        };
        if self.directory.is_some() || self.replicas != self.partition.replicas {
            let directories: Vec<Uuid> = self.replicas.iter().map(directory).collect();
            if directories != self.partition.directories {
                record.directories = Some(directories);
            }
        }
        if self.replicas != self.partition.replicas {
            record.replicas = Some(numbers(&self.replicas));
        }
        if self.removing != self.partition.removing_replicas {
            record.removing_replicas = Some(numbers(&self.removing));
        }
        if self.adding != self.partition.adding_replicas {
            record.adding_replicas = Some(numbers(&self.adding));
        }
    }
}

fn numbers(ids: &[NodeId]) -> Vec<i32> {
    ids.iter().map(|id| id.0).collect()
}

fn is_no_op(record: &PartitionChangeRecord) -> bool {
    *record
        == PartitionChangeRecord {
            topic_id: record.topic_id,
            partition_id: record.partition_id,
            ..PartitionChangeRecord::default()
        }
}
