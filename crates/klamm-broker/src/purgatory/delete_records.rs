//! DeleteRecords that wait until every live replica has moved its log start (`DelayedDeleteRecords`).

use klamm_node::{Ctx, ReplyTo};
use klamm_wire::ErrorCode;
use klamm_wire::messages::ResponseKind;
use klamm_wire::messages::delete_records_response::DeleteRecordsResponse;

use crate::partition::Slot;

/// One partition that is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited {
    /// The partition.
    pub(crate) slot: Slot,
    /// What its low watermark must reach.
    pub(crate) required_offset: i64,
    /// Its topic's place in the response.
    pub(crate) topic: usize,
    /// Its place in the topic.
    pub(crate) partition: usize,
}

/// A DeleteRecords that waits.
#[derive(Debug, Clone)]
pub(crate) struct DeleteRecordsOp {
    /// Where the answer goes.
    pub(crate) reply_to: ReplyTo,
    /// The answer, complete but for the awaited partitions.
    pub(crate) response: DeleteRecordsResponse,
    /// What is still awaited.
    pub(crate) awaited: Vec<Awaited>,
}

impl DeleteRecordsOp {
    /// Ends the wait for one partition with its low watermark, if that has been reached, or with an error.
    /// True when nothing is awaited any more.
    pub(crate) fn settle(&mut self, slot: Slot, low_watermark: Result<i64, ErrorCode>) -> bool {
        let response = &mut self.response;
        self.awaited.retain(|awaited| {
            if awaited.slot != slot {
                return true;
            }
            let partition = &mut response.topics[awaited.topic].partitions[awaited.partition];
            match low_watermark {
                Ok(low) if low < awaited.required_offset => return true,
                Ok(low) => partition.low_watermark = low,
                Err(error) => {
                    partition.low_watermark = -1;
                    partition.error_code = error.code();
                }
            }
            false
        });
        self.awaited.is_empty()
    }

    /// The deadline has come.
    pub(crate) fn expire(&mut self) {
        for awaited in std::mem::take(&mut self.awaited) {
            let partition = &mut self.response.topics[awaited.topic].partitions[awaited.partition];
            partition.error_code = ErrorCode::RequestTimedOut.code();
        }
    }

    /// Answers.
    pub(crate) fn complete(self, ctx: &mut Ctx<'_>) {
        ctx.reply(self.reply_to, ResponseKind::DeleteRecords(self.response));
    }
}
