//! Writing changes to `__transaction_state`, and what follows once they are committed (`appendTransactionToLog`).

use std::collections::VecDeque;
use std::time::Duration;

use klamm_node::{Ctx, ReplyTo, Timestamp, TransactionEvent};
use klamm_wire::{ErrorCode, StrBytes};

use super::add_partitions::AddPartitions;
use super::end::{EndReply, EndTransaction};
use super::init_producer_id;
use super::markers::Completion;
use super::metadata::Transit;
use super::{
    TransactionCoordinator, TransactionTimer, records, server_version, state::TransactionState,
    state_partition,
};
use crate::core::{Core, Timer};

/// A change that is in the log and waits to be committed.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    /// The high watermark it waits for.
    pub(super) offset: i64,
    /// When it is given up.
    pub(super) deadline: Timestamp,
    /// The changes, by transactional id: one, or the ids that expire together.
    pub(super) changes: Vec<(StrBytes, Transit)>,
    /// What follows.
    pub(super) after: After,
}

/// What a change is for.
#[derive(Debug, Clone)]
pub(crate) enum After {
    /// An InitProducerId's answer.
    Init {
        /// Where it goes.
        to: ReplyTo,
        /// The request's version.
        version: i16,
        /// What it says.
        producer: (i64, i16),
    },
    /// The answer to a request that adds partitions.
    Add(AddPartitions),
    /// A decision: its markers, and the answer to who decided.
    End {
        /// What was asked for.
        end: EndTransaction,
        /// Whether the client learns the producer id and epoch of its next transaction (KIP-890).
        bumps_epoch: bool,
        /// Whether the producer is being fenced.
        is_epoch_fence: bool,
    },
    /// Every partition has its marker; this was the last word.
    Complete(Completion),
    /// Ids that expired are to be forgotten.
    Expire,
}

impl After {
    /// Why the state changed, in a word for the trace.
    const fn cause(&self) -> &'static str {
        match self {
            Self::Init { .. } => "producer initialized",
            Self::Add(_) => "partitions added",
            Self::End { end, .. } => match (&end.reply, end.commit) {
                (EndReply::TimedOut, _) => "timed out",
                (EndReply::Init { .. }, _) => "a new producer fences the old one",
                (EndReply::Client { .. }, true) => "commit asked for",
                (EndReply::Client { .. }, false) => "abort asked for",
            },
            Self::Complete(_) => "every partition has its marker",
            Self::Expire => "expired",
        }
    }
}

/// The error that a client of the coordinator is told, for an error of the log beneath it.
const fn coordinator_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::NotEnoughReplicas
        | ErrorCode::NotEnoughReplicasAfterAppend
        | ErrorCode::RequestTimedOut => ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge => ErrorCode::UnknownServerError,
        other => other,
    }
}

impl TransactionCoordinator {
    /// Writes a prepared change down; it takes effect once it is committed, and `after` follows. An epoch of the coordinator that
    /// has passed is `NOT_COORDINATOR`.
    pub(super) fn append(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        transactional_id: &StrBytes,
        epoch: i32,
        transit: Transit,
        after: After,
    ) {
        let partition = match self.serving(transactional_id) {
            Ok(shard) if shard.epoch == epoch && shard.transactions.contains_key(transactional_id) => {
                shard.partition
            }
            Ok(_) => return self.finish(core, ctx, after, Err(ErrorCode::NotCoordinator)),
            Err(error) => return self.finish(core, ctx, after, Err(error)),
        };
        let batch = records::encode(transactional_id, &transit, server_version(core), ctx.wall.millis());
        let appended = batch.and_then(|batch| core.append_internal(ctx, &state_partition(partition), batch));
        let timeout_ms = u64::try_from(transit.timeout_ms).unwrap_or(0);
        let changes = vec![(transactional_id.clone(), transit)];
        match appended {
            Ok(append) => {
                let deadline = ctx.now + Duration::from_millis(timeout_ms);
                let waiting = Waiting { offset: append.next_offset, deadline, changes, after };
                self.wait(core, ctx, partition, waiting);
            }
            Err(error) => self.failed(core, ctx, partition, &changes, after, coordinator_error(error)),
        }
    }

