//! Groups with all that a checker of the whole cluster wants to know of them.

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::TopicPartition;
use klamm_wire::{StrBytes, Uuid};

use super::GroupCoordinator;
use super::classic::ClassicGroup;
use super::groups::Group;
use super::modern::consumer::group::ConsumerGroup;
use super::modern::consumer::member::{Assigned, ConsumerMember};
use super::offsets::View;
use super::shard::ShardState;

/// A group as the coordinator that serves it has it now, committed or not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupInspection {
    /// Kafka's name of its type; empty for a group that the coordinator does not know.
    pub kind: &'static str,
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Its generation, or its epoch.
    pub epoch: i32,
    /// The epoch that its target is of; a classic group's generation.
    pub target_epoch: i32,
    /// Its members, in order of their ids in a consumer group.
    pub members: Vec<GroupMemberInspection>,
    /// The positions that were committed; a failover may take back the last.
    pub offsets: BTreeMap<TopicPartition, i64>,
}

/// Partitions by topic id and number, each with the epoch in which the member got it.
pub type AssignedPartitions = BTreeMap<(Uuid, i32), i32>;

/// A member of a group. What is about the consumer protocol is empty in a classic group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupMemberInspection {
    /// Its id.
    pub id: StrBytes,
    /// Its group instance id.
    pub instance: Option<StrBytes>,
    /// Its epoch; a classic group's generation.
    pub epoch: i32,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
    /// Whether it has what it is to have.
    pub is_reconciled: bool,
    /// How long it may be silent, in milliseconds.
    pub session_timeout_ms: i32,
    /// Whether its silence is excused: it waits for an answer.
    pub waits: bool,
    /// The topics that it subscribes to.
    pub topics: BTreeSet<StrBytes>,
    /// What it has.
    pub assigned: AssignedPartitions,
    /// What it must give up.
    pub revoking: AssignedPartitions,
    /// What it is to have.
    pub target: BTreeSet<(Uuid, i32)>,
}

impl GroupInspection {
    /// A member.
    pub fn member(&self, id: &StrBytes) -> Option<&GroupMemberInspection> {
        self.members.iter().find(|member| member.id == *id)
    }
}

impl GroupCoordinator {
    /// A group whose records are in a partition of `__consumer_offsets`; `None` where this broker does not serve that partition, or
    /// is still loading it.
    pub(crate) fn inspect(&self, partition: i32, id: &StrBytes) -> Option<GroupInspection> {
        let shard = self.shards.get(&partition).filter(|shard| shard.state == ShardState::Active)?;
        let offsets = shard.offsets.of_group(View::Latest, id);
        let offsets = offsets
            .map(|(topic, partition, value)| (TopicPartition::new(topic.clone(), partition), value.offset));
        let mut inspection = match shard.groups.group(id) {
            Some(Group::Classic(group)) => classic(group),
            Some(Group::Consumer(group)) => consumer(group, self.config.consumer.session_timeout_ms),
            Some(group @ Group::Share(_)) => GroupInspection {
                kind: group.type_name(),
                state: group.state_name(),
                epoch: group.generation(),
                ..GroupInspection::default()
            },
            None => GroupInspection::default(),
        };
        inspection.offsets = offsets.collect();
        Some(inspection)
    }
}

fn classic(group: &ClassicGroup) -> GroupInspection {
    let member = |member: &super::member::Member| GroupMemberInspection {
        id: member.id.clone(),
        instance: member.instance_id.clone(),
        epoch: group.generation(),
        is_classic: true,
        is_reconciled: true,
        session_timeout_ms: member.session_timeout_ms,
        waits: member.has_satisfied_heartbeat(),
        ..GroupMemberInspection::default()
    };
    GroupInspection {
        kind: "classic",
        state: group.state().name(),
        epoch: group.generation(),
        target_epoch: group.generation(),
        members: group.members().map(member).collect(),
        offsets: BTreeMap::new(),
    }
}

fn consumer(group: &ConsumerGroup, session_timeout_ms: i32) -> GroupInspection {
    let target = &group.base.target;
    let member = |member: &ConsumerMember| GroupMemberInspection {
        id: member.id.clone(),
        instance: member.instance_id.clone(),
        epoch: member.epoch,
        is_classic: member.is_classic(),
        is_reconciled: member.is_reconciled_to(target.epoch),
        session_timeout_ms: member
            .classic
            .as_ref()
            .map_or(session_timeout_ms, |classic| classic.session_timeout_ms.max(session_timeout_ms)),
        waits: false,
        topics: group.topics_of(member),
        assigned: flat(&member.assigned),
        revoking: flat(&member.revoking),
        target: target
            .of(&member.id)
            .into_iter()
            .flat_map(|(topic, partitions)| partitions.into_iter().map(move |partition| (topic, partition)))
            .collect(),
    };
    GroupInspection {
        kind: "consumer",
        state: group.state().name(),
        epoch: group.base.epoch,
        target_epoch: target.epoch,
        members: group.members().map(member).collect(),
        offsets: BTreeMap::new(),
    }
}

fn flat(assigned: &Assigned) -> AssignedPartitions {
    let partitions = assigned.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(move |(partition, epoch)| ((*topic, *partition), *epoch))
    });
    partitions.collect()
}
