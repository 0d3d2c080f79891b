//! Leaders and ISRs follow their brokers: down, up, on their way down, without a disk.

use klamm_metadata::MetadataRecord;
use klamm_metadata::record::{BrokerRegistrationChangeRecord, UnregisterBrokerRecord};
use klamm_node::{NodeId, TopicIdPartition};
use klamm_wire::Uuid;

use super::default_dir;
use crate::partition_change::{Election, PartitionChange};
use crate::state::ClusterState;

/// The most elections of one pass of the balancer, or of the sweep for unclean elections.
const MAX_ELECTIONS_PER_PASS: usize = 1_000;

/// Which brokers' standing changes while the image does not show it yet.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LeaderUpdate {
    /// Leaves every ISR and may not lead.
    pub(crate) remove: Option<NodeId>,
    /// May lead, though the image still has it fenced.
    pub(crate) add: Option<NodeId>,
    /// Leaves every ISR and ELR and may not lead: it may have lost records.
    pub(crate) unclean_shutdown: Option<NodeId>,
}

/// Answers repeated questions about the same topic: partitions come grouped by topic.
struct TopicFacts {
    topic_id: Uuid,
    unclean: bool,
    min_isr: usize,
}

impl TopicFacts {
    fn of(state: &ClusterState, topic_id: Uuid) -> Option<Self> {
        let unclean = state.unclean_election_enabled(&state.image.topics.by_id(topic_id)?.name);
        Some(Self { topic_id, unclean, min_isr: state.effective_min_isr(topic_id) })
    }
}

/// Adds the record for each of `partitions` that the update changes (`generateLeaderAndIsrUpdates`).
pub(crate) fn update_leaders(
    state: &ClusterState,
    update: LeaderUpdate,
    partitions: &[TopicIdPartition],
    records: &mut Vec<MetadataRecord>,
) {
    for_each_partition(state, partitions, |topic, partition_id| {
        let election = if topic.unclean { Election::Unclean } else { Election::Online };
        let partition = state.image.topics.partition(topic.topic_id, partition_id)?;
        let isr = partition
            .isr
            .iter()
            .copied()
            .filter(|id| Some(*id) != update.remove && Some(*id) != update.unclean_shutdown)
            .collect();
        change(state, topic, partition_id, update, |change| {
            change.election(election).isr(isr).unclean_shutdown(update.unclean_shutdown)
        })
        .map(|record| records.push(record))
    });
}

fn for_each_partition(
    state: &ClusterState,
    partitions: &[TopicIdPartition],
    mut each: impl FnMut(&TopicFacts, i32) -> Option<()>,
) {
    let mut facts: Option<TopicFacts> = None;
    for key in partitions {
        if facts.as_ref().is_none_or(|facts| facts.topic_id != key.topic_id) {
            facts = TopicFacts::of(state, key.topic_id);
        }
        if let Some(facts) = &facts {
            let _ = each(facts, key.partition);
        }
    }
}

fn change(
    state: &ClusterState,
    topic: &TopicFacts,
    partition_id: i32,
    update: LeaderUpdate,
    with: impl for<'a> FnOnce(PartitionChange<'a>) -> PartitionChange<'a>,
) -> Option<MetadataRecord> {
    let image = &state.image;
    let partition = image.topics.partition(topic.topic_id, partition_id)?;
    let acceptable = |id: NodeId| {
        Some(id) != update.remove
            && Some(id) != update.unclean_shutdown
            && (Some(id) == update.add || image.cluster.is_active(id))
            && has_online_replica(state, partition.directory(id), id)
    };
    let default_dir = |id: NodeId| default_dir(&image.cluster, id);
    let rules = state.partition_rules();
    let change = PartitionChange::new(partition, &acceptable, &default_dir, topic.min_isr, rules);
    with(change).build(topic.topic_id, partition_id).map(MetadataRecord::PartitionChange)
}

/// Whether the directory of a broker's replica is online (`ClusterControlManager.hasOnlineDir`).
pub(super) fn has_online_replica(state: &ClusterState, directory: Option<Uuid>, broker: NodeId) -> bool {
    let registration = state.image.cluster.broker(broker);
    directory.zip(registration).is_some_and(|(directory, broker)| broker.has_online_dir(directory))
}

pub(super) fn registration_change(
    state: &ClusterState,
    id: NodeId,
    with: impl FnOnce(&mut BrokerRegistrationChangeRecord),
) -> Option<MetadataRecord> {
    let broker = state.image.cluster.broker(id)?;
    let mut record = BrokerRegistrationChangeRecord {
        broker_id: id.0,
        broker_epoch: broker.epoch,
        ..BrokerRegistrationChangeRecord::default()
    };
    with(&mut record);
    Some(MetadataRecord::BrokerRegistrationChange(record))
}

