//! The broker's configuration: Kafka's layers, and the values that are read on every request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use klamm_log::{LogConfig, LogLimits};
use klamm_metadata::{ConfigResource, ConfigsImage};
use klamm_node::NodeId;
use klamm_node::config::{BrokerConfig as Layers, ConfigType, Key, TOPIC_KEYS, broker};
use klamm_wire::KafkaVersion;

/// The broker's configuration.
#[derive(Debug, Clone)]
pub(crate) struct BrokerConfig {
    layers: Layers,
    /// The values of [`Layers`] that are needed often, parsed.
    pub(crate) hot: HotConfig,
}

/// Values that are needed often, as they were when the configuration last changed.
#[derive(Debug, Clone)]
pub(crate) struct HotConfig {
    /// `replica.lag.time.max.ms`
    pub(crate) replica_lag_time_max_ms: i64,
    /// `replica.fetch.wait.max.ms`
    pub(crate) replica_fetch_wait_max_ms: i32,
    /// `replica.fetch.min.bytes`
    pub(crate) replica_fetch_min_bytes: i32,
    /// `replica.fetch.max.bytes`
    pub(crate) replica_fetch_max_bytes: i32,
    /// `replica.fetch.response.max.bytes`
    pub(crate) replica_fetch_response_max_bytes: i32,
    /// `replica.fetch.backoff.ms`
    pub(crate) replica_fetch_backoff: Duration,
    /// `replica.high.watermark.checkpoint.interval.ms`
    pub(crate) high_watermark_checkpoint_interval: Duration,
    /// `log.retention.check.interval.ms`
    pub(crate) retention_check_interval: Duration,
    /// `log.flush.offset.checkpoint.interval.ms`
    pub(crate) flush_checkpoint_interval: Duration,
    /// `broker.heartbeat.interval.ms`
    pub(crate) heartbeat_interval: Duration,
    /// `broker.session.timeout.ms`
    pub(crate) session_timeout_ms: u32,
    /// `fetch.max.bytes`
    pub(crate) fetch_max_bytes: i32,
    /// `auto.create.topics.enable`
    pub(crate) auto_create_topics: bool,
    /// `num.partitions`
    pub(crate) num_partitions: i32,
    /// `default.replication.factor`
    pub(crate) default_replication_factor: i32,
    /// `request.timeout.ms`
    pub(crate) request_timeout_ms: u32,
    /// `transaction.partition.verification.enable`
    pub(crate) transaction_verification: bool,
    /// `add.partitions.to.txn.retry.backoff.ms`
    pub(crate) add_partitions_retry_backoff_ms: u32,
    /// `add.partitions.to.txn.retry.backoff.max.ms`
    pub(crate) add_partitions_retry_backoff_max_ms: u32,
    /// `max.request.partition.size.limit`
    pub(crate) max_request_partition_size_limit: i32,
    /// `replica.selector.class` names Kafka's RackAwareReplicaSelector.
    pub(crate) rack_aware: bool,
    /// `leader.replication.throttled.rate`
    pub(crate) leader_replication_throttled_rate: Option<i64>,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`
    pub(crate) replica_alter_log_dirs_io_max_bytes_per_second: Option<i64>,
    /// `follower.replication.throttled.rate`
    pub(crate) follower_replication_throttled_rate: Option<i64>,
}

fn millis(value: i64) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

impl HotConfig {
    fn read(layers: &Layers) -> Self {
        Self {
            replica_lag_time_max_ms: layers.get(broker::REPLICA_LAG_TIME_MAX_MS),
            replica_fetch_wait_max_ms: layers.get(broker::REPLICA_FETCH_WAIT_MAX_MS),
            replica_fetch_min_bytes: layers.get(broker::REPLICA_FETCH_MIN_BYTES),
            replica_fetch_max_bytes: layers.get(broker::REPLICA_FETCH_MAX_BYTES),
            replica_fetch_response_max_bytes: layers.get(broker::REPLICA_FETCH_RESPONSE_MAX_BYTES),
            replica_fetch_backoff: millis(layers.get(broker::REPLICA_FETCH_BACKOFF_MS).into()),
            high_watermark_checkpoint_interval: millis(
                layers.get(broker::REPLICA_HIGH_WATERMARK_CHECKPOINT_INTERVAL_MS),
            ),
            retention_check_interval: millis(layers.get(broker::LOG_RETENTION_CHECK_INTERVAL_MS)),
            flush_checkpoint_interval: millis(
                layers.get(broker::LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS).into(),
            ),
            heartbeat_interval: millis(layers.get(broker::BROKER_HEARTBEAT_INTERVAL_MS).into()),
            session_timeout_ms: layers.get(broker::BROKER_SESSION_TIMEOUT_MS).unsigned_abs(),
            fetch_max_bytes: layers.get(broker::FETCH_MAX_BYTES),
            auto_create_topics: layers.get(broker::AUTO_CREATE_TOPICS_ENABLE),
            num_partitions: layers.get(broker::NUM_PARTITIONS),
            default_replication_factor: layers.get(broker::DEFAULT_REPLICATION_FACTOR),
            request_timeout_ms: layers.get(broker::REQUEST_TIMEOUT_MS).unsigned_abs(),
            transaction_verification: layers.get(broker::TRANSACTION_PARTITION_VERIFICATION_ENABLE),
            add_partitions_retry_backoff_ms: layers
                .get(broker::ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MS)
                .unsigned_abs(),
            add_partitions_retry_backoff_max_ms: layers
                .get(broker::ADD_PARTITIONS_TO_TXN_RETRY_BACKOFF_MAX_MS)
                .unsigned_abs(),
            max_request_partition_size_limit: layers.get(broker::MAX_REQUEST_PARTITION_SIZE_LIMIT),
            rack_aware: layers.get(broker::REPLICA_SELECTOR_CLASS).is_some(),
            leader_replication_throttled_rate: layers.get(broker::LEADER_REPLICATION_THROTTLED_RATE),
            replica_alter_log_dirs_io_max_bytes_per_second: layers
                .get(broker::REPLICA_ALTER_LOG_DIRS_IO_MAX_BYTES_PER_SECOND),
            follower_replication_throttled_rate: layers.get(broker::FOLLOWER_REPLICATION_THROTTLED_RATE),
        }
    }
}

/// A resource's keys in the metadata as plain strings.
fn strings(configs: &ConfigsImage, resource: &ConfigResource) -> BTreeMap<String, String> {
    let keys = configs.get(resource).into_iter().flatten();
    keys.map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

impl BrokerConfig {
    /// The configuration of a broker that was started with these server properties.
    ///
    /// # Errors
    /// When a key is unknown or a value is not valid.
    pub(crate) fn new(
        release: KafkaVersion,
        properties: BTreeMap<String, String>,
    ) -> Result<Self, klamm_node::config::ConfigError> {
        let layers = Layers::of_release(release, properties)?;
        let hot = HotConfig::read(&layers);
        Ok(Self { layers, hot })
    }

    /// The value of a key.
    pub(crate) fn get<T: ConfigType>(&self, key: Key<T>) -> T {
        self.layers.get(key)
    }

    /// The release that the broker behaves as.
    pub(crate) const fn release(&self) -> KafkaVersion {
        self.layers.release()
    }

    /// What the logs of a broker share in settings.
    pub(crate) fn log_limits(&self, node: NodeId) -> LogLimits {
        LogLimits {
            producer_id_expiration_ms: self.get(broker::PRODUCER_ID_EXPIRATION_MS).into(),
            transaction_verification: self.hot.transaction_verification,
            seed: node.0.unsigned_abs().into(),
            ..LogLimits::default()
        }
    }

    /// The layers, for DescribeConfigs.
    pub(crate) const fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Takes over what the metadata says of this broker and of all brokers.
    pub(crate) fn apply(&mut self, node: NodeId, configs: &ConfigsImage) {
        self.layers.set_dynamic(strings(configs, &ConfigResource::broker(node)));
        self.layers.set_dynamic_default(strings(configs, &ConfigResource::broker_default()));
        self.hot = HotConfig::read(&self.layers);
    }

    /// What is set on a topic itself.
    pub(crate) fn topic_overrides(configs: &ConfigsImage, topic: &str) -> BTreeMap<String, String> {
        strings(configs, &ConfigResource::topic(klamm_wire::StrBytes::from(topic.to_owned())))
    }

    /// The configuration of a topic's logs: its own keys over the broker's.
    pub(crate) fn log_config(&self, configs: &ConfigsImage, topic: &str) -> Arc<LogConfig> {
        let overrides = Self::topic_overrides(configs, topic);
        let view = self.layers.topic(&overrides);
        let values = TOPIC_KEYS
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), view.value(key.name)?.to_string())))
            .collect();
        // The controller has validated them; what it could not know (a value of a newer release) falls back to defaults.
        Arc::new(LogConfig::from_map(&values).unwrap_or_default())
    }
}
