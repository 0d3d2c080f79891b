//! Looking into a world: what a person, a test or a condition asks it.

use std::collections::BTreeMap;
use std::fmt;

use klamm_broker::{Broker, GroupView, StoredLog};
use klamm_controller::Controller;
use klamm_metadata::{LeaderRecoveryState, MetadataImage};
use klamm_node::{NodeId, TopicPartition};
use klamm_wire::StrBytes;

use crate::node::Node;
use crate::world::World;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeRole {
    /// A broker.
    Broker,
    /// A controller.
    Controller,
}

/// How a node is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeStatus {
    /// The node.
    pub node: NodeId,
    /// What it is.
    pub role: NodeRole,
    /// Whether its process runs.
    pub up: bool,
    /// Whether it does its work: a broker is registered, unfenced and has the metadata; a controller is active, or follows
    /// the one that is.
    pub ready: bool,
    /// How often it was started.
    pub incarnation: u32,
}

/// One partition, as the controller and each of its replicas have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The leader; `None` for none.
    pub leader: Option<NodeId>,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The partition's epoch.
    pub partition_epoch: i32,
    /// The replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// The in-sync replicas.
    pub isr: Vec<NodeId>,
    /// The eligible leader replicas (KIP-966).
    pub elr: Vec<NodeId>,
    /// The last leader, while there is none and nobody is eligible (KIP-966).
    pub last_known_elr: Vec<NodeId>,
    /// The replicas that a reassignment brings in (KIP-455).
    pub adding_replicas: Vec<NodeId>,
    /// The replicas that a reassignment takes away (KIP-455).
    pub removing_replicas: Vec<NodeId>,
    /// Whether the leader came from an unclean election and has not said that it recovered (KIP-704).
    pub leader_recovery_state: LeaderRecoveryState,
    /// The replicas whose broker runs and has the partition, by broker.
    pub logs: BTreeMap<NodeId, ReplicaStatus>,
}

/// One replica, as its broker has it. Offsets are exclusive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// The leader's epoch that the broker knows.
    pub leader_epoch: i32,
    /// The first offset of its log.
    pub log_start: i64,
    /// The next offset of its log.
    pub log_end: i64,
    /// Its high watermark.
    pub high_watermark: i64,
    /// Its last stable offset: below it every transaction is decided.
    pub last_stable_offset: i64,
}

impl PartitionStatus {
    /// The high watermark, as the leader has it.
    pub fn high_watermark(&self) -> Option<i64> {
        Some(self.logs.get(&self.leader?)?.high_watermark)
    }

    /// The log end, as the leader has it.
    pub fn log_end(&self) -> Option<i64> {
        Some(self.logs.get(&self.leader?)?.log_end)
    }

    /// Whether fewer replicas are in sync than there should be. Those that a reassignment brings in do not count
    /// (`Partition.isUnderReplicated`).
    pub fn is_under_replicated(&self) -> bool {
        let adding = self.adding_replicas.iter().filter(|id| self.replicas.contains(id)).count();
        self.isr.len() < self.replicas.len() - adding
    }

    /// Whether every replica is in sync, and has all that the leader has.
    pub fn is_settled(&self) -> bool {
        let end = self.log_end();
        end.is_some()
            && self.isr.len() == self.replicas.len()
            && self.replicas.iter().all(|replica| {
                let log = self.logs.get(replica);
                log.map(|log| log.log_end) == end && log.map(|log| log.high_watermark) == end
            })
    }
}

/// Everything that a recorded run and its replay must agree on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterStatus {
    /// Every node, in order of node ids.
    pub nodes: Vec<NodeStatus>,
    /// Every partition.
    pub partitions: BTreeMap<TopicPartition, PartitionStatus>,
    /// Every group, by its id.
    pub groups: BTreeMap<StrBytes, GroupStatus>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The broker that coordinates it.
    pub coordinator: NodeId,
    /// The group, as its coordinator has it.
    pub group: GroupView,
}

