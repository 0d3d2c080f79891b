//! Creating, growing and deleting topics.

use klamm_wire::messages::create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
use klamm_wire::messages::create_topics_request::CreatableTopicConfig;
use klamm_wire::messages::delete_topics_request::DeleteTopicState;
use klamm_wire::messages::{
    BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest, TopicName,
};
use klamm_wire::{ErrorCode, StrBytes, Uuid};

use crate::harness::{Harness, assignment, creatable, error, ids, spread};

fn create_one(
    h: &mut Harness,
    topic: klamm_wire::messages::create_topics_request::CreatableTopic,
) -> (ErrorCode, String) {
    let response = h.create_topics(CreateTopicsRequest::default().with_topics(vec![topic]));
    assert_eq!(response.topics.len(), 1);
    error(response.topics[0].error_code, &response.topics[0].error_message)
}

#[test]
fn a_new_topic_is_led_by_its_preferred_replicas_in_epoch_0() {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    let result = h.create_topic("orders", 6, 3, &[("min.insync.replicas", "2")]);
    assert_eq!((result.error_code, result.num_partitions, result.replication_factor), (0, 6, 3));
    assert_eq!(result.topic_id, h.topic_id("orders"));
    let configs = result.configs.unwrap();
    let min_isr = configs.iter().find(|config| &*config.name == "min.insync.replicas").unwrap();
    assert_eq!((min_isr.value.as_deref(), min_isr.config_source), (Some("2"), 1));
    for index in 0..6 {
        let partition = h.partition("orders", index);
        assert_eq!(partition.leader, partition.replicas[0]);
        assert_eq!(partition.isr, partition.replicas);
        assert_eq!((partition.leader_epoch, partition.partition_epoch), (0, 0));
        assert_eq!(partition.directories.len(), 3);
    }
}

#[test]
fn replicas_and_leaders_are_spread_evenly() {
    let mut h = Harness::new();
    h.start_brokers(1..=5);
    h.create_topic("t", 50, 3, &[]);
    let lists: Vec<Vec<i32>> = (0..50).map(|index| ids(&h.partition("t", index).replicas)).collect();
    assert!(spread(&lists, Some(0)).values().all(|leads| *leads == 10));
    assert!(spread(&lists, None).values().all(|holds| *holds == 30));
}

#[test]
fn replicas_stand_in_different_racks_while_there_are_enough() {
    let mut h = Harness::new();
    let rack = |broker: i32| ["a", "b", "c"][broker as usize % 3];
    for broker in 1..=6 {
        let request = Harness::registration(broker, 1).with_rack(Some(rack(broker).into()));
        assert_eq!(h.register_broker(request).error_code, 0);
        h.heartbeat(broker);
    }
    h.create_topic("t", 30, 3, &[]);
    for index in 0..30 {
        let mut racks: Vec<&str> = h.partition("t", index).replicas.iter().map(|id| rack(id.0)).collect();
        racks.sort_unstable();
        assert_eq!(racks, ["a", "b", "c"]);
    }
}

#[test]
fn fenced_brokers_get_replicas_but_no_leadership() {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    h.fence(3);
    h.create_topic("t", 9, 3, &[]);
    for index in 0..9 {
        let partition = h.partition("t", index);
        assert_eq!(partition.replicas.len(), 3);
        assert_eq!(partition.isr.len(), 2);
        assert_ne!(partition.leader.0, 3);
    }
}

#[test]
fn defaults_come_from_the_server_properties() {
    let mut h = Harness::with(&[("num.partitions", "4"), ("default.replication.factor", "2")]);
    h.start_brokers(1..=2);
    h.create_topic("t", -1, -1, &[]);
    assert_eq!(h.image().topics.by_name("t").unwrap().partitions.len(), 4);
    assert_eq!(h.partition("t", 3).replicas.len(), 2);
}

