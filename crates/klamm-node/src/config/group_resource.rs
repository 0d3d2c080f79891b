//! The keys that one group can have of its own (Kafka's `GroupConfig`), and the broker keys that bound them.

use std::collections::BTreeMap;

use super::def::{ConfigError, ConfigKey, Key, Synonym, Valid, config_keys};
use super::view::{BrokerConfig, ConfigSource, Described, DescribedSynonym};
use super::{find, group, share};

const fn same(name: &'static str) -> Synonym {
    Synonym::same(name)
}

config_keys! {
    /// The keys of a group, by name.
    GROUP_KEYS {
        /// How far apart the group's targets are at least, in milliseconds.
        CONSUMER_ASSIGNMENT_INTERVAL_MS: i32 = "consumer.assignment.interval.ms", default "1000", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("group.consumer.assignment.interval.ms")];
        /// How often the group's members send heartbeats, in milliseconds.
        CONSUMER_HEARTBEAT_INTERVAL_MS: i32 = "consumer.heartbeat.interval.ms", default "5000", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("group.consumer.heartbeat.interval.ms")];
        /// How long a member of the group may be silent, in milliseconds.
        CONSUMER_SESSION_TIMEOUT_MS: i32 = "consumer.session.timeout.ms", default "45000", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("group.consumer.session.timeout.ms")];
        /// How far apart two assignments of the share group are at least, in milliseconds.
        SHARE_ASSIGNMENT_INTERVAL_MS: i32 = "share.assignment.interval.ms", default "1000", Valid::AtLeast(0), Medium, ClusterWide,
            synonyms &[same("group.share.assignment.interval.ms")];
        /// Where the share group begins in a partition that it has not read: at its first record, after its last, or at the
        /// first that is at most so old.
        SHARE_AUTO_OFFSET_RESET: String = "share.auto.offset.reset", default "latest", Valid::ShareOffsetReset, Medium, ClusterWide;
        /// How often a record is delivered to the share group before it is given up.
        SHARE_DELIVERY_COUNT_LIMIT: i32 = "share.delivery.count.limit", default "5", Valid::AtLeast(2), Medium, ClusterWide,
            synonyms &[same("group.share.delivery.count.limit")];
        /// How often the share group's members send heartbeats, in milliseconds.
        SHARE_HEARTBEAT_INTERVAL_MS: i32 = "share.heartbeat.interval.ms", default "5000", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("group.share.heartbeat.interval.ms")];
        /// Whether the share group gets the records of aborted and undecided transactions, or only of those that committed.
        SHARE_ISOLATION_LEVEL: String = "share.isolation.level", default "read_uncommitted",
            Valid::OneOf(&["read_committed", "read_uncommitted"]), Medium, ClusterWide;
        /// How many records of one partition may be in flight to the share group at a time.
        SHARE_PARTITION_MAX_RECORD_LOCKS: i32 = "share.partition.max.record.locks", default "2000", Valid::AtLeast(100), Medium, ClusterWide,
            synonyms &[same("group.share.partition.max.record.locks")];
        /// How long a member of the share group may hold a record before it is given to another, in milliseconds.
        SHARE_RECORD_LOCK_DURATION_MS: i32 = "share.record.lock.duration.ms", default "30000", Valid::AtLeast(1_000), Medium, ClusterWide,
            synonyms &[same("group.share.record.lock.duration.ms")];
        /// Whether members of the share group may begin the time anew for which they hold a record.
        SHARE_RENEW_ACKNOWLEDGE_ENABLE: bool = "share.renew.acknowledge.enable", default "true", Valid::Any, Medium, ClusterWide;
        /// How long a member of the share group may be silent, in milliseconds.
        SHARE_SESSION_TIMEOUT_MS: i32 = "share.session.timeout.ms", default "45000", Valid::AtLeast(1), Medium, ClusterWide,
            synonyms &[same("group.share.session.timeout.ms")];
    }
}

/// The definition of a group's key.
pub fn group_key(name: &str) -> Option<&'static ConfigKey> {
    find(GROUP_KEYS, name)
}

/// A group's key, with the broker keys between whose values it must lie.
type Bounded = (Key<i32>, Key<i32>, Key<i32>);

