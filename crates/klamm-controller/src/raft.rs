//! The metadata quorum: the log that every decision goes through (`KafkaRaftClient`).

mod batch;
mod quorum_state;

pub(crate) use batch::MAX_RECORDS_PER_BATCH;

use std::sync::Arc;

use bytes::Bytes;
use klamm_log::disk::FlushOutcome;
use klamm_log::{
    AppendError, AppendOrigin, Disk, FetchIsolation, Log, LogConfig, LogError, LogManager,
    LogManagerSettings, MetaProperties, ReadError,
};
use klamm_metadata::{METADATA_TOPIC, METADATA_TOPIC_ID, MetadataPublisher, MetadataRecord};
use klamm_node::{Ctx, NodeId};
use klamm_wire::record::inspect::inspect_batches;

use crate::settings::ControllerSettings;
use quorum_state::QuorumState;

/// The controller's log directory on its disk.
const LOG_DIR: &str = "logs";
/// How much is read at a time when the log is loaded, in bytes.
const LOAD_BYTES: usize = 1 << 20;

/// This controller's part in the quorum.
///
/// A quorum of one is its own majority: what is appended is committed.
#[derive(Debug)]
pub(crate) struct Raft {
    manager: LogManager,
    log: Log,
    voters: Vec<NodeId>,
    quorum: QuorumState,
    /// Whether an fsync of the log is under way.
    flushing: bool,
}

/// What a fetcher of the log gets.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// Records, perhaps none.
    Records(Vec<Bytes>),
    /// The fetcher's log leaves the leader's at or before this epoch and end offset.
    Diverging { epoch: i32, end_offset: i64 },
}

impl Raft {
    /// Opens the log on a disk, new or left by an earlier incarnation, and reads it into `publisher`.
    pub(crate) fn open(
        settings: &ControllerSettings,
        disk: &mut dyn Disk,
        ctx: &mut Ctx<'_>,
        publisher: &mut MetadataPublisher,
    ) -> Result<Self, LogError> {
        if settings.voters != [settings.node] {
            return Err(LogError::Invalid(format!(
                "controller {} cannot be one of the voters {:?}: a quorum has exactly one controller",
                settings.node, settings.voters
            )));
        }
        let config = Arc::new(log_config());
        let (mut manager, loaded) =
            LogManager::open(disk, LogManagerSettings::new(LOG_DIR), ctx.wall.millis(), &mut |_| {
                Arc::clone(&config)
            })?;
        check_or_write_meta(&manager, settings, disk, ctx)?;
        let found = loaded.into_iter().find(|log| log.topic == METADATA_TOPIC && log.partition == 0);
        let log = match found {
            Some(loaded) => loaded.log,
            None => manager.create_log(
                disk,
                METADATA_TOPIC,
                0,
                Some(METADATA_TOPIC_ID),
                config,
                ctx.wall.millis(),
            )?,
        };
        let quorum = QuorumState::read(disk, log.dir())?;
        let raft = Self { manager, log, voters: settings.voters.clone(), quorum, flushing: false };
        raft.load(disk, publisher)?;
        Ok(raft)
    }

    fn load(&self, disk: &dyn Disk, publisher: &mut MetadataPublisher) -> Result<(), LogError> {
        let mut offset = self.log.log_start_offset();
        while offset < self.log.log_end_offset() {
            let data = self
                .log
                .read(disk, offset, LOAD_BYTES, FetchIsolation::LogEnd, true)
                .map_err(|error| self.corrupt(&error))?;
            let before = offset;
            publisher.load_records(&data.records, i64::MAX).map_err(|error| self.corrupt(&error))?;
            offset = publisher.next_offset();
            if offset == before {
                return Err(self.corrupt(&"a read within the log found nothing"));
            }
        }
        Ok(())
    }

    fn corrupt(&self, error: &dyn std::fmt::Display) -> LogError {
        LogError::Corrupt { path: self.log.dir().to_owned(), message: error.to_string() }
    }

    /// Becomes the leader of a new epoch, which a quorum of one does by itself, and begins it with a control record.
    pub(crate) fn become_leader(
        &mut self,
        node: NodeId,
        disk: &mut dyn Disk,
        now_ms: i64,
    ) -> Result<(), AppendError> {
        let epoch = self.quorum.leader_epoch.max(self.log.latest_epoch().unwrap_or(0)) + 1;
        self.quorum = QuorumState { leader_id: node.0, leader_epoch: epoch, voted_id: node.0 };
        self.quorum.write(disk, self.log.dir())?;
        let start = self.log.log_end_offset();
        self.log.assign_epoch_start_offset(disk, epoch, start)?;
        let batch = batch::leader_change(node, &self.voters, now_ms);
        self.append_batch(disk, &batch.to_bytes(), now_ms)?;
        self.advance_high_watermark();
        Ok(())
    }

    /// Appends records as one batch: all of them or none. The offset of the first.
    pub(crate) fn append(
        &mut self,
        disk: &mut dyn Disk,
        records: &[MetadataRecord],
        now_ms: i64,
    ) -> Result<i64, AppendError> {
        let batch = batch::encode(records, now_ms)?;
        let first = self.append_batch(disk, &batch.to_bytes(), now_ms)?;
        self.advance_high_watermark();
        Ok(first)
    }

