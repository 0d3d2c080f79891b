//! An administrator's requests, sent to any broker and not waited for.

use klamm_node::{ConnectionId, NodeId};
use klamm_wire::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use klamm_wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::{
    AlterPartitionReassignmentsRequest, BrokerId, CreateTopicsRequest, DeleteRecordsRequest,
    DeleteTopicsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest, TopicName,
};
use klamm_wire::{ApiKey, Request};
use klamm_world::{ClientRequest, Input, Output, World};

use crate::options::Topic;

const TIMEOUT_MS: i32 = 10_000;

/// The administrator's connections: a new one for each request.
#[derive(Debug, Default)]
pub(crate) struct Admin {
    next: u64,
}

impl Admin {
    /// Sends a request to a broker.
    pub(crate) fn ask(
        &mut self,
        world: &mut World,
        broker: NodeId,
        api: (ApiKey, i16),
        request: Request,
        out: &mut Vec<Output>,
    ) {
        self.next += 1;
        let connection = ConnectionId(self.next);
        world.input(Input::Connect { connection, broker, host: "admin".into() }, out);
        let (api_key, api_version) = api;
        let request = ClientRequest {
            connection,
            correlation_id: 1,
            api_key,
            api_version,
            client_id: None,
            request,
            inspected: None,
        };
        world.input(Input::Request(request), out);
    }
}

/// Asks a broker to create a topic, and does not wait for it.
pub fn create_topic(world: &mut World, broker: NodeId, topic: &Topic) {
    let (api, request) = create(topic);
    Admin::default().ask(world, broker, api, request, &mut Vec::new());
}

/// CreateTopics.
pub(crate) fn create(topic: &Topic) -> ((ApiKey, i16), Request) {
    let config = |name: &'static str, value: String| {
        CreatableTopicConfig::default().with_name(name.into()).with_value(Some(value.into()))
    };
    let mut configs = vec![
        config("min.insync.replicas", topic.min_isr.to_string()),
        config("unclean.leader.election.enable", topic.unclean.to_string()),
    ];
    configs.extend(topic.segment_bytes.map(|bytes| config("internal.segment.bytes", bytes.to_string())));
    let topic = CreatableTopic::default()
        .with_name(TopicName(topic.name.clone().into()))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replicas)
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    ((ApiKey::CreateTopics, 7), Request::CreateTopics(request))
}

/// DeleteTopics.
pub(crate) fn delete(name: &str) -> ((ApiKey, i16), Request) {
    let names = vec![TopicName(name.to_owned().into())];
    let request = DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(TIMEOUT_MS);
    ((ApiKey::DeleteTopics, 5), Request::DeleteTopics(request))
}

/// IncrementalAlterConfigs.
pub(crate) fn min_isr(topic: &str, value: i32) -> ((ApiKey, i16), Request) {
    configure(topic, &[("min.insync.replicas", value.to_string())])
}

/// IncrementalAlterConfigs of a topic.
pub(crate) fn configure(topic: &str, values: &[(&'static str, String)]) -> ((ApiKey, i16), Request) {
    let config = |(name, value): &(&'static str, String)| {
        AlterableConfig::default()
            .with_name((*name).into())
            .with_config_operation(0)
            .with_value(Some(value.clone().into()))
    };
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(topic.to_owned().into())
        .with_configs(values.iter().map(config).collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    ((ApiKey::IncrementalAlterConfigs, 1), Request::IncrementalAlterConfigs(request))
}

/// ElectLeaders: the preferred ones, of every partition.
pub(crate) fn elect() -> ((ApiKey, i16), Request) {
    let request = ElectLeadersRequest::default()
        .with_election_type(0)
        .with_topic_partitions(None)
        .with_timeout_ms(TIMEOUT_MS);
    ((ApiKey::ElectLeaders, 2), Request::ElectLeaders(request))
}

/// AlterPartitionReassignments.
pub(crate) fn reassign(topic: &str, partition: i32, replicas: &[i32]) -> ((ApiKey, i16), Request) {
    let partition = ReassignablePartition::default()
        .with_partition_index(partition)
        .with_replicas(Some(replicas.iter().copied().map(BrokerId).collect()));
    let topic = ReassignableTopic::default()
        .with_name(TopicName(topic.to_owned().into()))
        .with_partitions(vec![partition]);
    let request =
        AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    ((ApiKey::AlterPartitionReassignments, 0), Request::AlterPartitionReassignments(request))
}

/// DeleteRecords, up to the high watermark.
pub(crate) fn delete_records(topic: &str, partition: i32) -> ((ApiKey, i16), Request) {
    let partition = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(-1);
    let topic = DeleteRecordsTopic::default()
        .with_name(TopicName(topic.to_owned().into()))
        .with_partitions(vec![partition]);
    let request = DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    ((ApiKey::DeleteRecords, 2), Request::DeleteRecords(request))
}
