//! AddOffsetsToTxn (key 25), versions 0–4. Answers to `KafkaApis.handleAddOffsetsToTxnRequest`.
//!
//! * v2 `PRODUCER_FENCED` · v3 flexible · v4 `TRANSACTION_ABORTABLE` (KIP-890)
//!
//! Difference: none known.

use klamm_node::Ctx;
use klamm_wire::StrBytes;
use klamm_wire::messages::AddOffsetsToTxnRequest;

use crate::broker::Broker;
use crate::core::{GROUP_METADATA_TOPIC, RequestContext};
use crate::transaction::state::TransactionVersion;
use crate::transaction::{AddPartitions, AddReply};

/// Adds the partition of `__consumer_offsets` that keeps a group to a transaction.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: AddOffsetsToTxnRequest,
) {
    let partition = broker.groups.partition_for(&request.group_id);
    let add = AddPartitions {
        transactional_id: request.transactional_id.0,
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        topics: vec![(StrBytes::from_static_str(GROUP_METADATA_TOPIC), vec![partition])],
        // A client of transaction.version 2 has its partitions added by what it sends to them.
        client_version: TransactionVersion::V0,
        reply: AddReply::Offsets { to: rc.reply_to, version: rc.api_version },
    };
    broker.transactions.add_partitions(&mut broker.core, ctx, add);
}
