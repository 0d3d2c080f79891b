//! What stands around the logs of a log directory (`LogManager`).

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_wire::Uuid;

use crate::config::LogConfig;
use crate::disk::{Disk, FlushOutcome};
use crate::error::LogError;
use crate::log::Log;

/// How a log directory is run. Times in milliseconds.
#[derive(Debug, Clone)]
pub struct LogManagerSettings {
    /// The log directory, relative to the disk's root.
    pub dir: String,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration_ms: i64,
    /// `transaction.max.timeout.ms` + 5 minutes: after that an open transaction is considered hanging.
    pub max_transaction_timeout_ms: i64,
    /// Seed for `segment.jitter.ms`.
    pub seed: u64,
}

impl LogManagerSettings {
    /// Kafka's defaults for the log directory `dir`.
    pub fn new(dir: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            producer_id_expiration_ms: 86_400_000,
            max_transaction_timeout_ms: 15 * 60 * 1000,
            seed: 0,
        }
    }
}

/// `meta.properties`: whose directory it is (version 1, KRaft).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster's id.
    pub cluster_id: String,
    /// The node's id.
    pub node_id: i32,
    /// The directory's own id (KIP-858).
    pub directory_id: Uuid,
}

/// A log found when a directory was loaded.
#[derive(Debug)]
pub struct LoadedLog {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The topic's id, from `partition.metadata`.
    pub topic_id: Option<Uuid>,
    /// The log, with the high watermark of the checkpoint.
    pub log: Log,
}

/// One log directory of a node. The logs themselves belong to the partitions; the manager keeps what they share.
#[derive(Debug, Clone)]
pub struct LogManager {
    settings: LogManagerSettings,
}

#[expect(clippy::todo, unused_variables, reason = "being built")]
impl LogManager {
    /// Opens a log directory, creating it when absent, and loads every log in it: after an unclean stop each is recovered from its
    /// recovery point. `config` gives each topic's configuration.
    pub fn open(
        disk: &mut dyn Disk,
        settings: LogManagerSettings,
        now_ms: i64,
        config: &mut dyn FnMut(&str) -> Arc<LogConfig>,
    ) -> Result<(Self, Vec<LoadedLog>), LogError> {
        todo!()
    }

    /// The directory's settings.
    pub const fn settings(&self) -> &LogManagerSettings {
        &self.settings
    }

    /// Whether the directory was last closed by [`close`](Self::close).
    pub fn had_clean_shutdown(&self) -> bool {
        todo!()
    }

    /// The broker epoch of the last clean shutdown, as `.kafka_cleanshutdown` holds it (KIP-966); `None` after an unclean one.
    pub fn previous_broker_epoch(&self) -> Option<i64> {
        todo!()
    }

    /// `meta.properties`; `None` when it was not written yet.
    pub fn meta_properties(&self, disk: &dyn Disk) -> Result<Option<MetaProperties>, LogError> {
        todo!()
    }

    /// Writes `meta.properties`.
    pub fn write_meta_properties(&self, disk: &mut dyn Disk, meta: &MetaProperties) -> Result<(), LogError> {
        todo!()
    }

    /// Creates the log of a partition that has none, with its `partition.metadata`.
    pub fn create_log(
        &mut self,
        disk: &mut dyn Disk,
        topic: &str,
        partition: i32,
        topic_id: Option<Uuid>,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Log, LogError> {
        todo!()
    }

    /// Deletes a log: its directory is renamed with `-delete` at once and removed `file.delete.delay.ms` later.
    pub fn delete_log(&mut self, disk: &mut dyn Disk, log: Log, now_ms: i64) -> Result<(), LogError> {
        todo!()
    }

    /// Removes what was deleted long enough ago; returns the wall time of the next removal.
    pub fn on_time(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<Option<i64>, LogError> {
        todo!()
    }

    /// Writes `replication-offset-checkpoint`: the high watermark of each (topic, partition).
    pub fn checkpoint_high_watermarks(
        &mut self,
        disk: &mut dyn Disk,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<(), LogError> {
        todo!()
    }

    /// Writes `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint` of these logs (all of the directory).
    pub fn checkpoint_logs(
        &mut self,
        disk: &mut dyn Disk,
        logs: &mut dyn Iterator<Item = &Log>,
    ) -> Result<(), LogError> {
        todo!()
    }

    /// Notes how an fsync ended, on the disk and in the logs that asked for it.
    pub fn on_flushed(
        &mut self,
        disk: &mut dyn Disk,
        outcome: &FlushOutcome,
        logs: &mut dyn Iterator<Item = &mut Log>,
    ) -> Result<(), LogError> {
        todo!()
    }

    /// Ends a process in order: flushes every log, writes snapshots, checkpoints and `.kafka_cleanshutdown`.
    pub fn close(
        &mut self,
        disk: &mut dyn Disk,
        logs: &mut dyn Iterator<Item = &mut Log>,
        broker_epoch: Option<i64>,
        now_ms: i64,
    ) -> Result<(), LogError> {
        todo!()
    }
}
