//! Replicas move (`ReplicationControlManager.alterPartitionReassignments`, KIP-455, KIP-860).
//!
//! A reassignment first adds the new replicas and notes whom it adds and removes. Once the added ones are in sync, the
//! change of the ISR that says so takes the removed ones away in the same record (`PartitionChange`).

use std::collections::BTreeSet;

use klamm_metadata::{MetadataRecord, PartitionRegistration, TopicImage};
use klamm_node::{NodeId, TopicIdPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::alter_partition_reassignments_request::ReassignablePartition;
use klamm_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use klamm_wire::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, BrokerId,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};

use super::leaders::change_partition;
use super::validate_assignment;
use crate::api_error::ApiError;
use crate::partition_change::Election;
use crate::state::ClusterState;

/// The answer, and the records of the reassignments that begin, end or are cancelled.
pub(crate) fn alter_reassignments(
    state: &ClusterState,
    request: &AlterPartitionReassignmentsRequest,
    records: &mut Vec<MetadataRecord>,
) -> AlterPartitionReassignmentsResponse {
    let allow_rf_change = request.allow_replication_factor_change;
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|target| {
            let outcome = alter(state, &topic.name, target, allow_rf_change);
            let error = match outcome {
                Ok(record) => {
                    records.extend(record);
                    None
                }
                Err(error) => Some(error),
            };
            ReassignablePartitionResponse::default()
                .with_partition_index(target.partition_index)
                .with_error_code(error.as_ref().map_or(0, |error| error.code.code()))
                .with_error_message(error.as_ref().and_then(ApiError::text))
        });
        let partitions = partitions.collect();
        ReassignableTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions)
    });
    let topics = topics.collect();
    AlterPartitionReassignmentsResponse::default()
        .with_allow_replication_factor_change(allow_rf_change)
        .with_error_message(None)
        .with_responses(topics)
}

fn alter(
    state: &ClusterState,
    name: &TopicName,
    target: &ReassignablePartition,
    allow_rf_change: bool,
) -> Result<Option<MetadataRecord>, ApiError> {
    let index = target.partition_index;
    let unknown = |message: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let topic = state
        .image
        .topics
        .by_name(&name.0)
        .ok_or_else(|| unknown(format!("Unable to find a topic named {}.", name.0)))?;
    let partition = topic
        .partition(index)
        .ok_or_else(|| unknown(format!("Unable to find partition {}:{index}.", name.0)))?;
    let key = TopicIdPartition { topic_id: topic.id, partition: index };
    match &target.replicas {
        None => cancel(state, topic, key, partition),
        Some(replicas) => {
            let replicas: Vec<NodeId> = replicas.iter().map(|id| NodeId(id.0)).collect();
            reassign(state, key, partition, &replicas, allow_rf_change)
        }
    }
}

/// Takes the added replicas out again and keeps those that were to be removed (`PartitionReassignmentRevert`).
fn cancel(
    state: &ClusterState,
    topic: &TopicImage,
    key: TopicIdPartition,
    partition: &PartitionRegistration,
) -> Result<Option<MetadataRecord>, ApiError> {
    if !partition.is_reassigning() {
        return Err(ErrorCode::NoReassignmentInProgress.into());
    }
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidReplicaAssignment, message);
    let replicas = without(&partition.replicas, &partition.adding_replicas);
    let mut isr = without(&partition.isr, &partition.adding_replicas);
    let unclean_enabled = state.unclean_election_enabled(&topic.name);
    if isr.is_empty() {
        // Only new replicas are in sync: whoever is left may miss records.
        let Some(first) = replicas.first() else {
            return Err(invalid(
                "Invalid replica assignment: addingReplicas contains all replicas.".to_owned(),
            ));
        };
        isr.push(*first);
        if !unclean_enabled {
            return Err(invalid(format!(
                "Unable to revert partition assignment for {}:{} because it would require an unclean leader \
                 election.",
                topic.name, key.partition
            )));
        }
    }
    let election = if unclean_enabled { Election::Unclean } else { Election::Online };
    Ok(change_partition(state, key, |change| {
        change.election(election).isr(isr).replicas(replicas).removing(Vec::new()).adding(Vec::new())
    }))
}

