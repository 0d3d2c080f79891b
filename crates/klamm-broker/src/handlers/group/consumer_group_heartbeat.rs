//! ConsumerGroupHeartbeat (key 68), versions 0–1. Answers to `KafkaApis.handleConsumerGroupHeartbeat`.
//!
//! * v1 regular expressions, and member ids that the consumer makes (KIP-848, KIP-1082)
//!
//! Difference: expressions are those of the `regex` crate, which differ from RE2J's in rare syntax.

use klamm_metadata::GROUP_VERSION;
use klamm_node::Ctx;
use klamm_node::config::group::GROUP_COORDINATOR_REBALANCE_PROTOCOLS;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::{Core, RequestContext};

/// Answers once what the heartbeat changed is committed.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: ConsumerGroupHeartbeatRequest,
) {
    if !is_enabled(&broker.core) {
        let response =
            ConsumerGroupHeartbeatResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
        return ctx.reply(rc.reply_to, ResponseKind::ConsumerGroupHeartbeat(response));
    }
    broker.groups.consumer_heartbeat(&mut broker.core, ctx, rc, request);
}

/// Whether the consumer protocol is on: in the broker's configuration and in the cluster's `group.version`.
pub(super) fn is_enabled(core: &Core) -> bool {
    core.config.get(GROUP_COORDINATOR_REBALANCE_PROTOCOLS).iter().any(|name| name == "consumer")
        && core.metadata.image().features.level(GROUP_VERSION) >= 1
}
