//! The records of `__share_group_state` (`ShareCoordinatorRecordHelpers`, `…Serde`). Kafka's own tools can read them.

use bytes::Bytes;
use klamm_wire::internal::share::{
    ShareRecordKey, ShareSnapshotKey, ShareSnapshotValue, ShareUpdateKey, ShareUpdateValue,
    share_snapshot_value, share_update_value,
};
use klamm_wire::internal::{Schema, SchemaError};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::compress::Compression;
use klamm_wire::{ErrorCode, RecordBatch};

use super::state::{ShareState, StateBatch};
use crate::coordinator_record::decode_batch;
use crate::share::key::SharePartitionKey;

/// The version of both values.
const VERSION: i16 = 0;

/// What is written of a share-partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// All of its state.
    Snapshot(ShareState),
    /// What changed; its state epoch and its times are not part of it.
    Update(ShareState),
    /// It is gone.
    Tombstone,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The share-partition.
    pub(crate) key: SharePartitionKey,
    /// What is written of it.
    pub(crate) change: Change,
}

/// One batch of these records, at offset 0.
pub(crate) fn encode(
    records: &[Record],
    wall_ms: i64,
    compression: Compression,
) -> Result<RecordBatch, ErrorCode> {
    let mut batch = BatchBuilder::new().compression(compression, None);
    for record in records {
        let (key, value) = encode_record(record).map_err(|_| ErrorCode::UnknownServerError)?;
        batch.push(wall_ms, Some(&key), value.as_deref(), &[]);
    }
    batch.build().map_err(|_| ErrorCode::UnknownServerError)
}

fn encode_record(Record { key, change }: &Record) -> Result<(Bytes, Option<Bytes>), SchemaError> {
    let (group_id, topic_id, partition) = (key.group.clone(), key.topic_id, key.partition);
    Ok(match change {
        Change::Snapshot(state) => {
            let batches = state.batches.iter().map(|batch| share_snapshot_value::StateBatch {
                first_offset: batch.first,
                last_offset: batch.last,
                delivery_state: batch.state,
                delivery_count: batch.count,
            });
            let value = ShareSnapshotValue {
                snapshot_epoch: state.snapshot_epoch,
                state_epoch: state.state_epoch,
                leader_epoch: state.leader_epoch,
                start_offset: state.start_offset,
                delivery_complete_count: state.delivery_complete_count,
                create_timestamp: state.create_timestamp,
                write_timestamp: state.write_timestamp,
                state_batches: batches.collect(),
            };
            let key = ShareRecordKey::from(ShareSnapshotKey { group_id, topic_id, partition });
            (key.encode()?, Some(value.to_versioned_bytes(VERSION)?))
        }
        Change::Update(state) => {
            let batches = state.batches.iter().map(|batch| share_update_value::StateBatch {
                first_offset: batch.first,
                last_offset: batch.last,
                delivery_state: batch.state,
                delivery_count: batch.count,
            });
            let value = ShareUpdateValue {
                snapshot_epoch: state.snapshot_epoch,
                leader_epoch: state.leader_epoch,
                start_offset: state.start_offset,
                delivery_complete_count: state.delivery_complete_count,
                state_batches: batches.collect(),
            };
            let key = ShareRecordKey::from(ShareUpdateKey { group_id, topic_id, partition });
            (key.encode()?, Some(value.to_versioned_bytes(VERSION)?))
        }
        Change::Tombstone => {
            let key = ShareRecordKey::from(ShareSnapshotKey { group_id, topic_id, partition });
            (key.encode()?, None)
        }
    })
}

/// The records of a batch with their offsets. What cannot be read is left out, as Kafka does when it loads.
pub(crate) fn decode(batch: &RecordBatch) -> Vec<(i64, Record)> {
    decode_batch(batch, decode_record)
}

fn decode_record(key: &Bytes, value: Option<&Bytes>) -> Option<Record> {
    match ShareRecordKey::decode(key).ok()? {
        ShareRecordKey::ShareSnapshot(ShareSnapshotKey { group_id, topic_id, partition }) => {
            let change = match value {
                None => Change::Tombstone,
                Some(bytes) => Change::Snapshot(snapshot(bytes)?),
            };
            Some(Record { key: SharePartitionKey::new(&group_id, topic_id, partition), change })
        }
        ShareRecordKey::ShareUpdate(ShareUpdateKey { group_id, topic_id, partition }) => {
            let change = Change::Update(update(value?)?);
            Some(Record { key: SharePartitionKey::new(&group_id, topic_id, partition), change })
        }
        _ => None,
    }
}

fn snapshot(bytes: &Bytes) -> Option<ShareState> {
    let (value, _) = ShareSnapshotValue::from_versioned_bytes(bytes).ok()?;
    let batches = value.state_batches.iter().map(|batch| StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: batch.delivery_state,
        count: batch.delivery_count,
    });
    Some(ShareState {
        snapshot_epoch: value.snapshot_epoch,
        state_epoch: value.state_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: value.start_offset,
        delivery_complete_count: value.delivery_complete_count,
        create_timestamp: value.create_timestamp,
        write_timestamp: value.write_timestamp,
        batches: batches.collect(),
    })
}

fn update(bytes: &Bytes) -> Option<ShareState> {
    let (value, _) = ShareUpdateValue::from_versioned_bytes(bytes).ok()?;
    let batches = value.state_batches.iter().map(|batch| StateBatch {
        first: batch.first_offset,
        last: batch.last_offset,
        state: batch.delivery_state,
        count: batch.delivery_count,
    });
    Some(ShareState {
        snapshot_epoch: value.snapshot_epoch,
        leader_epoch: value.leader_epoch,
        start_offset: value.start_offset,
        delivery_complete_count: value.delivery_complete_count,
        batches: batches.collect(),
        ..ShareState::default()
    })
}
