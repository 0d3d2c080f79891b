//! The answer to a request that fails as a whole (`AbstractRequest.getErrorResponse`): the same error wherever the
//! response of its API has room for one, and nothing else.

mod quotas;
mod share;

mod transactions;

use crate::messages::{
    AllocateProducerIdsResponse, AlterConfigsResponse, BrokerHeartbeatResponse,
    IncrementalAlterConfigsResponse,
};
use crate::messages::{
    AlterPartitionReassignmentsResponse, AlterPartitionResponse, AlterReplicaLogDirsResponse,
    ApiVersionsResponse, AssignReplicasToDirsResponse, BeginQuorumEpochResponse, BrokerRegistrationResponse,
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, ControllerRegistrationResponse,
    CreatePartitionsResponse, CreateTopicsResponse, DeleteGroupsResponse, DeleteRecordsResponse,
    DeleteTopicsResponse, DescribeClusterResponse, DescribeConfigsResponse, DescribeGroupsResponse,
    DescribeLogDirsResponse, DescribeProducersResponse, DescribeQuorumResponse,
    DescribeTopicPartitionsResponse, ElectLeadersResponse, EndQuorumEpochResponse, FetchSnapshotResponse,
    FindCoordinatorResponse, HeartbeatResponse, InitProducerIdResponse, JoinGroupResponse,
    LeaveGroupResponse, ListGroupsResponse, ListOffsetsResponse, ListPartitionReassignmentsResponse,
    MetadataResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
    OffsetForLeaderEpochResponse, ProduceResponse, ProducerId, ResponseKind, SyncGroupResponse,
    UnregisterBrokerResponse, UpdateFeaturesResponse, VoteResponse,
};
use crate::messages::{
    alter_configs_response, alter_partition_reassignments_response, alter_replica_log_dirs_response,
    consumer_group_describe_response, create_partitions_response, create_topics_response,
    delete_groups_response, delete_records_response, delete_topics_response, describe_configs_response,
    describe_groups_response, describe_producers_response, describe_topic_partitions_response,
    elect_leaders_response, find_coordinator_response, incremental_alter_configs_response,
    list_offsets_response, metadata_response, offset_commit_response, offset_fetch_response,
    offset_for_leader_epoch_response, produce_response,
};

use crate::fetch_response::{FetchPartition, FetchResponse, FetchTopic};
use crate::{ErrorCode, Request, Response};

/// The answer to `request` in `version` that says `error`; `None` for an API whose answer klamm cannot make up.
///
/// What a request names (topics, partitions, groups) is named in the answer too, each with the error, as Kafka's clients expect.
pub fn error_response(request: &Request, version: i16, error: ErrorCode) -> Option<Response> {
    let code = error.code();
    if let Request::Fetch(request) = request {
        let topics = request.topics.iter().map(|topic| FetchTopic {
            topic: topic.topic.0.clone(),
            topic_id: topic.topic_id,
            partitions: topic.partitions.iter().map(|p| FetchPartition::error(p.partition, error)).collect(),
        });
        return Some(Response::Fetch(FetchResponse {
            error_code: error,
            topics: topics.collect(),
            ..FetchResponse::default()
        }));
    }
    data(request, version, code)
        .or_else(|| group(request, version, code))
        .or_else(|| admin(request, version, code))
        .or_else(|| control(request, code))
        .or_else(|| quotas::answer(request, code))
        .or_else(|| transactions::answer(request, version, code))
        .or_else(|| share::group(request, code))
        .or_else(|| share::state(request, code))
        .map(Response::from)
}

