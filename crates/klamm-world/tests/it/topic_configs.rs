//! A topic's keys take effect when they are changed while the topic is in use.
//!
//! Each row of a table is played three times: with a topic that gets the key later, with one that is made with it, and with one that
//! never has it. What becomes of the first two is the same, and of the third is not. Rows of the first table are about one log, those
//! of the second about its replicas.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use klamm_node::config::topic::{NO_EFFECT, TOPIC_KEYS};
use klamm_node::{NodeId, Timestamp, TraceKind};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::{
    DeleteTopicsRequest, DescribeLogDirsRequest, IncrementalAlterConfigsRequest, ResponseKind, TopicName,
};
use klamm_wire::{ApiKey, Response};
use klamm_world::{Command, Input, PartitionStatus};

use crate::idle::{Cluster, settings};

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 3_600_000;
const TOPIC: &str = "t";

/// A key, its value, and what the topic has besides.
#[derive(Clone, Copy)]
struct Row {
    key: &'static str,
    value: &'static str,
    others: &'static [(&'static str, &'static str)],
    /// How many bytes most of the records' values have.
    size: usize,
}

const fn row(key: &'static str, value: &'static str, others: &'static [(&'static str, &'static str)]) -> Row {
    Row { key, value, others, size: 300 }
}

const fn large(
    key: &'static str,
    value: &'static str,
    others: &'static [(&'static str, &'static str)],
    size: usize,
) -> Row {
    Row { key, value, others, size }
}

const SMALL: (&str, &str) = ("internal.segment.bytes", "1000");
const COMPACT: (&str, &str) = ("cleanup.policy", "compact");
const AT_ONCE: (&str, &str) = ("min.cleanable.dirty.ratio", "0");

/// What one log does with its records.
const OF_A_LOG: &[Row] = &[
    row("cleanup.policy", "compact", &[SMALL, AT_ONCE]),
    large("compression.gzip.level", "1", &[("compression.type", "gzip")], 5_000),
    large("compression.lz4.level", "12", &[("compression.type", "lz4")], 5_000),
    row("compression.type", "gzip", &[]),
    large("compression.zstd.level", "-5", &[("compression.type", "zstd")], 5_000),
    row("delete.retention.ms", "1000", &[SMALL, COMPACT, AT_ONCE]),
    row(FILE_DELETE_DELAY, "1000", &[SMALL, ("retention.ms", "50000")]),
    row("flush.messages", "1", &[]),
    row("flush.ms", "500", &[]),
    row("index.interval.bytes", "0", &[("segment.index.bytes", "32"), COMPACT, AT_ONCE]),
    row("internal.segment.bytes", "1000", &[COMPACT, AT_ONCE]),
    row("max.compaction.lag.ms", "20000", &[SMALL, COMPACT, ("min.cleanable.dirty.ratio", "1")]),
    row("max.message.bytes", "1000", &[]),
    row("message.timestamp.after.max.ms", "60000", &[]),
    row("message.timestamp.before.max.ms", "3600000", &[]),
    row("message.timestamp.type", "LogAppendTime", &[SMALL, ("retention.ms", "150000")]),
    row("min.cleanable.dirty.ratio", "1", &[SMALL, COMPACT]),
    row("min.compaction.lag.ms", "1000000", &[SMALL, COMPACT, AT_ONCE]),
    row("retention.bytes", "2000", &[SMALL]),
    row("retention.ms", "50000", &[SMALL]),
    large("segment.bytes", "1048576", &[COMPACT, AT_ONCE], 100_000),
    row("segment.index.bytes", "32", &[("index.interval.bytes", "0"), COMPACT, AT_ONCE]),
    row("segment.jitter.ms", "20000", &[("segment.ms", "20000"), COMPACT, AT_ONCE]),
    row("segment.ms", "10000", &[COMPACT, AT_ONCE]),
];

/// What becomes of a partition whose brokers come and go.
const OF_REPLICAS: &[Row] = &[
    row("follower.replication.throttled.replicas", "*", &[]),
    row("leader.replication.throttled.replicas", "*", &[]),
    row("min.insync.replicas", "2", &[]),
    row("unclean.leader.election.enable", "true", &[]),
];

/// What is seen where there are files: `preallocate` in the tests of the embedded cluster.
const ELSEWHERE: &[&str] = &["preallocate"];

const FILE_DELETE_DELAY: &str = "file.delete.delay.ms";

/// When a topic gets the row's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gets {
    Later,
    FromTheStart,
    Never,
}

/// What became of a topic's log: how its records were answered, what was decided about it, and what is left.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    answers: Vec<i16>,
    decided: Vec<(Duration, String)>,
    size: i64,
    left: Vec<i64>,
    /// How many bytes more there are on the disk than when it began, where that is what the key is about.
    on_disk: Vec<i64>,
    /// Whether all of it outlives a loss of power, where that is what the key is about: of what is not flushed a part may.
    outlives_power: Option<bool>,
}

