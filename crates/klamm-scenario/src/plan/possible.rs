//! What cannot be at a point of the file, as far as the file alone tells.

use std::collections::BTreeSet;

use klamm_node::pause::PausePoint;
use klamm_node::{NodeId, TopicPartition};
use klamm_world::Fault;
use klamm_world::fault::{ClusterFault, NetworkFault, NodeFault};

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Span};
use crate::step::{Placement, TopicSpec};

/// Every topic that some line creates, wherever it stands.
pub(super) fn topics(lines: &[Line]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in lines.iter().filter(|line| !line.word.starts_with("expect")) {
        if matches!(line.word.as_str(), "topic" | "create-topic" | "metadata") {
            found.insert(line.text(0));
        }
        found.extend(topics(&line.block));
    }
    found
}

impl Planner<'_> {
    /// A topic has the replicas that it was given, where the controller had no say.
    pub(super) fn placed(&mut self, topic: &TopicSpec) {
        self.names.replicas.retain(|partition, _| *partition.topic != *topic.name);
        let Placement::Manual(partitions) = &topic.placement else { return };
        for (at, replicas) in (0..).zip(partitions) {
            let partition = TopicPartition::new(topic.name.clone(), at);
            self.names.replicas.insert(partition, replicas.iter().copied().collect());
        }
    }

    /// Replicas are moved: at some time these have one too.
    pub(super) fn moved(&mut self, partition: &TopicPartition, to: &[NodeId]) {
        if let Some(replicas) = self.names.replicas.get_mut(partition) {
            replicas.extend(to);
        }
    }

    /// Whether a broker may have a replica. Where it cannot, that is a mistake.
    pub(super) fn may_host(&mut self, node: NodeId, partition: &TopicPartition, span: Span) -> bool {
        if self.names.controllers.contains(&node) {
            self.wrong(
                format!("node {node} is a controller, and has no replica of {partition}"),
                span,
                "name a broker",
            );
            return false;
        }
        let Some(replicas) = self.names.replicas.get(partition).filter(|replicas| !replicas.contains(&node))
        else {
            return true;
        };
        let known: Vec<_> = replicas.iter().map(ToString::to_string).collect();
        self.mistakes.push(
            Mistake::new(format!("broker {node} has no replica of {partition}"), span, "impossible")
                .help(format!("its replicas are on {}", known.join(", "))),
        );
        false
    }

    /// A controller has to do this: one must run.
    pub(super) fn needs_controller(&mut self, line: &Line) {
        if self.names.controllers.iter().all(|node| self.names.down.contains(node)) {
            let first = self.names.controllers.first().map_or(100, |node| node.0);
            self.mistakes.push(
                Mistake::new(
                    format!("no controller runs that could do `{}`", line.word),
                    line.span,
                    "impossible",
                )
                .help(format!("say `start {first}` before")),
            );
        }
    }

    /// A group that nobody is in has nothing to be done to.
    pub(super) fn needs_members(&mut self, line: &Line, group: &str) {
        if self.names.joined.contains(group) {
            return;
        }
        let consumer = self.names.group_of.iter().find(|(_, of)| *of == group).map(|(name, _)| name.clone());
        let mistake = Mistake::new(format!("nobody is in group `{group}` here"), line.span, "impossible");
        self.mistakes.push(match consumer {
            Some(consumer) => {
                mistake.help(format!("say `subscribe {consumer} TOPIC` and `poll {consumer}` before"))
            }
            None => mistake,
        });
    }

    /// The broker that a group is moved to has a place among the coordinators only if there are any.
    pub(super) fn needs_coordinators(&mut self, line: &Line) {
        if !self.names.coordinated {
            self.mistakes.push(
                Mistake::new("there is no coordinator yet", line.span, "impossible")
                    .help("the first consumer that polls with a group, or commits, brings them about"),
            );
        }
    }

    /// A consumer has used its group.
    pub(super) fn uses_group(&mut self, client: &str, joins: bool) {
        if let Some(group) = self.names.group_of.get(client) {
            self.names.coordinated = true;
            if joins {
                self.names.joined.insert(group.clone());
            }
        }
    }

    /// A topic that a line is about: one that the file creates somewhere, or one of Kafka's own.
    pub(super) fn ever_topic(&mut self, topic: &str, span: Span) {
        if !self.names.ever.contains(topic) && !topic.starts_with("__") {
            let mistake = Mistake::new(format!("no line creates a topic `{topic}`"), span, "unknown topic");
            self.mistakes.push(mistake.suggest(topic, self.names.ever.iter().map(String::as_str)));
        }
    }

    /// A point is one of a broker's doings, or of a controller's.
    pub(super) fn comes_to(&mut self, node: NodeId, at: PausePoint, span: Span) {
        let is_controller = self.names.controllers.contains(&node);
        if is_controller != (at == PausePoint::AfterMetadataAppendBeforeReplication) {
            let what = if is_controller { "a controller" } else { "a broker" };
            self.wrong(format!("{what} never comes to `{}`", at.name()), span, "it would never hold");
        }
    }
}

/// Whether a fault lasts until it is healed or used up.
pub(super) const fn lasts(fault: &Fault) -> bool {
    match fault {
        Fault::Node { fault, .. } => matches!(
            fault,
            NodeFault::Slow { .. } | NodeFault::WallClock { .. } | NodeFault::Drift { .. } | NodeFault::Fence
        ),
        Fault::Network(fault) => !matches!(fault, NetworkFault::Reset { .. }),
        Fault::Cluster(fault) => matches!(fault, ClusterFault::HoldIsr { .. }),
        Fault::Request(_) | Fault::Disk { .. } | Fault::Breakpoint(_) => true,
    }
}