/// Requests about records and where they are.
fn data(request: &Request, version: i16, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::Produce(request) => {
            use produce_response::{PartitionProduceResponse, TopicProduceResponse};
            let responses = request.topic_data.iter().map(|topic| {
                let partitions = topic.partition_data.iter().map(|partition| {
                    PartitionProduceResponse::default()
                        .with_index(partition.index)
                        .with_error_code(code)
                        .with_base_offset(-1)
                        .with_log_append_time_ms(-1)
                        .with_log_start_offset(-1)
                });
                TopicProduceResponse::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partition_responses(partitions.collect())
            });
            ResponseKind::Produce(ProduceResponse::default().with_responses(responses.collect()))
        }
        Request::ListOffsets(request) => {
            use list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    ListOffsetsPartitionResponse::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                        .with_timestamp(-1)
                        .with_offset(-1)
                });
                ListOffsetsTopicResponse::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            ResponseKind::ListOffsets(ListOffsetsResponse::default().with_topics(topics.collect()))
        }
        Request::Metadata(request) => {
            use metadata_response::MetadataResponseTopic;
            let topics = request.topics.iter().flatten().map(|topic| {
                MetadataResponseTopic::default()
                    .with_error_code(code)
                    .with_name(Some(topic.name.clone().unwrap_or_default()))
                    .with_topic_id(topic.topic_id)
            });
            let response = MetadataResponse::default().with_topics(topics.collect());
            ResponseKind::Metadata(if version >= 13 { response.with_error_code(code) } else { response })
        }
        Request::DeleteRecords(request) => {
            use delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    DeleteRecordsPartitionResult::default()
                        .with_partition_index(partition.partition_index)
                        .with_low_watermark(-1)
                        .with_error_code(code)
                });
                DeleteRecordsTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            ResponseKind::DeleteRecords(DeleteRecordsResponse::default().with_topics(topics.collect()))
        }
        Request::OffsetForLeaderEpoch(request) => {
            use offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    EpochEndOffset::default()
                        .with_partition(partition.partition)
                        .with_error_code(code)
                        .with_leader_epoch(-1)
                        .with_end_offset(-1)
                });
                OffsetForLeaderTopicResult::default()
                    .with_topic(topic.topic.clone())
                    .with_partitions(partitions.collect())
            });
            let response = OffsetForLeaderEpochResponse::default().with_topics(topics.collect());
            ResponseKind::OffsetForLeaderEpoch(response)
        }
        Request::DescribeTopicPartitions(request) => {
            use describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
            let topics = request.topics.iter().map(|topic| {
                DescribeTopicPartitionsResponseTopic::default()
                    .with_error_code(code)
                    .with_name(Some(topic.name.clone()))
            });
            let response = DescribeTopicPartitionsResponse::default().with_topics(topics.collect());
            ResponseKind::DescribeTopicPartitions(response)
        }
        Request::DescribeProducers(request) => {
            use describe_producers_response::{PartitionResponse, TopicResponse};
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|partition| {
                    PartitionResponse::default().with_partition_index(*partition).with_error_code(code)
                });
                TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
            });
            ResponseKind::DescribeProducers(
                DescribeProducersResponse::default().with_topics(topics.collect()),
            )
        }
        Request::InitProducerId(_) => ResponseKind::InitProducerId(
            InitProducerIdResponse::default()
                .with_error_code(code)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        ),
        _ => return None,
    })
}

