//! The share coordinator's API keys, one file each: brokers and group coordinators keep share groups' state there.

mod delete;
mod initialize;
mod read;
mod summary;
mod write;

use klamm_node::Ctx;
use klamm_wire::Request;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers a request that belongs to the share coordinator.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: &RequestContext, request: Request) {
    match request {
        Request::InitializeShareGroupState(request) => initialize::handle(broker, ctx, rc, &request),
        Request::ReadShareGroupState(request) => read::handle(broker, ctx, rc, &request),
        Request::WriteShareGroupState(request) => write::handle(broker, ctx, rc, &request),
        Request::DeleteShareGroupState(request) => delete::handle(broker, ctx, rc, &request),
        Request::ReadShareGroupStateSummary(request) => summary::handle(broker, ctx, rc, &request),
        _ => ctx.close(rc.reply_to),
    }
}
