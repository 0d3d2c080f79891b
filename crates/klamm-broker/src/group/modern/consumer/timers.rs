//! The deadlines of a consumer group's members.

use klamm_wire::StrBytes;

use super::member::{ConsumerMember, MemberState};
use crate::group::GroupTimer;
use crate::group::shard::{Env, Shard};

impl Shard {
    /// Starts (again) the time that a modern member may be silent.
    pub(crate) fn set_member_session(
        &self,
        env: &mut Env<'_, '_>,
        group: &StrBytes,
        member: &StrBytes,
        timeout_ms: i32,
    ) {
        let (group, member) = (group.clone(), member.clone());
        env.set_timer(GroupTimer::Session { partition: self.partition, group, member }, timeout_ms);
    }

    /// A member that has partitions to give up has its rebalance timeout for it. Classic members are timed by their next
    /// JoinGroup instead.
    pub(super) fn set_rebalance_timer(
        &self,
        env: &mut Env<'_, '_>,
        group: &StrBytes,
        member: &ConsumerMember,
    ) {
        if member.is_classic() {
            return;
        }
        let timer = self.rebalance_timer(group, &member.id);
        if member.state == MemberState::UnrevokedPartitions {
            env.set_timer(timer, member.rebalance_timeout_ms);
        } else {
            env.host.cancel_timer(timer);
        }
    }

    fn rebalance_timer(&self, group: &StrBytes, member: &StrBytes) -> GroupTimer {
        GroupTimer::Rebalance { partition: self.partition, group: group.clone(), member: member.clone() }
    }

    /// The deadline by which a classic member of a consumer group must send its next JoinGroup.
    pub(super) fn member_join_timer(&self, group: &StrBytes, member: &StrBytes) -> GroupTimer {
        GroupTimer::MemberJoin { partition: self.partition, group: group.clone(), member: member.clone() }
    }

    /// The deadline by which a classic member of a consumer group must send its SyncGroup.
    pub(super) fn member_sync_timer(&self, group: &StrBytes, member: &StrBytes) -> GroupTimer {
        GroupTimer::MemberSync { partition: self.partition, group: group.clone(), member: member.clone() }
    }

    /// Ends all deadlines of a member.
    pub(crate) fn cancel_member_timers(&self, env: &mut Env<'_, '_>, group: &StrBytes, member: &StrBytes) {
        self.cancel_session(env, group, member);
        env.host.cancel_timer(self.rebalance_timer(group, member));
        env.host.cancel_timer(self.member_join_timer(group, member));
        env.host.cancel_timer(self.member_sync_timer(group, member));
    }

    /// Starts every member's deadlines. After loading all have the group's session timeout, as in Kafka, classic members too until
    /// their next request.
    pub(crate) fn schedule_consumer_sessions(&self, env: &mut Env<'_, '_>, id: &StrBytes, loaded: bool) {
        let Some(group) = self.groups.consumer(id) else { return };
        let default_ms = env.consumer_session_timeout_ms(id);
        for member in group.members() {
            let classic = member.classic.as_ref().filter(|_| !loaded);
            let timeout_ms = classic.map_or(default_ms, |classic| classic.session_timeout_ms);
            self.set_member_session(env, id, &member.id, timeout_ms);
            if member.state == MemberState::UnrevokedPartitions {
                self.set_rebalance_timer(env, id, member);
            }
        }
    }
}
