//! A node's own pace through the metadata log (`MetadataLoader`, `BrokerMetadataPublisher`).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use klamm_node::NodeId;
use klamm_wire::record::batch::{BatchIter, RecordBatch};

use crate::delta::MetadataDelta;
use crate::image::{MetadataImage, Provenance};
use crate::record::{MetadataError, MetadataRecord};

/// The most bytes that one batch may decompress to. Kafka's controller writes batches of at most 8 MiB.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Folds committed records into an image, in order, and hands out what changed when its node asks.
///
/// Records between a BeginTransactionRecord and its end are held back until the end, and dropped if it is an abort
/// (KIP-868).
#[derive(Debug, Clone, Default)]
pub struct MetadataPublisher {
    image: MetadataImage,
    delta: MetadataDelta,
    /// The records of the open metadata transaction.
    transaction: Option<Vec<MetadataRecord>>,
    next_offset: i64,
    register_offsets: BTreeMap<NodeId, i64>,
}

impl MetadataPublisher {
    /// A publisher that starts at the beginning of the log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The image that every loaded record is part of.
    pub const fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The offset of the next record to load. A broker's lag behind the controller is counted from here.
    pub const fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Folds in the record at `offset`, written in leader epoch `epoch`. Offsets already loaded are skipped.
    pub fn load(&mut self, offset: i64, epoch: i32, record: MetadataRecord) -> Result<(), MetadataError> {
        if offset < self.next_offset {
            return Ok(());
        }
        if let MetadataRecord::RegisterBroker(registration) = &record {
            self.register_offsets.insert(NodeId(registration.broker_id), offset);
        }
        match (&mut self.transaction, record) {
            (None, MetadataRecord::BeginTransaction(_)) => self.transaction = Some(Vec::new()),
            (Some(_), MetadataRecord::EndTransaction(_)) => {
                for record in self.transaction.take().unwrap_or_default() {
                    self.image.apply(&record, &mut self.delta)?;
                }
            }
            (Some(_), MetadataRecord::AbortTransaction(_)) => self.transaction = None,
            (Some(held), record) => held.push(record),
            (None, record) => self.image.apply(&record, &mut self.delta)?,
        }
        self.skip(offset, epoch);
        Ok(())
    }

    /// Folds in every batch of `records` that lies wholly below `high_watermark`, as a fetch from the log brings them;
    /// what is not committed yet is left for another time, and offsets already loaded are skipped.
    pub fn load_records(&mut self, records: &[Bytes], high_watermark: i64) -> Result<(), MetadataError> {
        for batch in BatchIter::new(join(records)) {
            let batch = batch.map_err(|error| MetadataError::Malformed(error.to_string()))?;
            if batch.header.next_offset() > high_watermark {
                break;
            }
            self.load_batch(&batch)?;
        }
        Ok(())
    }

    /// Folds in one batch.
    pub fn load_batch(&mut self, batch: &RecordBatch) -> Result<(), MetadataError> {
        let header = &batch.header;
        if header.last_offset() < self.next_offset {
            return Ok(());
        }
        let malformed = |error: &dyn std::fmt::Display| MetadataError::Malformed(error.to_string());
        if !header.is_control() {
            let records = batch.records(MAX_BATCH_BYTES).map_err(|error| malformed(&error))?;
            for record in &records {
                let record = record.map_err(|error| malformed(&error))?;
                let offset = header.base_offset + i64::from(record.offset_delta);
                let value = record.value.ok_or_else(|| malformed(&"a record without a value"))?;
                let value = records.bytes().slice_ref(value);
                let (record, _) = MetadataRecord::decode(&value).map_err(|error| malformed(&error))?;
                self.load(offset, header.partition_leader_epoch, record)?;
            }
        }
        self.skip(header.last_offset(), header.partition_leader_epoch);
        Ok(())
    }

    /// The offset of each broker's latest registration, of brokers since unregistered too.
    pub const fn register_offsets(&self) -> &BTreeMap<NodeId, i64> {
        &self.register_offsets
    }

    /// Whether the log ends within a metadata transaction.
    pub const fn has_open_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Ends the publisher; its image goes to whoever replays records itself.
    pub fn into_image(self) -> MetadataImage {
        self.image
    }

    /// Passes over an offset without a record of ours, such as a control record of the quorum.
    pub fn skip(&mut self, offset: i64, epoch: i32) {
        if offset >= self.next_offset {
            self.next_offset = offset + 1;
            self.image.provenance = Provenance { last_contained_offset: offset, last_contained_epoch: epoch };
        }
    }

    /// What changed since this was last called; `None` when nothing did.
    pub fn publish(&mut self) -> Option<MetadataDelta> {
        if self.delta.is_empty() { None } else { Some(std::mem::take(&mut self.delta)) }
    }
}

/// Slices of a log as one. They are small beside what they change, so joining them costs nothing that matters.
fn join(slices: &[Bytes]) -> Bytes {
    if let [only] = slices {
        return only.clone();
    }
    let mut joined = BytesMut::with_capacity(slices.iter().map(Bytes::len).sum());
    for slice in slices {
        joined.extend_from_slice(slice);
    }
    joined.freeze()
}
