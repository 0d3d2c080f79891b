//! A consistent cut of the whole cluster at one moment: what every replica, every node and the quorum know.

use std::collections::BTreeMap;
use std::fmt;

use klamm_broker::{Broker, ReplicaView};
use klamm_controller::QuorumView;
use klamm_metadata::PartitionRegistration;
use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::StrBytes;

use crate::node::Node;
use crate::status::{GroupStatus, NodeRole, NodeStatus};
use crate::world::World;

/// The cluster at one moment. Offsets are exclusive ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// When, on the world's clock.
    pub at: Timestamp,
    /// The controllers that run, by node id.
    pub quorum: BTreeMap<NodeId, QuorumView>,
    /// The brokers that run, by node id.
    pub brokers: BTreeMap<NodeId, BrokerSnapshot>,
    /// Every node, in order of node ids.
    pub nodes: Vec<NodeStatus>,
    /// Every partition that the controller or a broker knows.
    pub partitions: BTreeMap<TopicPartition, PartitionSnapshot>,
    /// Every group, by its id.
    pub groups: BTreeMap<StrBytes, GroupStatus>,
    /// Things on their way between nodes, and calls that are not answered.
    pub pending: usize,
    /// Connections of clients that are open.
    pub connections: usize,
}

/// What a broker knows and has open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BrokerSnapshot {
    /// Its epoch; -1 before it registered.
    pub epoch: i64,
    /// The offset after the last metadata record that it applied.
    pub applied: i64,
    /// Requests that wait: acks=all, long polls, deletions of records.
    pub waiting: usize,
    /// Fetch sessions that are open.
    pub sessions: usize,
}

/// A partition as the controller has it, and as each replica has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSnapshot {
    /// As the controller has it; `None` where it knows of none such.
    pub registration: Option<PartitionRegistration>,
    /// The replicas whose broker runs, by broker.
    pub replicas: BTreeMap<NodeId, ReplicaView>,
}

impl World {
    /// The cluster as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            at: self.now(),
            quorum: self.quorum(),
            brokers: BTreeMap::new(),
            nodes: self.nodes(),
            partitions: BTreeMap::new(),
            groups: self.groups(),
            pending: self.pending(),
            connections: self.connections(),
        };
        for topic in self.metadata().into_iter().flat_map(|metadata| metadata.topics.iter()) {
            for (index, registration) in topic.iter() {
                let name = TopicPartition { topic: topic.name.clone(), partition: index };
                let registration = Some((**registration).clone());
                let partition = PartitionSnapshot { registration, replicas: BTreeMap::new() };
                snapshot.partitions.insert(name, partition);
            }
        }
        for slot in &self.slots {
            let Some(Node::Broker(node)) = &slot.node else { continue };
            snapshot.brokers.insert(slot.id, BrokerSnapshot::of(node));
            for replica in node.inspect() {
                let empty = || PartitionSnapshot { registration: None, replicas: BTreeMap::new() };
                let partition = snapshot.partitions.entry(replica.name().clone()).or_insert_with(empty);
                partition.replicas.insert(slot.id, replica.view());
            }
        }
        snapshot
    }
}

impl BrokerSnapshot {
    fn of(node: &Broker) -> Self {
        Self {
            epoch: node.epoch(),
            applied: node.applied_metadata(),
            waiting: node.pending_operations(),
            sessions: node.fetch_sessions(),
        }
    }
}

