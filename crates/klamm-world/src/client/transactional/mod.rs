//! A transactional producer: it writes numbered records in transactions, commits or aborts them, and tries again what fails. It can read
//! what it writes from another topic, and make its position there a part of the transaction (consume, transform, produce).
//!
//! One request to a coordinator is under way at a time; batches are sent beside it, one a partition at a time. Whoever is fenced rests, and comes
//! back as a new instance would: with InitProducerId and nothing else.

mod answer;
mod batches;
mod requests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use klamm_node::{NodeId, Rng, Timestamp};
use klamm_wire::{ErrorCode, StrBytes};

use self::batches::Transaction;
pub(crate) use self::batches::read_key;
use self::requests::Asked;
use super::leaders::Leaders;
use super::producer::DELIVERY_TIMEOUT;
use super::{Answer, ClientCtx, ClientId, RETRY_BACKOFF};

/// How a transactional producer behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalSpec {
    /// `transactional.id`; two producers with the same one fence each other.
    pub id: StrBytes,
    /// The topic that it writes, which must exist.
    pub topic: StrBytes,
    /// The topic that it reads, committed records only; `None` for one that makes its records up.
    pub reads: Option<StrBytes>,
    /// `transaction.timeout.ms`
    pub timeout: Duration,
    /// How many transactions it begins; then it rests.
    pub transactions: u64,
    /// How many batches a transaction has, at most.
    pub batches: u32,
    /// How many records a batch has, at most.
    pub batch: u32,
    /// The time from one batch to the next, and from one transaction to the next.
    pub interval: Duration,
    /// How many transactions in a hundred are aborted.
    pub aborts: u32,
    /// How long it rests once it is fenced.
    pub rest: Duration,
    /// Whether it works at `transaction.version` 2: leaders add their partitions to the transaction, and each has its own epoch (KIP-890).
    pub v2: bool,
    /// Whether it aborts without waiting for what it has sent, and goes on with the sequences after that, as clients did once.
    pub hasty: bool,
}

impl TransactionalSpec {
    /// How many records a transaction has, at most.
    fn size(&self) -> u64 {
        /// More than that would be one step's work for too long.
        const MOST: u32 = 10_000;
        u64::from(self.batches.max(1).saturating_mul(self.batch.max(1)).min(MOST))
    }
}

/// What became of a transaction, as far as its producer knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// It was never asked to be committed, so it never is.
    Aborted,
    /// The coordinator said that it is committed.
    Committed {
        /// How many records it has.
        records: u64,
    },
    /// It was asked to be committed, and whether it is was not told.
    Unknown {
        /// How many records it has.
        records: u64,
    },
}

/// What a transactional producer has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TransactionalReport {
    /// The transactions that are over for it, by number.
    pub outcomes: BTreeMap<u64, TransactionOutcome>,
    /// How often it was fenced.
    pub fenced: u64,
    /// Records given up, because their `delivery.timeout.ms` had passed; their transactions were aborted.
    pub expired: u64,
}

/// What it is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has to become its id's producer; with its identity, when the sequences have a hole.
    Init { recover: bool },
    /// Between two transactions.
    Rest,
    /// It asks where its group was in the topic that it reads.
    Position,
    /// It reads what it will write.
    Read,
    /// It sends its batches.
    Send,
    /// It makes its position a part of the transaction.
    Offsets,
    /// It ends the transaction.
    End { commit: bool },
}

#[derive(Debug, Clone)]
pub(super) struct Transactional {
    client: ClientId,
    spec: TransactionalSpec,
    to: Leaders,
    from: Option<Leaders>,
    coordinator: Option<NodeId>,
    group_coordinator: Option<NodeId>,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
    /// The next sequence in each partition.
    sequences: BTreeMap<i32, i32>,
    /// Where to read on in each partition; empty when that is to be asked.
    positions: BTreeMap<i32, i64>,
    /// The partition of the topic that it reads from now.
    reading: usize,
    phase: Phase,
    /// When the phase began, by which a lack of progress is seen.
    since: Timestamp,
    /// When it does the next thing of its own.
    next_at: Timestamp,
    retry_at: Timestamp,
    asked: Option<(i32, Asked)>,
    transaction: Option<Transaction>,
    next_transaction: u64,
    next_number: u64,
    report: TransactionalReport,
    /// Records that were given up because of their age, and when; those of the last `delivery.timeout.ms`.
    expired: VecDeque<(Timestamp, u64)>,
}

