//! The producer id and epoch of an idempotent producer: asked for once, its epoch raised by the producer itself
//! (`TransactionManager.bumpIdempotentEpochAndResetIdIfNeeded`).

use std::collections::BTreeSet;

use klamm_node::{Timestamp, TopicPartition};
use klamm_wire::messages::{InitProducerIdRequest, ProducerId, ResponseKind};
use klamm_wire::{ApiKey, ErrorCode, Request, Response};

use super::batch::Identity;
use crate::client::scripted::base::Base;
use crate::client::scripted::error::ClientError;
use crate::client::{Answer, ClientCtx};

const VERSION: i16 = 5;

#[derive(Debug, Clone, Default)]
pub(super) struct Identities {
    pub(super) current: Option<Identity>,
    asked: Option<i32>,
    ask_at: Timestamp,
    failures: u32,
    /// The epoch has to grow before anything is sent; these partitions' unacknowledged batches get sequences from 0.
    bump: bool,
    rewrite: BTreeSet<TopicPartition>,
}

impl Identities {
    /// A gap was found in a partition's sequences (`requestIdempotentEpochBumpForPartition`).
    pub(super) fn request_bump(&mut self, partition: &TopicPartition) {
        self.bump = true;
        self.rewrite.insert(partition.clone());
    }

    /// Raises the epoch if that was asked for. Returns the partitions whose sequences begin anew.
    pub(super) fn bump_if_requested(&mut self) -> BTreeSet<TopicPartition> {
        if !std::mem::take(&mut self.bump) {
            return BTreeSet::new();
        }
        self.current = match self.current {
            Some(Identity { id, epoch }) if epoch < i16::MAX => Some(Identity { id, epoch: epoch + 1 }),
            // The epochs of this id are used up: ask for another.
            _ => None,
        };
        std::mem::take(&mut self.rewrite)
    }

    /// Asks for an identity when there is none.
    pub(super) fn go_on(&mut self, ctx: &mut ClientCtx<'_>, base: &mut Base) {
        if self.current.is_some() || self.asked.is_some() || self.ask_at > ctx.now {
            return;
        }
        let Some(broker) = base.channels.least_loaded(ctx) else { return };
        let request = |_| {
            let request = InitProducerIdRequest::default()
                .with_transactional_id(None)
                .with_transaction_timeout_ms(i32::MAX)
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1);
            Request::InitProducerId(request)
        };
        self.asked = Some(base.ask(ctx, broker, ApiKey::InitProducerId, VERSION, request));
    }

    /// Takes an answer that is this one's: `Some(Err(_))` when the producer can do nothing more.
    pub(super) fn on_answer(
        &mut self,
        ctx: &mut ClientCtx<'_>,
        base: &Base,
        correlation_id: i32,
        answer: &Answer,
    ) -> Option<Result<(), ClientError>> {
        if self.asked != Some(correlation_id) {
            return None;
        }
        self.asked = None;
        let error = match answer {
            Answer::Response(Response::Other(response)) => match &**response {
                ResponseKind::InitProducerId(response) if response.error_code == 0 => {
                    let (id, epoch) = (response.producer_id.0, response.producer_epoch);
                    self.current = Some(Identity { id, epoch });
                    self.failures = 0;
                    return Some(Ok(()));
                }
                ResponseKind::InitProducerId(response) => ErrorCode::from_code(response.error_code),
                _ => None,
            },
            _ => Some(ErrorCode::NetworkException),
        };
        let error = error.unwrap_or(ErrorCode::UnknownServerError);
        if !error.is_retriable() {
            return Some(Err(ClientError::Broker(error)));
        }
        self.ask_at = ctx.now + base.backoff.wait(ctx.rng, self.failures);
        self.failures += 1;
        Some(Ok(()))
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        (self.current.is_none() && self.asked.is_none()).then_some(self.ask_at)
    }
}
