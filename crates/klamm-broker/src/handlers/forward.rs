//! The keys that the active controller answers: CreateTopics, DeleteTopics, CreatePartitions, AlterConfigs,
//! IncrementalAlterConfigs, AlterClientQuotas, ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments, UnregisterBroker, UpdateFeatures,
//! DescribeQuorum. Answers to
//! `ForwardingManager`.
//!
//! Difference: the request travels as it is instead of inside an Envelope (KIP-590), since there is no principal to carry.

use std::collections::BTreeMap;
use std::time::Duration;

use klamm_metadata::quotas::CONTROLLER_MUTATION_RATE;
use klamm_node::{ConnectionId, Ctx, ReplyTo, SendError, Timestamp};
use klamm_wire::error_response::error_response;
use klamm_wire::messages::{
    AlterConfigsResponse, AlterPartitionReassignmentsResponse, CreatePartitionsResponse,
    CreateTopicsResponse, DeleteTopicsResponse, DescribeQuorumResponse, ElectLeadersResponse,
    IncrementalAlterConfigsResponse, ListPartitionReassignmentsResponse, ResponseKind, TopicName,
    UnregisterBrokerResponse, UpdateFeaturesResponse,
};
use klamm_wire::throttle::throttle_time;
use klamm_wire::{ErrorCode, Request, Response, StrBytes};

use crate::broker::Broker;
use crate::core::{Call, Core, RequestContext, Timer};
use crate::quota;

/// A request on its way.
#[derive(Debug, Clone)]
struct Forwarded {
    reply_to: ReplyTo,
    api_version: i16,
    client_id: Option<StrBytes>,
    request: Request,
    deadline: Timestamp,
}

/// Every request on its way to the controller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forwarding {
    next_id: u64,
    waiting: BTreeMap<u64, Forwarded>,
}

impl Forwarding {
    /// A client went away: the controller may still act, but nobody is told.
    pub(crate) fn drop_connection(&mut self, gone: ConnectionId) {
        self.waiting.retain(|_, forwarded| {
            !matches!(forwarded.reply_to, ReplyTo::Client { connection, .. } if connection == gone)
        });
    }
}

/// Forwards a request; the controller's answer becomes ours.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: RequestContext, request: Request) {
    // A controller's queue drops what has no time left when it comes (`KafkaEventQueue`).
    if has_no_time(&request)
        && let Some(response) = refusal(&request, ErrorCode::RequestTimedOut, None)
    {
        return ctx.reply(rc.reply_to, response);
    }
    let core = &mut broker.core;
    let id = core.forwarding.next_id;
    core.forwarding.next_id += 1;
    let timeout = Duration::from_millis(core.config.hot.request_timeout_ms.into());
    let forwarded = Forwarded {
        reply_to: rc.reply_to,
        api_version: rc.api_version,
        client_id: rc.client_id,
        request,
        deadline: ctx.now + timeout,
    };
    core.forwarding.waiting.insert(id, forwarded);
    core.forward_again(ctx, id);
}

impl Core {
    /// Sends a waiting request to the controller that is believed to be active.
    pub(crate) fn forward_again(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        let Some(forwarded) = self.forwarding.waiting.get(&id) else { return };
        let left = forwarded.deadline.since(ctx.now).as_millis();
        let (api_version, request) = (forwarded.api_version, forwarded.request.clone());
        let client_id = forwarded.client_id.clone();
        if left == 0 {
            return self.give_up(ctx, id);
        }
        let timeout = u32::try_from(left).unwrap_or(u32::MAX);
        self.call_controller_for(ctx, client_id, api_version, request, timeout, Call::Forward(id));
    }

    /// The controller answered, or could not be reached.
    pub(crate) fn on_forwarded(&mut self, ctx: &mut Ctx<'_>, id: u64, result: Result<Response, SendError>) {
        match result {
            Ok(response) if !is_not_controller(&response) => {
                if let Some(forwarded) = self.forwarding.waiting.remove(&id) {
                    // The controller says how long; its client's channel is here.
                    let client_id = forwarded.client_id.unwrap_or_default();
                    let by = throttle_time(&response).into();
                    quota::throttle(ctx, forwarded.reply_to, &client_id, CONTROLLER_MUTATION_RATE, by);
                    ctx.reply(forwarded.reply_to, response);
                }
            }
            _ => {
                let Some(forwarded) = self.forwarding.waiting.get(&id) else { return };
                let again = ctx.now + self.controller.retry_delay();
                if again < forwarded.deadline {
                    self.timers.set(Timer::Forward(id), again);
                } else {
                    self.give_up(ctx, id);
                }
            }
        }
    }

    fn give_up(&mut self, ctx: &mut Ctx<'_>, id: u64) {
        let Some(forwarded) = self.forwarding.waiting.remove(&id) else { return };
        let message = "The active controller did not answer in time.";
        let error = ErrorCode::RequestTimedOut;
        let refused = refusal(&forwarded.request, error, Some(message)).map(Response::from);
        match refused.or_else(|| error_response(&forwarded.request, forwarded.api_version, error)) {
            Some(response) => ctx.reply(forwarded.reply_to, response),
            None => ctx.close(forwarded.reply_to),
        }
    }
}

