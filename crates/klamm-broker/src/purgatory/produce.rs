//! Produces with acks=all that wait for the high watermark (`DelayedProduce`). R7.

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::ResponseKind;
use klamm_wire::messages::produce_response::ProduceResponse;

use crate::partition::Slot;

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

/// A produce that waits.
#[derive(Debug, Clone)]
pub(crate) struct ProduceOp {
    /// Where the answer goes.
    pub(crate) reply_to: ReplyTo,
    /// The answer, complete but for the awaited partitions.
    pub(crate) response: ProduceResponse,
    /// What is still awaited.
    pub(crate) awaited: Vec<Awaited>,
}

impl ProduceOp {
    /// Ends the wait for one partition. True when nothing is awaited any more.
    pub(crate) fn settle(&mut self, slot: Slot, reached: i64, error: ErrorCode) -> bool {
        let response = &mut self.response;
        self.awaited.retain(|awaited| {
            let done = awaited.slot == slot && awaited.required_offset <= reached;
            if done && error != ErrorCode::None {
                let partition = &mut response.responses[awaited.topic].partition_responses[awaited.partition];
                partition.error_code = error.code();
            }
            !done
        });
        self.awaited.is_empty()
    }

    /// The deadline has come: what is still awaited was not replicated in time.
    pub(crate) fn expire(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            let partition =
                &mut self.response.responses[awaited.topic].partition_responses[awaited.partition];
            partition.error_code = ErrorCode::RequestTimedOut.code();
        }
    }

    /// Answers.
    pub(crate) fn complete(self, ctx: &mut Ctx<'_>) {
        ctx.reply(self.reply_to, ResponseKind::Produce(self.response));
    }
}
