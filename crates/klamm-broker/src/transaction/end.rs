//! A transaction is decided (`endTransaction`): by its producer, because a new producer fences it, or because it is open for too long.

use klamm_node::{Ctx, ReplyTo, TransactionEvent};
use klamm_wire::messages::{EndTxnResponse, ProducerId, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use super::append::After;
use super::metadata::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, TransactionMetadata, Transit};
use super::state::{TransactionState, TransactionVersion};
use super::{TransactionCoordinator, init_producer_id};
use crate::core::Core;

/// What shall become of a transaction.
#[derive(Debug, Clone)]
pub(crate) struct EndTransaction {
    /// The transactional id.
    pub(crate) transactional_id: StrBytes,
    /// The producer.
    pub(crate) producer_id: i64,
    /// Its epoch.
    pub(crate) producer_epoch: i16,
    /// Commit it, or abort it.
    pub(crate) commit: bool,
    /// Who wants it so, and where the answer goes.
    pub(crate) reply: EndReply,
}

/// Who wants a transaction to end.
#[derive(Debug, Clone)]
pub(crate) enum EndReply {
    /// Its producer.
    Client {
        /// Where the answer goes.
        to: ReplyTo,
        /// The version of the EndTxn.
        version: i16,
    },
    /// A new producer of the same id.
    Init {
        /// Where the answer goes.
        to: ReplyTo,
        /// The version of the InitProducerId.
        version: i16,
    },
    /// The coordinator itself: its time is up.
    TimedOut,
}

/// What to do with a request to end a transaction.
enum Verdict {
    /// Refuse it.
    Refuse(ErrorCode),
    /// It has been done before: tell the client the same again.
    Again,
    /// Decide; `true` when the transaction may never have begun.
    Decide(TransactionState, bool),
}

impl EndTransaction {
    const fn is_from_client(&self) -> bool {
        matches!(self.reply, EndReply::Client { .. })
    }

    const fn prepared(&self) -> TransactionState {
        if self.commit { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort }
    }

    const fn completed(&self) -> TransactionState {
        if self.commit { TransactionState::CompleteCommit } else { TransactionState::CompleteAbort }
    }

    /// What `transaction.version` 0 and 1 make of it.
    fn judge(&self, metadata: &TransactionMetadata) -> Verdict {
        let now = &metadata.current;
        let other_epoch = self.is_from_client() && self.producer_epoch != now.producer_epoch;
        if now.producer_id != self.producer_id {
            return Verdict::Refuse(ErrorCode::InvalidProducerIdMapping);
        }
        if other_epoch || self.producer_epoch < now.producer_epoch {
            return Verdict::Refuse(ErrorCode::ProducerFenced);
        }
        if is_pending(metadata) {
            return Verdict::Refuse(ErrorCode::ConcurrentTransactions);
        }
        match now.state {
            TransactionState::Ongoing => Verdict::Decide(self.prepared(), false),
            state if state == self.completed() => Verdict::Again,
            state if state == self.prepared() => Verdict::Refuse(ErrorCode::ConcurrentTransactions),
            TransactionState::Dead | TransactionState::PrepareEpochFence => {
                Verdict::Refuse(ErrorCode::UnknownServerError)
            }
            _ => Verdict::Refuse(ErrorCode::InvalidTxnState),
        }
    }

