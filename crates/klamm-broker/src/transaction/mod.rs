//! The transaction coordinator (Kafka's `TransactionCoordinator` and `TransactionStateManager`): who may begin, end or abort a
//! transaction, and that every partition in it gets its marker.
//!
//! Each partition of `__transaction_state` that this broker leads is a [`shard::Shard`], whose epoch as a coordinator is the
//! partition's leader epoch. A change of a transactional id is prepared ([`metadata`]), appended ([`append`]), and takes effect
//! once it is committed; then follows what it was for ([`append::After`]). Rules are Kafka 4.4's.

mod add_partitions;
mod append;
mod config;
mod end;
mod expiry;
mod init_producer_id;
mod list;
mod markers;
pub(crate) mod metadata;
mod records;
mod shard;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod timer;
pub(crate) mod verification;

use std::collections::{BTreeMap, VecDeque};

use klamm_metadata::features::TRANSACTION_VERSION;
use klamm_node::{ConnectionId, Ctx, ReplyTo, Timestamp, TopicPartition, TransactionEvent};
use klamm_wire::{ErrorCode, StrBytes};

use crate::core::{CoordinatorEvent, Core, TRANSACTION_STATE_TOPIC, Timer};

pub(crate) use add_partitions::{AddPartitions, AddReply, BatchId};
pub(crate) use end::{EndReply, EndTransaction};
pub(crate) use init_producer_id::InitProducerId;
pub use metadata::{TransactionView, TransactionViews};
pub(crate) use timer::TransactionTimer;

use add_partitions::Batches;
use append::Waiting;
use config::TransactionConfig;
use markers::Markers;
use metadata::TransactionMetadata;
use shard::{Shard, ShardState};
use state::TransactionVersion;

/// Transactional ids, and the transactions that are open or being ended.
#[derive(Debug, Clone)]
pub(crate) struct TransactionCoordinator {
    config: TransactionConfig,
    shards: BTreeMap<i32, Shard>,
    markers: Markers,
    batches: Batches,
    /// Requests that wait for the controller to hand out producer ids.
    waiting_for_ids: VecDeque<InitProducerId>,
    /// How many partitions `__transaction_state` has; the configured number until it exists.
    partitions: i32,
    /// When the broker started: what is done from time to time is done a whole number of intervals after it.
    booted: Timestamp,
}

impl TransactionCoordinator {
    /// A coordinator that has loaded nothing.
    pub(crate) fn new(core: &Core, ctx: &Ctx<'_>) -> Self {
        let config = TransactionConfig::new(&core.config);
        Self {
            partitions: config.partitions,
            config,
            shards: BTreeMap::new(),
            markers: Markers::default(),
            batches: Batches::default(),
            waiting_for_ids: VecDeque::new(),
            booted: ctx.now,
        }
    }

    /// Takes note of an election, a resignation, a commit, or of new producer ids.
    pub(crate) fn on_event(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, event: &CoordinatorEvent) {
        if let Some(partitions) = core.partition_count(TRANSACTION_STATE_TOPIC) {
            self.partitions = partitions;
        }
        let is_ours = |topic: &StrBytes| topic.as_str() == TRANSACTION_STATE_TOPIC;
        match event {
            CoordinatorEvent::Elected { topic, partition, leader_epoch } if is_ours(topic) => {
                self.elected(core, ctx, *partition, *leader_epoch);
            }
            CoordinatorEvent::Resigned { topic, partition } if is_ours(topic) => {
                self.resigned(core, ctx, *partition);
            }
            CoordinatorEvent::HighWatermark { topic, partition, offset } if is_ours(topic) => {
                self.on_high_watermark(core, ctx, *partition, *offset);
            }
            CoordinatorEvent::ProducerIds { arrived } => self.on_producer_ids(core, ctx, *arrived),
            CoordinatorEvent::Elected { .. }
            | CoordinatorEvent::Resigned { .. }
            | CoordinatorEvent::HighWatermark { .. }
            | CoordinatorEvent::TopicsDeleted { .. } => {}
        }
    }

    /// A deadline has come.
    pub(crate) fn on_timer(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, timer: TransactionTimer) {
        match timer {
            TransactionTimer::Load { partition } => self.load(core, ctx, partition),
            TransactionTimer::WriteTimeout { partition } => self.on_write_timeout(core, ctx, partition),
            TransactionTimer::AbortTimedOut => self.abort_timed_out(core, ctx),
            TransactionTimer::RemoveExpired => self.remove_expired(core, ctx),
            TransactionTimer::Retry => self.retry(core, ctx),
        }
    }

    /// A client went away: what it waits for needs no answer.
    pub(crate) fn drop_connection(&mut self, gone: ConnectionId) {
        self.waiting_for_ids
            .retain(|init| !matches!(init.to, ReplyTo::Client { connection, .. } if connection == gone));
    }

