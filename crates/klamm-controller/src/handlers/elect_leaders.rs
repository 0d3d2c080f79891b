//! ElectLeaders (key 43): preferred and unclean elections on request (KIP-460).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::elect_leaders_request::TopicPartitions;
use klamm_wire::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use klamm_wire::messages::{ElectLeadersRequest, ElectLeadersResponse, ResponseKind};

use crate::api_error::ApiError;
use crate::controller::{Controller, check_size};
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &ElectLeadersRequest,
) {
    let mut records = Vec::new();
    let elected = if request.topic_partitions.as_ref().is_some_and(Vec::is_empty) {
        // Nothing is asked, so nothing can be wrong with it.
        Ok(ElectLeadersResponse::default())
    } else {
        replication_control::elect_leaders(&controller.state, request, &mut records)
            .and_then(|response| check_size(&records).map(|()| response))
    };
    let response = elected.unwrap_or_else(|error| {
        records.clear();
        refused(request, &error)
    });
    controller.commit(ctx, to, &records, "election on request", ResponseKind::ElectLeaders(response));
}

/// The same error for everything that was asked.
fn refused(request: &ElectLeadersRequest, error: &ApiError) -> ElectLeadersResponse {
    let topic = |topic: &TopicPartitions| {
        let partitions = topic.partitions.iter().map(|index| {
            PartitionResult::default()
                .with_partition_id(*index)
                .with_error_code(error.code.code())
                .with_error_message(error.text())
        });
        ReplicaElectionResult::default()
            .with_topic(topic.topic.clone())
            .with_partition_result(partitions.collect())
    };
    let topics = request.topic_partitions.iter().flatten().map(topic).collect();
    ElectLeadersResponse::default().with_error_code(error.code.code()).with_replica_election_results(topics)
}
