//! What the load needs to know of a cluster: its leaders, and topics to write to.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiKey, CreateTopicsRequest, DeleteTopicsRequest, MetadataRequest, MetadataResponse, RequestKind,
    ResponseKind, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::wire::Connection;

const READY: Duration = Duration::from_secs(120);
/// Kafka's `REQUEST_TIMED_OUT`: it goes on creating the partitions behind the answer.
const REQUEST_TIMED_OUT: i16 = 7;

/// A topic's partitions by the address of their leader.
pub(crate) type Leaders = BTreeMap<String, Vec<i32>>;

fn metadata(bootstrap: &str, topic: Option<&str>) -> Result<MetadataResponse> {
    let first = bootstrap.split(',').next().context("an empty bootstrap address")?;
    let topics = topic.map(|t| {
        MetadataRequestTopic::default().with_name(Some(TopicName(StrBytes::from_string(t.to_owned()))))
    });
    let request = MetadataRequest::default()
        .with_topics(Some(topics.into_iter().collect()))
        .with_allow_auto_topic_creation(false);
    match Connection::open(first)?.call(ApiKey::Metadata, 9, &RequestKind::Metadata(request))? {
        ResponseKind::Metadata(response) => Ok(response),
        other => bail!("asked for metadata, got {other:?}"),
    }
}

/// Waits until every partition has a leader.
pub(crate) fn leaders(bootstrap: &str, topic: &str, partitions: usize) -> Result<Leaders> {
    let deadline = Instant::now() + READY;
    loop {
        let response = metadata(bootstrap, Some(topic))?;
        let addresses: BTreeMap<i32, String> =
            response.brokers.iter().map(|b| (b.node_id.0, format!("{}:{}", &*b.host, b.port))).collect();
        let mut leaders = Leaders::new();
        for partition in response.topics.iter().flat_map(|t| &t.partitions) {
            if let Some(address) = addresses.get(&partition.leader_id.0)
                && partition.error_code == 0
                && partition.isr_nodes.len() == partition.replica_nodes.len()
            {
                leaders.entry(address.clone()).or_default().push(partition.partition_index);
            }
        }
        if leaders.values().map(Vec::len).sum::<usize>() >= partitions {
            return Ok(leaders);
        }
        if Instant::now() > deadline {
            bail!("{topic} has leaders for {leaders:?} only, after {READY:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A connection to the broker that answers for the controller: kfake insists on being asked there.
fn controller(bootstrap: &str) -> Result<Connection> {
    let response = metadata(bootstrap, None)?;
    let broker = response
        .brokers
        .iter()
        .find(|b| b.node_id == response.controller_id)
        .context("the metadata names no controller")?;
    Connection::open(&format!("{}:{}", &*broker.host, broker.port))
}

pub(crate) fn create_topic(bootstrap: &str, topic: &str, partitions: i32, replication: i16) -> Result<()> {
    let request = CreateTopicsRequest::default().with_timeout_ms(60_000).with_topics(vec![
        CreatableTopic::default()
            .with_name(TopicName(StrBytes::from_string(topic.to_owned())))
            .with_num_partitions(partitions)
            .with_replication_factor(replication),
    ]);
    let response =
        controller(bootstrap)?.call(ApiKey::CreateTopics, 5, &RequestKind::CreateTopics(request))?;
    match response {
        ResponseKind::CreateTopics(r)
            if r.topics.iter().all(|t| [0, REQUEST_TIMED_OUT].contains(&t.error_code)) =>
        {
            Ok(())
        }
        other => bail!("cannot create {topic}: {other:?}"),
    }
}

pub(crate) fn delete_topic(bootstrap: &str, topic: &str) -> Result<()> {
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let request = DeleteTopicsRequest::default().with_timeout_ms(60_000).with_topic_names(vec![name]);
    controller(bootstrap)?.call(ApiKey::DeleteTopics, 4, &RequestKind::DeleteTopics(request))?;
    Ok(())
}
