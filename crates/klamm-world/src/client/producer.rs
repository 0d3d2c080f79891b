//! A producer: it sends numbered records to one topic, retries what fails, and remembers what was acknowledged.
//!
//! An idempotent one numbers its batches as Java's does: where a hole shows in a partition's sequences it takes the next epoch by itself, and
//! begins at 0 there (KIP-360, `TransactionManager.canRetry`, `handleFailedBatch` and `maybeResolveSequences`).

use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

use klamm_node::Timestamp;
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{InitProducerIdRequest, ProduceRequest, ProducerId, ResponseKind, TopicName};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{ApiKey, ErrorCode, Request, Response, StrBytes};

use super::leaders::Leaders;
use super::{ClientCtx, ClientId, RETRY_BACKOFF};

const PRODUCE_VERSION: i16 = 11;
const INIT_VERSION: i16 = 4;
/// Batches of one partition that wait or are in flight; as many as an idempotent producer may have in flight.
const MAX_UNACKED: usize = 5;
/// `delivery.timeout.ms`
pub(crate) const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);

/// How a producer behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerSpec {
    /// The topic, which must exist.
    pub topic: StrBytes,
    /// `acks`: 0, 1 or -1.
    pub acks: i16,
    /// `enable.idempotence`.
    pub idempotent: bool,
    /// How many records it produces; then it rests.
    pub records: u64,
    /// How many records a batch holds.
    pub batch: u32,
    /// The time from one batch to the next.
    pub interval: Duration,
    /// `max.in.flight.requests.per.connection`, here a partition's.
    pub in_flight: usize,
}

/// Records that a broker acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// The partition.
    pub partition: i32,
    /// Where the broker said that the first of them is; -1 when it did not say.
    pub base_offset: i64,
    /// The values, which are consecutive numbers.
    pub values: Range<u64>,
}

/// What a producer has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProducerReport {
    /// Batches acknowledged, in the order in which the producer learnt it.
    pub acknowledged: Vec<Acknowledged>,
    /// Records acknowledged.
    pub records: u64,
    /// Records given up, because an error came that no retry heals.
    pub failed: u64,
    /// Records given up, because their `delivery.timeout.ms` had passed.
    pub expired: u64,
    /// Sends of a batch that had been sent before.
    pub retries: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Producer {
    client: ClientId,
    spec: ProducerSpec,
    leaders: Leaders,
    /// Producer id and epoch.
    identity: Option<(i64, i16)>,
    asked_identity: Option<i32>,
    ask_identity_at: Timestamp,
    partitions: Vec<Partition>,
    next_value: u64,
    next_batch_at: Timestamp,
    next_partition: usize,
    report: ProducerReport,
    /// Records that were given up because of their age, and when; those of the last `delivery.timeout.ms`.
    expired: VecDeque<(Timestamp, u64)>,
}

/// One partition's batches. Those that have a sequence come before those that have none.
#[derive(Debug, Clone, Default)]
struct Partition {
    unacked: VecDeque<Batch>,
    /// What its batches are numbered for: producer id and epoch.
    identity: Option<(i64, i16)>,
    next_sequence: i32,
    /// The last sequence that was acknowledged; -1 for none.
    last_acked: i32,
    /// The sequence after those that were given up while it was not known whether they are written.
    unresolved: Option<i32>,
    /// Whether its sequences have a hole, which the next epoch closes.
    hole: bool,
    retry_at: Timestamp,
}

#[derive(Debug, Clone)]
struct Batch {
    values: Range<u64>,
    /// Its sequence, from when it was first sent.
    sequence: Option<i32>,
    /// Whether it was numbered anew since it was last sent, for a later epoch.
    renumbered: bool,
    /// The request that it is in flight in.
    asked: Option<i32>,
    sent_before: bool,
    /// When it was made.
    made_at: Timestamp,
}

impl Batch {
    const fn records(&self) -> u64 {
        self.values.end - self.values.start
    }
}

impl Partition {
    fn has_numbered(&self) -> bool {
        self.unacked.front().is_some_and(|batch| batch.sequence.is_some())
    }

    /// Numbers a batch that is sent for the first time.
    fn number(&mut self, at: usize) {
        self.unacked[at].sequence = Some(self.next_sequence);
        // Sequences wrap to 0 (`DefaultRecordBatch.incrementSequence`).
        self.next_sequence = self.next_sequence.checked_add(self.unacked[at].records() as i32).unwrap_or(0);
    }

    /// Begins at sequence 0, with the batches that have been sent already (`TxnPartitionEntry.startSequencesAtBeginning`).
    fn begin(&mut self, identity: Option<(i64, i16)>) {
        self.identity = identity;
        self.next_sequence = 0;
        self.last_acked = -1;
        let numbered = self.unacked.iter().take_while(|batch| batch.sequence.is_some()).count();
        for at in 0..numbered {
            self.number(at);
            self.unacked[at].renumbered = true;
        }
    }

