//! How a transactional id lies in `__transaction_state` (Kafka's `TransactionLog`). Kafka's own tools can read it:
//! `kafka-dump-log --transaction-log-decoder`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use klamm_node::TopicPartition;
use klamm_wire::internal::txn::{
    PartitionsSchema, TransactionLogKey, TransactionLogValue, TransactionRecordKey,
};
use klamm_wire::internal::{Schema, SchemaError};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ErrorCode, RecordBatch, StrBytes};

use super::metadata::{NO_PRODUCER_EPOCH, Transit};
use super::state::{TransactionState, TransactionVersion};
use crate::coordinator_record::decode_batch;
use crate::group::own;

/// One batch that says what has become of a transactional id, as the cluster's level of `transaction.version` has it written.
pub(crate) fn encode(
    transactional_id: &StrBytes,
    transit: &Transit,
    version: TransactionVersion,
    wall_ms: i64,
) -> Result<RecordBatch, ErrorCode> {
    let encoded = encode_key(transactional_id)
        .and_then(|key| Ok((key, value(transit).to_versioned_bytes(version.log_value_version())?)));
    let (key, value) = encoded.map_err(|_| ErrorCode::UnknownServerError)?;
    let mut batch = BatchBuilder::new();
    batch.push(wall_ms, Some(&key), Some(&value), &[]);
    batch.build().map_err(|_| ErrorCode::UnknownServerError)
}

/// One batch of tombstones.
pub(crate) fn encode_tombstones(
    transactional_ids: &[StrBytes],
    wall_ms: i64,
) -> Result<RecordBatch, ErrorCode> {
    let mut batch = BatchBuilder::new();
    for id in transactional_ids {
        let key = encode_key(id).map_err(|_| ErrorCode::UnknownServerError)?;
        batch.push(wall_ms, Some(&key), None, &[]);
    }
    batch.build().map_err(|_| ErrorCode::UnknownServerError)
}

fn encode_key(transactional_id: &StrBytes) -> Result<Bytes, SchemaError> {
    let key = TransactionLogKey { transactional_id: transactional_id.clone() };
    TransactionRecordKey::from(key).encode()
}

fn value(transit: &Transit) -> TransactionLogValue {
    let mut topics: BTreeMap<&StrBytes, Vec<i32>> = BTreeMap::new();
    for partition in &transit.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topics = topics
        .into_iter()
        .map(|(topic, partition_ids)| PartitionsSchema { topic: topic.clone(), partition_ids })
        .collect();
    TransactionLogValue {
        producer_id: transit.producer_id,
        previous_producer_id: transit.prev_producer_id,
        next_producer_id: transit.next_producer_id,
        producer_epoch: transit.producer_epoch,
        transaction_timeout_ms: transit.timeout_ms,
        transaction_status: transit.state.id(),
        transaction_partitions: (transit.state != TransactionState::Empty).then_some(topics),
        transaction_last_update_timestamp_ms: transit.last_update_ms,
        transaction_start_timestamp_ms: transit.start_ms,
        client_transaction_version: transit.client_version.level(),
        ..TransactionLogValue::default()
    }
}

/// The transactional ids in a batch and what it says of them, in memory of their own; `None` for a tombstone. What is not known
/// (another type, a newer version, a marker) is left out, as Kafka does when it loads.
pub(crate) fn decode(batch: &RecordBatch) -> Vec<(StrBytes, Option<Transit>)> {
    let records = decode_batch(batch, |key, value| {
        let Ok(TransactionRecordKey::TransactionLog(key)) = TransactionRecordKey::decode(key) else {
            return None;
        };
        let transit = match value {
            None => None,
            Some(value) => Some(transit(value)?),
        };
        Some((own(&key.transactional_id), transit))
    });
    records.into_iter().map(|(_, record)| record).collect()
}

fn transit(bytes: &Bytes) -> Option<Transit> {
    let (value, _) = TransactionLogValue::from_versioned_bytes(bytes).ok()?;
    let state = TransactionState::from_id(value.transaction_status)?;
    let mut partitions = BTreeSet::new();
    if state != TransactionState::Empty {
        for topic in value.transaction_partitions.into_iter().flatten() {
            let name = own(&topic.topic);
            let ids = topic.partition_ids.into_iter();
            partitions.extend(ids.map(|id| TopicPartition::new(name.clone(), id)));
        }
    }
    Some(Transit {
        state,
        producer_id: value.producer_id,
        prev_producer_id: value.previous_producer_id,
        next_producer_id: value.next_producer_id,
        producer_epoch: value.producer_epoch,
        last_producer_epoch: NO_PRODUCER_EPOCH,
        timeout_ms: value.transaction_timeout_ms,
        partitions,
        start_ms: value.transaction_start_timestamp_ms,
        last_update_ms: value.transaction_last_update_timestamp_ms,
        client_version: TransactionVersion::from_level(value.client_transaction_version),
    })
}