    /// What `transaction.version` 2 makes of it: each transaction has its own epoch, so that a request for the one before is known.
    fn judge_v2(&self, metadata: &TransactionMetadata) -> Verdict {
        use TransactionState as S;
        let now = &metadata.current;
        let is_fence = is_epoch_fence(metadata);
        let is_current = self.producer_epoch == now.producer_epoch;
        // The client has the epoch before: the answer that told it the next was lost.
        let retries_overflow = !is_fence
            && now.prev_producer_id == self.producer_id
            && self.producer_epoch == i16::MAX - 1
            && now.producer_epoch == 0;
        let retries_bump = !is_fence && self.producer_epoch.checked_add(1) == Some(now.producer_epoch);
        let is_retry = retries_bump || retries_overflow;
        let is_valid_epoch = if is_fence {
            (!self.is_from_client() || is_current) && self.producer_epoch >= now.producer_epoch
        } else {
            match now.state {
                S::Ongoing | S::Empty | S::Dead | S::PrepareEpochFence => is_current,
                S::PrepareCommit | S::PrepareAbort => retries_bump,
                S::CompleteCommit | S::CompleteAbort => is_retry || is_current,
            }
        };
        if is_pending(metadata) {
            return Verdict::Refuse(ErrorCode::ConcurrentTransactions);
        }
        if now.producer_id != self.producer_id && !retries_overflow {
            return Verdict::Refuse(ErrorCode::InvalidProducerIdMapping);
        }
        if !is_valid_epoch {
            return Verdict::Refuse(ErrorCode::ProducerFenced);
        }
        match now.state {
            S::Ongoing => Verdict::Decide(self.prepared(), false),
            S::CompleteCommit | S::CompleteAbort if is_retry => {
                if now.state == self.completed() {
                    Verdict::Again
                } else {
                    Verdict::Refuse(ErrorCode::InvalidTxnState)
                }
            }
            // The client cannot know whether a transaction has begun, so it may abort where there is none.
            S::CompleteCommit | S::CompleteAbort | S::Empty if !self.commit => {
                Verdict::Decide(S::PrepareAbort, true)
            }
            S::PrepareCommit | S::PrepareAbort if now.state == self.prepared() => {
                Verdict::Refuse(ErrorCode::ConcurrentTransactions)
            }
            S::Dead | S::PrepareEpochFence => Verdict::Refuse(ErrorCode::UnknownServerError),
            _ => Verdict::Refuse(ErrorCode::InvalidTxnState),
        }
    }
}

/// Whether a change is under way that must end first. A fence does not stand in the way of the abort that is part of it.
fn is_pending(metadata: &TransactionMetadata) -> bool {
    metadata.pending.is_some() && !is_epoch_fence(metadata)
}

fn is_epoch_fence(metadata: &TransactionMetadata) -> bool {
    metadata.pending == Some(TransactionState::PrepareEpochFence)
}

impl TransactionCoordinator {
    /// Commits or aborts a transaction, as `version` of the protocol says: whoever asked is answered once the decision is
    /// committed; the markers are on their way then.
    pub(crate) fn end_transaction(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        end: EndTransaction,
        version: TransactionVersion,
    ) {
        match self.prepare_end(core, ctx, &end, version) {
            Err(error) => {
                self.trace_refused(ctx, &end.transactional_id, "EndTxn", error);
                answer(ctx, &end.reply, Err(error));
            }
            Ok(Prepared::Again(producer)) => answer(ctx, &end.reply, Ok(producer)),
            Ok(Prepared::Decided { epoch, transit, is_epoch_fence }) => {
                let bumps_epoch = version.bumps_epoch();
                let id = end.transactional_id.clone();
                let after = After::End { end, bumps_epoch, is_epoch_fence };
                self.append(core, ctx, &id, epoch, transit, after);
            }
        }
    }

    fn prepare_end(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        end: &EndTransaction,
        version: TransactionVersion,
    ) -> Result<Prepared, ErrorCode> {
        if end.transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        let now_ms = ctx.wall.millis();
        let (epoch, metadata) = self.transaction(&end.transactional_id)?;
        let metadata = metadata.ok_or(ErrorCode::InvalidProducerIdMapping)?;
        let is_fence = is_epoch_fence(metadata);
        let verdict = if version.bumps_epoch() { end.judge_v2(metadata) } else { end.judge(metadata) };
        let (state, no_partition_added) = match verdict {
            Verdict::Refuse(error) => return Err(error),
            Verdict::Again if version.bumps_epoch() => {
                return Ok(Prepared::Again((metadata.current.producer_id, metadata.current.producer_epoch)));
            }
            Verdict::Again => return Ok(Prepared::Again((NO_PRODUCER_ID, NO_PRODUCER_EPOCH))),
            Verdict::Decide(state, no_partition_added) => (state, no_partition_added),
        };
        let aborts_for_fence = is_fence && state == TransactionState::PrepareAbort;
        let mut next_producer_id = NO_PRODUCER_ID;
        if version.bumps_epoch() {
            if metadata.is_epoch_exhausted() {
                let Some(producer_id) = core.take_producer_id() else {
                    // Kafka's client comes again, and finds the block that is asked for here.
                    core.request_producer_ids(ctx);
                    if is_fence {
                        metadata.pending = None;
                    }
                    return Err(ErrorCode::CoordinatorLoadInProgress);
                };
                next_producer_id = producer_id;
            }
        } else if aborts_for_fence {
            metadata.current.producer_epoch = end.producer_epoch;
            metadata.current.last_producer_epoch = NO_PRODUCER_EPOCH;
        }
        if aborts_for_fence {
            metadata.pending = None;
        }
        let transit = metadata.prepare_abort_or_commit(
            state,
            if version.bumps_epoch() { version } else { TransactionVersion::V0 },
            next_producer_id,
            now_ms,
            no_partition_added,
        )?;
        Ok(Prepared::Decided { epoch, transit, is_epoch_fence: is_fence })
    }

