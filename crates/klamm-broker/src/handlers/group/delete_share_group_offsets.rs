//! DeleteShareGroupOffsets (key 92), version 0. Answers to `KafkaApis.handleDeleteShareGroupOffsetsRequest` (KIP-932).
//!
//! Difference: topics of a group that never read anything are unknown. Kafka leaves them out of the answer.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{DeleteShareGroupOffsetsRequest, DeleteShareGroupOffsetsResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::handlers::share::enabled;

/// Answers once the share coordinators have forgotten the topics, and that is committed.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: &RequestContext,
    request: DeleteShareGroupOffsetsRequest,
) {
    if enabled(&broker.core) {
        return broker.groups.delete_share_offsets(&mut broker.core, ctx, rc, request);
    }
    let response =
        DeleteShareGroupOffsetsResponse::default().with_error_code(ErrorCode::UnsupportedVersion.code());
    ctx.reply(rc.reply_to, ResponseKind::DeleteShareGroupOffsets(response));
}
