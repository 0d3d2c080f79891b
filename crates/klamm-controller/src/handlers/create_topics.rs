//! CreateTopics (key 19).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::create_topics_response::CreatableTopicResult;
use klamm_wire::messages::{CreateTopicsRequest, CreateTopicsResponse, ResponseKind};

use crate::controller::{Controller, check_size};
use crate::replication_control::{self, not_created};

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    request: &CreateTopicsRequest,
) {
    let mut records = Vec::new();
    let created = replication_control::create_topics(&controller.state, ctx.rng, request, &mut records)
        .and_then(|response| check_size(&records).map(|()| response));
    let response = created.unwrap_or_else(|error| {
        records.clear();
        let refused: Vec<CreatableTopicResult> =
            request.topics.iter().map(|topic| not_created(&topic.name.0, &error)).collect();
        CreateTopicsResponse::default().with_topics(refused)
    });
    if request.validate_only {
        records.clear();
    }
    controller.commit(ctx, to, &records, "topic created", ResponseKind::CreateTopics(response));
}
