//! AlterPartitionReassignments (key 45): replicas move, or stop moving (KIP-455, KIP-860).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::alter_partition_reassignments_request::ReassignableTopic;
use klamm_wire::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ResponseKind,
};

use crate::api_error::ApiError;
use crate::controller::{Controller, check_size};
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &AlterPartitionReassignmentsRequest,
) {
    let mut records = Vec::new();
    let mut response = if request.topics.is_empty() {
        AlterPartitionReassignmentsResponse::default()
    } else {
        replication_control::alter_reassignments(&controller.state, request, &mut records)
    };
    if let Err(error) = check_size(&records) {
        records.clear();
        response = refused(request, &error);
    }
    let response = ResponseKind::AlterPartitionReassignments(response);
    controller.commit(ctx, to, &records, "reassignment", response);
}

/// The same error for everything that was asked.
fn refused(
    request: &AlterPartitionReassignmentsRequest,
    error: &ApiError,
) -> AlterPartitionReassignmentsResponse {
    let topic = |topic: &ReassignableTopic| {
        let partitions = topic.partitions.iter().map(|partition| {
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.code.code())
                .with_error_message(error.text())
        });
        ReassignableTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    };
    AlterPartitionReassignmentsResponse::default()
        .with_error_code(error.code.code())
        .with_error_message(error.text())
        .with_responses(request.topics.iter().map(topic).collect())
}
