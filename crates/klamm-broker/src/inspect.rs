//! A broker's replicas as a checker outside the broker sees them. Nothing here changes anything.

use bytes::Bytes;
use klamm_log::producer_state::ActiveProducer;
use klamm_log::{Disk, EpochEntry, FetchIsolation};
use klamm_metadata::LeaderRecoveryState;
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::Uuid;
use klamm_wire::record::batch::BatchHeader;

use crate::broker::Broker;
use crate::partition::Partition;
use crate::partition::isr::IsrState;

/// Everything that one replica knows. Offsets are exclusive ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaView {
    /// The leader, -1 for none.
    pub leader: NodeId,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The partition's epoch.
    pub partition_epoch: i32,
    /// The replicas, in assignment order.
    pub replicas: Vec<NodeId>,
    /// The ISR that the controller last committed, as this broker knows it.
    pub isr: Vec<NodeId>,
    /// Whether the leader recovers from an unclean election.
    pub leader_recovery_state: LeaderRecoveryState,
    /// The leader's side, where this broker believes that it leads.
    pub leading: Option<LeaderView>,
    /// First offset of the log.
    pub log_start: i64,
    /// Log end.
    pub log_end: i64,
    /// High watermark.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable: i64,
    /// Where each leader epoch begins in the log.
    pub epochs: Vec<EpochEntry>,
    /// `min.insync.replicas`, at most the number of replicas.
    pub effective_min_isr: usize,
    /// Whether compaction may take records out of the log.
    pub compacted: bool,
}

/// What a leader knows beyond its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderView {
    /// The log end when the epoch began.
    pub epoch_start: i64,
    /// The committed ISR and whoever is about to join it.
    pub maximal_isr: Vec<NodeId>,
    /// Whether a proposal of another ISR is on its way.
    pub in_flight: bool,
    /// The followers.
    pub followers: Vec<FollowerView>,
}

/// What a leader knows of a follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerView {
    /// The follower.
    pub id: NodeId,
    /// The offset that it last asked for; -1 for never.
    pub log_end: i64,
    /// The broker epoch that it last asked with.
    pub broker_epoch: Option<i64>,
}

/// One replica, to be looked at.
#[derive(Debug, Clone, Copy)]
pub struct ReplicaInspection<'a> {
    partition: &'a Partition,
    disk: &'a dyn Disk,
}

impl Broker {
    /// Every replica of this broker, always in the same order while none comes or goes.
    pub fn inspect(&self) -> impl Iterator<Item = ReplicaInspection<'_>> {
        let disk = &*self.core.disk;
        self.core.replicas.iter().map(move |(_, partition)| ReplicaInspection { partition, disk })
    }

    /// The offset of the next metadata record that this broker has not applied.
    pub fn applied_metadata(&self) -> i64 {
        self.image().provenance.last_contained_offset + 1
    }

    /// The headers of this broker's copy of the metadata log, from the batch that holds `from`.
    pub fn metadata_headers(&self, from: i64) -> Vec<BatchHeader> {
        self.core.metadata.log().headers(&*self.core.disk, from).unwrap_or_default()
    }

    /// The high watermark of this broker's copy of the metadata log.
    pub const fn metadata_high_watermark(&self) -> i64 {
        self.core.metadata.log().high_watermark()
    }

    /// Whether a log directory failed: its replicas are not served any more.
    pub fn is_offline(&self) -> bool {
        self.core.replicas.dirs.any_offline()
    }
}

impl ReplicaInspection<'_> {
    /// The topic's id.
    pub const fn topic_id(&self) -> Uuid {
        self.partition.topic_id
    }

    /// The partition.
    pub const fn name(&self) -> &TopicPartition {
        &self.partition.name
    }

    /// A number that changes whenever anything in [`ReplicaView`] does, up to hash collisions.
    pub fn mark(&self) -> u64 {
        let partition = self.partition;
        let offsets = partition.log.offsets();
        let mut mark = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |value: i64| {
            mark = (mark ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        };
        mix(i64::from(partition.leader_epoch) << 32 | i64::from(partition.partition_epoch));
        mix(offsets.log_start_offset);
        mix(offsets.log_end_offset);
        mix(offsets.high_watermark);
        mix(offsets.last_stable_offset);
        mix(partition.isr.iter().fold(partition.isr.len() as i64, |sum, id| sum * 31 + i64::from(id.0)));
        mix(i64::from(partition.log.config().min_insync_replicas));
        mix(partition.log.leader_epochs().entries().len() as i64);
        if let Some(leading) = &partition.leading {
            mix(i64::from(leading.isr_state.is_inflight()) + 2);
            for remote in &leading.remotes {
                mix(remote.log_end_offset);
                mix(remote.broker_epoch.unwrap_or(-2));
            }
        }
        mark
    }

    /// Everything that the replica knows.
    pub fn view(&self) -> ReplicaView {
        let partition = self.partition;
        let offsets = partition.log.offsets();
        let leading = partition.leading.as_ref().map(|leading| {
            let joining = match &leading.isr_state {
                IsrState::PendingExpand { replica, .. } => Some(*replica),
                _ => None,
            };
            let members = partition.isr.iter().copied().chain(joining);
            let maximal_isr = members.filter(|id| partition.in_maximal_isr(*id)).collect();
            LeaderView {
                epoch_start: leading.epoch_start_offset,
                maximal_isr,
                in_flight: leading.isr_state.is_inflight(),
                followers: leading
                    .remotes
                    .iter()
                    .map(|remote| FollowerView {
                        id: remote.id,
                        log_end: remote.log_end_offset,
                        broker_epoch: remote.broker_epoch,
                    })
                    .collect(),
            }
        });
        ReplicaView {
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            partition_epoch: partition.partition_epoch,
            replicas: partition.replicas.clone(),
            isr: partition.isr.clone(),
            leader_recovery_state: partition.leader_recovery_state,
            leading,
            log_start: offsets.log_start_offset,
            log_end: offsets.log_end_offset,
            high_watermark: offsets.high_watermark,
            last_stable: offsets.last_stable_offset,
            epochs: partition.log.leader_epochs().entries().to_vec(),
            effective_min_isr: partition.effective_min_isr(),
            compacted: partition.log.config().compact,
        }
    }

    /// The headers of the log's batches, from the one that holds `from`. Empty when the disk cannot be read.
    pub fn headers(&self, from: i64) -> Vec<BatchHeader> {
        self.partition.log.headers(self.disk, from).unwrap_or_default()
    }

    /// The log's batches from the one that holds `from`, as they lie there, a mebibyte of them at most. Empty when the disk cannot
    /// be read.
    pub fn batches(&self, from: i64) -> Vec<Bytes> {
        let read = self.partition.log.read(self.disk, from, 1 << 20, FetchIsolation::LogEnd, true);
        read.map(|data| data.records).unwrap_or_default()
    }

    /// The producers that the log knows.
    pub fn producers(&self) -> Vec<ActiveProducer> {
        self.partition.log.active_producers()
    }
}
