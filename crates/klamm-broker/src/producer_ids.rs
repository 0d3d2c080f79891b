//! Producer ids in blocks from the controller (`RPCProducerIdManager`).

use std::collections::VecDeque;

use klamm_node::{ConnectionId, Ctx, ReplyTo, SendError};
use klamm_wire::messages::{
    AllocateProducerIdsRequest, BrokerId, InitProducerIdResponse, ProducerId, ResponseKind,
};
use klamm_wire::{ErrorCode, Response};

use crate::core::{Call, CoordinatorEvent, Core};

/// How many may wait for a block; more are asked to try again.
const MAX_WAITING: usize = 1000;

/// The block that ids are given out of, and who waits for the next.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProducerIdManager {
    next: i64,
    end: i64,
    waiting: VecDeque<ReplyTo>,
    /// The transaction coordinator waits for the next block.
    wanted: bool,
    in_flight: bool,
}

impl ProducerIdManager {
    /// A client went away.
    pub(crate) fn drop_connection(&mut self, gone: ConnectionId) {
        self.waiting.retain(|to| !matches!(to, ReplyTo::Client { connection, .. } if *connection == gone));
    }
}

fn answer(producer_id: i64, error: ErrorCode) -> ResponseKind {
    let epoch = if error == ErrorCode::None { 0 } else { -1 };
    ResponseKind::InitProducerId(
        InitProducerIdResponse::default()
            .with_error_code(error.code())
            .with_producer_id(ProducerId(producer_id))
            .with_producer_epoch(epoch),
    )
}

/// What Kafka answers while the next block is not here: older clients take any other retriable error for a fatal one.
fn not_yet() -> ResponseKind {
    answer(-1, ErrorCode::CoordinatorLoadInProgress)
}

impl Core {
    /// Answers with a new producer id, as soon as there is one.
    pub(crate) fn give_producer_id(&mut self, ctx: &mut Ctx<'_>, to: ReplyTo) {
        if self.producer_ids.waiting.len() >= MAX_WAITING {
            return ctx.reply(to, not_yet());
        }
        self.producer_ids.waiting.push_back(to);
        self.serve_producer_ids(ctx);
    }

    /// A new producer id, where there is one at hand.
    pub(crate) const fn take_producer_id(&mut self) -> Option<i64> {
        let ids = &mut self.producer_ids;
        if ids.next >= ids.end {
            return None;
        }
        ids.next += 1;
        Some(ids.next - 1)
    }

    /// Asks for a block of producer ids; [`CoordinatorEvent::ProducerIds`] tells what came of it. False when this broker cannot ask.
    pub(crate) fn request_producer_ids(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if self.lifecycle.epoch < 0 {
            return false;
        }
        self.producer_ids.wanted = true;
        self.ask_producer_ids(ctx);
        true
    }

    fn serve_producer_ids(&mut self, ctx: &mut Ctx<'_>) {
        let ids = &mut self.producer_ids;
        while ids.next < ids.end
            && let Some(to) = ids.waiting.pop_front()
        {
            ctx.reply(to, answer(ids.next, ErrorCode::None));
            ids.next += 1;
        }
        if !self.producer_ids.waiting.is_empty() {
            self.ask_producer_ids(ctx);
        }
    }

    /// Asks for a block, unless that is being done.
    fn ask_producer_ids(&mut self, ctx: &mut Ctx<'_>) {
        let ids = &self.producer_ids;
        if ids.in_flight || (ids.waiting.is_empty() && !ids.wanted) {
            return;
        }
        if self.lifecycle.epoch < 0 {
            for to in std::mem::take(&mut self.producer_ids.waiting) {
                ctx.reply(to, not_yet());
            }
            return;
        }
        self.producer_ids.in_flight = true;
        let request = AllocateProducerIdsRequest::default()
            .with_broker_id(BrokerId(self.settings.node.0))
            .with_broker_epoch(self.lifecycle.epoch);
        self.call_controller(ctx, 0, request.into(), self.config.hot.request_timeout_ms, Call::ProducerIds);
    }

    /// The controller answered.
    pub(crate) fn on_producer_ids(&mut self, ctx: &mut Ctx<'_>, result: &Result<Response, SendError>) {
        self.producer_ids.in_flight = false;
        let block = match result {
            Ok(Response::Other(kind)) => match &**kind {
                ResponseKind::AllocateProducerIds(block) => Some(block),
                _ => None,
            },
            _ => None,
        };
        match block {
            Some(block) if block.error_code == 0 && block.producer_id_len > 0 => {
                self.producer_ids.next = block.producer_id_start.0;
                self.producer_ids.end =
                    block.producer_id_start.0.saturating_add(block.producer_id_len.into());
                self.tell_coordinator(true);
                self.serve_producer_ids(ctx);
            }
            _ => {
                self.tell_coordinator(false);
                for to in std::mem::take(&mut self.producer_ids.waiting) {
                    ctx.reply(to, not_yet());
                }
            }
        }
    }

    fn tell_coordinator(&mut self, arrived: bool) {
        if std::mem::take(&mut self.producer_ids.wanted) {
            self.coordinator_events.push_back(CoordinatorEvent::ProducerIds { arrived });
        }
    }
}