const BOUNDED: &[Bounded] = &[
    (
        CONSUMER_HEARTBEAT_INTERVAL_MS,
        group::GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
        group::GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS,
    ),
    (
        CONSUMER_SESSION_TIMEOUT_MS,
        group::GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
        group::GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS,
    ),
    (
        CONSUMER_ASSIGNMENT_INTERVAL_MS,
        group::GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
        group::GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS,
    ),
    (
        SHARE_HEARTBEAT_INTERVAL_MS,
        share::GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS,
        share::GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS,
    ),
    (
        SHARE_SESSION_TIMEOUT_MS,
        share::GROUP_SHARE_MIN_SESSION_TIMEOUT_MS,
        share::GROUP_SHARE_MAX_SESSION_TIMEOUT_MS,
    ),
    (
        SHARE_RECORD_LOCK_DURATION_MS,
        share::GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS,
        share::GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS,
    ),
    (
        SHARE_DELIVERY_COUNT_LIMIT,
        share::GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT,
        share::GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT,
    ),
    (
        SHARE_PARTITION_MAX_RECORD_LOCKS,
        share::GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS,
        share::GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS,
    ),
    (
        SHARE_ASSIGNMENT_INTERVAL_MS,
        share::GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
        share::GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS,
    ),
];

/// Checks all of a group's own configuration, as `GroupConfig.validate` does for the controller.
///
/// # Errors
/// Kafka answers each with INVALID_CONFIG.
pub fn validate_group_configs(
    broker: &BrokerConfig,
    configs: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    for (name, value) in configs {
        let Some(key) = group_key(name) else {
            return Err(ConfigError::Rule(format!("Unknown group config name: {name}")));
        };
        key.parse(value)?;
    }
    for (key, min, max) in BOUNDED {
        let (min, max) = (broker.get(*min), broker.get(*max));
        let value = configs.get(key.name()).and_then(|value| value.trim().parse::<i32>().ok());
        if value.is_some_and(|value| !(min..=max).contains(&value)) {
            let name = key.name();
            return Err(ConfigError::Rule(format!("{name} must be in the range {min} to {max} inclusive.")));
        }
    }
    Ok(())
}

/// Checks a broker's defaults against their own bounds, as `GroupCoordinatorConfig` does when a broker starts.
pub(super) fn validate_bounds(broker: &BrokerConfig) -> Result<(), ConfigError> {
    let refuse = |name: &str, relation: &str, other: &str| {
        Err(ConfigError::Rule(format!("{name} must be {relation} {other}")))
    };
    for (key, min, max) in BOUNDED {
        let default = group_key(key.name()).and_then(|key| key.synonyms.first()).map_or("", |s| s.name);
        let value = broker.value(default).and_then(|value| value.to_string().parse().ok()).unwrap_or(0);
        if broker.get(*max) < broker.get(*min) {
            return refuse(max.name(), "greater than or equal to", min.name());
        }
        if value < broker.get(*min) {
            return refuse(default, "greater than or equal to", min.name());
        }
        if value > broker.get(*max) {
            return refuse(default, "less than or equal to", max.name());
        }
    }
    for (heartbeat, session) in [
        (group::GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS, group::GROUP_CONSUMER_SESSION_TIMEOUT_MS),
        (share::GROUP_SHARE_HEARTBEAT_INTERVAL_MS, share::GROUP_SHARE_SESSION_TIMEOUT_MS),
    ] {
        if broker.get(heartbeat) >= broker.get(session) {
            return refuse(heartbeat.name(), "less than", session.name());
        }
    }
    Ok(())
}

