//! Configuration: each key defined once, and how a value is resolved through its layers.
//!
//! [`TOPIC_KEYS`], [`BROKER_KEYS`], [`GROUP_COORDINATOR_KEYS`], [`SHARE_KEYS`] and [`TRANSACTION_COORDINATOR_KEYS`] are the
//! tables; the constants in [`topic`], [`broker`], [`group`], [`share`] and [`transaction`] read single keys with their Rust
//! type:
//!
//! ```
//! use klamm_node::config::{BrokerConfig, group, topic};
//!
//! let broker = BrokerConfig::new([("log.retention.hours".to_owned(), "1".to_owned())].into())?;
//! assert_eq!(broker.get(group::GROUP_INITIAL_REBALANCE_DELAY_MS), 0);
//! assert_eq!(broker.topic(&[].into()).get(topic::RETENTION_MS), 3_600_000);
//! # Ok::<(), klamm_node::config::ConfigError>(())
//! ```
//!
//! Reading parses the value again each time: read when a configuration changes, and keep what was read.

use klamm_wire::KafkaVersion;

pub mod broker;
pub mod def;
mod duration;
pub mod group;
pub mod group_resource;
mod nearest;
mod reference;
pub mod share;
pub mod topic;
pub mod transaction;
mod validate;
mod view;

pub use broker::BROKER_KEYS;
pub use def::{
    ConfigError, ConfigKey, ConfigKind, ConfigType, Importance, Key, Scope, Synonym, Valid, Value,
};
pub use duration::duration_ms;
pub use group::GROUP_COORDINATOR_KEYS;
pub use group_resource::{GROUP_KEYS, describe_group, group_key, validate_group_configs};
pub(crate) use nearest::edits;
pub use nearest::nearest;
pub use reference::reference;
pub use share::SHARE_KEYS;
pub use topic::TOPIC_KEYS;
pub use transaction::TRANSACTION_COORDINATOR_KEYS;
pub use validate::{
    log_dir_paths, validate_dynamic_broker_configs, validate_static_broker_config, validate_topic_configs,
};
pub use view::{BrokerConfig, ConfigSource, Described, DescribedSynonym, TopicConfig};

/// The definition of a topic's key.
pub fn topic_key(name: &str) -> Option<&'static ConfigKey> {
    find(TOPIC_KEYS, name)
}

/// The definition of a broker's key, the coordinators' included.
pub fn broker_key(name: &str) -> Option<&'static ConfigKey> {
    [BROKER_KEYS, GROUP_COORDINATOR_KEYS, SHARE_KEYS, TRANSACTION_COORDINATOR_KEYS]
        .into_iter()
        .find_map(|keys| find(keys, name))
}

/// Every key of a broker, the coordinators' included, by name.
pub fn broker_keys() -> Vec<&'static ConfigKey> {
    let mut keys: Vec<_> = [BROKER_KEYS, GROUP_COORDINATOR_KEYS, SHARE_KEYS, TRANSACTION_COORDINATOR_KEYS]
        .into_iter()
        .flatten()
        .collect();
    keys.sort_by_key(|key| key.name);
    keys
}

/// A default that is not Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DifferentDefault {
    /// The key.
    pub name: &'static str,
    /// Kafka's default.
    pub kafka: &'static str,
    /// What klamm does.
    pub klamm: &'static str,
    /// Why.
    pub reason: &'static str,
}

/// Every default that is not Kafka's. `docs/defaults.md` shows this table.
pub static DIFFERENT_DEFAULTS: &[DifferentDefault] = &[
    DifferentDefault {
        name: "group.coordinator.rebalance.protocols",
        kafka: "classic,consumer,streams",
        klamm: "classic,consumer",
        reason: "there is no streams protocol here",
    },
    DifferentDefault {
        name: "group.initial.rebalance.delay.ms",
        kafka: "3000",
        klamm: "0",
        reason: "a test's group has its members when it needs them; three seconds on every first join is most of a \
                 test's run",
    },
    DifferentDefault {
        name: "offsets.topic.replication.factor",
        kafka: "3",
        klamm: "3, or the number of brokers where there are fewer",
        reason: "a cluster of one broker can have consumer groups without being configured for it",
    },
    DifferentDefault {
        name: "share.coordinator.state.topic.replication.factor",
        kafka: "3",
        klamm: "3, or the number of brokers where there are fewer",
        reason: "a cluster of one broker can have share groups without being configured for it",
    },
    DifferentDefault {
        name: "transaction.state.log.min.isr",
        kafka: "2",
        klamm: "2, or 1 where there is one broker",
        reason: "a cluster of one broker can have transactions without being configured for it",
    },
    DifferentDefault {
        name: "transaction.state.log.replication.factor",
        kafka: "3",
        klamm: "3, or the number of brokers where there are fewer",
        reason: "a cluster of one broker can have transactions without being configured for it",
    },
];

