//! ConsumerGroupDescribe (key 69), versions 0–1. Answers to `KafkaApis.handleConsumerGroupDescribe`.
//!
//! * v1 the type of each member (KIP-1099)
//!
//! Difference: what is told is the newest state, also while its records are not committed yet; Kafka tells the committed one. A group
//! that is named twice is told once.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::consumer_group_describe_response::DescribedGroup;
use klamm_wire::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ResponseKind};

use super::consumer_group_heartbeat::is_enabled;
use super::describe_groups::GROUP_OPERATIONS;
use super::distinct;
use crate::broker::Broker;
use crate::core::RequestContext;

/// Tells of each group that is asked for.
pub(crate) fn handle(
    broker: &Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: &ConsumerGroupDescribeRequest,
) {
    let describe = |id| {
        if is_enabled(&broker.core) {
            broker.groups.describe_consumer(&broker.core, id)
        } else {
            DescribedGroup::default()
                .with_group_id(id.clone())
                .with_error_code(ErrorCode::UnsupportedVersion.code())
        }
    };
    let with_operations = |group: DescribedGroup| match group.error_code {
        0 if request.include_authorized_operations => group.with_authorized_operations(GROUP_OPERATIONS),
        _ => group,
    };
    let ids = distinct(&request.group_ids);
    let groups = ids.map(describe).map(with_operations).collect();
    let response = ConsumerGroupDescribeResponse::default().with_groups(groups);
    ctx.reply(rc.reply_to, ResponseKind::ConsumerGroupDescribe(response));
}
