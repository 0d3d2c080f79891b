//! T4 and T10: a transaction ends in one way everywhere, and is what its producer sent in it.

use std::collections::{BTreeMap, BTreeSet};

use klamm_node::TopicPartition;

use super::mirror::Entry;
use super::report::{Invariant, Report, When};
use super::transactions::{Open, Tag};
use crate::client::{TransactionOutcome, TransactionalReport};

pub(super) const T4: Invariant = Invariant {
    id: "T4",
    name: "AtomicDecision",
    statement: "all partitions of a transaction carry the same kind of marker, which is what its producer was told; no other partition carries one",
    when: When::Event,
};

pub(super) const T10: Invariant = Invariant {
    id: "T10",
    name: "NoTornTransaction",
    statement: "every record belongs to the transaction in which its producer sent it, and a committed transaction has all of its records",
    when: When::Event,
};

/// The transactions of simulated clients.
#[derive(Debug, Clone, Default)]
pub(super) struct Tags {
    fates: BTreeMap<Tag, Fate>,
    /// Transactions of which records were deleted before they could be counted, or are open in the end.
    uncounted: BTreeSet<Tag>,
    /// Transactions that ended in both ways because one of their decisions was lost.
    torn: BTreeSet<Tag>,
}

#[derive(Debug, Clone, Copy)]
struct Fate {
    commit: bool,
    records: u64,
}

impl Tags {
    /// Records of a transaction are gone, or not decided where they are: how many are committed is not known.
    pub(super) fn uncounted(&mut self, tag: Tag) {
        self.uncounted.insert(tag);
    }

    /// A batch was committed into what is open of its producer.
    pub(super) fn written(
        &self,
        partition: &TopicPartition,
        open: &mut Open,
        entry: &Entry,
        tag: Tag,
        report: &mut Report,
    ) {
        let (client, number) = tag;
        let what =
            |how: String| format!("offset {} of transaction {number} of client {client} {how}", entry.base);
        if open.tag.is_some_and(|of| of != tag) {
            let of = open.tag.unwrap_or_default();
            report.violation(T10, partition, what(format!("is in transaction {} of client {}", of.1, of.0)));
        } else if open.epoch != entry.producer_epoch {
            let how = format!("has epoch {}, its transaction {}", entry.producer_epoch, open.epoch);
            report.violation(T10, partition, what(how));
        } else if open.tag.is_none() && open.first != entry.base {
            report.violation(T10, partition, what("is in a transaction of others".to_owned()));
        }
        open.tag = Some(tag);
    }

    /// A marker ended what was open. `in_doubt`: whether its coordinators may have decided it in both ways.
    pub(super) fn ended(
        &mut self,
        partition: &TopicPartition,
        open: &Open,
        commit: bool,
        in_doubt: bool,
        report: &mut Report,
    ) {
        let Some(tag) = open.tag else { return };
        let fate = self.fates.entry(tag).or_insert(Fate { commit, records: 0 });
        fate.records += open.records;
        if fate.commit != commit && in_doubt {
            self.torn.insert(tag);
        } else if fate.commit != commit {
            let how = |commit| if commit { "committed" } else { "aborted" };
            let what = format!(
                "transaction {} of client {} is {} here and {} elsewhere",
                tag.1,
                tag.0,
                how(commit),
                how(fate.commit)
            );
            report.violation(T4, partition, what);
        }
    }

