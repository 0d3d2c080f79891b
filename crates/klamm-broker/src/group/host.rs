//! What the coordinator needs of the broker around it. A trait, so that the state machine can be driven without a broker.

use klamm_log::AppendAs;
use klamm_metadata::ConfigResource;
use klamm_node::{Ctx, NodeId, Timestamp, TopicPartition};
use klamm_wire::{ErrorCode, RecordBatch, StrBytes, Uuid};

use super::GroupTimer;
use super::modern::share::initialize::{Asks, ShareAsked};
use crate::core::{Core, GROUP_METADATA_TOPIC, InternalAppend, LogPiece, Timer};
use crate::handlers::write_txn_markers::{MarkerOutcome, MarkersId};

/// The broker, as the coordinator sees it. Partitions are those of `__consumer_offsets`.
pub(crate) trait Host {
    /// Appends one batch to the local log; it is committed once the high watermark reaches its end.
    fn append(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
    ) -> Result<InternalAppend, ErrorCode>;

    /// As [`Host::append`], of a batch that belongs to a transaction. The error is the log's own.
    fn append_as(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
        how: AppendAs,
    ) -> Result<InternalAppend, ErrorCode>;

    /// A marker of a WriteTxnMarkers request is committed, or has failed to be.
    fn marker_written(&mut self, ctx: &mut Ctx<'_>, id: MarkersId, outcome: MarkerOutcome);

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

    /// A topic in this broker's metadata.
    fn topic(&self, name: &str) -> Option<Topic>;

    /// The name of a topic in this broker's metadata.
    fn topic_name(&self, id: Uuid) -> Option<StrBytes>;

    /// The names of all topics.
    fn topic_names(&self) -> Vec<StrBytes>;

    /// The racks of a partition's replicas, those that are known.
    fn partition_racks(&self, topic: &str, partition: i32) -> Vec<StrBytes>;

    /// How far this broker has read the metadata.
    fn metadata_offset(&self) -> i64;

    /// How far it had, when it last learnt of a new topic.
    fn topics_created_at(&self) -> i64;

    /// What is set on a group itself.
    fn group_override(&self, group: &str, key: &str) -> Option<StrBytes>;

    /// Asks the share coordinator about partitions of a group; the answers come to `GroupCoordinator::on_share_answers`.
    fn ask_share_coordinator(&mut self, ctx: &mut Ctx<'_>, asks: Asks, asked: ShareAsked);

    /// Sets or moves a deadline.
    fn set_timer(&mut self, timer: GroupTimer, at: Timestamp);

    /// Whether a deadline is set.
    fn has_timer(&self, timer: &GroupTimer) -> bool;

    /// Removes a deadline.
    fn cancel_timer(&mut self, timer: GroupTimer);
}

/// A topic, as far as a group is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic {
    /// Its id.
    pub(crate) id: Uuid,
    /// How many partitions it has.
    pub(crate) partitions: i32,
}

/// A partition of `__consumer_offsets`.
pub(crate) fn offsets_partition(partition: i32) -> TopicPartition {
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

    fn append_as(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: i32,
        batch: RecordBatch,
        how: AppendAs,
    ) -> Result<InternalAppend, ErrorCode> {
        self.append_internal_as(ctx, &offsets_partition(partition), batch, how)
    }

    fn marker_written(&mut self, ctx: &mut Ctx<'_>, id: MarkersId, outcome: MarkerOutcome) {
        self.markers_written(ctx, id, [outcome]);
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

    fn topic(&self, name: &str) -> Option<Topic> {
        let topic = self.metadata.image().topics.by_name(name)?;
        Some(Topic { id: topic.id, partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX) })
    }

    fn topic_name(&self, id: Uuid) -> Option<StrBytes> {
        self.topic_name(id)
    }

    fn topic_names(&self) -> Vec<StrBytes> {
        self.metadata.image().topics.iter().map(|topic| topic.name.clone()).collect()
    }

    fn partition_racks(&self, topic: &str, partition: i32) -> Vec<StrBytes> {
        let image = self.metadata.image();
        let Some(partition) = image.topics.partition_by_name(topic, partition) else { return Vec::new() };
        let rack = |id: &NodeId| image.cluster.broker(*id)?.rack.clone();
        partition.replicas.iter().filter_map(rack).collect()
    }

    fn metadata_offset(&self) -> i64 {
        self.metadata.offset()
    }

    fn topics_created_at(&self) -> i64 {
        self.metadata.topics_created_at
    }

    fn group_override(&self, group: &str, key: &str) -> Option<StrBytes> {
        let resource = ConfigResource::group(StrBytes::from(group.to_owned()));
        self.metadata.image().configs.value(&resource, key).cloned()
    }

    fn ask_share_coordinator(&mut self, ctx: &mut Ctx<'_>, asks: Asks, asked: ShareAsked) {
        self.ask_about_share_partitions(ctx, asks, asked);
    }

    fn set_timer(&mut self, timer: GroupTimer, at: Timestamp) {
        self.set_timer(Timer::Group(timer), at);
    }

    fn has_timer(&self, timer: &GroupTimer) -> bool {
        self.timers.deadline(&Timer::Group(timer.clone())).is_some()
    }

    fn cancel_timer(&mut self, timer: GroupTimer) {
        self.cancel_timer(&Timer::Group(timer));
    }
}
