//! The batches of one transaction, and how they get to their partitions.

use std::collections::BTreeSet;

use klamm_node::Timestamp;
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{ProduceRequest, ResponseKind, TopicName, TransactionalId};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ApiKey, ErrorCode, Request, Response};

use super::{Transactional, TransactionalSpec, fences};
use crate::client::producer::DELIVERY_TIMEOUT;
use crate::client::{ClientCtx, RETRY_BACKOFF};

/// One transaction.
#[derive(Debug, Clone)]
pub(super) struct Transaction {
    pub(super) number: u64,
    /// What it is to end in.
    pub(super) commit: bool,
    /// Whether its end was asked for, as a commit.
    pub(super) asked_to_commit: bool,
    /// The partition that it was read from, and where to read on.
    pub(super) read: Option<(i32, i64)>,
    /// Whether something went wrong that leaves a hole in the sequences: it can only be aborted.
    pub(super) failed: bool,
    /// The partitions that the coordinator was told of.
    pub(super) added: BTreeSet<i32>,
    /// Whether the coordinator was told of the group.
    pub(super) added_group: bool,
    batches: Vec<Batch>,
}

#[derive(Debug, Clone)]
struct Batch {
    partition: i32,
    numbers: Vec<u64>,
    /// When it was made.
    made_at: Timestamp,
    /// Not before.
    due: Timestamp,
    sequence: Option<i32>,
    asked: Option<i32>,
    written: bool,
    /// Whether it is not sent any more, written or not.
    given_up: bool,
}

impl Batch {
    /// Whether it is still to be written.
    const fn is_open(&self) -> bool {
        !self.written && !self.given_up
    }
}

impl Transaction {
    pub(super) fn new(
        number: u64,
        commit: bool,
        numbers: &[u64],
        read: Option<(i32, i64)>,
        spec: &TransactionalSpec,
        partitions: usize,
        now: Timestamp,
    ) -> Self {
        let chunks = numbers.chunks(spec.batch.max(1) as usize).enumerate();
        let batches = chunks.map(|(i, numbers)| {
            let made_at = now + spec.interval.saturating_mul(u32::try_from(i).unwrap_or(u32::MAX));
            Batch {
                partition: ((number as usize).wrapping_add(i) % partitions.max(1)) as i32,
                numbers: numbers.to_vec(),
                made_at,
                due: made_at,
                sequence: None,
                asked: None,
                written: false,
                given_up: false,
            }
        });
        Self {
            number,
            commit,
            asked_to_commit: false,
            read,
            failed: false,
            added: BTreeSet::new(),
            added_group: false,
            batches: batches.collect(),
        }
    }

    pub(super) fn records(&self) -> u64 {
        self.batches.iter().map(|batch| batch.numbers.len() as u64).sum()
    }

    pub(super) fn deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let open = self.batches.iter().filter(|batch| batch.is_open());
        open.flat_map(|batch| [batch.due, batch.made_at + DELIVERY_TIMEOUT])
    }

    /// Gives up what was made by `at` and is not known to be written, and with it what was never sent (`Sender.failExpiredBatches`,
    /// `RecordAccumulator.abortUndrainedBatches`): the transaction can only be aborted then (`TransactionManager.maybeTransitionToErrorState`). How
    /// many records were too old.
    pub(super) fn expire(&mut self, at: Timestamp) -> u64 {
        let mut records = 0;
        for batch in self.batches.iter_mut().filter(|batch| batch.is_open() && batch.made_at <= at) {
            batch.given_up = true;
            batch.asked = None;
            records += batch.numbers.len() as u64;
        }
        if records > 0 {
            self.failed = true;
            for batch in self.batches.iter_mut().filter(|batch| batch.sequence.is_none()) {
                batch.given_up = true;
            }
        }
        records
    }

    /// Whether no batch is to be written any more. What was sent is sent until it is known whether it is written, also where the transaction is to be
    /// aborted (`Sender.maybeSendAndPollTransactionalRequest`).
    pub(super) fn is_settled(&self) -> bool {
        !self.batches.iter().any(Batch::is_open)
    }

    /// Whether every batch was sent at least once.
    pub(super) fn all_sent(&self) -> bool {
        self.batches.iter().all(|batch| batch.sequence.is_some())
    }

    /// Whether the coordinator may know of it.
    pub(super) fn is_known(&self, v2: bool) -> bool {
        if v2 { self.batches.iter().any(|batch| batch.sequence.is_some()) } else { !self.added.is_empty() }
    }

    /// Partitions that are due and that the coordinator was not told of.
    pub(super) fn to_add(&self, now: Timestamp) -> Vec<i32> {
        let due = self.batches.iter().filter(|batch| batch.due <= now && !batch.given_up);
        let due = due.map(|batch| batch.partition);
        let new: BTreeSet<i32> = due.filter(|partition| !self.added.contains(partition)).collect();
        new.into_iter().collect()
    }
}

