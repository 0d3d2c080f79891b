//! What the records of all coordinators have in common: a key and a value, each behind a version, read a batch at a time (`CoordinatorRecordSerde`,
//! `CoordinatorLoaderImpl`).

use bytes::Bytes;
use klamm_wire::RecordBatch;
use klamm_wire::internal::{Schema, SchemaError};

/// What a batch of records may expand to when it is read back, in bytes.
const MAX_BATCH_SIZE: usize = 256 * 1024 * 1024;

/// The records of a batch with their offsets. What `read` makes nothing of (another kind of record, a newer version) is left out, as are
/// markers: so does Kafka when it loads.
pub(crate) fn decode_batch<T>(
    batch: &RecordBatch,
    read: impl Fn(&Bytes, Option<&Bytes>) -> Option<T>,
) -> Vec<(i64, T)> {
    if batch.header.is_control() {
        return Vec::new();
    }
    let Ok(records) = batch.records(MAX_BATCH_SIZE) else { return Vec::new() };
    let bytes = records.bytes();
    let mut decoded = Vec::new();
    for record in &records {
        let Ok(record) = record else { break };
        let Some(key) = record.key else { continue };
        let value = record.value.map(|value| bytes.slice_ref(value));
        if let Some(known) = read(&bytes.slice_ref(key), value.as_ref()) {
            decoded.push((batch.header.base_offset + i64::from(record.offset_delta), known));
        }
    }
    decoded
}

/// A value in version 0; a tombstone stays one.
///
/// # Errors
/// When a field is too long for its schema.
pub(crate) fn write_value<T: Schema>(value: Option<T>) -> Result<Option<Bytes>, SchemaError> {
    value.map(|value| value.to_versioned_bytes(0)).transpose()
}

/// A value of any version that its schema knows; a tombstone stays one. `None` for what cannot be read.
pub(crate) fn read_value<T: Schema>(value: Option<&Bytes>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(bytes) => T::from_versioned_bytes(bytes).ok().map(|(value, _)| Some(value)),
    }
}
