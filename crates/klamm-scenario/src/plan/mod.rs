//! From lines to steps: names resolved, faults that cannot be and expectations that can never be checked found, before
//! anything runs.

mod admin;
mod clients;
mod configs;
mod controllers;
mod events;
mod expectations;
mod faults;
mod members;
mod nodes;
pub(crate) mod portable;
mod possible;
mod read;
mod records;
mod runs;
mod share;
mod steps;
mod topics;
mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use klamm_node::{Eras, NodeId, TopicPartition};
use klamm_wire::KafkaVersion;

use self::read::Read;
use self::runs::{either, list, never_run};
use crate::error::{Mistake, Mistakes};
use crate::line::{Line, Scenario, Span, Value};
use crate::step::{Step, TopicSpec};

/// A scenario that can be run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) title: String,
    /// One for each release and variant.
    pub(crate) runs: Vec<Run>,
}

/// One way through the file.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// The Kafka release, when the file names any.
    pub(crate) version: Option<String>,
    pub(crate) variant: Option<String>,
    pub(crate) cluster: ClusterSpec,
    pub(crate) topics: Vec<TopicSpec>,
    pub(crate) steps: Vec<Planned>,
}

/// A step and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) step: Step,
    /// The line as it reads, its block left out.
    pub(crate) text: String,
    /// The lines of its block, where that is not steps.
    pub(crate) block: Vec<String>,
    pub(crate) span: Span,
}

/// What a cluster is made of.
#[derive(Debug, Clone)]
pub struct ClusterSpec {
    /// How many brokers; their node ids are 1, 2, 3 ….
    pub brokers: i32,
    /// How many controllers; their node ids are 100, 101 ….
    pub controllers: i32,
    /// The file's seed.
    pub seed: u64,
    /// How long each message between nodes takes.
    pub latency: Duration,
    /// How much longer it may take.
    pub jitter: Duration,
    /// The racks of the brokers that have one.
    pub racks: BTreeMap<NodeId, String>,
    /// Server properties of every node.
    pub configs: BTreeMap<String, String>,
    /// The Kafka release to be.
    pub release: KafkaVersion,
    /// Which rules are those of an older Kafka.
    pub eras: Eras,
}

impl Default for ClusterSpec {
    fn default() -> Self {
        Self {
            brokers: 3,
            controllers: 1,
            seed: 0,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            racks: BTreeMap::new(),
            configs: BTreeMap::new(),
            release: KafkaVersion::NEWEST,
            eras: Eras::NEWEST,
        }
    }
}

/// What has a name at a point of the file.
#[derive(Debug, Clone, Default)]
struct Names {
    brokers: BTreeSet<NodeId>,
    controllers: BTreeSet<NodeId>,
    topics: BTreeMap<String, i32>,
    producers: BTreeMap<String, Sent>,
    /// Producers that send in transactions.
    transactional: BTreeSet<String>,
    consumers: BTreeSet<String>,
    /// Consumers of share groups.
    shares: BTreeSet<String>,
    /// Those that have a group.
    grouped: BTreeSet<String>,
    /// The groups that they have.
    groups: BTreeSet<String>,
    down: BTreeSet<NodeId>,
    paused: BTreeSet<NodeId>,
    /// The brokers that have, or may have, a replica of a partition; none that the controller placed.
    replicas: BTreeMap<TopicPartition, BTreeSet<NodeId>>,
    /// Every topic that the file creates somewhere.
    ever: BTreeSet<String>,
    /// The group of each consumer that has one.
    group_of: BTreeMap<String, String>,
    /// The groups that somebody has joined or committed for, and not left.
    joined: BTreeSet<String>,
    /// Whether some group was ever used, so that there are coordinators.
    coordinated: bool,
    /// Whether a fault was injected that lasts, and not every one healed.
    broken: bool,
    /// Every fault that was given a name.
    faults: BTreeSet<String>,
    /// Those of them that are not healed.
    armed: BTreeSet<String>,
}