/// Begins a reassignment, or a new one in place of the one under way (`changePartitionReassignment`).
fn reassign(
    state: &ClusterState,
    key: TopicIdPartition,
    partition: &PartitionRegistration,
    target: &[NodeId],
    allow_rf_change: bool,
) -> Result<Option<MetadataRecord>, ApiError> {
    validate_assignment(&state.image.cluster, target, None)?;
    if !allow_rf_change {
        check_replication_factor(partition, target.len())?;
    }
    let sorted =
        |ids: Vec<NodeId>| -> Vec<NodeId> { ids.into_iter().collect::<BTreeSet<_>>().into_iter().collect() };
    let removing = sorted(without(&partition.replicas, target));
    let adding = sorted(without(target, &partition.replicas));
    let replicas: Vec<NodeId> = target.iter().chain(&removing).copied().collect();
    Ok(change_partition(state, key, |mut change| {
        change = change.replicas(replicas);
        // Without replicas to add or remove, those of a reassignment under way stay noted, as in Kafka.
        if !removing.is_empty() {
            change = change.removing(removing);
        }
        if !adding.is_empty() {
            change = change.adding(adding);
        }
        change
    }))
}

/// KIP-860: the replicas that there will be once the reassignment under way is done, against the new target.
fn check_replication_factor(partition: &PartitionRegistration, target: usize) -> Result<(), ApiError> {
    let mut staying: BTreeSet<NodeId> = partition.replicas.iter().copied().collect();
    staying.extend(&partition.adding_replicas);
    for id in &partition.removing_replicas {
        staying.remove(id);
    }
    let current = staying.len();
    if current == target {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::InvalidReplicationFactor,
        format!("The replication factor is changed from {current} to {target}"),
    ))
}

fn without(from: &[NodeId], these: &[NodeId]) -> Vec<NodeId> {
    from.iter().copied().filter(|id| !these.contains(id)).collect()
}

/// The reassignments under way, of the topics that are asked for or of all.
pub(crate) fn list_reassignments(
    state: &ClusterState,
    request: &ListPartitionReassignmentsRequest,
) -> ListPartitionReassignmentsResponse {
    let topics: Vec<OngoingTopicReassignment> = match &request.topics {
        Some(topics) => topics
            .iter()
            .filter_map(|asked| {
                let topic = state.image.topics.by_name(&asked.name.0)?;
                ongoing(topic, asked.partition_indexes.iter().copied())
            })
            .collect(),
        None => {
            let mut topics = Vec::new();
            let mut reassigning = state.index.reassigning().peekable();
            while let Some(first) = reassigning.next() {
                let mut indexes = vec![first.partition];
                while let Some(next) = reassigning.next_if(|next| next.topic_id == first.topic_id) {
                    indexes.push(next.partition);
                }
                let topic = state.image.topics.by_id(first.topic_id);
                topics.extend(topic.and_then(|topic| ongoing(topic, indexes.into_iter())));
            }
            topics
        }
    };
    ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics)
}

fn ongoing(topic: &TopicImage, indexes: impl Iterator<Item = i32>) -> Option<OngoingTopicReassignment> {
    let ids = |list: &[NodeId]| list.iter().map(|id| BrokerId(id.0)).collect();
    let partitions: Vec<_> = indexes
        .filter_map(|index| {
            let partition = topic.partition(index).filter(|partition| partition.is_reassigning())?;
            Some(
                OngoingPartitionReassignment::default()
                    .with_partition_index(index)
                    .with_replicas(ids(&partition.replicas))
                    .with_adding_replicas(ids(&partition.adding_replicas))
                    .with_removing_replicas(ids(&partition.removing_replicas)),
            )
        })
        .collect();
    if partitions.is_empty() {
        return None;
    }
    Some(OngoingTopicReassignment::default().with_name(topic.name.clone().into()).with_partitions(partitions))
}
