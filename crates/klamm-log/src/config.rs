//! The configuration of one log (`LogConfig`): topic-level keys with Kafka 4.4's defaults.

use std::collections::BTreeMap;

/// Whether a record keeps its producer's timestamp (`message.timestamp.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// The leader's wall clock at the append.
    LogAppendTime,
}

/// How a log keeps batches compressed (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicCompression {
    /// As the producer sent them.
    Producer,
    /// Not at all.
    Uncompressed,
    /// gzip at a level.
    Gzip(i32),
    /// snappy.
    Snappy,
    /// lz4 at a level.
    Lz4(i32),
    /// zstd at a level.
    Zstd(i32),
}

/// The configuration of one log. Times are in milliseconds, sizes in bytes; fields are named after their keys.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`, or `internal.segment.bytes` when that is set.
    pub segment_bytes: u32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: u32,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `retention.bytes`; negative for no limit.
    pub retention_bytes: i64,
    /// `retention.ms`; negative for no limit.
    pub retention_ms: i64,
    /// `max.message.bytes`
    pub max_message_bytes: u32,
    /// `index.interval.bytes`
    pub index_interval_bytes: u32,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election_enable: bool,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `compression.type` with its level.
    pub compression: TopicCompression,
    /// `preallocate`
    pub preallocate: bool,
    /// `message.timestamp.type`
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub message_timestamp_after_max_ms: i64,
    /// `leader.replication.throttled.replicas`
    pub leader_replication_throttled_replicas: Vec<String>,
    /// `follower.replication.throttled.replicas`
    pub follower_replication_throttled_replicas: Vec<String>,
}

const HOUR_MS: i64 = 60 * 60 * 1000;

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 1024 * 1024 * 1024,
            segment_ms: 7 * 24 * HOUR_MS,
            segment_jitter_ms: 0,
            segment_index_bytes: 10 * 1024 * 1024,
            flush_messages: i64::MAX,
            flush_ms: i64::MAX,
            retention_bytes: -1,
            retention_ms: 7 * 24 * HOUR_MS,
            max_message_bytes: 1024 * 1024 + 12,
            index_interval_bytes: 4096,
            file_delete_delay_ms: 60_000,
            delete_retention_ms: 24 * HOUR_MS,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            compact: false,
            delete: true,
            unclean_leader_election_enable: false,
            min_insync_replicas: 1,
            compression: TopicCompression::Producer,
            preallocate: false,
            message_timestamp_type: TimestampType::CreateTime,
            message_timestamp_before_max_ms: i64::MAX,
            message_timestamp_after_max_ms: HOUR_MS,
            leader_replication_throttled_replicas: Vec::new(),
            follower_replication_throttled_replicas: Vec::new(),
        }
    }
}

/// A value that a topic configuration key does not take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Invalid value {value} for configuration {key}: {message}")]
pub struct ConfigError {
    /// The key.
    pub key: String,
    /// The value.
    pub value: String,
    /// Why not.
    pub message: String,
}

/// Reads values out of a map, remembering the key for errors.
struct Source<'a>(&'a BTreeMap<String, String>);

impl Source<'_> {
    fn error(key: &str, value: &str, message: String) -> ConfigError {
        ConfigError { key: key.into(), value: value.into(), message }
    }

    fn number<T>(&self, key: &str, default: T, least: T, most: T) -> Result<T, ConfigError>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.0.get(key) else { return Ok(default) };
        let Ok(value) = text.trim().parse::<T>() else {
            return Err(Self::error(key, text, "Not a number in range".into()));
        };
        if value < least {
            return Err(Self::error(key, text, format!("Value must be at least {least}")));
        }
        if value > most {
            return Err(Self::error(key, text, format!("Value must be no more than {most}")));
        }
        Ok(value)
    }

    fn long(&self, key: &str, default: i64, least: i64) -> Result<i64, ConfigError> {
        self.number(key, default, least, i64::MAX)
    }

    /// A Java `int` that is never negative.
    fn size(&self, key: &str, default: u32, least: u32) -> Result<u32, ConfigError> {
        self.number(key, default, least, i32::MAX as u32)
    }

    fn boolean(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        let Some(text) = self.0.get(key) else { return Ok(default) };
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Self::error(key, text, "Expected value to be either true or false".into())),
        }
    }

    fn list(&self, key: &str) -> Option<Vec<String>> {
        let text = self.0.get(key)?;
        Some(text.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect())
    }

    fn compression(&self) -> Result<TopicCompression, ConfigError> {
        let key = "compression.type";
        let gzip = self.number("compression.gzip.level", -1, -1, 9)?;
        let lz4 = self.number("compression.lz4.level", 9, 1, 17)?;
        let zstd = self.number("compression.zstd.level", 3, -131_072, 22)?;
        let Some(text) = self.0.get(key) else { return Ok(TopicCompression::Producer) };
        match text.trim() {
            "producer" => Ok(TopicCompression::Producer),
            "uncompressed" => Ok(TopicCompression::Uncompressed),
            "gzip" => Ok(TopicCompression::Gzip(gzip)),
            "snappy" => Ok(TopicCompression::Snappy),
            "lz4" => Ok(TopicCompression::Lz4(lz4)),
            "zstd" => Ok(TopicCompression::Zstd(zstd)),
            _ => Err(Self::error(
                key,
                text,
                "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer".into(),
            )),
        }
    }

    fn timestamp_type(&self, default: TimestampType) -> Result<TimestampType, ConfigError> {
        let key = "message.timestamp.type";
        let Some(text) = self.0.get(key) else { return Ok(default) };
        match text.trim() {
            "CreateTime" => Ok(TimestampType::CreateTime),
            "LogAppendTime" => Ok(TimestampType::LogAppendTime),
            _ => Err(Self::error(key, text, "String must be one of: CreateTime, LogAppendTime".into())),
        }
    }

    /// (compact, delete)
    fn cleanup_policy(&self) -> Result<(bool, bool), ConfigError> {
        let key = "cleanup.policy";
        let Some(policies) = self.list(key) else { return Ok((false, true)) };
        let has = |name: &str| policies.iter().any(|p| p.eq_ignore_ascii_case(name));
        if let Some(odd) =
            policies.iter().find(|p| !["compact", "delete"].contains(&p.to_ascii_lowercase().as_str()))
        {
            return Err(Self::error(key, odd, "String must be one of: compact, delete".into()));
        }
        Ok((has("compact"), has("delete")))
    }
}

