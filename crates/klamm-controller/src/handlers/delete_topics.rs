//! DeleteTopics (key 20): by name, and from version 6 by id (KIP-516).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::delete_topics_response::DeletableTopicResult;
use klamm_wire::messages::{DeleteTopicsRequest, DeleteTopicsResponse, ResponseKind};
use klamm_wire::{StrBytes, Uuid};

use crate::controller::{Controller, check_size};
use crate::replication_control;

/// From this version on a client understands `THROTTLING_QUOTA_EXCEEDED` (KIP-599).
const STRICT_QUOTA_SINCE: i16 = 5;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    version: i16,
    client_id: Option<&StrBytes>,
    request: &DeleteTopicsRequest,
) {
    let mut records = Vec::new();
    let strict = version >= STRICT_QUOTA_SINCE;
    let quotas = &controller.state.image.client_quotas;
    let mut quota = controller.mutation_quotas.of_request(quotas, client_id, strict, ctx.wall.millis());
    let deleted =
        replication_control::delete_topics(&controller.state, version, request, &mut quota, &mut records)
            .and_then(|response| check_size(&records).map(|()| response));
    let mut response = deleted.unwrap_or_else(|error| {
        records.clear();
        let refused = |name, id| {
            DeletableTopicResult::default()
                .with_name(name)
                .with_topic_id(id)
                .with_error_code(error.code.code())
        };
        let by_name = request.topic_names.iter().map(|name| refused(Some(name.clone()), Uuid::nil()));
        let by_either = request.topics.iter().map(|topic| refused(topic.name.clone(), topic.topic_id));
        DeleteTopicsResponse::default().with_responses(by_name.chain(by_either).collect())
    });
    response.throttle_time_ms = quota.throttle_ms();
    controller.commit(ctx, to, &records, "topic deleted", ResponseKind::DeleteTopics(response));
}
