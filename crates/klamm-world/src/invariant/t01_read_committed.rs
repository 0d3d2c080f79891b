//! T1, T2 and T12: what a consumer that reads what is committed is shown.

use klamm_node::NodeId;
use klamm_wire::FetchPartition;
use klamm_wire::messages::fetch_response::AbortedTransaction;
use klamm_wire::record::batch::BatchIter;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};
use super::transactions::Fate;
use crate::client::aborted::Aborted;

pub(super) const T1: Invariant = Invariant {
    id: "T1",
    name: "NoAbortedRead",
    statement: "a read_committed consumer is shown no record of an aborted transaction, and every one of a committed one",
    when: When::Event,
};

pub(super) const T2: Invariant = Invariant {
    id: "T2",
    name: "OnlyStableRead",
    statement: "a read_committed fetch returns only what lies below the last stable offset, and nothing of a transaction that is not decided",
    when: When::Event,
};

pub(super) const T12: Invariant = Invariant {
    id: "T12",
    name: "AbortedTransactionsTold",
    statement: "a read_committed fetch names every aborted transaction that has records among what it returns",
    when: When::Event,
};

/// A broker answers a read_committed fetch.
pub(super) fn shown(partition: &Partition, node: NodeId, answer: &FetchPartition, report: &mut Report) {
    let told = answer.aborted_transactions.clone().unwrap_or_default();
    let mut filter = Aborted::new(told.clone());
    let (mut from, mut to) = (None, 0);
    let mut data = Vec::new();
    for batch in BatchIter::new(answer.records.concat().into()).flatten() {
        let header = &batch.header;
        from.get_or_insert(header.base_offset);
        to = header.next_offset();
        if header.next_offset() > answer.last_stable_offset {
            let what = format!(
                "{node} shows offset {}, and says that {} is the last stable offset",
                header.last_offset(),
                answer.last_stable_offset
            );
            report.violation(T2, &partition.name, what);
        }
        let hidden = filter.hides(&batch).unwrap_or(false);
        if header.is_control() || !header.is_transactional() {
            continue;
        }
        data.push((header.producer_id, header.base_offset));
        let what = |fate: &str| {
            let (pid, epoch) = (header.producer_id, header.producer_epoch);
            format!(
                "{node} shows offset {} of {pid}:{epoch}, whose transaction is {fate} (last stable offset {}, high watermark {})",
                header.base_offset, answer.last_stable_offset, answer.high_watermark
            )
        };
        match partition.txns.fate(header.producer_id, header.base_offset) {
            // Its marker may be in this log, above the high watermark.
            Some(Fate::Open) => {
                let replica = partition.replicas.get(&node);
                if !replica.is_some_and(|it| it.forgot_undecided(header.producer_id, header.base_offset)) {
                    report.violation(T2, &partition.name, what("open"));
                }
            }
            Some(Fate::Aborted) if !hidden => report.violation(T1, &partition.name, what("aborted")),
            Some(Fate::Committed) if hidden => {
                report.violation(T1, &partition.name, what("committed, as part of an aborted one"));
            }
            _ => {}
        }
    }
    let Some(from) = from else { return };
    for done in partition.txns.aborted(from, to) {
        // Compaction drops aborted records, and with the last of them the transaction from the index.
        let of_it =
            |(id, base): &&(i64, i64)| *id == done.producer_id && (done.first..done.marker).contains(base);
        let Some(first_shown) = data.iter().filter(of_it).map(|(_, base)| *base).min() else { continue };
        // A segment that is recovered has its index made anew of what compaction left (`LogSegment.recover`): the transaction begins there with the first
        // of its records that is still to be hidden.
        let latest = if partition.is_compacted() { first_shown } else { done.first };
        let named = |told: &AbortedTransaction| {
            told.producer_id.0 == done.producer_id && (done.first..=latest).contains(&told.first_offset)
        };
        if !told.iter().any(named) {
            let what = format!(
                "{node} shows offsets {from} to {to} and does not name the transaction of producer {} that was aborted at {}",
                done.producer_id, done.marker
            );
            report.violation(T12, &partition.name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, entry, found, healthy, of};
    use crate::invariant::mirror::Entry;
    use crate::invariant::transactions::{Done, Open};
    use klamm_wire::ErrorCode;
    use klamm_wire::messages::ProducerId;
    use klamm_wire::record::builder::BatchBuilder;
    use klamm_wire::record::control::EndTxnMarker;

    /// A record of producer 7 at 5, and its marker at 6.
    fn answer(commit: bool, named: bool) -> FetchPartition {
        let mut builder = BatchBuilder::new().base_offset(5).producer(7, 0, 0).transactional();
        builder.push(0, None, Some(b"v"), &[]);
        let record = builder.build().expect("uncompressed").to_bytes();
        let marker = EndTxnMarker { committed: commit, coordinator_epoch: 0 }.batch(7, 0, 0);
        let marker = marker.stamped(6, 0).to_bytes();
        let aborted = AbortedTransaction::default().with_producer_id(ProducerId(7)).with_first_offset(5);
        FetchPartition {
            last_stable_offset: 7,
            high_watermark: 7,
            aborted_transactions: Some(if named { vec![aborted] } else { Vec::new() }),
            records: vec![record, marker],
            ..FetchPartition::error(0, ErrorCode::None)
        }
    }

    fn shows(commit: Option<bool>, answer: &FetchPartition) -> Vec<&'static str> {
        let mut partition = healthy();
        match commit {
            Some(commit) => {
                partition.txns.done.push(Done { producer_id: 7, first: 5, marker: 6, commit });
            }
            None => {
                let open = Open { first: 5, epoch: 0, tag: None, records: 1, read: Vec::new() };
                partition.txns.open.insert(7, open);
            }
        }
        found(|report| shown(&partition, LEADER, answer, report))
    }

    #[test]
    fn what_was_aborted_and_is_shown_is_found() {
        assert!(shows(Some(true), &answer(true, false)).is_empty());
        assert!(shows(Some(false), &answer(false, true)).is_empty());
        assert_eq!(shows(Some(false), &answer(false, false)), ["T1", "T12"]);
        assert_eq!(shows(Some(true), &answer(true, true)), ["T1"], "hidden, and committed");
    }

    #[test]
    fn what_compaction_left_of_an_aborted_transaction_may_be_told_from_there_on() {
        let mut partition = healthy();
        partition.txns.done.push(Done { producer_id: 7, first: 3, marker: 6, commit: false });
        let told = answer(false, true);
        assert_eq!(found(|report| shown(&partition, LEADER, &told, report)), ["T12"], "it begins at 3");
        of(&mut partition, LEADER).view.compacted = true;
        assert!(found(|report| shown(&partition, LEADER, &told, report)).is_empty());
    }

    #[test]
    fn what_is_not_decided_and_is_shown_is_found() {
        assert_eq!(shows(None, &answer(true, false)), ["T2"]);
        let past = FetchPartition { last_stable_offset: 5, ..answer(true, false) };
        assert_eq!(shows(Some(true), &past), ["T2"]);
    }

    #[test]
    fn what_was_decided_before_a_restart_counts_as_decided() {
        let mut partition = healthy();
        let open = Open { first: 5, epoch: 0, tag: None, records: 1, read: Vec::new() };
        partition.txns.open.insert(7, open);
        let marker = Entry { producer_id: 7, control: true, transactional: true, ..entry(10, 10, 0) };
        of(&mut partition, LEADER).log.push(marker);
        let mut shows = |reloaded| {
            of(&mut partition, LEADER).reloaded = Some(reloaded);
            found(|report| shown(&partition, LEADER, &answer(true, false), report))
        };
        assert!(shows(11).is_empty());
        assert_eq!(shows(10), ["T2"], "the marker came after it");
    }
}