/// Requests about groups and their offsets.
fn group(request: &Request, version: i16, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::OffsetCommit(request) => {
            use offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    OffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
                OffsetCommitResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            ResponseKind::OffsetCommit(OffsetCommitResponse::default().with_topics(topics.collect()))
        }
        Request::OffsetFetch(request) if version >= 8 => {
            use offset_fetch_response::OffsetFetchResponseGroup;
            let groups = request.groups.iter().map(|group| {
                OffsetFetchResponseGroup::default()
                    .with_group_id(group.group_id.clone())
                    .with_error_code(code)
            });
            ResponseKind::OffsetFetch(OffsetFetchResponse::default().with_groups(groups.collect()))
        }
        Request::OffsetFetch(request) => {
            use offset_fetch_response::{OffsetFetchResponsePartition, OffsetFetchResponseTopic};
            // Before version 2 there is no error but that of each partition.
            let topics = request.topics.iter().flatten().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|partition| {
                    OffsetFetchResponsePartition::default()
                        .with_partition_index(*partition)
                        .with_committed_offset(-1)
                        .with_metadata(Some(crate::StrBytes::default()))
                        .with_error_code(code)
                });
                OffsetFetchResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            let response = OffsetFetchResponse::default();
            ResponseKind::OffsetFetch(if version >= 2 {
                response.with_error_code(code)
            } else {
                response.with_topics(topics.collect())
            })
        }
        Request::FindCoordinator(request) => {
            use find_coordinator_response::Coordinator;
            let none = crate::messages::BrokerId(-1);
            let response = FindCoordinatorResponse::default();
            ResponseKind::FindCoordinator(if version >= 4 {
                let coordinators = request.coordinator_keys.iter().map(|key| {
                    Coordinator::default()
                        .with_key(key.clone())
                        .with_node_id(none)
                        .with_port(-1)
                        .with_error_code(code)
                });
                response.with_coordinators(coordinators.collect())
            } else {
                response.with_error_code(code).with_node_id(none).with_port(-1)
            })
        }
        Request::JoinGroup(_) => {
            let response = JoinGroupResponse::default().with_error_code(code).with_generation_id(-1);
            // Null came with version 7.
            let name = (version < 7).then(crate::StrBytes::default);
            ResponseKind::JoinGroup(response.with_protocol_name(name))
        }
        Request::SyncGroup(_) => ResponseKind::SyncGroup(SyncGroupResponse::default().with_error_code(code)),
        Request::Heartbeat(_) => ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(code)),
        Request::LeaveGroup(_) => {
            ResponseKind::LeaveGroup(LeaveGroupResponse::default().with_error_code(code))
        }
        Request::DescribeGroups(request) => {
            use describe_groups_response::DescribedGroup;
            let groups = request
                .groups
                .iter()
                .map(|group| DescribedGroup::default().with_group_id(group.clone()).with_error_code(code));
            ResponseKind::DescribeGroups(DescribeGroupsResponse::default().with_groups(groups.collect()))
        }
        Request::ListGroups(_) => {
            ResponseKind::ListGroups(ListGroupsResponse::default().with_error_code(code))
        }
        Request::DeleteGroups(request) => {
            use delete_groups_response::DeletableGroupResult;
            let results = request.groups_names.iter().map(|group| {
                DeletableGroupResult::default().with_group_id(group.clone()).with_error_code(code)
            });
            ResponseKind::DeleteGroups(DeleteGroupsResponse::default().with_results(results.collect()))
        }
        Request::OffsetDelete(_) => {
            ResponseKind::OffsetDelete(OffsetDeleteResponse::default().with_error_code(code))
        }
        Request::ConsumerGroupHeartbeat(_) => ResponseKind::ConsumerGroupHeartbeat(
            ConsumerGroupHeartbeatResponse::default().with_error_code(code),
        ),
        Request::ConsumerGroupDescribe(request) => {
            use consumer_group_describe_response::DescribedGroup;
            let groups = request
                .group_ids
                .iter()
                .map(|group| DescribedGroup::default().with_group_id(group.clone()).with_error_code(code));
            let response = ConsumerGroupDescribeResponse::default().with_groups(groups.collect());
            ResponseKind::ConsumerGroupDescribe(response)
        }
        _ => return None,
    })
}

