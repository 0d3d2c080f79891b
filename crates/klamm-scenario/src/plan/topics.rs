//! Topics: as a line creates them, who leads, and where a key belongs.

use klamm_node::TopicPartition;

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::Line;
use crate::step::{Admin, Placement, TopicSpec};

/// `num.partitions`, which a topic that is created by asking for it has.
const NUM_PARTITIONS: i32 = 1;

impl Planner<'_> {
    pub(super) fn topic(&mut self, line: &Line) -> Option<TopicSpec> {
        let name = line.text(0);
        let expects_error = line.prop_text("error").is_some_and(|error| error != "NONE");
        if self.names.topics.contains_key(&name) && !expects_error {
            self.wrong(format!("there is a topic `{name}` already"), line.span, "named twice");
            return None;
        }
        let placement = self.placement(line)?;
        let topic = TopicSpec {
            name,
            placement,
            configs: line.configs(),
            api_version: line.prop_int("api-version").and_then(|version| i16::try_from(version).ok()),
        };
        if !expects_error {
            self.topic_configs(line);
            self.enough_brokers(line);
            self.names.topics.insert(topic.name.clone(), topic.partitions());
            self.placed(&topic);
        }
        Some(topic)
    }

    /// More replicas than brokers is an answer of the controller's, which a scenario may ask for, but not by mistake.
    pub(super) fn enough_brokers(&mut self, line: &Line) {
        let Some(value) = line.get("replication-factor") else { return };
        let brokers = self.names.brokers.len();
        let factor = line.prop_int("replication-factor").and_then(|factor| usize::try_from(factor).ok());
        if factor.is_none_or(|factor| factor < 1 || factor > brokers) {
            let message = format!("the replication factor is from 1 to {brokers}, the number of brokers");
            self.wrong(message, value.span, "cannot be");
        }
    }

    pub(super) fn placement(&mut self, line: &Line) -> Option<Placement> {
        if let Some(factor) = line.prop_int("replication-factor") {
            let partitions = line.prop_int("partitions").unwrap_or(1);
            let both = line
                .get("replicas")
                .map(|value| value.span)
                .or_else(|| line.block.first().map(|child| child.span));
            if let Some(span) = both {
                self.wrong(
                    "replicas are placed by hand or by the controller, not both",
                    span,
                    "or leave `replication-factor` out",
                );
            }
            return Some(Placement::Controller {
                partitions: i32::try_from(partitions).ok()?,
                replication_factor: i16::try_from(factor).ok()?,
            });
        }
        if line.block.is_empty() {
            let replicas = self
                .brokers_prop(line, "replicas")
                .unwrap_or_else(|| self.names.brokers.iter().copied().collect());
            let partitions = line.prop_int("partitions").unwrap_or(1);
            let Some(partitions) =
                usize::try_from(partitions).ok().filter(|count| (1..=10_000).contains(count))
            else {
                self.wrong("`partitions` is a number from 1 to 10000", line.span, "in this line");
                return None;
            };
            if replicas.is_empty() {
                self.wrong("a partition needs a replica", line.span, "no replicas");
                return None;
            }
            return Some(Placement::Manual(vec![replicas; partitions]));
        }
        let mut all = Vec::new();
        for (at, child) in line.block.iter().enumerate() {
            let replicas = self.brokers_prop(child, "replicas").unwrap_or_default();
            if child.text(0) != at.to_string() {
                self.wrong(
                    format!("this is partition {at}"),
                    child.span,
                    "partitions are named in order, from 0",
                );
            }
            if replicas.is_empty() {
                self.wrong("a partition needs a replica", child.span, "for example replicas=\"1,2\"");
            }
            all.push(replicas);
        }
        Some(Placement::Manual(all))
    }

    /// The partition of the file's only topic that a key belongs to, by as many partitions as it has at this line.
    pub(super) fn partition_of_key(&mut self, line: &Line, key: &str) -> Option<TopicPartition> {
        let mut topics = self.names.topics.iter();
        let (Some((topic, count)), None) = (topics.next(), topics.next()) else {
            self.mistakes.push(
                Mistake::new(
                    "a key in which topic?",
                    line.span,
                    "there is not exactly one topic in this file",
                )
                .help("name the partition, such as to=t-0"),
            );
            return None;
        };
        let partitions = usize::try_from(*count).unwrap_or_default();
        let index = klamm_wire::partition_for_key(key.as_bytes(), partitions);
        Some(TopicPartition::new(topic.clone(), i32::try_from(index).ok()?))
    }

    /// A topic that this asks to create is there in what follows.
    pub(super) fn metadata(&mut self, line: &Line) -> Admin {
        let topic = line.text(0);
        let create = line.prop_flag("create").unwrap_or(false);
        if create {
            self.names.topics.entry(topic.clone()).or_insert(NUM_PARTITIONS);
        }
        Admin::Metadata { topic, create, broker: self.broker_prop(line, "broker") }
    }
}
