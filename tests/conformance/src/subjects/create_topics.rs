//! CreateTopics: what may be created, and what is said about the rest.

use klamm_wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use klamm_wire::messages::{BrokerId, CreateTopicsRequest};

use crate::Session;
use crate::session::{text, topic};

fn plain(name: &str, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(topic(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
}

/// A partition and its brokers.
type Assigned<'a> = (i32, &'a [i32]);

fn assigned(name: &str, partitions: &[Assigned<'_>]) -> CreatableTopic {
    plain(name, -1, -1).with_assignments(
        partitions
            .iter()
            .map(|(index, brokers)| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(*index)
                    .with_broker_ids(brokers.iter().copied().map(BrokerId).collect())
            })
            .collect(),
    )
}

fn configured(name: &str, configs: &[(&str, Option<&str>)]) -> CreatableTopic {
    plain(name, 1, 1).with_configs(
        configs
            .iter()
            .map(|(key, value)| {
                CreatableTopicConfig::default().with_name(text(key)).with_value(value.map(text))
            })
            .collect(),
    )
}

fn request(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(30_000)
}

fn validate(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    request(topics).with_validate_only(true)
}

pub(super) fn run(s: &mut Session) -> anyhow::Result<()> {
    s.newest("a topic", request(vec![plain("create-a", 2, 3)]))?;
    s.settle("create-a")?;
    s.all("one that exists", |_| request(vec![plain("create-a", 2, 3)]))?;
    s.all("one that exists, validated only", |_| validate(vec![plain("create-a", 2, 3)]))?;
    s.all("a topic, validated only", |_| validate(vec![plain("create-b", 2, 2)]))?;
    s.all("the defaults, validated only", |_| validate(vec![plain("create-b", -1, -1)]))?;
    s.all("the same name twice", |_| request(vec![plain("create-b", 1, 1), plain("create-b", 2, 1)]))?;
    s.all("no topics", |_| request(vec![]))?;
    names(s)?;
    shapes(s)?;
    assignments(s)?;
    configs(s)?;
    s.at(
        "one good, one bad",
        7,
        validate(vec![plain("create-good", 1, 1), plain("create bad", 1, 1), plain("create-more", 1, 9)]),
    )?;
    s.at("with a timeout of 0", 7, request(vec![plain("create-a", 1, 1)]).with_timeout_ms(0))?;
    s.at("with a negative timeout", 7, request(vec![plain("create-a", 1, 1)]).with_timeout_ms(-1))?;
    Ok(())
}

fn names(s: &mut Session) -> anyhow::Result<()> {
    let (long, longest) = ("x".repeat(250), "x".repeat(249));
    for name in ["", ".", "..", "a b", "a/b", "ä", "a\n", "__cluster_metadata", &long] {
        let label = if name.len() > 100 { "250 letters" } else { name };
        s.all(&format!("the name {label:?}"), |_| request(vec![plain(name, 1, 1)]))?;
    }
    s.at("249 letters", 7, validate(vec![plain(&longest, 1, 1)]))?;
    s.newest("a name with a dot", request(vec![plain("create.dot_ted", 1, 1)]))?;
    s.settle("create.dot_ted")?;
    s.all("the dot and the underscore collide", |_| request(vec![plain("create_dot.ted", 1, 1)]))?;
    s.all("two that collide in one request", |_| {
        validate(vec![plain("create.both", 1, 1), plain("create_both", 1, 1)])
    })?;
    Ok(())
}

fn shapes(s: &mut Session) -> anyhow::Result<()> {
    for (partitions, replicas) in [
        (0, 1),
        (-2, 1),
        (1, 0),
        (1, -2),
        (1, 4),
        (1, 1000),
        (0, 0),
        (i32::MAX, 1),
        (10_001, 3),
        (-1, 4),
        (1, -1),
    ] {
        s.all(&format!("{partitions} partitions, {replicas} replicas"), |_| {
            validate(vec![plain("create-shape", partitions, replicas)])
        })?;
    }
    Ok(())
}

fn assignments(s: &mut Session) -> anyhow::Result<()> {
    let cases: &[(&str, &[Assigned<'_>])] = &[
        ("a good one", &[(0, &[1, 2]), (1, &[2, 3])]),
        ("out of order", &[(1, &[1, 2]), (0, &[2, 3])]),
        ("a gap", &[(0, &[1]), (2, &[1])]),
        ("not from 0", &[(1, &[1])]),
        ("a negative partition", &[(-1, &[1])]),
        ("a partition twice", &[(0, &[1]), (0, &[2])]),
        ("a broker twice", &[(0, &[1, 1])]),
        ("an unknown broker", &[(0, &[1, 9])]),
        ("two unknown brokers", &[(0, &[8, 9])]),
        ("a negative broker", &[(0, &[-1])]),
        ("no brokers", &[(0, &[])]),
        ("unequal numbers", &[(0, &[1, 2]), (1, &[1])]),
        ("unequal numbers, more", &[(0, &[1]), (1, &[1, 2])]),
    ];
    for (label, partitions) in cases {
        s.all(&format!("assigned: {label}"), |_| validate(vec![assigned("create-assigned", partitions)]))?;
    }
    let with_counts = |partitions, replicas| {
        let mut topic = assigned("create-assigned", &[(0, &[1, 2])]);
        topic.num_partitions = partitions;
        topic.replication_factor = replicas;
        validate(vec![topic])
    };
    s.all("assigned: and a number of partitions", |_| with_counts(1, -1))?;
    s.all("assigned: and a number of replicas", |_| with_counts(-1, 2))?;
    s.all("assigned: and both numbers", |_| with_counts(1, 2))?;
    Ok(())
}

fn configs(s: &mut Session) -> anyhow::Result<()> {
    let cases: &[&[(&str, Option<&str>)]] = &[
        &[("cleanup.policy", Some("compact"))],
        &[("cleanup.policy", Some("compact,delete"))],
        &[("cleanup.policy", Some("delete, compact"))],
        &[("cleanup.policy", Some("delete,delete"))],
        &[("cleanup.policy", Some(""))],
        &[("cleanup.policy", Some("sweep"))],
        &[("cleanup.policy", None)],
        &[("no.such.key", Some("1"))],
        &[("", Some("1"))],
        &[("no.such.key", Some("1")), ("retention.ms", Some("x"))],
        &[("retention.ms", Some("x"))],
        &[("retention.ms", Some("-2"))],
        &[("retention.ms", Some(""))],
        &[("retention.ms", Some(" 5 "))],
        &[("retention.ms", Some("5.5"))],
        &[("retention.ms", Some("99999999999999999999"))],
        &[("retention.ms", Some("1000")), ("retention.ms", Some("2000"))],
        &[("retention.bytes", Some("-5"))],
        &[("segment.bytes", Some("13"))],
        &[("segment.bytes", Some("99999999999"))],
        &[("segment.bytes", Some("1048576"))],
        &[("segment.ms", Some("0"))],
        &[("max.message.bytes", Some("-1"))],
        &[("min.insync.replicas", Some("0"))],
        &[("min.insync.replicas", Some("5"))],
        &[("min.cleanable.dirty.ratio", Some("1.5"))],
        &[("min.cleanable.dirty.ratio", Some("a"))],
        &[("preallocate", Some("yes"))],
        &[("preallocate", Some("TRUE"))],
        &[("compression.type", Some("brotli"))],
        &[("compression.type", Some("GZIP"))],
        &[("compression.gzip.level", Some("0"))],
        &[("compression.gzip.level", Some("10"))],
        &[("compression.lz4.level", Some("0"))],
        &[("compression.zstd.level", Some("23"))],
        &[("message.timestamp.type", Some("createtime"))],
        &[("message.timestamp.type", Some("LogAppendTime"))],
        &[("message.timestamp.difference.max.ms", Some("1"))],
        &[("message.format.version", Some("2.8"))],
        &[("message.downconversion.enable", Some("true"))],
        &[("min.compaction.lag.ms", Some("10")), ("max.compaction.lag.ms", Some("5"))],
        &[("remote.storage.enable", Some("true"))],
        &[("local.retention.ms", Some("-3"))],
        &[("local.retention.ms", Some("1000")), ("retention.ms", Some("10"))],
        &[("leader.replication.throttled.replicas", Some("*"))],
        &[("leader.replication.throttled.replicas", Some("0:1,1:2"))],
        &[("leader.replication.throttled.replicas", Some("a"))],
        &[("unclean.leader.election.enable", Some("true"))],
        &[("index.interval.bytes", Some("-1"))],
        &[("segment.index.bytes", Some("3"))],
        &[("flush.messages", Some("0"))],
        &[("file.delete.delay.ms", Some("-1"))],
    ];
    for configs in cases {
        let label = configs
            .iter()
            .map(|(key, value)| value.map_or_else(|| format!("{key} null"), |value| format!("{key}={value}")))
            .collect::<Vec<_>>()
            .join(" ");
        s.at(&format!("config {label}"), 7, validate(vec![configured("create-config", configs)]))?;
    }
    s.all("a config", |_| validate(vec![configured("create-config", &[("retention.ms", Some("5"))])]))?;
    s.all("a bad config", |_| validate(vec![configured("create-config", &[("retention.ms", Some("x"))])]))?;
    Ok(())
}
