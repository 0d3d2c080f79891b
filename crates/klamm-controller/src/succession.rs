//! Taking over the cluster and losing it again (`QuorumController.claim`, `renounce`), and following along in between.

use bytes::{Bytes, BytesMut};
use klamm_log::LogError;
use klamm_metadata::record::AbortTransactionRecord;
use klamm_metadata::{MetadataPublisher, MetadataRecord};
use klamm_node::config::BrokerConfig;
use klamm_node::{Ctx, TraceKind};
use klamm_wire::record::batch::BatchIter;
use klamm_wire::{Response, StrBytes};

use crate::controller::{Controller, Deferred};
use crate::state::ClusterState;
use crate::{feature_control, handlers};

impl Controller {
    /// Becomes the active controller of the epoch: every unfenced broker gets a whole session, what an earlier
    /// controller left unfinished is aborted, and a new cluster gets its first records.
    pub(crate) fn claim(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        self.active = Some(self.raft.epoch());
        ctx.trace(TraceKind::ControllerElected { epoch: self.raft.epoch() });
        self.state.activate(ctx.now, ctx.trace.effect());
        let mut records = Vec::new();
        if self.state.abort_open_transaction() {
            let reason = Some(StrBytes::from_static_str("Controller failover"));
            records.push(MetadataRecord::AbortTransaction(AbortTransactionRecord { reason }));
        }
        if self.state.image.features.iter().len() == 0 {
            records.extend(feature_control::bootstrap_records(
                &self.settings.bootstrap_features,
                &self.state.config,
            ));
        }
        self.write(ctx, &records, "bootstrap").map_err(crate::raft::storage_error)?;
        self.start_timers(ctx.now);
        Ok(())
    }

    /// Is active no more: answers that wait fail, and what is not committed is undone.
    pub(crate) fn renounce(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        let Some(epoch) = self.active.take() else { return Ok(()) };
        let deferred = std::mem::take(&mut self.deferred).into_values().flatten();
        for Deferred { to, response, .. } in deferred {
            match response {
                Response::Other(kind) => ctx.reply(to, handlers::not_controller::instead_of(*kind)),
                other => ctx.reply(to, other),
            }
        }
        self.timers.clear();
        let (from, committed) = (self.applied, self.raft.high_watermark());
        if from > committed {
            self.reset_state()?;
            self.apply_committed(ctx)?;
        }
        ctx.trace(TraceKind::ControllerDeposed { epoch, reverted_to: self.applied, from });
        Ok(())
    }

    /// Forgets the state: it is folded together again from what is committed.
    fn reset_state(&mut self) -> Result<(), LogError> {
        let config = BrokerConfig::of_release(self.settings.kafka_version, self.settings.config.clone())
            .map_err(|error| LogError::Invalid(error.to_string()))?;
        let (node, cluster_id) = (self.settings.node, self.settings.cluster_id.clone());
        self.state = ClusterState::new(node, cluster_id, config, self.settings.eras);
        self.applied = 0;
        Ok(())
    }

    /// Folds in what is committed and not part of the state yet.
    pub(crate) fn apply_committed(&mut self, ctx: &Ctx<'_>) -> Result<(), LogError> {
        let committed = self.raft.high_watermark();
        if self.applied >= committed {
            return Ok(());
        }
        if self.applied < self.raft.log_start_offset() || self.applied == 0 {
            self.load_snapshot(ctx)?;
        }
        while self.applied < committed {
            let before = self.applied;
            for batch in BatchIter::new(join(&self.raft.read_committed(before)?)) {
                let batch = batch.map_err(|error| self.raft.corrupt(&error))?;
                if batch.header.next_offset() > committed {
                    break;
                }
                if batch.header.last_offset() >= self.applied {
                    self.state.replay_batch(&batch).map_err(|error| self.raft.corrupt(&error))?;
                    self.snapshots.note_records(batch.size() as u64, batch.header.max_timestamp);
                    self.applied = batch.header.next_offset();
                }
            }
            if self.applied == before {
                return Err(self.raft.corrupt(&"a read of what is committed found nothing"));
            }
        }
        Ok(())
    }

    /// Begins again from the newest snapshot, if there is one.
    fn load_snapshot(&mut self, ctx: &Ctx<'_>) -> Result<(), LogError> {
        let Some(id) = self.raft.latest_snapshot() else { return Ok(()) };
        if id.end_offset > self.raft.high_watermark() {
            return Ok(());
        }
        let Some(contents) = self.raft.read_snapshot(id)? else { return Ok(()) };
        let mut publisher = MetadataPublisher::new();
        publisher.load_snapshot(&contents, id).map_err(|error| self.raft.corrupt(&error))?;
        self.reset_state()?;
        self.state.load(publisher);
        self.applied = id.end_offset;
        self.snapshots.reset(ctx.now);
        Ok(())
    }

    /// Writes a snapshot of what is committed where enough was written since the last, or that is long ago.
    pub(crate) fn maybe_take_snapshot(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        if self.snapshots.is_due(ctx.now)
            && self.applied == self.raft.high_watermark()
            && self.state.is_whole()
        {
            let timestamp = self.snapshots.last_record_ms();
            self.snapshots.reset(ctx.now);
            self.raft.take_snapshot(ctx, &self.state.image, timestamp)?;
        }
        Ok(())
    }
}

/// Slices of a log as one.
fn join(slices: &[Bytes]) -> Bytes {
    if let [only] = slices {
        return only.clone();
    }
    let mut joined = BytesMut::with_capacity(slices.iter().map(Bytes::len).sum());
    for slice in slices {
        joined.extend_from_slice(slice);
    }
    joined.freeze()
}
