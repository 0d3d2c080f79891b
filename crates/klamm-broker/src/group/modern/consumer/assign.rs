//! The target of a consumer group, and a member's way to it (Kafka's `maybeUpdateTargetAssignment`, `maybeReconcile` and
//! `TargetAssignmentBuilder`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::{GroupEvent, TopicPartition};
use klamm_wire::{StrBytes, Uuid};

use super::super::Partitions;
use super::super::assignor::{Assignor, GroupSpec, MemberSpec};
use super::super::refusal::Refusal;
use super::super::share::records::ShareRecord;
use super::group::{Changed, ConsumerGroup};
use super::member::{Assigned, ConsumerMember, MemberState, with_epoch};
use super::reconcile::Reconciliation;
use super::records::{ConsumerRecord, CurrentAssignment};
use crate::group::done::Done;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard, Wrote};

impl Shard {
    /// Computes the target of a newer epoch, if it is time. Returns the epoch of the target and the member's part of it.
    #[expect(clippy::too_many_arguments, reason = "they are one step of a heartbeat")]
    pub(super) fn update_target(
        &self,
        env: &Env<'_, '_>,
        group: &ConsumerGroup,
        epoch: i32,
        old: &ConsumerMember,
        updated: &ConsumerMember,
        after: &Changed,
        records: &mut Vec<Record>,
    ) -> (i32, Partitions) {
        let target = &group.base.target;
        let before = |member: &ConsumerMember| {
            let known = member.instance_id.as_ref().and_then(|instance| group.static_member(instance));
            target.of(known.map_or(&member.id, |known| &known.id))
        };
        let interval_ms = env.consumer_assignment_interval_ms(group.id());
        if target.epoch >= epoch || !target.may_recompute(interval_ms, env.wall_ms()) {
            return (target.epoch, before(updated));
        }
        let spec = group.spec(env, Some((old, updated)), after);
        let name = after.preferred_assignor().map(|name| name.as_str());
        let assignor =
            name.and_then(Assignor::named).unwrap_or_else(|| env.config.consumer.default_assignor());
        let mut assignment = assignor.assign(&spec);
        let mut own = Partitions::new();
        for member in spec.members {
            let new = assignment.remove(&member.id).unwrap_or_default();
            let known = target.get(&member.id).is_some() || member.id == updated.id && moved(group, updated);
            if !known || member.before != new {
                records
                    .push(group.record(ConsumerRecord::TargetMember(member.id.clone(), Some(new.clone()))));
            }
            if member.id == updated.id {
                own = new;
            }
        }
        records.push(group.record(ConsumerRecord::Target(Some((epoch, env.wall_ms())))));
        (epoch, own)
    }

    /// Moves a member one step towards its target (`maybeReconcile`).
    #[expect(clippy::too_many_arguments, reason = "they are one step of a heartbeat")]
    pub(super) fn reconcile(
        &self,
        env: &Env<'_, '_>,
        group: &ConsumerGroup,
        member: &ConsumerMember,
        (target_epoch, target): (i32, &Partitions),
        subscription_changed: bool,
        owned: Option<&Partitions>,
        records: &mut Vec<Record>,
    ) -> Result<ConsumerMember, Refusal> {
        if !subscription_changed && member.is_reconciled_to(target_epoch) {
            return Ok(member.clone());
        }
        let subscribed = group.topic_ids(env, member);
        let updated = Reconciliation {
            target_epoch,
            target,
            subscribed: &subscribed,
            subscription_changed,
            owned,
            is_owned: &|topic, partition| group.partition_epoch(topic, partition).is_some(),
        }
        .apply(member)?;
        if updated != *member {
            records.push(group.record(ConsumerRecord::current(&updated)));
        }
        Ok(updated)
    }

    /// Writes a modern group's records, and says what they mean.
    pub(crate) fn write_consumer(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        records: Vec<Record>,
        done: Done,
        cause: &'static str,
    ) -> Wrote {
        if records.is_empty() {
            self.after_writes(env, done);
            return Wrote::Nothing;
        }
        if !env.ctx.tracing() {
            return self.write(env, records, true, done);
        }
        let state = |shard: &Self| shard.groups.group(id).map_or("Dead", |group| group.state_name());
        let from = state(self);
        let events: Vec<GroupEvent> = records.iter().filter_map(|record| event(env, record, cause)).collect();
        let wrote = self.write(env, records, true, done);
        if wrote == Wrote::Appended {
            for event in events {
                env.ctx.trace(event);
            }
            let to = state(self);
            if from != to {
                let generation = self.groups.group(id).map_or(0, |group| group.generation());
                env.ctx.trace(GroupEvent::GroupState { group: id.clone(), from, to, generation, cause });
            }
        }
        wrote
    }
}