/// Requests of administrators.
fn admin(request: &Request, version: i16, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::ApiVersions(_) => {
            ResponseKind::ApiVersions(ApiVersionsResponse::default().with_error_code(code))
        }
        Request::CreateTopics(request) => {
            use create_topics_response::CreatableTopicResult;
            let topics = request.topics.iter().map(|topic| {
                CreatableTopicResult::default().with_name(topic.name.clone()).with_error_code(code)
            });
            ResponseKind::CreateTopics(CreateTopicsResponse::default().with_topics(topics.collect()))
        }
        Request::DeleteTopics(request) => {
            use delete_topics_response::DeletableTopicResult;
            let result = || DeletableTopicResult::default().with_error_code(code);
            let named = request.topic_names.iter().map(|name| result().with_name(Some(name.clone())));
            let by_id = request
                .topics
                .iter()
                .map(|topic| result().with_name(topic.name.clone()).with_topic_id(topic.topic_id));
            let responses = named.chain(by_id).collect();
            ResponseKind::DeleteTopics(DeleteTopicsResponse::default().with_responses(responses))
        }
        Request::CreatePartitions(request) => {
            use create_partitions_response::CreatePartitionsTopicResult;
            let results = request.topics.iter().map(|topic| {
                CreatePartitionsTopicResult::default().with_name(topic.name.clone()).with_error_code(code)
            });
            ResponseKind::CreatePartitions(
                CreatePartitionsResponse::default().with_results(results.collect()),
            )
        }
        Request::DescribeConfigs(request) => {
            use describe_configs_response::DescribeConfigsResult;
            let results = request.resources.iter().map(|resource| {
                DescribeConfigsResult::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
            });
            ResponseKind::DescribeConfigs(DescribeConfigsResponse::default().with_results(results.collect()))
        }
        Request::AlterConfigs(request) => {
            use alter_configs_response::AlterConfigsResourceResponse;
            let responses = request.resources.iter().map(|resource| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
            });
            ResponseKind::AlterConfigs(AlterConfigsResponse::default().with_responses(responses.collect()))
        }
        Request::IncrementalAlterConfigs(request) => {
            use incremental_alter_configs_response::AlterConfigsResourceResponse;
            let responses = request.resources.iter().map(|resource| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
            });
            let response = IncrementalAlterConfigsResponse::default().with_responses(responses.collect());
            ResponseKind::IncrementalAlterConfigs(response)
        }
        // Before version 3 an error has no place: no directory is listed.
        Request::DescribeLogDirs(_) => {
            ResponseKind::DescribeLogDirs(DescribeLogDirsResponse::default().with_error_code(code))
        }
        Request::AlterReplicaLogDirs(request) => {
            use alter_replica_log_dirs_response::{
                AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
            };
            let results = request.dirs.iter().flat_map(|dir| &dir.topics).map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    AlterReplicaLogDirPartitionResult::default()
                        .with_partition_index(*partition)
                        .with_error_code(code)
                });
                AlterReplicaLogDirTopicResult::default()
                    .with_topic_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            let response = AlterReplicaLogDirsResponse::default().with_results(results.collect());
            ResponseKind::AlterReplicaLogDirs(response)
        }
        Request::ElectLeaders(request) => {
            use elect_leaders_response::{PartitionResult, ReplicaElectionResult};
            let results = request.topic_partitions.iter().flatten().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    PartitionResult::default().with_partition_id(*partition).with_error_code(code)
                });
                ReplicaElectionResult::default()
                    .with_topic(topic.topic.clone())
                    .with_partition_result(partitions.collect())
            });
            // The error of all came with version 1.
            let response =
                ElectLeadersResponse::default().with_error_code(if version >= 1 { code } else { 0 });
            ResponseKind::ElectLeaders(response.with_replica_election_results(results.collect()))
        }
        Request::AlterPartitionReassignments(request) => {
            use alter_partition_reassignments_response::{
                ReassignablePartitionResponse, ReassignableTopicResponse,
            };
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    ReassignablePartitionResponse::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
                ReassignableTopicResponse::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            let response = AlterPartitionReassignmentsResponse::default().with_error_code(code);
            ResponseKind::AlterPartitionReassignments(response.with_responses(topics.collect()))
        }
        Request::ListPartitionReassignments(_) => ResponseKind::ListPartitionReassignments(
            ListPartitionReassignmentsResponse::default().with_error_code(code),
        ),
        Request::DescribeCluster(_) => {
            ResponseKind::DescribeCluster(DescribeClusterResponse::default().with_error_code(code))
        }
        Request::DescribeQuorum(_) => {
            ResponseKind::DescribeQuorum(DescribeQuorumResponse::default().with_error_code(code))
        }
        Request::UnregisterBroker(_) => {
            ResponseKind::UnregisterBroker(UnregisterBrokerResponse::default().with_error_code(code))
        }
        Request::UpdateFeatures(_) => {
            ResponseKind::UpdateFeatures(UpdateFeaturesResponse::default().with_error_code(code))
        }
        _ => return None,
    })
}

