//! Dynamic configuration.

use klamm_metadata::{ConfigResource, ConfigResourceKind};
use klamm_node::NodeId;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::{AlterConfigsRequest, IncrementalAlterConfigsRequest, alter_configs_request};
use klamm_wire::{ErrorCode, StrBytes};

use crate::harness::{Harness, error};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn resource(kind: ConfigResourceKind, name: &str, ops: &[(&str, i8, Option<&str>)]) -> AlterConfigsResource {
    let config = |(key, op, value): &(&str, i8, Option<&str>)| {
        AlterableConfig::default().with_name(text(key)).with_config_operation(*op).with_value(value.map(text))
    };
    AlterConfigsResource::default()
        .with_resource_type(kind.code())
        .with_resource_name(text(name))
        .with_configs(ops.iter().map(config).collect())
}

fn alter(h: &mut Harness, resource: AlterConfigsResource) -> (ErrorCode, String) {
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let response = h.incremental_alter_configs(request);
    error(response.responses[0].error_code, &response.responses[0].error_message)
}

fn alter_topic(h: &mut Harness, topic: &str, ops: &[(&str, i8, Option<&str>)]) -> (ErrorCode, String) {
    alter(h, resource(ConfigResourceKind::Topic, topic, ops))
}

pub fn set_topic(h: &mut Harness, topic: &str, key: &str, value: &str) {
    assert_eq!(alter_topic(h, topic, &[(key, SET, Some(value))]).0, ErrorCode::None);
}

fn value(h: &Harness, topic: &'static str, key: &str) -> Option<String> {
    h.image().configs.value(&ConfigResource::topic(topic), key).map(ToString::to_string)
}

fn cluster() -> Harness {
    let mut h = Harness::new();
    h.start_brokers(1..=2);
    h.create_topic("t", 1, 2, &[("cleanup.policy", "compact")]);
    h
}

#[test]
fn keys_are_set_deleted_appended_and_subtracted() {
    let mut h = cluster();
    set_topic(&mut h, "t", "retention.ms", "1000");
    assert_eq!(value(&h, "t", "retention.ms").unwrap(), "1000");
    alter_topic(&mut h, "t", &[("retention.ms", DELETE, None), ("cleanup.policy", APPEND, Some("delete"))]);
    assert_eq!(value(&h, "t", "retention.ms"), None);
    assert_eq!(value(&h, "t", "cleanup.policy").unwrap(), "compact,delete");
    alter_topic(&mut h, "t", &[("cleanup.policy", SUBTRACT, Some("compact"))]);
    assert_eq!(value(&h, "t", "cleanup.policy").unwrap(), "delete");
}

#[test]
fn a_change_is_refused_in_kafkas_words() {
    let mut h = cluster();
    use ConfigResourceKind as K;
    use ErrorCode as E;
    for (kind, name, op, code, message) in [
        (
            K::Topic,
            "no",
            ("retention.ms", SET, Some("1")),
            E::UnknownTopicOrPartition,
            "The topic 'no' does not exist.",
        ),
        (
            K::Topic,
            "",
            ("retention.ms", SET, Some("1")),
            E::InvalidRequest,
            "Default topic resources are not allowed.",
        ),
        (
            K::Topic,
            "t",
            ("retention.mss", SET, Some("1")),
            E::InvalidConfig,
            "Unknown topic config name: retention.mss",
        ),
        (
            K::Topic,
            "t",
            ("min.insync.replicas", SET, Some("0")),
            E::InvalidConfig,
            "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
        ),
        (
            K::Topic,
            "t",
            ("retention.ms", APPEND, Some("1")),
            E::InvalidConfig,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            K::Broker,
            "x",
            ("log.retention.ms", SET, Some("1")),
            E::InvalidRequest,
            "Node id must be an integer, but it is: x",
        ),
        (
            K::Broker,
            "7",
            ("log.retention.ms", SET, Some("1")),
            E::InvalidRequest,
            "Unexpected broker id, expected 1, but received 7",
        ),
        (
            K::Broker,
            "1",
            ("log.retention.ms", SET, Some("x")),
            E::InvalidRequest,
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            K::Broker,
            "1",
            ("log.retention.ms", APPEND, Some("1")),
            E::InvalidConfig,
            "Config value append is not allowed for config key: log.retention.ms",
        ),
        (
            K::Topic,
            "t",
            ("retention.ms", SET, None),
            E::InvalidRequest,
            "Null value not supported for : retention.ms",
        ),
    ] {
        let end = h.controller.high_watermark();
        assert_eq!(alter(&mut h, resource(kind, name, &[op])), (code, message.to_owned()));
        assert_eq!(h.controller.high_watermark(), end);
    }
    let twice = [("retention.ms", SET, Some("1")), ("retention.ms", DELETE, None)];
    let twice = alter(&mut h, resource(K::Topic, "t", &twice));
    assert_eq!(twice, (E::InvalidRequest, "Error due to duplicate config keys".to_owned()));
    let mut unknown = resource(K::Topic, "t", &[]);
    unknown.resource_type = 77;
    assert_eq!(alter(&mut h, unknown), (E::InvalidRequest, "Unknown resource type 77".to_owned()));
}

