//! The group coordinator's API keys, one file each.

use klamm_node::Ctx;
use klamm_wire::Request;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers a request that belongs to the group coordinator.
pub(crate) fn handle(_broker: &mut Broker, ctx: &mut Ctx<'_>, rc: RequestContext, _request: Request) {
    ctx.close(rc.reply_to);
}
