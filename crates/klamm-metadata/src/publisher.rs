//! A node's own pace through the metadata log (`MetadataLoader`, `BrokerMetadataPublisher`).

use crate::delta::MetadataDelta;
use crate::image::{MetadataImage, Provenance};
use crate::record::{MetadataError, MetadataRecord};

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
