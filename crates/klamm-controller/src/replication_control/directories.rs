//! Log directories: where replicas are, and what follows when a directory fails (KIP-112, KIP-858).

use std::collections::BTreeSet;

use klamm_metadata::MetadataRecord;
use klamm_node::{NodeId, TopicIdPartition};
use klamm_wire::messages::assign_replicas_to_dirs_response::{DirectoryData, PartitionData, TopicData};
use klamm_wire::messages::{AssignReplicasToDirsRequest, AssignReplicasToDirsResponse};
use klamm_wire::{ErrorCode, Uuid};

use super::default_dir;
use super::leaders::{self, LeaderUpdate, registration_change, update_leaders};
use crate::api_error::ApiError;
use crate::partition_change::PartitionChange;
use crate::state::ClusterState;

/// A broker reports log directories offline: its replicas there leave their ISRs (`handleDirectoriesOffline`).
pub(crate) fn directories_offline(
    state: &ClusterState,
    id: NodeId,
    offline: &[Uuid],
    records: &mut Vec<MetadataRecord>,
) {
    let Some(broker) = state.image.cluster.broker(id) else { return };
    let newly: Vec<Uuid> = broker.log_dirs.iter().copied().filter(|dir| offline.contains(dir)).collect();
    if newly.is_empty() {
        return;
    }
    let update = LeaderUpdate { remove: Some(id), ..LeaderUpdate::default() };
    for dir in &newly {
        update_leaders(state, update, &state.index.in_directory(*dir), records);
    }
    let online = broker.log_dirs.iter().copied().filter(|dir| !newly.contains(dir)).collect();
    records.extend(registration_change(state, id, |record| record.log_dirs = online));
}

/// A broker says in which directories its replicas are (`handleAssignReplicasToDirs`). Those that it puts into a directory
/// that is offline leave their ISRs.
pub(crate) fn assign_replicas_to_dirs(
    state: &ClusterState,
    request: &AssignReplicasToDirsRequest,
    records: &mut Vec<MetadataRecord>,
) -> Result<AssignReplicasToDirsResponse, ApiError> {
    let id = NodeId(request.broker_id.0);
    state.check_broker_epoch(id, request.broker_epoch)?;
    let Some(broker) = state.image.cluster.broker(id) else {
        return Err(ApiError::new(
            ErrorCode::BrokerIdNotRegistered,
            format!("Broker ID {id} is not currently registered"),
        ));
    };
    let mut lost = BTreeSet::new();
    let directories = request.directories.iter().map(|directory| {
        let online = broker.has_online_dir(directory.id);
        let topics = directory.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                let key = TopicIdPartition { topic_id: topic.topic_id, partition: partition.partition_index };
                let assigned = assign(state, id, directory.id, key);
                let error = match assigned {
                    Ok(record) => {
                        records.extend(record);
                        if !online {
                            lost.insert(key);
                        }
                        ErrorCode::None
                    }
                    Err(error) => error,
                };
                PartitionData::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(error.code())
            });
            let partitions = partitions.collect();
            TopicData::default().with_topic_id(topic.topic_id).with_partitions(partitions)
        });
        let topics = topics.collect();
        DirectoryData::default().with_id(directory.id).with_topics(topics)
    });
    let directories = directories.collect();
    let update = LeaderUpdate { remove: Some(id), ..LeaderUpdate::default() };
    update_leaders(state, update, &lost.into_iter().collect::<Vec<_>>(), records);
    Ok(AssignReplicasToDirsResponse::default().with_directories(directories))
}

/// The record that puts one replica into a directory; none when it is there already.
fn assign(
    state: &ClusterState,
    broker: NodeId,
    directory: Uuid,
    key: TopicIdPartition,
) -> Result<Option<MetadataRecord>, ErrorCode> {
    let topics = &state.image.topics;
    if topics.by_id(key.topic_id).is_none() {
        return Err(ErrorCode::UnknownTopicId);
    }
    let partition =
        topics.partition(key.topic_id, key.partition).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !partition.has_replica(broker) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    let cluster = &state.image.cluster;
    let acceptable =
        |id: NodeId| cluster.is_active(id) && leaders::has_online_replica(state, partition.directory(id), id);
    let default_dir = |id: NodeId| default_dir(cluster, id);
    let record = PartitionChange::new(
        partition,
        &acceptable,
        &default_dir,
        state.effective_min_isr(key.topic_id),
        state.partition_rules(),
    )
    .directory(broker, directory)
    .build(key.topic_id, key.partition);
    Ok(record.map(MetadataRecord::PartitionChange))
}