    /// Takes the oldest batch out, if it was made before `at`.
    fn expire(&mut self, at: Timestamp) -> Option<Batch> {
        let batch = self.unacked.pop_front_if(|batch| batch.made_at <= at)?;
        if let Some(sequence) = batch.sequence {
            let next = sequence.saturating_add(batch.records() as i32);
            self.unresolved = self.unresolved.max(Some(next));
        }
        Some(batch)
    }

    /// Whether what was given up has left a hole, once nothing is under way any more (`maybeResolveSequences`).
    fn resolve(&mut self) {
        if self.unresolved.is_some() && !self.has_numbered() {
            self.unresolved = None;
            self.hole |= self.next_sequence.wrapping_sub(self.last_acked) != 1;
        }
    }

    /// A batch came out of order: that is a hole, unless it is another batch's turn, or it is not known whose (`canRetry`).
    fn out_of_order(&mut self, at: usize) {
        let batch = &self.unacked[at];
        let Some(sequence) = batch.sequence else { return };
        let is_next = sequence.wrapping_sub(self.last_acked) == 1;
        self.hole |= match self.unresolved {
            None => is_next && !batch.renumbered,
            Some(unresolved) => sequence == unresolved,
        };
    }
}

impl Producer {
    pub(super) fn new(client: ClientId, spec: ProducerSpec) -> Self {
        Self {
            client,
            leaders: Leaders::new(spec.topic.clone()),
            spec,
            identity: None,
            asked_identity: None,
            ask_identity_at: Timestamp::ZERO,
            partitions: Vec::new(),
            next_value: 0,
            next_batch_at: Timestamp::ZERO,
            next_partition: 0,
            report: ProducerReport::default(),
            expired: VecDeque::new(),
        }
    }

    pub(super) const fn report(&self) -> &ProducerReport {
        &self.report
    }

    /// Records made before `at` of which nothing is known yet, and those that were given up since then because of their age.
    pub(super) fn undecided_since(&self, at: Timestamp) -> u64 {
        let batches = self.partitions.iter().flat_map(|partition| &partition.unacked);
        let waiting: u64 = batches.filter(|batch| batch.made_at < at).map(Batch::records).sum();
        let expired = self.expired.iter().filter(|(when, _)| *when > at).map(|(_, records)| records);
        waiting + expired.sum::<u64>()
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let retries = self.partitions.iter().map(|partition| partition.retry_at);
        let oldest = self.partitions.iter().filter_map(|partition| partition.unacked.front());
        self.leaders
            .next_deadline()
            .into_iter()
            .chain(retries)
            .chain(oldest.map(|batch| batch.made_at + DELIVERY_TIMEOUT))
            .chain([self.ask_identity_at, self.next_batch_at])
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.leaders.go_on(ctx);
        self.identify(ctx);
        self.partitions.resize_with(self.leaders.partitions(), Partition::default);
        self.expire(ctx.now);
        self.close_holes();
        self.make_batches(ctx.now);
        for partition in 0..self.partitions.len() {
            self.send(ctx, partition);
        }
    }

    pub(super) fn on_answer(&mut self, ctx: &ClientCtx<'_>, correlation_id: i32, answer: Option<Response>) {
        if self.leaders.on_answer(ctx, correlation_id, answer.as_ref()) {
            return;
        }
        if self.asked_identity == Some(correlation_id) {
            self.asked_identity = None;
            self.ask_identity_at = ctx.now + RETRY_BACKOFF;
            if let Some(Response::Other(answer)) = answer
                && let ResponseKind::InitProducerId(answer) = *answer
                && answer.error_code == 0
            {
                self.identity = Some((answer.producer_id.0, answer.producer_epoch));
            }
            return;
        }
        let (error, base_offset) = answer.map_or((None, -1), |answer| outcome(&answer));
        self.on_produced(ctx, correlation_id, error, base_offset);
    }

    fn identify(&mut self, ctx: &mut ClientCtx<'_>) {
        if !self.spec.idempotent
            || self.identity.is_some()
            || self.asked_identity.is_some()
            || self.ask_identity_at > ctx.now
        {
            return;
        }
        let Some(broker) = ctx.any_broker() else { return };
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        self.asked_identity =
            Some(ctx.ask(broker, ApiKey::InitProducerId, INIT_VERSION, Request::InitProducerId(request)));
    }

    /// Gives up what is too old.
    fn expire(&mut self, now: Timestamp) {
        let Some(at) = now.0.checked_sub(DELIVERY_TIMEOUT.as_nanos() as u64).map(Timestamp) else { return };
        for partition in &mut self.partitions {
            while let Some(batch) = partition.expire(at) {
                self.report.expired += batch.records();
                self.expired.push_back((now, batch.records()));
            }
            partition.resolve();
        }
        while self.expired.pop_front_if(|(when, _)| *when <= at).is_some() {}
    }