/// Defaults that were others in older releases: the key, the first release with today's default, and the one before.
pub static OLDER_DEFAULTS: &[(&str, KafkaVersion, &str)] = &[
    ("log.message.timestamp.after.max.ms", KafkaVersion::V4_0, "9223372036854775807"),
    ("group.consumer.assignment.interval.ms", KafkaVersion::V4_3, "0"),
    ("group.consumer.migration.policy", KafkaVersion::V4_0, "disabled"),
    ("group.coordinator.rebalance.protocols", KafkaVersion::V4_0, "classic"),
    // There was no such key, nor what it is about (KIP-890).
    ("transaction.partition.verification.enable", KafkaVersion::V3_6, "false"),
];

/// Server properties that a cluster of `brokers` brokers starts with, below whatever its user sets.
pub fn properties_of_size(brokers: usize) -> Vec<(&'static str, String)> {
    match brokers {
        0..3 => {
            let size = brokers.max(1).to_string();
            vec![
                (group::OFFSETS_TOPIC_REPLICATION_FACTOR.name(), size.clone()),
                (share::SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR.name(), size.clone()),
                (transaction::TRANSACTION_STATE_LOG_REPLICATION_FACTOR.name(), size.clone()),
                (transaction::TRANSACTION_STATE_LOG_MIN_ISR.name(), size),
            ]
        }
        _ => Vec::new(),
    }
}

fn find(keys: &'static [ConfigKey], name: &str) -> Option<&'static ConfigKey> {
    keys.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &keys[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_every_default_is_valid() {
        for table in [
            TOPIC_KEYS,
            BROKER_KEYS,
            GROUP_COORDINATOR_KEYS,
            GROUP_KEYS,
            SHARE_KEYS,
            TRANSACTION_COORDINATOR_KEYS,
        ] {
            assert!(table.is_sorted_by(|a, b| a.name < b.name));
            for key in table {
                if let Some(default) = key.default {
                    let value = key.parse(default).unwrap_or_else(|error| panic!("{}: {error}", key.name));
                    assert_eq!(value.to_string(), default, "{} is not in Kafka's form", key.name);
                }
            }
        }
        let names: Vec<_> = broker_keys().iter().map(|key| key.name).collect();
        assert!(names.is_sorted_by(|a, b| a < b), "a key is in two tables");
    }

    #[test]
    fn a_topic_key_and_its_broker_key_agree() {
        for key in TOPIC_KEYS {
            let Some(broker) = key.synonyms.first().and_then(|synonym| broker_key(synonym.name)) else {
                continue;
            };
            assert_eq!(key.kind, broker.kind, "{}", key.name);
            assert_eq!(broker.scope, Scope::ClusterWide, "{}", broker.name);
            let unset = BrokerConfig::new([].into()).unwrap();
            let through_broker = key
                .synonyms
                .iter()
                .find_map(|s| broker_key(s.name).and_then(|b| b.default).and_then(|value| s.convert(value)));
            assert_eq!(
                unset.topic(&[].into()).value(key.name).map(|value| value.to_string()),
                through_broker,
                "{}",
                key.name
            );
        }
    }

    #[test]
    fn different_defaults_name_known_keys() {
        for different in DIFFERENT_DEFAULTS {
            let key = broker_key(different.name).unwrap();
            assert!(different.klamm.starts_with(key.default.unwrap()), "{}", different.name);
        }
    }

    #[test]
    fn an_older_release_has_its_own_defaults() {
        let after = |release| {
            let config = BrokerConfig::of_release(release, [].into()).unwrap();
            let described = config.topic(&[].into()).describe("message.timestamp.after.max.ms").unwrap();
            assert_eq!(described.source, ConfigSource::Default);
            assert_eq!(described.synonyms[0].value, described.value);
            described.value.unwrap()
        };
        assert_eq!(after(KafkaVersion::V3_9), i64::MAX.to_string());
        assert_eq!(after(KafkaVersion::V4_0), "3600000");
        for (name, _, default) in OLDER_DEFAULTS {
            broker_key(name).unwrap().parse(default).unwrap();
        }
    }
}