/// Whether a static member has a new id, with which its target has moved.
fn moved(group: &ConsumerGroup, member: &ConsumerMember) -> bool {
    member.instance_id.as_ref().and_then(|instance| group.static_member(instance)).is_some()
}

/// What a record says to people.
fn event(env: &Env<'_, '_>, record: &Record, cause: &'static str) -> Option<GroupEvent> {
    if let Record::Share { group, record } = record {
        return share_event(env, group.clone(), record, cause);
    }
    let Record::Consumer { group, record } = record else { return None };
    let group = group.clone();
    match record {
        ConsumerRecord::Epoch(Some((epoch, _))) => {
            Some(GroupEvent::GroupEpochBumped { group, epoch: *epoch, cause })
        }
        ConsumerRecord::Target(Some((epoch, _))) => {
            Some(GroupEvent::TargetAssignmentComputed { group, epoch: *epoch })
        }
        ConsumerRecord::Current(member, Some(current)) => {
            let CurrentAssignment { epoch, state, assigned, revoking, .. } = &**current;
            Some(GroupEvent::MemberReconciled {
                group,
                member: member.clone(),
                epoch: *epoch,
                state: state.name(),
                assigned: named(env, assigned),
                revoking: named(env, revoking),
            })
        }
        ConsumerRecord::Member(member, None) => {
            Some(GroupEvent::MemberRemoved { group, member: member.clone(), cause })
        }
        _ => None,
    }
}

/// What a record of a share group says to people.
fn share_event(
    env: &Env<'_, '_>,
    group: StrBytes,
    record: &ShareRecord,
    cause: &'static str,
) -> Option<GroupEvent> {
    match record {
        ShareRecord::Epoch(Some((epoch, _))) => {
            Some(GroupEvent::GroupEpochBumped { group, epoch: *epoch, cause })
        }
        ShareRecord::Target(Some((epoch, _))) => {
            Some(GroupEvent::TargetAssignmentComputed { group, epoch: *epoch })
        }
        ShareRecord::Current(member, Some(current)) => Some(GroupEvent::MemberReconciled {
            group,
            member: member.clone(),
            epoch: current.epoch,
            state: MemberState::Stable.name(),
            assigned: named(env, &with_epoch(&current.assigned, current.epoch)),
            revoking: Vec::new(),
        }),
        ShareRecord::Member(member, None) => {
            Some(GroupEvent::MemberRemoved { group, member: member.clone(), cause })
        }
        _ => None,
    }
}

/// Partitions by their topics' names; those of topics that are gone are left out.
pub(super) fn named(env: &Env<'_, '_>, assigned: &Assigned) -> Vec<TopicPartition> {
    let mut names: Vec<TopicPartition> = Vec::new();
    for (id, partitions) in assigned {
        if let Some(topic) = env.host.topic_name(*id) {
            names.extend(partitions.keys().map(|p| TopicPartition::new(topic.clone(), *p)));
        }
    }
    names.sort_unstable();
    names
}

impl ConsumerGroup {
    /// Ids of the topics that a member subscribes to and that exist.
    pub(crate) fn topic_ids(&self, env: &Env<'_, '_>, member: &ConsumerMember) -> BTreeSet<Uuid> {
        self.topics_of(member)
            .iter()
            .filter_map(|topic| env.host.topic(topic))
            .map(|topic| topic.id)
            .collect()
    }

    /// The group as an assignor sees it, once a member is another.
    fn spec(
        &self,
        env: &Env<'_, '_>,
        change: Option<(&ConsumerMember, &ConsumerMember)>,
        after: &Changed,
    ) -> GroupSpec {
        let mut members: BTreeMap<&StrBytes, (&ConsumerMember, Partitions)> =
            self.members().map(|m| (&m.id, (m, self.base.target.of(&m.id)))).collect();
        if let Some((_, updated)) = change {
            let replaced = updated.instance_id.as_ref().and_then(|instance| self.static_member(instance));
            let before = replaced.and_then(|replaced| members.remove(&replaced.id)).map(|(_, before)| before);
            let before = before.unwrap_or_else(|| self.base.target.of(&updated.id));
            members.insert(&updated.id, (updated, before));
        }
        let homogeneous = after.is_homogeneous(members.len());
        let mut partitions = BTreeMap::new();
        let members = members.into_values().map(|(member, before)| {
            let mut topics = BTreeSet::new();
            for topic in self.topics_of(member).iter().filter_map(|topic| env.host.topic(topic)) {
                topics.insert(topic.id);
                partitions.insert(topic.id, topic.partitions);
            }
            MemberSpec { id: member.id.clone(), instance_id: member.instance_id.clone(), topics, before }
        });
        GroupSpec { members: members.collect(), homogeneous, partitions }
    }
}
