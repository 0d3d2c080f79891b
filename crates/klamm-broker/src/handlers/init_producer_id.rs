//! InitProducerId (key 22), versions 0–5. Answers to `KafkaApis.handleInitProducerIdRequest`.
//!
//! * v2 flexible · v3 the producer's present id and epoch (KIP-360) · v4 `PRODUCER_FENCED` · v5 `TRANSACTION_ABORTABLE` (KIP-890)
//!
//! Difference: a request that needs a new block of producer ids waits for it; Kafka has the client come again
//! (`COORDINATOR_LOAD_IN_PROGRESS`).

use klamm_node::Ctx;
use klamm_wire::ErrorCode;
use klamm_wire::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::transaction::InitProducerId;

/// Gives out a producer id, or the next epoch of a transactional id's.
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
    let expected = match (request.producer_id.0, request.producer_epoch) {
        (-1, -1) => None,
        // Both or neither.
        (-1, _) | (_, -1) => return refuse(ctx, ErrorCode::InvalidRequest),
        (producer_id, epoch) => Some((producer_id, epoch)),
    };
    let Some(transactional_id) = request.transactional_id else {
        return broker.core.give_producer_id(ctx, rc.reply_to);
    };
    if transactional_id.is_empty() {
        return refuse(ctx, ErrorCode::InvalidRequest);
    }
    let init = InitProducerId {
        to: rc.reply_to,
        version: rc.api_version,
        transactional_id: transactional_id.0,
        timeout_ms: request.transaction_timeout_ms,
        expected,
    };
    broker.transactions.init_producer_id(&mut broker.core, ctx, init);
}
