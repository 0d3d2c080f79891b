//! Classic members of a consumer group, while it migrates (Kafka's `classicGroupJoinToConsumerGroup`, `classicGroupSyncTo…`,
//! `classicGroupHeartbeatTo…` and `classicGroupLeaveToConsumerGroup`).
//!
//! To such a member its epoch is a generation: JoinGroup takes one step of the reconciliation, SyncGroup hands out what the member
//! has, and Heartbeat says `REBALANCE_IN_PROGRESS` when it is time for the next step.

use std::collections::BTreeSet;

use klamm_node::GroupEvent;
use klamm_wire::messages::leave_group_request::MemberIdentity;
use klamm_wire::messages::leave_group_response::MemberResponse;
use klamm_wire::messages::{
    HeartbeatRequest, JoinGroupResponse, LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::super::Partitions;
use super::super::refusal::Refusal;
use super::group::ConsumerGroup;
use super::heartbeat::{check_room, replace_static, require_static};
use super::member::{ClassicMember, ConsumerMember, MemberState, without_epochs};
use super::migrate::{classic_record, downgraded, partition_ids, partition_names};
use super::protocol;
use super::records::ConsumerRecord;
use crate::core::RequestContext;
use crate::group::classic::CONSUMER_PROTOCOL;
use crate::group::config::MigrationPolicy;
use crate::group::done::Done;
use crate::group::join::Join;
use crate::group::member::Parked;
use crate::group::records::Record;
use crate::group::reply;
use crate::group::shard::{Env, Shard, Wrote};

/// What happens once a classic member's JoinGroup is written down.
#[derive(Debug, Clone)]
pub(crate) struct MemberJoin {
    group: StrBytes,
    asker: Parked,
    response: JoinGroupResponse,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    /// Whether the group is a classic one from now on.
    downgraded: bool,
}

/// What a JoinGroup comes to.
struct Plan {
    records: Vec<Record>,
    member: ConsumerMember,
    checked: Option<(i64, i32)>,
    /// The classic group that takes the group's place, and whether it has to rebalance.
    downgrade: Option<(crate::group::classic::ClassicGroup, bool)>,
}

impl Shard {
    /// A JoinGroup to a consumer group with members.
    pub(crate) fn join_consumer_group(&mut self, env: &mut Env<'_, '_>, mut join: Join) {
        let asker = join.asker;
        let is_new = join.member.is_empty();
        if is_new {
            join.member = StrBytes::from_string(crate::group::member::new_id(env.ctx.rng));
        }
        let plan = match self.plan_join(env, &join, is_new) {
            Ok(Some(plan)) => plan,
            // KIP-394: the client is told its id first.
            Ok(None) => return reply::join_error(env.ctx, asker, join.member, ErrorCode::MemberIdRequired),
            Err(refusal) => {
                let member = if is_new { StrBytes::default() } else { join.member };
                return reply::join_error(env.ctx, asker, member, refusal.error);
            }
        };
        let Plan { records, member, checked, downgrade } = plan;
        let protocol = join.protocols.first().map(|protocol| protocol.name.clone());
        let response = JoinGroupResponse::default()
            .with_member_id(member.id.clone())
            .with_generation_id(member.epoch)
            .with_protocol_type(Some(StrBytes::from_static_str(CONSUMER_PROTOCOL)))
            .with_protocol_name(protocol);
        let done = Done::MemberJoin(Box::new(MemberJoin {
            group: join.group.clone(),
            asker,
            response,
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            downgraded: downgrade.is_some(),
        }));
        if let Some((classic, rebalance)) = downgrade {
            let old = self.groups.consumer(&join.group).map(|g| g.members().map(|m| m.id.clone()).collect());
            let cause = rebalance.then_some("a classic static member changed its subscription");
            let _ = self.install_classic(env, classic, old.unwrap_or_default(), records, done, cause);
            return;
        }
        let known = self.groups.consumer(&join.group).is_some_and(|group| group.member(&member.id).is_some());
        if !known && env.ctx.tracing() {
            env.ctx.trace(GroupEvent::MemberJoined { group: join.group.clone(), member: member.id });
        }
        let wrote = self.write_consumer(env, &join.group, records, done, "a classic member joined");
        if !matches!(wrote, Wrote::Failed(_))
            && let (Some((offset, epoch)), Some(group)) = (checked, self.groups.consumer_mut(&join.group))
        {
            group.base.set_metadata_checked(offset, epoch);
        }
    }

    fn plan_join(&self, env: &Env<'_, '_>, join: &Join, is_new: bool) -> Result<Option<Plan>, Refusal> {
        let Some(group) = self.groups.consumer(&join.group) else {
            return Err(ErrorCode::UnknownMemberId.into());
        };
        let inconsistent = || Refusal::from(ErrorCode::InconsistentGroupProtocol);
        if env.config.consumer.migration == MigrationPolicy::Disabled {
            return Err(inconsistent());
        }
        check_room(env.config, group, &join.member, join.instance_id.as_ref())?;
        let names: Vec<&StrBytes> = join.protocols.iter().map(|protocol| &protocol.name).collect();
        if !group.supports_classic(&join.protocol_type, &names) {
            return Err(inconsistent());
        }
        if is_new && join.instance_id.is_none() && join.asker.version >= 4 {
            return Ok(None);
        }
        let mut records = Vec::new();
        let existing = join.instance_id.as_ref().and_then(|instance| group.static_member(instance));
        let old = match (&join.instance_id, existing) {
            (None, _) | (Some(_), None) if is_new || join.instance_id.is_none() => group
                .member(&join.member)
                .cloned()
                .unwrap_or_else(|| ConsumerMember::new(join.member.clone())),
            (Some(_), Some(existing)) if is_new => {
                replace_static(group, existing, &join.member, &mut records)
            }
            (Some(instance), existing) => require_static(existing, &join.member, instance)?.clone(),
            (None, _) => return Err(ErrorCode::UnknownMemberId.into()),
        };
        let replaced = existing.filter(|existing| self.may_downgrade_replacing(env, group, existing));
        let metadata = join.protocols.first().map(|protocol| protocol.metadata.clone()).unwrap_or_default();
        let subscription = protocol::subscription(metadata).ok_or_else(inconsistent)?;
        let owned = partition_ids(&*env.host, subscription.owned);
        let mut updated = ConsumerMember {
            instance_id: join.instance_id.clone().or_else(|| old.instance_id.clone()),
            rack_id: subscription.rack_id.or_else(|| old.rack_id.clone()),
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            topics: subscription.topics.into_iter().collect(),
            regex: Some(StrBytes::default()),
            client_id: join.client_id.clone(),
            client_host: join.client_host.clone(),
            classic: Some(ClassicMember {
                session_timeout_ms: join.session_timeout_ms,
                protocols: join.protocols.clone(),
            }),
            ..old.clone()
        };
        let after = group.with_change(Some(&old), Some(&updated));
        if updated != old {
            records.push(group.record(ConsumerRecord::member(&updated)));
        }
        if let Some(regex) = old.regex()
            && group.subscribers_of(regex) == 1
        {
            records.push(group.record(ConsumerRecord::Regex(regex.clone(), None)));
        }
        let bump = old.topics != updated.topics || old.regex != updated.regex;
        let mut epoch = group.base.epoch;
        let mut checked = None;
        let offset = env.host.metadata_offset();
        if bump || group.base.has_metadata_expired(offset) {
            epoch = group.update_subscriptions(env, &after, bump, &mut records);
            checked = Some((offset, epoch));
        }
        if let Some(replaced) = replaced {
            return self.plan_downgrade(env, group, replaced, updated, epoch, &owned, records).map(Some);
        }
        let (target_epoch, target) =
            self.update_target(env, group, epoch, &old, &updated, &after, &mut records);
        let step = (target_epoch, &target);
        updated = self.reconcile(env, group, &updated, step, bump, Some(&owned), &mut records)?;
        Ok(Some(Plan { records, member: updated, checked, downgrade: None }))
    }

    /// The last member that did not speak the classic protocol was a static one, and comes back with it.
    #[expect(clippy::too_many_arguments, reason = "they are one step of a join")]
    fn plan_downgrade(
        &self,
        env: &Env<'_, '_>,
        group: &ConsumerGroup,
        replaced: &ConsumerMember,
        mut updated: ConsumerMember,
        epoch: i32,
        owned: &Partitions,
        mut records: Vec<Record>,
    ) -> Result<Plan, Refusal> {
        let rebalance = group.base.target.epoch < epoch;
        let target = group.base.target.of(&replaced.id);
        if !rebalance {
            let step = (group.base.target.epoch, &target);
            updated = self.reconcile(env, group, &updated, step, false, Some(owned), &mut records)?;
        }
        let others = group.members().filter(|member| member.id != replaced.id);
        let mut members: Vec<(&ConsumerMember, Partitions)> =
            others.map(|member| (member, group.base.target.of(&member.id))).collect();
        members.push((&updated, target));
        let classic = downgraded(env, group, members).ok_or(ErrorCode::GroupIdNotFound)?;
        // The records so far gave the group a new member in the old one's place: that one is deleted with the group.
        records.extend(ConsumerRecord::remove_member(&updated.id).map(|record| group.record(record)));
        records.extend(group.tombstones());
        records.push(classic_record(&classic));
        Ok(Plan { records, member: updated, checked: None, downgrade: Some((classic, rebalance)) })
    }

    /// A JoinGroup is written down, or could not be.
    pub(crate) fn finish_member_join(
        &mut self,
        env: &mut Env<'_, '_>,
        join: MemberJoin,
        error: Option<ErrorCode>,
    ) {
        let MemberJoin { group, asker, response, session_timeout_ms, rebalance_timeout_ms, downgraded } =
            join;
        if let Some(error) = error {
            return reply::join_error(env.ctx, asker, response.member_id, error);
        }
        let member = response.member_id.clone();
        env.host.cancel_timer(self.member_join_timer(&group, &member));
        if !downgraded {
            self.set_member_session(env, &group, &member, session_timeout_ms);
            env.set_timer(self.member_sync_timer(&group, &member), rebalance_timeout_ms);
        }
        reply::join(env.ctx, asker, response);
    }

    /// A SyncGroup to a consumer group.
    pub(crate) fn sync_consumer_group(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: &SyncGroupRequest,
    ) {
        let asker = Parked { to: rc.reply_to, version: rc.api_version };
        let id = request.group_id.0.clone();
        let Some(group) = self.groups.consumer(&id).filter(|group| !group.is_empty()) else {
            return reply::sync_error(env.ctx, asker, ErrorCode::UnknownMemberId);
        };
        let id = group.id().clone();
        match check_sync(group, request) {
            Err((error, join_again)) => {
                if let Some(member) = join_again {
                    let (member, timeout_ms) = (member.id.clone(), member.rebalance_timeout_ms);
                    self.expect_join(env, &id, &member, timeout_ms);
                }
                reply::sync_error(env.ctx, asker, error);
            }
            Ok((member, version)) => {
                let names = partition_names(&*env.host, &without_epochs(&member.assigned));
                let member = member.id.clone();
                let response = SyncGroupResponse::default()
                    .with_protocol_type(request.protocol_type.clone())
                    .with_protocol_name(request.protocol_name.clone())
                    .with_assignment(protocol::write_assignment(version, &names));
                let response = Box::new(response);
                self.after_writes(env, Done::MemberSync { group: id, member, asker, response });
            }
        }
    }

    /// A SyncGroup is answered once what it tells is committed.
    pub(crate) fn finish_member_sync(
        &mut self,
        env: &mut Env<'_, '_>,
        group: &StrBytes,
        member: &StrBytes,
        asker: Parked,
        response: SyncGroupResponse,
    ) {
        env.host.cancel_timer(self.member_sync_timer(group, member));
        let known = self.groups.consumer(group).and_then(|group| group.member(member));
        if let Some(classic) = known.and_then(|member| member.classic.as_ref()) {
            let timeout_ms = classic.session_timeout_ms;
            self.set_member_session(env, group, member, timeout_ms);
        }
        reply::sync(env.ctx, asker, response);
    }

    /// A member has its rebalance timeout to join again, from when it was first told to.
    fn expect_join(&self, env: &mut Env<'_, '_>, group: &StrBytes, member: &StrBytes, timeout_ms: i32) {
        env.set_timer_if_absent(self.member_join_timer(group, member), timeout_ms);
    }

    /// A Heartbeat to a consumer group.
    pub(crate) fn heartbeat_consumer_group(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: &HeartbeatRequest,
    ) {
        let Some(group) = self.groups.consumer(&request.group_id.0) else {
            return reply::heartbeat(env.ctx, rc.reply_to, ErrorCode::UnknownMemberId);
        };
        let found = known_member(group, &request.member_id, request.group_instance_id.as_ref());
        let (member, classic) = match found.and_then(|member| {
            let classic = member.classic.as_ref().ok_or(ErrorCode::UnknownMemberId)?;
            if member.epoch == request.generation_id {
                Ok((member, classic))
            } else {
                Err(ErrorCode::IllegalGeneration)
            }
        }) {
            Ok(found) => found,
            Err(error) => return reply::heartbeat(env.ctx, rc.reply_to, error),
        };
        // It has to join again when there is a newer target, when it has partitions to give up, and when those that it waits for
        // have been given up.
        let rejoin = member.epoch < group.base.target.epoch
            || member.state == MemberState::UnrevokedPartitions
            || member.state == MemberState::UnreleasedPartitions && !group.waits_for_release(member);
        let (id, member_id) = (group.id().clone(), member.id.clone());
        let (session_ms, rebalance_ms) = (classic.session_timeout_ms, member.rebalance_timeout_ms);
        self.set_member_session(env, &id, &member_id, session_ms);
        if rejoin {
            self.expect_join(env, &id, &member_id, rebalance_ms);
        }
        let error = if rejoin { ErrorCode::RebalanceInProgress } else { ErrorCode::None };
        self.after_writes(env, Done::Heartbeat { to: rc.reply_to, error });
    }

    /// A LeaveGroup to a consumer group.
    pub(crate) fn leave_consumer_group(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        asker: Parked,
        identities: Vec<MemberIdentity>,
    ) {
        let Some(group) = self.groups.consumer(id) else { return };
        let mut leaving = BTreeSet::new();
        let members = identities.into_iter().map(|identity| {
            let found = leaver(group, &identity);
            let error = found.as_ref().err().copied().unwrap_or(ErrorCode::None);
            leaving.extend(found.ok());
            MemberResponse::default()
                .with_member_id(identity.member_id)
                .with_group_instance_id(identity.group_instance_id)
                .with_error_code(error.code())
        });
        let response = LeaveGroupResponse::default().with_members(members.collect());
        let _ = self.fence_members(env, id, &leaving, Done::Leave { asker, response }, "left");
    }
}

/// Who is meant by a LeaveGroup. An administrator names a static member by its instance id alone.
fn leaver(group: &ConsumerGroup, identity: &MemberIdentity) -> Result<StrBytes, ErrorCode> {
    let member = match &identity.group_instance_id {
        None => group.member(&identity.member_id),
        Some(instance) => {
            let member = group.static_member(instance);
            if member.is_some_and(|m| !identity.member_id.is_empty() && m.id != identity.member_id) {
                return Err(ErrorCode::FencedInstanceId);
            }
            member
        }
    };
    member.map(|member| member.id.clone()).ok_or(ErrorCode::UnknownMemberId)
}

/// The member that a classic request is of (`validateConsumerGroupMember`).
fn known_member<'g>(
    group: &'g ConsumerGroup,
    member: &StrBytes,
    instance_id: Option<&StrBytes>,
) -> Result<&'g ConsumerMember, ErrorCode> {
    match instance_id {
        None => group.member(member).ok_or(ErrorCode::UnknownMemberId),
        Some(instance) => match group.static_member(instance) {
            None => Err(ErrorCode::UnknownMemberId),
            Some(known) if known.id != *member => Err(ErrorCode::FencedInstanceId),
            Some(known) => Ok(known),
        },
    }
}

