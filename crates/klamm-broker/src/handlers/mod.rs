//! Every request a broker can get, and who answers it (Kafka's `KafkaApis`).

mod group;

use klamm_node::{Ctx, Incoming};
use klamm_wire::Request;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers a request, now or later.
pub(crate) fn dispatch(broker: &mut Broker, ctx: &mut Ctx<'_>, incoming: Incoming) {
    let Incoming { reply_to, origin, api_version, client_id, request, inspected } = incoming;
    let rc = RequestContext { reply_to, origin, api_version, client_id };
    let _ = inspected;
    match request {
        request @ (Request::OffsetCommit(_)
        | Request::OffsetFetch(_)
        | Request::FindCoordinator(_)
        | Request::JoinGroup(_)
        | Request::Heartbeat(_)
        | Request::LeaveGroup(_)
        | Request::SyncGroup(_)
        | Request::DescribeGroups(_)
        | Request::ListGroups(_)
        | Request::DeleteGroups(_)
        | Request::OffsetDelete(_)) => group::handle(broker, ctx, rc, request),

        _ => ctx.close(rc.reply_to),
    }
}
