//! CreatePartitions (key 37): gives topics more partitions.

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::create_partitions_request::CreatePartitionsTopic;
use klamm_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use klamm_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse, ResponseKind};

use crate::controller::{Controller, check_size};
use crate::replication_control;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &CreatePartitionsRequest,
) {
    let mut records = Vec::new();
    let mut response =
        replication_control::create_partitions(&controller.state, ctx.rng, request, &mut records);
    if let Err(error) = check_size(&records) {
        records.clear();
        let refuse = |topic: &CreatePartitionsTopic| {
            CreatePartitionsTopicResult::default()
                .with_name(topic.name.clone())
                .with_error_code(error.code.code())
                .with_error_message(error.text())
        };
        let results = request.topics.iter().map(refuse).collect();
        response = CreatePartitionsResponse::default().with_results(results);
    }
    if request.validate_only {
        records.clear();
    }
    let response = ResponseKind::CreatePartitions(response);
    controller.commit(ctx, to, &records, "partitions added", response);
}