#[test]
fn the_brokers_default_reaches_the_controllers_own_decisions() {
    let mut h = cluster();
    h.fence(2);
    h.heartbeat(2);
    h.fence(1);
    let change =
        resource(ConfigResourceKind::Broker, "", &[("unclean.leader.election.enable", SET, Some("true"))]);
    assert_eq!(alter(&mut h, change).0, ErrorCode::None);
    assert_eq!(h.partition("t", 0).leader.0, -1);
    // The next thing that happens to the partition sees the new default.
    let request = h.heartbeat_of(2).with_want_fence(true);
    h.broker_heartbeat(request);
    h.heartbeat(2);
    assert_eq!(h.partition("t", 0).leader, NodeId(2));
    let mut h = h.restart(true);
    h.create_topic("u", 1, 2, &[]);
    h.heartbeat(1);
    assert_eq!(h.image().configs.iter().len(), 2);
}

#[test]
fn resources_fail_one_by_one_and_validation_alone_changes_nothing() {
    let mut h = cluster();
    let set = |name| resource(ConfigResourceKind::Topic, name, &[("retention.ms", SET, Some("5"))]);
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![set("t"), set("no")])
        .with_validate_only(true);
    let codes: Vec<i16> = h
        .incremental_alter_configs(request.clone())
        .responses
        .iter()
        .map(|response| response.error_code)
        .collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code()]);
    assert_eq!(value(&h, "t", "retention.ms"), None);
    h.incremental_alter_configs(request.with_validate_only(false));
    assert_eq!(value(&h, "t", "retention.ms").unwrap(), "5");

    let twice = IncrementalAlterConfigsRequest::default().with_resources(vec![set("t"), set("t")]);
    let response = h.incremental_alter_configs(twice);
    assert_eq!(response.responses.len(), 2);
    assert_eq!(
        error(response.responses[1].error_code, &response.responses[1].error_message),
        (ErrorCode::InvalidRequest, "Each resource must appear at most once.".to_owned())
    );
}

#[test]
fn the_older_api_replaces_the_whole_configuration() {
    let mut h = cluster();
    set_topic(&mut h, "t", "retention.ms", "1000");
    let config = alter_configs_request::AlterableConfig::default()
        .with_name(text("segment.ms"))
        .with_value(Some(text("60000")));
    let resource = alter_configs_request::AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(text("t"))
        .with_configs(vec![config]);
    let response = h.alter_configs(AlterConfigsRequest::default().with_resources(vec![resource]));
    assert_eq!(response.responses[0].error_code, 0);
    let keys = h.image().configs.get(&ConfigResource::topic("t")).unwrap();
    assert_eq!(keys.keys().map(|key| key.to_string()).collect::<Vec<_>>(), ["segment.ms"]);
}

#[test]
fn with_elr_min_isr_is_the_clusters_and_a_change_forgets_who_was_eligible() {
    let mut h = Harness::with_elr(&[("min.insync.replicas", "2")]);
    let cluster_wide = h.image().configs.value(&ConfigResource::broker_default(), "min.insync.replicas");
    assert_eq!(cluster_wide.map(|value| value.to_string()), Some("2".to_owned()));
    h.start_brokers(1..=2);
    h.create_assigned("t", &[1, 2], &[]);
    h.fence(2);
    assert_eq!(h.partition("t", 0).elr, [NodeId(2)]);
    let before = h.partition("t", 0).partition_epoch;
    set_topic(&mut h, "t", "min.insync.replicas", "1");
    assert_eq!(h.partition("t", 0).elr, []);
    assert_eq!(h.partition("t", 0).partition_epoch, before + 1);

    let own = resource(ConfigResourceKind::Broker, "1", &[("min.insync.replicas", SET, Some("1"))]);
    assert_eq!(alter(&mut h, own).0, ErrorCode::InvalidConfig);
    let gone = resource(ConfigResourceKind::Broker, "", &[("min.insync.replicas", DELETE, None)]);
    assert_eq!(alter(&mut h, gone).0, ErrorCode::InvalidConfig);
}
