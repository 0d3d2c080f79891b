//! AlterConfigs (key 33): replaces the whole configuration of a resource. IncrementalAlterConfigs took its place.

use klamm_node::{Ctx, Origin, ReplyTo};
use klamm_wire::messages::alter_configs_response::AlterConfigsResourceResponse;
use klamm_wire::messages::{AlterConfigsRequest, AlterConfigsResponse, ResponseKind};

use super::configs::{Answer, Asked, each_resource};
use crate::api_error::ApiError;
use crate::config_control;
use crate::controller::Controller;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    origin: &Origin,
    request: &AlterConfigsRequest,
) {
    let (mut records, answers) = each_resource(
        origin,
        &request.resources,
        |resource| Asked {
            kind: resource.resource_type,
            name: resource.resource_name.clone(),
            keys: resource.configs.iter().map(|c| (c.name.clone(), c.value.is_some())).collect(),
        },
        |resource, target| {
            let configs = resource.configs.iter().map(|c| (c.name.clone(), c.value.clone())).collect();
            config_control::legacy_alter(&controller.state, &target, &configs)
        },
    );
    if request.validate_only {
        records.clear();
    }
    let response =
        AlterConfigsResponse::default().with_responses(answers.into_iter().map(response).collect());
    controller.commit(ctx, to, &records, "configuration", ResponseKind::AlterConfigs(response));
}

fn response(answer: Answer) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(answer.error.as_ref().map_or(0, |error| error.code.code()))
        .with_error_message(answer.error.as_ref().and_then(ApiError::text))
        .with_resource_type(answer.kind)
        .with_resource_name(answer.name)
}
