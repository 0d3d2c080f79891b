//! A rebalance from its start to the answers of the join phase, and members that go
//! (Kafka's `GroupMetadataManager.prepareRebalance`, `completeClassicGroupJoin` and what leads there).

use std::collections::BTreeMap;

use klamm_wire::messages::JoinGroupResponse;
use klamm_wire::messages::join_group_response::JoinGroupResponseMember;
use klamm_wire::{ErrorCode, StrBytes};

use super::classic::{ClassicGroup, InitialDelay};
use super::done::Done;
use super::join::generation_response;
use super::records::{GroupValue, Record};
use super::reply;
use super::shard::{Env, Shard, Wrote, trace_removed, trace_state};
use super::state::ClassicState;

/// How soon a join phase to which nobody came is looked at again, at the earliest, in milliseconds.
const MIN_RETRY_MS: i32 = 100;

impl Shard {
    /// Starts a rebalance where one can start; otherwise completes the join phase if nobody is missing any more.
    pub(crate) fn rebalance_or_complete(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        cause: &'static str,
    ) -> Wrote {
        let Some(group) = self.groups.classic(id) else { return Wrote::Nothing };
        if group.state().may_become(ClassicState::PreparingRebalance) {
            self.prepare_rebalance(env, id, cause)
        } else {
            self.maybe_complete_join(env, id)
        }
    }

    /// Completes the join phase if nobody is missing, unless it is a group's first: that one runs its time.
    pub(crate) fn maybe_complete_join(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) -> Wrote {
        let Some(group) = self.groups.classic(id) else { return Wrote::Nothing };
        let complete = group.is(ClassicState::PreparingRebalance)
            && group.previous_state() != ClassicState::Empty
            && group.all_joined();
        if complete { self.complete_join(env, id) } else { Wrote::Nothing }
    }

    /// Starts a rebalance: members have to join again.
    pub(crate) fn prepare_rebalance(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        cause: &'static str,
    ) -> Wrote {
        let (join_timer, sync_timer) = (self.join_timer(id), self.sync_timer(id));
        let Some(group) = self.groups.classic_mut(id) else { return Wrote::Nothing };
        let from = group.state();
        group.clear_pending_sync();
        env.host.cancel_timer(sync_timer);
        if from == ClassicState::CompletingRebalance {
            self.fail_sync(env, id, ErrorCode::RebalanceInProgress);
        }
        let Some(group) = self.groups.classic_mut(id) else { return Wrote::Nothing };
        group.become_state(ClassicState::PreparingRebalance, env.wall_ms());
        trace_state(env.ctx, group, from, cause);
        if from != ClassicState::Empty {
            if group.all_joined() {
                return self.complete_join(env, id);
            }
            let timeout_ms = group.rebalance_timeout_ms();
            env.set_timer(join_timer, timeout_ms);
            return Wrote::Nothing;
        }
        // The group is new: more members are given time to come.
        let delay_ms = env.config.initial_rebalance_delay_ms;
        let remaining_ms = (group.rebalance_timeout_ms() - delay_ms).max(0);
        group.initial_delay = Some(InitialDelay { delay_ms, remaining_ms });
        group.new_member_added = false;
        if delay_ms > 0 {
            env.set_timer(join_timer, delay_ms);
        }
        Wrote::Nothing
    }

    /// A first rebalance without delay is complete as soon as the JoinGroup that started it has been dealt with.
    pub(crate) fn complete_undelayed_join(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) {
        let Some(group) = self.groups.classic(id) else { return };
        let undelayed = group.initial_delay.is_some_and(|delay| delay.delay_ms == 0);
        if undelayed && group.is(ClassicState::PreparingRebalance) {
            let _ = self.complete_join(env, id);
        }
    }

    /// The join phase has run its time. A first rebalance to which members kept coming is extended, up to the
    /// rebalance timeout.
    pub(crate) fn on_join_timeout(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) {
        let timer = self.join_timer(id);
        let Some(group) = self.groups.classic_mut(id) else { return };
        if !group.is(ClassicState::PreparingRebalance) {
            return;
        }
        if let Some(InitialDelay { delay_ms, remaining_ms }) = group.initial_delay
            && group.new_member_added
            && remaining_ms != 0
        {
            group.new_member_added = false;
            let next_delay_ms = env.config.initial_rebalance_delay_ms.min(remaining_ms);
            let next_remaining_ms = (remaining_ms - delay_ms).max(0);
            group.initial_delay =
                Some(InitialDelay { delay_ms: next_delay_ms, remaining_ms: next_remaining_ms });
            return env.set_timer(timer, next_delay_ms);
        }
        let _ = self.complete_join(env, id);
    }

    /// Ends the join phase: dynamic members that did not come are out, the rest are the next generation.
    fn complete_join(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) -> Wrote {
        let timer = self.join_timer(id);
        env.host.cancel_timer(timer.clone());
        let Some(group) = self.groups.classic_mut(id) else { return Wrote::Nothing };
        group.initial_delay = None;
        let gone = group.remove_where(|member| member.joining.is_none() && !member.is_static());
        for member in &gone {
            trace_removed(env.ctx, id, &member.id, "did not join in time");
            self.cancel_session(env, id, &member.id);
        }
        let Some(group) = self.groups.classic_mut(id) else { return Wrote::Nothing };
        if !group.elect_joined_leader() && group.members().len() > 0 {
            // Only static members are left and none has come: their sessions decide. A client may have asked for a
            // rebalance timeout of nothing, and would keep the broker from ever doing anything else.
            let timeout_ms = group.rebalance_timeout_ms().max(MIN_RETRY_MS);
            env.set_timer(timer, timeout_ms);
            return Wrote::Nothing;
        }
        let from = group.state();
        group.next_generation(env.wall_ms());
        trace_state(env.ctx, group, from, "join phase complete");
        if group.is(ClassicState::Empty) {
            let value = Some(GroupValue::of(group, |_| bytes::Bytes::new()));
            let record = Record::Group { group: id.clone(), value };
            // Should the write fail, the old generation comes back after a failover and times out.
            return self.write(env, vec![record], false, Done::Nothing);
        }
        self.answer_joins(env, id);
        Wrote::Nothing
    }

