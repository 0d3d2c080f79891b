//! What an answer to a Produce request means for its batch (`Sender.completeBatch`, `TransactionManager.canRetry`).

use klamm_node::NodeId;
use klamm_wire::messages::ResponseKind;
use klamm_wire::messages::produce_response::PartitionProduceResponse;
use klamm_wire::{ErrorCode, Response};

use super::{InFlight, Producer, fail, succeed};
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::{Answer, ClientCtx};

/// What the broker, or the lack of it, said of a batch.
#[derive(Debug, Clone)]
struct Outcome {
    error: ErrorCode,
    /// What the operation ends with, if it ends with this.
    client_error: ClientError,
    base_offset: i64,
    log_append_time: i64,
    log_start_offset: i64,
    /// The leader that the broker names instead of itself (KIP-951).
    leader: Option<(NodeId, i32)>,
}

impl Outcome {
    fn of(answer: &Answer) -> Self {
        let none = |error, client_error| Self {
            error,
            client_error,
            base_offset: -1,
            log_append_time: -1,
            log_start_offset: -1,
            leader: None,
        };
        match answer {
            Answer::Disconnected => none(ErrorCode::NetworkException, ClientError::Disconnected),
            Answer::TimedOut => none(ErrorCode::RequestTimedOut, ClientError::RequestTimedOut),
            Answer::Response(response) => match partition(response) {
                Some(partition) => {
                    let error =
                        ErrorCode::from_code(partition.error_code).unwrap_or(ErrorCode::UnknownServerError);
                    let leader = &partition.current_leader;
                    Self {
                        error,
                        client_error: ClientError::Broker(error),
                        base_offset: partition.base_offset,
                        log_append_time: partition.log_append_time_ms,
                        log_start_offset: partition.log_start_offset,
                        leader: (leader.leader_id.0 >= 0)
                            .then_some((NodeId(leader.leader_id.0), leader.leader_epoch)),
                    }
                }
                None => {
                    none(ErrorCode::UnknownServerError, ClientError::Broker(ErrorCode::UnknownServerError))
                }
            },
        }
    }

    /// Whether the batch may be in the log although this is no acknowledgement. A leader that is deposed while it waits for
    /// its followers says so too, with what it appended in its log, and perhaps in theirs.
    const fn leaves_doubt(&self) -> bool {
        matches!(
            self.error,
            ErrorCode::NetworkException
                | ErrorCode::RequestTimedOut
                | ErrorCode::NotEnoughReplicasAfterAppend
                | ErrorCode::UnknownServerError
                | ErrorCode::KafkaStorageError
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::FencedLeaderEpoch
                | ErrorCode::UnknownTopicOrPartition
        )
    }
}

fn partition(response: &Response) -> Option<&PartitionProduceResponse> {
    let Response::Other(response) = response else { return None };
    let ResponseKind::Produce(response) = &**response else { return None };
    response.responses.first()?.partition_responses.first()
}

impl Producer {
    /// Ends a batch, or puts it back.
    pub(super) fn complete(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &mut Base,
        in_flight: InFlight,
        answer: &Answer,
    ) {
        let InFlight { partition, mut batch, .. } = in_flight;
        let outcome = Outcome::of(answer);
        let error = outcome.error;
        if matches!(error, ErrorCode::None | ErrorCode::DuplicateSequenceNumber) {
            self.acked(&partition, &batch, outcome.base_offset);
            if !batch.done {
                let base_offset = (outcome.base_offset >= 0).then_some(outcome.base_offset);
                succeed(ctx, &partition, &batch, self.spec.acks, base_offset, outcome.log_append_time);
            }
            return;
        }
        batch.maybe_appended |= outcome.leaves_doubt();
        if is_invalid_metadata(error) {
            if let Some((leader, epoch)) = outcome.leader
                && matches!(error, ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch)
            {
                base.metadata.hint(&partition, leader, epoch);
            }
            base.metadata.request_update();
        }
        let late = self.times_out(&batch) <= ctx.now;
        if batch.done {
            return;
        }
        if !late && batch.attempts <= self.spec.retries && self.can_retry(&partition, &batch, &outcome) {
            batch.in_retry = true;
            batch.not_before = ctx.now + base.backoff.wait(ctx.rng, batch.attempts - 1);
            // The order of sequences, or else in front of all (`RecordAccumulator.reenqueue`).
            if let Some(queue) = self.queues.get_mut(&partition) {
                let at = match batch.sequence {
                    Some((_, sequence)) => {
                        let before = |other: &super::Batch| other.sequence.is_some_and(|(_, s)| s < sequence);
                        queue.waiting.iter().take_while(|other| before(other)).count()
                    }
                    None => 0,
                };
                queue.waiting.insert(at, batch);
            }
            return;
        }
        fail(ctx, &partition, &batch, outcome.client_error.clone());
        if is_fatal(error) {
            self.give_up(ctx, &outcome.client_error);
        } else if self.spec.idempotent {
            // After the last attempt nobody knows whether the sequence was accepted: it must not be given again.
            let exhausted = batch.attempts > self.spec.retries;
            if error == ErrorCode::OutOfOrderSequenceNumber || !exhausted {
                self.identities.request_bump(&partition);
            }
        }
    }

    fn acked(&mut self, partition: &klamm_node::TopicPartition, batch: &super::Batch, base_offset: i64) {
        if let Some(last_sequence) = batch.last_sequence()
            && let Some(queue) = self.queues.get_mut(partition)
        {
            let last_offset = if base_offset < 0 { -1 } else { base_offset + i64::from(batch.len()) - 1 };
            queue.sequences.acked(last_sequence, last_offset);
        }
    }

    /// Whether the producer may try again, as far as the error goes.
    fn can_retry(
        &mut self,
        partition: &klamm_node::TopicPartition,
        batch: &super::Batch,
        outcome: &Outcome,
    ) -> bool {
        let Some((_, sequence)) = batch.sequence else { return outcome.error.is_retriable() };
        let Some(sequences) = self.queues.get(partition).map(|queue| queue.sequences) else { return false };
        match outcome.error {
            ErrorCode::UnknownProducerId => {
                // The broker lost the producer's state. Unless only the sequences of this batch are old, begin anew.
                if outcome.log_start_offset != -1 && !batch.sequence_was_reset {
                    self.identities.request_bump(partition);
                }
                true
            }
            ErrorCode::OutOfOrderSequenceNumber => {
                let resolved = sequences.unresolved.is_none();
                let earlier_failed = batch.sequence_was_reset || !sequences.is_next(sequence);
                // A batch that is the next one and yet out of order shows a gap: only another epoch leads on.
                if (resolved && !earlier_failed) || sequences.is_next_after_unresolved(sequence) {
                    self.identities.request_bump(partition);
                }
                true
            }
            error => error.is_retriable(),
        }
    }
}

/// Errors that show that the metadata is out of date (`InvalidMetadataException`).
const fn is_invalid_metadata(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::NetworkException
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::KafkaStorageError
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::ListenerNotFound
    )
}

/// Errors after which an idempotent producer is of no use (`TransactionManager.maybeTransitionToErrorState`).
const fn is_fatal(error: ErrorCode) -> bool {
    matches!(
        error,
        ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::ProducerFenced
            | ErrorCode::UnsupportedVersion
            | ErrorCode::InvalidProducerIdMapping
    )
}
