//! What every part of a broker shares: configuration, replicas, metadata, timers and calls in flight.
//!
//! The broker is two halves that borrow each other: [`Core`] (replication, metadata, the controller's side of things) and
//! the coordinators, whose methods take `&mut Core`. Core never calls a coordinator; it queues [`CoordinatorEvent`]s,
//! and `Broker` hands them over before the step ends.

use std::collections::{BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};
use klamm_log::{Disk, FetchIsolation, ReadError};
use klamm_node::pause::Pauses;
use klamm_node::{
    CallId, ConnectionId, Ctx, NodeId, Origin, ReplyTo, SendError, TimerTable, Timestamp, TopicPartition,
};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{ErrorCode, RecordBatch, Response, StrBytes, Uuid};
use rustc_hash::FxHashMap;

use crate::alter_partition::AlterPartitionManager;
use crate::assignments::Assignments;
use crate::auto_topic_creation::AutoTopicCreation;
use crate::broker::BrokerSettings;
use crate::cleaner::Cleaners;
use crate::config::BrokerConfig;
use crate::controller_channel::ControllerChannel;
use crate::fetch_session::FetchSessionCache;
use crate::group::GroupTimer;
use crate::handlers::forward::Forwarding;
use crate::handlers::write_txn_markers::MarkerRequests;
use crate::lifecycle::Lifecycle;
use crate::log_dirs::Dir;
use crate::metadata::Metadata;
use crate::partition::Slot;
use crate::producer_ids::ProducerIdManager;
use crate::purgatory::delete_records::DeleteRecordsOp;
use crate::purgatory::fetch::FetchOp;
use crate::purgatory::produce::ProduceOp;
use crate::purgatory::{OpId, Purgatory};
use crate::quota::ClientQuotas;
use crate::quota::replication::ReplicationQuotas;
use crate::replica_fetcher::Fetchers;
use crate::replica_manager::ReplicaManager;
use crate::share::persister::Persister;
use crate::share::timer::ShareTimer;
use crate::share_coordinator::ShareCoordinatorTimer;
use crate::transaction::TransactionTimer;
use crate::transaction::verification::AddPartitionsToTxnManager;

/// Kafka's name of the topic that keeps group offsets.
pub(crate) const GROUP_METADATA_TOPIC: &str = "__consumer_offsets";
/// Kafka's name of the topic that keeps the state of share groups.
pub(crate) const SHARE_GROUP_STATE_TOPIC: &str = "__share_group_state";
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
    /// Register, or send a heartbeat.
    Heartbeat,
    /// A controlled shutdown took too long.
    ControlledShutdownLimit,
    /// Fetch the metadata log again after a failure.
    MetadataRetry,
    /// Propose ISRs again after a failure.
    AlterPartitionRetry,
    /// Look for followers that fell behind.
    ShrinkIsrs,
    /// Write the high watermarks down.
    CheckpointHighWatermarks,
    /// Write recovery points and log starts down.
    CheckpointLogs,
    /// Delete what retention lets go.
    Retention,
    /// Compact logs.
    Clean,
    /// Remove files of deleted segments.
    RemoveDeletedSegments,
    /// Copy more of the replicas that move to another log directory.
    MoveReplicas,
    /// Ask that what was written become durable.
    Flush,
    /// Remove files of deleted logs.
    RemoveDeletedLogs,
    /// A leader that could not be reached may be asked again.
    FetcherBackoff(NodeId),
    /// Partitions whose leader answered with an error may be fetched again.
    FollowDelay(NodeId),
    /// Forward a request again.
    Forward(u64),
    /// Ask again for partitions to be added to a transaction.
    AddPartitionsAgain(u64),
    /// Tell the controller of replicas' directories again after a failure.
    Assignments,
    /// The controller should have been told of a failed directory by now.
    DirectoryFailure(Dir),
    /// The group coordinator's own timers.
    Group(GroupTimer),
    /// The share coordinator's own timers.
    ShareCoordinator(ShareCoordinatorTimer),
    /// The transaction coordinator's own timers.
    Transaction(TransactionTimer),
    /// The timers of share groups at their partitions' leaders.
    Share(ShareTimer),
}

