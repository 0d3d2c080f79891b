//! Requests as values, and what their answers say.

use std::time::Duration;

use bytes::Bytes;
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::create_partitions_request::CreatePartitionsTopic;
use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::elect_leaders_request::TopicPartitions;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{
    AlterClientQuotasRequest, AlterPartitionReassignmentsRequest, CreatePartitionsRequest,
    DeleteRecordsRequest, ElectLeadersRequest, UnregisterBrokerRequest,
};
use klamm_wire::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, FetchRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, MetadataRequest, ProduceRequest, ProducerId, ResponseKind, TopicName,
    TransactionalId,
};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};

use crate::step::{Admin, Placement, Resource, TopicSpec};
use crate::theatre::Answer;

/// How long brokers may take over what an administrator asks.
const ADMIN_TIMEOUT_MS: i32 = 30_000;

fn topic_name(topic: &str) -> TopicName {
    TopicName(StrBytes::from(topic.to_owned()))
}

/// Kafka's name for an error's number.
pub(crate) fn error_name(code: i16) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |code| code.name().to_owned())
}

pub(crate) const METADATA: (ApiKey, i16) = (ApiKey::Metadata, 12);
pub(crate) const INIT_PRODUCER_ID: (ApiKey, i16) = (ApiKey::InitProducerId, 4);
pub(crate) const PRODUCE: (ApiKey, i16) = (ApiKey::Produce, 9);
pub(crate) const FETCH: (ApiKey, i16) = (ApiKey::Fetch, 12);

pub(crate) fn metadata(topic: &str, create: bool) -> Request {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
    Request::Metadata(
        MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(create),
    )
}

/// A partition's leader, or Kafka's name of why there is none.
pub(crate) fn leader(answer: &Response, partition: i32) -> Result<NodeId, String> {
    let Some(ResponseKind::Metadata(answer)) = kind(answer) else { return Err("DISCONNECTED".to_owned()) };
    let Some(topic) = answer.topics.first() else {
        return Err(ErrorCode::UnknownTopicOrPartition.to_string());
    };
    if topic.error_code != 0 {
        return Err(error_name(topic.error_code));
    }
    let Some(found) = topic.partitions.iter().find(|found| found.partition_index == partition) else {
        return Err(ErrorCode::UnknownTopicOrPartition.to_string());
    };
    match found.error_code {
        _ if found.leader_id.0 >= 0 => Ok(NodeId(found.leader_id.0)),
        0 => Err(ErrorCode::LeaderNotAvailable.to_string()),
        code => Err(error_name(code)),
    }
}

fn kind(answer: &Response) -> Option<&ResponseKind> {
    match answer {
        Response::Other(kind) => Some(kind),
        Response::Fetch(_) => None,
    }
}

pub(crate) fn init_producer_id() -> Request {
    Request::InitProducerId(
        InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1),
    )
}

/// Producer id and epoch.
pub(crate) fn identity(answer: &Response) -> Result<(i64, i16), String> {
    match kind(answer) {
        Some(ResponseKind::InitProducerId(answer)) if answer.error_code == 0 => {
            Ok((answer.producer_id.0, answer.producer_epoch))
        }
        Some(ResponseKind::InitProducerId(answer)) => Err(error_name(answer.error_code)),
        _ => Err("DISCONNECTED".to_owned()),
    }
}

/// A batch to produce.
#[derive(Debug)]
pub(crate) struct Produce<'a> {
    pub(crate) to: &'a TopicPartition,
    pub(crate) acks: i16,
    pub(crate) timeout_ms: i32,
    /// Producer id, epoch, and first sequence.
    pub(crate) identity: Option<(i64, i16, i32)>,
    pub(crate) values: &'a [String],
    /// Whether the records have no value after all.
    pub(crate) tombstones: bool,
    pub(crate) key: Option<&'a str>,
    /// The records' timestamp.
    pub(crate) wall: i64,
    /// The transaction that they belong to.
    pub(crate) transactional_id: Option<&'a str>,
}

pub(crate) fn produce(produce: &Produce<'_>) -> Request {
    let mut builder = BatchBuilder::new();
    if let Some((id, epoch, sequence)) = produce.identity {
        builder = builder.producer(id, epoch, sequence);
    }
    if produce.transactional_id.is_some() {
        builder = builder.transactional();
    }
    for value in produce.values {
        let value = (!produce.tombstones).then_some(value.as_bytes());
        builder.push(produce.wall, produce.key.map(str::as_bytes), value, &[]);
    }
    let records = builder.build().expect("uncompressed batches always build").to_bytes();
    produce_bytes(produce.to, produce.acks, produce.timeout_ms, produce.transactional_id, records)
}

/// Produces a batch as it is.
pub(crate) fn produce_bytes(
    to: &TopicPartition,
    acks: i16,
    timeout_ms: i32,
    transactional_id: Option<&str>,
    records: Bytes,
) -> Request {
    let data = PartitionProduceData::default().with_index(to.partition).with_records(Some(records));
    let topic =
        TopicProduceData::default().with_name(TopicName(to.topic.clone())).with_partition_data(vec![data]);
    Request::Produce(
        ProduceRequest::default()
            .with_transactional_id(transactional_id.map(|id| TransactionalId(StrBytes::from(id.to_owned()))))
            .with_acks(acks)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(vec![topic]),
    )
}

