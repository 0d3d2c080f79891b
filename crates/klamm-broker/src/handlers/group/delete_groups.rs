//! DeleteGroups (key 42), versions 0–2. Answers to `KafkaApis.handleDeleteGroupsRequest`.
//!
//! * v2 flexible
//!
//! Difference: version 3 (error messages, KIP-1331) waits for its schema.

use klamm_node::Ctx;
use klamm_wire::messages::DeleteGroupsRequest;

use crate::broker::Broker;
use crate::core::RequestContext;

/// Answers once every group's tombstones are committed.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: DeleteGroupsRequest,
) {
    broker.groups.delete_groups(&mut broker.core, ctx, rc, request.groups_names);
}
