//! JoinGroup (the classic half of Kafka's `GroupMetadataManager.classicGroupJoin*`).

use std::collections::BTreeSet;

use klamm_node::GroupEvent;
use klamm_wire::messages::{JoinGroupRequest, JoinGroupResponse};
use klamm_wire::{ErrorCode, StrBytes};

use super::classic::ClassicGroup;
use super::config::NEW_MEMBER_JOIN_TIMEOUT_MS;
use super::done::{Done, StaticJoin};
use super::groups::Group;
use super::member::{Member, Parked, Protocol, own, own_bytes};
use super::records::{GroupValue, Record};
use super::reply;
use super::shard::{Env, Failure, Shard, Wrote, trace_state};
use super::state::ClassicState;
use crate::core::RequestContext;

/// A JoinGroup request in the coordinator's terms.
#[derive(Debug, Clone)]
pub(crate) struct Join {
    pub(super) asker: Parked,
    pub(super) group: StrBytes,
    pub(super) member: StrBytes,
    pub(super) instance_id: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) client_host: StrBytes,
    pub(super) protocol_type: StrBytes,
    pub(super) protocols: Vec<Protocol>,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
}

impl Join {
    /// Reads a request, and copies what may be kept. Version 0 knows one timeout for both.
    pub(crate) fn new(rc: &RequestContext, request: JoinGroupRequest) -> Self {
        let mut names = BTreeSet::new();
        let mut protocols: Vec<Protocol> = Vec::with_capacity(request.protocols.len());
        for protocol in request.protocols {
            // A name that comes twice would be counted twice when protocols are chosen.
            if names.insert(protocol.name.clone()) {
                protocols
                    .push(Protocol { name: own(&protocol.name), metadata: own_bytes(&protocol.metadata) });
            }
        }
        let rebalance_timeout_ms =
            if rc.api_version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
        Self {
            asker: Parked { to: rc.reply_to, version: rc.api_version },
            group: own(&request.group_id),
            member: own(&request.member_id),
            instance_id: request.group_instance_id.as_ref().map(own),
            client_id: own(&rc.client_id()),
            client_host: rc.client_host(),
            protocol_type: own(&request.protocol_type),
            protocols,
            rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
        }
    }
}

impl Shard {
    /// A member wants to join, or to join again.
    pub(crate) fn join(&mut self, env: &mut Env<'_, '_>, join: Join) {
        if self.groups.consumer(&join.group).is_some_and(|group| !group.is_empty()) {
            return self.join_consumer_group(env, join);
        }
        if self.groups.group(&join.group).is_some_and(|group| !group.takes_classic_members()) {
            return reply::join_error(
                env.ctx,
                join.asker,
                StrBytes::default(),
                ErrorCode::InconsistentGroupProtocol,
            );
        }
        if !self.make_room_for_classic(env, &join) {
            return;
        }
        let is_new_group = !self.groups.contains(&join.group);
        if is_new_group && !join.member.is_empty() {
            return reply::join_error(env.ctx, join.asker, join.member, ErrorCode::UnknownMemberId);
        }
        let wall_ms = env.wall_ms();
        let id = join.group.clone();
        if is_new_group {
            self.groups.insert(Group::Classic(Box::new(ClassicGroup::new(id.clone(), wall_ms))));
        }
        let Some(group) = self.groups.classic_mut(&id) else { return };
        let wrote = if !accepts(group, &join.member, env.config.max_size) {
            let removed = group.remove(&join.member);
            if let Some(parked) = removed.and_then(|m| m.joining) {
                reply::join_error(env.ctx, parked, StrBytes::default(), ErrorCode::GroupMaxSizeReached);
            }
            reply::join_error(env.ctx, join.asker, StrBytes::default(), ErrorCode::GroupMaxSizeReached);
            Wrote::Nothing
        } else if join.member.is_empty() {
            self.join_new(env, join)
        } else {
            self.join_again(env, join)
        };
        if is_new_group && wrote == Wrote::Nothing {
            // The group's first record: from here on it exists for every coordinator.
            if let Some(group) = self.groups.classic(&id) {
                let value = Some(GroupValue::empty(group));
                let record = Record::Group { group: id.clone(), value };
                let done = Done::NewGroup { group: id.clone() };
                let _ = self.write(env, vec![record], false, done);
            }
        }
        self.complete_undelayed_join(env, &id);
    }

