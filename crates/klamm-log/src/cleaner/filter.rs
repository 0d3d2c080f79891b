//! What of a batch stays (`Cleaner.cleanInto`, `MemoryRecords.filterTo`).

use std::collections::BTreeMap;

use bytes::Bytes;
use klamm_wire::BatchHeader;
use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;
use klamm_wire::record::record::Record;

use super::offset_map::OffsetMap;
use crate::producer_state::ProducerEntry;

/// The rules of one cleaning.
pub(super) struct Filter<'a> {
    pub(super) map: &'a OffsetMap,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    pub(super) high_watermark: i64,
    pub(super) producers: &'a BTreeMap<i64, ProducerEntry>,
    /// Which records of a batch stay: room that each batch uses again.
    pub(super) kept: &'a mut Vec<bool>,
}

impl Filter<'_> {
    /// What stays of a batch; `None` when nothing does. `discard` says that its transaction was aborted, or that it is a marker
    /// which no batch needs any more.
    ///
    /// # Errors
    /// What is wrong with a batch that cannot be read or written.
    pub(super) fn filter(
        &mut self,
        batch: RecordBatch,
        discard: bool,
    ) -> Result<Option<RecordBatch>, String> {
        let header = batch.header;
        // A marker stays for `delete.retention.ms` after it became useless: readers may be between it and its records.
        let horizon_passed = header.delete_horizon_ms().is_some_and(|at| at <= self.now_ms);
        let discard_records = discard && (!header.is_control() || horizon_passed);
        // The last batch of a producer carries its sequence and epoch, the last one below the high watermark the end offset.
        let keep_empty = self.is_last_of_producer(&header) || header.next_offset() == self.high_watermark;
        if discard_records {
            return Ok(keep_empty.then(|| empty(&header)));
        }
        let records = batch.records(DECOMPRESSED_LIMIT).map_err(|error| error.to_string())?;
        self.kept.clear();
        let (mut count, mut tombstones) = (0, false);
        for record in records.iter() {
            let record = record.map_err(|error| error.to_string())?;
            let keeps = header.is_control() || self.keeps(&header, &record);
            count += usize::from(keeps);
            tombstones |= keeps && record.value.is_none();
            self.kept.push(keeps);
        }
        if count == 0 {
            return Ok(keep_empty.then(|| empty(&header)));
        }
        let needs_horizon =
            header.delete_horizon_ms().is_none() && if header.is_control() { discard } else { tombstones };
        if count == self.kept.len() && !needs_horizon {
            return Ok(Some(batch));
        }
        let mut builder = BatchBuilder::like(&header);
        if needs_horizon {
            builder = builder.delete_horizon(self.now_ms.saturating_add(self.delete_retention_ms));
        }
        for (record, _) in records.iter().zip(&*self.kept).filter(|(_, kept)| **kept) {
            let record = record.map_err(|error| error.to_string())?;
            builder.push_record(record.offset_delta, header.base_timestamp, &record);
        }
        builder.extend_to(header.last_offset_delta);
        builder.build().map(Some).map_err(|error| error.to_string())
    }

    fn keeps(&self, header: &BatchHeader, record: &Record<'_>) -> bool {
        let offset = header.base_offset.saturating_add(record.offset_delta.into());
        if offset > self.map.latest_offset() {
            return true;
        }
        let Some(key) = record.key else { return false };
        let is_last = offset >= self.map.get(key);
        let tombstone_stays = header.delete_horizon_ms().is_none_or(|at| self.now_ms < at);
        is_last && (record.value.is_some() || tombstone_stays)
    }

    fn is_last_of_producer(&self, header: &BatchHeader) -> bool {
        let Some(entry) = self.producers.get(&header.producer_id) else { return false };
        match entry.last_batch() {
            Some(last) => header.last_offset() == last.last_offset,
            None => header.is_control() && header.producer_epoch == entry.producer_epoch,
        }
    }
}

/// The batch without its records (`DefaultRecordBatch.writeEmptyHeader`).
fn empty(header: &BatchHeader) -> RecordBatch {
    let kept = BatchHeader::LOG_APPEND_TIME | BatchHeader::TRANSACTIONAL | BatchHeader::CONTROL;
    let attributes = header.attributes & kept;
    let header = BatchHeader { attributes, base_timestamp: -1, records_count: 0, ..*header };
    RecordBatch::seal(header, Bytes::new())
}
