//! Metadata and DescribeTopicPartitions.

use klamm_wire::Uuid;
use klamm_wire::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{DescribeTopicPartitionsRequest, MetadataRequest};

use crate::Session;
use crate::session::topic;

fn by_name(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic(name)))
}

fn about(names: &[&str]) -> MetadataRequest {
    MetadataRequest::default()
        .with_topics(Some(names.iter().map(|name| by_name(name)).collect()))
        .with_allow_auto_topic_creation(true)
}

fn without_creation(names: &[&str], version: i16) -> MetadataRequest {
    about(names).with_allow_auto_topic_creation(version < 4)
}

fn by_id(id: Uuid) -> MetadataRequest {
    let asked = MetadataRequestTopic::default().with_topic_id(id).with_name(None);
    MetadataRequest::default().with_topics(Some(vec![asked]))
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    let id = s.create("metadata-a", &[&[1, 2, 3], &[2, 3, 1]], &[])?;
    s.create("metadata-b", &[&[3]], &[])?;
    s.on(1);
    s.all("a topic", |_| about(&["metadata-a"]))?;
    s.all("two topics", |_| about(&["metadata-b", "metadata-a"]))?;
    s.all("a topic twice", |_| about(&["metadata-b", "metadata-b"]))?;
    s.each("no topic", 1..=13, |_| about(&[]))?;
    s.each("an unknown topic, not to be created", 4..=13, |v| without_creation(&["metadata-none"], v))?;
    for name in ["", ".", "..", "a b", "ä", &"x".repeat(250), "__consumer_offsetz!"] {
        let label = if name.len() > 100 { "250 letters" } else { name };
        s.all(&format!("an invalid name: {label:?}"), |_| about(&[name]))?;
        s.each(&format!("an invalid name, not to be created: {label:?}"), 4..=13, |v| {
            without_creation(&[name], v)
        })?;
    }
    s.each("a good one and a bad one", 4..=13, |v| {
        without_creation(&["metadata-a", "metadata-none", "a b"], v)
    })?;
    s.each("a topic by id", 10..=13, |_| by_id(id))?;
    s.each("an unknown id", 10..=13, |_| by_id(Uuid::from_u128(7)))?;
    s.each("a null id and no name", 10..=13, |_| by_id(Uuid::nil()))?;
    s.each("an id and a name", 10..=13, |_| {
        let asked = by_name("metadata-a").with_topic_id(id);
        MetadataRequest::default().with_topics(Some(vec![asked]))
    })?;
    s.each("an id and another topic's name", 10..=13, |_| {
        let asked = by_name("metadata-b").with_topic_id(id);
        MetadataRequest::default().with_topics(Some(vec![asked]))
    })?;
    s.each("one by name, one by id", 10..=13, |_| {
        let mut request = by_id(id);
        request.topics.get_or_insert_default().push(by_name("metadata-b"));
        request
    })?;
    s.each("a null name", 10..=13, |_| {
        MetadataRequest::default().with_topics(Some(vec![MetadataRequestTopic::default().with_name(None)]))
    })?;
    s.each("a topic's operations", 8..=13, |_| {
        about(&["metadata-b"]).with_include_topic_authorized_operations(true)
    })?;
    s.each("the cluster's operations", 8..=10, |_| {
        about(&["metadata-b"]).with_include_cluster_authorized_operations(true)
    })?;
    let request = MetadataRequest::default().with_topics(None);
    for version in [1, 8, 13] {
        let mut answer = s.quiet(version, &request)?;
        answer.topics.retain(|found| found.name.as_ref().is_some_and(|name| name.0.starts_with("metadata-")));
        s.note(&format!("every topic, v{version}"), &answer);
    }
    let mut answer = s.quiet(0, &about(&[]))?;
    answer.topics.retain(|found| found.name.as_ref().is_some_and(|name| name.0.starts_with("metadata-")));
    s.note("every topic, v0", &answer);

    s.at("a topic created by being asked for", 8, about(&["metadata-new"]))?;
    s.settle("metadata-new")?;
    s.at("and once it is there", 8, about(&["metadata-new"]))?;
    s.at("one that collides with another", 8, about(&["metadata_new", "metadata.new"]))?;
    s.at(
        "the offsets topic before it is there, not to be created",
        8,
        without_creation(&["__share_group_state"], 8),
    )?;
    partitions(s)
}

fn partitions(s: &mut Session) -> anyhow::Result<()> {
    s.create("partitions-a", &[&[1], &[2], &[3]], &[])?;
    s.create("partitions-b", &[&[1, 2, 3], &[2, 1, 3]], &[])?;
    s.on(1);
    let ask = |names: &[&str], limit: i32, cursor: Option<(&str, i32)>| {
        DescribeTopicPartitionsRequest::default()
            .with_topics(names.iter().map(|name| TopicRequest::default().with_name(topic(name))).collect())
            .with_response_partition_limit(limit)
            .with_cursor(cursor.map(|(name, index)| {
                Cursor::default().with_topic_name(topic(name)).with_partition_index(index)
            }))
    };
    let both = &["partitions-b", "partitions-a"][..];
    s.newest("partitions", ask(both, 2000, None))?;
    s.newest("partitions: one topic twice", ask(&["partitions-a", "partitions-a"], 2000, None))?;
    s.newest("partitions: at most two", ask(both, 2, None))?;
    s.newest("partitions: at most three", ask(both, 3, None))?;
    s.newest("partitions: at most none", ask(both, 0, None))?;
    s.newest("partitions: fewer than none", ask(both, -1, None))?;
    s.newest("partitions: from a cursor", ask(both, 2, Some(("partitions-a", 1))))?;
    s.newest("partitions: from a cursor behind the last", ask(both, 2, Some(("partitions-a", 3))))?;
    s.newest("partitions: from a cursor at a negative index", ask(both, 2, Some(("partitions-a", -1))))?;
    s.newest("partitions: from a cursor between topics", ask(both, 9, Some(("partitions-aa", 5))))?;
    s.newest("partitions: from a cursor behind all", ask(both, 9, Some(("partitions-z", 0))))?;
    s.newest("partitions: an unknown topic", ask(&["partitions-none", "partitions-a"], 9, None))?;
    s.newest("partitions: an invalid name", ask(&["a b", ""], 9, None))?;
    Ok(())
}