impl World {
    /// Every node, in order of node ids.
    pub fn nodes(&self) -> Vec<NodeStatus> {
        let controllers = &self.settings.controllers;
        self.slots
            .iter()
            .map(|slot| NodeStatus {
                node: slot.id,
                role: if controllers.contains(&slot.id) { NodeRole::Controller } else { NodeRole::Broker },
                up: slot.node.is_some(),
                ready: match &slot.node {
                    Some(Node::Broker(broker)) => broker.is_ready(),
                    Some(Node::Controller(controller)) => controller.is_ready(),
                    #[cfg(test)]
                    Some(Node::Probe(_)) => true,
                    None => false,
                },
                incarnation: slot.incarnation,
            })
            .collect()
    }

    /// Whether every node runs and does its work.
    pub fn is_ready(&self) -> bool {
        self.nodes().iter().all(|node| node.ready)
    }

    /// Whether a node's process runs.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.slot(node).is_some_and(|slot| self.slots[slot].node.is_some())
    }

    /// Whether a topic exists, each partition has a leader, and every running broker in its ISR serves it.
    pub fn is_topic_ready(&self, topic: &str) -> bool {
        let Some(image) = self.metadata().and_then(|metadata| metadata.topics.by_name(topic)) else {
            return false;
        };
        image.iter().all(|(partition, registration)| {
            registration.has_leader()
                && registration.isr.iter().all(|replica| {
                    self.broker(*replica).is_none_or(|broker| broker.partition(topic, partition).is_some())
                })
        })
    }

    pub(crate) fn broker(&self, node: NodeId) -> Option<&Broker> {
        match &self.slots[self.slot(node)?].node {
            Some(Node::Broker(broker)) => Some(broker),
            _ => None,
        }
    }

    /// The cluster's metadata, as the active controller has it; where none is, as the one that knows most.
    pub fn metadata(&self) -> Option<&MetadataImage> {
        let knows = |controller: &Controller| {
            let epoch = if controller.is_active() { controller.epoch() } else { -1 };
            (epoch, controller.image().provenance.last_contained_offset)
        };
        let most = self.controllers().max_by_key(|(_, controller)| knows(controller));
        most.map(|(_, controller)| controller.image())
    }

    /// One partition; `None` when the controller knows of none such, or none runs.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<PartitionStatus> {
        let registration = self.metadata()?.topics.partition_by_name(topic, partition)?;
        let logs = self
            .slots
            .iter()
            .filter_map(|slot| {
                let Some(Node::Broker(broker)) = &slot.node else { return None };
                let view = broker.partition(topic, partition)?;
                let replica = ReplicaStatus {
                    leader_epoch: view.leader_epoch,
                    log_start: view.log_start,
                    log_end: view.log_end,
                    high_watermark: view.high_watermark,
                    last_stable_offset: view.last_stable_offset,
                };
                Some((slot.id, replica))
            })
            .collect();
        Some(PartitionStatus {
            leader: registration.has_leader().then_some(registration.leader),
            leader_epoch: registration.leader_epoch,
            partition_epoch: registration.partition_epoch,
            replicas: registration.replicas.clone(),
            isr: registration.isr.clone(),
            elr: registration.elr.clone(),
            last_known_elr: registration.last_known_elr.clone(),
            adding_replicas: registration.adding_replicas.clone(),
            removing_replicas: registration.removing_replicas.clone(),
            leader_recovery_state: registration.leader_recovery_state,
            logs,
        })
    }

    /// The log of a partition's replica, record by record; `None` when the broker does not run or holds none such.
    pub fn stored_log(&self, node: NodeId, topic: &str, partition: i32) -> Option<StoredLog> {
        self.broker(node)?.stored_log(topic, partition)
    }

    /// How many bytes are on a node's disk, those of deleted files among them until they are removed; `None` for a node that is not
    /// in this world.
    pub fn disk_used_bytes(&self, node: NodeId) -> Option<u64> {
        let slot = self.slots.iter().find(|slot| slot.id == node)?;
        slot.disk_ref().map(|disk| disk.used_bytes())
    }

    /// Every topic with its number of partitions, by name.
    pub fn topics(&self) -> BTreeMap<StrBytes, i32> {
        let Some(metadata) = self.metadata() else { return BTreeMap::new() };
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        metadata.topics.iter().map(|topic| (topic.name.clone(), count(topic.iter().len()))).collect()
    }

    /// Every group, by its id, as the broker has it that last became its coordinator.
    pub fn groups(&self) -> BTreeMap<StrBytes, GroupStatus> {
        let mut groups: BTreeMap<StrBytes, GroupStatus> = BTreeMap::new();
        for slot in &self.slots {
            let Some(Node::Broker(broker)) = &slot.node else { continue };
            for (id, group) in broker.groups() {
                let other = groups.get(&id).map(|other| other.group.coordinator_epoch);
                if other.is_none_or(|other| other < group.coordinator_epoch) {
                    groups.insert(id, GroupStatus { coordinator: slot.id, group });
                }
            }
        }
        groups
    }

    /// Everything that a recorded run and its replay must agree on.
    pub fn status(&self) -> ClusterStatus {
        let mut partitions = BTreeMap::new();
        for (topic, count) in self.topics() {
            for partition in 0..count {
                if let Some(status) = self.partition(&topic, partition) {
                    partitions.insert(TopicPartition::new(topic.clone(), partition), status);
                }
            }
        }
        ClusterStatus { nodes: self.nodes(), partitions, groups: self.groups() }
    }
}