/// Whether a SyncGroup is answered: with the member and the version of its subscription, or an error, and the member that has to
/// join again.
type SyncCheck<'g> = Result<(&'g ConsumerMember, i16), (ErrorCode, Option<&'g ConsumerMember>)>;

fn check_sync<'g>(group: &'g ConsumerGroup, request: &SyncGroupRequest) -> SyncCheck<'g> {
    let refuse = |error| (error, None);
    let member =
        known_member(group, &request.member_id, request.group_instance_id.as_ref()).map_err(refuse)?;
    let Some(protocol) = member.classic.as_ref().and_then(|classic| classic.protocols.first()) else {
        return Err(refuse(ErrorCode::UnknownMemberId));
    };
    if member.epoch != request.generation_id {
        return Err(refuse(ErrorCode::IllegalGeneration));
    }
    let other_type = request.protocol_type.as_ref().is_some_and(|t| t.as_str() != CONSUMER_PROTOCOL);
    let other_name = request.protocol_name.as_ref().is_some_and(|name| *name != protocol.name);
    if other_type || other_name {
        return Err(refuse(ErrorCode::InconsistentGroupProtocol));
    }
    if group.base.target.epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
        return Err((ErrorCode::RebalanceInProgress, Some(member)));
    }
    let version = protocol::subscription(protocol.metadata.clone()).map(|subscription| subscription.version);
    version.map(|version| (member, version)).ok_or_else(|| refuse(ErrorCode::UnknownServerError))
}