    /// A classic member takes over the name of a consumer group without members (KIP-848, offline). False when that could not be
    /// written down; then it has been answered.
    fn make_room_for_classic(&mut self, env: &mut Env<'_, '_>, join: &Join) -> bool {
        let Some(group) = self.groups.consumer(&join.group) else { return true };
        if !join.member.is_empty() {
            reply::join_error(env.ctx, join.asker, join.member.clone(), ErrorCode::UnknownMemberId);
            return false;
        }
        let records = group.tombstones();
        if let Wrote::Failed(error) = self.write(env, records, true, Done::Nothing) {
            reply::join_error(env.ctx, join.asker, StrBytes::default(), error);
            return false;
        }
        true
    }

    /// The record of a group that a JoinGroup made could not be written: there is no such group.
    pub(crate) fn forget_new_group(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, error: ErrorCode) {
        let Some(Group::Classic(mut group)) = self.groups.remove(id) else { return };
        env.host.cancel_timer(self.join_timer(id));
        env.host.cancel_timer(self.sync_timer(id));
        let sessions: Vec<StrBytes> =
            group.members().map(|m| m.id.clone()).chain(group.pending_members().cloned()).collect();
        for member in &sessions {
            self.cancel_session(env, id, member);
        }
        for member in group.members_mut() {
            if let Some(parked) = member.joining.take() {
                reply::join_error(env.ctx, parked, StrBytes::default(), error);
            }
            if let Some(parked) = member.syncing.take() {
                reply::sync_error(env.ctx, parked, error);
            }
        }
        let from = group.state();
        group.become_state(ClassicState::Dead, env.wall_ms());
        trace_state(env.ctx, &group, from, "its first record could not be written");
    }

    fn join_new(&mut self, env: &mut Env<'_, '_>, join: Join) -> Wrote {
        let Some(group) = self.groups.classic_mut(&join.group) else { return Wrote::Nothing };
        if !group.supports_protocols(&join.protocol_type, &join.protocols) {
            let error = ErrorCode::InconsistentGroupProtocol;
            reply::join_error(env.ctx, join.asker, StrBytes::default(), error);
            return Wrote::Nothing;
        }
        let prefix = join.instance_id.as_ref().unwrap_or(&join.client_id);
        let member = StrBytes::from(format!("{prefix}-{}", env.ctx.rng.uuid().hyphenated()));
        if let Some(instance_id) = join.instance_id.clone() {
            if let Some(existing) = group.static_member(&instance_id).cloned() {
                return self.join_replacing(env, join, &instance_id, &existing, &member);
            }
            return self.add_member(env, join, member);
        }
        if join.asker.version < 4 {
            return self.add_member(env, join, member);
        }
        // KIP-394: the client is told its id first, so that a JoinGroup whose answer is lost leaves no ghost behind.
        group.add_pending_member(member.clone());
        self.restart_session(env, &join.group, &member, join.session_timeout_ms);
        reply::join_error(env.ctx, join.asker, member, ErrorCode::MemberIdRequired);
        Wrote::Nothing
    }

    fn join_again(&mut self, env: &mut Env<'_, '_>, join: Join) -> Wrote {
        let Some(group) = self.groups.classic(&join.group) else { return Wrote::Nothing };
        let member_id = join.member.clone();
        if !group.supports_protocols(&join.protocol_type, &join.protocols) {
            reply::join_error(env.ctx, join.asker, member_id, ErrorCode::InconsistentGroupProtocol);
            return Wrote::Nothing;
        }
        if group.is_pending_member(&member_id) {
            if join.instance_id.is_some() {
                // Only dynamic members are given an id to come back with.
                reply::join_error(env.ctx, join.asker, member_id, ErrorCode::UnknownMemberId);
                return Wrote::Nothing;
            }
            return self.add_member(env, join, member_id);
        }
        if let Err(error) = group.validate_member(&member_id, join.instance_id.as_ref()) {
            reply::join_error(env.ctx, join.asker, member_id, error);
            return Wrote::Nothing;
        }
        let unchanged = group.member(&member_id).is_some_and(|m| m.protocols == join.protocols);
        let is_leader = group.is_leader(&member_id);
        match group.state() {
            ClassicState::PreparingRebalance => self.update_member(env, join, "member joined again"),
            ClassicState::CompletingRebalance if unchanged => {
                // The answer to its first JoinGroup may have been lost.
                reply::join(env.ctx, join.asker, generation_response(group, &member_id, is_leader));
                Wrote::Nothing
            }
            ClassicState::Stable if unchanged && !is_leader => {
                reply::join(env.ctx, join.asker, generation_response(group, &member_id, false));
                Wrote::Nothing
            }
            ClassicState::Stable if is_leader => {
                // What the leader assigns may depend on what it sees elsewhere, such as new partitions.
                self.update_member(env, join, "leader joined again")
            }
            ClassicState::CompletingRebalance | ClassicState::Stable => {
                self.update_member(env, join, "member changed its protocols")
            }
            ClassicState::Empty => {
                reply::join_error(env.ctx, join.asker, member_id, ErrorCode::UnknownMemberId);
                Wrote::Nothing
            }
            ClassicState::Dead => {
                reply::join_error(env.ctx, join.asker, member_id, ErrorCode::CoordinatorNotAvailable);
                Wrote::Nothing
            }
        }
    }

