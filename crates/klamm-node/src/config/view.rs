//! The layers that a value is looked for in, and what DescribeConfigs says of them.
//!
//! For a topic: its own configuration, then the broker's keys that hold its default. For a broker: its own dynamic
//! configuration, the dynamic default of all brokers, its server properties, the default.

use std::collections::BTreeMap;

use klamm_wire::KafkaVersion;

use super::def::{ConfigError, ConfigKey, ConfigKind, ConfigType, Key, Scope, Value};
use super::{broker, broker_key, broker_keys, topic_key};

/// Where a value comes from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum ConfigSource {
    /// The topic's own configuration.
    Topic = 1,
    /// The broker's own dynamic configuration.
    DynamicBroker = 2,
    /// The dynamic configuration of all brokers.
    DynamicDefaultBroker = 3,
    /// The server properties that the broker was started with.
    StaticBroker = 4,
    /// Nobody set it.
    Default = 5,
    /// The group's own configuration.
    Group = 8,
}

impl ConfigSource {
    /// The number in a DescribeConfigs response.
    pub const fn id(self) -> i8 {
        self as i8
    }
}

/// One entry of a DescribeConfigs response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// The key.
    pub name: String,
    /// Its value; `None` when it is null or must not be shown.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the broker runs.
    pub read_only: bool,
    /// Whether its value must not be shown.
    pub sensitive: bool,
    /// The type of its value; `None` when the key is unknown.
    pub kind: Option<ConfigKind>,
    /// What it does.
    pub documentation: Option<&'static str>,
    /// Every place that has a value for it, the strongest first.
    pub synonyms: Vec<DescribedSynonym>,
}

/// One place that has a value for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedSynonym {
    /// The name that the value is set under there.
    pub name: String,
    /// The value, as it is written there; `None` when it must not be shown.
    pub value: Option<String>,
    /// The place.
    pub source: ConfigSource,
}

/// A broker's configuration in its layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerConfig {
    release: KafkaVersion,
    static_properties: BTreeMap<String, String>,
    dynamic_default: BTreeMap<String, String>,
    dynamic: BTreeMap<String, String>,
}

impl BrokerConfig {
    /// The configuration that a broker starts with.
    ///
    /// # Errors
    /// When a key is unknown or a value is not valid.
    pub fn new(static_properties: BTreeMap<String, String>) -> Result<Self, ConfigError> {
        Self::of_release(KafkaVersion::NEWEST, static_properties)
    }

    /// As [`BrokerConfig::new`], with a release's defaults.
    ///
    /// # Errors
    /// As [`BrokerConfig::new`].
    pub fn of_release(
        release: KafkaVersion,
        static_properties: BTreeMap<String, String>,
    ) -> Result<Self, ConfigError> {
        for (name, value) in &static_properties {
            match broker_key(name) {
                Some(key) if key.scope == Scope::Managed => {
                    key.parse(value)?;
                }
                _ => super::validate_static_broker_config(name, value)?,
            }
        }
        let config = Self { release, static_properties, ..Self::default() };
        super::group_resource::validate_bounds(&config)?;
        Ok(config)
    }

    /// Replaces the broker's own dynamic configuration. A value that is not valid is passed over where it is read, as
    /// Kafka does with what a newer controller accepted.
    pub fn set_dynamic(&mut self, configs: BTreeMap<String, String>) {
        self.dynamic = configs;
    }

    /// Replaces the dynamic configuration of all brokers.
    pub fn set_dynamic_default(&mut self, configs: BTreeMap<String, String>) {
        self.dynamic_default = configs;
    }

    /// The release whose defaults these are.
    pub const fn release(&self) -> KafkaVersion {
        self.release
    }

    /// The server properties that the broker was started with.
    pub const fn static_properties(&self) -> &BTreeMap<String, String> {
        &self.static_properties
    }

    /// A key's value.
    pub fn get<T: ConfigType>(&self, key: Key<T>) -> T {
        T::from_value(self.value(key.name()).as_ref()).expect("every key has a default of its type")
    }

    /// The value of a key by its name; `None` when it is null or the key is unknown.
    pub fn value(&self, name: &str) -> Option<Value> {
        // Kafka shows the node's id under its older name too.
        let name = if name == broker::BROKER_ID.name() { broker::NODE_ID.name() } else { name };
        let key = broker_key(name)?;
        self.set_value(key).or_else(|| key.parse(self.default_of(key)?).ok())
    }

