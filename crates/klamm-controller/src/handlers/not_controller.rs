//! What a controller answers that is not the active one, or was not to the end: NOT_CONTROLLER for everything that was
//! asked (`AbstractRequest.getErrorResponse`, `ControllerExceptions.newWrongControllerException`).

use klamm_wire::messages::{
    AllocateProducerIdsResponse, AlterClientQuotasResponse, AlterConfigsResponse,
    AlterPartitionReassignmentsResponse, AlterPartitionResponse, BrokerHeartbeatResponse,
    BrokerRegistrationResponse, CreatePartitionsResponse, CreateTopicsResponse, DeleteTopicsResponse,
    ElectLeadersResponse, IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse, ResponseKind,
    UnregisterBrokerResponse, UpdateFeaturesResponse,
};
use klamm_wire::messages::{
    alter_client_quotas_response, alter_configs_response, alter_partition_reassignments_response,
    create_partitions_response, create_topics_response, delete_topics_response, elect_leaders_response,
    incremental_alter_configs_response,
};
use klamm_wire::{ErrorCode, Request, StrBytes, Uuid};

const CODE: i16 = ErrorCode::NotController.code();

fn message() -> Option<StrBytes> {
    Some(StrBytes::from_static_str("No controller appears to be active."))
}

/// The answer of a controller that is not the active one to a request that only that answers; `None` for one that no controller does.
pub(crate) fn answer(request: &Request) -> Option<ResponseKind> {
    refuse(request, ErrorCode::NotController, message())
}

/// The same error for everything that a request of the active controller's asks; `None` for one that no controller answers.
pub(super) fn refuse(request: &Request, error: ErrorCode, message: Option<StrBytes>) -> Option<ResponseKind> {
    let code = error.code();
    let message = || message.clone();
    Some(match request {
        Request::CreateTopics(r) => {
            let topic = |topic: &klamm_wire::messages::create_topics_request::CreatableTopic| {
                create_topics_response::CreatableTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
                    .with_num_partitions(-1)
                    .with_replication_factor(-1)
            };
            CreateTopicsResponse::default().with_topics(r.topics.iter().map(topic).collect()).into()
        }
        Request::DeleteTopics(r) => {
            let named = r.topic_names.iter().map(|name| (Some(name.clone()), Uuid::nil()));
            let states = r.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
            let results = named.chain(states).map(|(name, id)| {
                delete_topics_response::DeletableTopicResult::default()
                    .with_name(name)
                    .with_topic_id(id)
                    .with_error_code(code)
                    .with_error_message(message())
            });
            DeleteTopicsResponse::default().with_responses(results.collect()).into()
        }
        Request::CreatePartitions(r) => {
            let results = r.topics.iter().map(|topic| {
                create_partitions_response::CreatePartitionsTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
            });
            CreatePartitionsResponse::default().with_results(results.collect()).into()
        }
        Request::AlterConfigs(r) => {
            let results = r.resources.iter().map(|resource| {
                alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
            });
            AlterConfigsResponse::default().with_responses(results.collect()).into()
        }
        Request::IncrementalAlterConfigs(r) => {
            let results = r.resources.iter().map(|resource| {
                incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
            });
            IncrementalAlterConfigsResponse::default().with_responses(results.collect()).into()
        }
        Request::AlterClientQuotas(r) => {
            let entries = r.entries.iter().map(|entry| {
                let parts = entry.entity.iter().map(|part| {
                    alter_client_quotas_response::EntityData::default()
                        .with_entity_type(part.entity_type.clone())
                        .with_entity_name(part.entity_name.clone())
                });
                alter_client_quotas_response::EntryData::default()
                    .with_error_code(code)
                    .with_error_message(message())
                    .with_entity(parts.collect())
            });
            AlterClientQuotasResponse::default().with_entries(entries.collect()).into()
        }
        Request::ElectLeaders(r) => {
            let results = r.topic_partitions.iter().flatten().map(|topic| {
                let partitions = topic.partitions.iter().map(|index| {
                    elect_leaders_response::PartitionResult::default()
                        .with_partition_id(*index)
                        .with_error_code(code)
                        .with_error_message(message())
                });
                elect_leaders_response::ReplicaElectionResult::default()
                    .with_topic(topic.topic.clone())
                    .with_partition_result(partitions.collect())
            });
            ElectLeadersResponse::default()
                .with_error_code(code)
                .with_replica_election_results(results.collect())
                .into()
        }
        Request::AlterPartitionReassignments(r) => {
            let results = r.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    alter_partition_reassignments_response::ReassignablePartitionResponse::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                        .with_error_message(message())
                });
                alter_partition_reassignments_response::ReassignableTopicResponse::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            });
            AlterPartitionReassignmentsResponse::default()
                .with_error_code(code)
                .with_error_message(message())
                .with_responses(results.collect())
                .into()
        }
        Request::ListPartitionReassignments(_) => ListPartitionReassignmentsResponse::default()
            .with_error_code(code)
            .with_error_message(message())
            .into(),
        Request::AlterPartition(_) => AlterPartitionResponse::default().with_error_code(code).into(),
        Request::BrokerRegistration(_) => {
            BrokerRegistrationResponse::default().with_error_code(code).with_broker_epoch(-1).into()
        }
        Request::BrokerHeartbeat(_) => BrokerHeartbeatResponse::default().with_error_code(code).into(),
        Request::UnregisterBroker(_) => {
            UnregisterBrokerResponse::default().with_error_code(code).with_error_message(message()).into()
        }
        Request::UpdateFeatures(_) => {
            UpdateFeaturesResponse::default().with_error_code(code).with_error_message(message()).into()
        }
        Request::AllocateProducerIds(_) => {
            AllocateProducerIdsResponse::default().with_error_code(code).into()
        }
        _ => return None,
    })
}

