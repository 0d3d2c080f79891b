//! Heartbeat (key 12), versions 0–4. Answers to `KafkaApis.handleHeartbeatRequest`.
//!
//! * v1 throttle time · v3 group instance id (KIP-345) · v4 flexible
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::HeartbeatRequest;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers at once, or behind the writes that its answer depends on.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &HeartbeatRequest,
) {
    broker.groups.heartbeat(&mut broker.core, ctx, rc, request);
}
