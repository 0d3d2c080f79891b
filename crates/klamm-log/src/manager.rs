//! What stands around the logs of a log directory (`LogManager`).

use std::collections::{BTreeMap, VecDeque};
use std::hash::Hasher;
use std::sync::Arc;

use klamm_wire::Uuid;
use rustc_hash::FxHasher;

use crate::checkpoint::{self, Offsets, decode_uuid, encode_uuid};
use crate::config::LogConfig;
use crate::disk::{Disk, FlushOutcome};
use crate::error::LogError;
use crate::log::{Log, LogLimits};
use crate::names;
use crate::recovery::OpenLog;

const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";
const META_PROPERTIES: &str = "meta.properties";

/// How a log directory is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogManagerSettings {
    /// The log directory, relative to the disk's root.
    pub dir: String,
    /// What every log in it shares.
    pub limits: LogLimits,
    /// Whether the logs are opened before it is known how their topics are configured: each may be compacted then.
    pub topics_unknown: bool,
}

impl LogManagerSettings {
    /// Kafka's defaults for the log directory `dir`.
    pub fn new(dir: impl Into<String>) -> Self {
        Self { dir: dir.into(), limits: LogLimits::default(), topics_unknown: false }
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
#[derive(Debug, Clone)]
pub struct LoadedLog {
    /// The topic's name.
    pub topic: String,
    /// The partition's index.
    pub partition: i32,
    /// The topic's id, from `partition.metadata`.
    pub topic_id: Option<Uuid>,
    /// The log, with the high watermark of the checkpoint.
    pub log: Log,
    /// Whether it is a future log: one that is to take the place of the partition's log in another directory.
    pub is_future: bool,
}

/// One log directory of a node. The logs themselves belong to the partitions; the manager keeps what they share.
#[derive(Debug, Clone)]
pub struct LogManager {
    settings: LogManagerSettings,
    clean_shutdown: bool,
    previous_broker_epoch: Option<i64>,
    /// Directories of deleted logs: when they were deleted, and their paths.
    deletions: VecDeque<(i64, String)>,
    /// How many directories were given a name of their own.
    named: u64,
    cleaner_offsets: Offsets,
    /// What `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint` were last written from.
    checkpointed: Option<u64>,
}

impl LogManager {
    /// Opens a log directory, creating it when absent, and loads every log in it: after an unclean stop each is recovered from its
    /// recovery point. `config` gives each topic's configuration; that a topic is compacted must be known here, or
    /// [`LogManagerSettings::topics_unknown`].
    pub fn open(
        disk: &mut dyn Disk,
        settings: LogManagerSettings,
        now_ms: i64,
        config: &mut dyn FnMut(&str) -> Arc<LogConfig>,
    ) -> Result<(Self, Vec<LoadedLog>), LogError> {
        disk.create_dir(&settings.dir)?;
        let mut manager = Self {
            settings,
            clean_shutdown: false,
            previous_broker_epoch: None,
            deletions: VecDeque::new(),
            named: 0,
            cleaner_offsets: Offsets::new(),
            checkpointed: None,
        };
        let mark = manager.path(CLEAN_SHUTDOWN);
        if let Some(bytes) = disk.read_file(&mark)? {
            manager.clean_shutdown = true;
            manager.previous_broker_epoch = broker_epoch_in(&bytes);
            // Whatever happens from here on is unclean until the next `close`.
            disk.delete(&mark)?;
        }
        let logs = manager.load_logs(disk, now_ms, config)?;
        Ok((manager, logs))
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.settings.dir)
    }

    fn load_logs(
        &mut self,
        disk: &mut dyn Disk,
        now_ms: i64,
        config: &mut dyn FnMut(&str) -> Arc<LogConfig>,
    ) -> Result<Vec<LoadedLog>, LogError> {
        let offsets = |disk: &dyn Disk, name: &str| match checkpoint::read_offsets(disk, &self.path(name)) {
            // Without a checkpoint the logs are recovered from their beginning.
            Err(LogError::Corrupt { .. }) => Ok(Offsets::new()),
            offsets => offsets,
        };
        let recovery_points = offsets(disk, checkpoint::RECOVERY_POINTS)?;
        let log_starts = offsets(disk, checkpoint::LOG_START_OFFSETS)?;
        let high_watermarks = offsets(disk, checkpoint::REPLICATION_OFFSETS)?;
        self.cleaner_offsets = offsets(disk, checkpoint::CLEANER_OFFSETS)?;
        let mut logs = Vec::new();
        for entry in disk.list(&self.settings.dir)?.into_iter().filter(|e| e.is_dir) {
            let dir = self.path(&entry.name);
            if entry.name.ends_with(names::DELETE_DIR) {
                disk.remove_dir(&dir)?;
                continue;
            }
            let future = names::future_partition_of(&entry.name);
            let is_future = future.is_some();
            let Some(key) = future.or_else(|| names::topic_partition_of(&entry.name)) else { continue };
            // The checkpoints are those of logs that are in use: a future log is recovered from its beginning.
            let at = |offsets: &Offsets| match is_future {
                true => 0,
                false => offsets.get(&key).copied().unwrap_or(0),
            };
            let options = OpenLog {
                clean_shutdown: self.clean_shutdown,
                recovery_point: at(&recovery_points),
                log_start_offset: at(&log_starts),
                high_watermark: at(&high_watermarks),
                cleaner_offset: self.cleaner_offsets.get(&key).copied().filter(|_| !is_future),
                may_be_compacted: self.settings.topics_unknown,
            };
            let topic_id = checkpoint::read_topic_id(disk, &dir)?;
            let log = Log::open(disk, &dir, config(&key.0), self.settings.limits, options, now_ms)?;
            let (topic, partition) = key;
            logs.push(LoadedLog { topic, partition, topic_id, log, is_future });
        }
        Ok(logs)
    }

    /// The directory's settings.
    pub const fn settings(&self) -> &LogManagerSettings {
        &self.settings
    }

    /// Whether the directory was last closed by [`close`](Self::close).
    pub const fn had_clean_shutdown(&self) -> bool {
        self.clean_shutdown
    }

    /// The broker epoch of the last clean shutdown, as `.kafka_cleanshutdown` holds it (KIP-966); `None` after an unclean one.
    pub const fn previous_broker_epoch(&self) -> Option<i64> {
        self.previous_broker_epoch
    }

    /// `meta.properties`; `None` when it was not written yet.
    pub fn meta_properties(&self, disk: &dyn Disk) -> Result<Option<MetaProperties>, LogError> {
        let path = self.path(META_PROPERTIES);
        let Some(properties) = checkpoint::read_properties(disk, &path)? else { return Ok(None) };
        let meta = (|| {
            Some(MetaProperties {
                cluster_id: properties.get("cluster.id")?.clone(),
                node_id: properties.get("node.id")?.parse().ok()?,
                directory_id: decode_uuid(properties.get("directory.id")?)?,
            })
        })();
        match meta {
            Some(meta) => Ok(Some(meta)),
            None => {
                Err(LogError::Corrupt { path, message: "lacks cluster.id, node.id or directory.id".into() })
            }
        }
    }

    /// Writes `meta.properties`.
    pub fn write_meta_properties(&self, disk: &mut dyn Disk, meta: &MetaProperties) -> Result<(), LogError> {
        let text = format!(
            "#\ncluster.id={}\ndirectory.id={}\nnode.id={}\nversion=1\n",
            meta.cluster_id,
            encode_uuid(meta.directory_id),
            meta.node_id
        );
        Ok(disk.write_file(&self.path(META_PROPERTIES), text.as_bytes())?)
    }

    /// The directory of a partition's log.
    pub fn log_dir(&self, topic: &str, partition: i32) -> String {
        format!("{}/{topic}-{partition}", self.settings.dir)
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
        let dir = self.log_dir(topic, partition);
        let is_new = !disk.exists(&dir);
        disk.create_dir(&dir)?;
        if let Some(id) = topic_id {
            checkpoint::write_topic_id(disk, &dir, id)?;
        }
        if is_new {
            return Log::create(disk, dir, config, self.settings.limits, now_ms);
        }
        Log::open(disk, &dir, config, self.settings.limits, OpenLog::default(), now_ms)
    }

    /// Creates a future log of a partition whose log is in another directory.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn create_future_log(
        &mut self,
        disk: &mut dyn Disk,
        topic: &str,
        partition: i32,
        topic_id: Option<Uuid>,
        config: Arc<LogConfig>,
        now_ms: i64,
    ) -> Result<Log, LogError> {
        let unique = self.unique(now_ms);
        let dir = self.path(&names::future_dir(topic, partition, &unique));
        disk.create_dir(&dir)?;
        if let Some(id) = topic_id {
            checkpoint::write_topic_id(disk, &dir, id)?;
        }
        Log::open(disk, &dir, config, self.settings.limits, OpenLog::default(), now_ms)
    }