/// A broker is fenced: out of every ISR, then the fence itself.
pub(crate) fn broker_fenced(state: &ClusterState, id: NodeId, records: &mut Vec<MetadataRecord>) {
    let update = LeaderUpdate { remove: Some(id), ..LeaderUpdate::default() };
    update_leaders(state, update, &state.index.in_isr(id), records);
    records.extend(registration_change(state, id, |record| record.fenced = 1));
}

/// A broker is unfenced: partitions without a leader may have one again.
pub(crate) fn broker_unfenced(state: &ClusterState, id: NodeId, records: &mut Vec<MetadataRecord>) {
    records.extend(registration_change(state, id, |record| record.fenced = -1));
    let update = LeaderUpdate { add: Some(id), ..LeaderUpdate::default() };
    update_leaders(state, update, &state.index.leaderless(), records);
}

/// A broker asked for a controlled shutdown: its leaderships move away.
pub(crate) fn broker_in_controlled_shutdown(
    state: &ClusterState,
    id: NodeId,
    records: &mut Vec<MetadataRecord>,
) {
    let already = state.image.cluster.broker(id).is_some_and(|broker| broker.in_controlled_shutdown);
    if !already {
        records.extend(registration_change(state, id, |record| record.in_controlled_shutdown = 1));
    }
    let update = LeaderUpdate { remove: Some(id), ..LeaderUpdate::default() };
    update_leaders(state, update, &state.index.in_isr(id), records);
}

/// A broker is removed from the cluster: out of every ISR and ELR.
pub(crate) fn broker_unregistered(state: &ClusterState, id: NodeId, records: &mut Vec<MetadataRecord>) {
    let Some(broker) = state.image.cluster.broker(id) else { return };
    let update = LeaderUpdate { remove: Some(id), ..LeaderUpdate::default() };
    update_leaders(state, update, &state.index.in_isr(id), records);
    update_leaders(state, update, &state.index.in_elr(id), records);
    let record = UnregisterBrokerRecord { broker_id: id.0, broker_epoch: broker.epoch };
    records.push(MetadataRecord::UnregisterBroker(record));
}

/// A new incarnation registers: whatever the old one was in sync with, it is no longer. With ELR, an unclean shutdown
/// also ends its eligibility (KIP-966).
pub(crate) fn broker_shutdown(
    state: &ClusterState,
    id: NodeId,
    clean: bool,
    records: &mut Vec<MetadataRecord>,
) {
    if state.image.features.elr_enabled() && !clean {
        let update = LeaderUpdate { unclean_shutdown: Some(id), ..LeaderUpdate::default() };
        update_leaders(state, update, &state.index.in_isr(id), records);
        update_leaders(state, update, &state.index.in_elr(id), records);
    } else {
        let update = LeaderUpdate { remove: Some(id), ..LeaderUpdate::default() };
        update_leaders(state, update, &state.index.in_isr(id), records);
    }
}

/// Elects leaders uncleanly where a topic's configuration allows it and there is none (`maybeElectUncleanLeaders`).
/// Whether there may be more to do.
pub(crate) fn elect_unclean_leaders(state: &ClusterState, records: &mut Vec<MetadataRecord>) -> bool {
    elect_all(state, &state.index.leaderless(), Election::Unclean, records)
}

/// Holds elections until a pass is full. Whether it is: there may be more to do.
pub(super) fn elect_all(
    state: &ClusterState,
    partitions: &[TopicIdPartition],
    election: Election,
    records: &mut Vec<MetadataRecord>,
) -> bool {
    for_each_partition(state, partitions, |topic, partition_id| {
        if records.len() >= MAX_ELECTIONS_PER_PASS || election == Election::Unclean && !topic.unclean {
            return None;
        }
        let record =
            change(state, topic, partition_id, LeaderUpdate::default(), |change| change.election(election))?;
        records.push(record);
        Some(())
    });
    records.len() >= MAX_ELECTIONS_PER_PASS
}

/// The record of one election; `None` when it would change nothing (`electLeader`).
pub(super) fn elect_leader(
    state: &ClusterState,
    partition: TopicIdPartition,
    election: Election,
) -> Option<MetadataRecord> {
    change_partition(state, partition, |change| change.election(election))
}

/// The record of a change to one partition while every broker is what the image says; `None` when nothing changes.
pub(super) fn change_partition(
    state: &ClusterState,
    partition: TopicIdPartition,
    with: impl for<'a> FnOnce(PartitionChange<'a>) -> PartitionChange<'a>,
) -> Option<MetadataRecord> {
    let topic = TopicFacts::of(state, partition.topic_id)?;
    change(state, &topic, partition.partition, LeaderUpdate::default(), with)
}
