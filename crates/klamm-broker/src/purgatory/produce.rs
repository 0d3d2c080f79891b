//! Produces with acks=all that wait for the high watermark (`DelayedProduce`), and transaction markers, which do too. R7.

use std::time::Duration;

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::ResponseKind;
use klamm_wire::messages::produce_response::ProduceResponse;

use crate::core::Core;
use crate::handlers::write_txn_markers::{MarkerOutcome, MarkersId};
use crate::partition::Slot;
use crate::quota::Charge;

/// One partition that a produce waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited {
    /// The partition.
    pub(crate) slot: Slot,
    /// What its high watermark must reach.
    pub(crate) required_offset: i64,
    /// Its topic's place in the response.
    pub(crate) topic: usize,
    /// Its place in the topic.
    pub(crate) partition: usize,
}

/// What is known once nothing is awaited any more.
#[derive(Debug, Clone)]
pub(crate) enum Appended {
    /// The answer to a Produce, complete but for the awaited partitions.
    Produce {
        /// Where it goes.
        reply_to: ReplyTo,
        /// What it says.
        response: ProduceResponse,
        /// What it counts for, where that is counted.
        charge: Option<Charge>,
    },
    /// The fates of a request's markers; an awaited one is found by its `partition`.
    Markers {
        /// The request.
        id: MarkersId,
        /// The markers.
        outcomes: Vec<MarkerOutcome>,
    },
}

/// A produce that waits.
#[derive(Debug, Clone)]
pub(crate) struct ProduceOp {
    /// What is done in the end.
    pub(crate) then: Appended,
    /// What is still awaited.
    pub(crate) awaited: Vec<Awaited>,
}

impl ProduceOp {
    /// Ends the wait for one partition. True when nothing is awaited any more.
    pub(crate) fn settle(&mut self, slot: Slot, reached: i64, error: ErrorCode) -> bool {
        let then = &mut self.then;
        self.awaited.retain(|awaited| {
            let done = awaited.slot == slot && awaited.required_offset <= reached;
            if done && error != ErrorCode::None {
                then.fail(awaited, error);
            }
            !done
        });
        self.awaited.is_empty()
    }

    /// The deadline has come: what is still awaited was not replicated in time.
    pub(crate) fn expire(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            self.then.fail(&awaited, ErrorCode::RequestTimedOut);
        }
    }
}

impl Appended {
    fn fail(&mut self, awaited: &Awaited, error: ErrorCode) {
        match self {
            Self::Produce { response, .. } => {
                let partitions = &mut response.responses[awaited.topic].partition_responses;
                partitions[awaited.partition].error_code = error.code();
            }
            Self::Markers { outcomes, .. } => outcomes[awaited.partition].error = error,
        }
    }
}

impl Core {
    /// Answers, or adds to an answer.
    pub(crate) fn complete_produce(&mut self, ctx: &mut Ctx<'_>, op: ProduceOp) {
        match op.then {
            Appended::Produce { reply_to, mut response, charge } => {
                if let Some(charge) = charge {
                    response.throttle_time_ms = self.charge_produce(ctx, reply_to, &charge);
                }
                ctx.reply(reply_to, ResponseKind::Produce(response));
            }
            Appended::Markers { id, outcomes } => self.markers_written(ctx, id, outcomes),
        }
    }

    /// Lets appends with acks=all wait until the partitions' high watermarks have passed them, and completes them then.
    pub(crate) fn await_replication(&mut self, ctx: &mut Ctx<'_>, mut op: ProduceOp, timeout: Duration) {
        // With a single replica the high watermark has moved already.
        for slot in op.awaited.iter().map(|awaited| awaited.slot).collect::<Vec<_>>() {
            let Some(partition) = self.replicas.get(slot) else { continue };
            let enough = partition.effective_min_isr() <= partition.maximal_isr_len();
            let error = if enough { ErrorCode::None } else { ErrorCode::NotEnoughReplicasAfterAppend };
            if op.settle(slot, partition.log.high_watermark(), error) {
                return self.complete_produce(ctx, op);
            }
        }
        let deadline = ctx.now + timeout;
        let keys = op.awaited.iter().map(|awaited| (awaited.slot, awaited.required_offset)).collect();
        self.produce_ops.insert(op, keys, deadline, ctx.trace.effect());
    }
}