    /// What a producer believes of its transactions, once all is decided.
    pub(super) fn told(&self, client: u32, told: &TransactionalReport, report: &mut Report) {
        for (number, outcome) in &told.outcomes {
            let tag = (client, *number);
            if self.torn.contains(&tag) {
                continue;
            }
            let is = self.fates.get(&tag);
            let subject = format!("client {client}");
            let commit = is.map(|fate| fate.commit);
            match (outcome, is) {
                (TransactionOutcome::Aborted, Some(Fate { commit: true, .. })) => {
                    let what = format!("transaction {number} is committed, and nobody asked for that");
                    report.violation(T4, &subject, what);
                }
                (TransactionOutcome::Committed { .. }, None) if self.uncounted.contains(&tag) => {}
                (TransactionOutcome::Committed { .. }, None | Some(Fate { commit: false, .. })) => {
                    let is = if commit.is_some() { "aborted" } else { "nowhere" };
                    let what = format!(
                        "transaction {number} is {is}, and its producer was told that it is committed"
                    );
                    report.violation(T4, &subject, what);
                }
                (
                    TransactionOutcome::Committed { records } | TransactionOutcome::Unknown { records },
                    Some(Fate { commit: true, records: there }),
                ) if records < there || records > there && !self.uncounted.contains(&tag) => {
                    let what =
                        format!("{there} of the {records} records of transaction {number} are committed");
                    report.violation(T10, &subject, what);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{entry, found};

    fn open() -> Open {
        Open { first: 5, epoch: 3, tag: Some((1, 4)), records: 2, read: Vec::new() }
    }

    fn here() -> TopicPartition {
        TopicPartition::new("t", 0)
    }

    #[test]
    fn a_transaction_that_ends_in_two_ways_is_found() {
        let mut tags = Tags::default();
        assert!(found(|report| tags.ended(&here(), &open(), true, false, report)).is_empty());
        assert!(found(|report| tags.ended(&here(), &open(), true, false, report)).is_empty());
        assert_eq!(found(|report| tags.ended(&here(), &open(), false, false, report)), ["T4"]);
    }

    #[test]
    fn what_lost_its_decision_may_end_in_two_ways() {
        let mut tags = Tags::default();
        assert!(found(|report| tags.ended(&here(), &open(), false, false, report)).is_empty());
        assert!(found(|report| tags.ended(&here(), &open(), true, true, report)).is_empty());
        let outcomes = [(4, TransactionOutcome::Committed { records: 4 })].into();
        let told = TransactionalReport { outcomes, fenced: 0, expired: 0 };
        assert!(found(|report| tags.told(1, &told, report)).is_empty());
        assert_eq!(found(|report| tags.ended(&here(), &open(), true, false, report)), ["T4"]);
    }

    #[test]
    fn records_in_another_transaction_are_found() {
        let batch = Entry { producer_id: 7, producer_epoch: 3, transactional: true, ..entry(7, 7, 0) };
        let write = |batch: &Entry, tag| {
            found(|report| Tags::default().written(&here(), &mut open(), batch, tag, report))
        };
        assert!(write(&batch, (1, 4)).is_empty());
        assert_eq!(write(&batch, (1, 5)), ["T10"]);
        assert_eq!(write(&batch, (2, 4)), ["T10"]);
        assert_eq!(write(&Entry { producer_epoch: 4, ..batch }, (1, 4)), ["T10"]);
    }

    #[test]
    fn what_a_producer_was_not_told_is_found() {
        let mut tags = Tags::default();
        tags.ended(&here(), &open(), true, false, &mut Report::default());
        tags.ended(&here(), &Open { tag: Some((1, 5)), ..open() }, false, false, &mut Report::default());
        let told = |number, outcome| {
            let report = TransactionalReport { outcomes: [(number, outcome)].into(), fenced: 0, expired: 0 };
            found(|found| tags.told(1, &report, found))
        };
        use TransactionOutcome as O;
        assert!(
            told(4, O::Committed { records: 2 }).is_empty() && told(4, O::Unknown { records: 2 }).is_empty()
        );
        assert!(told(5, O::Aborted).is_empty() && told(6, O::Aborted).is_empty());
        assert_eq!(told(4, O::Aborted), ["T4"]);
        assert_eq!(told(4, O::Committed { records: 3 }), ["T10"]);
        assert_eq!(told(5, O::Committed { records: 2 }), ["T4"]);
        assert_eq!(told(6, O::Committed { records: 2 }), ["T4"]);
    }

    #[test]
    fn more_records_than_were_sent_are_found_even_if_some_were_deleted() {
        let mut tags = Tags::default();
        tags.ended(&here(), &open(), true, false, &mut Report::default());
        tags.uncounted((1, 4));
        let told = |records| {
            let outcomes = [(4, TransactionOutcome::Committed { records })].into();
            found(|found| tags.told(1, &TransactionalReport { outcomes, fenced: 0, expired: 0 }, found))
        };
        assert!(told(2).is_empty() && told(3).is_empty());
        assert_eq!(told(1), ["T10"]);
    }
}
