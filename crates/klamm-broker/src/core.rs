//! What every part of a broker shares: configuration, replicas, metadata, timers and calls in flight.
//!
//! The broker is two halves that borrow each other: [`Core`] (replication, metadata, the controller's side of things) and
//! the coordinators, whose methods take `&mut Core`. Core never calls a coordinator; it queues [`CoordinatorEvent`]s,
//! and `Broker` hands them over before the step ends.

use std::collections::VecDeque;

use klamm_log::Disk;
use klamm_node::{Ctx, NodeId, Origin, ReplyTo, TimerTable, Timestamp, TopicPartition};
use klamm_wire::{ErrorCode, RecordBatch, StrBytes, Uuid};

use crate::broker::BrokerSettings;
use crate::config::BrokerConfig;
use crate::group::GroupTimer;

/// Kafka's name of the topic that keeps group offsets.
pub(crate) const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
/// Kafka's name of the topic that keeps transactions.
pub(crate) const TRANSACTION_STATE_TOPIC: &str = "__transaction_state";

/// Who asked, in which version, and where the answer goes. The answer may come much later:
/// keep `reply_to` and call [`Ctx::reply`] when it is known.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    /// Where the answer goes.
    pub(crate) reply_to: ReplyTo,
    /// Who asks.
    pub(crate) origin: Origin,
    /// The version spoken.
    pub(crate) api_version: i16,
    /// The `client.id` in the header.
    pub(crate) client_id: Option<StrBytes>,
}

impl RequestContext {
    /// The `client.id`, empty when there is none.
    pub(crate) fn client_id(&self) -> StrBytes {
        self.client_id.clone().unwrap_or_default()
    }

    /// The host of the client as Kafka prints an address: with a leading slash. Empty for another node.
    pub(crate) fn client_host(&self) -> StrBytes {
        match &self.origin {
            Origin::Client { host, .. } => StrBytes::from(format!("/{host}")),
            Origin::Node(_) => StrBytes::default(),
        }
    }
}

/// Why the broker must be woken at a time. One closed list for the whole broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The group coordinator's own timers.
    Group(GroupTimer),
}

/// What a coordinator is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CoordinatorEvent {
    /// This broker became leader of a partition of an internal topic: load it. Until loaded, answer
    /// `COORDINATOR_LOAD_IN_PROGRESS`. Also sent when the leader epoch grew while this broker stayed leader.
    Elected {
        /// The topic.
        topic: StrBytes,
        /// The partition.
        partition: i32,
        /// The leader epoch.
        leader_epoch: i32,
    },
    /// This broker leads the partition no more, or its replica is gone: unload it, answer what waits with `NOT_COORDINATOR`.
    Resigned {
        /// The topic.
        topic: StrBytes,
        /// The partition.
        partition: i32,
    },
    /// The high watermark of an internal topic's partition that this broker leads moved: records below it are committed.
    HighWatermark {
        /// The topic.
        topic: StrBytes,
        /// The partition.
        partition: i32,
        /// The high watermark.
        offset: i64,
    },
    /// These topics were deleted from the cluster.
    TopicsDeleted {
        /// Their names and ids.
        topics: Vec<(StrBytes, Uuid)>,
    },
}

/// What an internal append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InternalAppend {
    /// Offset of the first record.
    pub(crate) base_offset: i64,
    /// The log end after the append. The records are committed once the high watermark reaches it.
    pub(crate) next_offset: i64,
}

/// A piece of a log, read by a coordinator that loads it.
#[derive(Debug, Clone)]
pub(crate) struct LogPiece {
    /// Whole batches, in order; empty at the end of the log.
    pub(crate) batches: Vec<RecordBatch>,
    /// Where to read on.
    pub(crate) next_offset: i64,
}

