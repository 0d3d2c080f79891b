//! Requests of members of the classic protocol.

use klamm_node::Ctx;
use klamm_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, LeaveGroupResponse, SyncGroupRequest,
};
use klamm_wire::{ErrorCode, StrBytes};

use crate::core::RequestContext;
use crate::group::host::Host;
use crate::group::join::Join;
use crate::group::{GroupCoordinator, parked, reply};

impl GroupCoordinator {
    /// JoinGroup.
    pub(crate) fn join(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: JoinGroupRequest,
    ) {
        let timeouts = self.config.min_session_timeout_ms..=self.config.max_session_timeout_ms;
        let valid = if request.group_id.is_empty() {
            Err(ErrorCode::InvalidGroupId)
        } else if !timeouts.contains(&request.session_timeout_ms) {
            Err(ErrorCode::InvalidSessionTimeout)
        } else {
            Ok(())
        };
        if let Err(error) = valid {
            return reply::join_error(ctx, parked(rc), request.member_id, error);
        }
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.join(&mut env, Join::new(rc, request));
            }
            Err(error) => reply::join_error(ctx, parked(rc), StrBytes::default(), error),
        }
    }

    /// SyncGroup. Since version 5 a member says which protocol it means.
    pub(crate) fn sync(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: SyncGroupRequest,
    ) {
        if rc.api_version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            return reply::sync_error(ctx, parked(rc), ErrorCode::InconsistentGroupProtocol);
        }
        if request.group_id.is_empty() {
            return reply::sync_error(ctx, parked(rc), ErrorCode::InvalidGroupId);
        }
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.sync(&mut env, rc, request);
            }
            Err(error) => reply::sync_error(ctx, parked(rc), error),
        }
    }

    /// Heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: &HeartbeatRequest,
    ) {
        if request.group_id.is_empty() {
            return reply::heartbeat(ctx, rc.reply_to, ErrorCode::InvalidGroupId);
        }
        match self.lookup(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.heartbeat(&mut env, rc, request);
            }
            // While the group loads nobody can be missed: sessions start when it has.
            Err(ErrorCode::CoordinatorLoadInProgress) => {
                reply::heartbeat(ctx, rc.reply_to, ErrorCode::None);
            }
            Err(error) => reply::heartbeat(ctx, rc.reply_to, error),
        }
    }

    /// LeaveGroup.
    pub(crate) fn leave(
        &mut self,
        host: &mut dyn Host,
        ctx: &mut Ctx<'_>,
        rc: &RequestContext,
        request: LeaveGroupRequest,
    ) {
        match self.lookup_named(&request.group_id) {
            Ok(partition) => {
                let (shard, mut env) = self.at(host, ctx, partition);
                shard.leave(&mut env, rc, request);
            }
            Err(error) => {
                let response = LeaveGroupResponse::default().with_error_code(error.code());
                reply::leave(ctx, parked(rc), response);
            }
        }
    }
}
