//! The broker itself: what the world calls.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use klamm_log::disk::FlushOutcome;
use klamm_log::{Disk, LogConfig, LogError};
use klamm_metadata::{METADATA_TOPIC, METADATA_TOPIC_ID, MetadataImage};
use klamm_node::config::{broker, log_dir_paths};
use klamm_node::pause::Pauses;
use klamm_node::{
    CallId, ConnectionId, Ctx, Eras, EventId, Incoming, NodeId, SendError, TimerTable, Timestamp,
    TopicPartition,
};
use klamm_wire::{KafkaVersion, Response, StrBytes, Uuid};
use rustc_hash::FxHashMap;

use crate::alter_partition::AlterPartitionManager;
use crate::assignments::Assignments;
use crate::auto_topic_creation::AutoTopicCreation;
use crate::config::BrokerConfig;
use crate::controller_channel::ControllerChannel;
use crate::core::{Call, Core, Timer};
use crate::fetch_session::FetchSessionCache;
use crate::group::{GroupCoordinator, GroupInspection, GroupView};
use crate::handlers;
use crate::handlers::forward::Forwarding;
use crate::handlers::write_txn_markers::MarkerRequests;
use crate::lifecycle::{Lifecycle, LifecycleState};
use crate::log_dirs::{Dir, LogDirs};
use crate::metadata::Metadata;
use crate::partition::Partition;
use crate::producer_ids::ProducerIdManager;
use crate::purgatory::Purgatory;
use crate::quota::ClientQuotas;
use crate::quota::replication::ReplicationQuotas;
use crate::replica_fetcher::Fetchers;
use crate::replica_manager::ReplicaManager;
use crate::share::manager::SharePartitionManager;
use crate::share::persister::Persister;
use crate::share_coordinator::ShareCoordinator;
use crate::transaction::verification::{AddPartitionsToTxnManager, Waiter};
use crate::transaction::{TransactionCoordinator, TransactionViews};

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct BrokerSettings {
    /// Its `node.id`.
    pub node: NodeId,
    /// The cluster's id.
    pub cluster_id: StrBytes,
    /// The host that clients are told to connect to.
    pub host: StrBytes,
    /// The port that clients are told to connect to.
    pub port: u16,
    /// Its `broker.rack`.
    pub rack: Option<StrBytes>,
    /// The controllers, in the order to try them.
    pub controllers: Vec<NodeId>,
    /// Server properties by Kafka's names.
    pub config: BTreeMap<String, String>,
    /// Which release of Kafka it is to its clients: its APIs, features and defaults.
    pub kafka_version: KafkaVersion,
    /// Which rules are those of an older Kafka.
    pub eras: Eras,
}

/// What a broker knows of one partition that it holds a replica of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionView {
    /// The topic's id.
    pub topic_id: Uuid,
    /// The leader, -1 for none.
    pub leader: NodeId,
    /// The leader's epoch.
    pub leader_epoch: i32,
    /// The replicas, in assignment order.
    pub replicas: Vec<NodeId>,
    /// The in-sync replicas, as last committed by the controller.
    pub isr: Vec<NodeId>,
    /// The first offset of the local log.
    pub log_start: i64,
    /// The next offset of the local log.
    pub log_end: i64,
    /// The local high watermark.
    pub high_watermark: i64,
    /// The local last stable offset.
    pub last_stable_offset: i64,
}

/// A broker that did not start.
#[derive(Debug, Clone)]
pub struct BootFailure {
    /// Why.
    pub error: LogError,
    /// Its disk, for another try. Files may be open on it.
    pub disk: Box<dyn Disk>,
}

/// A broker. Every method is one step: it never blocks, and what it does to the outside are effects in `ctx`.
///
/// The caller delivers requests, responses and timers in any order; after each call [`Broker::next_deadline`] may have changed.
#[derive(Debug, Clone)]
pub struct Broker {
    pub(crate) core: Core,
    pub(crate) groups: GroupCoordinator,
    pub(crate) share_coordinator: ShareCoordinator,
    pub(crate) transactions: TransactionCoordinator,
    pub(crate) share: SharePartitionManager,
}

