//! Requests that look at the cluster or change it.

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use klamm_wire::messages::describe_configs_request::DescribeConfigsResource;
use klamm_wire::messages::describe_configs_response::DescribeConfigsResult;
use klamm_wire::messages::describe_topic_partitions_request::Cursor;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use klamm_wire::messages::list_offsets_response::ListOffsetsPartitionResponse;
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{
    ApiVersionsRequest, DeleteRecordsRequest, DescribeClusterRequest, DescribeConfigsRequest,
    DescribeLogDirsRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest,
    InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, MetadataResponse, ResponseKind,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};
use klamm_world::Command;

use crate::cluster::{Cluster, fetch, topic_name};

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a known code")
}

fn metadata(c: &mut Cluster, names: &[&'static str], create: bool) -> MetadataResponse {
    let topics = names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))));
    let request =
        MetadataRequest::default().with_topics(Some(topics.collect())).with_allow_auto_topic_creation(create);
    match c.ask(1, 12, request) {
        ResponseKind::Metadata(answer) => answer,
        other => panic!("another answer: {other:?}"),
    }
}

#[test]
fn metadata_creates_topics_that_it_may() {
    let mut c = Cluster::start(3, &[("num.partitions", "4"), ("default.replication.factor", "3")]);
    let answer = metadata(&mut c, &["wanted"], false);
    assert_eq!(error(answer.topics[0].error_code), ErrorCode::UnknownTopicOrPartition);
    let answer = metadata(&mut c, &["no/name"], true);
    assert_eq!(error(answer.topics[0].error_code), ErrorCode::InvalidTopicException);
    let answer = metadata(&mut c, &["wanted"], true);
    assert_eq!(error(answer.topics[0].error_code), ErrorCode::UnknownTopicOrPartition);
    let answer = metadata(&mut c, &["wanted"], true);
    assert_eq!(error(answer.topics[0].error_code), ErrorCode::None);
    assert_eq!(answer.topics[0].partitions.len(), 4);
    assert_eq!(answer.topics[0].partitions[0].replica_nodes.len(), 3);
    assert_eq!(answer.brokers.len(), 3);
    c.produce("wanted", 3, "a");
}

#[test]
fn metadata_finds_topics_by_id() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    let topics = [c.topic_id("t"), Uuid::from_u128(99)]
        .map(|id| MetadataRequestTopic::default().with_topic_id(id).with_name(None));
    let request = MetadataRequest::default().with_topics(Some(topics.to_vec()));
    let ResponseKind::Metadata(answer) = c.ask(1, 12, request) else { panic!("another answer") };
    let mut found: Vec<_> = answer.topics.iter().map(|t| (error(t.error_code), t.name.clone())).collect();
    found.sort();
    assert_eq!(found, [(ErrorCode::None, Some(topic_name("t"))), (ErrorCode::UnknownTopicId, None)]);
}

#[test]
fn metadata_says_who_is_down() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    c.command(Command::Crash(NodeId(3)));
    c.wait_for("the broker to be fenced", Duration::from_secs(30), |c| c.status("t", 0).isr.len() == 2);
    let answer = metadata(&mut c, &["t"], false);
    assert_eq!(answer.brokers.iter().map(|b| b.node_id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(answer.topics[0].partitions[0].offline_replicas.iter().map(|b| b.0).collect::<Vec<_>>(), [3]);
}

fn list_offset(c: &mut Cluster, version: i16, timestamp: i64) -> ListOffsetsPartitionResponse {
    let partition = ListOffsetsPartition::default()
        .with_partition_index(0)
        .with_current_leader_epoch(-1)
        .with_timestamp(timestamp);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![
        ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]),
    ]);
    match c.ask(1, version, request) {
        ResponseKind::ListOffsets(answer) => answer.topics[0].partitions[0].clone(),
        other => panic!("another answer: {other:?}"),
    }
}