/// The records that a producer has sent.
#[derive(Debug, Clone, Default)]
struct Sent {
    records: BTreeSet<String>,
}

/// Plans every run of a scenario.
pub(crate) fn plan(name: &str, text: &str, scenario: &Scenario) -> Result<Plan, Mistakes> {
    let mut mistakes = Vec::new();
    let mut seen = BTreeSet::new();
    let (mut id, mut title) = (String::new(), String::new());
    match scenario.lines.iter().find(|line| line.word != "note") {
        Some(line) if line.word == "scenario" => {
            id = line.text(0);
            title = line.prop_text("title").unwrap_or_default();
        }
        other => mistakes.push(
            Mistake::new("a scenario begins with its name", other.map_or_else(Span::default, |line| line.span), "before this")
                .help("for example: scenario \"ACK-02\" title=\"acks=1: an acknowledged record is lost on failover\""),
        ),
    }
    let versions = list(scenario, "versions", &mut mistakes);
    let variants = list(scenario, "variants", &mut mistakes);
    for line in scenario.lines.iter().filter(|line| line.word == "versions") {
        for version in &line.args {
            if let Value::Text(text) = &version.value
                && let Err(error) = text.parse::<KafkaVersion>()
            {
                mistakes.push(Mistake::new(error.to_string(), version.span, "unknown release"));
            }
        }
    }
    let mut runs = Vec::new();
    for version in either(&versions) {
        for variant in either(&variants) {
            let mut planner = Planner {
                run: Run {
                    version: version.clone(),
                    variant: variant.clone(),
                    cluster: ClusterSpec::default(),
                    topics: Vec::new(),
                    steps: Vec::new(),
                },
                names: Names::default(),
                mistakes: &mut mistakes,
                seen: &mut seen,
                variants: &variants,
                begun: false,
                passed: Duration::ZERO,
            };
            planner.set_release();
            planner.set_nodes();
            planner.head(&scenario.lines);
            planner.set_nodes();
            planner.names.ever = possible::topics(&scenario.lines);
            planner.steps(&scenario.lines);
            runs.push(planner.run);
        }
    }
    never_run(&scenario.lines, &seen, &mut mistakes);
    if mistakes.is_empty() { Ok(Plan { id, title, runs }) } else { Err(Mistakes::new(name, text, mistakes)) }
}

struct Planner<'a> {
    run: Run,
    names: Names,
    mistakes: &'a mut Vec<Mistake>,
    /// Where the `profile` and `when` blocks stand that belong to some run.
    seen: &'a mut BTreeSet<usize>,
    variants: &'a [String],
    /// Whether a step has come: the head is over.
    begun: bool,
    /// How much time has passed at least since the first step.
    passed: Duration,
}

