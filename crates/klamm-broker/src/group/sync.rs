//! SyncGroup and Heartbeat (the classic half of Kafka's `GroupMetadataManager.classicGroupSync*`, `classicGroupHeartbeat*`).

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_wire::messages::{HeartbeatRequest, SyncGroupRequest, SyncGroupResponse};
use klamm_wire::{ErrorCode, StrBytes};

use super::GroupTimer;
use super::classic::ClassicGroup;
use super::done::Done;
use super::member::{Parked, own_bytes};
use super::records::{GroupValue, Record};
use super::reply;
use super::shard::{Env, Shard, trace_state};
use super::state::ClassicState;
use crate::core::RequestContext;

impl Shard {
    /// A member asks for its assignment; the leader brings everyone's.
    pub(crate) fn sync(&mut self, env: &mut Env<'_, '_>, rc: &RequestContext, request: SyncGroupRequest) {
        if self.groups.consumer(&request.group_id.0).is_some() {
            return self.sync_consumer_group(env, rc, &request);
        }
        let asker = Parked { to: rc.reply_to, version: rc.api_version };
        let Some(group) = self.groups.classic_mut(&request.group_id.0) else {
            return reply::sync_error(env.ctx, asker, ErrorCode::UnknownMemberId);
        };
        let id = group.id().clone();
        if let Err(error) = validate_sync(group, &request) {
            return reply::sync_error(env.ctx, asker, error);
        }
        if matches!(group.state(), ClassicState::CompletingRebalance | ClassicState::Stable)
            && group.synced(&request.member_id)
        {
            env.host.cancel_timer(GroupTimer::Sync { partition: self.partition, group: id.clone() });
        }
        match group.state() {
            ClassicState::CompletingRebalance => {
                let is_leader = group.is_leader(&request.member_id);
                let before = group.member_mut(&request.member_id).and_then(|m| m.syncing.replace(asker));
                if let Some(parked) = before {
                    // The client has given that request up, or it would not have sent another.
                    reply::sync_error(env.ctx, parked, ErrorCode::RebalanceInProgress);
                }
                if is_leader {
                    self.take_assignment(env, &id, request);
                }
            }
            ClassicState::Stable => {
                let assignment =
                    group.member(&request.member_id).map(|m| m.assignment.clone()).unwrap_or_default();
                reply::sync(env.ctx, asker, assignment_response(group, assignment));
            }
            ClassicState::PreparingRebalance | ClassicState::Empty | ClassicState::Dead => {
                reply::sync_error(env.ctx, asker, ErrorCode::RebalanceInProgress);
            }
        }
    }

    /// The leader's assignment is written down; members hear of it once it is committed.
    fn take_assignment(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, request: SyncGroupRequest) {
        let Some(group) = self.groups.classic(id) else { return };
        let assignments: BTreeMap<StrBytes, Bytes> =
            request.assignments.into_iter().map(|a| (a.member_id, own_bytes(&a.assignment))).collect();
        let generation = group.generation();
        let value = GroupValue::of(group, |m| assignments.get(&m.id).cloned().unwrap_or_default());
        let record = Record::Group { group: id.clone(), value: Some(value) };
        let done = Done::Sync { group: id.clone(), generation, assignments };
        let _ = self.write(env, vec![record], false, done);
    }

    /// The assignment is committed: the group is stable. If it could not be written, the members start over.
    pub(crate) fn finish_sync(
        &mut self,
        env: &mut Env<'_, '_>,
        id: &StrBytes,
        generation: i32,
        assignments: &BTreeMap<StrBytes, Bytes>,
        error: Option<ErrorCode>,
    ) {
        let Some(group) = self.groups.classic_mut(id) else { return };
        // A rebalance may have started meanwhile; then this is history.
        if !group.is(ClassicState::CompletingRebalance) || group.generation() != generation {
            return;
        }
        if let Some(error) = error {
            self.fail_sync(env, id, error);
            let _ = self.rebalance_or_complete(env, id, "assignment could not be stored");
            return;
        }
        for member in group.members_mut() {
            member.assignment = assignments.get(&member.id).cloned().unwrap_or_default();
        }
        let from = group.state();
        group.become_state(ClassicState::Stable, env.wall_ms());
        trace_state(env.ctx, group, from, "assignment stored");
        self.answer_syncs(env, id, None);
    }

