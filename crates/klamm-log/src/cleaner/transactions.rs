//! Which batches belong to aborted transactions, and which markers are needed no more (`CleanedTransactionMetadata`).

use std::collections::{BTreeMap, BTreeSet};

use klamm_wire::BatchHeader;
use klamm_wire::record::batch::RecordBatch;
use klamm_wire::record::control::ControlType;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;

use crate::log::AbortedTxn;

/// What a pass over a log knows of its transactions so far.
#[derive(Debug, Clone, Default)]
pub(super) struct CleanedTransactions {
    /// Aborted transactions that have not begun yet, by first offset and producer.
    ahead: BTreeMap<(i64, i64), AbortedTxn>,
    /// By producer; whether a batch of it was seen.
    aborted: BTreeMap<i64, (AbortedTxn, bool)>,
    /// Producers with a batch of a transaction that was, or will be, committed.
    committed: BTreeSet<i64>,
}

impl CleanedTransactions {
    pub(super) fn add(&mut self, aborted: Vec<AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| ((txn.first_offset, txn.producer_id), txn)));
    }

    fn begin_up_to(&mut self, offset: i64) {
        while let Some(entry) = self.ahead.first_entry()
            && entry.key().0 <= offset
        {
            let txn = entry.remove();
            self.aborted.entry(txn.producer_id).or_insert((txn, false));
        }
    }

    /// Takes a data batch in; true when its transaction was aborted.
    pub(super) fn on_batch(&mut self, header: &BatchHeader) -> bool {
        self.begin_up_to(header.last_offset());
        if !header.is_transactional() {
            return false;
        }
        if let Some((_, seen)) = self.aborted.get_mut(&header.producer_id) {
            *seen = true;
            return true;
        }
        self.committed.insert(header.producer_id);
        false
    }

    /// Takes a control batch in: whether the marker is needed no more, and the aborted transaction that it ends and some batch
    /// of which is still there.
    pub(super) fn on_marker(&mut self, batch: &RecordBatch) -> (bool, Option<AbortedTxn>) {
        self.begin_up_to(batch.header.last_offset());
        let producer = batch.header.producer_id;
        let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { return (false, None) };
        let Some(record) = records.iter().next() else { return (true, None) };
        match record.ok().and_then(|r| r.key).and_then(ControlType::from_key) {
            Some(ControlType::Abort) => match self.aborted.remove(&producer) {
                Some((txn, true)) => (false, Some(txn)),
                _ => (true, None),
            },
            Some(ControlType::Commit) => (!self.committed.remove(&producer), None),
            _ => (false, None),
        }
    }
}