/// One thing that a snapshot says: what of what, and its value.
type Fact = ((String, &'static str), String);

impl Snapshot {
    /// Everything that the snapshot says, thing by thing.
    fn facts(&self) -> Vec<Fact> {
        let mut facts = Facts::default();
        for node in &self.nodes {
            let role = if node.role == NodeRole::Broker { "broker" } else { "controller" };
            let of = format!("{role} {}", node.node);
            let state = match (node.up, node.ready) {
                (false, _) => "down",
                (true, false) => "up, not ready",
                (true, true) => "up",
            };
            facts.add(&of, "state", state);
            facts.add(&of, "incarnation", node.incarnation);
            if let Some(controller) = self.quorum.get(&node.node) {
                facts.add(&of, "quorum state", controller.state);
                facts.add(&of, "quorum epoch", controller.epoch);
                facts.add(&of, "quorum leader", controller.leader);
                facts.add(&of, "metadata log end", controller.log_end);
                facts.add(&of, "metadata high watermark", controller.high_watermark);
            }
            if let Some(broker) = self.brokers.get(&node.node) {
                facts.add(&of, "broker epoch", broker.epoch);
                facts.add(&of, "metadata applied", broker.applied);
                facts.add(&of, "waiting requests", broker.waiting);
                facts.add(&of, "fetch sessions", broker.sessions);
            }
        }
        for (name, partition) in &self.partitions {
            partition.facts(&name.to_string(), &mut facts);
        }
        for (id, group) in &self.groups {
            facts.add(&format!("group {id}"), "state", group);
        }
        facts.add("world", "pending", self.pending);
        facts.add("world", "connections", self.connections);
        facts.0
    }

    /// What is otherwise in `later`.
    pub fn diff(&self, later: &Self) -> SnapshotDiff {
        let (mut before, after) = (BTreeMap::from_iter(self.facts()), later.facts());
        let mut changes = Vec::new();
        for ((of, what), now) in after {
            let was = before.remove(&(of.clone(), what));
            if was.as_ref() != Some(&now) {
                changes.push(SnapshotChange { of, what, before: was, after: Some(now) });
            }
        }
        let gone = before.into_iter();
        changes.extend(gone.map(|((of, what), was)| SnapshotChange {
            of,
            what,
            before: Some(was),
            after: None,
        }));
        SnapshotDiff { from: self.at, to: later.at, changes }
    }
}

#[derive(Default)]
struct Facts(Vec<Fact>);

impl Facts {
    fn add(&mut self, of: &str, what: &'static str, value: impl fmt::Display) {
        self.0.push(((of.to_owned(), what), value.to_string()));
    }

    fn add_ids(&mut self, of: &str, what: &'static str, ids: &[NodeId]) {
        self.add(of, what, Ids(ids));
    }
}

impl PartitionSnapshot {
    fn facts(&self, name: &str, facts: &mut Facts) {
        if let Some(registration) = &self.registration {
            facts.add(name, "leader", registration.leader);
            facts.add(name, "leader epoch", registration.leader_epoch);
            facts.add(name, "partition epoch", registration.partition_epoch);
            facts.add_ids(name, "replicas", &registration.replicas);
            facts.add_ids(name, "ISR", &registration.isr);
            for (what, ids) in [
                ("ELR", &registration.elr),
                ("last known ELR", &registration.last_known_elr),
                ("adding", &registration.adding_replicas),
                ("removing", &registration.removing_replicas),
            ] {
                if !ids.is_empty() {
                    facts.add_ids(name, what, ids);
                }
            }
        }
        for (broker, replica) in &self.replicas {
            let of = format!("{name} on {broker}");
            let epochs = replica.epochs.iter().map(|entry| format!("{}@{}", entry.epoch, entry.start_offset));
            facts.add(&of, "leader epoch", replica.leader_epoch);
            facts.add(&of, "log start", replica.log_start);
            facts.add(&of, "high watermark", replica.high_watermark);
            facts.add(&of, "log end", replica.log_end);
            facts.add(&of, "epochs", epochs.collect::<Vec<_>>().join(" "));
            if let Some(leading) = &replica.leading {
                facts.add_ids(&of, "maximal ISR", &leading.maximal_isr);
                facts.add(&of, "ISR change on its way", if leading.in_flight { "yes" } else { "no" });
            }
        }
    }
}

struct Ids<'a>(&'a [NodeId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|id| id.0)).finish()
    }
}

/// A line for each thing, and what is known of it.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {}", self.at)?;
        let mut last = String::new();
        for ((of, what), value) in self.facts() {
            if of == last {
                write!(f, ", {what} {value}")?;
            } else {
                write!(f, "\n{of}: {what} {value}")?;
                last = of;
            }
        }
        writeln!(f)
    }
}

/// What is otherwise in one snapshot than in another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotDiff {
    /// When the first was taken.
    pub from: Timestamp,
    /// When the second was taken.
    pub to: Timestamp,
    /// What is otherwise.
    pub changes: Vec<SnapshotChange>,
}

/// One thing that is otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotChange {
    /// Of what: `t-0`, `t-0 on 2`, `broker 1`.
    pub of: String,
    /// What: `leader`, `high watermark`.
    pub what: &'static str,
    /// Its value in the first; `None` where it has none.
    pub before: Option<String>,
    /// Its value in the second; `None` where it has none.
    pub after: Option<String>,
}

impl SnapshotDiff {
    /// Whether nothing is otherwise.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

impl fmt::Display for SnapshotDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "from {} to {}", self.from, self.to)?;
        for SnapshotChange { of, what, before, after } in &self.changes {
            let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            writeln!(f, "{of}: {what} {} -> {}", text(before), text(after))?;
        }
        Ok(())
    }
}
