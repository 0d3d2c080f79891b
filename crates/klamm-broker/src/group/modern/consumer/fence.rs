//! Members that go: by leaving, by silence, or because they do not give partitions up in time (Kafka's `consumerGroupLeave`,
//! `consumerGroupFenceMembers`).

use std::collections::BTreeSet;

use klamm_wire::messages::ConsumerGroupHeartbeatResponse;
use klamm_wire::{ErrorCode, StrBytes};

use super::super::LEAVE_GROUP_STATIC_MEMBER_EPOCH;
use super::super::base::ModernGroup;
use super::super::refusal::Refusal;
use super::super::subscriptions::Change;
use super::group::ConsumerGroup;
use super::heartbeat::{Beat, require_static};
use super::member::{Assigned, ConsumerMember, MemberState};
use super::records::ConsumerRecord;
use crate::group::done::Done;
use crate::group::records::Record;
use crate::group::shard::{Env, Shard, Wrote};

impl Shard {
    /// A member leaves with its heartbeat.
    pub(super) fn consumer_leave(&mut self, env: &mut Env<'_, '_>, beat: &Beat) -> Result<(), Refusal> {
        let Some(group) = self.groups.consumer(&beat.group) else {
            return Err(not_a_consumer_group(&beat.group, self.groups.contains(&beat.group)));
        };
        let member = match &beat.instance_id {
            None => group.require(&beat.member)?,
            Some(instance) => require_static(group.static_member(instance), &beat.member, instance)?,
        };
        let id = member.id.clone();
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(beat.member.clone()))
            .with_member_epoch(beat.epoch);
        let done = Done::ConsumerHeartbeat { to: beat.to, response: Box::new(response) };
        if beat.instance_id.is_some() && beat.epoch == LEAVE_GROUP_STATIC_MEMBER_EPOCH {
            // It will be back: it keeps its partitions for its session timeout. Whoever comes back under its name has them from
            // epoch 0, so that commits of the old one are refused.
            let mut leaving = member.clone();
            leaving.epoch = LEAVE_GROUP_STATIC_MEMBER_EPOCH;
            leaving.revoking = Assigned::new();
            leaving.assigned.values_mut().flat_map(|p| p.values_mut()).for_each(|epoch| *epoch = 0);
            let records = vec![group.record(ConsumerRecord::current(&leaving))];
            let _ = self.write_consumer(env, &beat.group, records, done, "static member left for a while");
        } else {
            let _ = self.fence_members(env, &beat.group, &BTreeSet::from([id]), done, "left");
        }
        Ok(())
    }

    /// Removes members, and lets the others have what they had.
    pub(crate) fn fence_members(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        members: &BTreeSet<StrBytes>,
        done: Done,
        cause: &'static str,
    ) -> Wrote {
        let Some(group) = self.groups.consumer(id) else {
            self.after_writes(env, done);
            return Wrote::Nothing;
        };
        if members.is_empty() {
            self.after_writes(env, done);
            return Wrote::Nothing;
        }
        if self.may_downgrade(env, group, members) {
            return self.downgrade_without(env, id, members, done, cause);
        }
        let records = without_members(env, group, members);
        let wrote = self.write_consumer(env, id, records, done, cause);
        if wrote == Wrote::Appended {
            for member in members {
                self.cancel_member_timers(env, id, member);
            }
        }
        wrote
    }

    /// A member has been silent, or slow, for too long. True when the group is a consumer group, whether or not it has the member.
    pub(crate) fn fence_silent(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        member: &StrBytes,
        cause: &'static str,
    ) -> bool {
        if self.fence_silent_share(env, id, member) {
            return true;
        }
        let Some(group) = self.groups.consumer(id) else { return false };
        if group.member(member).is_some() {
            let gone = BTreeSet::from([member.clone()]);
            if matches!(self.fence_members(env, id, &gone, Done::Nothing, cause), Wrote::Failed(_)) {
                // The log took nothing: the member is still there, and is looked at again later, as Kafka's timers are retried.
                self.set_member_session(env, id, member, RETRY_MS);
            }
        }
        true
    }

    /// Raises a group's epoch although nothing changed. True when the group is a consumer group.
    pub(crate) fn raise_epoch(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, cause: &'static str) -> bool {
        let Some(group) = self.groups.consumer(id) else { return false };
        let next = (group.base.epoch.saturating_add(1), group.base.metadata_hash);
        let records = vec![group.record(ConsumerRecord::Epoch(Some(next)))];
        let _ = self.write_consumer(env, id, records, Done::Nothing, cause);
        true
    }

    /// A member had its rebalance timeout to give partitions up.
    pub(crate) fn on_rebalance_timeout(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, member: &StrBytes) {
        let slow = self
            .groups
            .consumer(id)
            .and_then(|group| group.member(member))
            .is_some_and(|member| member.state == MemberState::UnrevokedPartitions);
        if slow {
            self.fence_silent(env, id, member, "did not revoke partitions in time");
        }
    }
}

