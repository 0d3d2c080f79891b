//! What the coordinator needs of the broker around it. A trait, so that the state machine can be driven without a broker.

use klamm_node::{Ctx, Timestamp, TopicPartition};
use klamm_wire::{ErrorCode, RecordBatch, StrBytes};

use super::GroupTimer;
use crate::core::{Core, GROUP_METADATA_TOPIC, InternalAppend, LogPiece, Timer};

/// The broker, as the coordinator sees it. Partitions are those of `__consumer_offsets`.
pub(crate) trait Host {
    /// Appends one batch to the local log; it is committed once the high watermark reaches its end.
    fn append(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<InternalAppend, ErrorCode>;

    /// Reads the local log up to its end.
    fn read(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        offset: i64,
        max_bytes: usize,
    ) -> Result<LogPiece, ErrorCode>;

    /// Where the local log starts.
    fn log_start(&self, partition: i32) -> Option<i64>;

    /// The local high watermark.
    fn high_watermark(&self, partition: i32) -> Option<i64>;

    /// Sets or moves a deadline.
    fn set_timer(&mut self, timer: GroupTimer, at: Timestamp);

    /// Removes a deadline.
    fn cancel_timer(&mut self, timer: GroupTimer);
}

fn offsets_partition(partition: i32) -> TopicPartition {
    TopicPartition::new(StrBytes::from_static_str(GROUP_METADATA_TOPIC), partition)
}

impl Host for Core {
    fn append(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<InternalAppend, ErrorCode> {
        self.append_internal(ctx, &offsets_partition(partition), batch)
    }

    fn read(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        offset: i64,
        max_bytes: usize,
    ) -> Result<LogPiece, ErrorCode> {
        self.read_log(ctx, &offsets_partition(partition), offset, max_bytes)
    }

    fn log_start(&self, partition: i32) -> Option<i64> {
        self.log_start(&offsets_partition(partition))
    }

    fn high_watermark(&self, partition: i32) -> Option<i64> {
        self.high_watermark(&offsets_partition(partition))
    }

    fn set_timer(&mut self, timer: GroupTimer, at: Timestamp) {
        self.set_timer(Timer::Group(timer), at);
    }

    fn cancel_timer(&mut self, timer: GroupTimer) {
        self.cancel_timer(&Timer::Group(timer));
    }
}
