//! The coordinator's answers, in the shapes that each version wants.

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::{
    HeartbeatResponse, JoinGroupResponse, LeaveGroupResponse, ResponseKind, SyncGroupResponse,
};
use klamm_wire::{ErrorCode, StrBytes};

use super::member::Parked;

/// Answers a JoinGroup.
pub(crate) fn join(ctx: &mut Ctx<'_>, parked: Parked, mut response: JoinGroupResponse) {
    // The protocol name became nullable in version 7.
    response.protocol_name = match response.protocol_name {
        None if parked.version < 7 => Some(StrBytes::default()),
        Some(name) if parked.version >= 7 && name.is_empty() => None,
        name => name,
    };
    ctx.reply(parked.to, ResponseKind::JoinGroup(response));
}

/// Answers a JoinGroup with an error.
pub(crate) fn join_error(ctx: &mut Ctx<'_>, parked: Parked, member: StrBytes, error: ErrorCode) {
    let response = JoinGroupResponse::default().with_member_id(member).with_error_code(error.code());
    join(ctx, parked, response);
}

/// Answers a SyncGroup.
pub(crate) fn sync(ctx: &mut Ctx<'_>, parked: Parked, response: SyncGroupResponse) {
    ctx.reply(parked.to, ResponseKind::SyncGroup(response));
}

/// Answers a SyncGroup with an error.
pub(crate) fn sync_error(ctx: &mut Ctx<'_>, parked: Parked, error: ErrorCode) {
    sync(ctx, parked, SyncGroupResponse::default().with_error_code(error.code()));
}

/// Answers a Heartbeat.
pub(crate) fn heartbeat(ctx: &mut Ctx<'_>, to: ReplyTo, error: ErrorCode) {
    ctx.reply(to, ResponseKind::Heartbeat(HeartbeatResponse::default().with_error_code(error.code())));
}

/// Answers a LeaveGroup. Before version 3 it was about one member, and said so at the top.
pub(crate) fn leave(ctx: &mut Ctx<'_>, parked: Parked, mut response: LeaveGroupResponse) {
    if parked.version < 3 {
        if response.error_code == 0 {
            response.error_code = response.members.first().map_or(0, |m| m.error_code);
        }
        response.members.clear();
    }
    ctx.reply(parked.to, ResponseKind::LeaveGroup(response));
}