#[test]
fn a_topic_is_refused_in_kafkas_words() {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    h.create_topic("foo.bar", 1, 1, &[]);
    h.fence(3);
    let config = |name: &'static str, value: Option<&'static str>| {
        let config = CreatableTopicConfig::default().with_name(name.into()).with_value(value.map(Into::into));
        creatable("t", 1, 1).with_configs(vec![config])
    };
    let manual = |lists: &[(i32, &[i32])]| {
        let assignments = lists.iter().map(|(index, replicas)| assignment(*index, replicas)).collect();
        creatable("t", -1, -1).with_assignments(assignments)
    };
    use ErrorCode as E;
    for (topic, code, message) in [
        (creatable("foo.bar", 1, 1), E::TopicAlreadyExists, "Topic 'foo.bar' already exists."),
        (
            creatable("foo_bar", 1, 1),
            E::InvalidTopicException,
            "Topic 'foo_bar' collides with existing topic: foo.bar",
        ),
        (
            creatable("", 1, 1),
            E::InvalidTopicException,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (creatable("..", 1, 1), E::InvalidTopicException, "Topic name is invalid: '..' is not allowed"),
        (
            creatable("a b", 1, 1),
            E::InvalidTopicException,
            "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'",
        ),
        (
            creatable("t", 0, 1),
            E::InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            creatable("t", 1, 0),
            E::InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            creatable("t", 1, 4),
            E::InvalidReplicationFactor,
            "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot be reached \
             because only 3 broker(s) are registered or some brokers have all their log directories cordoned.",
        ),
        (
            creatable("__cluster_metadata", 1, 1),
            E::InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            config("retention.ms", None),
            E::InvalidConfig,
            "Null value not supported for topic configs: retention.ms",
        ),
        (config("no.such", Some("1")), E::InvalidConfig, "Unknown topic config name: no.such"),
        (
            config("retention.ms", Some("x")),
            E::InvalidConfig,
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
        (
            manual(&[(0, &[1])]).with_num_partitions(1),
            E::InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            manual(&[(0, &[1])]).with_replication_factor(1),
            E::InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            manual(&[(0, &[1, 7])]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            manual(&[(0, &[1, 1])]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            manual(&[(0, &[])]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            manual(&[(0, &[1]), (0, &[2])]),
            E::InvalidReplicaAssignment,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            manual(&[(0, &[1]), (2, &[2])]),
            E::InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            manual(&[(0, &[1, 2]), (1, &[1])]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with \
             previous partitions, which have 2 replica(s).",
        ),
        (
            manual(&[(0, &[3])]),
            E::InvalidReplicaAssignment,
            "All brokers specified in the manual partition assignment for partition 0 are fenced or in controlled \
             shutdown.",
        ),
        (
            creatable("t", 10_001, 1),
            E::PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    ] {
        let end = h.controller.high_watermark();
        assert_eq!(create_one(&mut h, topic), (code, message.to_owned()));
        assert_eq!(h.controller.high_watermark(), end, "a refused topic leaves no record");
    }
}

#[test]
fn validation_alone_creates_nothing() {
    let mut h = Harness::new();
    h.start_brokers(1..=1);
    let request = CreateTopicsRequest::default()
        .with_topics(vec![creatable("t", 2, 1), creatable("u", 1, 9)])
        .with_validate_only(true);
    let response = h.create_topics(request);
    assert_eq!((response.topics[0].error_code, response.topics[0].num_partitions), (0, 2));
    assert_ne!(response.topics[1].error_code, 0);
    assert!(h.image().topics.is_empty());
}

#[test]
fn a_name_given_twice_is_refused_and_the_others_are_created() {
    let mut h = Harness::new();
    h.start_brokers(1..=1);
    let topics = vec![creatable("a", 1, 1), creatable("b", 1, 1), creatable("a", 1, 1)];
    let response = h.create_topics(CreateTopicsRequest::default().with_topics(topics));
    let results: Vec<(String, i16)> =
        response.topics.iter().map(|topic| (topic.name.0.to_string(), topic.error_code)).collect();
    assert_eq!(results, [("b".to_owned(), 0), ("a".to_owned(), ErrorCode::InvalidRequest.code())]);
    assert_eq!(h.image().topics.len(), 1);
}

fn delete(h: &mut Harness, topics: Vec<DeleteTopicState>) -> Vec<(Option<String>, ErrorCode)> {
    let response = h.delete_topics(DeleteTopicsRequest::default().with_topics(topics));
    let result = |result: klamm_wire::messages::delete_topics_response::DeletableTopicResult| {
        (result.name.map(|name| name.0.to_string()), ErrorCode::from_code(result.error_code).unwrap())
    };
    response.responses.into_iter().map(result).collect()
}

fn by_name(name: &'static str) -> DeleteTopicState {
    DeleteTopicState::default().with_name(Some(TopicName(StrBytes::from_static_str(name))))
}

fn by_id(id: Uuid) -> DeleteTopicState {
    DeleteTopicState::default().with_name(None).with_topic_id(id)
}

#[test]
fn topics_are_deleted_by_name_and_by_id_with_their_configuration() {
    let mut h = Harness::new();
    h.start_brokers(1..=1);
    h.create_topic("a", 1, 1, &[("retention.ms", "1")]);
    h.create_topic("b", 1, 1, &[]);
    h.create_topic("c", 1, 1, &[]);
    let b = h.topic_id("b");
    let c = h.topic_id("c");
    let results = delete(
        &mut h,
        vec![
            by_name("a"),
            by_id(b),
            by_name("no"),
            by_id(Uuid::from_u128(77)),
            by_name("c"),
            by_id(c),
            by_id(Uuid::nil()),
        ],
    );
    let sorted = |mut results: Vec<_>| {
        results.sort();
        results
    };
    use ErrorCode as E;
    let name = |name: &str| Some(name.to_owned());
    assert_eq!(
        sorted(results),
        sorted(vec![
            (name("a"), E::None),
            (name("b"), E::None),
            (name("no"), E::UnknownTopicOrPartition),
            (None, E::UnknownTopicId),
            (name("c"), E::InvalidRequest),
            (None, E::InvalidRequest),
        ])
    );
    assert_eq!(h.image().topics.len(), 1);
    assert_eq!(h.image().configs.iter().len(), 0);
    // A topic of the same name is another topic, without the old one's configuration.
    h.create_topic("b", 1, 1, &[]);
    assert_ne!(h.topic_id("b"), b);
}

#[test]
fn deletion_can_be_switched_off() {
    let mut h = Harness::with(&[("delete.topic.enable", "false")]);
    h.start_brokers(1..=1);
    h.create_topic("a", 1, 1, &[]);
    assert_eq!(
        delete(&mut h, vec![by_name("a")]),
        [(Some("a".to_owned()), ErrorCode::TopicDeletionDisabled)]
    );
    assert_eq!(h.image().topics.len(), 1);
}

fn grow(
    h: &mut Harness,
    name: &'static str,
    count: i32,
    assignments: Option<&[&[i32]]>,
) -> (ErrorCode, String) {
    let assignments = assignments.map(|lists| {
        lists
            .iter()
            .map(|replicas| {
                CreatePartitionsAssignment::default()
                    .with_broker_ids(replicas.iter().copied().map(BrokerId).collect())
            })
            .collect()
    });
    let topic = CreatePartitionsTopic::default()
        .with_name(TopicName(StrBytes::from_static_str(name)))
        .with_count(count)
        .with_assignments(assignments);
    let response = h.create_partitions(CreatePartitionsRequest::default().with_topics(vec![topic]));
    error(response.results[0].error_code, &response.results[0].error_message)
}

#[test]
fn a_topic_grows() {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    h.create_topic("t", 2, 2, &[]);
    assert_eq!(grow(&mut h, "t", 5, None), (ErrorCode::None, String::new()));
    assert_eq!(h.image().topics.by_name("t").unwrap().partitions.len(), 5);
    assert_eq!(h.partition("t", 4).replicas.len(), 2);
    assert_eq!(grow(&mut h, "t", 6, Some(&[&[3, 1]])).0, ErrorCode::None);
    assert_eq!(ids(&h.partition("t", 5).replicas), [3, 1]);

    use ErrorCode as E;
    for (name, count, assignments, code, message) in [
        ("t", 6, None, E::InvalidPartitions, "Topic already has 6 partition(s)."),
        (
            "t",
            2,
            None,
            E::InvalidPartitions,
            "The topic t currently has 6 partition(s); 2 would not be an increase.",
        ),
        (
            "t",
            8,
            Some(&[&[1, 2][..]][..]),
            E::InvalidReplicaAssignment,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            "t",
            7,
            Some(&[&[1][..]][..]),
            E::InvalidReplicaAssignment,
            "The manual partition assignment includes a partition with 1 replica(s), but this is not consistent with \
             previous partitions, which have 2 replica(s).",
        ),
        ("t", i32::MAX, None, E::PolicyViolation, "Unable to perform excessively large batch operation."),
        ("no", 3, None, E::UnknownTopicOrPartition, ""),
    ] {
        assert_eq!(grow(&mut h, name, count, assignments), (code, message.to_owned()));
    }
    assert_eq!(h.image().topics.by_name("t").unwrap().partitions.len(), 6);
}

#[test]
fn ten_thousand_partitions_are_created_in_one_request() {
    let mut h = Harness::new();
    h.start_brokers(1..=3);
    // With the topic's own record, 10,000 partitions are one record too many, as in Kafka.
    assert_eq!(create_one(&mut h, creatable("t", 10_000, 3)).0, ErrorCode::PolicyViolation);
    assert_eq!(create_one(&mut h, creatable("t", 9_999, 3)).0, ErrorCode::None);
    h.fence(1);
    let topic = h.image().topics.by_name("t").unwrap();
    assert!(topic.partitions.iter().all(|partition| partition.isr.len() == 2 && partition.leader.0 != 1));
}