/// What an answer to a call of this broker's is for.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// A registration.
    Registration,
    /// A heartbeat.
    Heartbeat,
    /// A fetch of the metadata log.
    MetadataFetch,
    /// A piece of a snapshot of the metadata.
    MetadataSnapshot,
    /// A fetch from a partition leader.
    FollowerFetch {
        /// The leader.
        leader: NodeId,
    },
    /// An offset of the leader's log, after ours was out of its range.
    FollowerOffset {
        /// The leader.
        leader: NodeId,
        /// The partition.
        partition: TopicPartition,
        /// Which offset.
        timestamp: i64,
    },
    /// Proposals of ISRs.
    AlterPartition,
    /// A client's request that the controller answers.
    Forward(u64),
    /// Topics that this broker creates on its own account.
    CreateTopics(Vec<StrBytes>),
    /// A block of producer ids.
    ProducerIds,
    /// The directories of replicas.
    AssignReplicasToDirs,
    /// Transaction markers for the partitions that a broker leads. The transaction coordinator's.
    WriteTxnMarkers {
        /// The broker.
        to: NodeId,
    },
    /// The state of a share-partition.
    ShareState(u64),
    /// Whether partitions are in transactions.
    AddPartitionsToTxn {
        /// The transactions' coordinator.
        coordinator: NodeId,
    },
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
    /// The controller handed out producer ids that were asked for, or did not.
    ProducerIds {
        /// Whether there are some.
        arrived: bool,
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

/// What a leader consults, out of a broker's fields. A macro, so that other fields can be borrowed beside it.
macro_rules! leader_env {
    ($core:expr, $ctx:expr) => {
        $crate::partition::LeaderEnv {
            me: $core.settings.node,
            my_epoch: $core.lifecycle.epoch,
            cluster: &$core.metadata.image().cluster,
            now_ms: $ctx.wall.millis(),
            max_lag_ms: $core.config.hot.replica_lag_time_max_ms,
        }
    };
}
pub(crate) use leader_env;

/// The half of a broker that is not a coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    /// How the broker was started.
    pub(crate) settings: BrokerSettings,
    /// Its configuration, static and dynamic.
    pub(crate) config: BrokerConfig,
    /// Its disk, from boot to stop.
    pub(crate) disk: Box<dyn Disk>,
    /// Every deadline of the broker but those of the purgatories.
    pub(crate) timers: TimerTable<Timer>,
    /// What coordinators have not been told yet.
    pub(crate) coordinator_events: VecDeque<CoordinatorEvent>,
    /// The cluster as this broker knows it.
    pub(crate) metadata: Metadata,
    /// Its standing with the controller.
    pub(crate) lifecycle: Lifecycle,
    /// The way to the controller.
    pub(crate) controller: ControllerChannel,
    /// Its replicas.
    pub(crate) replicas: ReplicaManager,
    /// What the controller must be told of its replicas' directories.
    pub(crate) assignments: Assignments,
    /// The breakpoints that are armed in it.
    pub(crate) pauses: Pauses,
    /// The leaders that it follows.
    pub(crate) fetchers: Fetchers,
    /// Its proposals of ISRs.
    pub(crate) alter_partition: AlterPartitionManager,
    /// The sessions of those who fetch from it.
    pub(crate) sessions: FetchSessionCache,
    /// Produces that wait, by partition and the offset that they wait for.
    pub(crate) produce_ops: Purgatory<(Slot, i64), ProduceOp>,
    /// Fetches that wait, by partition (those of a session are found through it).
    pub(crate) fetch_ops: Purgatory<Slot, FetchOp>,
    /// Questions to transaction coordinators.
    pub(crate) add_partitions: AddPartitionsToTxnManager,
    /// WriteTxnMarkers that wait for their last marker.
    pub(crate) markers: MarkerRequests,
    /// DeleteRecords that wait, by partition.
    pub(crate) delete_ops: Purgatory<Slot, DeleteRecordsOp>,
    /// Whether the metadata named the directory that a replica moves to.
    pub(crate) moves_due: bool,
    /// What its log cleaners are at.
    pub(crate) cleaners: Cleaners,
    /// How fast replicas may catch up.
    pub(crate) quotas: ReplicationQuotas,
    /// How fast clients may produce and fetch.
    pub(crate) client_quotas: ClientQuotas,
    /// Fetches to look at again before the step ends.
    pub(crate) fetch_checks: BTreeSet<OpId>,
    /// The fetch that waits on a connection.
    pub(crate) parked_fetches: FxHashMap<ConnectionId, OpId>,
    /// The fetch that waits for a follower.
    pub(crate) parked_followers: FxHashMap<NodeId, OpId>,
    /// Requests that the controller answers.
    pub(crate) forwarding: Forwarding,
    /// Topics that are being created for clients that asked for them.
    pub(crate) auto_topics: AutoTopicCreation,
    /// Questions to share coordinators.
    pub(crate) persister: Persister,
    /// Whether there are share-partitions: who reads them is told what happens to their logs.
    pub(crate) share_active: bool,
    /// Partitions to which something happened that readers of share groups must know; whether this broker leads them no more.
    pub(crate) share_wakes: BTreeSet<((Uuid, i32), bool)>,
    /// Producer ids to give out.
    pub(crate) producer_ids: ProducerIdManager,
    /// Calls without an answer yet.
    pub(crate) calls: FxHashMap<CallId, Call>,
}