/// After how long a timer whose operation could not be written runs again, in milliseconds
/// (`CoordinatorRuntime`'s `EventBasedCoordinatorTimer`).
const RETRY_MS: i32 = 500;

/// The records that remove members.
fn without_members(env: &Env<'_, '_>, group: &ConsumerGroup, members: &BTreeSet<StrBytes>) -> Vec<Record> {
    let gone: Vec<&ConsumerMember> = members.iter().filter_map(|id| group.member(id)).collect();
    let mut records: Vec<Record> = gone
        .iter()
        .flat_map(|member| ConsumerRecord::remove_member(&member.id))
        .map(|record| group.record(record))
        .collect();
    let mut subscriptions = group.base.subscriptions.clone();
    for member in &gone {
        subscriptions.names(&member.topics, Change::Remove);
    }
    let regexes: BTreeSet<&StrBytes> = gone.iter().filter_map(|member| member.regex()).collect();
    for regex in regexes {
        let users = gone.iter().filter(|member| member.regex() == Some(regex)).count();
        if group.subscribers_of(regex) == users {
            records.push(group.record(ConsumerRecord::Regex(regex.clone(), None)));
            if let Some(resolved) = group.resolved.get(regex) {
                subscriptions.regex(&resolved.topics, Change::Remove);
            }
        }
    }
    let hash = ModernGroup::hash_of(&subscriptions, &*env.host);
    let epoch = group.base.epoch.saturating_add(1);
    records.push(group.record(ConsumerRecord::Epoch(Some((epoch, hash)))));
    if gone.len() == group.members().len() {
        // Nobody is left to assign to: the target is as new as the group, and the next member does not have to wait.
        records.push(group.record(ConsumerRecord::Target(Some((epoch, 0)))));
    }
    records
}

/// Kafka's words for a group that is none, or none of consumers.
pub(crate) fn not_a_consumer_group(id: &StrBytes, exists: bool) -> Refusal {
    let text = if exists {
        format!("Group {id} is not a consumer group.")
    } else {
        format!("Group {id} not found.")
    };
    Refusal::new(ErrorCode::GroupIdNotFound, text)
}

impl ConsumerGroup {
    /// The records that delete the group.
    pub(crate) fn tombstones(&self) -> Vec<Record> {
        let ids = || self.members().map(|member| member.id.clone());
        let mut records = Vec::new();
        records.extend(ids().map(|id| ConsumerRecord::Current(id, None)));
        records.extend(ids().map(|id| ConsumerRecord::TargetMember(id, None)));
        records.push(ConsumerRecord::Target(None));
        records.extend(ids().map(|id| ConsumerRecord::Member(id, None)));
        records.extend(self.resolved.keys().map(|regex| ConsumerRecord::Regex(regex.clone(), None)));
        records.push(ConsumerRecord::PartitionMetadata(None));
        records.push(ConsumerRecord::Epoch(None));
        records.into_iter().map(|record| self.record(record)).collect()
    }
}