impl LogConfig {
    /// Reads topic-level keys; absent ones get Kafka's defaults, and keys that are not a log's are passed over.
    pub fn from_map(map: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let d = Self::default();
        let s = Source(map);
        let (compact, delete) = s.cleanup_policy()?;
        let segment_bytes = s.size("segment.bytes", d.segment_bytes, 1024 * 1024)?;
        let config = Self {
            segment_bytes: s.size("internal.segment.bytes", segment_bytes, 1)?,
            segment_ms: s.long("segment.ms", d.segment_ms, 1)?,
            segment_jitter_ms: s.long("segment.jitter.ms", d.segment_jitter_ms, 0)?,
            segment_index_bytes: s.size("segment.index.bytes", d.segment_index_bytes, 4)?,
            flush_messages: s.long("flush.messages", d.flush_messages, 1)?,
            flush_ms: s.long("flush.ms", d.flush_ms, 0)?,
            retention_bytes: s.long("retention.bytes", d.retention_bytes, i64::MIN)?,
            retention_ms: s.long("retention.ms", d.retention_ms, i64::MIN)?,
            max_message_bytes: s.size("max.message.bytes", d.max_message_bytes, 0)?,
            index_interval_bytes: s.size("index.interval.bytes", d.index_interval_bytes, 0)?,
            file_delete_delay_ms: s.long("file.delete.delay.ms", d.file_delete_delay_ms, 0)?,
            delete_retention_ms: s.long("delete.retention.ms", d.delete_retention_ms, 0)?,
            min_compaction_lag_ms: s.long("min.compaction.lag.ms", d.min_compaction_lag_ms, 0)?,
            max_compaction_lag_ms: s.long("max.compaction.lag.ms", d.max_compaction_lag_ms, 1)?,
            min_cleanable_dirty_ratio: s.number(
                "min.cleanable.dirty.ratio",
                d.min_cleanable_dirty_ratio,
                0.0,
                1.0,
            )?,
            compact,
            delete,
            unclean_leader_election_enable: s
                .boolean("unclean.leader.election.enable", d.unclean_leader_election_enable)?,
            min_insync_replicas: s.number("min.insync.replicas", d.min_insync_replicas, 1, i32::MAX)?,
            compression: s.compression()?,
            preallocate: s.boolean("preallocate", d.preallocate)?,
            message_timestamp_type: s.timestamp_type(d.message_timestamp_type)?,
            message_timestamp_before_max_ms: s.long(
                "message.timestamp.before.max.ms",
                d.message_timestamp_before_max_ms,
                0,
            )?,
            message_timestamp_after_max_ms: s.long(
                "message.timestamp.after.max.ms",
                d.message_timestamp_after_max_ms,
                0,
            )?,
            leader_replication_throttled_replicas: s
                .list("leader.replication.throttled.replicas")
                .unwrap_or_default(),
            follower_replication_throttled_replicas: s
                .list("follower.replication.throttled.replicas")
                .unwrap_or_default(),
        };
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            return Err(ConfigError {
                key: "min.compaction.lag.ms".into(),
                value: config.min_compaction_lag_ms.to_string(),
                message: format!("must not exceed max.compaction.lag.ms ({})", config.max_compaction_lag_ms),
            });
        }
        Ok(config)
    }

    /// How long a segment may stay active: `segment.ms`, or `max.compaction.lag.ms` when a compacted log has a shorter one.
    pub const fn max_segment_ms(&self) -> i64 {
        if self.compact && self.max_compaction_lag_ms > 0 && self.max_compaction_lag_ms < self.segment_ms {
            self.max_compaction_lag_ms
        } else {
            self.segment_ms
        }
    }
}
