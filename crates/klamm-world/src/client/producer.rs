//! A producer: it sends numbered records to one topic, retries what fails, and remembers what was acknowledged.

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
}

#[derive(Debug, Clone, Default)]
struct Partition {
    unacked: VecDeque<Batch>,
    next_sequence: i32,
    retry_at: Timestamp,
}

#[derive(Debug, Clone)]
struct Batch {
    values: Range<u64>,
    sequence: i32,
    /// The request that it is in flight in.
    asked: Option<i32>,
    sent_before: bool,
    /// When it was made.
    made_at: Timestamp,
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
        }
    }

    pub(super) const fn report(&self) -> &ProducerReport {
        &self.report
    }

    /// Records made before `at` of which nothing is known yet.
    pub(super) fn undecided_since(&self, at: Timestamp) -> u64 {
        let batches = self.partitions.iter().flat_map(|partition| &partition.unacked);
        batches.filter(|batch| batch.made_at < at).map(|batch| batch.values.end - batch.values.start).sum()
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let retries = self.partitions.iter().map(|partition| partition.retry_at);
        self.leaders
            .next_deadline()
            .into_iter()
            .chain(retries)
            .chain([self.ask_identity_at, self.next_batch_at])
    }

    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>) {
        self.leaders.go_on(ctx);
        self.identify(ctx);
        self.partitions.resize_with(self.leaders.partitions(), Partition::default);
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
            let sequence = partition.next_sequence;
            // Sequences wrap to 0 (`DefaultRecordBatch.incrementSequence`).
            partition.next_sequence = sequence.checked_add(size as i32).unwrap_or(0);
            partition.unacked.push_back(Batch {
                values,
                sequence,
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
            if partition.unacked.range(at..).any(|batch| batch.asked.is_some()) {
                return;
            }
            let batch = &mut partition.unacked[at];
            self.report.retries += u64::from(batch.sent_before);
            batch.sent_before = true;
            let request = produce(&self.spec, self.client, self.identity, index, batch, ctx.wall.millis());
            if self.spec.acks == 0 {
                ctx.tell(leader, ApiKey::Produce, PRODUCE_VERSION, request);
                if let Some(batch) = partition.unacked.remove(at) {
                    self.report.records += batch.values.end - batch.values.start;
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
        let values = partition.unacked[at].values.clone();
        let records = values.end - values.start;
        match error {
            Some(ErrorCode::None | ErrorCode::DuplicateSequenceNumber) => {
                partition.unacked.remove(at);
                partition.retry_at = Timestamp::ZERO;
                self.report.records += records;
                let partition = i32::try_from(index).unwrap_or(i32::MAX);
                self.report.acknowledged.push(Acknowledged { partition, base_offset, values });
            }
            // Out of order means that a batch before this one failed; it is sent again first.
            Some(error) if !error.is_retriable() && error != ErrorCode::OutOfOrderSequenceNumber => {
                partition.unacked.remove(at);
                self.report.failed += records;
            }
            _ => {
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
    if let Some((id, epoch)) = identity {
        builder = builder.producer(id, epoch, batch.sequence);
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