impl Transactional {
    pub(super) fn new(client: ClientId, spec: TransactionalSpec) -> Self {
        Self {
            client,
            to: Leaders::new(spec.topic.clone()),
            from: spec.reads.clone().map(Leaders::new),
            spec,
            coordinator: None,
            group_coordinator: None,
            identity: None,
            sequences: BTreeMap::new(),
            positions: BTreeMap::new(),
            reading: 0,
            phase: Phase::Init { recover: false },
            since: Timestamp::ZERO,
            next_at: Timestamp::ZERO,
            retry_at: Timestamp::ZERO,
            asked: None,
            transaction: None,
            next_transaction: 0,
            next_number: 0,
            report: TransactionalReport::default(),
            expired: VecDeque::new(),
        }
    }

    pub(super) const fn report(&self) -> &TransactionalReport {
        &self.report
    }

    /// How many records it is at, where nothing came of them since `at`, or 1 when it is at none and cannot go on; and those that were given up since then
    /// because of their age.
    pub(super) fn undecided_since(&self, at: Timestamp) -> u64 {
        let expired = self.expired.iter().filter(|(when, _)| *when > at).map(|(_, records)| records);
        let expired = expired.sum::<u64>();
        let waits = matches!(self.phase, Phase::Rest | Phase::Read);
        if waits || self.since >= at {
            return expired;
        }
        expired + self.transaction.as_ref().map_or(1, |transaction| transaction.records().max(1))
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let batches = self.transaction.iter().flat_map(Transaction::deadlines);
        let leaders = self.to.next_deadline().into_iter();
        let leaders = leaders.chain(self.from.as_ref().and_then(Leaders::next_deadline));
        leaders.chain([self.next_at, self.retry_at]).chain(batches)
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.to.go_on(ctx);
        if let Some(from) = &mut self.from {
            from.go_on(ctx);
        }
        if self.to.partitions() == 0 {
            return;
        }
        if self.phase == Phase::Rest && self.next_at <= ctx.now {
            self.begin(ctx.now);
        }
        if self.phase == Phase::Send {
            self.expire(ctx.now);
            self.send_batches(ctx);
            self.sent(ctx.now);
        }
        if self.asked.is_none() && self.retry_at <= ctx.now && self.next_at <= ctx.now {
            self.ask_coordinators(ctx);
        }
    }

    pub(super) fn on_answer(&mut self, ctx: &ClientCtx<'_>, correlation_id: i32, answer: Answer) {
        let response = if let Answer::Response(response) = answer { Some(response) } else { None };
        if self.to.on_answer(ctx, correlation_id, response.as_ref()) {
            return;
        }
        if let Some(from) = &mut self.from
            && from.on_answer(ctx, correlation_id, response.as_ref())
        {
            return;
        }
        if let Some((_, asked)) = self.asked.take_if(|(asked, _)| *asked == correlation_id) {
            self.on_asked(ctx, asked, response);
        } else {
            self.on_produced(ctx.now, correlation_id, response.as_ref());
        }
    }

    fn enter(&mut self, now: Timestamp, phase: Phase) {
        self.phase = phase;
        self.since = now;
        self.retry_at = Timestamp::ZERO;
    }

    /// Begins the next transaction, if there is one.
    fn begin(&mut self, now: Timestamp) {
        if self.next_transaction >= self.spec.transactions {
            return;
        }
        if let Some(from) = &self.from {
            let known = self.positions.len();
            if from.partitions() > 0 {
                let phase = if known < from.partitions() { Phase::Position } else { Phase::Read };
                self.enter(now, phase);
            }
            return;
        }
        let size = self.spec.size();
        let numbers = (self.next_number..self.next_number + size).collect();
        self.next_number += size;
        self.begin_with(now, numbers, None);
    }

