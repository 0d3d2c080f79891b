//! What proves that a transaction's first records in a partition are known to its coordinator (`VerificationStateEntry`,
//! `VerificationGuard`, KIP-890).

use std::collections::BTreeMap;

/// Stands for one question to a transaction coordinator. A producer's records are let in with the guard of the question that
/// still stands: a marker in between ends it, so that an answer of before cannot begin a transaction after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

/// A question that stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VerificationEntry {
    /// When it was first asked, in milliseconds.
    timestamp: i64,
    guard: VerificationGuard,
    /// Whether the producer takes a new epoch with every transaction (`transaction.version` 2).
    pub(crate) bumps_epoch: bool,
    /// The lowest sequence of this epoch that wanted in: none above it may go first.
    pub(crate) lowest_sequence: i32,
    pub(crate) epoch: i16,
}

/// The questions that stand, by producer id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verifications {
    entries: BTreeMap<i64, VerificationEntry>,
    /// Guards are never given twice.
    next: u64,
}

impl Verifications {
    pub(crate) fn get(&self, producer_id: i64) -> Option<&VerificationEntry> {
        self.entries.get(&producer_id)
    }

    /// The guard of a producer's question, which is a new one if none stands.
    pub(crate) fn ask(
        &mut self,
        producer_id: i64,
        sequence: i32,
        epoch: i16,
        bumps_epoch: bool,
        now_ms: i64,
    ) -> VerificationGuard {
        let next = &mut self.next;
        let entry = self.entries.entry(producer_id).or_insert_with(|| {
            *next += 1;
            let guard = VerificationGuard(*next);
            VerificationEntry { timestamp: now_ms, guard, bumps_epoch, lowest_sequence: sequence, epoch }
        });
        if epoch == entry.epoch {
            entry.lowest_sequence = entry.lowest_sequence.min(sequence);
        } else if epoch > entry.epoch {
            entry.epoch = epoch;
            entry.lowest_sequence = sequence;
        }
        entry.guard
    }

    /// Whether a guard is that of the question that stands.
    pub(crate) fn holds(&self, producer_id: i64, guard: Option<VerificationGuard>) -> bool {
        guard.is_some() && self.entries.get(&producer_id).map(|entry| entry.guard) == guard
    }

    /// A transactional batch is in the log: the transaction has begun, or its marker has ended it. Only the marker of the
    /// transaction before leaves the question of the next one standing, which an epoch of its own tells apart.
    pub(crate) fn settle(&mut self, producer_id: i64, epoch: i16, is_marker: bool) {
        let is_of_next = |entry: &VerificationEntry| entry.bumps_epoch && is_marker && entry.epoch == epoch;
        if self.entries.get(&producer_id).is_some_and(|entry| !is_of_next(entry)) {
            self.entries.remove(&producer_id);
        }
    }

    /// When the oldest question was asked, in milliseconds.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.entries.values().map(|entry| entry.timestamp).min()
    }

    pub(crate) fn expire(&mut self, now_ms: i64, expiration_ms: i64) {
        self.entries.retain(|_, entry| now_ms.saturating_sub(entry.timestamp) < expiration_ms);
    }
}
