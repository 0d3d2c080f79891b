//! DescribeConfigs, IncrementalAlterConfigs, AlterConfigs.

use klamm_wire::messages::alter_configs_request::{
    AlterConfigsResource as LegacyResource, AlterableConfig as LegacyConfig,
};
use klamm_wire::messages::describe_configs_request::DescribeConfigsResource;
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::{AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest};

use crate::Session;
use crate::session::text;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn of(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

type LegacyChange<'a> = (&'a str, Option<&'a str>);
type Change<'a> = (i8, &'a str, Option<&'a str>);

fn resource(resource_type: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    let configs = changes
        .iter()
        .map(|(operation, key, value)| {
            AlterableConfig::default()
                .with_config_operation(*operation)
                .with_name(text(key))
                .with_value(value.map(text))
        })
        .collect();
    AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(text(name))
        .with_configs(configs)
}

fn change(resource_type: i8, name: &str, changes: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource(resource_type, name, changes)])
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.create("configs-a", &[&[1]], &[("retention.ms", "1000"), ("cleanup.policy", "compact")])?;
    s.on(1);
    s.all("a topic", |_| of(TOPIC, "configs-a", None))?;
    s.all("a topic, with synonyms", |_| of(TOPIC, "configs-a", None).with_include_synonyms(true))?;
    s.all("some keys of a topic", |_| of(TOPIC, "configs-a", Some(&["retention.ms", "no.such.key"])))?;
    s.all("no keys of a topic", |_| of(TOPIC, "configs-a", Some(&[])))?;
    s.all("an unknown topic", |_| of(TOPIC, "configs-none", None))?;
    s.all("an invalid topic", |_| of(TOPIC, "a b", None))?;
    s.all("an empty topic name", |_| of(TOPIC, "", None))?;
    for (label, kind, name) in [
        ("a resource type of 0", 0, "x"),
        ("a resource type of 1", 1, "x"),
        ("a resource type of 99", 99, "x"),
        ("another broker", BROKER, "2"),
        ("a broker that is not there", BROKER, "9"),
        ("a broker called x", BROKER, "x"),
    ] {
        s.at(label, 4, of(kind, name, None))?;
    }
    s.at("brokers of the whole cluster", 4, of(BROKER, "", None).with_include_synonyms(true))?;
    // Kafka has keys that klamm does not honour; those that both have must look alike.
    for (label, synonyms) in [("a broker's keys", false), ("a broker's keys, with synonyms", true)] {
        let mut answer = s.quiet(4, &of(BROKER, "1", Some(BROKER_KEYS)).with_include_synonyms(synonyms))?;
        answer.results.iter_mut().for_each(|result| result.configs.sort_by(|a, b| a.name.cmp(&b.name)));
        s.note(label, &answer);
    }
    s.at("broker loggers", 4, of(8, "1", Some(&["root"])))?;
    topics(s)?;
    brokers(s)?;
    legacy(s)
}

/// Keys of a broker whose defaults are Kafka's.
const BROKER_KEYS: &[&str] = &[
    "auto.create.topics.enable",
    "auto.leader.rebalance.enable",
    "broker.heartbeat.interval.ms",
    "broker.session.timeout.ms",
    "compression.type",
    "connections.max.idle.ms",
    "default.replication.factor",
    "delete.topic.enable",
    "fetch.max.bytes",
    "group.max.session.timeout.ms",
    "group.min.session.timeout.ms",
    "log.cleaner.delete.retention.ms",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.message.timestamp.type",
    "log.retention.bytes",
    "log.retention.hours",
    "log.retention.minutes",
    "log.retention.ms",
    "log.roll.hours",
    "log.roll.ms",
    "log.segment.bytes",
    "message.max.bytes",
    "min.insync.replicas",
    "num.partitions",
    "offset.metadata.max.bytes",
    "offsets.retention.minutes",
    "replica.lag.time.max.ms",
    "socket.request.max.bytes",
    "unclean.leader.election.enable",
];

