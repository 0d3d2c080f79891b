//! A plan as a file: KDL that a person can read, edit and run again.

use std::fmt::Write as _;
use std::time::Duration;

use kdl::{KdlDocument, KdlNode, KdlValue};
use klamm_node::era::Eras;
use klamm_node::pause::{PausePoint, UnknownPausePoint};
use klamm_node::{NodeId, Timestamp};
use klamm_world::{LinkSettings, ProducerSpec, TransactionalSpec, WatcherSpec};

use crate::life::Life;
use crate::members::Member;
use crate::options::{Options, Profile, Topic};
use crate::plan::{Decision, Plan, What};
use crate::request::{APIS, Hit, HitRequests};
use crate::transactions;

/// A plan in a file, and the invariant that it broke when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The plan.
    pub plan: Plan,
    /// The id of the invariant; `None` when it says none.
    pub breaks: Option<String>,
}

/// A file that holds no plan, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct FileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there, and what would be right.
    pub what: String,
}

impl File {
    /// Whether a text is meant to be such a file: its first word is `simulation`.
    pub fn is_one(text: &str) -> bool {
        let mut lines =
            text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        lines.next().is_some_and(|line| line.split_whitespace().next() == Some("simulation"))
    }

    /// The file's text.
    pub fn render(&self) -> String {
        let o = &self.plan.options;
        let mut text = String::from("// Run it again with: klamm scenario run FILE\n");
        let breaks = self.breaks.as_ref().map(|id| format!(" breaks={id:?}")).unwrap_or_default();
        let _ = writeln!(text, "simulation seed={} profile={:?}{breaks} {{", o.seed, o.profile.name());
        let _ = writeln!(
            text,
            "    cluster brokers={} controllers={} latency-us={} jitter-us={} duration-ms={}",
            o.brokers,
            o.controllers,
            o.link.latency.as_micros(),
            o.link.jitter.as_micros(),
            o.duration.as_millis()
        );
        for (era, on) in o.eras.old() {
            let _ = writeln!(text, "    era {:?}", format!("{era}={on}"));
        }
        for (key, value) in &o.config {
            let _ = writeln!(text, "    config {key:?} {value:?}");
        }
        for t in &o.topics {
            let _ = write!(
                text,
                "    topic {:?} partitions={} replicas={} min-isr={} unclean=#{}",
                t.name, t.partitions, t.replicas, t.min_isr, t.unclean
            );
            if let Some(bytes) = t.segment_bytes {
                let _ = write!(text, " segment-bytes={bytes}");
            }
            text.push('\n');
        }
        for (topic, life) in &o.lives {
            let _ = write!(text, "    life {topic:?} compact=#{}", life.compact);
            if let Some(time) = life.retention {
                let _ = write!(text, " retention-ms={}", time.as_millis());
            }
            if let Some(bytes) = life.retention_bytes {
                let _ = write!(text, " retention-bytes={bytes}");
            }
            text.push('\n');
        }
        for p in &o.producers {
            let _ = writeln!(
                text,
                "    producer {:?} acks={} idempotent=#{} records={} batch={} interval-us={} in-flight={}",
                p.topic.to_string(),
                p.acks,
                p.idempotent,
                p.records,
                p.batch,
                p.interval.as_micros(),
                p.in_flight
            );
        }
        for spec in &o.transactional {
            let _ = writeln!(text, "    {}", transactions::render(spec));
        }
        for topic in &o.consumers {
            let _ = writeln!(text, "    consumer {topic:?}");
        }
        for topic in &o.readers {
            let _ = writeln!(text, "    reader {topic:?}");
        }
        for w in &o.watchers {
            let interval = w.interval.as_millis();
            let _ = writeln!(text, "    watcher {:?} interval-ms={interval}", w.topic.to_string());
        }
        for m in &o.members {
            let (session, joins) = (m.session.as_millis(), m.joins.as_millis());
            let leaves = m.leaves.map(|at| format!(" leaves-ms={}", at.as_millis())).unwrap_or_default();
            let _ = writeln!(
                text,
                "    member {:?} modern=#{} static=#{} cooperative=#{} session-ms={session} joins-ms={joins}{leaves} vanishes=#{}",
                m.topic, m.modern, m.is_static, m.cooperative, m.vanishes
            );
        }
        for d in &self.plan.decisions {
            let (at, lasts) = (d.at.0 / 1_000_000, d.lasts.as_millis());
            let _ = writeln!(text, "    {} id={} at-ms={at} lasts-ms={lasts}", what(&d.what), d.id);
        }
        text.push_str("}\n");
        text
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// When it is no plan; nothing of it is used then.
    pub fn parse(text: &str) -> Result<Self, FileError> {
        let document: KdlDocument = text.parse().map_err(|error: kdl::KdlError| {
            let at = error.diagnostics.first().map_or(0, |diagnostic| diagnostic.span.offset());
            let what = error.diagnostics.first().and_then(|diagnostic| diagnostic.message.clone());
            FileError { line: line_at(text, at), what: what.unwrap_or_else(|| error.to_string()) }
        })?;
        let [root] = document.nodes() else {
            return Err(FileError {
                line: 1,
                what: "one simulation is expected, and nothing else".to_owned(),
            });
        };
        let root = Node { text, node: root };
        if root.name() != "simulation" {
            return Err(root.wrong("expected simulation seed=… { … }"));
        }
        let mut options = Options {
            seed: root.number("seed")?,
            profile: root.text_of("profile")?.parse().unwrap_or(Profile::Default),
            eras: Eras::NEWEST,
            duration: Duration::ZERO,
            brokers: 0,
            controllers: 1,
            link: LinkSettings::default(),
            config: std::collections::BTreeMap::new(),
            topics: Vec::new(),
            lives: std::collections::BTreeMap::new(),
            producers: Vec::new(),
            transactional: Vec::new(),
            consumers: Vec::new(),
            readers: Vec::new(),
            watchers: Vec::new(),
            members: Vec::new(),
            weights: std::collections::BTreeMap::new(),
            pace: Duration::ZERO,
        };
        let mut decisions = Vec::new();
        for node in root.node.children().map(KdlDocument::nodes).unwrap_or_default() {
            let node = Node { text, node };
            match node.name() {
                "cluster" => {
                    options.brokers = node.number("brokers")?;
                    options.controllers = node.number("controllers")?;
                    options.link.latency = Duration::from_micros(node.number("latency-us")?);
                    options.link.jitter = Duration::from_micros(node.number("jitter-us")?);
                    options.duration = Duration::from_millis(node.number("duration-ms")?);
                }
                "era" => options.eras.set(node.word(0)?).map_err(|error| node.wrong(&error.to_string()))?,
                "config" => {
                    options.config.insert(node.word(0)?.to_owned(), node.word(1)?.to_owned());
                }
                "topic" => options.topics.push(Topic {
                    name: node.word(0)?.to_owned(),
                    partitions: node.number("partitions")?,
                    replicas: node.number("replicas")?,
                    min_isr: node.number("min-isr")?,
                    unclean: node.flag("unclean")?,
                    segment_bytes: node
                        .node
                        .get("segment-bytes")
                        .map(|_| node.number("segment-bytes"))
                        .transpose()?,
                }),
                "life" => {
                    let life = Life {
                        compact: node.flag("compact")?,
                        retention: node.optional("retention-ms")?.map(Duration::from_millis),
                        retention_bytes: node.optional("retention-bytes")?,
                    };
                    options.lives.insert(node.word(0)?.to_owned(), life);
                }
                "producer" => options.producers.push(ProducerSpec {
                    topic: node.word(0)?.to_owned().into(),
                    acks: node.number("acks")?,
                    idempotent: node.flag("idempotent")?,
                    records: node.number("records")?,
                    batch: node.number("batch")?,
                    interval: Duration::from_micros(node.number("interval-us")?),
                    in_flight: node.number("in-flight")?,
                }),
                "transactional" => options.transactional.push(node.transactional()?),
                "reader" => options.readers.push(node.word(0)?.to_owned()),
                "consumer" => options.consumers.push(node.word(0)?.to_owned()),
                "watcher" => options.watchers.push(WatcherSpec {
                    topic: node.word(0)?.to_owned().into(),
                    interval: Duration::from_millis(node.number::<u64>("interval-ms")?.max(1)),
                }),
                "member" => options.members.push(Member {
                    topic: node.word(0)?.to_owned(),
                    is_static: node.flag("static")?,
                    modern: node.flag("modern")?,
                    cooperative: node.flag("cooperative")?,
                    session: Duration::from_millis(node.number("session-ms")?),
                    joins: Duration::from_millis(node.number("joins-ms")?),
                    leaves: node.optional("leaves-ms")?.map(Duration::from_millis),
                    vanishes: node.flag("vanishes")?,
                }),
                _ => decisions.push(Decision {
                    id: node.number("id")?,
                    at: Timestamp::from_millis(node.number("at-ms")?),
                    what: node.what(&options)?,
                    lasts: Duration::from_millis(node.number("lasts-ms")?),
                }),
            }
        }
        if options.brokers < 1 || options.controllers < 1 {
            return Err(root.wrong("expected a cluster with at least one broker and one controller"));
        }
        let breaks = root.node.get("breaks").and_then(KdlValue::as_string).map(str::to_owned);
        Ok(Self { plan: Plan { options, decisions }, breaks })
    }
}

fn what(what: &What) -> String {
    match what {
        What::Crash(node) => format!("crash {node}"),
        What::Power(node) => format!("power-loss {node}"),
        What::Stop(node) => format!("stop {node}"),
        What::Pause(node) => format!("pause {node}"),
        What::Cut { from, to, both, lost } => format!("cut {from} {to} both=#{both} lost=#{lost}"),
        What::Isolate(node) => format!("isolate {node}"),
        What::Slow { from, to, by } => format!("slow {from} {to} by-ms={}", by.as_millis()),
        What::Skew(node, millis) => format!("skew {node} by-ms={millis}"),
        What::Disk(node, full) => format!("disk {node} full=#{full}"),
        What::Topic(id) => format!("extra-topic {id}"),
        What::MinIsr { topic, value } => format!("min-isr {topic} {value}"),
        What::Elect => "elect".to_owned(),
        What::Reassign { topic, partition, replicas } => {
            let replicas: Vec<_> = replicas.iter().map(ToString::to_string).collect();
            format!("reassign {topic} {partition} {}", replicas.join(" "))
        }
        What::DeleteRecords { topic, partition } => format!("delete-records {topic} {partition}"),
        What::Request(HitRequests { api, to, percent, action }) => {
            let (action, by) = action.name();
            let mut text = format!("request \"{api:?}\" {action:?} percent={percent}");
            if let Some(by) = by {
                let _ = write!(text, " by-ms={}", by.as_millis());
            }
            if let Some(to) = to {
                let _ = write!(text, " to={to}");
            }
            text
        }
        What::Break(node, at) => format!("breakpoint {node} {:?}", at.name()),
        What::Coordinator { transactions, partition, pause } => {
            format!("coordinator {partition} transactions=#{transactions} pause=#{pause}")
        }
    }
}

struct Node<'a> {
    text: &'a str,
    node: &'a KdlNode,
}