/// Changes a key of a topic, which is resource type 2, or of a broker, which is 4.
fn alter(cluster: &mut Cluster, resource_type: i8, name: &str, key: &str, value: &str) {
    let config =
        AlterableConfig::default().with_name(key.to_owned().into()).with_value(Some(value.to_owned().into()));
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(name.to_owned().into())
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = cluster.ask(NodeId(1), ApiKey::IncrementalAlterConfigs, 1, request.into());
    let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
    let ResponseKind::IncrementalAlterConfigs(answer) = *answer else { panic!("{answer:?}") };
    assert_eq!(answer.responses[0].error_code, 0, "{key}={value}: {answer:?}");
}

fn size(cluster: &mut Cluster) -> i64 {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let answer = cluster.ask(NodeId(1), ApiKey::DescribeLogDirs, 4, request.into());
    let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
    let ResponseKind::DescribeLogDirs(answer) = *answer else { panic!("{answer:?}") };
    let topics = answer.results.iter().flat_map(|dir| &dir.topics);
    topics.flat_map(|found| &found.partitions).map(|p| p.partition_size).sum()
}

fn left(cluster: &Cluster) -> Vec<i64> {
    let log = cluster.world.stored_log(NodeId(1), TOPIC, 0).unwrap();
    log.records.iter().map(|record| record.offset).collect()
}

fn on_disk(cluster: &Cluster) -> i64 {
    i64::try_from(cluster.world.disk_used_bytes(NodeId(1)).unwrap()).unwrap()
}

/// Bytes that can be compressed, more or less.
fn value(size: usize) -> Vec<u8> {
    let next = |state: &mut u32, _| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Some((*state >> 24) as u8 & 7)
    };
    (0..size).scan(1, next).collect()
}

/// Makes the row's topic on a cluster that has just started, and gives it the key, if it gets one.
fn begin(cluster: &mut Cluster, row: Row, replicas: i16, gets: Gets) {
    let mut configs: Vec<(&str, String)> =
        row.others.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    if gets == Gets::FromTheStart {
        configs.push((row.key, row.value.to_owned()));
    }
    cluster.create(TOPIC, 1, replicas, &configs);
    cluster.run(5 * SECOND);
    if gets == Gets::Later {
        alter(cluster, 2, TOPIC, row.key, row.value);
    }
    cluster.run(SECOND);
}

/// Plays a row about a log; what became of it.
fn play(row: Row, gets: Gets) -> Fate {
    let quick = [("log.retention.check.interval.ms", "1000"), ("log.cleaner.backoff.ms", "1000")];
    let quick = quick.map(|(key, value)| (key, value.to_owned()));
    let mut cluster = Cluster::start(settings(1, 1, &quick));
    begin(&mut cluster, row, 1, gets);

    let usual = value(row.size);
    let mut answers = Vec::new();
    let mut append = |cluster: &mut Cluster, key: &str, value: Option<&[u8]>, ahead_ms: i64| {
        answers.push(cluster.append(TOPIC, key, value, ahead_ms));
    };
    // Some keys are about segments, from the next one on.
    for _ in 0..2 {
        append(&mut cluster, "a", Some(&usual), 0);
        cluster.run(21 * SECOND);
    }

    let began = cluster.world.now();
    let from = cluster.world.trace().recorded();
    let bytes = on_disk(&cluster);
    let mut grown = Vec::new();
    let mut pass = |cluster: &mut Cluster, seconds: u32| {
        for _ in 0..seconds {
            cluster.run(SECOND);
            grown.push(on_disk(cluster) - bytes);
        }
    };
    for n in 0..12 {
        append(&mut cluster, ["a", "b", "c"][n % 3], Some(&usual), 0);
        pass(&mut cluster, 3);
    }
    append(&mut cluster, "d", Some(&value(2_000)), 0);
    append(&mut cluster, "e", Some(&value(10)), -2 * HOUR_MS);
    append(&mut cluster, "f", Some(&value(10)), HOUR_MS / 2);
    append(&mut cluster, "a", None, 0);
    for _ in 0..3 {
        for key in ["g", "h", "g", "h", "g"] {
            append(&mut cluster, key, Some(&usual), 0);
        }
        pass(&mut cluster, 60);
    }
    let decided = decided(&cluster, began, from);
    let size = size(&mut cluster);
    let before = left(&cluster);
    cluster.input(Input::Command(Command::PowerLoss(NodeId(1))));
    cluster.input(Input::Command(Command::Start(NodeId(1))));
    cluster.run(20 * SECOND);
    let outlives_power = row.key.starts_with("flush").then_some(before == left(&cluster));
    let on_disk = if row.key == FILE_DELETE_DELAY { grown } else { Vec::new() };
    Fate { answers, decided, size, left: before, on_disk, outlives_power }
}

/// What was decided about the topic's log.
fn decided(cluster: &Cluster, began: Timestamp, from: u64) -> Vec<(Duration, String)> {
    let events = cluster.world.trace().events().filter(|event| event.id.0 > from);
    let of_log = events.filter(|event| {
        matches!(event.kind, TraceKind::SegmentsDeleted { .. } | TraceKind::LogCompacted { .. })
            && event.kind.topic() == Some(TOPIC)
    });
    of_log.map(|event| (event.at.since(began), event.kind.to_string())).collect()
}

