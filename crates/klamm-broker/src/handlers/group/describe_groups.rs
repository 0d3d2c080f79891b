//! DescribeGroups (key 15), versions 0–6. Answers to `KafkaApis.handleDescribeGroupsRequest`.
//!
//! * v1 throttle time · v3 authorized operations (KIP-430) · v4 group instance id · v5 flexible
//! * v6 `GROUP_ID_NOT_FOUND` with a message (KIP-1043)
//!
//! Difference: a group that is named twice is described once.

use klamm_node::Ctx;
use klamm_wire::messages::{DescribeGroupsRequest, DescribeGroupsResponse, ResponseKind};

use super::distinct;
use crate::broker::Broker;
use crate::core::RequestContext;

/// What may be done with a group, a bit for each of Kafka's ACL operations: Read (3), Delete (6), Describe (8),
/// DescribeConfigs (10) and AlterConfigs (11). Without an authorizer everyone may do all of it.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// Answers from what the coordinator knows now.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &DescribeGroupsRequest,
) {
    let with_operations = rc.api_version >= 3 && request.include_authorized_operations;
    let groups = distinct(&request.groups).map(|id| {
        let group = broker.groups.describe(id, rc.api_version);
        if with_operations && group.error_code == 0 {
            group.with_authorized_operations(GROUP_OPERATIONS)
        } else {
            group
        }
    });
    let response = DescribeGroupsResponse::default().with_groups(groups.collect());
    ctx.reply(rc.reply_to, ResponseKind::DescribeGroups(response));
}
