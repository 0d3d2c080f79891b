//! A topic's keys take effect when they are changed while the topic is in use.
//!
//! Each row of the table is played on three topics: one that is made with the key, one that gets it later, and one that never does.
//! All go through the same. What becomes of the first two is the same, and of the third is not.

use std::fmt::Write as _;
use std::time::Duration;

use klamm_node::{NodeId, Timestamp, TraceKind};
use klamm_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use klamm_wire::messages::{DescribeLogDirsRequest, IncrementalAlterConfigsRequest, ResponseKind};
use klamm_wire::{ApiKey, Response};
use klamm_world::{Command, Input};

use crate::idle::{Cluster, settings};

const SECOND: Duration = Duration::from_secs(1);
const HOUR_MS: i64 = 3_600_000;

/// What stands in a row: the key, its value, and what the topics have besides.
type Row = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const SMALL: (&str, &str) = ("internal.segment.bytes", "1000");
const COMPACT: (&str, &str) = ("cleanup.policy", "compact");
const AT_ONCE: (&str, &str) = ("min.cleanable.dirty.ratio", "0");

const TABLE: &[Row] = &[
    ("cleanup.policy", "compact", &[SMALL, AT_ONCE]),
    ("compression.type", "gzip", &[]),
    ("delete.retention.ms", "1000", &[SMALL, COMPACT, AT_ONCE]),
    ("flush.messages", "1", &[]),
    ("flush.ms", "500", &[]),
    ("index.interval.bytes", "0", &[("segment.index.bytes", "32"), COMPACT, AT_ONCE]),
    ("internal.segment.bytes", "1000", &[COMPACT, AT_ONCE]),
    ("max.compaction.lag.ms", "20000", &[SMALL, COMPACT, ("min.cleanable.dirty.ratio", "1")]),
    ("max.message.bytes", "1000", &[]),
    ("message.timestamp.after.max.ms", "60000", &[]),
    ("message.timestamp.before.max.ms", "3600000", &[]),
    ("message.timestamp.type", "LogAppendTime", &[SMALL, ("retention.ms", "150000")]),
    ("min.cleanable.dirty.ratio", "1", &[SMALL, COMPACT]),
    ("min.compaction.lag.ms", "1000000", &[SMALL, COMPACT, AT_ONCE]),
    ("retention.bytes", "2000", &[SMALL]),
    ("retention.ms", "50000", &[SMALL]),
    ("segment.index.bytes", "32", &[("index.interval.bytes", "0"), COMPACT, AT_ONCE]),
    ("segment.ms", "10000", &[COMPACT, AT_ONCE]),
];

/// What became of a topic: how its records were answered, what was decided about it, and what is left.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    answers: Vec<i16>,
    decided: Vec<(Duration, String)>,
    size: i64,
    left: Vec<i64>,
    /// Whether all of it outlives a loss of power, where that is what the key is about: of what is not flushed a part may.
    outlives_power: Option<bool>,
}

fn alter(cluster: &mut Cluster, topic: &str, key: &str, value: &str) {
    let config =
        AlterableConfig::default().with_name(key.to_owned().into()).with_value(Some(value.to_owned().into()));
    let resource = AlterConfigsResource::default()
        .with_resource_type(2)
        .with_resource_name(topic.to_owned().into())
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let answer = cluster.ask(NodeId(1), ApiKey::IncrementalAlterConfigs, 1, request.into());
    let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
    let ResponseKind::IncrementalAlterConfigs(answer) = *answer else { panic!("{answer:?}") };
    assert_eq!(answer.responses[0].error_code, 0, "{key}={value}: {answer:?}");
}

fn size(cluster: &mut Cluster, topic: &str) -> i64 {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let answer = cluster.ask(NodeId(1), ApiKey::DescribeLogDirs, 4, request.into());
    let Some(Response::Other(answer)) = answer else { panic!("{answer:?}") };
    let ResponseKind::DescribeLogDirs(answer) = *answer else { panic!("{answer:?}") };
    let topics = answer.results.iter().flat_map(|dir| &dir.topics);
    topics
        .filter(|found| *found.name.0 == *topic)
        .flat_map(|found| &found.partitions)
        .map(|p| p.partition_size)
        .sum()
}

