//! ShareGroupDescribe (key 77), version 1. Answers to `KafkaApis.handleShareGroupDescribe` (KIP-932).
//!
//! Difference: what is told is the newest state, also while its records are not committed yet; Kafka tells the committed one. A group
//! that is named twice is told once.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::share_group_describe_response::DescribedGroup;
use klamm_wire::messages::{ResponseKind, ShareGroupDescribeRequest, ShareGroupDescribeResponse};

use super::describe_groups::GROUP_OPERATIONS;
use super::distinct;
use crate::broker::Broker;
use crate::core::RequestContext;
use crate::handlers::share::enabled;

/// Tells of each group that is asked for.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &ShareGroupDescribeRequest,
) {
    let describe = |id| {
        if enabled(&broker.core) {
            broker.groups.describe_share(&broker.core, id)
        } else {
            let code = ErrorCode::UnsupportedVersion.code();
            DescribedGroup::default().with_group_id(id.clone()).with_error_code(code)
        }
    };
    let with_operations = |group: DescribedGroup| match group.error_code {
        0 if request.include_authorized_operations => group.with_authorized_operations(GROUP_OPERATIONS),
        _ => group,
    };
    let ids = distinct(&request.group_ids);
    let groups = ids.map(describe).map(with_operations).collect();
    let response = ShareGroupDescribeResponse::default().with_groups(groups);
    ctx.reply(rc.reply_to, ResponseKind::ShareGroupDescribe(response));
}
