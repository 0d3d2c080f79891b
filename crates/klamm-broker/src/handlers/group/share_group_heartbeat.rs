//! ShareGroupHeartbeat (key 76), version 1. Answers to `KafkaApis.handleShareGroupHeartbeat` (KIP-932).
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{ResponseKind, ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::handlers::share::{enabled, is_member_id};

/// Answers once what the heartbeat changed is committed.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: ShareGroupHeartbeatRequest,
) {
    let error = if !enabled(&broker.core) {
        ErrorCode::UnsupportedVersion
    } else if !is_member_id(&request.member_id) {
        ErrorCode::InvalidRequest
    } else {
        return broker.groups.share_heartbeat(&mut broker.core, ctx, rc, request);
    };
    let response = ShareGroupHeartbeatResponse::default().with_error_code(error.code());
    ctx.reply(rc.reply_to, ResponseKind::ShareGroupHeartbeat(response));
}
