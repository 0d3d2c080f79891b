//! More partitions for topics that exist (`ReplicationControlManager.createPartitions`).

use std::collections::BTreeSet;

use klamm_metadata::{MetadataRecord, TopicImage};
use klamm_node::{NodeId, Rng};
use klamm_wire::messages::create_partitions_request::CreatePartitionsTopic;
use klamm_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use klamm_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use klamm_wire::{ErrorCode, StrBytes};

use super::{new_partition, usable_brokers, validate_assignment};
use crate::api_error::ApiError;
use crate::mutation_quota::MutationQuota;
use crate::placement;
use crate::state::ClusterState;

/// The most partitions that one topic is grown by in one request: as many records as one write may hold.
const MAX_ADDITIONAL: usize = 10_000;

/// The answer, and the records of the new partitions.
pub(crate) fn create_partitions(
    state: &ClusterState,
    rng: &mut Rng,
    request: &CreatePartitionsRequest,
    quota: &mut MutationQuota<'_>,
    records: &mut Vec<MetadataRecord>,
) -> CreatePartitionsResponse {
    let mut seen = BTreeSet::new();
    let duplicates: BTreeSet<&StrBytes> =
        request.topics.iter().map(|topic| &topic.name.0).filter(|name| !seen.insert(*name)).collect();
    let duplicate = ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
    let mut results: Vec<CreatePartitionsTopicResult> =
        duplicates.iter().map(|name| result(name, Some(&duplicate))).collect();
    for topic in request.topics.iter().filter(|topic| !duplicates.contains(&topic.name.0)) {
        let outcome = grow(state, rng, topic, quota, records);
        results.push(result(&topic.name.0, outcome.err().as_ref()));
    }
    CreatePartitionsResponse::default().with_results(results)
}

fn result(name: &StrBytes, error: Option<&ApiError>) -> CreatePartitionsTopicResult {
    CreatePartitionsTopicResult::default()
        .with_name(name.clone().into())
        .with_error_code(error.map_or(0, |error| error.code.code()))
        .with_error_message(error.and_then(ApiError::text))
}

fn grow(
    state: &ClusterState,
    rng: &mut Rng,
    request: &CreatePartitionsTopic,
    quota: &mut MutationQuota<'_>,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ApiError> {
    let topic = state.image.topics.by_name(&request.name.0).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let additional = additional_partitions(topic, request)?;
    quota.record(additional)?;
    let existing = topic.partitions.len();
    let replication_factor = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    let cluster = &state.image.cluster;
    let assignments = match &request.assignments {
        Some(assignments) => {
            let mut all = Vec::with_capacity(assignments.len());
            for (at, assignment) in assignments.iter().enumerate() {
                let replicas: Vec<NodeId> = assignment.broker_ids.iter().map(|id| NodeId(id.0)).collect();
                validate_assignment(cluster, &replicas, Some(replication_factor))?;
                if !replicas.iter().any(|id| cluster.is_active(*id)) {
                    return Err(ApiError::new(
                        ErrorCode::InvalidReplicaAssignment,
                        format!(
                            "All brokers specified in the manual partition assignment for partition {} are fenced \
                             or in controlled shutdown.",
                            existing + at
                        ),
                    ));
                }
                all.push(replicas);
            }
            all
        }
        None => placement::place(additional, replication_factor as i16, usable_brokers(state), rng)
            .map_err(|reason| ApiError::new(ErrorCode::InvalidReplicationFactor, reason))?,
    };
    let mut partitions = Vec::with_capacity(assignments.len());
    for (at, replicas) in assignments.iter().enumerate() {
        let partition = new_partition(cluster, topic.id, (existing + at) as i32, replicas);
        let no_active = || {
            ApiError::new(
                ErrorCode::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {replication_factor} time(s): All brokers are currently \
                     fenced or in controlled shutdown."
                ),
            )
        };
        partitions.push(MetadataRecord::Partition(partition.ok_or_else(no_active)?));
    }
    records.extend(partitions);
    Ok(())
}

fn additional_partitions(topic: &TopicImage, request: &CreatePartitionsTopic) -> Result<usize, ApiError> {
    let existing = topic.partitions.len();
    let count = usize::try_from(request.count).unwrap_or(0);
    let invalid = |message| Err(ApiError::new(ErrorCode::InvalidPartitions, message));
    if count == existing {
        return invalid(format!("Topic already has {existing} partition(s)."));
    }
    if count < existing {
        return invalid(format!(
            "The topic {} currently has {existing} partition(s); {} would not be an increase.",
            topic.name, request.count
        ));
    }
    let additional = count - existing;
    if additional > MAX_ADDITIONAL {
        return Err(ApiError::new(
            ErrorCode::PolicyViolation,
            "Unable to perform excessively large batch operation.",
        ));
    }
    match &request.assignments {
        Some(assignments) if assignments.len() != additional => Err(ApiError::new(
            ErrorCode::InvalidReplicaAssignment,
            format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            ),
        )),
        _ => Ok(additional),
    }
}