/// The answer that takes the place of one whose records will not be committed by us.
pub(crate) fn instead_of(response: ResponseKind) -> ResponseKind {
    match response {
        ResponseKind::CreateTopics(r) => {
            let topics = r.topics.into_iter().map(|topic| {
                create_topics_response::CreatableTopicResult::default()
                    .with_name(topic.name)
                    .with_error_code(CODE)
                    .with_error_message(message())
                    .with_num_partitions(-1)
                    .with_replication_factor(-1)
            });
            CreateTopicsResponse::default().with_topics(topics.collect()).into()
        }
        ResponseKind::DeleteTopics(mut r) => {
            for result in &mut r.responses {
                result.error_code = CODE;
                result.error_message = message();
            }
            r.into()
        }
        ResponseKind::CreatePartitions(mut r) => {
            for result in &mut r.results {
                result.error_code = CODE;
                result.error_message = message();
            }
            r.into()
        }
        ResponseKind::AlterConfigs(mut r) => {
            for result in &mut r.responses {
                result.error_code = CODE;
                result.error_message = message();
            }
            r.into()
        }
        ResponseKind::IncrementalAlterConfigs(mut r) => {
            for result in &mut r.responses {
                result.error_code = CODE;
                result.error_message = message();
            }
            r.into()
        }
        ResponseKind::ElectLeaders(mut r) => {
            r.error_code = CODE;
            for partition in
                r.replica_election_results.iter_mut().flat_map(|topic| &mut topic.partition_result)
            {
                partition.error_code = CODE;
                partition.error_message = message();
            }
            r.into()
        }
        ResponseKind::AlterPartitionReassignments(mut r) => {
            r.error_code = CODE;
            r.error_message = message();
            for partition in r.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
                partition.error_code = CODE;
                partition.error_message = message();
            }
            r.into()
        }
        ResponseKind::ListPartitionReassignments(_) => ListPartitionReassignmentsResponse::default()
            .with_error_code(CODE)
            .with_error_message(message())
            .into(),
        ResponseKind::AlterPartition(_) => AlterPartitionResponse::default().with_error_code(CODE).into(),
        ResponseKind::BrokerRegistration(_) => {
            BrokerRegistrationResponse::default().with_error_code(CODE).with_broker_epoch(-1).into()
        }
        ResponseKind::BrokerHeartbeat(_) => BrokerHeartbeatResponse::default().with_error_code(CODE).into(),
        ResponseKind::UnregisterBroker(_) => {
            UnregisterBrokerResponse::default().with_error_code(CODE).with_error_message(message()).into()
        }
        ResponseKind::AlterClientQuotas(mut r) => {
            for entry in &mut r.entries {
                entry.error_code = CODE;
                entry.error_message = message();
            }
            r.into()
        }
        ResponseKind::UpdateFeatures(_) => {
            UpdateFeaturesResponse::default().with_error_code(CODE).with_error_message(message()).into()
        }
        ResponseKind::AllocateProducerIds(_) => {
            AllocateProducerIdsResponse::default().with_error_code(CODE).into()
        }
        other => other,
    }
}