impl Broker {
    /// Starts a broker on a disk, new or left by an earlier incarnation.
    ///
    /// # Errors
    /// When the disk cannot be read or written.
    pub fn boot(
        settings: BrokerSettings,
        mut disk: Box<dyn Disk>,
        ctx: &mut Ctx<'_>,
    ) -> Result<Self, BootFailure> {
        let opened = BrokerConfig::new(settings.kafka_version, properties(&settings))
            .map_err(|error| LogError::Invalid(error.to_string()))
            .and_then(|config| Ok((open_logs(&settings, &config, &mut *disk, ctx)?, config)));
        let ((replicas, metadata), config) = match opened {
            Ok(opened) => opened,
            Err(error) => return Err(BootFailure { error, disk }),
        };
        let previous_epoch = replicas.dirs.previous_broker_epoch();
        let sessions = FetchSessionCache::new(
            usize::try_from(config.get(broker::MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS)).unwrap_or(0),
            FETCH_SESSION_EVICTION_MS,
        );
        let quotas = ReplicationQuotas::new(&config);
        let client_quotas = ClientQuotas::new(&config);
        let mut core = Core {
            moves_due: false,
            cleaners: crate::cleaner::Cleaners::default(),
            quotas,
            client_quotas,
            controller: ControllerChannel::new(settings.controllers.clone()),
            settings,
            config,
            disk,
            timers: TimerTable::default(),
            coordinator_events: VecDeque::new(),
            metadata,
            lifecycle: Lifecycle::new(ctx.rng.uuid(), previous_epoch),
            replicas,
            assignments: Assignments::default(),
            pauses: Pauses::default(),
            fetchers: Fetchers::default(),
            alter_partition: AlterPartitionManager::default(),
            sessions,
            produce_ops: Purgatory::default(),
            fetch_ops: Purgatory::default(),
            add_partitions: AddPartitionsToTxnManager::default(),
            markers: MarkerRequests::default(),
            delete_ops: Purgatory::default(),
            fetch_checks: BTreeSet::new(),
            parked_fetches: FxHashMap::default(),
            parked_followers: FxHashMap::default(),
            forwarding: Forwarding::default(),
            auto_topics: AutoTopicCreation::default(),
            persister: Persister::default(),
            share_active: false,
            share_wakes: BTreeSet::new(),
            producer_ids: ProducerIdManager::default(),
            calls: FxHashMap::default(),
        };
        let groups = GroupCoordinator::new(&mut core, ctx);
        let share_coordinator = ShareCoordinator::new(&core);
        let share = SharePartitionManager::new(&core);
        let transactions = TransactionCoordinator::new(&core, ctx);
        core.schedule_log_tasks(ctx);
        core.fetch_metadata(ctx);
        core.communicate(ctx);
        let mut broker = Self { core, groups, share_coordinator, share, transactions };
        broker.settle(ctx);
        Ok(broker)
    }

    /// A request came.
    pub fn on_request(&mut self, ctx: &mut Ctx<'_>, incoming: Incoming) {
        if self.core.lifecycle.was_never_unfenced() {
            // Kafka starts its acceptors once the broker is unfenced (`BrokerServer.startup`). Before, its replicas may be older than
            // what others believe of them: a leader that lost its log with its power would have its followers truncate.
            ctx.close(incoming.reply_to);
            return;
        }
        handlers::dispatch(self, ctx, incoming);
        self.settle(ctx);
    }

    /// A call that this broker made was answered, or failed.
    pub fn on_response(&mut self, ctx: &mut Ctx<'_>, call: CallId, result: Result<Response, SendError>) {
        if let Some(Call::WriteTxnMarkers { to }) = self.core.calls.get(&call) {
            let to = *to;
            self.core.calls.remove(&call);
            self.transactions.on_markers_answered(&mut self.core, ctx, to, &result);
        } else {
            self.core.on_answer(ctx, call, result);
        }
        self.settle(ctx);
    }

    /// Time passed: everything due at `ctx.now` happens.
    pub fn on_timer(&mut self, ctx: &mut Ctx<'_>) {
        while let Some((timer, cause)) = self.core.timers.pop_due(ctx.now) {
            ctx.follow(cause);
            match timer {
                Timer::Group(timer) => self.groups.on_timer(&mut self.core, ctx, timer),
                Timer::Share(timer) => self.share.on_timer(&mut self.core, ctx, timer),
                Timer::ShareCoordinator(timer) => self.share_coordinator.on_timer(&mut self.core, ctx, timer),
                Timer::Transaction(timer) => self.transactions.on_timer(&mut self.core, ctx, timer),
                timer => self.core.on_core_timer(ctx, timer),
            }
            self.core.timers.stamp(ctx.trace.effect());
        }
        self.core.expire_operations(ctx);
        self.share.expire(&mut self.core, ctx);
        self.settle(ctx);
    }

