//! Dynamic configuration of topics, brokers and groups (`ConfigurationControlManager`,
//! `ControllerConfigurationValidator`).

use std::collections::BTreeMap;

use klamm_metadata::record::{ClearElrRecord, ConfigRecord};
use klamm_metadata::{ConfigResource, ConfigResourceKind, MetadataRecord};
use klamm_node::config::{
    ConfigError, ConfigKey, ConfigKind, broker_key, topic, topic_key, validate_dynamic_broker_configs,
    validate_group_configs, validate_topic_configs,
};
use klamm_wire::{ErrorCode, StrBytes};

use crate::api_error::ApiError;
use crate::state::ClusterState;
use klamm_metadata::topic_name;

/// The longest value that a key may have, in characters.
const MAX_VALUE_LENGTH: usize = i16::MAX as usize;

/// What IncrementalAlterConfigs does to a key (`AlterConfigOp.OpType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConfigOp {
    Set,
    Delete,
    Append,
    Subtract,
}

impl ConfigOp {
    pub(crate) const fn from_code(code: i8) -> Option<Self> {
        match code {
            0 => Some(Self::Set),
            1 => Some(Self::Delete),
            2 => Some(Self::Append),
            3 => Some(Self::Subtract),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Set => "SET",
            Self::Delete => "DELETE",
            Self::Append => "APPEND",
            Self::Subtract => "SUBTRACT",
        }
    }
}

/// Changes by key.
pub(crate) type ConfigOps = BTreeMap<StrBytes, (ConfigOp, Option<StrBytes>)>;

/// The records that change some keys of a resource. `new` is a resource that is being created.
pub(crate) fn incremental_alter(
    state: &ClusterState,
    resource: &ConfigResource,
    ops: &ConfigOps,
    new: bool,
) -> Result<Vec<MetadataRecord>, ApiError> {
    let current = state.image.configs.get(resource);
    let mut changed = Vec::new();
    for (key, (op, operand)) in ops {
        let old = current.and_then(|keys| keys.get(key));
        let value = match op {
            ConfigOp::Set => operand.clone(),
            ConfigOp::Delete => None,
            ConfigOp::Append | ConfigOp::Subtract => Some(edit_list(resource, key, *op, old, operand)?),
        };
        // A broker rereads what a key names (a certificate, say), even if the value is the same.
        if value.as_ref() != old || resource.kind == ConfigResourceKind::Broker {
            changed.push(config_record(resource, key, value));
        }
    }
    finish(state, resource, changed, Vec::new(), new)
}

/// The records that make `configs` the whole configuration of a resource: AlterConfigs, the older API.
pub(crate) fn legacy_alter(
    state: &ClusterState,
    resource: &ConfigResource,
    configs: &BTreeMap<StrBytes, Option<StrBytes>>,
) -> Result<Vec<MetadataRecord>, ApiError> {
    let empty = BTreeMap::new();
    let current = state.image.configs.get(resource).unwrap_or(&empty);
    let changed = configs
        .iter()
        .filter(|(key, value)| {
            current.get(*key) != value.as_ref() || resource.kind == ConfigResourceKind::Broker
        })
        .map(|(key, value)| config_record(resource, key, value.clone()))
        .collect();
    let deleted = current
        .keys()
        .filter(|key| !configs.contains_key(*key))
        .map(|key| config_record(resource, key, None))
        .collect();
    finish(state, resource, changed, deleted, false)
}

fn config_record(resource: &ConfigResource, key: &StrBytes, value: Option<StrBytes>) -> ConfigRecord {
    ConfigRecord {
        resource_type: resource.kind.code(),
        resource_name: resource.name.clone(),
        name: key.clone(),
        value,
    }
}

fn finish(
    state: &ClusterState,
    resource: &ConfigResource,
    changed: Vec<ConfigRecord>,
    deleted: Vec<ConfigRecord>,
    new: bool,
) -> Result<Vec<MetadataRecord>, ApiError> {
    validate(state, resource, &changed, &deleted, new)?;
    // Which replicas are eligible depends on min.insync.replicas: forget them when it changes (KIP-966).
    let changes_min_isr =
        changed.iter().chain(&deleted).any(|record| &*record.name == topic::MIN_INSYNC_REPLICAS.name());
    let mut records: Vec<MetadataRecord> =
        changed.into_iter().chain(deleted).map(MetadataRecord::Config).collect();
    if changes_min_isr && state.image.features.elr_enabled() {
        let topic_name = match resource.kind {
            ConfigResourceKind::Topic => resource.name.clone(),
            _ => StrBytes::default(),
        };
        records.push(MetadataRecord::ClearElr(ClearElrRecord { topic_name }));
    }
    Ok(records)
}

fn key_of(kind: ConfigResourceKind, name: &str) -> Option<&'static ConfigKey> {
    match kind {
        ConfigResourceKind::Topic => topic_key(name),
        ConfigResourceKind::Broker => broker_key(name),
        _ => None,
    }
}