fn topics(s: &mut Session) -> anyhow::Result<()> {
    let cases: &[(&str, &[Change<'_>])] = &[
        ("set", &[(SET, "retention.ms", Some("2000"))]),
        ("set null", &[(SET, "retention.ms", None)]),
        ("set what is no number", &[(SET, "retention.ms", Some("x"))]),
        ("set what is too small", &[(SET, "retention.ms", Some("-2"))]),
        ("set an unknown key", &[(SET, "no.such.key", Some("1"))]),
        ("set an empty key", &[(SET, "", Some("1"))]),
        ("delete", &[(DELETE, "retention.ms", None)]),
        ("delete with a value", &[(DELETE, "retention.ms", Some("1"))]),
        ("delete what is not set", &[(DELETE, "segment.ms", None)]),
        ("delete an unknown key", &[(DELETE, "no.such.key", None)]),
        ("append", &[(APPEND, "cleanup.policy", Some("delete"))]),
        ("append what is there", &[(APPEND, "cleanup.policy", Some("compact"))]),
        ("append what is not valid", &[(APPEND, "cleanup.policy", Some("sweep"))]),
        ("append null", &[(APPEND, "cleanup.policy", None)]),
        ("append to what is no list", &[(APPEND, "retention.ms", Some("1"))]),
        ("append to an unknown key", &[(APPEND, "no.such.key", Some("1"))]),
        ("subtract", &[(SUBTRACT, "cleanup.policy", Some("compact"))]),
        ("subtract what is not there", &[(SUBTRACT, "cleanup.policy", Some("delete"))]),
        ("subtract from what is no list", &[(SUBTRACT, "retention.ms", Some("1"))]),
        ("an unknown operation", &[(9, "retention.ms", Some("1"))]),
        ("a key twice", &[(SET, "retention.ms", Some("1")), (SET, "retention.ms", Some("2"))]),
        ("a key set and deleted", &[(SET, "retention.ms", Some("1")), (DELETE, "retention.ms", None)]),
        ("nothing", &[]),
        ("two of which one is wrong", &[(SET, "retention.ms", Some("1")), (SET, "segment.ms", Some("x"))]),
        ("min.insync.replicas 0", &[(SET, "min.insync.replicas", Some("0"))]),
        ("min.insync.replicas 9", &[(SET, "min.insync.replicas", Some("9"))]),
    ];
    for (label, changes) in cases {
        s.all(&format!("validate: {label}"), |_| {
            change(TOPIC, "configs-a", changes).with_validate_only(true)
        })?;
    }
    s.all("validate: an unknown topic", |_| {
        change(TOPIC, "configs-none", &[(SET, "retention.ms", Some("1"))]).with_validate_only(true)
    })?;
    for (label, name) in [("an invalid topic", "a b"), ("an empty topic", "")] {
        s.at(
            &format!("validate: {label}"),
            1,
            change(TOPIC, name, &[(SET, "retention.ms", Some("1"))]).with_validate_only(true),
        )?;
    }
    let same = resource(TOPIC, "configs-a", &[(SET, "retention.ms", Some("1"))]);
    let request = IncrementalAlterConfigsRequest::default()
        .with_resources(vec![same.clone(), same])
        .with_validate_only(true);
    s.at("validate: a resource twice", 1, request)?;
    s.at("validate: no resources", 1, IncrementalAlterConfigsRequest::default().with_validate_only(true))?;
    for kind in [0, 1, 99] {
        s.at(
            &format!("validate: a resource of type {kind}"),
            1,
            change(kind, "x", &[(SET, "retention.ms", Some("1"))]).with_validate_only(true),
        )?;
    }
    s.newest(
        "set in earnest",
        change(
            TOPIC,
            "configs-a",
            &[
                (SET, "segment.ms", Some(" 7000 ")),
                (DELETE, "retention.ms", None),
                (APPEND, "cleanup.policy", Some("delete")),
            ],
        ),
    )?;
    shown(s, "what was set", "configs-a", &["segment.ms", "retention.ms", "cleanup.policy"], "7000")?;
    s.newest(
        "subtract in earnest",
        change(
            TOPIC,
            "configs-a",
            &[(SUBTRACT, "cleanup.policy", Some("compact,delete")), (SET, "segment.ms", Some("8000"))],
        ),
    )?;
    shown(s, "what is left", "configs-a", &["segment.ms", "cleanup.policy"], "8000")
}

/// Records some keys once the broker shows `segment.ms` to be `until`.
fn shown(s: &mut Session, label: &str, name: &str, keys: &[&str], until: &str) -> anyhow::Result<()> {
    let request = of(TOPIC, name, Some(keys)).with_include_synonyms(true);
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let answer = s.quiet(4, &request).ok()?;
        let configs = &answer.results.first()?.configs;
        configs
            .iter()
            .any(|config| config.value.as_ref().is_some_and(|value| value.trim() == until))
            .then_some(())
    });
    s.newest(label, request).map(drop)
}