    /// Ends a step: the deadlines that it set follow from `cause`.
    pub fn stamp_timers(&mut self, cause: Option<EventId>) {
        self.core.timers.stamp(cause);
    }

    /// When [`Broker::on_timer`] must be called next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        [self.core.next_deadline(), self.share.next_deadline()].into_iter().flatten().min()
    }

    /// A client's connection ended.
    pub fn on_disconnect(&mut self, ctx: &mut Ctx<'_>, connection: ConnectionId) {
        self.core.drop_connection(connection);
        self.transactions.drop_connection(connection);
        self.share.on_disconnect(&mut self.core, ctx, connection);
        self.settle(ctx);
    }

    /// Asks the controller to move leadership away, then stops: ends with [`klamm_node::Effect::Halt`].
    pub fn begin_controlled_shutdown(&mut self, ctx: &mut Ctx<'_>) {
        self.core.begin_shutdown(ctx);
        self.settle(ctx);
    }

    /// Ends this incarnation and gives the disk back.
    pub fn into_disk(self) -> Box<dyn Disk> {
        self.core.disk
    }

    /// Whether the broker is registered, unfenced and caught up with the metadata log.
    pub const fn is_ready(&self) -> bool {
        matches!(self.core.lifecycle.state, LifecycleState::Running)
    }

    /// What this broker knows of a partition that it holds.
    pub fn partition(&self, topic: &str, partition: i32) -> Option<PartitionView> {
        let name = TopicPartition::new(StrBytes::from_string(topic.to_owned()), partition);
        self.core.replicas.by_name(&name).map(view)
    }

    /// Every partition that this broker holds, by name.
    pub fn partitions(&self) -> BTreeMap<TopicPartition, PartitionView> {
        self.core.replicas.iter().map(|(_, p)| (p.name.clone(), view(p))).collect()
    }

    /// Every group that this broker coordinates, by its id.
    pub fn groups(&self) -> BTreeMap<StrBytes, GroupView> {
        self.groups.views()
    }

    /// A group whose records are in a partition of `__consumer_offsets`, committed or not; `None` where this broker does not serve that
    /// partition.
    pub fn inspect_group(&self, partition: i32, group: &StrBytes) -> Option<GroupInspection> {
        self.groups.inspect(partition, group)
    }

    /// Every transactional id that this broker coordinates.
    pub fn transactions(&self) -> TransactionViews {
        self.transactions.views()
    }

    /// The cluster as this broker knows it.
    pub const fn image(&self) -> &MetadataImage {
        self.core.metadata.image()
    }

    /// The broker's epoch; -1 before it registered.
    pub const fn epoch(&self) -> i64 {
        self.core.lifecycle.epoch
    }

    /// How many operations wait, of all kinds: back at zero when the load has stopped, but for long polls.
    pub fn pending_operations(&self) -> usize {
        let core = &self.core;
        core.produce_ops.len()
            + core.fetch_ops.len()
            + core.delete_ops.len()
            + core.persister.len()
            + self.share.waiting()
            + core.markers.len()
            + core.add_partitions.len()
    }

    /// How many fetch sessions are open.
    pub fn fetch_sessions(&self) -> usize {
        self.core.sessions.len()
    }

    /// How many share sessions are open.
    pub fn share_sessions(&self) -> usize {
        self.share.sessions()
    }

    /// The disk.
    pub fn disk(&self) -> &dyn Disk {
        &*self.core.disk
    }

    /// The disk, for those who look after its flushes and faults.
    pub fn disk_mut(&mut self) -> &mut dyn Disk {
        &mut *self.core.disk
    }

    /// Has followers check the CRC of what their leaders send, or not. They do from the start where the disk
    /// [is real](Disk::is_real); in a world whose disks and links keep every byte there is nothing to find.
    pub fn set_verify_crcs(&mut self, verify: bool) {
        self.core.replicas.set_verify_crcs(verify);
    }

    /// Notes how an fsync ended that [`Disk::take_flush_jobs`] handed out.
    pub fn on_flushed(&mut self, ctx: &mut Ctx<'_>, outcome: &FlushOutcome) {
        self.core.note_flush(ctx, outcome);
        self.settle(ctx);
    }

    /// Finishes a step: does and hands over what was queued until nothing is left to do.
    pub(crate) fn settle(&mut self, ctx: &mut Ctx<'_>) {
        loop {
            if let Some(event) = self.core.coordinator_events.pop_front() {
                self.share_coordinator.on_event(&mut self.core, ctx, &event);
                self.transactions.on_event(&mut self.core, ctx, &event);
                self.groups.on_event(&mut self.core, ctx, event);
            } else if let Some((waiter, errors)) = self.core.add_partitions.answered.pop_front() {
                match waiter {
                    Waiter::Produce(waiter) => self.core.produce_verified(ctx, waiter, errors),
                    Waiter::TxnOffsetCommit(waiter) => {
                        handlers::txn_offset_commit::verified(self, ctx, *waiter, &errors);
                    }
                }
            } else if let Some((asked, answers)) = self.core.persister.group_answered.pop_front() {
                self.groups.on_share_answers(&mut self.core, ctx, asked, &answers);
            } else if !self.core.settle_one(ctx) && !self.share.settle_one(&mut self.core, ctx) {
                break;
            }
        }
        self.transactions.flush_markers(&mut self.core, ctx);
        handlers::group::find_coordinator::answer_waiting(self, ctx);
    }
}