    /// Makes a future log the partition's log: its directory gets the partition's name.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn promote_log(
        &mut self,
        disk: &mut dyn Disk,
        log: &mut Log,
        topic: &str,
        partition: i32,
    ) -> Result<(), LogError> {
        let to = self.log_dir(topic, partition);
        disk.rename(&log.dir, &to)?;
        log.dir = to;
        Ok(())
    }

    /// A part of a directory's name that no other has. Kafka draws a UUID; the names need only differ.
    fn unique(&mut self, now_ms: i64) -> String {
        self.named += 1;
        format!("{now_ms:016x}{:016x}", self.named)
    }

    /// Deletes a log: its directory is renamed with `-delete` at once, and removed by [`on_time`](Self::on_time) when its time has come.
    pub fn delete_log(&mut self, disk: &mut dyn Disk, mut log: Log, now_ms: i64) -> Result<(), LogError> {
        log.abort_cleaning(disk)?;
        for segment in &log.segments {
            segment.close(disk);
        }
        if let Some(key) = log.topic_partition() {
            self.cleaner_offsets.remove(&key);
        }
        let unique = self.unique(now_ms);
        let base = log.dir.rsplit('/').next().unwrap_or_default();
        // File names end at 255 bytes.
        let room = 255 - unique.len() - names::DELETE_DIR.len() - 1;
        let to = match names::topic_partition_of(base) {
            Some((topic, partition)) => {
                let suffix = format!("-{partition}");
                let topic = &topic[..topic.floor_char_boundary(room - suffix.len())];
                self.path(&format!("{topic}{suffix}.{unique}{}", names::DELETE_DIR))
            }
            None => self.path(&format!("{base}.{unique}{}", names::DELETE_DIR)),
        };
        disk.rename(&log.dir, &to)?;
        self.deletions.push_back((now_ms, to));
        Ok(())
    }

    /// Removes the logs that were deleted `delay_ms` ago; returns the wall time of the next removal. The delay is the broker's
    /// `log.segment.delete.delay.ms` as it is now, whatever the topics had (`LogManager.deleteLogs`).
    pub fn on_time(
        &mut self,
        disk: &mut dyn Disk,
        now_ms: i64,
        delay_ms: i64,
    ) -> Result<Option<i64>, LogError> {
        while let Some((deleted, _)) = self.deletions.front()
            && deleted.saturating_add(delay_ms) <= now_ms
        {
            if let Some((_, dir)) = self.deletions.pop_front() {
                disk.remove_dir(&dir)?;
            }
        }
        Ok(self.deletions.front().map(|(deleted, _)| deleted.saturating_add(delay_ms)))
    }

    /// Writes `replication-offset-checkpoint`: the high watermark of each (topic, partition).
    pub fn checkpoint_high_watermarks(
        &mut self,
        disk: &mut dyn Disk,
        offsets: &BTreeMap<(String, i32), i64>,
    ) -> Result<(), LogError> {
        checkpoint::write_offsets(disk, &self.path(checkpoint::REPLICATION_OFFSETS), offsets)
    }

    /// Writes `recovery-point-offset-checkpoint` and `log-start-offset-checkpoint` of these logs (all of the directory).
    pub fn checkpoint_logs(
        &mut self,
        disk: &mut dyn Disk,
        logs: &mut dyn Iterator<Item = &Log>,
    ) -> Result<(), LogError> {
        let mut recovery_points = Offsets::new();
        let mut log_starts = Offsets::new();
        let mut hasher = FxHasher::default();
        for log in logs {
            note_checkpointed(log, &mut hasher);
            let Some(key) = log.topic_partition() else { continue };
            if log.log_start_offset > log.segments[0].base_offset {
                log_starts.insert(key.clone(), log.log_start_offset);
            }
            recovery_points.insert(key, log.recovery_point);
        }
        checkpoint::write_offsets(disk, &self.path(checkpoint::RECOVERY_POINTS), &recovery_points)?;
        checkpoint::write_offsets(disk, &self.path(checkpoint::LOG_START_OFFSETS), &log_starts)?;
        self.checkpointed = Some(hasher.finish());
        Ok(())
    }

    /// Whether [`LogManager::checkpoint_logs`] would write of these logs what is written already.
    pub fn is_checkpointed<'a>(&self, logs: impl Iterator<Item = &'a Log>) -> bool {
        let mut hasher = FxHasher::default();
        logs.for_each(|log| note_checkpointed(log, &mut hasher));
        self.checkpointed == Some(hasher.finish())
    }

    /// Notes how an fsync ended, on the disk and in the log that asked for it.
    pub fn on_flushed(
        &mut self,
        disk: &mut dyn Disk,
        outcome: &FlushOutcome,
        logs: &mut dyn Iterator<Item = &mut Log>,
        now_ms: i64,
    ) {
        disk.complete_flush(outcome);
        for log in logs {
            if log.on_flushed(outcome, now_ms) {
                break;
            }
        }
    }

    /// Writes `cleaner-offset-checkpoint`: how far each of these logs (all of the directory) was compacted.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn checkpoint_cleaner(
        &mut self,
        disk: &mut dyn Disk,
        logs: &mut dyn Iterator<Item = &Log>,
    ) -> Result<(), LogError> {
        let offsets: Offsets =
            logs.filter_map(|log| Some((log.topic_partition()?, log.cleaner_checkpoint?))).collect();
        if offsets != self.cleaner_offsets {
            checkpoint::write_offsets(disk, &self.path(checkpoint::CLEANER_OFFSETS), &offsets)?;
            self.cleaner_offsets = offsets;
        }
        Ok(())
    }

    /// Ends a process in order: flushes every log, writes snapshots, checkpoints and `.kafka_cleanshutdown`.
    pub fn close(
        &mut self,
        disk: &mut dyn Disk,
        logs: &mut [&mut Log],
        broker_epoch: Option<i64>,
        now_ms: i64,
    ) -> Result<(), LogError> {
        for log in logs.iter_mut() {
            log.close(disk, now_ms)?;
        }
        self.checkpoint_logs(disk, &mut logs.iter().map(|log| &**log))?;
        self.checkpoint_cleaner(disk, &mut logs.iter().map(|log| &**log))?;
        let text = format!("{{\"version\":0,\"brokerEpoch\":{}}}", broker_epoch.unwrap_or(-1));
        Ok(disk.write_file(&self.path(CLEAN_SHUTDOWN), text.as_bytes())?)
    }
}

/// The broker epoch in `.kafka_cleanshutdown`, a flat JSON object that Kafka or [`LogManager::close`] wrote.
fn broker_epoch_in(bytes: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once("\"brokerEpoch\"")?;
    let number = rest.trim_start().strip_prefix(':')?.trim_start();
    let end = number.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(number.len());
    number[..end].parse().ok().filter(|epoch| *epoch >= 0)
}

/// Takes in what a checkpoint says of a log.
fn note_checkpointed(log: &Log, hasher: &mut FxHasher) {
    hasher.write(log.dir.as_bytes());
    hasher.write_i64(log.recovery_point);
    hasher.write_i64(log.log_start_offset.max(log.segments[0].base_offset));
    hasher.write_u8(u8::from(log.log_start_offset > log.segments[0].base_offset));
}
