//! Topics come and go: creation, growth, and the ids that tell a topic from an earlier one of its name (KIP-516).

use std::time::Duration;

use klamm_node::NodeId;
use klamm_wire::messages::create_topics_request::CreatableTopic;
use klamm_wire::messages::fetch_request::{FetchPartition, FetchTopic};
use klamm_wire::messages::metadata_request::MetadataRequestTopic;
use klamm_wire::messages::{
    CreateTopicsRequest, DescribeLogDirsRequest, FetchRequest, MetadataRequest, ResponseKind,
};
use klamm_wire::{ErrorCode, Uuid};
use klamm_world::{Command, LinkSettings, WorldSettings};

use crate::cluster::{Cluster, topic_name};

const CONTROLLER: NodeId = NodeId(WorldSettings::FIRST_CONTROLLER);

fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).expect("a code of Kafka's")
}

/// What a fetch of partition 0 by topic id comes to.
fn fetch_by_id(c: &mut Cluster, broker: i32, id: Uuid) -> ErrorCode {
    let asked = FetchPartition::default()
        .with_partition(0)
        .with_current_leader_epoch(-1)
        .with_last_fetched_epoch(-1)
        .with_partition_max_bytes(1 << 20);
    let request = FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_session_epoch(-1)
        .with_topics(vec![FetchTopic::default().with_topic_id(id).with_partitions(vec![asked])]);
    let sent = c.send(broker, 13, request);
    c.fetched(sent).topics[0].partitions[0].error_code
}

fn create(c: &mut Cluster, partitions: i32, replication: i16) -> ErrorCode {
    let topic = CreatableTopic::default()
        .with_name(topic_name("t"))
        .with_num_partitions(partitions)
        .with_replication_factor(replication);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
    let ResponseKind::CreateTopics(answer) = c.ask(1, 7, request) else { panic!("another answer") };
    code(answer.topics[0].error_code)
}

#[test]
fn a_topic_is_made_once_and_only_where_it_fits() {
    let mut c = Cluster::start(3, &[]);
    assert_eq!(create(&mut c, 1, 4), ErrorCode::InvalidReplicationFactor);
    c.command(Command::Crash(NodeId(3)));
    // A fenced broker may still be given replicas.
    c.run(Duration::from_secs(12));
    assert_eq!(create(&mut c, 1, 3), ErrorCode::None);
    assert_eq!(c.status("t", 0).isr.len(), 2);
    assert_eq!(create(&mut c, 1, 3), ErrorCode::TopicAlreadyExists);
}

#[test]
fn whoever_asks_while_a_topic_is_being_made_waits_for_its_leader() {
    let mut c = Cluster::start(1, &[]);
    c.command(Command::SetLink {
        from: CONTROLLER,
        to: NodeId(1),
        link: LinkSettings { latency: Duration::from_millis(50), jitter: Duration::ZERO },
    });
    let ask = |c: &mut Cluster| {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name("t")));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let ResponseKind::Metadata(answer) = c.ask(1, 12, request) else { panic!("another answer") };
        code(answer.topics[0].error_code)
    };
    // KRaft's brokers know nothing of the topic until they have read of it.
    assert_eq!(ask(&mut c), ErrorCode::UnknownTopicOrPartition);
    c.run(Duration::from_secs(2));
    assert_eq!(ask(&mut c), ErrorCode::None);
}

#[test]
fn a_topic_made_again_is_another_topic() {
    let mut c = Cluster::start(3, &[]);
    c.create_assigned("t", &[1, 2, 3], &[]);
    let old = c.topic_id("t");
    for _ in 0..3 {
        c.produce("t", 0, "old");
    }
    assert_eq!(fetch_by_id(&mut c, 1, old), ErrorCode::None);
    c.command(Command::Crash(NodeId(3)));
    c.delete_topic("t");
    c.run(Duration::from_secs(12));
    assert_eq!(fetch_by_id(&mut c, 1, old), ErrorCode::UnknownTopicId);
    c.create_assigned("t", &[1, 2, 3], &[]);
    let new = c.topic_id("t");
    assert_ne!(new, old);
    assert_eq!(fetch_by_id(&mut c, 1, old), ErrorCode::UnknownTopicId);
    assert_eq!(fetch_by_id(&mut c, 1, new), ErrorCode::None);
    assert_eq!(c.produce("t", 0, "new"), 0);

    // A broker that was away has the records of the old topic, which are none of the new one's.
    c.command(Command::Start(NodeId(3)));
    c.wait_for("all to be in sync", Duration::from_secs(20), |c| c.status("t", 0).isr.len() == 3);
    c.run(Duration::from_secs(1));
    assert_eq!(c.log("t", 3), Some((0, 1, 1)));
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let ResponseKind::DescribeLogDirs(answer) = c.ask(3, 4, request) else { panic!("another answer") };
    let topics: Vec<&str> = answer.results[0].topics.iter().map(|topic| &*topic.name.0).collect();
    assert_eq!(topics, ["t"]);
}

#[test]
fn a_topic_deleted_while_a_broker_is_down_is_gone_from_it_too() {
    let mut c = Cluster::start(3, &[]);
    c.create_assigned("t", &[1, 2, 3], &[]);
    c.produce("t", 0, "v");
    c.command(Command::Crash(NodeId(3)));
    c.delete_topic("t");
    c.command(Command::Start(NodeId(3)));
    c.wait_for("the broker to be ready", Duration::from_secs(20), |c| c.world.is_ready());
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let ResponseKind::DescribeLogDirs(answer) = c.ask(3, 4, request) else { panic!("another answer") };
    assert!(answer.results[0].topics.is_empty(), "{:?}", answer.results[0].topics);
    c.create_assigned("t", &[3, 1, 2], &[]);
    assert_eq!(c.produce("t", 0, "w"), 0);
}
