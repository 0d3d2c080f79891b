//! SyncGroup (key 14), versions 0–5. Answers to `KafkaApis.handleSyncGroupRequest`.
//!
//! * v1 throttle time · v3 group instance id (KIP-345) · v4 flexible · v5 protocol type and name (KIP-559)
//!
//! Difference: a member's second SyncGroup answers the waiting first one with `REBALANCE_IN_PROGRESS`; Kafka drops it.

use klamm_node::Ctx;
use klamm_wire::messages::SyncGroupRequest;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers once the leader's assignment is committed.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: &RequestContext, request: SyncGroupRequest) {
    broker.groups.sync(&mut broker.core, ctx, rc, request);
}
