//! The broker's copy of the metadata log and what it folds to (`KafkaRaftClient` as an observer, `MetadataLoader`, `KRaftMetadataCache`).
//!
//! The broker fetches `__cluster_metadata` from the active controller like a follower, into a log of its own, and applies what is
//! committed at its own pace: between the controller's decision and this broker's acting on it lies at least one message.

use bytes::Bytes;
use klamm_log::{Disk, Log, LogError, ReadError};
use klamm_metadata::{
    METADATA_TOPIC, METADATA_TOPIC_ID, MetadataDelta, MetadataError, MetadataImage, MetadataPublisher,
    PartitionRegistration, SnapshotId,
};
use klamm_node::{Ctx, NodeId, SendError, TopicPartition, TraceKind};
use klamm_wire::messages::fetch_request::{FetchPartition as Asked, FetchTopic, ReplicaState};
use klamm_wire::messages::{BrokerId, FetchRequest, TopicName};
use klamm_wire::{ErrorCode, FetchPartition, Response, StrBytes};

use crate::core::{Call, Core, Timer};
use crate::lifecycle::LISTENER;
use crate::log_dirs::Dir;
use crate::metadata_snapshot::{self, SnapshotDownload};

/// The version that the metadata log is fetched with. From version 18 on the controller answers a parked fetch when its high
/// watermark moves (KIP-1166), so that commits are learnt of without a wait.
const FETCH_VERSION: i16 = 18;
/// How long the controller may wait for something to answer (`KafkaRaftClient.MAX_FETCH_WAIT_MS`).
pub(crate) const MAX_WAIT_MS: i32 = 500;
/// `controller.quorum.fetch.timeout.ms`: after that another controller is asked.
pub(crate) const TIMEOUT_MS: u32 = 2000;
/// The most that one answer brings (`KafkaRaftClient.MAX_FETCH_SIZE_BYTES`).
const MAX_BYTES: i32 = 8 * 1024 * 1024;

/// The metadata as this broker has it.
#[derive(Debug, Clone)]
pub(crate) struct Metadata {
    publisher: MetadataPublisher,
    log: Log,
    /// The offset up to which we had read when we last learnt of a new topic.
    pub(crate) topics_created_at: i64,
    /// The epoch of the controller that is believed to be active.
    pub(crate) leader_epoch: i32,
    high_watermark: i64,
    in_flight: bool,
    waiting: bool,
    /// The snapshot that our log begins after.
    pub(crate) snapshot: Option<SnapshotId>,
    /// The snapshot that is being fetched.
    pub(crate) download: Option<SnapshotDownload>,
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    /// The host.
    pub(crate) host: StrBytes,
    /// The port.
    pub(crate) port: i32,
    /// The rack.
    pub(crate) rack: Option<StrBytes>,
}

/// Who leads a partition, for a client that asked the wrong broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeaderHint {
    /// The leader, -1 when unknown.
    pub(crate) leader: i32,
    /// Its epoch, -1 when unknown.
    pub(crate) epoch: i32,
    /// Where it listens.
    pub(crate) endpoint: Option<NodeAddress>,
}

impl Metadata {
    /// The metadata of a broker with this copy of the log, of which nothing is known to be committed yet but what a snapshot
    /// beside it holds.
    pub(crate) fn open(mut log: Log, disk: &mut dyn Disk, now_ms: i64) -> Result<Self, LogError> {
        let (publisher, snapshot) = metadata_snapshot::open(&mut log, disk, now_ms)?;
        Ok(Self {
            topics_created_at: publisher.next_offset(),
            publisher,
            leader_epoch: log.latest_epoch().or_else(|| snapshot.map(|id| id.epoch)).unwrap_or(0),
            high_watermark: -1,
            log,
            in_flight: false,
            waiting: false,
            snapshot,
            download: None,
        })
    }

    /// Puts a snapshot in the place of everything that was folded in.
    pub(crate) fn load_snapshot(&mut self, contents: &Bytes, id: SnapshotId) -> Result<(), MetadataError> {
        self.high_watermark = self.high_watermark.max(id.end_offset);
        self.publisher.load_snapshot(contents, id)
    }

    /// The epoch of the last record that we have.
    fn last_epoch(&self) -> i32 {
        self.log.latest_epoch().or_else(|| self.snapshot.map(|id| id.epoch)).unwrap_or(0)
    }

    /// Whether everything that is known to be committed was read, and the next piece is asked for.
    pub(crate) fn only_waits(&self) -> bool {
        self.in_flight
            && !self.waiting
            && self.download.is_none()
            && self.high_watermark == self.log.high_watermark()
            && self.publisher.next_offset() == self.high_watermark
    }

