//! EndTxn (key 26), versions 0–5. Answers to `KafkaApis.handleEndTxnRequest`.
//!
//! * v2 `PRODUCER_FENCED` · v3 flexible · v4 `TRANSACTION_ABORTABLE` · v5 each transaction has an epoch of its own, which the
//!   answer tells (KIP-890)
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::messages::EndTxnRequest;

use crate::broker::Broker;
use crate::core::RequestContext;
use crate::transaction::state::TransactionVersion;
use crate::transaction::{EndReply, EndTransaction};

/// Commits or aborts a transaction.
pub(crate) fn handle(broker: &mut Broker, ctx: &mut Ctx<'_>, rc: RequestContext, request: EndTxnRequest) {
    let version = if rc.api_version > 4 { TransactionVersion::V2 } else { TransactionVersion::V0 };
    let end = EndTransaction {
        transactional_id: request.transactional_id.0,
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        commit: request.committed,
        reply: EndReply::Client { to: rc.reply_to, version: rc.api_version },
    };
    broker.transactions.end_transaction(&mut broker.core, ctx, end, version);
}