    /// The configuration of a topic that has `overrides` of its own.
    pub const fn topic<'a>(&'a self, overrides: &'a BTreeMap<String, String>) -> TopicConfig<'a> {
        TopicConfig { broker: self, overrides }
    }

    /// Every key of the broker, as DescribeConfigs lists them.
    pub fn describe_all(&self) -> Vec<Described> {
        let listed = |key: &&&ConfigKey| !key.internal || self.set_value(key).is_some();
        let mut all: Vec<_> = broker_keys().iter().filter(listed).map(|key| self.describe_key(key)).collect();
        all.extend(self.unknown_names().into_iter().filter_map(|name| self.describe(name)));
        all
    }

    /// What the dynamic configuration of all brokers sets, as DescribeConfigs lists it for the empty broker name.
    pub fn describe_dynamic_default(&self) -> Vec<Described> {
        let only_default = |mut described: Described| {
            described.synonyms.retain(|synonym| synonym.source == ConfigSource::DynamicDefaultBroker);
            described.source = ConfigSource::DynamicDefaultBroker;
            described.value = described.synonyms.first().and_then(|synonym| synonym.value.clone());
            described
        };
        self.dynamic_default.keys().filter_map(|name| self.describe(name)).map(only_default).collect()
    }

    /// One key of the broker. A name that is no key but was set dynamically is described without its value, as Kafka
    /// does for a plug-in's; any other unknown name is `None`.
    pub fn describe(&self, name: &str) -> Option<Described> {
        if let Some(key) = broker_key(name) {
            return Some(self.describe_key(key));
        }
        let synonyms = self.synonyms(&[name], true);
        let source = synonyms.first()?.source;
        Some(Described {
            name: name.to_owned(),
            value: None,
            source,
            read_only: true,
            sensitive: true,
            kind: None,
            documentation: None,
            synonyms,
        })
    }

    fn describe_key(&self, key: &'static ConfigKey) -> Described {
        let names = own_synonyms(key);
        let mut synonyms = self.synonyms(&names, key.is_sensitive());
        synonyms.drain(..synonyms.iter().position(|s| s.name == key.name).unwrap_or(synonyms.len()));
        let value = self.value(key.name).filter(|_| !key.is_sensitive()).map(|value| value.to_string());
        Described {
            name: key.name.to_owned(),
            value,
            source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
            read_only: matches!(key.scope, Scope::ReadOnly | Scope::Managed),
            sensitive: key.is_sensitive(),
            kind: Some(key.kind),
            documentation: Some(key.documentation()),
            synonyms,
        }
    }

    fn default_of(&self, key: &ConfigKey) -> Option<&'static str> {
        let older =
            |(name, since, _): &&(&str, KafkaVersion, &str)| *name == key.name && self.release < *since;
        super::OLDER_DEFAULTS.iter().find(older).map(|(.., default)| *default).or(key.default)
    }

    fn layers(&self) -> [(&BTreeMap<String, String>, ConfigSource); 3] {
        [
            (&self.dynamic, ConfigSource::DynamicBroker),
            (&self.dynamic_default, ConfigSource::DynamicDefaultBroker),
            (&self.static_properties, ConfigSource::StaticBroker),
        ]
    }

    /// The value that somebody set for a key.
    fn set_value(&self, key: &ConfigKey) -> Option<Value> {
        self.layers().into_iter().find_map(|(layer, _)| key.parse(layer.get(key.name)?).ok())
    }

    /// Every place that sets one of these names, the strongest first.
    fn synonyms(&self, names: &[&str], sensitive: bool) -> Vec<DescribedSynonym> {
        let mut found = Vec::new();
        let mut push = |name: &str, value: &str, source| {
            let value = (!sensitive).then(|| value.to_owned());
            found.push(DescribedSynonym { name: name.to_owned(), value, source });
        };
        for (layer, source) in self.layers() {
            for name in names {
                if let Some(value) = layer.get(*name) {
                    push(name, value, source);
                }
            }
        }
        for name in names {
            if let Some(default) = broker_key(name).and_then(|key| self.default_of(key)) {
                push(name, default, ConfigSource::Default);
            }
        }
        found
    }

    fn unknown_names(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.dynamic.keys().chain(self.dynamic_default.keys()).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| broker_key(name).is_none());
        names
    }
}

