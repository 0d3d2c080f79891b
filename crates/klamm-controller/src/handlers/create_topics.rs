//! CreateTopics (key 19).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::create_topics_response::CreatableTopicResult;
use klamm_wire::messages::{CreateTopicsRequest, CreateTopicsResponse, ResponseKind};

use klamm_wire::StrBytes;

use crate::controller::{Controller, check_size};
use crate::replication_control::{self, not_created};

/// From this version on a client understands `THROTTLING_QUOTA_EXCEEDED` (KIP-599).
const STRICT_QUOTA_SINCE: i16 = 6;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    client_id: Option<&StrBytes>,
    request: &CreateTopicsRequest,
) {
    let mut records = Vec::new();
    let strict = version >= STRICT_QUOTA_SINCE;
    let quotas = &controller.state.image.client_quotas;
    let mut quota = controller.mutation_quotas.of_request(quotas, client_id, strict, ctx.wall.millis());
    let created =
        replication_control::create_topics(&controller.state, ctx.rng, request, &mut quota, &mut records)
            .and_then(|response| check_size(&records).map(|()| response));
    let mut response = created.unwrap_or_else(|error| {
        records.clear();
        let refused: Vec<CreatableTopicResult> =
            request.topics.iter().map(|topic| not_created(&topic.name.0, &error)).collect();
        CreateTopicsResponse::default().with_topics(refused)
    });
    response.throttle_time_ms = quota.throttle_ms();
    if request.validate_only {
        records.clear();
    }
    controller.commit(ctx, to, &records, "topic created", ResponseKind::CreateTopics(response));
}
