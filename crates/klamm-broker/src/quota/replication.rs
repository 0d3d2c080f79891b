//! Replication throttles: how fast chosen replicas may catch up (`ReplicationQuotaManager`, KIP-73).
//!
//! A broker has one quota as a leader and one as a follower. Both count everything that chosen replicas transfer, and hold
//! back only those that are not in sync, so that a throttle never makes a follower leave the ISR.

use klamm_log::LogConfig;
use klamm_node::NodeId;

use super::samples::Samples;
use crate::config::BrokerConfig;
use klamm_node::config::broker;

/// Which side of a partition's replication is throttled at this broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Throttled {
    /// What it sends to followers, while it leads.
    pub(crate) as_leader: bool,
    /// What it takes from its leader, while it follows.
    pub(crate) as_follower: bool,
}

impl Throttled {
    /// What the topic's configuration says of one of its partitions at the broker `me`.
    pub(crate) fn of(config: &LogConfig, partition: i32, me: NodeId) -> Self {
        let named = |list: &[String]| list.iter().any(|replica| names(replica, partition, me));
        Self {
            as_leader: named(&config.leader_replication_throttled_replicas),
            as_follower: named(&config.follower_replication_throttled_replicas),
        }
    }
}

/// Whether `*` or `partition:broker` names a replica.
fn names(text: &str, partition: i32, broker: NodeId) -> bool {
    let text = text.trim();
    if text == "*" {
        return true;
    }
    let Some((of, at)) = text.split_once(':') else { return false };
    of.trim().parse() == Ok(partition) && at.trim().parse() == Ok(broker.0)
}

/// Both quotas of a broker.
#[derive(Debug, Clone)]
pub(crate) struct ReplicationQuotas {
    /// What it sends.
    pub(crate) leader: ReplicationQuota,
    /// What it takes.
    pub(crate) follower: ReplicationQuota,
    /// What it moves between its own directories.
    pub(crate) alter_log_dirs: ReplicationQuota,
}

impl ReplicationQuotas {
    /// The quotas of a broker that starts with this configuration.
    pub(crate) fn new(config: &BrokerConfig) -> Self {
        let samples = config.get(broker::REPLICATION_QUOTA_WINDOW_NUM).unsigned_abs() as usize;
        let window_ms = i64::from(config.get(broker::REPLICATION_QUOTA_WINDOW_SIZE_SECONDS)) * 1_000;
        let quota = || ReplicationQuota { bound: None, rate: SimpleRate::new(samples, window_ms) };
        let samples = config.get(broker::ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_NUM).unsigned_abs() as usize;
        let window_ms =
            i64::from(config.get(broker::ALTER_LOG_DIRS_REPLICATION_QUOTA_WINDOW_SIZE_SECONDS)) * 1_000;
        let moves = ReplicationQuota { bound: None, rate: SimpleRate::new(samples, window_ms) };
        let mut quotas = Self { leader: quota(), follower: quota(), alter_log_dirs: moves };
        quotas.follow(config);
        quotas
    }

    /// Takes over what the configuration says now.
    pub(crate) const fn follow(&mut self, config: &BrokerConfig) {
        self.leader.bound = config.hot.leader_replication_throttled_rate;
        self.follower.bound = config.hot.follower_replication_throttled_rate;
        self.alter_log_dirs.bound = config.hot.replica_alter_log_dirs_io_max_bytes_per_second;
    }
}

/// One quota, in bytes a second, and how much of it is used.
#[derive(Debug, Clone)]
pub(crate) struct ReplicationQuota {
    bound: Option<i64>,
    rate: SimpleRate,
}

impl ReplicationQuota {
    /// Whether there is one. While there is none, nothing is counted either.
    pub(crate) const fn is_set(&self) -> bool {
        self.bound.is_some()
    }

    /// Whether nothing more is to be transferred for replicas that are out of sync. `now_ms` is the wall clock's.
    pub(crate) fn is_exceeded(&mut self, now_ms: i64) -> bool {
        let Some(bound) = self.bound else { return false };
        self.rate.measure(now_ms) > bound as f64
    }

    /// Counts a transfer; it is not refused any more.
    pub(crate) fn record(&mut self, bytes: usize, now_ms: i64) {
        self.rate.record(bytes as f64, now_ms);
    }
}

/// What happened within the last samples, by the time since the oldest of them began, but at least one sample's
/// (`SimpleRate`).
#[derive(Debug, Clone)]
struct SimpleRate {
    samples: Samples,
    window_ms: i64,
}

impl SimpleRate {
    const fn new(max_samples: usize, window_ms: i64) -> Self {
        Self { samples: Samples::new(max_samples, window_ms), window_ms }
    }

    fn record(&mut self, value: f64, now_ms: i64) {
        self.samples.record(value, now_ms);
    }

    /// Units a second.
    fn measure(&mut self, now_ms: i64) -> f64 {
        let (total, elapsed) = self.samples.measure(now_ms);
        total * 1_000.0 / elapsed.max(self.window_ms) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_are_named_by_partition_and_broker_or_all_at_once() {
        let config = |list: &[&str]| LogConfig {
            leader_replication_throttled_replicas: list.iter().map(|text| (*text).to_owned()).collect(),
            ..LogConfig::default()
        };
        let named = |list: &[&str]| Throttled::of(&config(list), 1, NodeId(2)).as_leader;
        assert!(named(&["*"]) && named(&["0:2", "1:2"]));
        assert!(!named(&[]) && !named(&["1:3", "2:2"]) && !named(&["2:1"]));
    }

    #[test]
    fn the_rate_is_over_at_least_one_window_and_at_most_all() {
        let mut rate = SimpleRate::new(3, 1_000);
        assert_eq!(rate.measure(0), 0.0);
        rate.record(500.0, 10_000);
        assert_eq!(rate.measure(10_000), 500.0);
        assert_eq!(rate.measure(10_500), 500.0);
        assert_eq!(rate.measure(12_000), 250.0);
        rate.record(700.0, 12_000);
        assert_eq!(rate.measure(12_000), 600.0);
        // Three seconds after its last event a sample is forgotten.
        assert_eq!(rate.measure(13_000), 700.0);
        assert_eq!(rate.measure(14_000), 350.0);
        assert_eq!(rate.measure(15_000), 0.0);
    }
}
