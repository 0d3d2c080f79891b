//! A scripted producer, with the rules of Kafka's (`Sender`, `RecordAccumulator`, `TransactionManager`).
//!
//! One [`SendOp`] is one batch in a request of its own. A batch goes to the leader that metadata names (or the broker it
//! was addressed to), as soon as the connection is ready and has room for another request. What a retry may heal is
//! tried again after a backoff, unless a new leader is known; what cannot, or comes too late, fails.

mod batch;
mod identity;
mod order;
mod outcome;
mod sequences;

use std::collections::{BTreeMap, VecDeque};

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::{ApiKey, ErrorCode};

use self::batch::Batch;
use self::identity::Identities;
use self::order::{has_sequenced, must_wait};
use self::sequences::Sequences;
use super::base::Base;
use super::error::ClientError;
use super::history::HistoryEvent;
use super::op::{OpId, OpValue, Produced, SendOp};
use super::settings::ScriptedProducerSpec;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 13;

#[derive(Debug, Clone)]
pub(super) struct Producer {
    spec: ScriptedProducerSpec,
    identities: Identities,
    queues: BTreeMap<TopicPartition, Queue>,
    /// Batches in requests under way, by correlation id.
    in_flight: BTreeMap<i32, InFlight>,
    flushes: Vec<OpId>,
    /// An error after which nothing is sent any more.
    fatal: Option<ClientError>,
}

#[derive(Debug, Clone, Default)]
struct Queue {
    /// Batches to send, those to be sent again in front.
    waiting: VecDeque<Batch>,
    sequences: Sequences,
}

#[derive(Debug, Clone)]
struct InFlight {
    partition: TopicPartition,
    to: NodeId,
    batch: Batch,
}

impl Producer {
    pub(super) fn new(spec: ScriptedProducerSpec) -> Self {
        Self {
            spec,
            identities: Identities::default(),
            queues: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            flushes: Vec::new(),
            fatal: None,
        }
    }

    pub(super) fn send(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base, op: OpId, send: SendOp) {
        let SendOp { partition, records, to } = send;
        if let Some(contradiction) = self.spec.contradiction() {
            return ctx.refuse(op, contradiction);
        }
        if records.is_empty() {
            return ctx.refuse(op, "a batch holds at least one record");
        }
        base.metadata.want(&partition.topic);
        let batch = Batch {
            op,
            records: records.into(),
            wall: ctx.wall.millis(),
            to,
            asked_at: ctx.now,
            created_at: None,
            attempts: 0,
            last_attempt_at: ctx.now,
            not_before: Timestamp::ZERO,
            in_retry: false,
            sequence: None,
            sequence_was_reset: false,
            leader_epoch: -1,
            attempts_at_leader_change: 0,
            maybe_appended: false,
            done: false,
        };
        let (acks, idempotent) = (self.spec.acks, self.spec.idempotent);
        let records = batch.records.clone();
        ctx.happened(
            Some(op),
            HistoryEvent::SendAsked { partition: partition.clone(), acks, idempotent, records },
        );
        match &self.fatal {
            Some(fatal) => fail(ctx, &partition, &batch, fatal.clone()),
            None => self.queues.entry(partition).or_default().waiting.push_back(batch),
        }
    }

    pub(super) fn flush(&mut self, ctx: &mut ClientCtx<'_>, op: OpId) {
        self.flushes.push(op);
        self.end_flushes(ctx);
    }