    /// The cluster as this broker knows it.
    pub(crate) const fn image(&self) -> &MetadataImage {
        self.publisher.image()
    }

    /// The offset up to which the image holds what was committed.
    pub(crate) fn offset(&self) -> i64 {
        self.publisher.next_offset()
    }

    /// The broker's copy of the log.
    pub(crate) const fn log_mut(&mut self) -> &mut Log {
        &mut self.log
    }

    /// The broker's copy of the log.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    /// Whether the cluster has the partition.
    pub(crate) fn has_partition(&self, name: &TopicPartition) -> bool {
        self.image().topics.partition_by_name(&name.topic, name.partition).is_some()
    }

    /// Where a broker listens, if it is not fenced.
    pub(crate) fn address(&self, broker: NodeId) -> Option<NodeAddress> {
        let registration = self.image().cluster.broker(broker).filter(|b| !b.fenced)?;
        let endpoint = registration.endpoint(LISTENER)?;
        Some(NodeAddress {
            host: endpoint.host.clone(),
            port: endpoint.port.into(),
            rack: registration.rack.clone(),
        })
    }
}

impl Core {
    /// Who leads a partition, and where that broker listens (KIP-951).
    pub(crate) fn current_leader(
        &self,
        registration: Option<&std::sync::Arc<PartitionRegistration>>,
    ) -> LeaderHint {
        match registration {
            Some(registration) => LeaderHint {
                leader: registration.leader.0,
                epoch: registration.leader_epoch,
                endpoint: self.metadata.address(registration.leader),
            },
            None => LeaderHint { leader: -1, epoch: -1, endpoint: None },
        }
    }

    /// Fetches the next piece of the metadata log, unless that is being done.
    pub(crate) fn fetch_metadata(&mut self, ctx: &mut Ctx<'_>) {
        if self.metadata.in_flight || self.metadata.waiting {
            return;
        }
        let sent =
            if self.metadata.download.is_some() { self.fetch_snapshot(ctx) } else { self.fetch_log(ctx) };
        if sent {
            self.metadata.in_flight = true;
        } else if let Some(at) = self.controller.next_free() {
            self.metadata.waiting = true;
            self.timers.set(Timer::MetadataRetry, at);
        }
    }

    fn fetch_log(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let metadata = &self.metadata;
        let (offset, epoch) = (metadata.log.log_end_offset(), metadata.last_epoch());
        let asked = Asked::default()
            .with_partition(0)
            .with_current_leader_epoch(metadata.leader_epoch)
            .with_fetch_offset(offset)
            .with_last_fetched_epoch(epoch)
            .with_log_start_offset(metadata.log.log_start_offset())
            .with_partition_max_bytes(MAX_BYTES)
            .with_replica_directory_id(self.replicas.dirs.id(Dir::METADATA).unwrap_or_default())
            .with_high_watermark(metadata.high_watermark);
        let topic = FetchTopic::default()
            .with_topic(TopicName(StrBytes::from_static_str(METADATA_TOPIC)))
            .with_topic_id(METADATA_TOPIC_ID)
            .with_partitions(vec![asked]);
        let request = FetchRequest::default()
            .with_cluster_id(Some(self.settings.cluster_id.clone()))
            .with_replica_state(ReplicaState::default().with_replica_id(BrokerId(self.settings.node.0)))
            .with_max_wait_ms(MAX_WAIT_MS)
            .with_min_bytes(0)
            .with_max_bytes(MAX_BYTES)
            .with_session_epoch(0)
            .with_topics(vec![topic]);
        self.fetch_from_controller(ctx, FETCH_VERSION, request.into(), TIMEOUT_MS, Call::MetadataFetch)
    }

    /// A fetch of metadata has ended: whose. `None` when it brought no answer, and all is done that there is to do about it.
    pub(crate) fn metadata_answered(&mut self, ctx: &mut Ctx<'_>, answered: bool) -> Option<NodeId> {
        self.metadata.in_flight = false;
        let from = self.controller.fetching_from.take().unwrap_or_else(|| self.controller.active());
        if answered {
            self.controller.reached(from);
            return Some(from);
        }
        self.controller.disconnected(from, ctx.now, ctx.rng);
        self.fetch_metadata(ctx);
        None
    }

