//! A healthy partition for the invariants' tests to break.

use std::collections::BTreeSet;
use std::sync::Arc;

use klamm_broker::{FollowerView, LeaderView, ReplicaView};
use klamm_log::EpochEntry;
use klamm_metadata::{LeaderRecoveryState, PartitionRegistration};
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::Uuid;

use super::ghost::{EpochPast, Partition, Replica};
use super::mirror::{Entry, Mirror};
use super::report::Report;

pub(crate) const LEADER: NodeId = NodeId(1);
pub(crate) const FOLLOWER: NodeId = NodeId(2);
pub(crate) const OTHER: NodeId = NodeId(3);

/// A batch of a leader epoch.
pub(crate) fn entry(base: i64, last: i64, epoch: i32) -> Entry {
    Entry {
        base,
        last,
        epoch,
        crc: (base * 7 + i64::from(epoch)) as u32,
        producer_id: -1,
        producer_epoch: -1,
        sequence: -1,
        control: false,
        time: 0,
        size: 100,
        transactional: false,
    }
}

/// A log of batches (first offset, last offset, epoch).
pub(crate) fn log(batches: &[(i64, i64, i32)]) -> Mirror {
    let mut log = Mirror::default();
    for (base, last, epoch) in batches {
        log.push(entry(*base, *last, *epoch));
    }
    log
}

fn replica(leading: bool) -> Replica {
    let all = vec![LEADER, FOLLOWER, OTHER];
    let followers = [FOLLOWER, OTHER].map(|id| FollowerView { id, log_end: 10, broker_epoch: Some(7) });
    Replica {
        running: true,
        view: ReplicaView {
            leader: LEADER,
            leader_epoch: 0,
            partition_epoch: 0,
            replicas: all.clone(),
            isr: all.clone(),
            leader_recovery_state: LeaderRecoveryState::Recovered,
            leading: leading.then(|| LeaderView {
                epoch_start: 0,
                maximal_isr: all,
                in_flight: false,
                followers: followers.into(),
            }),
            log_start: 0,
            log_end: 10,
            high_watermark: 10,
            last_stable: 10,
            epochs: vec![EpochEntry { epoch: 0, start_offset: 0 }],
            effective_min_isr: 2,
            compacted: false,
        },
        log: log(&[(0, 4, 0), (5, 9, 0)]),
        matches_to: 10,
        after_loss: false,
        epochs: EpochPast::default(),
        reloaded: None,
        known: BTreeSet::new(),
        premature: Vec::new(),
        kept: Vec::new(),
        forgotten: Vec::new(),
    }
}

/// Three replicas in sync, ten records committed in two batches, `min.insync.replicas` 2.
pub(crate) fn healthy() -> Partition {
    let mut partition = Partition::new(TopicPartition::new("t", 0), Uuid::from_u128(7));
    partition.registration = Some(Arc::new(PartitionRegistration {
        replicas: vec![LEADER, FOLLOWER, OTHER],
        directories: Vec::new(),
        isr: vec![LEADER, FOLLOWER, OTHER],
        elr: Vec::new(),
        last_known_elr: Vec::new(),
        removing_replicas: Vec::new(),
        adding_replicas: Vec::new(),
        leader: LEADER,
        leader_epoch: 0,
        partition_epoch: 0,
        leader_recovery_state: LeaderRecoveryState::Recovered,
    }));
    partition.min_isr = 2;
    partition.true_hw = 10;
    partition.committed = log(&[(0, 4, 0), (5, 9, 0)]);
    partition.writers.insert(0, LEADER);
    partition.replicas =
        [(LEADER, replica(true)), (FOLLOWER, replica(false)), (OTHER, replica(false))].into();
    partition
}

/// A replica of the fixture.
pub(crate) fn of(partition: &mut Partition, node: NodeId) -> &mut Replica {
    partition.replicas.get_mut(&node).expect("the fixture has this replica")
}

/// The controller's word on the fixture.
pub(crate) fn registration(partition: &mut Partition) -> &mut PartitionRegistration {
    Arc::make_mut(partition.registration.as_mut().expect("the fixture is registered"))
}

/// What a check finds: the ids of what does not hold.
pub(crate) fn found(check: impl FnOnce(&mut Report)) -> Vec<&'static str> {
    let mut report = Report::default();
    check(&mut report);
    report.violations.iter().map(|violation| violation.invariant.id).collect()
}