/// The error and base offset of the one partition in a Produce response, and for how many milliseconds it says that the
/// producer is throttled.
pub(crate) fn produced(answer: &Response) -> (i16, i64, i32) {
    let Some(ResponseKind::Produce(answer)) = kind(answer) else { return (-1, -1, 0) };
    let throttle_ms = answer.throttle_time_ms;
    let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    partition
        .map_or((-1, -1, throttle_ms), |partition| (partition.error_code, partition.base_offset, throttle_ms))
}

/// What to read.
#[derive(Debug)]
pub(crate) struct Fetch<'a> {
    pub(crate) partition: &'a TopicPartition,
    pub(crate) offset: i64,
    pub(crate) epoch: Option<i32>,
    pub(crate) last_epoch: Option<i32>,
    pub(crate) max_wait: Duration,
    pub(crate) read_committed: bool,
    pub(crate) rack: Option<&'a str>,
}

pub(crate) fn fetch(fetch: &Fetch<'_>) -> Request {
    let partition = FetchPartition::default()
        .with_partition(fetch.partition.partition)
        .with_current_leader_epoch(fetch.epoch.unwrap_or(-1))
        .with_last_fetched_epoch(fetch.last_epoch.unwrap_or(-1))
        .with_log_start_offset(-1)
        .with_fetch_offset(fetch.offset)
        .with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default()
        .with_topic(TopicName(fetch.partition.topic.clone()))
        .with_partitions(vec![partition]);
    Request::Fetch(
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(i32::try_from(fetch.max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(i32::from(!fetch.max_wait.is_zero()))
            .with_max_bytes(50 << 20)
            .with_isolation_level(fetch.read_committed.into())
            .with_session_id(0)
            .with_session_epoch(-1)
            .with_rack_id(StrBytes::from(fetch.rack.unwrap_or_default().to_owned()))
            .with_topics(vec![topic]),
    )
}

pub(crate) fn create_topic(spec: &TopicSpec) -> Request {
    let mut topic = CreatableTopic::default().with_name(topic_name(&spec.name));
    topic = match &spec.placement {
        Placement::Manual(partitions) => {
            let assignments = partitions.iter().enumerate().map(|(at, replicas)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(i32::try_from(at).unwrap_or(i32::MAX))
                    .with_broker_ids(replicas.iter().map(|node| BrokerId(node.0)).collect())
            });
            topic.with_num_partitions(-1).with_replication_factor(-1).with_assignments(assignments.collect())
        }
        Placement::Controller { partitions, replication_factor } => {
            topic.with_num_partitions(*partitions).with_replication_factor(*replication_factor)
        }
    };
    let configs = spec.configs.iter().map(|(key, value)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from(key.clone()))
            .with_value(Some(StrBytes::from(value.clone())))
    });
    Request::CreateTopics(
        CreateTopicsRequest::default()
            .with_topics(vec![topic.with_configs(configs.collect())])
            .with_timeout_ms(ADMIN_TIMEOUT_MS),
    )
}

