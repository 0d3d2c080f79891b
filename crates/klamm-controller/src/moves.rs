//! Moves of a partition, or of a broker's session, that nobody asked the cluster for: how faults bring them about.
//! They are written as records like any change, so brokers learn of them in the ordinary way.

use klamm_metadata::MetadataRecord;
use klamm_metadata::record::PartitionChangeRecord;
use klamm_node::{Ctx, NodeId, TopicPartition};

use crate::controller::Controller;
use crate::replication_control;

/// Why a partition cannot be moved like that: the broker, and what it lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit {
    /// The broker.
    pub broker: NodeId,
    /// What it lacks, to be read before `of PARTITION`.
    pub why: &'static str,
}

impl Controller {
    /// Whether it is the one that decides: it leads the quorum, and can write its log.
    pub const fn decides(&self) -> bool {
        !self.failed && self.is_active()
    }

    /// Whether [`Controller::move_leader`] could.
    ///
    /// # Errors
    /// When the broker leads already, or may not: only an in-sync replica whose broker is active.
    pub fn can_move_leader(&self, partition: &TopicPartition, to: NodeId) -> Result<(), Unfit> {
        let unfit = |why| Err(Unfit { broker: to, why });
        let registration = self.state.image.topics.partition_by_name(&partition.topic, partition.partition);
        match registration {
            Some(registration) if registration.leader == to => unfit("is already the leader"),
            Some(registration) if !registration.isr.contains(&to) => unfit("is not in the ISR"),
            Some(_) if !self.state.image.cluster.is_active(to) => {
                unfit("is fenced or shuts down, so it cannot be the leader")
            }
            Some(_) => Ok(()),
            None => unfit("knows nothing"),
        }
    }

    /// Makes another in-sync replica a partition's leader.
    pub fn move_leader(&mut self, ctx: &mut Ctx<'_>, partition: &TopicPartition, to: NodeId) {
        if self.can_move_leader(partition, to).is_ok() {
            self.change(ctx, partition, |record| record.leader = to.0, "moved by a fault");
        }
    }

    /// Whether [`Controller::set_isr`] could.
    ///
    /// # Errors
    /// When a broker is no replica, or the leader is left out.
    pub fn can_set_isr(&self, partition: &TopicPartition, isr: &[NodeId]) -> Result<(), Unfit> {
        let registration = self.state.image.topics.partition_by_name(&partition.topic, partition.partition);
        let Some(registration) = registration else { return Ok(()) };
        if let Some(stranger) = isr.iter().find(|id| !registration.replicas.contains(id)) {
            return Err(Unfit { broker: *stranger, why: "is no replica" });
        }
        if registration.has_leader() && !isr.contains(&registration.leader) {
            let why = "must be in the ISR, for it is the leader";
            return Err(Unfit { broker: registration.leader, why });
        }
        Ok(())
    }

    /// Sets a partition's ISR, whatever the replicas hold.
    pub fn set_isr(&mut self, ctx: &mut Ctx<'_>, partition: &TopicPartition, isr: &[NodeId]) {
        if self.can_set_isr(partition, isr).is_ok() {
            let isr = isr.iter().map(|id| id.0).collect();
            self.change(ctx, partition, |record| record.isr = Some(isr), "set by a fault");
        }
    }

    /// Finds a broker's session expired: it is fenced, until a heartbeat of its unfences it.
    pub fn expire_session(&mut self, ctx: &mut Ctx<'_>, broker: NodeId) {
        let Some(registration) = self.state.image.cluster.broker(broker) else { return };
        let (epoch, fenced) = (registration.epoch, registration.fenced);
        self.state.heartbeats.end_session(broker, epoch);
        if !fenced {
            let mut records = Vec::new();
            replication_control::broker_fenced(&self.state, broker, &mut records);
            self.state.heartbeats.fence(broker);
            self.write_in_step(ctx, &records, "session ended by a fault");
        }
    }

    fn change(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: &TopicPartition,
        with: impl FnOnce(&mut PartitionChangeRecord),
        cause: &'static str,
    ) {
        let Some(topic_id) = self.state.image.topics.id(&partition.topic) else { return };
        let partition_id = partition.partition;
        let mut record = PartitionChangeRecord { topic_id, partition_id, ..PartitionChangeRecord::default() };
        with(&mut record);
        self.write_in_step(ctx, &[MetadataRecord::PartitionChange(record)], cause);
    }
}
