//! AddPartitionsToTxn (key 24), versions 0–5. Answers to `KafkaApis.handleAddPartitionsToTxnRequest`.
//!
//! * v2 `PRODUCER_FENCED` · v3 flexible · v4 several transactions, from brokers, which may only ask whether the partitions are in
//!   (KIP-890) · v5 `TRANSACTION_ABORTABLE`
//!
//! Difference: a request of version 4 or 5 about no transaction at all is answered; Kafka never does.

use klamm_node::{Ctx, TopicPartition};
use klamm_wire::ErrorCode;
use klamm_wire::messages::AddPartitionsToTxnRequest;
use klamm_wire::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};

use crate::broker::Broker;
use crate::core::{RequestContext, is_internal};
use crate::transaction::state::TransactionVersion;
use crate::transaction::{AddPartitions, AddReply, BatchId};

/// The newest version that clients use.
const LAST_CLIENT_VERSION: i16 = 3;

/// Adds partitions to transactions, or tells whether they are in.
pub(crate) fn handle(
    broker: &mut Broker,
    ctx: &mut Ctx<'_>,
    rc: RequestContext,
    request: AddPartitionsToTxnRequest,
) {
    let transactions = if rc.api_version <= LAST_CLIENT_VERSION {
        vec![
            AddPartitionsToTxnTransaction::default()
                .with_transactional_id(request.v3_and_below_transactional_id)
                .with_producer_id(request.v3_and_below_producer_id)
                .with_producer_epoch(request.v3_and_below_producer_epoch)
                .with_topics(request.v3_and_below_topics),
        ]
    } else {
        request.transactions
    };
    let client_version =
        if rc.api_version > LAST_CLIENT_VERSION { TransactionVersion::V2 } else { TransactionVersion::V0 };
    let batch = broker.transactions.begin_batch(ctx, rc.reply_to, rc.api_version, transactions.len());
    for transaction in transactions {
        let verify_only = transaction.verify_only;
        let add = partitions_of(transaction, client_version, batch);
        // The internal topics are the coordinators' own: no client may write to them.
        let refused = |partition: &TopicPartition| match client_version {
            TransactionVersion::V0 if is_internal(&partition.topic) => {
                Some(ErrorCode::TopicAuthorizationFailed)
            }
            _ if !broker.core.metadata.has_partition(partition) => Some(ErrorCode::UnknownTopicOrPartition),
            _ => None,
        };
        if add.partitions().any(|partition| refused(&partition).is_some()) {
            let result =
                add.result(|partition| refused(partition).unwrap_or(ErrorCode::OperationNotAttempted));
            broker.transactions.add_result(ctx, batch, result);
        } else if verify_only {
            broker.transactions.verify_partitions(ctx, &add);
        } else {
            broker.transactions.add_partitions(&mut broker.core, ctx, add);
        }
    }
}

fn partitions_of(
    transaction: AddPartitionsToTxnTransaction,
    client_version: TransactionVersion,
    batch: BatchId,
) -> AddPartitions {
    let topic = |topic: AddPartitionsToTxnTopic| (topic.name.0, topic.partitions);
    AddPartitions {
        transactional_id: transaction.transactional_id.0,
        producer_id: transaction.producer_id.0,
        producer_epoch: transaction.producer_epoch,
        topics: transaction.topics.into_iter().map(topic).collect(),
        client_version,
        reply: AddReply::Partitions(batch),
    }
}
