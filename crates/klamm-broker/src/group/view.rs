//! Groups as somebody who looks in from outside sees them.

use std::collections::BTreeMap;

use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

use super::GroupCoordinator;
use super::groups::Group;
use super::offsets::View;
use super::shard::Shard;

/// A group, as its coordinator has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// The epoch in which the broker leads the group's partition of `__consumer_offsets`.
    pub coordinator_epoch: i32,
    /// Kafka's name of its type: `classic`, `consumer` or `share`.
    pub kind: &'static str,
    /// Kafka's name of its state; `Empty` where there are only offsets.
    pub state: &'static str,
    /// Its generation, or its epoch.
    pub generation: i32,
    /// The protocol (assignor) that was chosen.
    pub protocol: Option<StrBytes>,
    /// Its members' ids, in order, and their `client.id`s.
    pub members: BTreeMap<StrBytes, StrBytes>,
    /// The positions that were committed, and that no failover takes back.
    pub offsets: BTreeMap<TopicPartition, i64>,
}

impl GroupCoordinator {
    /// Every group that has state here, by its id.
    pub(crate) fn views(&self) -> BTreeMap<StrBytes, GroupView> {
        self.shards.values().flat_map(Shard::views).collect()
    }
}

impl Shard {
    fn views(&self) -> impl Iterator<Item = (StrBytes, GroupView)> {
        let mut ids: Vec<_> =
            self.groups.iter().map(|(id, _)| id).chain(self.offsets.groups()).cloned().collect();
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().map(|id| {
            let offsets = self
                .offsets
                .of_group(View::Committed, &id)
                .map(|(topic, partition, value)| {
                    (TopicPartition::new(topic.clone(), partition), value.offset)
                })
                .collect();
            let group = self.groups.group(&id);
            let view = GroupView {
                coordinator_epoch: self.leader_epoch,
                kind: group.map_or("classic", Group::type_name),
                state: group.map_or("Empty", Group::state_name),
                generation: group.map_or(0, Group::generation),
                protocol: group.and_then(protocol),
                members: group.map(members).unwrap_or_default(),
                offsets,
            };
            (id, view)
        })
    }
}

fn protocol(group: &Group) -> Option<StrBytes> {
    match group {
        Group::Classic(group) => group.protocol_name().cloned(),
        Group::Consumer(group) => group.preferred_assignor().cloned(),
        Group::Share(_) => Some(StrBytes::from_static_str(super::modern::share::simple::NAME)),
    }
}

fn members(group: &Group) -> BTreeMap<StrBytes, StrBytes> {
    match group {
        Group::Classic(group) => group.members().map(|m| (m.id.clone(), m.client_id.clone())).collect(),
        Group::Consumer(group) => group.members().map(|m| (m.id.clone(), m.client_id.clone())).collect(),
        Group::Share(group) => group.members().map(|m| (m.id.clone(), m.client_id.clone())).collect(),
    }
}
