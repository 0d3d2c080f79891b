//! CreatePartitions (key 37): gives topics more partitions.

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::create_partitions_request::CreatePartitionsTopic;
use klamm_wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use klamm_wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse, ResponseKind};

use klamm_wire::StrBytes;

use crate::controller::{Controller, check_size};
use crate::replication_control;

/// From this version on a client understands `THROTTLING_QUOTA_EXCEEDED` (KIP-599).
const STRICT_QUOTA_SINCE: i16 = 3;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    client_id: Option<&StrBytes>,
    request: &CreatePartitionsRequest,
) {
    let mut records = Vec::new();
    let strict = version >= STRICT_QUOTA_SINCE;
    let quotas = &controller.state.image.client_quotas;
    let mut quota = controller.mutation_quotas.of_request(quotas, client_id, strict, ctx.wall.millis());
    let mut response =
        replication_control::create_partitions(&controller.state, ctx.rng, request, &mut quota, &mut records);
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
    response.throttle_time_ms = quota.throttle_ms();
    if request.validate_only {
        records.clear();
    }
    let response = ResponseKind::CreatePartitions(response);
    controller.commit(ctx, to, &records, "partitions added", response);
}