    /// Takes the next epoch, if a partition has a hole in its sequences; other partitions go on in theirs until nothing of it is under way.
    fn close_holes(&mut self) {
        if !self.partitions.iter().any(|partition| partition.hole) {
            return;
        }
        // After the last epoch another producer id is asked for.
        self.identity = self.identity.and_then(|(id, epoch)| Some((id, epoch.checked_add(1)?)));
        for partition in self.partitions.iter_mut().filter(|partition| partition.hole) {
            partition.hole = false;
            partition.unresolved = None;
            partition.begin(self.identity);
        }
    }

    fn make_batches(&mut self, now: Timestamp) {
        while self.next_value < self.spec.records && self.next_batch_at <= now && !self.partitions.is_empty()
        {
            let count = self.partitions.len();
            let free = (0..count)
                .map(|i| (self.next_partition + i) % count)
                .find(|partition| self.partitions[*partition].unacked.len() < MAX_UNACKED);
            let Some(index) = free else { return };
            self.next_partition = (index + 1) % count;
            let size = u64::from(self.spec.batch.max(1)).min(self.spec.records - self.next_value);
            let values = self.next_value..self.next_value + size;
            self.next_value = values.end;
            self.next_batch_at = now + self.spec.interval;
            let partition = &mut self.partitions[index];
            partition.unacked.push_back(Batch {
                values,
                sequence: None,
                renumbered: false,
                asked: None,
                sent_before: false,
                made_at: now,
            });
        }
    }

    /// Sends a partition's batches in order, never one before an earlier one that has to be sent again.
    fn send(&mut self, ctx: &mut ClientCtx<'_>, index: usize) {
        if self.spec.idempotent && self.identity.is_none() {
            return;
        }
        let Some(leader) = self.leaders.of(index) else { return };
        let partition = &mut self.partitions[index];
        if partition.retry_at > ctx.now {
            return;
        }
        let in_flight = partition.unacked.iter().filter(|batch| batch.asked.is_some()).count();
        let mut room = self.spec.in_flight.clamp(1, MAX_UNACKED).saturating_sub(in_flight);
        let mut at = 0;
        while room > 0 && at < partition.unacked.len() {
            if partition.unacked[at].asked.is_some() {
                at += 1;
                continue;
            }
            if self.spec.idempotent {
                // As `RecordAccumulator.shouldStopDrainBatchesForPartition` has it.
                let stale = partition.identity != self.identity;
                let has_numbered = partition.has_numbered();
                match partition.unacked[at].sequence {
                    Some(_) if at > 0 => return,
                    Some(_) if partition.identity.is_none() => partition.begin(self.identity),
                    Some(_) => {}
                    None if partition.unresolved.is_some() || (stale && has_numbered) => return,
                    None => {
                        if stale {
                            partition.begin(self.identity);
                        }
                        partition.number(at);
                    }
                }
            } else if partition.unacked.range(at..).any(|batch| batch.asked.is_some()) {
                return;
            }
            let identity = partition.identity;
            let batch = &mut partition.unacked[at];
            self.report.retries += u64::from(batch.sent_before);
            (batch.sent_before, batch.renumbered) = (true, false);
            let request = produce(&self.spec, self.client, identity, index, batch, ctx.wall.millis());
            if self.spec.acks == 0 {
                ctx.tell(leader, ApiKey::Produce, PRODUCE_VERSION, request);
                if let Some(batch) = partition.unacked.remove(at) {
                    self.report.records += batch.records();
                }
            } else {
                batch.asked = Some(ctx.ask(leader, ApiKey::Produce, PRODUCE_VERSION, request));
                at += 1;
            }
            room -= 1;
        }
    }

    /// `error` is `None` when the connection broke.
    fn on_produced(
        &mut self,
        ctx: &ClientCtx<'_>,
        correlation_id: i32,
        error: Option<ErrorCode>,
        base_offset: i64,
    ) {
        let found = self.partitions.iter_mut().enumerate().find_map(|(index, partition)| {
            let at = partition.unacked.iter().position(|batch| batch.asked == Some(correlation_id))?;
            Some((index, partition, at))
        });
        let Some((index, partition, at)) = found else { return };
        let batch = &partition.unacked[at];
        let (values, records) = (batch.values.clone(), batch.records());
        match error {
            Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => {
                if let Some(sequence) = batch.sequence {
                    let last = sequence.saturating_add(records as i32 - 1);
                    partition.last_acked = partition.last_acked.max(last);
                }
                partition.unacked.remove(at);
                partition.retry_at = Timestamp::ZERO;
                self.report.records += records;
                let partition = i32::try_from(index).unwrap_or(i32::MAX);
                self.report.acknowledged.push(Acknowledged { partition, base_offset, values });
            }
            Some(error) if !error.is_retriable() && error != ErrorCode::OutOfOrderSequenceNumber => {
                partition.hole |= batch.sequence.is_some();
                partition.unacked.remove(at);
                self.report.failed += records;
            }
            _ => {
                if error == Some(ErrorCode::OutOfOrderSequenceNumber) {
                    partition.out_of_order(at);
                }
                partition.unacked[at].asked = None;
                partition.retry_at = ctx.now + RETRY_BACKOFF;
                self.leaders.refresh(ctx.now);
            }
        }
    }
}