/// Requests of brokers to controllers, and of controllers to each other.
fn control(request: &Request, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::AlterPartition(_) => {
            ResponseKind::AlterPartition(AlterPartitionResponse::default().with_error_code(code))
        }
        Request::BrokerRegistration(_) => ResponseKind::BrokerRegistration(
            BrokerRegistrationResponse::default().with_error_code(code).with_broker_epoch(-1),
        ),
        Request::BrokerHeartbeat(_) => {
            let response = BrokerHeartbeatResponse::default().with_error_code(code);
            ResponseKind::BrokerHeartbeat(response.with_is_caught_up(false).with_is_fenced(true))
        }
        Request::AllocateProducerIds(_) => {
            ResponseKind::AllocateProducerIds(AllocateProducerIdsResponse::default().with_error_code(code))
        }
        Request::ControllerRegistration(_) => ResponseKind::ControllerRegistration(
            ControllerRegistrationResponse::default().with_error_code(code),
        ),
        Request::AssignReplicasToDirs(_) => {
            ResponseKind::AssignReplicasToDirs(AssignReplicasToDirsResponse::default().with_error_code(code))
        }
        Request::Vote(_) => ResponseKind::Vote(VoteResponse::default().with_error_code(code)),
        Request::BeginQuorumEpoch(_) => {
            ResponseKind::BeginQuorumEpoch(BeginQuorumEpochResponse::default().with_error_code(code))
        }
        Request::EndQuorumEpoch(_) => {
            ResponseKind::EndQuorumEpoch(EndQuorumEpochResponse::default().with_error_code(code))
        }
        Request::FetchSnapshot(_) => {
            ResponseKind::FetchSnapshot(FetchSnapshotResponse::default().with_error_code(code))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::messages::metadata_request::MetadataRequestTopic;
    use crate::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use crate::messages::{MetadataRequest, ProduceRequest, TopicName};
    use bytes::Bytes;

    use super::*;
    use crate::api::{APIS, decode_response, empty_request, encode_response};

    #[test]
    fn every_served_api_can_be_answered_with_an_error_in_every_version() {
        for api in APIS.iter().filter(|api| api.served) {
            for version in api.min..=api.max {
                let request = empty_request(api.key);
                let response = error_response(&request, version, ErrorCode::NotController)
                    .unwrap_or_else(|| panic!("{} v{version} has no error response", api.name));
                let frame = encode_response(api.key, version, 7, &response).unwrap();
                let frame: Vec<u8> = frame.iter().flatten().copied().collect();
                decode_response(api.key, version, Bytes::from(frame).slice(4..)).unwrap();
            }
        }
    }

    #[test]
    fn what_a_request_names_is_named_in_the_answer() {
        let topic = TopicName("t".to_owned().into());
        let produce = ProduceRequest::default().with_topic_data(vec![
            TopicProduceData::default()
                .with_name(topic.clone())
                .with_partition_data(vec![PartitionProduceData::default().with_index(3)]),
        ]);
        let error = ErrorCode::NotLeaderOrFollower;
        let Some(Response::Other(response)) = error_response(&Request::Produce(produce), 9, error) else {
            panic!("no answer");
        };
        let ResponseKind::Produce(response) = *response else { panic!("{response:?}") };
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.index, partition.error_code, partition.base_offset), (3, error.code(), -1));

        let metadata = MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(topic.clone()))]));
        let Some(Response::Other(response)) = error_response(&Request::Metadata(metadata), 9, error) else {
            panic!("no answer");
        };
        let ResponseKind::Metadata(response) = *response else { panic!("{response:?}") };
        assert_eq!(response.topics[0].name, Some(topic));
        assert_eq!(response.topics[0].error_code, error.code());
    }
}