/// Plays a row about replicas; how the records were answered, and where the partition was, second by second.
fn play_replicas(row: Row, gets: Gets) -> (Vec<i16>, Vec<String>) {
    // A throttle counts what was fetched: one fetch must not bring everything.
    let config = [("replica.fetch.max.bytes", "10000".to_owned())];
    let mut cluster = Cluster::start(settings(3, 1, &config));
    for key in ["leader.replication.throttled.rate", "follower.replication.throttled.rate"] {
        alter(&mut cluster, 4, "", key, "10000");
    }
    begin(&mut cluster, row, 3, gets);
    let replicas = cluster.world.partition(TOPIC, 0).unwrap().replicas;

    let (mut answers, mut seen) = (Vec::new(), Vec::new());
    let mut append = |cluster: &mut Cluster| {
        for _ in 0..10 {
            answers.push(cluster.append(TOPIC, "k", Some(&value(10_000)), 0));
        }
    };
    let mut pass = |cluster: &mut Cluster, seconds: u32| {
        for _ in 0..seconds {
            cluster.run(SECOND);
            seen.push(place(&cluster.world.partition(TOPIC, 0).unwrap()));
        }
    };
    append(&mut cluster);
    for gone in [replicas[2], replicas[1]] {
        cluster.input(Input::Command(Command::Crash(gone)));
        pass(&mut cluster, 40);
        append(&mut cluster);
    }
    cluster.input(Input::Command(Command::Crash(replicas[0])));
    pass(&mut cluster, 20);
    for back in [replicas[2], replicas[1]] {
        cluster.input(Input::Command(Command::Start(back)));
        pass(&mut cluster, 20);
    }
    cluster.input(Input::Command(Command::Start(replicas[0])));
    pass(&mut cluster, 60);
    (answers, seen)
}

fn place(status: &PartitionStatus) -> String {
    let ends: Vec<_> = status.logs.iter().map(|(node, log)| (node.0, log.log_end)).collect();
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    format!("{:?} {:?} {:?} {ends:?}", status.leader, ids(&status.isr), ids(&status.elr))
}

/// Plays every row of a table in the three ways; what is wrong.
fn wrong<T: PartialEq + std::fmt::Debug>(rows: &[Row], play: fn(Row, Gets) -> T) -> String {
    let mut wrong = String::new();
    for row in rows {
        let [changed, made, plain] =
            [Gets::Later, Gets::FromTheStart, Gets::Never].map(|gets| play(*row, gets));
        if changed != made {
            let _ = writeln!(wrong, "{}={}: changed\n{changed:?}\nmade\n{made:?}", row.key, row.value);
        }
        if changed == plain {
            let _ = writeln!(wrong, "{}={} has no effect: {plain:?}", row.key, row.value);
        }
    }
    wrong
}

#[test]
fn a_key_that_is_changed_has_the_effect_of_one_that_was_there_from_the_start() {
    let wrong = wrong(OF_A_LOG, play);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_key_of_replicas_that_is_changed_has_the_effect_of_one_that_was_there_from_the_start() {
    let wrong = wrong(OF_REPLICAS, play_replicas);
    assert!(wrong.is_empty(), "{wrong}");
}

/// Every key that a topic has is in one of the tables, or is known to have no effect, which `docs/differences.md` tells.
#[test]
fn every_key_is_played_or_told_to_have_no_effect() {
    let differences = include_str!("../../../../docs/differences.md");
    let untold: Vec<_> = NO_EFFECT.iter().filter(|key| !differences.contains(&format!("`{key}`"))).collect();
    assert!(untold.is_empty(), "{untold:?}");
    let played = OF_A_LOG.iter().chain(OF_REPLICAS).map(|row| row.key);
    let known: Vec<&str> = played.chain(ELSEWHERE.iter().chain(NO_EFFECT).copied()).collect();
    let keys: BTreeSet<&str> = TOPIC_KEYS.iter().map(|key| key.name).collect();
    assert_eq!(known.iter().copied().collect::<BTreeSet<_>>(), keys);
    assert_eq!(known.len(), keys.len(), "a key is there twice: {known:?}");
}

/// How long a deleted topic's files stay is the broker's to say: `file.delete.delay.ms` is about segments of a log that lives.
#[test]
fn a_deleted_topic_stays_on_the_disk_for_as_long_as_the_broker_says() {
    let mut cluster = Cluster::start(settings(1, 1, &[("log.segment.delete.delay.ms", "30000".to_owned())]));
    cluster.create(TOPIC, 1, 1, &[(FILE_DELETE_DELAY, "1000".to_owned())]);
    cluster.append(TOPIC, "k", Some(&value(100_000)), 0);
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![TopicName(TOPIC.to_owned().into())])
        .with_timeout_ms(10_000);
    cluster.ask(NodeId(1), ApiKey::DeleteTopics, 5, request.into()).unwrap();
    cluster.run(SECOND);
    assert_eq!(cluster.world.partition(TOPIC, 0), None);
    cluster.run(28 * SECOND);
    assert!(on_disk(&cluster) > 100_000);
    cluster.run(2 * SECOND);
    assert!(on_disk(&cluster) < 100_000);
}