    /// Begins a transaction of these numbers, which were read from `read`: a partition, and where to read on in it.
    fn begin_with(&mut self, now: Timestamp, numbers: Vec<u64>, read: Option<(i32, i64)>) {
        let number = self.next_transaction;
        self.next_transaction += 1;
        // Its own draw: what becomes of one transaction changes nothing for the others.
        let mut rng = Rng::stream(u64::from(self.client.0), &format!("transaction {number}"));
        let commit = rng.below(100) >= u64::from(self.spec.aborts);
        let partitions = self.to.partitions();
        self.transaction =
            Some(Transaction::new(number, commit, &numbers, read, &self.spec, partitions, now));
        self.enter(now, Phase::Send);
    }

    /// Gives up what is too old.
    fn expire(&mut self, now: Timestamp) {
        let Some(at) = now.0.checked_sub(DELIVERY_TIMEOUT.as_nanos() as u64).map(Timestamp) else { return };
        while self.expired.pop_front_if(|(when, _)| *when <= at).is_some() {}
        let records = self.transaction.as_mut().map_or(0, |transaction| transaction.expire(at));
        if records > 0 {
            self.report.expired += records;
            self.expired.push_back((now, records));
        }
    }

    /// Goes on once every batch is written or given up, or once every one is on its way and it does not wait.
    fn sent(&mut self, now: Timestamp) {
        let Some(transaction) = &self.transaction else { return };
        let over = match transaction.commit {
            false if self.spec.hasty => transaction.all_sent(),
            _ => transaction.is_settled(),
        };
        if transaction.failed && (over || self.spec.hasty) {
            return self.abort(now);
        }
        if !over {
            return;
        }
        let commit = transaction.commit;
        let with_offsets = transaction.read.is_some() && (commit || !self.spec.hasty);
        self.enter(now, if with_offsets { Phase::Offsets } else { Phase::End { commit } });
    }

    /// The transaction is over, committed or not, or nobody said which.
    fn finish(&mut self, now: Timestamp, committed: Option<bool>) {
        if let Some(transaction) = self.transaction.take() {
            let records = transaction.records();
            let outcome = match committed {
                Some(true) => TransactionOutcome::Committed { records },
                None if transaction.asked_to_commit => TransactionOutcome::Unknown { records },
                Some(false) | None => TransactionOutcome::Aborted,
            };
            self.report.outcomes.insert(transaction.number, outcome);
            match transaction.read {
                Some((partition, next)) if committed == Some(true) => {
                    self.positions.insert(partition, next);
                }
                _ => self.positions.clear(),
            }
        }
        self.next_at = now + self.spec.interval;
        self.enter(now, Phase::Rest);
    }

    /// Gives the transaction up: it has to be aborted.
    fn abort(&mut self, now: Timestamp) {
        if let Some(transaction) = &mut self.transaction {
            transaction.failed = true;
            self.enter(now, Phase::End { commit: false });
        }
    }

    /// Another instance has its id, or the coordinator took the epoch away.
    fn fenced(&mut self, now: Timestamp) {
        self.finish(now, None);
        self.report.fenced += 1;
        self.identity = None;
        self.sequences.clear();
        self.positions.clear();
        self.asked = None;
        self.next_at = now + self.spec.rest;
        self.enter(self.next_at, Phase::Init { recover: false });
    }

    /// Tries again after a while.
    fn again(&mut self, now: Timestamp) {
        self.retry_at = now + RETRY_BACKOFF;
    }
}

/// Whether an error says that this producer is its id's no more.
const fn fences(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::InvalidProducerEpoch
            | ErrorCode::ProducerFenced
            | ErrorCode::InvalidProducerIdMapping
            | ErrorCode::InvalidTxnState
            | ErrorCode::TransactionCoordinatorFenced
    )
}
