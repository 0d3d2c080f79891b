//! JoinGroup (key 11), versions 0–9. Answers to `KafkaApis.handleJoinGroupRequest`.
//!
//! * v1 rebalance timeout · v2 throttle time · v4 member id required (KIP-394) · v5 group instance id (KIP-345) · v6 flexible
//! * v7 protocol type in the answer, nullable protocol name (KIP-559) · v8 reason (KIP-800) · v9 skip assignment (KIP-814)
//!
//! Difference: a member's second JoinGroup answers the waiting first one with `REBALANCE_IN_PROGRESS`; Kafka drops it.

use klamm_node::Ctx;
use klamm_wire::messages::JoinGroupRequest;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers once the group's next generation begins.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: &RequestContext, request: JoinGroupRequest) {
    broker.groups.join(&mut broker.core, ctx, rc, request);
}
