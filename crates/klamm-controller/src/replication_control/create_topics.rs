//! New topics (`ReplicationControlManager.createTopics`, `ControllerApis.createTopics`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_metadata::record::TopicRecord;
use klamm_metadata::{ConfigResource, METADATA_TOPIC, MetadataRecord};
use klamm_node::config::{ConfigSource, Described, broker, topic_key};
use klamm_node::{NodeId, Rng};
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use klamm_wire::messages::{CreateTopicsRequest, CreateTopicsResponse};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use super::{MAX_PARTITIONS_PER_BATCH, new_partition, usable_brokers, validate_assignment};
use crate::api_error::ApiError;
use crate::config_control::{self, ConfigOp};
use crate::mutation_quota::MutationQuota;
use crate::placement;
use crate::state::ClusterState;
use klamm_metadata::topic_name;

/// The answer, and the records of the topics that can be created. An error refuses the whole request.
pub(crate) fn create_topics(
    state: &ClusterState,
    rng: &mut Rng,
    request: &CreateTopicsRequest,
    quota: &mut MutationQuota<'_>,
    records: &mut Vec<MetadataRecord>,
) -> Result<CreateTopicsResponse, ApiError> {
    let duplicates = duplicate_names(request);
    let wanted: Vec<&CreatableTopic> = request
        .topics
        .iter()
        .filter(|topic| !duplicates.contains(&topic.name.0) && &*topic.name.0 != METADATA_TOPIC)
        .collect();
    check_total_partitions(state, &wanted)?;
    let mut results: Vec<CreatableTopicResult> =
        wanted.into_iter().map(|topic| create_topic_result(state, rng, topic, quota, records)).collect();
    results.extend(
        duplicates.iter().map(|name| {
            not_created(name, &ApiError::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        }),
    );
    if request.topics.iter().any(|topic| &*topic.name.0 == METADATA_TOPIC)
        && !duplicates.contains(METADATA_TOPIC.as_bytes())
    {
        let message = format!("Creation of internal topic {METADATA_TOPIC} is prohibited.");
        let name = StrBytes::from_static_str(METADATA_TOPIC);
        results.push(not_created(&name, &ApiError::new(ErrorCode::InvalidRequest, message)));
    }
    Ok(CreateTopicsResponse::default().with_topics(results))
}

fn duplicate_names(request: &CreateTopicsRequest) -> BTreeSet<StrBytes> {
    let mut seen = BTreeSet::new();
    request.topics.iter().map(|topic| &topic.name.0).filter(|name| !seen.insert(*name)).cloned().collect()
}

fn check_total_partitions(state: &ClusterState, topics: &[&CreatableTopic]) -> Result<(), ApiError> {
    let default = i64::from(state.config.get(broker::NUM_PARTITIONS));
    let partitions = |topic: &&CreatableTopic| match (topic.assignments.len(), topic.num_partitions) {
        (0, -1) => default,
        (0, partitions) => i64::from(partitions.max(0)),
        (assigned, _) => assigned as i64,
    };
    let total: i64 = topics.iter().map(partitions).sum();
    if total > MAX_PARTITIONS_PER_BATCH {
        return Err(ApiError::new(
            ErrorCode::PolicyViolation,
            "Excessively large number of partitions per request.",
        ));
    }
    Ok(())
}

/// The answer for a topic that was not created.
pub(crate) fn not_created(name: &StrBytes, error: &ApiError) -> CreatableTopicResult {
    // -1 and no configuration are what the schema has where nothing was created.
    CreatableTopicResult::default()
        .with_name(name.clone().into())
        .with_error_code(error.code.code())
        .with_error_message(error.text())
        .with_num_partitions(-1)
        .with_replication_factor(-1)
        .with_configs(Some(Vec::new()))
}

fn create_topic_result(
    state: &ClusterState,
    rng: &mut Rng,
    topic: &CreatableTopic,
    quota: &mut MutationQuota<'_>,
    records: &mut Vec<MetadataRecord>,
) -> CreatableTopicResult {
    create_topic(state, rng, topic, quota, records).unwrap_or_else(|error| not_created(&topic.name.0, &error))
}

fn create_topic(
    state: &ClusterState,
    rng: &mut Rng,
    topic: &CreatableTopic,
    quota: &mut MutationQuota<'_>,
    records: &mut Vec<MetadataRecord>,
) -> Result<CreatableTopicResult, ApiError> {
    let name = &topic.name.0;
    check_name(state, name)?;
    let config_records = config_records(state, topic)?;
    let assignments =
        if topic.assignments.is_empty() { placed(state, rng, topic)? } else { assigned(state, topic)? };
    let topic_id = rng.uuid();
    let mut partitions = Vec::with_capacity(assignments.len());
    for (index, replicas) in assignments.iter().enumerate() {
        let partition = new_partition(&state.image.cluster, topic_id, index as i32, replicas);
        partitions
            .push(MetadataRecord::Partition(partition.ok_or_else(|| no_active(topic, index, replicas))?));
    }
    quota.record(partitions.len())?;
    records.push(MetadataRecord::Topic(TopicRecord { name: name.clone(), topic_id }));
    records.extend(config_records);
    records.extend(partitions);
    Ok(created(state, topic, topic_id, &assignments))
}

fn check_name(state: &ClusterState, name: &StrBytes) -> Result<(), ApiError> {
    // A topic that exists collides with itself, and Kafka says that it exists.
    if state.image.topics.id(name).is_some() {
        let message = format!("Topic '{name}' already exists.");
        return Err(ApiError::new(ErrorCode::TopicAlreadyExists, message));
    }
    topic_name::validate(name).map_err(|message| ApiError::new(ErrorCode::InvalidTopicException, message))?;
    match state.colliding_topic(name) {
        Some(other) => Err(ApiError::new(
            ErrorCode::InvalidTopicException,
            format!("Topic '{name}' collides with existing topic: {other}"),
        )),
        None => Ok(()),
    }
}

fn config_records(state: &ClusterState, topic: &CreatableTopic) -> Result<Vec<MetadataRecord>, ApiError> {
    let nulls: Vec<&str> =
        topic.configs.iter().filter(|config| config.value.is_none()).map(|config| &*config.name).collect();
    if !nulls.is_empty() {
        return Err(ApiError::new(
            ErrorCode::InvalidConfig,
            format!("Null value not supported for topic configs: {}", nulls.join(",")),
        ));
    }
    let mut ops = BTreeMap::new();
    for config in &topic.configs {
        ops.insert(config.name.clone(), (ConfigOp::Set, config.value.clone()));
    }
    if ops.is_empty() {
        return Ok(Vec::new());
    }
    let resource = ConfigResource::topic(topic.name.0.clone());
    config_control::incremental_alter(state, &resource, &ops, true)
}

/// Replicas that the request names.
fn assigned(state: &ClusterState, topic: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, ApiError> {
    if topic.replication_factor != -1 {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ));
    }
    if topic.num_partitions != -1 {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ));
    }
    let mut partitions = BTreeMap::new();
    let mut replication_factor = None;
    for assignment in &topic.assignments {
        let index = assignment.partition_index;
        let replicas: Vec<NodeId> = assignment.broker_ids.iter().map(|id| NodeId(id.0)).collect();
        if partitions.contains_key(&index) {
            return Err(ApiError::new(
                ErrorCode::InvalidReplicaAssignment,
                format!("Found multiple manual partition assignments for partition {index}"),
            ));
        }
        validate_assignment(&state.image.cluster, &replicas, replication_factor)?;
        replication_factor = Some(replicas.len());
        if !replicas.iter().any(|id| state.image.cluster.is_active(*id)) {
            return Err(all_fenced_in_assignment(index));
        }
        partitions.insert(index, replicas);
    }
    if !partitions.keys().copied().eq(0..partitions.len() as i32) {
        return Err(ApiError::new(
            ErrorCode::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ));
    }
    Ok(partitions.into_values().collect())
}