    fn add_member(&mut self, env: &mut Env<'_, '_>, join: Join, id: StrBytes) -> Wrote {
        let Some(group) = self.groups.classic_mut(&join.group) else { return Wrote::Nothing };
        if group.is(ClassicState::PreparingRebalance) && group.previous_state() == ClassicState::Empty {
            group.new_member_added = true;
        }
        let member = Member {
            id: id.clone(),
            instance_id: join.instance_id,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            session_timeout_ms: join.session_timeout_ms,
            protocols: join.protocols,
            assignment: bytes::Bytes::new(),
            joining: Some(join.asker),
            syncing: None,
            is_new: true,
        };
        group.join(member, join.protocol_type);
        if env.ctx.tracing() {
            env.ctx.trace(GroupEvent::MemberJoined { group: join.group.clone(), member: id.clone() });
        }
        self.restart_session(env, &join.group, &id, NEW_MEMBER_JOIN_TIMEOUT_MS);
        self.rebalance_or_complete(env, &join.group, "new member")
    }

    fn update_member(&mut self, env: &mut Env<'_, '_>, join: Join, cause: &'static str) -> Wrote {
        let Some(group) = self.groups.classic_mut(&join.group) else { return Wrote::Nothing };
        let before = group.update_member(
            &join.member,
            join.protocols,
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
            Some(join.asker),
        );
        if let Some(parked) = before {
            // The client has given that request up, or it would not have sent another.
            reply::join_error(env.ctx, parked, join.member, ErrorCode::RebalanceInProgress);
        }
        self.rebalance_or_complete(env, &join.group, cause)
    }

    /// A static member comes back with no id: it takes the place of the member that had its instance id.
    fn join_replacing(
        &mut self,
        env: &mut Env<'_, '_>,
        join: Join,
        instance_id: &StrBytes,
        old_id: &StrBytes,
        new_id: &StrBytes,
    ) -> Wrote {
        let Some(group) = self.groups.classic_mut(&join.group) else { return Wrote::Nothing };
        let old_leader = group.leader().cloned();
        let (joining, syncing) = group.replace_static_member(instance_id, old_id, new_id);
        let (old_protocols, old_rebalance_timeout_ms, old_session_timeout_ms) = group
            .member(new_id)
            .map(|m| (m.protocols.clone(), m.rebalance_timeout_ms, m.session_timeout_ms))
            .unwrap_or_default();
        group.update_member(
            new_id,
            join.protocols,
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
            Some(join.asker),
        );
        let state = group.state();
        let same_protocol = group.select_protocol().as_ref() == group.protocol_name();
        let record = (state == ClassicState::Stable && same_protocol)
            .then(|| GroupValue::of(group, |member| member.assignment.clone()));
        if let Some(parked) = joining {
            reply::join_error(env.ctx, parked, old_id.clone(), ErrorCode::FencedInstanceId);
        }
        if let Some(parked) = syncing {
            reply::sync_error(env.ctx, parked, ErrorCode::FencedInstanceId);
        }
        if env.ctx.tracing() {
            env.ctx.trace(GroupEvent::MemberReplaced {
                group: join.group.clone(),
                instance: instance_id.clone(),
                from: old_id.clone(),
                to: new_id.clone(),
            });
        }
        self.cancel_session(env, &join.group, old_id);
        self.restart_session(env, &join.group, new_id, old_session_timeout_ms);
        match state {
            ClassicState::Stable => {
                let Some(value) = record else {
                    return self.rebalance_or_complete(
                        env,
                        &join.group,
                        "static member changed its protocols",
                    );
                };
                // Nothing changes for the others: only the new id is written down.
                let done = StaticJoin {
                    group: join.group.clone(),
                    instance_id: instance_id.clone(),
                    old_id: old_id.clone(),
                    new_id: new_id.clone(),
                    old_protocols,
                    old_rebalance_timeout_ms,
                    old_session_timeout_ms,
                    old_leader,
                };
                let record = Record::Group { group: join.group, value: Some(value) };
                self.write(env, vec![record], false, Done::StaticJoin(Box::new(done)))
            }
            // The leader may have been told the old id, and would assign to it.
            ClassicState::CompletingRebalance => {
                self.prepare_rebalance(env, &join.group, "static member came back")
            }
            ClassicState::PreparingRebalance | ClassicState::Empty | ClassicState::Dead => {
                self.maybe_complete_join(env, &join.group)
            }
        }
    }