    fn append_batch(&mut self, disk: &mut dyn Disk, batch: &Bytes, now_ms: i64) -> Result<i64, AppendError> {
        let inspected =
            inspect_batches(batch).map_err(|error| AppendError::new(error.code, error.message))?;
        let epoch = self.quorum.leader_epoch;
        let info = self.log.append_as_leader(disk, &inspected, epoch, now_ms, AppendOrigin::Raft)?;
        self.flush(disk, now_ms)?;
        Ok(info.first_offset)
    }

    /// Asks that the log become durable, one flush at a time: what is appended meanwhile goes with the next.
    fn flush(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        if !self.flushing {
            self.log.flush(disk, now_ms)?;
            self.flushing = self.log.recovery_point() < self.log.log_end_offset();
        }
        Ok(())
    }

    /// Notes how an fsync ended, and asks for the next one where more was appended.
    pub(crate) fn on_flushed(
        &mut self,
        disk: &mut dyn Disk,
        outcome: &FlushOutcome,
        now_ms: i64,
    ) -> Result<(), LogError> {
        self.manager.on_flushed(disk, outcome, &mut std::iter::once(&mut self.log), now_ms);
        self.flushing = false;
        if self.log.recovery_point() < self.log.log_end_offset() {
            self.flush(disk, now_ms)?;
        }
        Ok(())
    }

    /// Commits what a majority of the voters has: of one voter, everything.
    fn advance_high_watermark(&mut self) {
        self.log.maybe_increment_high_watermark(self.log.log_end_offset());
    }

    /// The leader's epoch.
    pub(crate) const fn epoch(&self) -> i32 {
        self.quorum.leader_epoch
    }

    /// The leader of the epoch.
    pub(crate) const fn leader(&self) -> NodeId {
        NodeId(self.quorum.leader_id)
    }

    /// The metadata log.
    pub(crate) const fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn log_start_offset(&self) -> i64 {
        self.log.log_start_offset()
    }

    /// The offset of the next record.
    pub(crate) fn next_offset(&self) -> i64 {
        self.log.log_end_offset()
    }

    /// Everything below is committed.
    pub(crate) fn high_watermark(&self) -> i64 {
        self.log.high_watermark()
    }

    /// Reads for a fetcher whose last record was of epoch `last_fetched_epoch` (`ReplicatedLog.validateOffsetAndEpoch`).
    pub(crate) fn fetch(
        &self,
        disk: &dyn Disk,
        offset: i64,
        last_fetched_epoch: i32,
        max_bytes: usize,
    ) -> Result<Fetched, ReadError> {
        if offset == 0 && last_fetched_epoch <= 0 {
            return self.read(disk, offset, max_bytes);
        }
        match self.log.end_offset_for_epoch(last_fetched_epoch) {
            Some(end) if end.epoch == last_fetched_epoch && end.end_offset >= offset => {
                self.read(disk, offset, max_bytes)
            }
            Some(end) => Ok(Fetched::Diverging { epoch: end.epoch, end_offset: end.end_offset }),
            None => Ok(Fetched::Diverging { epoch: 0, end_offset: self.log.log_start_offset() }),
        }
    }

    fn read(&self, disk: &dyn Disk, offset: i64, max_bytes: usize) -> Result<Fetched, ReadError> {
        if offset == self.log.log_end_offset() {
            return Ok(Fetched::Records(Vec::new()));
        }
        let data = self.log.read(disk, offset, max_bytes, FetchIsolation::LogEnd, true)?;
        Ok(Fetched::Records(data.records))
    }

    /// Ends the process in order.
    pub(crate) fn close(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<(), LogError> {
        self.manager.close(disk, &mut [&mut self.log], None, now_ms)
    }
}

/// A log directory that belongs to another node or cluster is refused; a new one is made ours.
fn check_or_write_meta(
    manager: &LogManager,
    settings: &ControllerSettings,
    disk: &mut dyn Disk,
    ctx: &mut Ctx<'_>,
) -> Result<(), LogError> {
    let Some(meta) = manager.meta_properties(disk)? else {
        let meta = MetaProperties {
            cluster_id: settings.cluster_id.to_string(),
            node_id: settings.node.0,
            directory_id: ctx.rng.uuid(),
        };
        return manager.write_meta_properties(disk, &meta);
    };
    if meta.cluster_id == *settings.cluster_id && meta.node_id == settings.node.0 {
        return Ok(());
    }
    Err(LogError::Invalid(format!(
        "the log directory belongs to node {} of cluster {}, not to node {} of cluster {}",
        meta.node_id, meta.cluster_id, settings.node, settings.cluster_id
    )))
}

/// The metadata log is kept whole: it is small, and klamm's clusters are short-lived.
fn log_config() -> LogConfig {
    LogConfig { retention_ms: -1, retention_bytes: -1, delete: true, ..LogConfig::default() }
}