impl Planner<'_> {
    fn wrong(&mut self, message: impl Into<String>, span: Span, label: impl Into<String>) {
        self.mistakes.push(Mistake::new(message, span, label));
    }

    fn set_release(&mut self) {
        if let Some(release) = self.run.version.as_deref().and_then(|version| version.parse().ok()) {
            self.run.cluster.release = release;
            self.run.cluster.eras = Eras::of(release);
        }
    }

    fn set_nodes(&mut self) {
        let ClusterSpec { brokers, controllers, .. } = self.run.cluster;
        self.names.brokers = (1..=brokers).map(NodeId).collect();
        self.names.controllers = (100..100 + controllers).map(NodeId).collect();
    }

    /// What the cluster is made of: read before the rest, since everything else refers to it.
    fn head(&mut self, lines: &[Line]) {
        for line in lines {
            match line.word.as_str() {
                "cluster" => self.cluster(line),
                "config" => {
                    self.server_configs(line);
                    self.run.cluster.configs.extend(line.configs());
                }
                "era" => {
                    for arg in &line.args {
                        let Value::Text(text) = &arg.value else { continue };
                        if let Err(error) = self.run.cluster.eras.set(text) {
                            self.mistakes.push(Mistake::new(error.to_string(), arg.span, "unknown"));
                        }
                    }
                }
                "profile" | "when" if self.belongs(line) => self.head(&line.block),
                _ => {}
            }
        }
    }

    fn cluster(&mut self, line: &Line) {
        if let Some(value) = line.get("controllers")
            && matches!(value.value, Value::Int(count) if count != 1 && count != 3)
        {
            self.wrong("a cluster has 1 or 3 controllers", value.span, format!("this is {}", value.value));
        }
        let limits = [("brokers", 1, 99), ("controllers", 1, 3)];
        for (name, least, most) in limits {
            let Some(value) = line.get(name) else { continue };
            let Value::Int(number) = value.value else { continue };
            if (least..=most).contains(&number) {
                let number = i32::try_from(number).unwrap_or(1);
                if name == "brokers" {
                    self.run.cluster.brokers = number;
                } else {
                    self.run.cluster.controllers = number;
                }
            } else {
                self.wrong(
                    format!("`{name}` is a number from {least} to {most}"),
                    value.span,
                    format!("this is {number}"),
                );
            }
        }
        self.set_nodes();
        let cluster = &mut self.run.cluster;
        cluster.seed =
            line.prop_int("seed").and_then(|seed| u64::try_from(seed).ok()).unwrap_or(cluster.seed);
        cluster.latency = line.prop_time("latency").unwrap_or(cluster.latency);
        cluster.jitter = line.prop_time("jitter").unwrap_or(cluster.jitter);
        for child in &line.block {
            let Some(node) = self.broker(child, 0) else { continue };
            if let Some(rack) = child.prop_text("rack") {
                self.run.cluster.racks.insert(node, rack);
            }
        }
    }

    /// The one partition of the file, where there is only one.
    fn only_partition(&self) -> Option<TopicPartition> {
        let mut topics = self.names.topics.iter();
        match (topics.next(), topics.next()) {
            (Some((topic, 1)), None) => Some(TopicPartition::new(topic.clone(), 0)),
            _ => None,
        }
    }

    fn known_partition(&mut self, text: &str, span: Span) -> Option<TopicPartition> {
        let (topic, index) = crate::syntax::shape::partition(text)?;
        match self.names.topics.get(topic) {
            Some(count) if index < *count => Some(TopicPartition::new(topic.to_owned(), index)),
            Some(count) => {
                let count = *count;
                self.wrong(
                    format!("topic `{topic}` has no partition {index}"),
                    span,
                    format!("its partitions are 0 to {}", count - 1),
                );
                None
            }
            None => {
                self.unknown_topic(topic, span);
                None
            }
        }
    }

    fn unknown_topic(&mut self, topic: &str, span: Span) {
        let mistake = Mistake::new(format!("there is no topic `{topic}`"), span, "unknown topic");
        self.mistakes.push(mistake.suggest(topic, self.names.topics.keys().map(String::as_str)));
    }

    /// The partition in an argument, else the only one of the file.
    fn partition_at(&mut self, line: &Line, at: usize) -> Option<TopicPartition> {
        match line.args.get(at) {
            Some(arg) => self.known_partition(&line.text(at), arg.span),
            None => self.default_partition(line),
        }
    }

    /// The partition in a property, else the only one of the file.
    fn partition_prop(&mut self, line: &Line, name: &str) -> Option<TopicPartition> {
        match (line.get(name), line.prop_text(name)) {
            (Some(value), Some(text)) => self.known_partition(&text, value.span),
            _ => self.default_partition(line),
        }
    }

    fn default_partition(&mut self, line: &Line) -> Option<TopicPartition> {
        let only = self.only_partition();
        if only.is_none() {
            self.mistakes.push(
                Mistake::new(
                    "which partition?",
                    line.span,
                    "there is not exactly one partition in this file",
                )
                .help("name it, such as t-0"),
            );
        }
        only
    }
}