impl Transactional {
    /// Sends each partition's next batch, in order.
    pub(super) fn send_batches(&mut self, ctx: &mut ClientCtx<'_>) {
        let Some(mut transaction) = self.transaction.take() else { return };
        let mut busy = BTreeSet::new();
        let read = transaction.read.map_or(-1, |(partition, _)| partition);
        for batch in transaction.batches.iter_mut().filter(|batch| batch.is_open()) {
            if !busy.insert(batch.partition) || batch.asked.is_some() || batch.due > ctx.now {
                continue;
            }
            let added = self.spec.v2 || transaction.added.contains(&batch.partition);
            let leader = usize::try_from(batch.partition).ok().and_then(|index| self.to.of(index));
            let (true, Some(leader), Some(identity)) = (added, leader, self.identity) else { continue };
            let next = self.sequences.entry(batch.partition).or_default();
            let sequence = *batch.sequence.get_or_insert_with(|| {
                let sequence = *next;
                // Sequences wrap to 0 (`DefaultRecordBatch.incrementSequence`).
                *next = sequence.checked_add(batch.numbers.len() as i32).unwrap_or(0);
                sequence
            });
            let mut builder = BatchBuilder::new().producer(identity.0, identity.1, sequence).transactional();
            let mut key = [0; 16];
            key[..4].copy_from_slice(&self.client.0.to_be_bytes());
            key[4..12].copy_from_slice(&transaction.number.to_be_bytes());
            key[12..].copy_from_slice(&read.to_be_bytes());
            for number in &batch.numbers {
                builder.push(ctx.wall.millis(), Some(&key), Some(&number.to_be_bytes()), &[]);
            }
            let records = builder.build().expect("uncompressed batches always build").to_bytes();
            let data =
                PartitionProduceData::default().with_index(batch.partition).with_records(Some(records));
            let topic = TopicProduceData::default()
                .with_name(TopicName(self.spec.topic.clone()))
                .with_partition_data(vec![data]);
            let request = ProduceRequest::default()
                .with_transactional_id(Some(TransactionalId(self.spec.id.clone())))
                .with_acks(-1)
                .with_timeout_ms(30_000)
                .with_topic_data(vec![topic]);
            // From 12 on the leader adds its partition to the transaction.
            let version = if self.spec.v2 { 12 } else { 11 };
            batch.asked = Some(ctx.ask(leader, ApiKey::Produce, version, Request::Produce(request)));
        }
        self.transaction = Some(transaction);
    }

    pub(super) fn on_produced(&mut self, now: Timestamp, correlation_id: i32, response: Option<&Response>) {
        let Some(transaction) = &mut self.transaction else { return };
        let batch = transaction.batches.iter_mut().find(|batch| batch.asked == Some(correlation_id));
        let Some(batch) = batch else { return };
        batch.asked = None;
        let error = response.map(error_of);
        match error {
            Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => {
                batch.written = true;
                self.since = now;
            }
            Some(error) if fences(error) => self.fenced(now),
            Some(ErrorCode::OutOfOrderSequenceNumber) if self.spec.hasty => {
                batch.due = now + RETRY_BACKOFF;
            }
            Some(error) if !error.is_retriable() => self.abort(now),
            _ => {
                batch.due = now + RETRY_BACKOFF;
                self.to.refresh(now);
            }
        }
    }
}

/// The error of the one partition in a Produce response.
fn error_of(response: &Response) -> ErrorCode {
    let Response::Other(kind) = response else { return ErrorCode::UnknownServerError };
    let ResponseKind::Produce(answer) = &**kind else { return ErrorCode::UnknownServerError };
    let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    let code = partition.map_or(-1, |partition| partition.error_code);
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

/// What the key of a record of a simulated transaction says: the client, the number of its transaction, and the partition that the record was
/// read from, or -1. `None` for another key.
pub(crate) fn read_key(key: &[u8]) -> Option<(u32, u64, i32)> {
    let key: &[u8; 16] = key.try_into().ok()?;
    let (client, rest) = key.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let read = rest.first_chunk::<4>()?;
    Some((u32::from_be_bytes(*client), u64::from_be_bytes(*number), i32::from_be_bytes(*read)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Three batches of two records, one each second, in three partitions, the first two of which were sent.
    fn transaction() -> Transaction {
        let spec = TransactionalSpec {
            id: "id".into(),
            topic: "t".into(),
            reads: None,
            timeout: Duration::from_secs(60),
            transactions: 1,
            batches: 3,
            batch: 2,
            interval: Duration::from_secs(1),
            aborts: 0,
            rest: Duration::ZERO,
            v2: true,
            hasty: false,
        };
        let mut open = Transaction::new(0, true, &[0, 1, 2, 3, 4, 5], None, &spec, 3, Timestamp::ZERO);
        for batch in &mut open.batches[..2] {
            (batch.sequence, batch.asked) = (Some(0), Some(7));
        }
        open
    }

    #[test]
    fn what_is_too_old_leaves_a_transaction_that_can_only_be_aborted() {
        let second = |seconds| Timestamp::ZERO + Duration::from_secs(seconds);
        let mut open = transaction();
        assert!(open.deadlines().any(|at| at == Timestamp::ZERO + DELIVERY_TIMEOUT));
        open.batches[0].written = true;
        assert_eq!((open.expire(second(0)), open.failed), (0, false), "that is written");
        open.batches[0].written = false;
        assert_eq!((open.expire(second(0)), open.failed), (2, true));
        assert!(!open.is_settled(), "whether the second is written is not known");
        assert!(open.to_add(second(9)).iter().all(|partition| *partition != 2), "the third was never sent");
        assert_eq!(open.expire(second(0)), 0, "once");
        let mut written = open.clone();
        written.batches[1].written = true;
        assert!(written.is_settled() && written.is_known(true));
        assert_eq!(open.expire(second(1)), 2);
        assert!(open.is_settled());
    }
}