fn brokers(s: &mut Session) -> anyhow::Result<()> {
    let cases: &[(&str, &str, &[Change<'_>])] = &[
        ("one broker", "1", &[(SET, "log.retention.ms", Some("100000"))]),
        ("every broker", "", &[(SET, "log.retention.ms", Some("100000"))]),
        ("no number", "", &[(SET, "log.retention.ms", Some("x"))]),
        ("too small", "1", &[(SET, "min.insync.replicas", Some("0"))]),
        ("a key of one broker only, everywhere", "", &[(SET, "listeners", Some("PLAINTEXT://:1"))]),
        ("a key that is read at start", "1", &[(SET, "broker.session.timeout.ms", Some("1000"))]),
        ("a key that is read at start, everywhere", "", &[(SET, "auto.create.topics.enable", Some("false"))]),
        ("an unknown key", "1", &[(SET, "no.such.key", Some("1"))]),
        ("a broker that is not there", "9", &[(SET, "log.retention.ms", Some("1"))]),
        ("a broker called x", "x", &[(SET, "log.retention.ms", Some("1"))]),
        ("delete", "1", &[(DELETE, "log.retention.ms", None)]),
    ];
    for (label, name, changes) in cases {
        s.at(
            &format!("validate brokers: {label}"),
            1,
            change(BROKER, name, changes).with_validate_only(true),
        )?;
    }
    let key = "log.index.interval.bytes";
    for (label, name, value) in [("every broker", "", Some("5000")), ("one broker", "1", Some("6000"))] {
        s.newest(&format!("set in earnest: {label}"), change(BROKER, name, &[(SET, key, value)]))?;
        told(s, &format!("told: {label}"), key, value)?;
    }
    s.newest("what every broker has now", of(BROKER, "", None).with_include_synonyms(true))?;
    s.newest(
        "what a topic has now",
        of(TOPIC, "configs-a", Some(&["index.interval.bytes"])).with_include_synonyms(true),
    )?;
    s.newest("deleted from one broker", change(BROKER, "1", &[(DELETE, key, None)]))?;
    told(s, "told: every broker again", key, Some("5000"))?;
    s.newest("deleted from every broker", change(BROKER, "", &[(DELETE, key, None)]))?;
    told(s, "told: the default", key, Some("4096"))
}

/// Records a key of broker 1 once it has a value.
fn told(s: &mut Session, label: &str, key: &str, until: Option<&str>) -> anyhow::Result<()> {
    let request = of(BROKER, "1", Some(&[key])).with_include_synonyms(true);
    klamm_tests::wait_until(klamm_tests::PATIENCE, || {
        let answer = s.quiet(4, &request).ok()?;
        (answer.results.first()?.configs.first()?.value.as_deref() == until).then_some(())
    });
    s.newest(label, request).map(drop)
}

fn legacy(s: &mut Session) -> anyhow::Result<()> {
    let of = |name: &str, configs: &[(&str, Option<&str>)]| {
        let configs = configs
            .iter()
            .map(|(key, value)| LegacyConfig::default().with_name(text(key)).with_value(value.map(text)))
            .collect();
        let resource = LegacyResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(text(name))
            .with_configs(configs);
        AlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(true)
    };
    let cases: &[(&str, &str, &[LegacyChange<'_>])] = &[
        ("one key", "configs-a", &[("retention.ms", Some("3000"))]),
        ("nothing", "configs-a", &[]),
        ("null", "configs-a", &[("retention.ms", None)]),
        ("no number", "configs-a", &[("retention.ms", Some("x"))]),
        ("an unknown key", "configs-a", &[("no.such.key", Some("x"))]),
        ("a key twice", "configs-a", &[("retention.ms", Some("1")), ("retention.ms", Some("2"))]),
        ("an unknown topic", "configs-none", &[("retention.ms", Some("1"))]),
    ];
    for (label, name, configs) in cases {
        s.all(&format!("AlterConfigs: {label}"), |_| of(name, configs))?;
    }
    s.newest(
        "AlterConfigs: in earnest",
        of("configs-a", &[("segment.ms", Some("9000"))]).with_validate_only(false),
    )?;
    shown(
        s,
        "all that AlterConfigs left",
        "configs-a",
        &["segment.ms", "retention.ms", "cleanup.policy"],
        "9000",
    )
}