fn left(cluster: &Cluster, topic: &str) -> Vec<i64> {
    let log = cluster.world.stored_log(NodeId(1), topic, 0).unwrap();
    log.records.iter().map(|record| record.offset).collect()
}

/// Plays a row; what became of the three topics.
fn play((key, value, others): Row) -> [Fate; 3] {
    const TOPICS: [&str; 3] = ["changed", "made", "plain"];
    let quick = [("log.retention.check.interval.ms", "1000"), ("log.cleaner.backoff.ms", "1000")];
    let quick = quick.map(|(key, value)| (key, value.to_owned()));
    let mut cluster = Cluster::start(settings(1, 1, &quick));
    for topic in TOPICS {
        let mut configs: Vec<(&str, String)> =
            others.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        if topic == "made" {
            configs.push((key, value.to_owned()));
        }
        cluster.create(topic, 1, 1, &configs);
    }
    cluster.run(5 * SECOND);
    alter(&mut cluster, TOPICS[0], key, value);
    cluster.run(SECOND);

    let began = cluster.world.now();
    let from = cluster.world.trace().recorded();
    let mut answers = TOPICS.map(|_| Vec::new());
    let mut all = |cluster: &mut Cluster, key: &str, size: Option<usize>, ahead_ms: i64| {
        for (topic, answers) in TOPICS.iter().zip(&mut answers) {
            answers.push(cluster.append(topic, key, size, ahead_ms));
        }
    };
    for n in 0..12 {
        all(&mut cluster, ["a", "b", "c"][n % 3], Some(300), 0);
        cluster.run(3 * SECOND);
    }
    all(&mut cluster, "d", Some(2_000), 0);
    all(&mut cluster, "e", Some(10), -2 * HOUR_MS);
    all(&mut cluster, "f", Some(10), HOUR_MS / 2);
    all(&mut cluster, "a", None, 0);
    for _ in 0..3 {
        for key in ["g", "h", "g", "h", "g"] {
            all(&mut cluster, key, Some(300), 0);
        }
        cluster.run(60 * SECOND);
    }
    let decided = TOPICS.map(|topic| decided(&cluster, topic, began, from));
    let sizes = TOPICS.map(|topic| size(&mut cluster, topic));
    let before = TOPICS.map(|topic| left(&cluster, topic));
    cluster.input(Input::Command(Command::PowerLoss(NodeId(1))));
    cluster.input(Input::Command(Command::Start(NodeId(1))));
    cluster.run(20 * SECOND);
    let after = TOPICS.map(|topic| left(&cluster, topic));
    let mut outlives =
        before.iter().zip(&after).map(|(before, after)| key.starts_with("flush").then_some(before == after));
    let (mut answers, mut decided) = (answers.into_iter(), decided.into_iter());
    let mut left = before.iter();
    sizes.map(|size| Fate {
        answers: answers.next().unwrap(),
        decided: decided.next().unwrap(),
        size,
        left: left.next().unwrap().clone(),
        outlives_power: outlives.next().unwrap(),
    })
}

/// What was decided about a topic's log, by the second: the topics' records are not of the same moment.
fn decided(cluster: &Cluster, topic: &str, began: Timestamp, from: u64) -> Vec<(Duration, String)> {
    let events = cluster.world.trace().events().filter(|event| event.id.0 > from);
    let of_log = events.filter(|event| {
        matches!(event.kind, TraceKind::SegmentsDeleted { .. } | TraceKind::LogCompacted { .. })
            && event.kind.topic() == Some(topic)
    });
    of_log
        .map(|event| {
            let at = Duration::from_secs(event.at.since(began).as_secs());
            (at, event.kind.to_string().replace(topic, "the topic"))
        })
        .collect()
}

#[test]
fn a_key_that_is_changed_has_the_effect_of_one_that_was_there_from_the_start() {
    let mut wrong = String::new();
    for row in TABLE {
        let [changed, made, plain] = play(*row);
        if changed != made {
            let _ = writeln!(wrong, "{}={}: changed\n{changed:?}\nmade\n{made:?}", row.0, row.1);
        }
        if changed == plain {
            let _ = writeln!(wrong, "{}={} has no effect: {plain:?}", row.0, row.1);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