    /// Does whatever can be done now (`Sender.runOnce`, until there is nothing more).
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        if self.fatal.is_none() {
            self.admit(ctx, base);
            loop {
                self.resolve_sequences();
                self.bump_epoch();
                if self.spec.idempotent && !self.queues.is_empty() {
                    self.identities.go_on(ctx, base);
                }
                let sent = self.drain(ctx, base);
                if !self.expire(ctx) && !sent {
                    break;
                }
            }
        }
        self.end_flushes(ctx);
    }

    pub(super) fn next_deadlines(&self) -> impl Iterator<Item = Timestamp> {
        let waiting = self.queues.values().flat_map(|queue| &queue.waiting);
        let in_flight = self.in_flight.values().map(|in_flight| &in_flight.batch).filter(|batch| !batch.done);
        let batches = waiting.chain(in_flight);
        let identity = self.identities.next_deadline().filter(|_| self.spec.idempotent);
        batches.flat_map(|batch| [self.times_out(batch), batch.not_before]).chain(identity)
    }

    fn times_out(&self, batch: &Batch) -> Timestamp {
        match batch.created_at {
            Some(created_at) => created_at + self.spec.delivery_timeout,
            None => batch.asked_at + self.spec.max_block,
        }
    }

    /// A send waits until the metadata knows its partition (`KafkaProducer.waitOnMetadata`).
    fn admit(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        for (partition, queue) in &mut self.queues {
            let known = base.metadata.leader(partition).is_some();
            let fatal = base.metadata.topic_error(&partition.topic).filter(|error| {
                matches!(error, ErrorCode::InvalidTopicException | ErrorCode::TopicAuthorizationFailed)
            });
            queue.waiting.retain_mut(|batch| {
                if batch.created_at.is_some() {
                    return true;
                }
                if known || batch.to.is_some() {
                    batch.created_at = Some(ctx.now);
                } else if let Some(error) = fatal {
                    fail(ctx, partition, batch, ClientError::Broker(error));
                    return false;
                } else {
                    base.metadata.request_update();
                }
                true
            });
        }
    }

    fn bump_epoch(&mut self) {
        for partition in self.identities.bump_if_requested() {
            self.start_sequences_at_beginning(&partition);
        }
    }

    /// Gives a partition's unacknowledged batches sequences from 0 under the current identity
    /// (`TxnPartitionEntry.startSequencesAtBeginning`).
    fn start_sequences_at_beginning(&mut self, partition: &TopicPartition) {
        let identity = self.identities.current;
        let Some(queue) = self.queues.get_mut(partition) else { return };
        let under_way = self.in_flight.values_mut().filter(|in_flight| in_flight.partition == *partition);
        let under_way = under_way.map(|in_flight| &mut in_flight.batch).filter(|batch| !batch.done);
        let mut batches: Vec<&mut Batch> =
            under_way.chain(&mut queue.waiting).filter(|batch| batch.sequence.is_some()).collect();
        batches.sort_by_key(|batch| batch.sequence.map(|(_, sequence)| sequence));
        queue.sequences = Sequences { identity, ..Sequences::default() };
        for batch in batches {
            let sequence = queue.sequences.take(batch.len());
            // Without an identity (the epochs are used up) the next one is filled in when the batch is sent.
            let identity = identity.unwrap_or(batch::Identity { id: -1, epoch: -1 });
            batch.sequence = Some((identity, sequence));
            batch.sequence_was_reset = true;
        }
    }

    /// Where batches expired whose fate is unknown, and all others are through: either they had arrived after all, or
    /// the epoch must grow (`TransactionManager.maybeResolveSequences`).
    fn resolve_sequences(&mut self) {
        for (partition, queue) in &mut self.queues {
            if queue.sequences.unresolved.is_none() || has_sequenced(&self.in_flight, partition, queue) {
                continue;
            }
            queue.sequences.unresolved = None;
            if !queue.sequences.is_next(queue.sequences.next) {
                self.identities.request_bump(partition);
            }
        }
    }

    /// Sends what can be sent; whether anything was.
    fn drain(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) -> bool {
        let mut sent = false;
        let partitions: Vec<_> = self.queues.keys().cloned().collect();
        for partition in partitions {
            while let Some(to) = self.next_of(ctx, base, &partition) {
                self.send_first(ctx, base, &partition, to);
                sent = true;
            }
        }
        sent
    }

    /// The broker that a partition's first batch can be sent to now (`RecordAccumulator.drainBatchesForOneNode`).
    fn next_of(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        partition: &TopicPartition,
    ) -> Option<NodeId> {
        let under_way = self.in_flight.values().filter(|in_flight| in_flight.partition == *partition).count();
        let queue = self.queues.get_mut(partition)?;
        let first = queue.waiting.front_mut()?;
        first.created_at?;
        let known = base.metadata.leader(partition);
        first.saw_leader_epoch(known.map_or(-1, |known| known.epoch));
        let leader = first.to.or_else(|| known?.leader);
        let Some(to) = leader else {
            base.metadata.request_update();
            return None;
        };
        if first.not_before > ctx.now && !first.has_new_leader() {
            return None;
        }
        if self.spec.max_in_flight == 1 && under_way > 0 {
            return None;
        }
        if self.spec.idempotent && must_wait(&self.identities, &self.in_flight, partition, queue) {
            return None;
        }
        if !base.channels.ready(ctx, to) {
            return None;
        }
        let on_connection = self.in_flight.values().filter(|in_flight| in_flight.to == to).count();
        (on_connection < self.spec.max_in_flight).then_some(to)
    }

    fn send_first(&mut self, ctx: &mut ClientCtx<'_>, base: &Base, partition: &TopicPartition, to: NodeId) {
        let Some(queue) = self.queues.get_mut(partition) else { return };
        let Some(mut batch) = queue.waiting.pop_front() else { return };
        if let Some(identity) = self.identities.current.filter(|_| self.spec.idempotent) {
            match &mut batch.sequence {
                Some((known, _)) if known.id < 0 => *known = identity,
                Some(_) => {}
                None => {
                    if queue.sequences.identity != Some(identity) {
                        queue.sequences = Sequences { identity: Some(identity), ..Sequences::default() };
                    }
                    batch.sequence = Some((identity, queue.sequences.take(batch.len())));
                }
            }
        }
        batch.attempts += 1;
        batch.last_attempt_at = ctx.now;
        ctx.happened(
            Some(batch.op),
            HistoryEvent::Sent {
                partition: partition.clone(),
                to,
                records: batch.records.len(),
                attempt: batch.attempts,
                producer: batch.sequence.map(|(identity, sequence)| (identity.id, identity.epoch, sequence)),
            },
        );
        let topic_id = base.metadata.topic_id(&partition.topic);
        // By id once the metadata has told it (KIP-516), as `ProduceRequest.builder` does.
        let newest = if topic_id.is_nil() { VERSION - 1 } else { VERSION };
        let version = base.channels.version(to, ApiKey::Produce, newest);
        let acks = self.spec.acks;
        let timeout_ms = i32::try_from(base.settings.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = batch.request(partition, topic_id, version, acks, timeout_ms);
        if acks == 0 {
            ctx.tell(to, ApiKey::Produce, version, request);
            succeed(ctx, partition, &batch, acks, None, -1);
            return;
        }
        let patience = base.settings.request_timeout;
        let correlation_id = ctx.ask_within(to, ApiKey::Produce, version, request, patience);
        self.in_flight.insert(correlation_id, InFlight { partition: partition.clone(), to, batch });
    }

    /// Fails what was not delivered in time; whether anything was.
    fn expire(&mut self, ctx: &mut ClientCtx<'_>) -> bool {
        let mut expired = Vec::new();
        let now = ctx.now;
        let (delivery, block) = (self.spec.delivery_timeout, self.spec.max_block);
        let is_late = |batch: &Batch| match batch.created_at {
            Some(created_at) => created_at + delivery <= now,
            None => batch.asked_at + block <= now,
        };
        for (partition, queue) in &mut self.queues {
            // Only the front can be late: batches wait in the order in which they were asked for, or were in flight before.
            while let Some(batch) = queue.waiting.pop_front_if(|batch| is_late(batch)) {
                expired.push((partition.clone(), batch));
            }
        }
        for in_flight in self.in_flight.values_mut().filter(|in_flight| !in_flight.batch.done) {
            if is_late(&in_flight.batch) {
                in_flight.batch.done = true;
                in_flight.batch.maybe_appended = true;
                expired.push((in_flight.partition.clone(), in_flight.batch.clone()));
            }
        }
        let any = !expired.is_empty();
        for (partition, batch) in expired {
            let error = match batch.created_at {
                Some(_) => ClientError::DeliveryTimedOut,
                None => ClientError::MetadataTimedOut,
            };
            fail(ctx, &partition, &batch, error);
            if batch.in_retry
                && let Some(last) = batch.last_sequence()
                && let Some(queue) = self.queues.get_mut(&partition)
            {
                queue.sequences.mark_unresolved(last);
            }
        }
        any
    }

    fn end_flushes(&mut self, ctx: &mut ClientCtx<'_>) {
        let pending = self.queues.values().flat_map(|queue| &queue.waiting);
        let in_flight = self.in_flight.values().map(|in_flight| &in_flight.batch).filter(|batch| !batch.done);
        let oldest = pending.chain(in_flight).map(|batch| batch.op).min();
        self.flushes.retain(|flush| {
            let waits = oldest.is_some_and(|oldest| oldest < *flush);
            if !waits {
                ctx.end(*flush, Ok(OpValue::Done));
            }
            waits
        });
    }

    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        correlation_id: i32,
        answer: &Answer,
    ) {
        if let Some(result) = self.identities.on_answer(ctx, base, correlation_id, answer) {
            if let Err(error) = result {
                self.give_up(ctx, &error);
            }
            return;
        }
        if let Some(in_flight) = self.in_flight.remove(&correlation_id) {
            self.complete(ctx, base, in_flight, answer);
        }
    }

    /// Fails everything, and everything to come (`TransactionManager.transitionToFatalError`).
    fn give_up(&mut self, ctx: &mut ClientCtx<'_>, error: &ClientError) {
        for (partition, queue) in &mut self.queues {
            for batch in queue.waiting.drain(..) {
                fail(ctx, partition, &batch, error.clone());
            }
        }
        for InFlight { partition, batch, .. } in self.in_flight.values_mut().filter(|it| !it.batch.done) {
            batch.done = true;
            batch.maybe_appended = true;
            fail(ctx, partition, batch, error.clone());
        }
        self.fatal = Some(error.clone());
    }
}

fn succeed(
    ctx: &mut ClientCtx<'_>,
    partition: &TopicPartition,
    batch: &Batch,
    acks: i16,
    base_offset: Option<i64>,
    log_append_time: i64,
) {
    let timestamp = if log_append_time >= 0 { log_append_time } else { batch.timestamp() };
    let records = batch.records.len();
    ctx.happened(
        Some(batch.op),
        HistoryEvent::Acked { partition: partition.clone(), acks, base_offset, records, timestamp },
    );
    let partition = partition.clone();
    let produced = Produced { partition, base_offset, timestamp, attempts: batch.attempts };
    ctx.end(batch.op, Ok(OpValue::Produced(produced)));
}

fn fail(ctx: &mut ClientCtx<'_>, partition: &TopicPartition, batch: &Batch, error: ClientError) {
    ctx.happened(
        Some(batch.op),
        HistoryEvent::SendFailed {
            partition: partition.clone(),
            error: error.clone(),
            maybe_appended: batch.maybe_appended,
        },
    );
    ctx.end(batch.op, Err(error));
}