/// How long a fetch session is safe from eviction, in milliseconds (`FetchSession.MIN_INCREMENTAL_FETCH_SESSION_EVICTION_MS`).
const FETCH_SESSION_EVICTION_MS: i64 = 120_000;
/// The log directory where `log.dirs` names none.
const LOG_DIR: &str = "/logs";

fn view(partition: &Partition) -> PartitionView {
    PartitionView {
        topic_id: partition.topic_id,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.isr.clone(),
        log_start: partition.log.log_start_offset(),
        log_end: partition.log.log_end_offset(),
        high_watermark: partition.log.high_watermark(),
        last_stable_offset: partition.log.last_stable_offset(),
    }
}

/// The server properties: what the user set, and what follows from the broker's place in the cluster.
fn properties(settings: &BrokerSettings) -> BTreeMap<String, String> {
    let listener = format!("PLAINTEXT://{}:{}", settings.host, settings.port);
    let mut properties = settings.config.clone();
    for (key, value) in [
        (broker::NODE_ID.name(), settings.node.to_string()),
        (broker::PROCESS_ROLES.name(), "broker".to_owned()),
        (broker::LISTENERS.name(), listener.clone()),
        (broker::ADVERTISED_LISTENERS.name(), listener),
    ] {
        properties.insert(key.to_owned(), value);
    }
    properties.entry(broker::LOG_DIRS.name().to_owned()).or_insert_with(|| LOG_DIR.to_owned());
    if let Some(rack) = &settings.rack {
        properties.insert(broker::BROKER_RACK.name().to_owned(), rack.to_string());
    }
    properties
}

/// Loads what is on the disk: the replicas' logs, and our copy of the metadata log.
fn open_logs(
    settings: &BrokerSettings,
    config: &BrokerConfig,
    disk: &mut dyn Disk,
    ctx: &mut Ctx<'_>,
) -> Result<(ReplicaManager, Metadata), LogError> {
    let limits = config.log_limits(settings.node);
    let paths = log_dir_paths(&config.get(broker::LOG_DIRS).unwrap_or_default())
        .map_err(|error| LogError::Invalid(error.to_string()))?;
    let defaults = config.log_config(&klamm_metadata::ConfigsImage::default(), "");
    let (mut dirs, mut found, futures) = LogDirs::open(paths, limits, settings, &defaults, disk, ctx)?;
    let name = TopicPartition::new(METADATA_TOPIC, 0);
    let metadata = match (found.remove(&name), dirs.manager_mut(Dir::METADATA)) {
        (Some((_, loaded)), _) => loaded.log,
        (None, Some(manager)) => {
            let (id, now) = (Some(METADATA_TOPIC_ID), ctx.wall.millis());
            manager.create_log(disk, METADATA_TOPIC, 0, id, metadata_config(), now)?
        }
        (None, None) => return Err(LogError::Invalid("the metadata log has no directory".to_owned())),
    };
    let mut replicas = ReplicaManager::new(dirs, found, futures);
    replicas.set_verify_crcs(disk.is_real());
    Ok((replicas, Metadata::open(metadata, disk, ctx.wall.millis())?))
}

/// The metadata log keeps everything.
fn metadata_config() -> Arc<LogConfig> {
    Arc::new(LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        max_message_bytes: i32::MAX as u32,
        ..LogConfig::default()
    })
}
