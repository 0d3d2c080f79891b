//! Requests about transactions.

use crate::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use crate::messages::describe_transactions_response::TransactionState;
use crate::messages::{
    AddOffsetsToTxnResponse, AddPartitionsToTxnResponse, DescribeTransactionsResponse, EndTxnResponse,
    ListTransactionsResponse, ProducerId, ResponseKind, TxnOffsetCommitResponse, WriteTxnMarkersResponse,
};
use crate::messages::{txn_offset_commit_response, write_txn_markers_response};

use crate::Request;

/// Since this version AddPartitionsToTxn is about many transactions, and has room for an error of its own.
const BATCHED: i16 = 4;

/// The answer that says `code`.
pub(super) fn answer(request: &Request, version: i16, code: i16) -> Option<ResponseKind> {
    Some(match request {
        Request::AddPartitionsToTxn(_) if version >= BATCHED => {
            ResponseKind::AddPartitionsToTxn(AddPartitionsToTxnResponse::default().with_error_code(code))
        }
        Request::AddPartitionsToTxn(request) => {
            let topics = request.v3_and_below_topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|index| {
                    AddPartitionsToTxnPartitionResult::default()
                        .with_partition_index(*index)
                        .with_partition_error_code(code)
                });
                AddPartitionsToTxnTopicResult::default()
                    .with_name(topic.name.clone())
                    .with_results_by_partition(partitions.collect())
            });
            let response = AddPartitionsToTxnResponse::default();
            ResponseKind::AddPartitionsToTxn(response.with_results_by_topic_v3_and_below(topics.collect()))
        }
        Request::AddOffsetsToTxn(_) => {
            ResponseKind::AddOffsetsToTxn(AddOffsetsToTxnResponse::default().with_error_code(code))
        }
        Request::EndTxn(_) => ResponseKind::EndTxn(
            EndTxnResponse::default()
                .with_error_code(code)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1),
        ),
        Request::WriteTxnMarkers(request) => {
            use write_txn_markers_response::{
                WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
            };
            let markers = request.markers.iter().map(|marker| {
                let topics = marker.topics.iter().map(|topic| {
                    let partitions = topic.partition_indexes.iter().map(|index| {
                        WritableTxnMarkerPartitionResult::default()
                            .with_partition_index(*index)
                            .with_error_code(code)
                    });
                    WritableTxnMarkerTopicResult::default()
                        .with_name(topic.name.clone())
                        .with_partitions(partitions.collect())
                });
                WritableTxnMarkerResult::default()
                    .with_producer_id(marker.producer_id)
                    .with_topics(topics.collect())
            });
            ResponseKind::WriteTxnMarkers(WriteTxnMarkersResponse::default().with_markers(markers.collect()))
        }
        Request::TxnOffsetCommit(request) => {
            use txn_offset_commit_response::{
                TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
            };
            let topics = request.topics.iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|partition| {
                    TxnOffsetCommitResponsePartition::default()
                        .with_partition_index(partition.partition_index)
                        .with_error_code(code)
                });
                TxnOffsetCommitResponseTopic::default()
                    .with_name(topic.name.clone())
                    .with_topic_id(topic.topic_id)
                    .with_partitions(partitions.collect())
            });
            ResponseKind::TxnOffsetCommit(TxnOffsetCommitResponse::default().with_topics(topics.collect()))
        }
        Request::DescribeTransactions(request) => {
            let states = request.transactional_ids.iter().map(|id| {
                TransactionState::default().with_transactional_id(id.clone()).with_error_code(code)
            });
            let response = DescribeTransactionsResponse::default();
            ResponseKind::DescribeTransactions(response.with_transaction_states(states.collect()))
        }
        Request::ListTransactions(_) => {
            ResponseKind::ListTransactions(ListTransactionsResponse::default().with_error_code(code))
        }
        _ => return None,
    })
}