#[test]
fn offsets_are_found_by_timestamp() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("t", 1, 1, &[]);
    assert_eq!(list_offset(&mut c, 10, -3).offset, -1, "no record, no largest timestamp");
    for _ in 0..3 {
        c.produce("t", 0, "a");
    }
    assert_eq!(list_offset(&mut c, 10, -1).offset, 3);
    assert_eq!(list_offset(&mut c, 10, -2).offset, 0);
    assert_eq!(list_offset(&mut c, 10, -4).offset, 0);
    assert_eq!(list_offset(&mut c, 10, -5).offset, -1);
    let max = list_offset(&mut c, 10, -3);
    assert_eq!((max.offset, max.timestamp), (0, 1_700_000_000_000));
    assert_eq!(list_offset(&mut c, 10, 1_600_000_000_000).offset, 0);
    assert_eq!(list_offset(&mut c, 10, 1_800_000_000_000).offset, -1);
    assert_eq!(error(list_offset(&mut c, 6, -3).error_code), ErrorCode::UnsupportedVersion);
    assert_eq!(error(list_offset(&mut c, 10, -7).error_code), ErrorCode::UnsupportedVersion);
}

#[test]
fn deleted_records_are_out_of_range_everywhere() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 1, 3, &[]);
    for _ in 0..3 {
        c.produce("t", 0, "a");
    }
    let leader = c.leader("t", 0);
    let delete = |offset| {
        let partition = DeleteRecordsPartition::default().with_partition_index(0).with_offset(offset);
        DeleteRecordsRequest::default().with_timeout_ms(5_000).with_topics(vec![
            DeleteRecordsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]),
        ])
    };
    let ResponseKind::DeleteRecords(answer) = c.ask(leader, 2, delete(2)) else { panic!("another answer") };
    let result = &answer.topics[0].partitions[0];
    assert_eq!((error(result.error_code), result.low_watermark), (ErrorCode::None, 2));
    assert!(c.status("t", 0).logs.values().all(|log| log.log_start == 2), "answered when all have done it");
    let ResponseKind::DeleteRecords(answer) = c.ask(leader, 2, delete(9)) else { panic!("another answer") };
    assert_eq!(error(answer.topics[0].partitions[0].error_code), ErrorCode::OffsetOutOfRange);
    let sent = c.send(leader, 12, fetch("t", 0, 1, 0));
    assert_eq!(c.fetched(sent).topics[0].partitions[0].error_code, ErrorCode::OffsetOutOfRange);
    let ResponseKind::DeleteRecords(answer) = c.ask(leader, 2, delete(-1)) else { panic!("another answer") };
    assert_eq!(answer.topics[0].partitions[0].low_watermark, 3);
}

fn describe(c: &mut Cluster, kind: i8, name: &'static str, keys: &[&'static str]) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_configuration_keys(Some(keys.iter().map(|key| StrBytes::from_static_str(key)).collect()));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    match c.ask(1, 4, request) {
        ResponseKind::DescribeConfigs(mut answer) => answer.results.remove(0),
        other => panic!("another answer: {other:?}"),
    }
}

fn alter(c: &mut Cluster, kind: i8, name: &'static str, key: &'static str, value: &'static str) {
    let config = AlterableConfig::default()
        .with_name(StrBytes::from_static_str(key))
        .with_value(Some(StrBytes::from_static_str(value)));
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(StrBytes::from_static_str(name))
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let ResponseKind::IncrementalAlterConfigs(answer) = c.ask(1, 1, request) else {
        panic!("another answer")
    };
    assert_eq!(answer.responses[0].error_code, 0, "{:?}", answer.responses[0].error_message);
}

#[test]
fn configurations_are_described_with_where_they_come_from_and_take_effect() {
    let mut c = Cluster::start(3, &[("log.retention.bytes", "7000")]);
    c.create_topic("t", 1, 3, &[("retention.ms", "1000")]);
    let result = describe(&mut c, 2, "t", &["retention.ms", "retention.bytes"]);
    let values: Vec<_> =
        result.configs.iter().map(|c| (&*c.name, c.value.as_deref().unwrap(), c.config_source)).collect();
    assert!(values.contains(&("retention.ms", "1000", 1)), "{values:?}");
    assert!(values.contains(&("retention.bytes", "7000", 4)), "{values:?}");

    c.command(Command::Crash(NodeId(3)));
    c.command(Command::Crash(NodeId(2)));
    c.wait_for("the ISR to shrink", Duration::from_secs(60), |c| c.status("t", 0).isr.len() == 1);
    assert_eq!(c.leader("t", 0), 1);
    c.produce("t", 0, "a");
    alter(&mut c, 2, "t", "min.insync.replicas", "2");
    let sent = c.send_produce(1, "t", 0, -1, "b");
    assert_eq!(error(c.produced(sent).error_code), ErrorCode::NotEnoughReplicas);
    alter(&mut c, 4, "", "log.retention.ms", "5000");
    let result = describe(&mut c, 4, "1", &["log.retention.ms"]);
    assert_eq!(result.configs[0].value.as_deref(), Some("5000"));
    assert_eq!(result.configs[0].config_source, 3);
    assert_eq!(error(describe(&mut c, 4, "2", &[]).error_code), ErrorCode::InvalidRequest);
    assert_eq!(error(describe(&mut c, 2, "nope", &[]).error_code), ErrorCode::UnknownTopicOrPartition);
}

