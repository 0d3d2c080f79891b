//! DescribeTransactions (key 65), version 0. Answers to `KafkaApis.handleDescribeTransactionsRequest`.
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::{DescribeTransactionsRequest, DescribeTransactionsResponse, ResponseKind};

use crate::broker::Broker;
use crate::core::RequestContext;

/// Tells what is known of transactional ids.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: &DescribeTransactionsRequest,
) {
    let states = request.transactional_ids.iter().map(|id| broker.transactions.describe(id)).collect();
    let response = DescribeTransactionsResponse::default().with_transaction_states(states);
    ctx.reply(rc.reply_to, ResponseKind::DescribeTransactions(response));
}
