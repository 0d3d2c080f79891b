//! A cluster that creates nothing by itself, deletes nothing, and has other defaults.

use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::describe_configs_request::DescribeConfigsResource;
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeConfigsRequest, MetadataRequest,
};

use super::records::{THEN, To, batch};
use crate::Session;
use crate::session::{text, topic};
use klamm_wire::{BatchBuilder, Uuid};

/// What the cluster is started with.
pub(super) const PROPERTIES: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("delete.topic.enable", "false"),
    ("num.partitions", "3"),
    ("default.replication.factor", "2"),
    ("min.insync.replicas", "2"),
    ("log.retention.hours", "5"),
    ("message.max.bytes", "500"),
    ("compression.type", "gzip"),
];

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.all("an unknown topic", |_| {
        let asked = MetadataRequestTopic::default().with_name(Some(topic("strict-none")));
        MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(true)
    })?;
    s.at("produce to it", 12, To("strict-none", Uuid::nil()).produce(12, 1, 0, Some(batch(1).to_bytes())))?;
    let plain = CreatableTopic::default()
        .with_name(topic("strict-a"))
        .with_num_partitions(-1)
        .with_replication_factor(-1);
    let create = CreateTopicsRequest::default().with_topics(vec![plain]).with_timeout_ms(30_000);
    s.at("a topic of defaults", 7, create)?;
    let id = s.settle("strict-a")?;
    s.all("delete it", |v| {
        let request = DeleteTopicsRequest::default().with_timeout_ms(30_000);
        if v < 6 {
            return request.with_topic_names(vec![topic("strict-a")]);
        }
        let named = klamm_wire::messages::delete_topics_request::DeleteTopicState::default();
        request.with_topics(vec![named.with_name(Some(topic("strict-a")))])
    })?;
    let resource = DescribeConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("strict-a"))
        .with_configuration_keys(None);
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    s.at("its configs", 4, request)?;
    let leader = s.metadata("strict-a")?.topics.first().and_then(|topic| {
        topic
            .partitions
            .iter()
            .find(|partition| partition.partition_index == 0)
            .map(|found| found.leader_id.0)
    });
    s.on(leader.unwrap_or(1));
    let a = To("strict-a", id);
    a.send(s, "a small batch", batch(1).to_bytes())?;
    let mut large = BatchBuilder::new();
    large.push(THEN, None, Some(&[b'x'; 600]), &[]);
    a.send(s, "a batch that is small once compressed", large.build()?.to_bytes())?;
    let noise: Vec<u8> = (0..600_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let mut larger = BatchBuilder::new();
    larger.push(THEN, None, Some(&noise), &[]);
    a.send(s, "a batch that is large", larger.build()?.to_bytes())?;
    Ok(())
}