fn produce(
    spec: &ProducerSpec,
    client: ClientId,
    identity: Option<(i64, i16)>,
    partition: usize,
    batch: &Batch,
    wall: i64,
) -> Request {
    let mut builder = BatchBuilder::new();
    if let (Some((id, epoch)), Some(sequence)) = (identity, batch.sequence) {
        builder = builder.producer(id, epoch, sequence);
    }
    for value in batch.values.clone() {
        builder.push(wall, Some(&client.0.to_be_bytes()), Some(&value.to_be_bytes()), &[]);
    }
    let records = builder.build().expect("uncompressed batches always build").to_bytes();
    let data = PartitionProduceData::default()
        .with_index(i32::try_from(partition).unwrap_or(i32::MAX))
        .with_records(Some(records));
    let topic =
        TopicProduceData::default().with_name(TopicName(spec.topic.clone())).with_partition_data(vec![data]);
    let request = ProduceRequest::default()
        .with_transactional_id(None)
        .with_acks(spec.acks)
        .with_timeout_ms(30_000)
        .with_topic_data(vec![topic]);
    Request::Produce(request)
}

/// The error and base offset of the one partition in a Produce response.
fn outcome(answer: &Response) -> (Option<ErrorCode>, i64) {
    let Response::Other(answer) = answer else { return (None, -1) };
    let ResponseKind::Produce(answer) = &**answer else { return (None, -1) };
    let partition = answer.responses.first().and_then(|topic| topic.partition_responses.first());
    partition.map_or((None, -1), |partition| {
        let error = ErrorCode::from_code(partition.error_code).unwrap_or(ErrorCode::UnknownServerError);
        (Some(error), partition.base_offset)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Option<(i64, i16)> = Some((7, 0));
    const SECOND: Option<(i64, i16)> = Some((7, 1));

    /// Five batches of two records, the first three of which were sent in the first epoch.
    fn partition() -> Partition {
        let batch = |number: u64| Batch {
            values: number * 2..number * 2 + 2,
            sequence: None,
            renumbered: false,
            asked: None,
            sent_before: false,
            made_at: Timestamp(number),
        };
        let mut partition = Partition { unacked: (0..5).map(batch).collect(), ..Partition::default() };
        partition.begin(FIRST);
        (0..3).for_each(|at| partition.number(at));
        partition
    }

    fn sequences(partition: &Partition) -> Vec<Option<i32>> {
        partition.unacked.iter().map(|batch| batch.sequence).collect()
    }

    #[test]
    fn the_next_batch_out_of_order_shows_a_hole() {
        let mut partition = partition();
        partition.out_of_order(1);
        assert!(!partition.hole, "the one before it failed, and is sent again");
        partition.out_of_order(0);
        assert!(partition.hole);
        partition.hole = false;
        partition.begin(SECOND);
        assert_eq!(sequences(&partition), [Some(0), Some(2), Some(4), None, None]);
        partition.out_of_order(0);
        assert!(!partition.hole, "the answer is about its number in the first epoch");
        partition.unacked[0].renumbered = false;
        partition.out_of_order(0);
        assert!(partition.hole);
    }

    #[test]
    fn what_was_given_up_leaves_a_hole_unless_what_followed_is_written() {
        let mut partition = partition();
        assert_eq!(partition.expire(Timestamp(0)).map(|batch| batch.values), Some(0..2));
        assert!(partition.expire(Timestamp(0)).is_none());
        partition.out_of_order(1);
        assert!(!partition.hole, "the second is sent first");
        partition.resolve();
        assert_eq!(partition.unresolved, Some(2), "others are under way");
        let mut written = partition.clone();
        written.unacked.drain(..2);
        written.last_acked = 5;
        written.resolve();
        assert_eq!((written.unresolved, written.hole), (None, false));
        partition.out_of_order(0);
        assert!(partition.hole, "the one behind what was given up is refused");
    }

    #[test]
    fn when_all_is_given_up_the_next_epoch_begins() {
        let mut partition = partition();
        while partition.expire(Timestamp(4)).is_some() {}
        partition.resolve();
        assert_eq!((partition.unresolved, partition.hole), (None, true));
    }
}
