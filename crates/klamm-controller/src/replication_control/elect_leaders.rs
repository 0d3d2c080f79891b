//! Elections on request (`ReplicationControlManager.electLeaders`).

use klamm_metadata::MetadataRecord;
use klamm_node::TopicIdPartition;
use klamm_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use klamm_wire::messages::{ElectLeadersRequest, ElectLeadersResponse};
use klamm_wire::{ErrorCode, StrBytes};

use super::leaders::elect_leader;
use crate::api_error::ApiError;
use crate::partition_change::Election;
use crate::state::ClusterState;

/// What a request asks for (`ElectionType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ElectionType {
    /// The preferred replica shall lead.
    Preferred,
    /// Somebody shall lead, even one that misses records.
    Unclean,
}

/// The answer, and the records of the elections. An error refuses the whole request.
pub(crate) fn elect_leaders(
    state: &ClusterState,
    request: &ElectLeadersRequest,
    records: &mut Vec<MetadataRecord>,
) -> Result<ElectLeadersResponse, ApiError> {
    let election = match request.election_type {
        0 => ElectionType::Preferred,
        1 => ElectionType::Unclean,
        other => {
            let message = format!("Unknown election type {other}");
            return Err(ApiError::new(ErrorCode::InvalidRequest, message));
        }
    };
    let results = match &request.topic_partitions {
        Some(topics) => topics
            .iter()
            .map(|topic| {
                let name = &topic.topic.0;
                let elected = topic.partitions.iter().map(|index| {
                    let outcome = elect(state, name, *index, election, records);
                    result(*index, outcome.err())
                });
                let elected = elected.collect();
                ReplicaElectionResult::default()
                    .with_topic(topic.topic.clone())
                    .with_partition_result(elected)
            })
            .collect(),
        None => elect_everywhere(state, election, records),
    };
    Ok(ElectLeadersResponse::default().with_replica_election_results(results))
}

/// Every partition of every topic; those where nothing was needed are not answered.
fn elect_everywhere(
    state: &ClusterState,
    election: ElectionType,
    records: &mut Vec<MetadataRecord>,
) -> Vec<ReplicaElectionResult> {
    let topics = state.image.topics.iter().map(|topic| {
        let results = (0..topic.partitions.len() as i32).filter_map(|index| {
            match elect(state, &topic.name, index, election, records) {
                Err(error) if error.code == ErrorCode::ElectionNotNeeded => None,
                outcome => Some(result(index, outcome.err())),
            }
        });
        let results = results.collect();
        ReplicaElectionResult::default().with_topic(topic.name.clone().into()).with_partition_result(results)
    });
    topics.collect()
}

fn result(index: i32, error: Option<ApiError>) -> PartitionResult {
    PartitionResult::default()
        .with_partition_id(index)
        .with_error_code(error.as_ref().map_or(0, |error| error.code.code()))
        .with_error_message(error.as_ref().and_then(ApiError::text))
}

fn elect(
    state: &ClusterState,
    topic: &StrBytes,
    index: i32,
    election: ElectionType,
    records: &mut Vec<MetadataRecord>,
) -> Result<(), ApiError> {
    let unknown = |message: String| ApiError::new(ErrorCode::UnknownTopicOrPartition, message);
    let image =
        state.image.topics.by_name(topic).ok_or_else(|| unknown(format!("No such topic as {topic}")))?;
    let partition =
        image.partition(index).ok_or_else(|| unknown(format!("No such partition as {topic}-{index}")))?;
    let (needed, how) = match election {
        ElectionType::Preferred => (partition.leader != partition.preferred_replica(), Election::Preferred),
        ElectionType::Unclean => (!partition.has_leader(), Election::Unclean),
    };
    if !needed {
        let message = "Leader election not needed for topic partition.";
        return Err(ApiError::new(ErrorCode::ElectionNotNeeded, message));
    }
    let key = TopicIdPartition { topic_id: image.id, partition: index };
    match elect_leader(state, key, how) {
        Some(record) => {
            records.push(record);
            Ok(())
        }
        None if election == ElectionType::Preferred => Err(ApiError::new(
            ErrorCode::PreferredLeaderNotAvailable,
            "The preferred leader was not available.",
        )),
        None => Err(ApiError::new(
            ErrorCode::EligibleLeadersNotAvailable,
            "Eligible topic partition leaders are not available.",
        )),
    }
}