/// A list with entries added or taken away; one that is not set begins with the key's default.
fn edit_list(
    resource: &ConfigResource,
    key: &StrBytes,
    op: ConfigOp,
    old: Option<&StrBytes>,
    operand: &Option<StrBytes>,
) -> Result<StrBytes, ApiError> {
    let definition = key_of(resource.kind, key);
    if definition.is_none_or(|definition| definition.kind != ConfigKind::List) {
        let message = match (resource.kind, op) {
            (ConfigResourceKind::Broker, ConfigOp::Append) => {
                format!("Config value append is not allowed for config key: {key}")
            }
            (ConfigResourceKind::Broker, _) => {
                format!("Config value subtract is not allowed for config key: {key}")
            }
            _ => format!("Can't {} to key {key} because its type is not LIST.", op.name()),
        };
        return Err(ApiError::new(ErrorCode::InvalidConfig, message));
    }
    let old = old.map(|value| &**value).or_else(|| definition?.default).unwrap_or("");
    let mut entries: Vec<&str> = old.split(',').filter(|entry| !entry.is_empty()).collect();
    for entry in operand.as_deref().unwrap_or("").split(',') {
        match op {
            ConfigOp::Subtract => {
                if let Some(at) = entries.iter().position(|other| *other == entry) {
                    entries.remove(at);
                }
            }
            _ if entries.contains(&entry) => {}
            _ => entries.push(entry),
        }
    }
    Ok(StrBytes::from_string(entries.join(",")))
}

fn validate(
    state: &ClusterState,
    resource: &ConfigResource,
    changed: &[ConfigRecord],
    deleted: &[ConfigRecord],
    new: bool,
) -> Result<(), ApiError> {
    let existing = state.configs(resource);
    let mut all = existing.clone();
    for record in changed.iter().chain(deleted) {
        match &record.value {
            None => {
                all.remove(&*record.name);
            }
            Some(value) if value.chars().count() > MAX_VALUE_LENGTH => {
                return Err(ApiError::new(
                    ErrorCode::InvalidConfig,
                    format!(
                        "The configuration value cannot be added because it exceeds the maximum value size of \
                         {MAX_VALUE_LENGTH} bytes."
                    ),
                ));
            }
            Some(value) => {
                all.insert(record.name.to_string(), value.to_string());
            }
        }
    }
    // First what Kafka's brokers check before they forward a change of their own configuration.
    validate_resource(state, resource, &existing, &all)?;
    for record in changed.iter().chain(deleted) {
        check_min_isr_with_elr(state, resource, record)?;
    }
    if new { Ok(()) } else { check_exists(state, resource) }
}

/// With ELR, min.insync.replicas is the cluster's or a topic's, and the cluster always has one (KIP-966).
fn check_min_isr_with_elr(
    state: &ClusterState,
    resource: &ConfigResource,
    record: &ConfigRecord,
) -> Result<(), ApiError> {
    let name = topic::MIN_INSYNC_REPLICAS.name();
    if &*record.name != name
        || resource.kind != ConfigResourceKind::Broker
        || !state.image.features.elr_enabled()
    {
        return Ok(());
    }
    let refuse = |message: String| Err(ApiError::new(ErrorCode::InvalidConfig, message));
    if !resource.name.is_empty() {
        return refuse(format!("Broker-level {name} cannot be altered while ELR is enabled."));
    }
    match record.value {
        None => refuse(format!("Cluster-level {name} cannot be removed while ELR is enabled.")),
        Some(_) => Ok(()),
    }
}

fn validate_resource(
    state: &ClusterState,
    resource: &ConfigResource,
    existing: &BTreeMap<String, String>,
    all: &BTreeMap<String, String>,
) -> Result<(), ApiError> {
    let invalid = |message: String| ApiError::new(ErrorCode::InvalidRequest, message);
    let invalid_config = |error: ConfigError| ApiError::new(ErrorCode::InvalidConfig, error.to_string());
    match resource.kind {
        ConfigResourceKind::Topic => {
            if resource.name.is_empty() {
                return Err(invalid("Default topic resources are not allowed.".to_owned()));
            }
            topic_name::validate(&resource.name)
                .map_err(|message| ApiError::new(ErrorCode::InvalidTopicException, message))?;
            validate_topic_configs(&state.config, existing, all).map_err(invalid_config)
        }
        ConfigResourceKind::Broker => {
            if !resource.name.is_empty() {
                let id: i32 = resource
                    .name
                    .parse()
                    .map_err(|_| invalid("Unable to parse broker name as a base 10 number.".to_owned()))?;
                if id < 0 {
                    return Err(invalid("Invalid negative broker ID.".to_owned()));
                }
            }
            // KAFKA-13609: Kafka's brokers call a value that is not valid an invalid request.
            validate_dynamic_broker_configs(all, !resource.name.is_empty())
                .map_err(|error| invalid(error.to_string()))
        }
        ConfigResourceKind::Group if resource.name.is_empty() => {
            Err(invalid("Default group resources are not allowed.".to_owned()))
        }
        ConfigResourceKind::Group => validate_group_configs(&state.config, all).map_err(invalid_config),
        ConfigResourceKind::ClientMetrics => Err(invalid("Unknown resource type CLIENT_METRICS".to_owned())),
        ConfigResourceKind::BrokerLogger => Err(invalid("Unknown resource type BROKER_LOGGER".to_owned())),
    }
}

/// Configures only what is there (`QuorumController.ConfigResourceExistenceChecker`).
fn check_exists(state: &ClusterState, resource: &ConfigResource) -> Result<(), ApiError> {
    match resource.kind {
        ConfigResourceKind::Topic if state.image.topics.id(&resource.name).is_none() => Err(ApiError::new(
            ErrorCode::UnknownTopicOrPartition,
            format!("The topic '{}' does not exist.", resource.name),
        )),
        ConfigResourceKind::Broker if !resource.name.is_empty() => {
            let id = klamm_node::NodeId(resource.name.parse().unwrap_or(-1));
            if state.image.cluster.broker(id).is_none() && id != state.node {
                return Err(ApiError::new(
                    ErrorCode::BrokerIdNotRegistered,
                    format!("No node with id {id} found."),
                ));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