/// What an administrator asks, and in which version.
pub(crate) fn admin(ask: &Admin) -> (ApiKey, i16, Request) {
    match ask {
        Admin::CreateTopic(topic) => {
            (ApiKey::CreateTopics, topic.api_version.unwrap_or(7), create_topic(topic))
        }
        Admin::DeleteTopic(topic) => {
            let request = DeleteTopicsRequest::default()
                .with_topic_names(vec![topic_name(topic)])
                .with_timeout_ms(ADMIN_TIMEOUT_MS);
            (ApiKey::DeleteTopics, 5, Request::DeleteTopics(request))
        }
        Admin::AddPartitions { topic, count } => {
            let topic = CreatePartitionsTopic::default()
                .with_name(topic_name(topic))
                .with_count(*count)
                .with_assignments(None);
            let request =
                CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(ADMIN_TIMEOUT_MS);
            (ApiKey::CreatePartitions, 3, Request::CreatePartitions(request))
        }
        Admin::DeleteRecords { partition, before } => {
            let records = DeleteRecordsPartition::default()
                .with_partition_index(partition.partition)
                .with_offset(*before);
            let topic = DeleteRecordsTopic::default()
                .with_name(TopicName(partition.topic.clone()))
                .with_partitions(vec![records]);
            let request =
                DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(ADMIN_TIMEOUT_MS);
            (ApiKey::DeleteRecords, 2, Request::DeleteRecords(request))
        }
        Admin::Elect { unclean, partition } => {
            let topic = TopicPartitions::default()
                .with_topic(TopicName(partition.topic.clone()))
                .with_partitions(vec![partition.partition]);
            let request = ElectLeadersRequest::default()
                .with_election_type((*unclean).into())
                .with_topic_partitions(Some(vec![topic]))
                .with_timeout_ms(ADMIN_TIMEOUT_MS);
            (ApiKey::ElectLeaders, 2, Request::ElectLeaders(request))
        }
        Admin::Reassign { partition, to } => {
            let replicas = to.as_ref().map(|to| to.iter().map(|node| BrokerId(node.0)).collect());
            let what = ReassignablePartition::default()
                .with_partition_index(partition.partition)
                .with_replicas(replicas);
            let topic = ReassignableTopic::default()
                .with_name(TopicName(partition.topic.clone()))
                .with_partitions(vec![what]);
            let request = AlterPartitionReassignmentsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(ADMIN_TIMEOUT_MS);
            (ApiKey::AlterPartitionReassignments, 0, Request::AlterPartitionReassignments(request))
        }
        Admin::Metadata { topic, create, .. } => (METADATA.0, METADATA.1, metadata(topic, *create)),
        Admin::Unregister(broker) => {
            let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(broker.0));
            (ApiKey::UnregisterBroker, 0, Request::UnregisterBroker(request))
        }
        Admin::AlterQuota { entity, values } => {
            let parts = entity.iter().map(|(kind, name)| {
                EntityData::default()
                    .with_entity_type(StrBytes::from_static_str(kind))
                    .with_entity_name(name.clone().map(StrBytes::from))
            });
            let ops = values.iter().map(|(key, value)| {
                OpData::default()
                    .with_key(StrBytes::from_static_str(key))
                    .with_value(*value as f64)
                    .with_remove(*value == 0)
            });
            let entry = EntryData::default().with_entity(parts.collect()).with_ops(ops.collect());
            let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
            (ApiKey::AlterClientQuotas, 1, Request::AlterClientQuotas(request))
        }
        Admin::AlterConfig { resource, configs } => {
            let (kind, name) = match resource {
                Resource::Topic(topic) => (2, topic.clone()),
                Resource::Broker(node) => (4, node.map(|node| node.to_string()).unwrap_or_default()),
            };
            let configs = configs.iter().map(|(key, value)| {
                AlterableConfig::default()
                    .with_name(StrBytes::from(key.clone()))
                    .with_config_operation(0)
                    .with_value(Some(StrBytes::from(value.clone())))
            });
            let resource = AlterConfigsResource::default()
                .with_resource_type(kind)
                .with_resource_name(StrBytes::from(name))
                .with_configs(configs.collect());
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            (ApiKey::IncrementalAlterConfigs, 1, Request::IncrementalAlterConfigs(request))
        }
    }
}

/// What an administrator's request ended in: Kafka's name of an error, and what the broker says about it.
pub(crate) fn admin_result(answer: &Answer) -> (String, Option<String>) {
    let Answer::Response(answer) = answer else { return ("DISCONNECTED".to_owned(), None) };
    let text = |message: &Option<StrBytes>| message.as_ref().map(ToString::to_string);
    let (code, message) = match kind(answer) {
        Some(ResponseKind::CreateTopics(answer)) => {
            answer.topics.first().map_or((0, None), |topic| (topic.error_code, text(&topic.error_message)))
        }
        Some(ResponseKind::DeleteTopics(answer)) => {
            answer.responses.first().map_or((0, None), |topic| (topic.error_code, text(&topic.error_message)))
        }
        Some(ResponseKind::IncrementalAlterConfigs(answer)) => answer
            .responses
            .first()
            .map_or((0, None), |resource| (resource.error_code, text(&resource.error_message))),
        Some(ResponseKind::CreatePartitions(answer)) => {
            answer.results.first().map_or((0, None), |topic| (topic.error_code, text(&topic.error_message)))
        }
        Some(ResponseKind::DeleteRecords(answer)) => {
            let partition = answer.topics.first().and_then(|topic| topic.partitions.first());
            partition.map_or((0, None), |partition| (partition.error_code, None))
        }
        Some(ResponseKind::ElectLeaders(answer)) => {
            let topic = answer.replica_election_results.first();
            let partition = topic.and_then(|topic| topic.partition_result.first());
            match (answer.error_code, partition) {
                (0, Some(partition)) => (partition.error_code, text(&partition.error_message)),
                (code, _) => (code, None),
            }
        }
        Some(ResponseKind::AlterPartitionReassignments(answer)) => {
            let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
            match (answer.error_code, partition) {
                (0, Some(partition)) => (partition.error_code, text(&partition.error_message)),
                (code, _) => (code, text(&answer.error_message)),
            }
        }
        Some(ResponseKind::Metadata(answer)) => {
            let errors = answer.topics.iter().flat_map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| partition.error_code);
                std::iter::once(topic.error_code).chain(partitions)
            });
            (errors.into_iter().find(|code| *code != 0).unwrap_or(0), None)
        }
        Some(ResponseKind::AlterClientQuotas(answer)) => {
            answer.entries.first().map_or((0, None), |entry| (entry.error_code, text(&entry.error_message)))
        }
        Some(ResponseKind::UnregisterBroker(answer)) => (answer.error_code, text(&answer.error_message)),
        _ => (-1, None),
    };
    (error_name(code), message)
}
