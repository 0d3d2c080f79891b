//! How a consumer that reads what is committed keeps aborted transactions from its reader (`CompletedFetch`).

use std::collections::{BTreeSet, VecDeque};

use klamm_wire::RecordBatch;
use klamm_wire::messages::fetch_response::AbortedTransaction;
use klamm_wire::record::control::ControlType;

/// What a client decompresses a batch to at most.
const LIMIT: usize = 64 << 20;

/// Which producers' batches belong to transactions that were aborted, as one fetch's answer says.
#[derive(Debug, Clone)]
pub(crate) struct Aborted {
    to_come: VecDeque<AbortedTransaction>,
    open: BTreeSet<i64>,
}

impl Aborted {
    /// A filter for an answer that names these.
    pub(crate) fn new(mut transactions: Vec<AbortedTransaction>) -> Self {
        transactions.sort_by_key(|transaction| transaction.first_offset);
        Self { to_come: transactions.into(), open: BTreeSet::new() }
    }

    /// Whether a batch is part of an aborted transaction, or no data at all. Batches must come in order.
    pub(crate) fn hides(&mut self, batch: &RecordBatch) -> Result<bool, String> {
        let header = &batch.header;
        while let Some(next) = self.to_come.pop_front_if(|next| next.first_offset <= header.last_offset()) {
            self.open.insert(next.producer_id.0);
        }
        if header.is_control() {
            let records = batch.records(LIMIT).map_err(|error| error.to_string())?;
            let first = records.iter().next().transpose().map_err(|error| error.to_string())?;
            let kind = first.and_then(|record| ControlType::from_key(record.key?));
            if kind == Some(ControlType::Abort) {
                self.open.remove(&header.producer_id);
            }
            return Ok(true);
        }
        Ok(header.is_transactional() && self.open.contains(&header.producer_id))
    }
}