#[test]
fn topic_partitions_come_in_pages() {
    let mut c = Cluster::start(1, &[]);
    c.create_topic("a", 3, 1, &[]);
    c.create_topic("b", 3, 1, &[]);
    let mut cursor: Option<Cursor> = None;
    let mut pages = Vec::new();
    loop {
        let request = DescribeTopicPartitionsRequest::default()
            .with_response_partition_limit(2)
            .with_cursor(cursor.clone());
        let ResponseKind::DescribeTopicPartitions(answer) = c.ask(1, 0, request) else {
            panic!("another answer")
        };
        let page = answer.topics.iter().flat_map(|t| {
            t.partitions.iter().map(|p| format!("{}-{}", &*t.name.as_ref().unwrap().0, p.partition_index))
        });
        pages.push(page.collect::<Vec<_>>().join(" "));
        let Some(next) = answer.next_cursor else { break };
        cursor = Some(
            Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index),
        );
    }
    assert_eq!(pages, ["a-0 a-1", "a-2 b-0", "b-1 b-2"]);
}

#[test]
fn api_versions_checks_the_clients_name() {
    let mut c = Cluster::start(1, &[]);
    let request = |name: &'static str| {
        ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(name))
            .with_client_software_version(StrBytes::from_static_str("1.0"))
    };
    let ResponseKind::ApiVersions(answer) = c.ask(1, 4, request("test-client")) else {
        panic!("another answer")
    };
    assert_eq!(answer.error_code, 0);
    assert!(answer.api_keys.iter().any(|key| key.api_key == 0 && key.min_version == 0));
    assert!(answer.finalized_features.iter().any(|f| &*f.name == "metadata.version"));
    let ResponseKind::ApiVersions(answer) = c.ask(1, 4, request("-bad-")) else { panic!("another answer") };
    assert_eq!(error(answer.error_code), ErrorCode::InvalidRequest);
}

#[test]
fn producer_ids_are_unique_across_brokers() {
    let mut c = Cluster::start(3, &[]);
    let mut ids = std::collections::BTreeSet::new();
    for broker in 1..=3 {
        for _ in 0..5 {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_producer_id((-1).into())
                .with_producer_epoch(-1);
            let ResponseKind::InitProducerId(answer) = c.ask(broker, 4, request) else {
                panic!("another answer")
            };
            assert_eq!((answer.error_code, answer.producer_epoch), (0, 0));
            assert!(ids.insert(answer.producer_id.0));
        }
    }
}

#[test]
fn the_cluster_and_its_log_directories_are_described() {
    let mut c = Cluster::start(3, &[]);
    c.create_topic("t", 2, 3, &[]);
    c.produce("t", 0, "a");
    let ResponseKind::DescribeCluster(answer) =
        c.ask(1, 1, DescribeClusterRequest::default().with_endpoint_type(1))
    else {
        panic!("another answer")
    };
    assert_eq!(answer.brokers.len(), 3);
    assert!((1..=3).contains(&answer.controller_id.0));
    let ResponseKind::DescribeCluster(answer) =
        c.ask(1, 1, DescribeClusterRequest::default().with_endpoint_type(2))
    else {
        panic!("another answer")
    };
    assert_eq!(error(answer.error_code), ErrorCode::MismatchedEndpointType);
    let ResponseKind::DescribeLogDirs(answer) =
        c.ask(1, 4, DescribeLogDirsRequest::default().with_topics(None))
    else {
        panic!("another answer")
    };
    let sizes: Vec<i64> = answer.results[0].topics[0].partitions.iter().map(|p| p.partition_size).collect();
    assert_eq!(sizes.len(), 2);
    assert!(sizes[0] > 0 && sizes[1] == 0, "{sizes:?}");
}
