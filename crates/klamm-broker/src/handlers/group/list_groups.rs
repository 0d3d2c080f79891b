//! ListGroups (key 16), versions 0–5. Answers to `KafkaApis.handleListGroupsRequest`.
//!
//! * v1 throttle time · v3 flexible · v4 states, and a filter by them (KIP-518) · v5 types, and a filter by them (KIP-848)
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::{ListGroupsRequest, ListGroupsResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers with the groups that this broker coordinates.
pub(crate) fn handle(broker: &Broker, ctx: &mut Ctx<'_>, rc: &RequestContext, request: &ListGroupsRequest) {
    let response = match broker.groups.list(&request.states_filter, &request.types_filter) {
        Ok(groups) => ListGroupsResponse::default().with_groups(groups),
        Err(error) => ListGroupsResponse::default().with_error_code(error.code()),
    };
    ctx.reply(rc.reply_to, ResponseKind::ListGroups(response));
}