    /// Everyone who waits for an assignment gets an error instead.
    pub(crate) fn fail_sync(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, error: ErrorCode) {
        let Some(group) = self.groups.classic_mut(id) else { return };
        for member in group.members_mut() {
            member.assignment = Bytes::new();
        }
        self.answer_syncs(env, id, Some(error));
    }

    fn answer_syncs(&mut self, env: &mut Env<'_, '_>, id: &StrBytes, error: Option<ErrorCode>) {
        let Some(group) = self.groups.classic_mut(id) else { return };
        let waiting: Vec<(StrBytes, i32, Bytes, Parked)> = group
            .members_mut()
            .filter_map(|m| {
                let parked = m.syncing.take()?;
                Some((m.id.clone(), m.session_timeout_ms, m.assignment.clone(), parked))
            })
            .collect();
        for (member, session_timeout_ms, assignment, parked) in waiting {
            match (error, self.groups.classic(id)) {
                (None, Some(group)) => reply::sync(env.ctx, parked, assignment_response(group, assignment)),
                (Some(error), _) => reply::sync_error(env.ctx, parked, error),
                (None, None) => reply::sync_error(env.ctx, parked, ErrorCode::UnknownMemberId),
            }
            // A session that ran out while its member waited here was let pass.
            self.restart_session(env, id, &member, session_timeout_ms);
        }
    }

    /// A member is alive.
    pub(crate) fn heartbeat(
        &mut self,
        env: &mut Env<'_, '_>,
        rc: &RequestContext,
        request: &HeartbeatRequest,
    ) {
        let id = &request.group_id.0;
        if self.groups.consumer(id).is_some() {
            return self.heartbeat_consumer_group(env, rc, request);
        }
        match self.check_heartbeat(request) {
            Ok((session_timeout_ms, answer)) => {
                self.restart_session(env, id, &request.member_id, session_timeout_ms);
                self.after_writes(env, Done::Heartbeat { to: rc.reply_to, error: answer });
            }
            Err(error) => reply::heartbeat(env.ctx, rc.reply_to, error),
        }
    }

    fn check_heartbeat(&self, request: &HeartbeatRequest) -> Result<(i32, ErrorCode), ErrorCode> {
        let group = self.groups.classic(&request.group_id.0).ok_or(ErrorCode::UnknownMemberId)?;
        if group.is(ClassicState::Dead) {
            return Err(ErrorCode::CoordinatorNotAvailable);
        }
        group.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
        if request.generation_id != group.generation() {
            return Err(ErrorCode::IllegalGeneration);
        }
        let member = group.member(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        let answer = match group.state() {
            ClassicState::PreparingRebalance => ErrorCode::RebalanceInProgress,
            // A consumer sends heartbeats from the moment its JoinGroup is answered.
            ClassicState::CompletingRebalance | ClassicState::Stable => ErrorCode::None,
            ClassicState::Empty | ClassicState::Dead => return Err(ErrorCode::UnknownMemberId),
        };
        Ok((member.session_timeout_ms, answer))
    }
}

fn validate_sync(group: &ClassicGroup, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    match group.state() {
        ClassicState::Dead => return Err(ErrorCode::CoordinatorNotAvailable),
        ClassicState::Empty => return Err(ErrorCode::UnknownMemberId),
        _ => {}
    }
    group.validate_member(&request.member_id, request.group_instance_id.as_ref())?;
    if request.generation_id != group.generation() {
        return Err(ErrorCode::IllegalGeneration);
    }
    // KIP-559: a member that says which protocol it means is checked.
    let differs = |said: &Option<StrBytes>, known: Option<&StrBytes>| {
        said.is_some() && known.is_some() && said.as_ref() != known
    };
    if differs(&request.protocol_type, group.protocol_type())
        || differs(&request.protocol_name, group.protocol_name())
    {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    Ok(())
}

fn assignment_response(group: &ClassicGroup, assignment: Bytes) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_protocol_type(group.protocol_type().cloned())
        .with_protocol_name(group.protocol_name().cloned())
        .with_assignment(assignment)
}