/// The half of a broker that is not a coordinator.
#[derive(Debug)]
pub(crate) struct Core {
    /// How the broker was started.
    pub(crate) settings: BrokerSettings,
    /// Its configuration, static and dynamic.
    pub(crate) config: BrokerConfig,
    /// Its disk, from boot to stop.
    pub(crate) disk: Box<dyn Disk>,
    /// Every deadline of the broker.
    pub(crate) timers: TimerTable<Timer>,
    /// What coordinators have not been told yet.
    pub(crate) coordinator_events: VecDeque<CoordinatorEvent>,
}

impl Core {
    /// This broker.
    pub(crate) const fn node(&self) -> NodeId {
        self.settings.node
    }

    /// Sets or moves a deadline. The group coordinator's come back to `GroupCoordinator::on_timer`.
    pub(crate) fn set_timer(&mut self, timer: Timer, at: Timestamp) {
        self.timers.set(timer, at);
    }

    /// Removes a deadline.
    pub(crate) fn cancel_timer(&mut self, timer: &Timer) -> bool {
        self.timers.cancel(timer)
    }

    /// Appends a coordinator's records to a partition that this broker leads, as acks=all without a wait
    /// (Kafka's `CoordinatorPartitionWriter`). `batch` is one built batch whose base offset is 0; the log stamps offset
    /// and leader epoch. The commit is told later as [`CoordinatorEvent::HighWatermark`].
    ///
    /// `NOT_LEADER_OR_FOLLOWER`, `NOT_ENOUGH_REPLICAS`, `MESSAGE_TOO_LARGE`, `RECORD_LIST_TOO_LARGE`, `KAFKA_STORAGE_ERROR` …
    pub(crate) fn append_internal(
        &mut self,
        _ctx: &mut Ctx<'_>,
        _partition: &TopicPartition,
        _batch: RecordBatch,
    ) -> Result<InternalAppend, ErrorCode> {
        todo!()
    }

    /// Reads a partition that this broker leads, up to its log end (not only its high watermark), from `offset` on.
    /// At least one batch is returned when there is one. Load with `offset = log_start(...)` until `batches` is empty.
    pub(crate) fn read_log(
        &mut self,
        _partition: &TopicPartition,
        _offset: i64,
        _max_bytes: usize,
    ) -> Result<LogPiece, ErrorCode> {
        todo!()
    }

    /// The log start offset of a local replica.
    pub(crate) fn log_start(&self, _partition: &TopicPartition) -> Option<i64> {
        todo!()
    }

    /// The high watermark of a local replica.
    pub(crate) fn high_watermark(&self, _partition: &TopicPartition) -> Option<i64> {
        todo!()
    }

    /// The leader epoch in which this broker leads the partition; `None` when it does not.
    pub(crate) fn leads(&self, _partition: &TopicPartition) -> Option<i32> {
        todo!()
    }

    /// Asks the controller to create an internal topic with Kafka's settings for it (`offsets.topic.*`), once however
    /// often it is called. Answers the caller `COORDINATOR_NOT_AVAILABLE` in the meantime, as Kafka does.
    pub(crate) fn ensure_internal_topic(&mut self, _ctx: &mut Ctx<'_>, _topic: &'static str) {
        todo!()
    }

    /// How many partitions a topic has in this broker's metadata; `None` when it does not exist (yet).
    pub(crate) fn partition_count(&self, _topic: &str) -> Option<i32> {
        todo!()
    }

    /// Id of a topic in this broker's metadata.
    pub(crate) fn topic_id(&self, _topic: &str) -> Option<Uuid> {
        todo!()
    }

    /// Name of a topic in this broker's metadata.
    pub(crate) fn topic_name(&self, _id: Uuid) -> Option<StrBytes> {
        todo!()
    }

    /// Leader of a partition and where clients reach it, in this broker's metadata; `None` when there is none alive.
    pub(crate) fn leader_endpoint(&self, _topic: &str, _partition: i32) -> Option<(NodeId, StrBytes, i32)> {
        todo!()
    }
}
