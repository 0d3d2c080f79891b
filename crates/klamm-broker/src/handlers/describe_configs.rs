//! DescribeConfigs (key 32), versions 1–4. Answers to `ConfigHelper.describeConfigs`.
//!
//! * v1 synonyms (KIP-226) · v3 documentation and types (KIP-524) · v4 flexible
//!
//! Difference: a broker has one logger, `root`, and no say in what it logs; client metrics subscriptions list what is set on them.

use klamm_metadata::{ConfigResource, ConfigResourceKind, topic_name};
use klamm_node::Ctx;
use klamm_node::config::{Described, describe_group};
use klamm_wire::messages::describe_configs_request::DescribeConfigsResource;
use klamm_wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use klamm_wire::messages::{DescribeConfigsRequest, DescribeConfigsResponse, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};
use crate::handlers::INVALID_REQUEST;

/// `ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG`
const LOGGER_SOURCE: i8 = 6;
/// `ConfigSource.CLIENT_METRICS_CONFIG`
const CLIENT_METRICS_SOURCE: i8 = 7;

/// Tells configurations.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: DescribeConfigsRequest,
) {
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        match describe(&broker.core, resource) {
            Ok(mut configs) => {
                // Like null, an empty list means every key.
                if let Some(keys) = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
                    configs.retain(|config| keys.contains(&config.name));
                }
                for config in &mut configs {
                    if !request.include_synonyms {
                        config.synonyms.clear();
                    }
                    if !request.include_documentation {
                        config.documentation = None;
                    }
                }
                result.with_configs(configs)
            }
            Err((error, message)) => {
                let message = StrBytes::from_string(message.unwrap_or_default());
                result.with_error_code(error.code()).with_error_message(Some(message))
            }
        }
    });
    let response = DescribeConfigsResponse::default().with_results(results.collect());
    ctx.reply(rc.reply_to, ResponseKind::DescribeConfigs(response));
}

type Refusal = (ErrorCode, Option<String>);

fn refuse<T>(error: ErrorCode, message: impl Into<String>) -> Result<T, Refusal> {
    Err((error, Some(message.into())))
}

fn describe(
    core: &Core,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let name = &*resource.resource_name;
    let me = core.settings.node;
    match ConfigResourceKind::from_code(resource.resource_type) {
        Some(ConfigResourceKind::Topic) => {
            if let Err(message) = topic_name::validate(name) {
                return refuse(ErrorCode::InvalidTopicException, message);
            }
            if core.topic_id(name).is_none() {
                return refuse(ErrorCode::UnknownTopicOrPartition, "");
            }
            let overrides = core.topic_overrides(name);
            Ok(core.config.layers().topic(&overrides).describe_all().into_iter().map(entry).collect())
        }
        Some(ConfigResourceKind::Broker) if name.is_empty() => {
            Ok(core.config.layers().describe_dynamic_default().into_iter().map(entry).collect())
        }
        Some(ConfigResourceKind::Broker) => {
            if broker_id(name)? != me.0 {
                let message =
                    format!("Unexpected broker id, expected {me} or empty string, but received {name}");
                return refuse(ErrorCode::InvalidRequest, message);
            }
            Ok(core.config.layers().describe_all().into_iter().map(entry).collect())
        }
        Some(ConfigResourceKind::BrokerLogger) => {
            if name.is_empty() {
                return refuse(ErrorCode::InvalidRequest, "Broker id must not be empty");
            }
            if broker_id(name)? != me.0 {
                let message = format!("Unexpected broker id, expected {me} but received {name}");
                return refuse(ErrorCode::InvalidRequest, message);
            }
            Ok(vec![
                DescribeConfigsResourceResult::default()
                    .with_name(StrBytes::from_static_str("root"))
                    .with_value(Some(StrBytes::from_static_str("INFO")))
                    .with_config_source(LOGGER_SOURCE),
            ])
        }
        Some(ConfigResourceKind::Group) => {
            if name.is_empty() {
                return refuse(ErrorCode::InvalidRequest, "Group name must not be empty");
            }
            let key = ConfigResource::group(resource.resource_name.clone());
            let set = core.metadata.image().configs.get(&key).into_iter().flatten();
            let overrides = set.map(|(name, value)| (name.to_string(), value.to_string())).collect();
            Ok(describe_group(core.config.layers(), &overrides).into_iter().map(entry).collect())
        }
        Some(kind @ ConfigResourceKind::ClientMetrics) => {
            if name.is_empty() {
                let message = "Client metrics subscription name must not be empty";
                return refuse(ErrorCode::InvalidRequest, message);
            }
            let key = ConfigResource { kind, name: resource.resource_name.clone() };
            let set = core.metadata.image().configs.get(&key).into_iter().flatten();
            let entries = set.map(|(name, value)| {
                DescribeConfigsResourceResult::default()
                    .with_name(name.clone())
                    .with_value(Some(value.clone()))
                    .with_config_source(CLIENT_METRICS_SOURCE)
            });
            Ok(entries.collect())
        }
        None => refuse(ErrorCode::InvalidRequest, INVALID_REQUEST),
    }
}

fn broker_id(name: &str) -> Result<i32, Refusal> {
    name.parse().or_else(|_| {
        refuse(ErrorCode::InvalidRequest, format!("Broker id must be an integer, but it is: {name}"))
    })
}

fn entry(described: Described) -> DescribeConfigsResourceResult {
    let synonyms = described.synonyms.into_iter().map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_string(synonym.name))
            .with_value(synonym.value.map(StrBytes::from_string))
            .with_source(synonym.source.id())
    });
    DescribeConfigsResourceResult::default()
        .with_value(described.value.map(StrBytes::from_string))
        .with_config_source(described.source.id())
        .with_read_only(described.read_only)
        .with_is_sensitive(described.sensitive)
        .with_config_type(described.kind.map_or(0, klamm_node::config::ConfigKind::id))
        .with_documentation(described.documentation.map(StrBytes::from_static_str))
        .with_synonyms(synonyms.collect())
        .with_name(StrBytes::from_string(described.name))
}
