//! A producer with a transactional id begins, or begins again (`handleInitProducerId`).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::messages::{InitProducerIdResponse, ProducerId, ResponseKind};
use klamm_wire::{ErrorCode, StrBytes};

use super::append::After;
use super::end::{EndReply, EndTransaction};
use super::metadata::{NO_PRODUCER_EPOCH, NO_PRODUCER_ID, TransactionMetadata, Transit, is_epoch_exhausted};
use super::state::TransactionState;
use super::{TransactionCoordinator, server_version};
use crate::core::{CoordinatorEvent, Core};

/// How many may wait for producer ids; more are asked to try again.
const MAX_WAITING: usize = 1000;

/// A request for the next epoch of a transactional id's producer.
#[derive(Debug, Clone)]
pub(crate) struct InitProducerId {
    /// Where the answer goes.
    pub(crate) to: ReplyTo,
    /// The request's version.
    pub(crate) version: i16,
    /// The transactional id.
    pub(crate) transactional_id: StrBytes,
    /// How long its transactions may be open, in milliseconds.
    pub(crate) timeout_ms: i32,
    /// The producer id and epoch that the client says it has.
    pub(crate) expected: Option<(i64, i16)>,
}

/// Why no change was prepared.
enum NotPrepared {
    /// The request is refused.
    Refused(ErrorCode),
    /// A new producer id is needed, and there is none at hand.
    NoProducerId,
}

impl From<ErrorCode> for NotPrepared {
    fn from(error: ErrorCode) -> Self {
        Self::Refused(error)
    }
}

impl TransactionCoordinator {
    /// Gives a transactional id's producer its next epoch. An open transaction of the producer before is aborted first; the client
    /// is asked to come again (`CONCURRENT_TRANSACTIONS`).
    pub(crate) fn init_producer_id(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, init: InitProducerId) {
        if init.timeout_ms <= 0 || init.timeout_ms > self.config.max_timeout_ms {
            return answer(ctx, init.to, init.version, Err(ErrorCode::InvalidTransactionTimeout));
        }
        match self.prepare_init(core, ctx, &init) {
            Err(NotPrepared::Refused(error)) => {
                self.trace_refused(ctx, &init.transactional_id, "InitProducerId", error);
                answer(ctx, init.to, init.version, Err(error));
            }
            Err(NotPrepared::NoProducerId) => self.wait_for_producer_id(core, ctx, init),
            Ok((_, transit)) if transit.state == TransactionState::PrepareEpochFence => {
                let end = EndTransaction {
                    transactional_id: init.transactional_id,
                    producer_id: transit.producer_id,
                    producer_epoch: transit.producer_epoch,
                    commit: false,
                    reply: EndReply::Init { to: init.to, version: init.version },
                };
                self.end_transaction(core, ctx, end, server_version(core));
            }
            Ok((epoch, transit)) => {
                let producer = (transit.producer_id, transit.producer_epoch);
                let after = After::Init { to: init.to, version: init.version, producer };
                self.append(core, ctx, &init.transactional_id, epoch, transit, after);
            }
        }
    }

    fn prepare_init(
        &mut self,
        core: &mut Core,
        ctx: &Ctx<'_>,
        init: &InitProducerId,
    ) -> Result<(i32, Transit), NotPrepared> {
        let now_ms = ctx.wall.millis();
        let shard = self.serving(&init.transactional_id)?;
        if !shard.transactions.contains_key(&init.transactional_id) {
            let producer_id = core.take_producer_id().ok_or(NotPrepared::NoProducerId)?;
            let created = TransactionMetadata::new(producer_id, init.timeout_ms, now_ms);
            shard.transactions.insert(crate::group::own(&init.transactional_id), created);
        }
        let epoch = shard.epoch;
        let Some(metadata) = shard.transactions.get_mut(&init.transactional_id) else {
            return Err(ErrorCode::NotCoordinator.into());
        };
        if metadata.pending.is_some() {
            return Err(ErrorCode::ConcurrentTransactions.into());
        }
        if init.expected.is_some_and(|expected| !is_its_producer(metadata, expected)) {
            return Err(ErrorCode::ProducerFenced.into());
        }
        let expected_epoch = init.expected.map(|(_, epoch)| epoch);
        let transit = match metadata.current.state {
            TransactionState::PrepareAbort | TransactionState::PrepareCommit => {
                return Err(ErrorCode::ConcurrentTransactions.into());
            }
            TransactionState::CompleteAbort | TransactionState::CompleteCommit | TransactionState::Empty => {
                let is_now = |epoch: i16| epoch == metadata.current.producer_epoch;
                if metadata.is_epoch_exhausted() && expected_epoch.is_none_or(is_now) {
                    let producer_id = core.take_producer_id().ok_or(NotPrepared::NoProducerId)?;
                    let record_last_epoch = init.expected.is_some();
                    metadata.prepare_producer_id_rotation(
                        producer_id,
                        init.timeout_ms,
                        now_ms,
                        record_last_epoch,
                    )?
                } else {
                    metadata.prepare_increment_epoch(init.timeout_ms, expected_epoch, now_ms)?
                }
            }
            TransactionState::Ongoing => metadata.prepare_fence()?,
            TransactionState::Dead | TransactionState::PrepareEpochFence => {
                return Err(ErrorCode::UnknownServerError.into());
            }
        };
        Ok((epoch, transit))
    }

    /// A block of producer ids is asked for; the request is looked at again when it is here.
    fn wait_for_producer_id(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, init: InitProducerId) {
        if self.waiting_for_ids.len() >= MAX_WAITING {
            return answer(ctx, init.to, init.version, Err(ErrorCode::CoordinatorLoadInProgress));
        }
        self.waiting_for_ids.push_back(init);
        if !core.request_producer_ids(ctx) {
            core.coordinator_events.push_back(CoordinatorEvent::ProducerIds { arrived: false });
        }
    }

    /// Producer ids are here, or will not come now.
    pub(super) fn on_producer_ids(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, arrived: bool) {
        for init in std::mem::take(&mut self.waiting_for_ids) {
            if arrived {
                self.init_producer_id(core, ctx, init);
            } else {
                answer(ctx, init.to, init.version, Err(ErrorCode::CoordinatorLoadInProgress));
            }
        }
    }
}

/// Whether a producer that recovers is the one that is known: it has its id, or the one before with the last of its epochs (the
/// answer that told it the new id was lost); or nobody has had an epoch yet.
fn is_its_producer(metadata: &TransactionMetadata, (producer_id, epoch): (i64, i16)) -> bool {
    let current = &metadata.current;
    current.producer_epoch == NO_PRODUCER_EPOCH
        || producer_id == current.producer_id
        || (producer_id == current.prev_producer_id && is_epoch_exhausted(epoch))
}

/// Answers an InitProducerId with a producer id and epoch, or an error. Clients before version 4 do not know `PRODUCER_FENCED`.
pub(super) fn answer(ctx: &mut Ctx<'_>, to: ReplyTo, version: i16, result: Result<(i64, i16), ErrorCode>) {
    let (error, (producer_id, epoch)) = match result {
        Ok(producer) => (ErrorCode::None, producer),
        Err(ErrorCode::ProducerFenced) if version < 4 => {
            (ErrorCode::InvalidProducerEpoch, (NO_PRODUCER_ID, NO_PRODUCER_EPOCH))
        }
        Err(error) => (error, (NO_PRODUCER_ID, NO_PRODUCER_EPOCH)),
    };
    let response = InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(producer_id))
        .with_producer_epoch(epoch);
    ctx.reply(to, ResponseKind::InitProducerId(response));
}