fn all_fenced_in_assignment(index: i32) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidReplicaAssignment,
        format!(
            "All brokers specified in the manual partition assignment for partition {index} are fenced or in \
             controlled shutdown."
        ),
    )
}

/// Replicas that the controller picks.
fn placed(state: &ClusterState, rng: &mut Rng, topic: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, ApiError> {
    if topic.replication_factor < -1 || topic.replication_factor == 0 {
        return Err(ApiError::new(
            ErrorCode::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ));
    }
    if topic.num_partitions < -1 || topic.num_partitions == 0 {
        return Err(ApiError::new(
            ErrorCode::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ));
    }
    let partitions = match topic.num_partitions {
        -1 => state.config.get(broker::NUM_PARTITIONS),
        partitions => partitions,
    };
    let replication_factor = replication_factor(state, topic);
    placement::place(partitions.unsigned_abs() as usize, replication_factor, usable_brokers(state), rng)
        .map_err(|reason| cannot_replicate(replication_factor, &reason))
}

fn replication_factor(state: &ClusterState, topic: &CreatableTopic) -> i16 {
    match topic.replication_factor {
        -1 => i16::try_from(state.config.get(broker::DEFAULT_REPLICATION_FACTOR)).unwrap_or(i16::MAX),
        given => given,
    }
}

fn cannot_replicate(replication_factor: i16, reason: &str) -> ApiError {
    ApiError::new(
        ErrorCode::InvalidReplicationFactor,
        format!("Unable to replicate the partition {replication_factor} time(s): {reason}"),
    )
}

fn no_active(topic: &CreatableTopic, index: usize, replicas: &[NodeId]) -> ApiError {
    if topic.assignments.is_empty() {
        cannot_replicate(replicas.len() as i16, "All brokers are currently fenced or in controlled shutdown.")
    } else {
        all_fenced_in_assignment(index as i32)
    }
}

/// What the answer says of a new topic, its effective configuration included (KIP-525).
fn created(
    state: &ClusterState,
    topic: &CreatableTopic,
    topic_id: Uuid,
    assignments: &[Vec<NodeId>],
) -> CreatableTopicResult {
    let own: BTreeMap<String, String> = topic
        .configs
        .iter()
        .filter_map(|config| Some((config.name.to_string(), config.value.as_ref()?.to_string())))
        .collect();
    let configs = state.config.topic(&own).describe_all().into_iter().map(|described| {
        // What was given is repeated as it was written; a broker tells the parsed value.
        let source = source_of(state, &described);
        let value = own.get(&described.name).cloned().or(described.value);
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(described.name))
            .with_value(value.map(StrBytes::from_string))
            .with_read_only(described.read_only)
            .with_config_source(source.id())
            .with_is_sensitive(described.sensitive)
    });
    CreatableTopicResult::default()
        .with_name(topic.name.clone())
        .with_topic_id(topic_id)
        // The schema's default is the empty string.
        .with_error_message(None)
        .with_num_partitions(assignments.len() as i32)
        .with_replication_factor(assignments.first().map_or(-1, |replicas| replicas.len() as i16))
        .with_configs(Some(configs.collect()))
}

/// Where a new topic's value comes from. Kafka's controller looks at every broker key behind a topic's
/// (`KafkaConfigSchema.resolveEffectiveTopicConfig`), where its brokers, asked to describe the topic, look at the first.
fn source_of(state: &ClusterState, described: &Described) -> ConfigSource {
    let behind = topic_key(&described.name).map_or(&[][..], |key| key.synonyms);
    let set = || {
        let mut sources =
            behind.iter().filter_map(|synonym| Some(state.config.describe(synonym.name)?.source));
        sources.find(|source| *source != ConfigSource::Default)
    };
    match described.source {
        ConfigSource::Default => set().unwrap_or(ConfigSource::Default),
        source => source,
    }
}