    /// Keeps a change until it is committed, which it is at once where there is no other replica.
    pub(super) fn wait(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32, waiting: Waiting) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        shard.waiting.push_back(waiting);
        if let Some(high_watermark) = core.high_watermark(&state_partition(partition)) {
            self.on_high_watermark(core, ctx, partition, high_watermark);
        }
        self.watch_deadlines(core, partition);
    }

    /// The high watermark is at `offset`: the changes below it take effect, or, where it moved though too few replicas have them, fail
    /// (`Partition.checkEnoughReplicasReachOffset`).
    pub(super) fn on_high_watermark(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        partition: i32,
        offset: i64,
    ) {
        let mut any = false;
        let replica = core.replicas.by_name(&state_partition(partition));
        let enough = replica.is_none_or(|p| p.effective_min_isr() <= p.maximal_isr_len());
        while let Some(shard) = self.shards.get_mut(&partition)
            && shard.waiting.front().is_some_and(|waiting| waiting.offset <= offset)
            && let Some(waiting) = shard.waiting.pop_front()
        {
            any = true;
            if enough {
                self.committed(core, ctx, partition, waiting);
            } else {
                let error = coordinator_error(ErrorCode::NotEnoughReplicasAfterAppend);
                self.failed(core, ctx, partition, &waiting.changes, waiting.after, error);
            }
        }
        if any {
            self.watch_deadlines(core, partition);
        }
    }

    /// Gives up what was not committed in time. It may still be, later, and only the next coordinator will know.
    pub(super) fn on_write_timeout(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        let (late, on_time): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut shard.waiting).into_iter().partition(|waiting| waiting.deadline <= ctx.now);
        shard.waiting = on_time;
        for Waiting { changes, after, .. } in late {
            let error = coordinator_error(ErrorCode::RequestTimedOut);
            self.failed(core, ctx, partition, &changes, after, error);
        }
        self.watch_deadlines(core, partition);
    }

    fn watch_deadlines(&self, core: &mut Core, partition: i32) {
        let timer = Timer::Transaction(TransactionTimer::WriteTimeout { partition });
        let waiting = self.shards.get(&partition).into_iter().flat_map(|shard| &shard.waiting);
        match waiting.map(|waiting| waiting.deadline).min() {
            Some(first) => core.set_timer(timer, first),
            None => {
                core.cancel_timer(&timer);
            }
        }
    }

    fn committed(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32, waiting: Waiting) {
        let Waiting { changes, after, .. } = waiting;
        let mut result = Ok(());
        for (id, transit) in changes {
            let Some(shard) = self.shards.get_mut(&partition) else { return };
            let Some(metadata) = shard.transactions.get_mut(&id) else {
                result = Err(ErrorCode::NotCoordinator);
                continue;
            };
            let (from, to) = (metadata.current.state, transit.state);
            let (producer_id, producer_epoch) = (transit.producer_id, transit.producer_epoch);
            if to == TransactionState::Dead {
                shard.transactions.remove(&id);
            } else if let Err(error) = metadata.complete(transit) {
                result = Err(error);
                continue;
            }
            if ctx.tracing() {
                ctx.trace(TransactionEvent::TransactionState {
                    transactional_id: id,
                    from: from.name(),
                    to: to.name(),
                    producer_id,
                    producer_epoch,
                    cause: after.cause(),
                });
            }
        }
        self.finish(core, ctx, after, result);
    }

    /// A change is not in the log, or not known to be committed: it is pending no longer, unless it is tried again.
    pub(super) fn failed(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        partition: i32,
        changes: &[(StrBytes, Transit)],
        after: After,
        error: ErrorCode,
    ) {
        let tried_again = matches!(after, After::Complete(_)) && error == ErrorCode::CoordinatorNotAvailable;
        if let Some(shard) = self.shards.get_mut(&partition)
            && !tried_again
        {
            for (id, _) in changes {
                if let Some(metadata) = shard.transactions.get_mut(id) {
                    metadata.pending = None;
                }
            }
        }
        self.finish(core, ctx, after, Err(error));
    }

    /// Does what a change was for.
    pub(super) fn finish(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        after: After,
        result: Result<(), ErrorCode>,
    ) {
        match after {
            After::Init { to, version, producer } => {
                init_producer_id::answer(ctx, to, version, result.map(|()| producer));
            }
            After::Add(add) => self.answer_add(ctx, add, result),
            After::End { end, bumps_epoch, is_epoch_fence } => {
                self.ended(core, ctx, &end, bumps_epoch, is_epoch_fence, result);
            }
            After::Complete(completion) => self.completed(core, ctx, completion, result),
            After::Expire => {}
        }
    }
}
