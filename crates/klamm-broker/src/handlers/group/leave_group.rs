//! LeaveGroup (key 13), versions 0–5. Answers to `KafkaApis.handleLeaveGroupRequest`.
//!
//! * v1 throttle time · v3 several members, by group instance id too (KIP-345) · v4 flexible · v5 reasons (KIP-800)
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::LeaveGroupRequest;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers once what it changed is committed.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: LeaveGroupRequest,
) {
    broker.groups.leave(&mut broker.core, ctx, rc, request);
}