impl Core {
    /// Sets or moves a deadline. The group coordinator's come back to `GroupCoordinator::on_timer`.
    pub(crate) fn set_timer(&mut self, timer: Timer, at: Timestamp) {
        self.timers.set(timer, at);
    }

    /// Removes a deadline.
    pub(crate) fn cancel_timer(&mut self, timer: &Timer) -> bool {
        self.timers.cancel(timer)
    }

    /// Takes the answer to a call to where it is awaited. The coordinators' are not core's.
    pub(crate) fn on_answer(&mut self, ctx: &mut Ctx<'_>, call: CallId, result: Result<Response, SendError>) {
        match self.calls.remove(&call) {
            None => {}
            Some(Call::Registration) => self.on_registration(ctx, result),
            Some(Call::Heartbeat) => self.on_heartbeat(ctx, result),
            Some(Call::MetadataFetch) => self.on_metadata_fetch(ctx, result),
            Some(Call::MetadataSnapshot) => self.on_metadata_snapshot(ctx, result),
            Some(Call::FollowerFetch { leader }) => self.on_follower_fetch(ctx, leader, result),
            Some(Call::FollowerOffset { leader, partition, timestamp }) => {
                self.on_follower_offset(ctx, leader, &partition, timestamp, result);
            }
            Some(Call::AlterPartition) => self.on_alter_partition(ctx, result),
            Some(Call::Forward(id)) => self.on_forwarded(ctx, id, result),
            Some(Call::CreateTopics(topics)) => self.on_topics_created(ctx, &topics, &result),
            Some(Call::ProducerIds) => self.on_producer_ids(ctx, &result),
            Some(Call::AddPartitionsToTxn { coordinator }) => self.on_verified(ctx, coordinator, &result),
            Some(Call::AssignReplicasToDirs) => self.on_assignments(ctx, result),
            Some(Call::WriteTxnMarkers { .. }) => {}
            Some(Call::ShareState(id)) => self.on_share_answer(ctx, id, result),
        }
    }

    /// Does what a deadline was set for. The coordinators' are not core's.
    pub(crate) fn on_core_timer(&mut self, ctx: &mut Ctx<'_>, timer: Timer) {
        match timer {
            Timer::Heartbeat => self.communicate(ctx),
            Timer::ControlledShutdownLimit => self.finish_shutdown(ctx),
            Timer::MetadataRetry => self.retry_metadata(ctx),
            Timer::AlterPartitionRetry => self.retry_proposals(),
            Timer::ShrinkIsrs => {
                self.shrink_isrs(ctx);
                self.schedule_isr_check(ctx);
            }
            Timer::CheckpointHighWatermarks => self.checkpoint_high_watermarks(ctx),
            Timer::CheckpointLogs => self.checkpoint_logs(ctx),
            Timer::Retention => self.apply_retention(ctx),
            Timer::Clean => self.clean_logs(ctx),
            Timer::MoveReplicas => self.move_replicas(ctx),
            Timer::RemoveDeletedSegments => self.remove_deleted_segments(ctx),
            Timer::Flush => self.flush_logs(ctx),
            Timer::RemoveDeletedLogs => self.remove_deleted_logs(ctx),
            Timer::FetcherBackoff(leader) => self.end_fetcher_backoff(leader),
            Timer::FollowDelay(leader) => self.end_follow_delays(ctx, leader),
            Timer::Forward(id) => self.forward_again(ctx, id),
            Timer::AddPartitionsAgain(id) => self.add_partitions_again(ctx, id),
            Timer::Assignments => self.retry_assignments(),
            Timer::DirectoryFailure(dir) => self.check_directory_told(ctx, dir),
            Timer::Group(_) | Timer::ShareCoordinator(_) | Timer::Share(_) | Timer::Transaction(_) => {}
        }
    }

    /// The earliest deadline, the purgatories' included.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        [
            self.timers.next(),
            self.produce_ops.next_deadline(),
            self.fetch_ops.next_deadline(),
            self.delete_ops.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Ends the wait of every operation whose time is up.
    pub(crate) fn expire_operations(&mut self, ctx: &mut Ctx<'_>) {
        while let Some((id, cause)) = self.produce_ops.first_due(ctx.now) {
            ctx.follow(cause);
            if let Some(mut op) = self.produce_ops.take(id) {
                op.expire();
                self.complete_produce(ctx, op);
            }
        }
        while let Some((id, cause)) = self.delete_ops.first_due(ctx.now) {
            ctx.follow(cause);
            if let Some(mut op) = self.delete_ops.take(id) {
                op.expire();
                op.complete(ctx);
            }
        }
        while let Some((id, cause)) = self.fetch_ops.first_due(ctx.now) {
            ctx.follow(cause);
            self.check_fetch(ctx, id, true);
        }
    }

