//! ListTransactions (key 66), versions 0–2. Answers to `KafkaApis.handleListTransactionsRequest`.
//!
//! * v1 only those that are open for longer than a duration (KIP-994) · v2 only those whose ids match a pattern (KIP-1152)
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::{ListTransactionsRequest, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Lists the transactions that this broker coordinates.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: &ListTransactionsRequest,
) {
    let response = broker.transactions.list(ctx, request);
    ctx.reply(rc.reply_to, ResponseKind::ListTransactions(response));
}