/// Every key of a group that has `overrides` of its own, as DescribeConfigs lists them.
pub fn describe_group(broker: &BrokerConfig, overrides: &BTreeMap<String, String>) -> Vec<Described> {
    let describe = |key: &'static ConfigKey| {
        let own = overrides.get(key.name).and_then(|value| key.parse(value).ok());
        let mut synonyms: Vec<DescribedSynonym> = Vec::new();
        synonyms.extend(own.as_ref().map(|value| DescribedSynonym {
            name: key.name.to_owned(),
            value: Some(value.to_string()),
            source: ConfigSource::Group,
        }));
        let behind = key.synonyms.first().and_then(|synonym| broker.describe(synonym.name));
        let inherited = behind.as_ref().and_then(|described| described.value.clone());
        synonyms.extend(behind.into_iter().flat_map(|described| described.synonyms));
        Described {
            name: key.name.to_owned(),
            value: own
                .map(|value| value.to_string())
                .or(inherited)
                .or_else(|| key.default.map(str::to_owned)),
            source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
            read_only: false,
            sensitive: false,
            kind: Some(key.kind),
            documentation: Some(key.documentation()),
            synonyms,
        }
    };
    GROUP_KEYS.iter().map(describe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn a_groups_keys_are_bounded_by_the_brokers() {
        let broker = BrokerConfig::new([].into()).unwrap();
        let check = |entries: &[(&str, &str)]| {
            validate_group_configs(&broker, &map(entries)).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[("consumer.session.timeout.ms", "50000")]), Ok(()));
        for reset in ["earliest", "latest", "by_duration:PT1H"] {
            assert_eq!(check(&[("share.auto.offset.reset", reset)]), Ok(()));
        }
        for reset in ["", "none", "Earliest", "by_duration:", "by_duration:PT-1H", "by_duration:1h"] {
            assert!(check(&[("share.auto.offset.reset", reset)]).is_err(), "{reset}");
        }
        for (entries, message) in [
            (
                ("consumer.session.timeout.ms", "44999"),
                "consumer.session.timeout.ms must be in the range 45000 to 60000 inclusive.",
            ),
            (
                ("consumer.heartbeat.interval.ms", "15001"),
                "consumer.heartbeat.interval.ms must be in the range 5000 to 15000 inclusive.",
            ),
            (
                ("share.record.lock.duration.ms", "14999"),
                "share.record.lock.duration.ms must be in the range 15000 to 60000 inclusive.",
            ),
            (("retention.ms", "1"), "Unknown group config name: retention.ms"),
        ] {
            assert_eq!(check(&[entries]), Err(message.to_owned()));
        }
    }

    #[test]
    fn a_brokers_defaults_lie_within_its_own_bounds() {
        let refused = |entries: &[(&str, &str)]| BrokerConfig::new(map(entries)).unwrap_err().to_string();
        assert_eq!(
            refused(&[("group.consumer.heartbeat.interval.ms", "100")]),
            "group.consumer.heartbeat.interval.ms must be greater than or equal to \
             group.consumer.min.heartbeat.interval.ms"
        );
        assert_eq!(
            refused(&[("group.consumer.max.session.timeout.ms", "1")]),
            "group.consumer.max.session.timeout.ms must be greater than or equal to \
             group.consumer.min.session.timeout.ms"
        );
    }

    #[test]
    fn a_group_is_described_over_its_brokers_defaults() {
        let broker = BrokerConfig::new(map(&[("group.consumer.session.timeout.ms", "46000")])).unwrap();
        let overrides =
            map(&[("consumer.heartbeat.interval.ms", "6000"), ("share.auto.offset.reset", "earliest")]);
        let described: Vec<_> = describe_group(&broker, &overrides)
            .into_iter()
            .map(|described| (described.name, described.value.unwrap(), described.source))
            .collect();
        let expected = [
            ("consumer.assignment.interval.ms", "1000", ConfigSource::Default),
            ("consumer.heartbeat.interval.ms", "6000", ConfigSource::Group),
            ("consumer.session.timeout.ms", "46000", ConfigSource::StaticBroker),
            ("share.assignment.interval.ms", "1000", ConfigSource::Default),
            ("share.auto.offset.reset", "earliest", ConfigSource::Group),
            ("share.delivery.count.limit", "5", ConfigSource::Default),
            ("share.heartbeat.interval.ms", "5000", ConfigSource::Default),
            ("share.isolation.level", "read_uncommitted", ConfigSource::Default),
            ("share.partition.max.record.locks", "2000", ConfigSource::Default),
            ("share.record.lock.duration.ms", "30000", ConfigSource::Default),
            ("share.renew.acknowledge.enable", "true", ConfigSource::Default),
            ("share.session.timeout.ms", "45000", ConfigSource::Default),
        ];
        assert_eq!(described, expected.map(|(n, v, s)| (n.to_owned(), v.to_owned(), s)));
    }
}