    /// A decision is committed: the answer goes out, and the markers follow. Or it is not, and only the answer goes out.
    pub(super) fn ended(
        &mut self,
        core: &mut Core,
        ctx: &mut Ctx<'_>,
        end: &EndTransaction,
        bumps_epoch: bool,
        is_epoch_fence: bool,
        result: Result<(), ErrorCode>,
    ) {
        if let Err(error) = result {
            // With transaction.version 2 the epoch is not bumped before the decision is committed.
            if is_epoch_fence
                && !bumps_epoch
                && let Ok((_, Some(metadata))) = self.transaction(&end.transactional_id)
            {
                metadata.has_failed_epoch_fence = true;
            }
            return answer(ctx, &end.reply, Err(error));
        }
        match self.prepare_completion(ctx, &end.transactional_id) {
            Err(error) => answer(ctx, &end.reply, Err(error)),
            Ok(completion) => {
                let producer = if bumps_epoch {
                    (completion.transit.producer_id, completion.transit.producer_epoch)
                } else {
                    (NO_PRODUCER_ID, NO_PRODUCER_EPOCH)
                };
                answer(ctx, &end.reply, Ok(producer));
                self.send_markers(core, ctx, completion);
            }
        }
    }

    /// Says why a request was refused.
    pub(super) fn trace_refused(
        &mut self,
        ctx: &mut Ctx<'_>,
        transactional_id: &StrBytes,
        request: &'static str,
        error: ErrorCode,
    ) {
        if !ctx.tracing() {
            return;
        }
        let state = match self.transaction(transactional_id) {
            Ok((_, Some(metadata))) => {
                let current = &metadata.current;
                format!("{} of {}:{}", current.state.name(), current.producer_id, current.producer_epoch)
            }
            Ok((_, None)) => "not known".to_owned(),
            Err(_) => "not coordinated here".to_owned(),
        };
        ctx.trace(TransactionEvent::TransactionRefused {
            transactional_id: transactional_id.clone(),
            request,
            error: error.name(),
            state,
        });
    }
}

/// A request to end a transaction, looked at.
enum Prepared {
    /// It has been done before: the same answer again.
    Again((i64, i16)),
    /// A decision, to be written down.
    Decided {
        /// The coordinator's epoch.
        epoch: i32,
        /// The decision.
        transit: Transit,
        /// Whether the producer is being fenced.
        is_epoch_fence: bool,
    },
}

/// Answers whoever wanted the end. A client before version 2 does not know `PRODUCER_FENCED`; a new producer that had to wait
/// for the abort is asked to come again.
fn answer(ctx: &mut Ctx<'_>, reply: &EndReply, result: Result<(i64, i16), ErrorCode>) {
    match *reply {
        EndReply::TimedOut => {}
        EndReply::Init { to, version } => {
            let error = result.err().unwrap_or(ErrorCode::ConcurrentTransactions);
            init_producer_id::answer(ctx, to, version, Err(error));
        }
        EndReply::Client { to, version } => {
            let (error, (producer_id, epoch)) = match result {
                Ok(producer) => (ErrorCode::None, producer),
                Err(ErrorCode::ProducerFenced) if version < 2 => {
                    (ErrorCode::InvalidProducerEpoch, (NO_PRODUCER_ID, NO_PRODUCER_EPOCH))
                }
                Err(error) => (error, (NO_PRODUCER_ID, NO_PRODUCER_EPOCH)),
            };
            let response = EndTxnResponse::default()
                .with_error_code(error.code())
                .with_producer_id(ProducerId(producer_id))
                .with_producer_epoch(epoch);
            ctx.reply(to, ResponseKind::EndTxn(response));
        }
    }
}