impl<'a> Node<'a> {
    fn name(&self) -> &'a str {
        self.node.name().value()
    }

    fn wrong(&self, what: &str) -> FileError {
        FileError {
            line: line_at(self.text, self.node.span().offset()),
            what: format!("{}: {what}", self.name()),
        }
    }

    fn number<T: TryFrom<i128>>(&self, key: &str) -> Result<T, FileError> {
        let value = self.node.get(key).and_then(KdlValue::as_integer);
        let number = value.and_then(|value| T::try_from(value).ok());
        number.ok_or_else(|| self.wrong(&format!("expected {key}=NUMBER")))
    }

    fn optional<T: TryFrom<i128>>(&self, key: &str) -> Result<Option<T>, FileError> {
        self.node.get(key).map(|_| self.number(key)).transpose()
    }

    fn flag(&self, key: &str) -> Result<bool, FileError> {
        let value = self.node.get(key).and_then(KdlValue::as_bool);
        value.ok_or_else(|| self.wrong(&format!("expected {key}=#true or {key}=#false")))
    }

    fn text_of(&self, key: &str) -> Result<&'a str, FileError> {
        let value = self.node.get(key).and_then(KdlValue::as_string);
        value.ok_or_else(|| self.wrong(&format!("expected {key}=\"…\"")))
    }

    fn word(&self, at: usize) -> Result<&'a str, FileError> {
        let value = self.node.get(at).and_then(KdlValue::as_string);
        value.ok_or_else(|| self.wrong("expected a name in quotes here"))
    }

    fn argument<T: TryFrom<i128>>(&self, at: usize) -> Result<T, FileError> {
        let value =
            self.node.get(at).and_then(KdlValue::as_integer).and_then(|value| T::try_from(value).ok());
        value.ok_or_else(|| self.wrong(&format!("expected a number as argument {}", at + 1)))
    }

    /// A node of the cluster.
    fn member(&self, at: usize, options: &Options) -> Result<NodeId, FileError> {
        self.known(self.argument(at)?, options)
    }

    fn known(&self, id: i32, options: &Options) -> Result<NodeId, FileError> {
        let known = (1..=options.brokers).contains(&id) || (100..100 + options.controllers).contains(&id);
        if known { Ok(NodeId(id)) } else { Err(self.wrong(&format!("there is no node {id}"))) }
    }

    fn topic(&self, at: usize, options: &Options) -> Result<usize, FileError> {
        let topic: usize = self.argument(at)?;
        if topic < options.topics.len() {
            Ok(topic)
        } else {
            Err(self.wrong(&format!("there is no topic number {topic}")))
        }
    }

    fn transactional(&self) -> Result<TransactionalSpec, FileError> {
        let reads = self.node.get("reads").and_then(KdlValue::as_string);
        Ok(TransactionalSpec {
            id: self.word(0)?.to_owned().into(),
            topic: self.word(1)?.to_owned().into(),
            reads: reads.map(|topic| topic.to_owned().into()),
            timeout: Duration::from_millis(self.number("timeout-ms")?),
            transactions: self.number("transactions")?,
            batches: self.number("batches")?,
            batch: self.number("batch")?,
            interval: Duration::from_micros(self.number("interval-us")?),
            aborts: self.number("aborts")?,
            rest: Duration::from_millis(self.number("rest-ms")?),
            v2: self.flag("v2")?,
            hasty: self.flag("hasty")?,
        })
    }

    fn what(&self, options: &Options) -> Result<What, FileError> {
        let node = || self.member(0, options);
        let pair = || -> Result<(NodeId, NodeId), FileError> {
            let (from, to) = (self.member(0, options)?, self.member(1, options)?);
            if from == to { Err(self.wrong("a node has no link to itself")) } else { Ok((from, to)) }
        };
        Ok(match self.name() {
            "crash" => What::Crash(node()?),
            "power-loss" => What::Power(node()?),
            "stop" => What::Stop(node()?),
            "pause" => What::Pause(node()?),
            "isolate" => What::Isolate(node()?),
            "cut" => {
                let (from, to) = pair()?;
                What::Cut { from, to, both: self.flag("both")?, lost: self.flag("lost")? }
            }
            "slow" => {
                let (from, to) = pair()?;
                What::Slow { from, to, by: Duration::from_millis(self.number("by-ms")?) }
            }
            "skew" => What::Skew(node()?, self.number("by-ms")?),
            "disk" => What::Disk(node()?, self.flag("full")?),
            "extra-topic" => What::Topic(self.argument(0)?),
            "min-isr" => What::MinIsr { topic: self.topic(0, options)?, value: self.argument(1)? },
            "elect" => What::Elect,
            "reassign" => {
                let count = self.node.entries().iter().filter(|entry| entry.name().is_none()).count();
                let replicas = (2..count).map(|at| self.argument(at)).collect::<Result<_, _>>()?;
                What::Reassign { topic: self.topic(0, options)?, partition: self.argument(1)?, replicas }
            }
            "delete-records" => {
                What::DeleteRecords { topic: self.topic(0, options)?, partition: self.argument(1)? }
            }
            "request" => {
                let (api, action) = (self.word(0)?, self.word(1)?);
                let known = APIS.iter().map(|(api, _)| *api).find(|known| format!("{known:?}") == api);
                let api = known.ok_or_else(|| {
                    let known = APIS.map(|(api, _)| format!("{api:?}")).join(", ");
                    self.wrong(&format!("there is no API {api:?} here; there are {known}"))
                })?;
                let to = match self.node.get("to") {
                    Some(_) => Some(self.known(self.number("to")?, options)?),
                    None => None,
                };
                let by = || self.number("by-ms").ok().map(Duration::from_millis);
                let action = Hit::named(action, by).ok_or_else(|| {
                    let names = Hit::names();
                    self.wrong(&format!(
                        "expected one of {names}, and by-ms=NUMBER with a delay, not {action:?}"
                    ))
                })?;
                What::Request(HitRequests { api, to, percent: self.number("percent")?, action })
            }
            "breakpoint" => {
                let at: PausePoint = self
                    .word(1)?
                    .parse()
                    .map_err(|error: UnknownPausePoint| self.wrong(&error.to_string()))?;
                What::Break(node()?, at)
            }
            "coordinator" => What::Coordinator {
                transactions: self.flag("transactions")?,
                partition: self.argument(0)?,
                pause: self.flag("pause")?,
            },
            _ => {
                return Err(self.wrong(
                    "unknown; there are cluster, era, config, topic, producer, transactional, consumer, reader, watcher, member, crash, power-loss, stop, pause, isolate, cut, slow, skew, \
                     disk, extra-topic, min-isr, elect, reassign, delete-records, request, breakpoint, coordinator",
                ));
            }
        })
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Wanted;

    #[test]
    fn every_plan_comes_back_from_its_file() {
        for seed in 1..60 {
            let profile = [Profile::Default, Profile::Replication, Profile::Transactions][seed as usize % 3];
            let mut plan = Plan::draw(seed, &Wanted { profile, ..Wanted::default() });
            let file = File { plan: plan.clone(), breaks: Some("S2".to_owned()) };
            let text = file.render();
            assert!(File::is_one(&text));
            // What it was drawn with is not in the file: nothing more is drawn.
            plan.options.weights.clear();
            plan.options.pace = Duration::ZERO;
            assert_eq!(File::parse(&text), Ok(File { plan, breaks: Some("S2".to_owned()) }), "{text}");
        }
    }

    #[test]
    fn a_wrong_file_names_the_line() {
        let good = File { plan: Plan::draw(1, &Wanted::default()), breaks: None }.render();
        for (wrong, expected) in [
            ("simulation seed=1 profile=\"default\" {\n    frob 1\n}", "line 2: frob"),
            ("simulation seed=1 profile=\"default\" {", "line 1"),
            ("simulation profile=\"default\" {}", "line 1: simulation: expected seed=NUMBER"),
            (&*good.replacen("brokers=", "borkers=", 1), "line 3: cluster: expected brokers=NUMBER"),
        ] {
            let error = File::parse(wrong).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let cut = "simulation seed=1 profile=\"small\" {\n cluster brokers=1 controllers=1 latency-us=0 jitter-us=0 duration-ms=1\n \
                   crash 7 id=0 at-ms=1 lasts-ms=1\n}";
        assert_eq!(File::parse(cut).unwrap_err().to_string(), "line 3: crash: there is no node 7");
    }
}