    /// One thing that is left to do before the step ends; false when there is nothing.
    pub(crate) fn settle_one(&mut self, ctx: &mut Ctx<'_>) -> bool {
        if let Some((slot, changes)) = self.replicas.next_changed() {
            self.on_partition_changed(ctx, slot, changes);
            return true;
        }
        if let Some(id) = self.fetch_checks.pop_first() {
            self.check_fetch(ctx, id, false);
            return true;
        }
        self.send_isr_proposals(ctx)
            || self.send_fetches(ctx)
            || self.send_assignments(ctx)
            || self.send_verifications(ctx)
    }

    /// A client went away: what it waits for needs no answer.
    pub(crate) fn drop_connection(&mut self, connection: ConnectionId) {
        if let Some(id) = self.parked_fetches.remove(&connection)
            && let Some(op) = self.fetch_ops.lend(id)
        {
            self.drop_fetch(id, &op);
        }
        self.forwarding.drop_connection(connection);
        self.producer_ids.drop_connection(connection);
    }

    /// Reads a partition that this broker leads, up to its log end (not only its high watermark), from `offset` on.
    /// At least one batch is returned when there is one. Load with `offset = log_start(...)` until `batches` is empty.
    pub(crate) fn read_log(
        &mut self,
        ctx: &mut Ctx<'_>,
        partition: &TopicPartition,
        offset: i64,
        max_bytes: usize,
    ) -> Result<LogPiece, ErrorCode> {
        let slot = self.local_partition(partition)?;
        let partition = self.replicas.get(slot).ok_or(ErrorCode::NotLeaderOrFollower)?;
        if offset >= partition.log.log_end_offset() {
            return Ok(LogPiece { batches: Vec::new(), next_offset: offset });
        }
        let dir = partition.dir;
        let data = match partition.log.read(&*self.disk, offset, max_bytes, FetchIsolation::LogEnd, true) {
            Ok(data) => data,
            Err(error) => {
                let code = error.code();
                if let ReadError::Log(error) = error {
                    self.on_log_failure(ctx, dir, &error);
                }
                return Err(code);
            }
        };
        let mut batches = Vec::new();
        for batch in BatchIter::new(join(&data.records)) {
            batches.push(batch.map_err(|error| error.code)?);
        }
        let next_offset = batches.last().map_or(offset, |batch| batch.header.next_offset());
        Ok(LogPiece { batches, next_offset })
    }

    /// The log start offset of a local replica.
    pub(crate) fn log_start(&self, partition: &TopicPartition) -> Option<i64> {
        Some(self.replicas.by_name(partition)?.log.log_start_offset())
    }

    /// The high watermark of a local replica.
    pub(crate) fn high_watermark(&self, partition: &TopicPartition) -> Option<i64> {
        Some(self.replicas.by_name(partition)?.log.high_watermark())
    }

    /// How many partitions a topic has in this broker's metadata; `None` when it does not exist (yet).
    pub(crate) fn partition_count(&self, topic: &str) -> Option<i32> {
        self.metadata.image().topics.by_name(topic).map(|topic| topic.partitions.len() as i32)
    }

    /// Id of a topic in this broker's metadata.
    pub(crate) fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.metadata.image().topics.id(topic)
    }

    /// Name of a topic in this broker's metadata.
    pub(crate) fn topic_name(&self, id: Uuid) -> Option<StrBytes> {
        self.metadata.image().topics.by_id(id).map(|topic| topic.name.clone())
    }

    /// Leader of a partition and where clients reach it, in this broker's metadata; `None` when there is none alive.
    pub(crate) fn leader_endpoint(&self, topic: &str, partition: i32) -> Option<(NodeId, StrBytes, i32)> {
        let leader = self.metadata.image().topics.partition_by_name(topic, partition)?.leader;
        let address = self.metadata.address(leader)?;
        Some((leader, address.host, address.port))
    }
}

/// Slices of a log as one.
pub(crate) fn join(slices: &[Bytes]) -> Bytes {
    if let [only] = slices {
        return only.clone();
    }
    let mut joined = BytesMut::with_capacity(slices.iter().map(Bytes::len).sum());
    for slice in slices {
        joined.extend_from_slice(slice);
    }
    joined.freeze()
}

/// Whether Kafka keeps its own state in a topic (`Topic.isInternal`).
pub(crate) fn is_internal(topic: &str) -> bool {
    matches!(topic, GROUP_METADATA_TOPIC | TRANSACTION_STATE_TOPIC | SHARE_GROUP_STATE_TOPIC)
}
