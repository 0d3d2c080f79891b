//! What is known of one producer (`ProducerStateEntry`).

use super::ProducerBatch;

/// How many batches of a producer are remembered: a client has at most as many requests in flight.
const BATCHES: usize = 5;

/// A batch that was appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct BatchMetadata {
    pub(crate) last_sequence: i32,
    pub(crate) last_offset: i64,
    pub(crate) offset_delta: i32,
    pub(crate) timestamp: i64,
}

impl BatchMetadata {
    /// Sequences wrap from `i32::MAX` to 0.
    const fn first_sequence(&self) -> i32 {
        let first = self.last_sequence as i64 - self.offset_delta as i64;
        if first >= 0 { first as i32 } else { (first + i32::MAX as i64 + 1) as i32 }
    }

    pub(crate) const fn first_offset(&self) -> i64 {
        self.last_offset - self.offset_delta as i64
    }
}

/// What is known of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProducerEntry {
    /// -1 for a producer that is not known.
    pub(crate) producer_epoch: i16,
    pub(crate) coordinator_epoch: i32,
    pub(crate) last_timestamp: i64,
    pub(crate) current_txn_first_offset: Option<i64>,
    batches: [BatchMetadata; BATCHES],
    count: u8,
}

impl Default for ProducerEntry {
    fn default() -> Self {
        Self {
            producer_epoch: -1,
            coordinator_epoch: -1,
            last_timestamp: -1,
            current_txn_first_offset: None,
            batches: [BatchMetadata::default(); BATCHES],
            count: 0,
        }
    }
}

impl ProducerEntry {
    /// The remembered batches, oldest first.
    pub(crate) fn batches(&self) -> &[BatchMetadata] {
        &self.batches[..usize::from(self.count)]
    }

    pub(crate) fn last_batch(&self) -> Option<&BatchMetadata> {
        self.batches().last()
    }

    /// -1 when no batch is remembered.
    pub(crate) fn last_sequence(&self) -> i32 {
        self.last_batch().map_or(-1, |b| b.last_sequence)
    }

    pub(crate) fn find(&self, first_sequence: i32, last_sequence: i32) -> Option<BatchMetadata> {
        let same =
            |b: &&BatchMetadata| b.last_sequence == last_sequence && b.first_sequence() == first_sequence;
        self.batches().iter().find(same).copied()
    }

    pub(crate) fn add(&mut self, batch: &ProducerBatch) {
        self.add_metadata(
            batch.producer_epoch,
            BatchMetadata {
                last_sequence: batch.last_sequence,
                last_offset: batch.last_offset,
                offset_delta: (batch.last_offset - batch.first_offset) as i32,
                timestamp: batch.max_timestamp,
            },
        );
        self.last_timestamp = batch.max_timestamp;
    }

    pub(crate) fn add_metadata(&mut self, producer_epoch: i16, batch: BatchMetadata) {
        self.set_epoch(producer_epoch);
        if usize::from(self.count) == BATCHES {
            self.batches.copy_within(1.., 0);
            self.count -= 1;
        }
        self.batches[usize::from(self.count)] = batch;
        self.count += 1;
    }

    pub(crate) const fn end_txn(&mut self, producer_epoch: i16, coordinator_epoch: i32, timestamp: i64) {
        self.set_epoch(producer_epoch);
        self.coordinator_epoch = coordinator_epoch;
        self.current_txn_first_offset = None;
        self.last_timestamp = timestamp;
    }

    /// A new epoch begins with new sequences.
    const fn set_epoch(&mut self, producer_epoch: i16) {
        if self.producer_epoch != producer_epoch {
            self.count = 0;
            self.producer_epoch = producer_epoch;
        }
    }

    pub(crate) const fn is_expired(&self, now_ms: i64, expiration_ms: i64) -> bool {
        self.current_txn_first_offset.is_none() && now_ms.saturating_sub(self.last_timestamp) >= expiration_ms
    }
}
