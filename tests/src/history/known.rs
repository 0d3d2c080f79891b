//! What follows from a history: the sends, the transactions and the reads, put together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::event::{End, Event, History, Outcome};

/// A history, put together.
pub(super) struct Known<'a> {
    pub(super) history: &'a History,
    /// The sends, by value.
    pub(super) sends: BTreeMap<u64, Send<'a>>,
    /// The transactions, by name.
    pub(super) transactions: BTreeMap<&'a str, Transaction>,
    /// Every record that was polled, in order.
    pub(super) reads: Vec<Read<'a>>,
    /// Where each value was seen, by whichever client.
    pub(super) places: BTreeMap<u64, BTreeSet<(&'a str, i64)>>,
    /// Which values a `read_committed` consumer saw.
    pub(super) seen_committed: BTreeSet<u64>,
    /// For each partition, up to where (exclusive) somebody who only sees what is committed has read.
    pub(super) read_up_to: BTreeMap<&'a str, i64>,
    /// The partitions that were read to their ends when all was over, and those ends.
    pub(super) ends: BTreeMap<&'a str, i64>,
    producers: BTreeMap<&'a str, Producer>,
    committed_readers: BTreeSet<&'a str>,
}

/// One send.
pub(super) struct Send<'a> {
    pub(super) who: &'a str,
    pub(super) to: &'a str,
    pub(super) transaction: Option<&'a str>,
    /// Which of all lines it is.
    pub(super) at: usize,
    pub(super) outcome: Outcome,
}

/// One transaction.
pub(super) struct Transaction {
    /// What was sent in it.
    pub(super) values: Vec<u64>,
    /// The line that asks to commit it.
    pub(super) asked_to_commit: Option<usize>,
    /// How it ended; `None` while nobody was told.
    end: Option<End>,
}

impl Transaction {
    /// How it ended. Nobody commits what was never asked to commit.
    pub(super) fn end(&self) -> End {
        match self.end {
            Some(End::Aborted) => End::Aborted,
            _ if self.asked_to_commit.is_none() => End::Aborted,
            Some(End::Committed) => End::Committed,
            Some(End::Unknown) | None => End::Unknown,
        }
    }
}

/// One record that was polled.
pub(super) struct Read<'a> {
    pub(super) who: &'a str,
    pub(super) read_committed: bool,
    pub(super) partition: &'a str,
    pub(super) offset: i64,
    pub(super) value: u64,
    /// Which of all lines it is in.
    pub(super) at: usize,
}

#[derive(Clone, Copy)]
struct Producer {
    acks_all: bool,
    idempotent: bool,
}

/// What is known of whether a value is there to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    Aborted,
    Unknown,
}

impl<'a> Known<'a> {
    pub(super) fn new(history: &'a History) -> Self {
        let mut known = Self {
            history,
            sends: BTreeMap::new(),
            transactions: BTreeMap::new(),
            reads: Vec::new(),
            places: BTreeMap::new(),
            seen_committed: BTreeSet::new(),
            read_up_to: BTreeMap::new(),
            ends: BTreeMap::new(),
            producers: BTreeMap::new(),
            committed_readers: BTreeSet::new(),
        };
        for (at, event) in history.events.iter().enumerate() {
            known.learn(at, event);
        }
        known
    }

    fn learn(&mut self, at: usize, event: &'a Event) {
        match event {
            Event::Producer { who, acks_all, idempotent } => {
                let producer = Producer { acks_all: *acks_all, idempotent: *idempotent };
                self.producers.insert(who, producer);
            }
            Event::Consumer { who, read_committed: true } => {
                self.committed_readers.insert(who);
            }
            Event::Consumer { .. } | Event::Moved { .. } => {}
            Event::Send { who, value, to, transaction } => {
                let transaction = transaction.as_deref();
                let send = Send { who, to, transaction, at, outcome: Outcome::Unknown };
                self.sends.insert(*value, send);
                if let Some(name) = transaction {
                    self.transaction(name).values.push(*value);
                }
            }
            Event::Sent { value, outcome } => {
                let Some(send) = self.sends.get_mut(value) else { return };
                send.outcome = *outcome;
                if let Outcome::Acked { offset: Some(offset) } = outcome {
                    let place = (send.to, *offset);
                    self.places.entry(*value).or_default().insert(place);
                }
            }
            Event::Asked { transaction, commit } => {
                let transaction = self.transaction(transaction);
                if *commit && transaction.asked_to_commit.is_none() {
                    transaction.asked_to_commit = Some(at);
                }
            }
            Event::Ended { transaction, end } => self.transaction(transaction).end = Some(*end),
            Event::Polled { who, records } => {
                let read_committed = self.committed_readers.contains(who.as_str());
                for (partition, records) in records {
                    for record in records {
                        let (offset, value) = (record.offset, record.value);
                        self.reads.push(Read { who, read_committed, partition, offset, value, at });
                        self.places.entry(value).or_default().insert((partition, offset));
                        if read_committed {
                            self.seen_committed.insert(value);
                            self.reaches(partition, offset + 1);
                        }
                    }
                }
            }
            Event::ReadAll { ends, .. } => {
                for (partition, end) in ends {
                    self.ends.insert(partition, *end);
                    self.reaches(partition, *end);
                }
            }
        }
    }