    /// Every transactional id that this broker coordinates.
    pub(crate) fn views(&self) -> TransactionViews {
        let serving = self.shards.values().filter(|shard| shard.state == ShardState::Active);
        serving
            .flat_map(|shard| {
                shard.transactions.iter().map(|(id, metadata)| (id.clone(), view(shard, metadata)))
            })
            .collect()
    }

    /// The partition of `__transaction_state` that keeps a transactional id.
    fn partition_for(&self, transactional_id: &str) -> i32 {
        crate::group::partition_for(transactional_id, self.partitions)
    }

    /// What is known of a transactional id, and in which epoch of the coordinator (`getTransactionState`).
    ///
    /// # Errors
    /// `NOT_COORDINATOR`, `COORDINATOR_LOAD_IN_PROGRESS`.
    fn transaction(
        &mut self,
        transactional_id: &StrBytes,
    ) -> Result<(i32, Option<&mut TransactionMetadata>), ErrorCode> {
        let shard = self.serving(transactional_id)?;
        Ok((shard.epoch, shard.transactions.get_mut(transactional_id)))
    }

    /// The shard of a transactional id, if it serves.
    fn serving(&mut self, transactional_id: &str) -> Result<&mut Shard, ErrorCode> {
        let partition = self.partition_for(transactional_id);
        let shard = self.shards.get_mut(&partition).ok_or(ErrorCode::NotCoordinator)?;
        match shard.state {
            ShardState::Active => Ok(shard),
            ShardState::Loading(_) => Err(ErrorCode::CoordinatorLoadInProgress),
        }
    }

    /// This broker leads a partition of `__transaction_state`, or leads it in a new epoch: everything is read again from its log.
    fn elected(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32, epoch: i32) {
        self.resigned(core, ctx, partition);
        let log_start = core.log_start(&state_partition(partition)).unwrap_or(0);
        self.shards.insert(partition, Shard::new(partition, epoch, log_start));
        self.schedule_sweeps(core, ctx);
        self.load(core, ctx, partition);
    }

    /// The partition is led elsewhere: whoever waits is sent there.
    fn resigned(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32) {
        let Some(mut shard) = self.shards.remove(&partition) else { return };
        for timer in [TransactionTimer::Load { partition }, TransactionTimer::WriteTimeout { partition }] {
            core.cancel_timer(&Timer::Transaction(timer));
        }
        self.markers.forget_partition(partition);
        for Waiting { after, .. } in std::mem::take(&mut shard.waiting) {
            self.finish(core, ctx, after, Err(ErrorCode::NotCoordinator));
        }
    }

    /// Loads a piece, and asks to be called again if there is more: other work comes between the pieces.
    fn load(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32) {
        let Some(shard) = self.shards.get_mut(&partition) else { return };
        // An empty or short log, the usual one, is read to its end at once: the second read finds nothing.
        let loaded = match shard.load(core, ctx, self.config.load_buffer_size) {
            Ok(false) => shard.load(core, ctx, self.config.load_buffer_size),
            other => other,
        };
        match loaded {
            Ok(true) => self.loaded(core, ctx, partition),
            Ok(false) => core.set_timer(Timer::Transaction(TransactionTimer::Load { partition }), ctx.now),
            // The log cannot be read: as long as that is so, this broker is no coordinator.
            Err(_) => self.resigned(core, ctx, partition),
        }
    }

    /// A shard serves from now on. What its predecessor had decided and not completed goes on: markers are sent (again).
    fn loaded(&mut self, core: &mut Core, ctx: &mut Ctx<'_>, partition: i32) {
        let Some(shard) = self.shards.get(&partition) else { return };
        if ctx.tracing() && !shard.transactions.is_empty() {
            ctx.trace(TransactionEvent::TransactionsLoaded {
                partition: state_partition(partition),
                epoch: shard.epoch,
                transactional_ids: shard.transactions.len(),
            });
        }
        let prepared = shard.transactions.iter().filter(|(_, t)| t.current.state.is_prepared());
        let prepared: Vec<StrBytes> = prepared.map(|(id, _)| id.clone()).collect();
        for id in prepared {
            self.send_markers_of(core, ctx, &id);
        }
    }
}

/// A partition of `__transaction_state`.
fn state_partition(partition: i32) -> TopicPartition {
    TopicPartition::new(StrBytes::from_static_str(TRANSACTION_STATE_TOPIC), partition)
}

/// The level of `transaction.version` that the cluster has.
pub(crate) fn server_version(core: &Core) -> TransactionVersion {
    TransactionVersion::from_level(core.metadata.image().features.level(TRANSACTION_VERSION))
}

fn view(shard: &Shard, metadata: &TransactionMetadata) -> TransactionView {
    TransactionView {
        state: metadata.current.state.name(),
        pending: metadata.pending.map(state::TransactionState::name),
        producer_id: metadata.current.producer_id,
        producer_epoch: metadata.current.producer_epoch,
        partitions: metadata.current.partitions.clone(),
        coordinator_epoch: shard.epoch,
        start_ms: metadata.current.start_ms,
        timeout_ms: metadata.current.timeout_ms,
    }
}