/// The names under which a broker key's setting can stand.
fn own_synonyms(key: &'static ConfigKey) -> Vec<&'static str> {
    if key.synonyms.is_empty() { vec![key.name] } else { key.synonyms.iter().map(|s| s.name).collect() }
}

/// A topic's configuration: its own, over the broker's.
#[derive(Debug, Clone, Copy)]
pub struct TopicConfig<'a> {
    broker: &'a BrokerConfig,
    overrides: &'a BTreeMap<String, String>,
}

impl TopicConfig<'_> {
    /// A key's value.
    pub fn get<T: ConfigType>(&self, key: Key<T>) -> T {
        T::from_value(self.value(key.name()).as_ref()).expect("every key has a default of its type")
    }

    /// The value of a key by its name; `None` when it is null or the key is unknown.
    pub fn value(&self, name: &str) -> Option<Value> {
        let key = topic_key(name)?;
        self.own(key).or_else(|| self.brokers_default(key)).or_else(|| key.parse(key.default?).ok())
    }

    /// Every key of the topic, as DescribeConfigs lists them.
    pub fn describe_all(&self) -> Vec<Described> {
        let listed = |key: &&'static ConfigKey| !key.internal || self.own(key).is_some();
        super::TOPIC_KEYS.iter().filter(listed).map(|key| self.describe_key(key)).collect()
    }

    /// One key of the topic; `None` when the key is unknown.
    pub fn describe(&self, name: &str) -> Option<Described> {
        topic_key(name).map(|key| self.describe_key(key))
    }

    fn describe_key(&self, key: &'static ConfigKey) -> Described {
        let value = self.value(key.name).map(|value| value.to_string());
        let mut synonyms = Vec::new();
        if self.own(key).is_some() {
            synonyms.push(DescribedSynonym {
                name: key.name.to_owned(),
                value: value.clone(),
                source: ConfigSource::Topic,
            });
        }
        // Kafka follows only the first broker key, and that key's own synonyms.
        if let Some(first) = key.synonyms.first() {
            match self.broker.describe(first.name) {
                Some(broker) => synonyms.extend(broker.synonyms),
                None => synonyms.extend(key.default.map(|default| DescribedSynonym {
                    name: first.name.to_owned(),
                    value: Some(default.to_owned()),
                    source: ConfigSource::Default,
                })),
            }
        }
        Described {
            name: key.name.to_owned(),
            value,
            source: synonyms.first().map_or(ConfigSource::Default, |synonym| synonym.source),
            read_only: false,
            sensitive: key.is_sensitive(),
            kind: Some(key.kind),
            documentation: Some(key.documentation()),
            synonyms,
        }
    }

    fn own(&self, key: &ConfigKey) -> Option<Value> {
        key.parse(self.overrides.get(key.name)?).ok()
    }

    /// The broker's default for a topic key: the first of its synonyms that has a value.
    fn brokers_default(&self, key: &ConfigKey) -> Option<Value> {
        let value = key.synonyms.iter().find_map(|synonym| {
            let value = self.broker.value(synonym.name)?.to_string();
            synonym.convert(&value).map(|value| (synonym, value))
        });
        let (synonym, value) = value?;
        // Kafka takes any negative retention of a broker for "no limit", where a topic's may only be -1.
        let value =
            if synonym.name.starts_with("log.retention.") && value.starts_with('-') { "-1" } else { &value };
        key.parse(value).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{group, topic};

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn synonyms(described: &Described) -> Vec<(String, String, ConfigSource)> {
        described.synonyms.iter().map(|s| (s.name.clone(), s.value.clone().unwrap(), s.source)).collect()
    }

    #[test]
    fn every_key_has_a_value_of_its_type_when_nothing_is_set() {
        let config = BrokerConfig::new([].into()).unwrap();
        assert_eq!(config.get(broker::REPLICA_LAG_TIME_MAX_MS), 30_000);
        assert_eq!(config.get(broker::LOG_RETENTION_MS), None);
        assert_eq!(config.get(group::OFFSETS_TOPIC_REPLICATION_FACTOR), 3_i16);
        let overrides = [].into();
        let topic = config.topic(&overrides);
        assert_eq!(topic.get(topic::CLEANUP_POLICY), ["delete"]);
        assert_eq!(topic.get(topic::RETENTION_MS), 604_800_000);
        assert_eq!(topic.get(topic::FLUSH_MS), i64::MAX);
        assert_eq!(topic.get(topic::INTERNAL_SEGMENT_BYTES), None);
        assert_eq!(topic.describe_all().len(), super::super::TOPIC_KEYS.len() - 1);
    }

    #[test]
    fn layers_in_order() {
        let mut config = BrokerConfig::new(map(&[("log.segment.bytes", "2000000")])).unwrap();
        let overrides = map(&[("segment.bytes", "5000000")]);
        let bytes = |config: &BrokerConfig| config.topic(&[].into()).get(topic::SEGMENT_BYTES);
        assert_eq!(bytes(&config), 2_000_000);
        config.set_dynamic_default(map(&[("log.segment.bytes", "3000000")]));
        assert_eq!(bytes(&config), 3_000_000);
        config.set_dynamic(map(&[("log.segment.bytes", "4000000")]));
        assert_eq!(bytes(&config), 4_000_000);
        let described = config.topic(&overrides).describe("segment.bytes").unwrap();
        assert_eq!(described.value.as_deref(), Some("5000000"));
        assert_eq!(described.source, ConfigSource::Topic);
        let entry = |name: &str, value: &str, source| (name.to_owned(), value.to_owned(), source);
        assert_eq!(
            synonyms(&described),
            [
                entry("segment.bytes", "5000000", ConfigSource::Topic),
                entry("log.segment.bytes", "4000000", ConfigSource::DynamicBroker),
                entry("log.segment.bytes", "3000000", ConfigSource::DynamicDefaultBroker),
                entry("log.segment.bytes", "2000000", ConfigSource::StaticBroker),
                entry("log.segment.bytes", "1073741824", ConfigSource::Default),
            ]
        );
        config.set_dynamic(map(&[("log.segment.bytes", "nonsense")]));
        assert_eq!(bytes(&config), 3_000_000, "a value that does not parse is passed over");
    }

    #[test]
    fn coarser_units_hold_a_topics_default() {
        let retention = |entries: &[(&str, &str)]| {
            BrokerConfig::new(map(entries)).unwrap().topic(&[].into()).get(topic::RETENTION_MS)
        };
        assert_eq!(retention(&[("log.retention.hours", "2")]), 7_200_000);
        assert_eq!(retention(&[("log.retention.hours", "2"), ("log.retention.minutes", "3")]), 180_000);
        assert_eq!(retention(&[("log.retention.minutes", "3"), ("log.retention.ms", "4")]), 4);
        assert_eq!(retention(&[("log.retention.hours", "-1")]), -1);
        assert_eq!(retention(&[("log.retention.ms", "-5")]), -1);
    }

    #[test]
    fn a_synonym_in_another_unit_is_not_named_as_the_source() {
        // Kafka drops what stands before the key's own name, so that hours set statically read as a default.
        let config = BrokerConfig::new(map(&[("log.retention.hours", "1")])).unwrap();
        let described = config.topic(&[].into()).describe("retention.ms").unwrap();
        assert_eq!(described.value.as_deref(), Some("3600000"));
        assert_eq!((described.source, described.synonyms), (ConfigSource::Default, vec![]));
    }

    #[test]
    fn describes_a_broker() {
        let mut config = BrokerConfig::new(map(&[("min.insync.replicas", "2"), ("node.id", "1")])).unwrap();
        config.set_dynamic_default(map(&[("log.retention.ms", "5"), ("my.plugin", "x")]));
        let all = config.describe_all();
        let named = |name: &str| all.iter().find(|described| described.name == name).unwrap();
        assert_eq!(named("min.insync.replicas").source, ConfigSource::StaticBroker);
        assert!(!named("min.insync.replicas").read_only);
        assert!(named("node.id").read_only);
        assert_eq!(named("broker.id").value.as_deref(), Some("1"));
        assert_eq!(named("my.plugin").value, None);
        assert!(all.iter().all(|described| described.name != "unclean.leader.election.interval.ms"));
        let default: Vec<_> =
            config.describe_dynamic_default().into_iter().map(|d| (d.name, d.value)).collect();
        assert_eq!(
            default,
            [("log.retention.ms".to_owned(), Some("5".to_owned())), ("my.plugin".to_owned(), None)]
        );
    }

    #[test]
    fn refuses_to_start_with_what_it_does_not_know() {
        let error = BrokerConfig::new(map(&[("zookeeper.connect", "x:2181")])).unwrap_err();
        assert!(error.to_string().starts_with("unknown config key zookeeper.connect"), "{error}");
        assert!(BrokerConfig::new(map(&[("num.partitions", "0")])).is_err());
    }
}