    fn transaction(&mut self, name: &'a str) -> &mut Transaction {
        let new = || Transaction { values: Vec::new(), asked_to_commit: None, end: None };
        self.transactions.entry(name).or_insert_with(new)
    }

    fn reaches(&mut self, partition: &'a str, end: i64) {
        let up_to = self.read_up_to.entry(partition).or_insert(0);
        *up_to = (*up_to).max(end);
    }

    /// What became of a value, by what its producer was told.
    pub(super) fn fate(&self, send: &Send<'_>) -> Fate {
        let end = send.transaction.map(|name| self.transactions[name].end());
        match (send.outcome, end) {
            (Outcome::Failed, _) | (_, Some(End::Aborted)) => Fate::Aborted,
            // A commit says that everything before it is there.
            (_, Some(End::Committed)) | (Outcome::Acked { .. }, None) => Fate::Committed,
            (_, Some(End::Unknown)) | (Outcome::Unknown, None) => Fate::Unknown,
        }
    }

    /// Where a value was acknowledged to be, or seen.
    pub(super) fn offset(&self, value: u64) -> Option<i64> {
        self.places.get(&value)?.first().map(|(_, offset)| *offset)
    }

    /// Why a value of this producer may be lost.
    pub(super) fn may_lose(&self, who: &str) -> Option<&'static str> {
        let careless = self.producers.get(who).is_some_and(|producer| !producer.acks_all);
        careless.then_some("without acks=all an acknowledged record may die with its leader")
    }

    /// Why a value of this producer may come twice, or in another order.
    pub(super) fn may_repeat(&self, who: &str) -> Option<&'static str> {
        let careless = self.producers.get(who).is_some_and(|producer| !producer.idempotent);
        careless
            .then_some("without idempotence what is sent again may come twice, and after what was sent later")
    }

    pub(super) fn counts(&self) -> Counts {
        let acked = |send: &&Send<'_>| matches!(send.outcome, Outcome::Acked { .. });
        let ended = |end: End| self.transactions.values().filter(|it| it.end() == end).count();
        Counts {
            sent: self.sends.len(),
            acked: self.sends.values().filter(acked).count(),
            polled: self.reads.len(),
            committed: ended(End::Committed),
            aborted: ended(End::Aborted),
            undecided: ended(End::Unknown),
            producers: self.producers.len(),
            moved: self.history.events.iter().filter(|it| matches!(it, Event::Moved { .. })).count(),
        }
    }
}

/// How much of everything a history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Values that were sent.
    pub sent: usize,
    /// Values that were acknowledged.
    pub acked: usize,
    /// Records that were polled, by all consumers.
    pub polled: usize,
    /// Transactions that were committed.
    pub committed: usize,
    /// Transactions that were not.
    pub aborted: usize,
    /// Transactions of which nobody knows.
    pub undecided: usize,
    /// Producers, with those that took the place of another.
    pub producers: usize,
    /// How often a consumer's positions began anew.
    pub moved: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acked, polled, committed, aborted, undecided, producers, moved } = self;
        write!(
            f,
            "{sent} sent by {producers} producers, {acked} acknowledged, {polled} polled in {moved} assignments; "
        )?;
        write!(f, "transactions: {committed} committed, {aborted} aborted, {undecided} unknown")
    }
}
