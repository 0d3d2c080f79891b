//! DescribeShareGroupOffsets (key 90), version 0. Answers to `KafkaApis.handleDescribeShareGroupOffsetsRequest` (KIP-932).
//!
//! Difference: version 1, which tells a group's lag (KIP-1226), waits for its schema.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::describe_share_group_offsets_response::DescribeShareGroupOffsetsResponseGroup;
use klamm_wire::messages::{
    DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse, ResponseKind,
};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::handlers::share::enabled;

/// Answers once the share coordinators have told of every group.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: DescribeShareGroupOffsetsRequest,
) {
    if enabled(&broker.core) {
        return broker.groups.describe_share_offsets(&mut broker.core, ctx, rc, request.groups);
    }
    let refused = request.groups.into_iter().map(|group| {
        DescribeShareGroupOffsetsResponseGroup::default()
            .with_group_id(group.group_id)
            .with_error_code(ErrorCode::UnsupportedVersion.code())
    });
    let response = DescribeShareGroupOffsetsResponse::default().with_groups(refused.collect());
    ctx.reply(rc.reply_to, ResponseKind::DescribeShareGroupOffsets(response));
}
