//! An idempotent producer's sequence numbers in one partition (`TxnPartitionEntry`, KIP-360).

use super::batch::{Identity, increment};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequences {
    /// The identity that the sequences belong to.
    pub(super) identity: Option<Identity>,
    pub(super) next: i32,
    pub(super) last_acked: i32,
    /// The largest offset that was acknowledged; -1 for none.
    pub(super) last_acked_offset: i64,
    /// After batches expired whose fate is unknown: the sequence that follows the last of them.
    pub(super) unresolved: Option<i32>,
}

impl Default for Sequences {
    fn default() -> Self {
        Self { identity: None, next: 0, last_acked: -1, last_acked_offset: -1, unresolved: None }
    }
}

impl Sequences {
    /// Whether a batch with this sequence follows the last acknowledged one.
    pub(super) const fn is_next(&self, sequence: i32) -> bool {
        sequence.wrapping_sub(self.last_acked) == 1
    }

    pub(super) const fn is_next_after_unresolved(&self, sequence: i32) -> bool {
        matches!(self.unresolved, Some(next) if next == sequence)
    }

    /// Gives the next sequence to a batch of `count` records.
    pub(super) const fn take(&mut self, count: i32) -> i32 {
        let sequence = self.next;
        self.next = increment(sequence, count);
        sequence
    }

    pub(super) fn acked(&mut self, last_sequence: i32, last_offset: i64) {
        self.last_acked = self.last_acked.max(last_sequence);
        self.last_acked_offset = self.last_acked_offset.max(last_offset);
    }

    pub(super) fn mark_unresolved(&mut self, last_sequence: i32) {
        let next = last_sequence.wrapping_add(1);
        self.unresolved = Some(self.unresolved.map_or(next, |before| before.max(next)));
    }
}