    /// The controller answered.
    pub(crate) fn on_metadata_fetch(&mut self, ctx: &mut Ctx<'_>, result: Result<Response, SendError>) {
        let Some(from) = self.metadata_answered(ctx, result.is_ok()) else { return };
        let answer = match result {
            Ok(Response::Fetch(mut response)) if response.error_code == ErrorCode::None => {
                response.topics.pop().and_then(|mut topic| topic.partitions.pop())
            }
            _ => None,
        };
        let Some(answer) = answer else {
            self.controller.pause(from, ctx.now);
            return self.fetch_metadata(ctx);
        };
        let learnt = answer
            .current_leader
            .as_ref()
            .is_some_and(|leader| self.learn_controller(leader.leader_id.0, leader.leader_epoch));
        match answer.error_code {
            ErrorCode::None => {
                if let Err(error) = self.take_metadata(ctx, &answer) {
                    ctx.trace(TraceKind::MetadataNotTaken { what: "log", cause: error.to_string() });
                    self.controller.pause(from, ctx.now);
                    return self.fetch_metadata(ctx);
                }
                self.fetch_metadata(ctx);
                self.publish_metadata(ctx);
            }
            _ => {
                if !learnt {
                    self.controller.pause(from, ctx.now);
                }
                self.fetch_metadata(ctx);
            }
        }
    }

    /// Follows what an answer says of the active controller. True when it is news.
    pub(crate) fn learn_controller(&mut self, leader: i32, epoch: i32) -> bool {
        let before = (self.controller.active(), self.metadata.leader_epoch);
        if epoch >= self.metadata.leader_epoch {
            self.metadata.leader_epoch = epoch;
            if leader >= 0 {
                self.controller.learn(NodeId(leader));
            }
        }
        before != (self.controller.active(), self.metadata.leader_epoch)
    }

    /// The wait is over.
    pub(crate) fn retry_metadata(&mut self, ctx: &mut Ctx<'_>) {
        self.metadata.waiting = false;
        self.fetch_metadata(ctx);
    }

    /// Appends to our copy of the log and folds in what is committed.
    fn take_metadata(&mut self, ctx: &mut Ctx<'_>, answer: &FetchPartition) -> Result<(), String> {
        let metadata = &mut self.metadata;
        let now = ctx.wall.millis();
        // A new leader does not know yet what is committed.
        metadata.high_watermark = metadata.high_watermark.max(answer.high_watermark);
        if let Some(id) = &answer.snapshot_id {
            metadata.download = Some(SnapshotDownload::new(id.end_offset, id.epoch));
            return Ok(());
        }
        if let Some(end) = &answer.diverging_epoch {
            let log_end = metadata.log.log_end_offset();
            let target = match metadata.log.end_offset_for_epoch(end.epoch) {
                Some(own) => own.end_offset.min(end.end_offset).min(log_end),
                None => end.end_offset.min(log_end),
            };
            let target = target.max(metadata.publisher.next_offset());
            let truncated = metadata.log.truncate_to(&mut *self.disk, target, now);
            return truncated.map(|_| ()).map_err(|error| self.on_metadata_log_failure(ctx, &error));
        }
        if !answer.records.is_empty() {
            let appended =
                metadata.log.append_as_follower(&mut *self.disk, &answer.records, metadata.leader_epoch, now);
            if let Err(error) = appended {
                if let Some(storage) = &error.storage {
                    self.on_log_failure(ctx, Dir::METADATA, storage);
                }
                return Err(error.to_string());
            }
        }
        // The controller's word on what is committed; our own log may reach less far.
        metadata.log.update_high_watermark(metadata.high_watermark);
        let committed = metadata.log.high_watermark();
        while metadata.publisher.next_offset() < committed {
            let from = metadata.publisher.next_offset();
            let piece = metadata.log.read(
                &*self.disk,
                from,
                MAX_BYTES as usize,
                klamm_log::FetchIsolation::HighWatermark,
                true,
            );
            let piece = match piece {
                Ok(piece) => piece,
                Err(ReadError::Log(error)) => return Err(self.on_metadata_log_failure(ctx, &error)),
                Err(error) => return Err(error.to_string()),
            };
            metadata.publisher.load_records(&piece.records, committed).map_err(|error| error.to_string())?;
            if metadata.publisher.next_offset() == from {
                break;
            }
        }
        Ok(())
    }

    pub(crate) fn on_metadata_log_failure(&mut self, ctx: &mut Ctx<'_>, error: &LogError) -> String {
        self.on_log_failure(ctx, Dir::METADATA, error);
        error.to_string()
    }

    /// Acts on what was folded in since the last time.
    pub(crate) fn publish_metadata(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(delta) = self.metadata.publisher.publish() {
            self.apply_metadata(ctx, &delta);
        }
        self.on_metadata_progress(ctx);
    }

    /// Acts on a delta (`BrokerMetadataPublisher.onMetadataUpdate`): configurations first, then replicas.
    fn apply_metadata(&mut self, ctx: &mut Ctx<'_>, delta: &MetadataDelta) {
        if delta.topics.values().any(|topic| topic.created) {
            self.metadata.topics_created_at = self.metadata.offset();
        }
        self.apply_configs(delta);
        self.apply_topics(ctx, delta);
        self.forget_created_topics(delta);
    }
}