    fn answer_joins(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) {
        let sync_timer = self.sync_timer(id);
        let Some(group) = self.groups.classic_mut(id) else { return };
        group.expect_sync_from_all();
        let rebalance_timeout_ms = group.rebalance_timeout_ms();
        let common = generation_response(group, &StrBytes::default(), false);
        // Built once, for the leader; everyone else gets an empty list.
        let mut members = response_members(group);
        let leader = group.leader().cloned().unwrap_or_default();
        let present: Vec<(StrBytes, i32)> =
            group.members().map(|m| (m.id.clone(), m.session_timeout_ms)).collect();
        for (member, session_timeout_ms) in present {
            let Some(group) = self.groups.classic_mut(id) else { return };
            if let Some(state) = group.member_mut(&member) {
                state.is_new = false;
            }
            if let Some(parked) = group.take_joining(&member) {
                let mut response: JoinGroupResponse = common.clone().with_member_id(member.clone());
                if member == leader {
                    response.members = std::mem::take(&mut members);
                }
                reply::join(env.ctx, parked, response);
            }
            self.restart_session(env, id, &member, session_timeout_ms);
        }
        env.set_timer(sync_timer, rebalance_timeout_ms);
    }

    /// The sync phase has run its time: members that sent no SyncGroup are out.
    pub(crate) fn on_sync_timeout(&mut self, env: &mut Env<'_, '_>, id: &StrBytes) {
        let Some(group) = self.groups.classic_mut(id) else { return };
        let waits = matches!(group.state(), ClassicState::CompletingRebalance | ClassicState::Stable);
        if !waits || group.all_synced() {
            return;
        }
        let silent = group.take_pending_sync();
        let gone = group.remove_where(|member| silent.contains(&member.id));
        for member in gone {
            trace_removed(env.ctx, id, &member.id, "did not sync in time");
            if let Some(parked) = member.joining {
                reply::join_error(env.ctx, parked, StrBytes::default(), ErrorCode::UnknownMemberId);
            }
            self.cancel_session(env, id, &member.id);
        }
        let _ = self.prepare_rebalance(env, id, "members did not sync in time");
    }

    /// A member has been silent for its session timeout, or never came back with the id it was given.
    pub(crate) fn on_session_timeout(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, member: &StrBytes) {
        let Some(group) = self.groups.classic_mut(id) else { return };
        if group.is_pending_member(member) {
            group.remove(member);
            trace_removed(env.ctx, id, member, "never joined with the id it was given");
            if group.is(ClassicState::PreparingRebalance) && group.all_joined() {
                let _ = self.complete_join(env, id);
            }
            return;
        }
        if group.member(member).is_none_or(super::member::Member::has_satisfied_heartbeat) {
            return;
        }
        self.expire_member(env, id, member, "session expired");
    }

    /// Removes a member whose session has ended.
    pub(crate) fn expire_member(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        member: &StrBytes,
        cause: &'static str,
    ) {
        self.expel(env, id, &BTreeMap::from([(member.clone(), cause)]));
        let Some(group) = self.groups.classic(id) else { return };
        let _ = match group.state() {
            ClassicState::Stable | ClassicState::CompletingRebalance => {
                self.rebalance_or_complete(env, id, "a member's session expired")
            }
            ClassicState::PreparingRebalance if group.all_joined() => self.complete_join(env, id),
            _ => Wrote::Nothing,
        };
    }

    /// Removes members, each for its reason, and answers what they have waiting: who is alive after all joins anew.
    pub(crate) fn expel(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        leaving: &BTreeMap<StrBytes, &'static str>,
    ) {
        let Some(group) = self.groups.classic_mut(id) else { return };
        if leaving.is_empty() {
            return;
        }
        for removed in group.remove_where(|member| leaving.contains_key(&member.id)) {
            let cause = leaving.get(&removed.id).copied().unwrap_or("removed");
            trace_removed(env.ctx, id, &removed.id, cause);
            if let Some(parked) = removed.joining {
                reply::join_error(env.ctx, parked, StrBytes::default(), ErrorCode::UnknownMemberId);
            }
            if let Some(parked) = removed.syncing {
                reply::sync_error(env.ctx, parked, ErrorCode::UnknownMemberId);
            }
            self.cancel_session(env, id, &removed.id);
        }
    }
}

/// The members as the leader is told of them.
pub(crate) fn response_members(group: &ClassicGroup) -> Vec<JoinGroupResponseMember> {
    group
        .members()
        .map(|member| {
            JoinGroupResponseMember::default()
                .with_member_id(member.id.clone())
                .with_group_instance_id(member.instance_id.clone())
                .with_metadata(member.metadata(group.protocol_name()))
        })
        .collect()
}
