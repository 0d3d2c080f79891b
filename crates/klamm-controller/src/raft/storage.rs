//! The metadata log on its disk: whose directory it is, what is appended, made durable, and read again.

use bytes::Bytes;
use klamm_log::disk::FlushOutcome;
use klamm_log::{
    AppendError, AppendOrigin, Disk, FetchIsolation, LogConfig, LogError, LogManager, MetaProperties,
    ReadError,
};
use klamm_metadata::MetadataRecord;
use klamm_node::config::{BrokerConfig, broker};
use klamm_node::{Ctx, NodeId};
use klamm_wire::Uuid;
use klamm_wire::record::inspect::inspect_batches;

use super::{Raft, batch};
use crate::settings::ControllerSettings;

/// How much is read at a time when the log is loaded, in bytes.
const LOAD_BYTES: usize = 1 << 20;

impl Raft {
    /// Appends records as one batch: all of them or none. The offset of the first. [`advance`](Self::advance) lets the
    /// others know.
    pub(crate) fn append(&mut self, records: &[MetadataRecord], now_ms: i64) -> Result<i64, AppendError> {
        let batch = batch::encode(records, now_ms)?;
        self.append_batch(&batch.to_bytes(), now_ms)
    }

    pub(super) fn append_leader_change(
        &mut self,
        ctx: &mut Ctx<'_>,
        granting: &[NodeId],
    ) -> Result<(), LogError> {
        let now_ms = ctx.wall.millis();
        let batch = batch::leader_change(self.me, &self.voters, granting, now_ms);
        self.append_batch(&batch.to_bytes(), now_ms).map_err(storage_error)?;
        self.advance(ctx)
    }

    fn append_batch(&mut self, batch: &Bytes, now_ms: i64) -> Result<i64, AppendError> {
        let inspected =
            inspect_batches(batch).map_err(|error| AppendError::new(error.code, error.message))?;
        let origin = AppendOrigin::Raft;
        let info = self.log.append_as_leader(self.disk.as_mut(), &inspected, self.epoch, now_ms, origin)?;
        Ok(info.first_offset)
    }

    /// Makes what was appended durable, commits what a majority has, and answers fetches that waited for either.
    pub(crate) fn advance(&mut self, ctx: &mut Ctx<'_>) -> Result<(), LogError> {
        self.flush(ctx.wall.millis())?;
        self.update_leader_high_watermark();
        self.complete_fetches(ctx);
        Ok(())
    }

    /// Asks that the log become durable, one flush at a time: what is appended meanwhile goes with the next.
    pub(super) fn flush(&mut self, now_ms: i64) -> Result<(), LogError> {
        if self.log.is_flushing() { Ok(()) } else { self.log.flush(self.disk.as_mut(), now_ms) }
    }

    /// Notes how an fsync ended, and asks for the next one where more was appended.
    pub(crate) fn on_flushed(&mut self, ctx: &mut Ctx<'_>, outcome: &FlushOutcome) -> Result<(), LogError> {
        let now_ms = ctx.wall.millis();
        self.disk.complete_flush(outcome);
        if self.persisting == Some(outcome.id) {
            self.persisting = None;
            if let Err(error) = &outcome.result {
                return Err(error.clone().into());
            }
            return self.persist();
        }
        if self.on_snapshot_written(ctx, outcome.id, outcome.result.is_ok())? {
            return Ok(());
        }
        if !self.log.on_flushed(outcome, now_ms) {
            return Ok(());
        }
        if let Err(error) = &outcome.result {
            return Err(error.clone().into());
        }
        self.flush(now_ms)?;
        if self.update_leader_high_watermark() {
            self.complete_fetches(ctx);
        }
        Ok(())
    }

    /// Committed batches from `offset` on, as many as are worth loading at a time.
    pub(crate) fn read_committed(&self, offset: i64) -> Result<Vec<Bytes>, LogError> {
        self.log
            .read(self.disk.as_ref(), offset, LOAD_BYTES, FetchIsolation::HighWatermark, true)
            .map(|data| data.records)
            .map_err(|error| self.corrupt(&error))
    }

    /// An error about the log's contents.
    pub(crate) fn corrupt(&self, error: &dyn std::fmt::Display) -> LogError {
        LogError::Corrupt { path: self.log.dir().to_owned(), message: error.to_string() }
    }

    pub(super) fn read_log(&self, offset: i64, max_bytes: usize) -> Result<Vec<Bytes>, ReadError> {
        if offset == self.log.log_end_offset() {
            return Ok(Vec::new());
        }
        let data = self.log.read(self.disk.as_ref(), offset, max_bytes, FetchIsolation::LogEnd, true)?;
        Ok(data.records)
    }
}

/// A log directory that belongs to another node or cluster is refused; a new one is made ours. Its id.
pub(super) fn check_or_write_meta(
    manager: &LogManager,
    settings: &ControllerSettings,
    disk: &mut dyn Disk,
    ctx: &mut Ctx<'_>,
) -> Result<Uuid, LogError> {
    let Some(meta) = manager.meta_properties(disk)? else {
        let meta = MetaProperties {
            cluster_id: settings.cluster_id.to_string(),
            node_id: settings.node.0,
            directory_id: ctx.rng.uuid(),
        };
        manager.write_meta_properties(disk, &meta)?;
        return Ok(meta.directory_id);
    };
    if meta.cluster_id == *settings.cluster_id && meta.node_id == settings.node.0 {
        return Ok(meta.directory_id);
    }
    Err(LogError::Invalid(format!(
        "the log directory belongs to node {} of cluster {}, not to node {} of cluster {}",
        meta.node_id, meta.cluster_id, settings.node, settings.cluster_id
    )))
}

/// What of the metadata log goes is decided by its snapshots, not by the age or size of its segments.
pub(super) fn log_config(config: &BrokerConfig) -> LogConfig {
    LogConfig {
        retention_ms: -1,
        retention_bytes: -1,
        delete: true,
        segment_bytes: config.get(broker::METADATA_LOG_SEGMENT_BYTES).unsigned_abs(),
        segment_ms: config.get(broker::METADATA_LOG_SEGMENT_MS),
        ..LogConfig::default()
    }
}

pub(crate) fn storage_error(error: AppendError) -> LogError {
    match error.storage {
        Some(storage) => *storage,
        None => LogError::Invalid(error.message),
    }
}