/// Whether a request that says how long it may take says not at all.
fn has_no_time(request: &Request) -> bool {
    match request {
        Request::CreateTopics(r) => r.timeout_ms <= 0,
        Request::DeleteTopics(r) => r.timeout_ms <= 0,
        Request::CreatePartitions(r) => r.timeout_ms <= 0,
        // These two are answered before they are queued when they ask for nothing.
        Request::ElectLeaders(r) => {
            r.timeout_ms <= 0 && r.topic_partitions.as_ref().is_none_or(|topics| !topics.is_empty())
        }
        Request::AlterPartitionReassignments(r) => r.timeout_ms <= 0 && !r.topics.is_empty(),
        _ => false,
    }
}

/// Whether a controller says that it is not the active one.
fn is_not_controller(response: &Response) -> bool {
    let Response::Other(kind) = response else { return false };
    let code = match &**kind {
        ResponseKind::CreateTopics(r) => r.topics.first().map(|t| t.error_code),
        ResponseKind::DeleteTopics(r) => r.responses.first().map(|t| t.error_code),
        ResponseKind::CreatePartitions(r) => r.results.first().map(|t| t.error_code),
        ResponseKind::AlterConfigs(r) => r.responses.first().map(|t| t.error_code),
        ResponseKind::IncrementalAlterConfigs(r) => r.responses.first().map(|t| t.error_code),
        ResponseKind::AlterClientQuotas(r) => r.entries.first().map(|e| e.error_code),
        ResponseKind::ElectLeaders(r) => Some(r.error_code),
        ResponseKind::AlterPartitionReassignments(r) => Some(r.error_code),
        ResponseKind::ListPartitionReassignments(r) => Some(r.error_code),
        ResponseKind::UnregisterBroker(r) => Some(r.error_code),
        ResponseKind::UpdateFeatures(r) => Some(r.error_code),
        _ => None,
    };
    code == Some(ErrorCode::NotController.code())
}

/// The same error for everything that a request asks (`AbstractRequest.getErrorResponse`).
fn refusal(request: &Request, error: ErrorCode, message: Option<&'static str>) -> Option<ResponseKind> {
    use klamm_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
    use klamm_wire::messages::alter_partition_reassignments_response::{
        ReassignablePartitionResponse, ReassignableTopicResponse,
    };
    use klamm_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
    use klamm_wire::messages::create_topics_response::CreatableTopicResult;
    use klamm_wire::messages::delete_topics_response::DeletableTopicResult;
    use klamm_wire::messages::describe_quorum_response::{PartitionData, TopicData};
    use klamm_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
    use klamm_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as Incremental;

    let code = error.code();
    let message = || message.map(StrBytes::from_static_str);
    Some(match request {
        Request::CreateTopics(r) => {
            let results = r.topics.iter().map(|topic| {
                CreatableTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
                    .with_num_partitions(-1)
                    .with_replication_factor(-1)
                    .with_configs(Some(Vec::new()))
            });
            CreateTopicsResponse::default().with_topics(results.collect()).into()
        }
        Request::DeleteTopics(r) => {
            let by_name = r.topic_names.iter().map(|name| (Some(name.clone()), klamm_wire::Uuid::nil()));
            let by_state = r.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
            let results = by_name.chain(by_state).map(|(name, id): (Option<TopicName>, _)| {
                DeletableTopicResult::default()
                    .with_name(name)
                    .with_topic_id(id)
                    .with_error_code(code)
                    .with_error_message(message())
            });
            DeleteTopicsResponse::default().with_responses(results.collect()).into()
        }
        Request::CreatePartitions(r) => {
            let results = r.topics.iter().map(|topic| {
                CreatePartitionsTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
            });
            CreatePartitionsResponse::default().with_results(results.collect()).into()
        }
        Request::AlterConfigs(r) => {
            let results = r.resources.iter().map(|resource| {
                AlterConfigsResourceResponse::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
            });
            AlterConfigsResponse::default().with_responses(results.collect()).into()
        }
        Request::IncrementalAlterConfigs(r) => {
            let results = r.resources.iter().map(|resource| {
                Incremental::default()
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name.clone())
                    .with_error_code(code)
                    .with_error_message(message())
            });
            IncrementalAlterConfigsResponse::default().with_responses(results.collect()).into()
        }
        Request::ElectLeaders(r) => {
            let results = r.topic_partitions.iter().flatten().map(|topic| {
                let partitions = topic.partitions.iter().map(|index| {
                    PartitionResult::default()
                        .with_partition_id(*index)
                        .with_error_code(code)
                        .with_error_message(message())
                });
                ReplicaElectionResult::default()
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
                    ReassignablePartitionResponse::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                        .with_error_message(message())
                });
                ReassignableTopicResponse::default()
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
        Request::DescribeQuorum(r) => {
            let topics = r.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    PartitionData::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                        .with_error_message(message())
                });
                TopicData::default()
                    .with_topic_name(topic.topic_name.clone())
                    .with_partitions(partitions.collect())
            });
            DescribeQuorumResponse::default()
                .with_error_code(code)
                .with_error_message(message())
                .with_topics(topics.collect())
                .into()
        }
        Request::UnregisterBroker(_) => {
            UnregisterBrokerResponse::default().with_error_code(code).with_error_message(message()).into()
        }
        Request::UpdateFeatures(_) => {
            UpdateFeaturesResponse::default().with_error_code(code).with_error_message(message()).into()
        }
        _ => return None,
    })
}