/// Node ids as Kafka prints them: `[1, 2, 3]`.
struct Ids<'a>(&'a [NodeId]);

impl fmt::Display for Ids<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|id| id.0)).finish()
    }
}

impl fmt::Display for PartitionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.leader {
            Some(leader) => write!(f, "leader {leader}")?,
            None => f.write_str("no leader")?,
        }
        write!(
            f,
            " epoch {} partition epoch {} replicas {} ISR {}",
            self.leader_epoch,
            self.partition_epoch,
            Ids(&self.replicas),
            Ids(&self.isr)
        )?;
        if !self.elr.is_empty() {
            write!(f, " ELR {}", Ids(&self.elr))?;
        }
        for (name, ids) in [
            ("last known ELR", &self.last_known_elr),
            ("adding", &self.adding_replicas),
            ("removing", &self.removing_replicas),
        ] {
            if !ids.is_empty() {
                write!(f, " {name} {}", Ids(ids))?;
            }
        }
        if self.leader_recovery_state == LeaderRecoveryState::Recovering {
            f.write_str(" recovering")?;
        }
        for (broker, log) in &self.logs {
            write!(
                f,
                "; {broker}: {}..{} high watermark {}",
                log.log_start, log.log_end, log.high_watermark
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for GroupStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GroupView { state, generation, protocol, members, offsets, .. } = &self.group;
        write!(f, "{state} generation {generation} coordinator {}", self.coordinator)?;
        if let Some(protocol) = protocol {
            write!(f, " protocol {protocol}")?;
        }
        for (member, client) in members {
            write!(f, "; {client} as {member}")?;
        }
        for (partition, offset) in offsets {
            write!(f, "; {partition} at {offset}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ClusterStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for node in &self.nodes {
            let role = match node.role {
                NodeRole::Broker => "broker",
                NodeRole::Controller => "controller",
            };
            let state = match (node.up, node.ready) {
                (false, _) => "down",
                (true, false) => "up, not ready",
                (true, true) => "up",
            };
            writeln!(f, "{role} {}: {state}, incarnation {}", node.node, node.incarnation)?;
        }
        for (partition, status) in &self.partitions {
            writeln!(f, "{partition}: {status}")?;
        }
        for (id, status) in &self.groups {
            writeln!(f, "group {id}: {status}")?;
        }
        Ok(())
    }
}
