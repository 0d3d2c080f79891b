//! AlterPartition (key 56): a leader asks for another ISR (KIP-497, KIP-841, KIP-903).

use klamm_node::{Ctx, NodeId, ReplyTo, TopicPartition, TraceKind};
use klamm_wire::ErrorCode;
use klamm_wire::messages::{AlterPartitionRequest, AlterPartitionResponse, ResponseKind};

use crate::controller::Controller;
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    request: &AlterPartitionRequest,
) {
    let mut records = Vec::new();
    let altered = replication_control::alter_partition(&controller.state, version, request, &mut records);
    let response =
        altered.unwrap_or_else(|error| AlterPartitionResponse::default().with_error_code(error.code.code()));
    trace_refusals(controller, ctx, request, &response);
    let response = ResponseKind::AlterPartition(response);
    controller.commit(ctx, to, &records, "proposed by the leader", response);
}

fn trace_refusals(
    controller: &Controller,
    ctx: &mut Ctx<'_>,
    request: &AlterPartitionRequest,
    response: &AlterPartitionResponse,
) {
    if !ctx.tracing() {
        return;
    }
    for topic in &response.topics {
        let image = controller.state.image.topics.by_id(topic.topic_id);
        let name = image.map(|topic| topic.name.clone()).unwrap_or_default();
        for partition in topic.partitions.iter().filter(|partition| partition.error_code != 0) {
            ctx.trace(TraceKind::IsrRefused {
                partition: TopicPartition::new(name.clone(), partition.partition_index),
                broker: NodeId(request.broker_id.0),
                error: ErrorCode::from_code(partition.error_code).unwrap_or_default().name(),
            });
        }
    }
}
