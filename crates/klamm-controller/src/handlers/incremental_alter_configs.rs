//! IncrementalAlterConfigs (key 44): sets, deletes, appends to and subtracts from single keys (KIP-339).

use klamm_metadata::{ConfigResource, MetadataRecord};
use klamm_node::{Ctx, Origin, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use klamm_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, ResponseKind};

use super::configs::{Answer, Asked, each_resource};
use crate::api_error::ApiError;
use crate::config_control::{self, ConfigOp, ConfigOps};
use crate::controller::Controller;

pub(super) fn handle(
    controller: &mut Controller,
    ctx: &mut Ctx<'_>,
    to: ReplyTo,
    origin: &Origin,
    request: &IncrementalAlterConfigsRequest,
) {
    let (mut records, answers) = each_resource(origin, &request.resources, asked, |resource, target| {
        alter(controller, resource, &target)
    });
    if request.validate_only {
        records.clear();
    }
    let responses = answers.into_iter().map(response).collect();
    let response = IncrementalAlterConfigsResponse::default().with_responses(responses);
    controller.commit(ctx, to, &records, "configuration", ResponseKind::IncrementalAlterConfigs(response));
}

fn asked(resource: &AlterConfigsResource) -> Asked {
    let has_value = |config: &AlterableConfig| {
        config.value.is_some() || ConfigOp::from_code(config.config_operation) == Some(ConfigOp::Delete)
    };
    Asked {
        kind: resource.resource_type,
        name: resource.resource_name.clone(),
        keys: resource.configs.iter().map(|config| (config.name.clone(), has_value(config))).collect(),
    }
}

fn alter(
    controller: &Controller,
    resource: &AlterConfigsResource,
    target: &ConfigResource,
) -> Result<Vec<MetadataRecord>, ApiError> {
    let mut ops = ConfigOps::new();
    for config in &resource.configs {
        let op = ConfigOp::from_code(config.config_operation).ok_or_else(|| {
            ApiError::new(
                ErrorCode::InvalidRequest,
                format!("Unknown operations type {}", config.config_operation),
            )
        })?;
        ops.insert(config.name.clone(), (op, config.value.clone()));
    }
    config_control::incremental_alter(&controller.state, target, &ops, false)
}

fn response(answer: Answer) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(answer.error.as_ref().map_or(0, |error| error.code.code()))
        .with_error_message(answer.error.as_ref().and_then(ApiError::text))
        .with_resource_type(answer.kind)
        .with_resource_name(answer.name)
}
