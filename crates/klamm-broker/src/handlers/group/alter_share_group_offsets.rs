//! AlterShareGroupOffsets (key 91), version 0. Answers to `KafkaApis.handleAlterShareGroupOffsetsRequest` (KIP-932).
//!
//! Difference: a partition with a negative number is unknown. Kafka asks the share coordinator for it and answers what goes wrong there.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::handlers::share::enabled;

/// Answers once the share coordinators have begun the partitions anew.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: AlterShareGroupOffsetsRequest,
) {
    if enabled(&broker.core) {
        return broker.groups.alter_share_offsets(&mut broker.core, ctx, rc, request);
    }
    let response =
        AlterShareGroupOffsetsResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    ctx.reply(rc.reply_to, ResponseKind::AlterShareGroupOffsets(response));
}