    /// The new id of a static member is committed, or could not be written and is taken back.
    pub(crate) fn finish_static_join(
        &mut self,
        env: &mut Env<'_, '_>,
        join: StaticJoin,
        failure: Option<Failure>,
    ) {
        let StaticJoin { group: id, instance_id, old_id, new_id, .. } = join;
        let Some(group) = self.groups.classic_mut(&id) else { return };
        let Some(parked) = group.take_joining(&new_id) else { return };
        let is_leader = group.is_leader(&new_id);
        let Some(Failure { error, in_log }) = failure else {
            let response = if parked.version >= 9 {
                // KIP-814: a leader that came back learns the members but must not assign again.
                generation_response(group, &new_id, is_leader).with_skip_assignment(is_leader)
            } else {
                // Older clients would compute an assignment as leader: they are told the old leader's id.
                generation_response(group, &new_id, false).with_leader(join.old_leader.unwrap_or_default())
            };
            return reply::join(env.ctx, parked, response);
        };
        if in_log {
            // The new id stays: the log has it. The client comes again and gets another.
            return reply::join_error(env.ctx, parked, StrBytes::default(), error);
        }
        group.update_member(
            &new_id,
            join.old_protocols,
            join.old_rebalance_timeout_ms,
            join.old_session_timeout_ms,
            None,
        );
        let (_, syncing) = group.replace_static_member(&instance_id, &new_id, &old_id);
        let response = generation_response(group, &StrBytes::default(), false)
            .with_leader(join.old_leader.unwrap_or_default())
            .with_error_code(error.code());
        self.cancel_session(env, &id, &new_id);
        self.restart_session(env, &id, &old_id, join.old_session_timeout_ms);
        if let Some(parked) = syncing {
            reply::sync_error(env.ctx, parked, ErrorCode::FencedInstanceId);
        }
        reply::join(env.ctx, parked, response);
    }
}

/// The current generation, as a member is told of it.
pub(crate) fn generation_response(
    group: &ClassicGroup,
    member: &StrBytes,
    with_members: bool,
) -> JoinGroupResponse {
    let members = if with_members { super::rebalance::response_members(group) } else { Vec::new() };
    JoinGroupResponse::default()
        .with_members(members)
        .with_member_id(member.clone())
        .with_generation_id(group.generation())
        .with_protocol_name(group.protocol_name().cloned())
        .with_protocol_type(group.protocol_type().cloned())
        .with_leader(group.leader().cloned().unwrap_or_default())
}

/// Whether there is room. While a group prepares, who has joined counts, not who is expected: the last to come back
/// after `group.max.size` was lowered stay outside.
fn accepts(group: &ClassicGroup, member: &StrBytes, max_size: usize) -> bool {
    match group.state() {
        ClassicState::Empty | ClassicState::Dead => true,
        ClassicState::PreparingRebalance => {
            group.member(member).is_some_and(|m| m.joining.is_some()) || group.awaiting_join() < max_size
        }
        ClassicState::CompletingRebalance | ClassicState::Stable => {
            group.has_member(member) || group.members().len() < max_size
        }
    }
}
