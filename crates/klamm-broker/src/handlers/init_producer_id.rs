//! InitProducerId (key 22), versions 0–5. Answers to `KafkaApis.handleInitProducerIdRequest`.
//!
//! * v2 flexible · v3 the producer's present id and epoch (KIP-360)
//!
//! Difference: transactions are not served yet: a transactional id is answered with UNSUPPORTED_VERSION.

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Gives out a producer id.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: InitProducerIdRequest,
) {
    let refuse = |ctx: &mut Ctx<'_>, error: ErrorCode| {
        let response = InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        ctx.reply(rc.reply_to, ResponseKind::InitProducerId(response));
    };
    match request.transactional_id {
        None => {}
        Some(id) if id.0.is_empty() => return refuse(ctx, ErrorCode::InvalidRequest),
        Some(_) => return refuse(ctx, ErrorCode::UnsupportedVersion),
    }
    // Both or neither.
    if rc.api_version >= 3 && (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        return refuse(ctx, ErrorCode::InvalidRequest);
    }
    broker.core.give_producer_id(ctx, rc.reply_to);
}
