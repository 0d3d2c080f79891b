//! What is checked before a configuration is accepted.

use std::collections::BTreeMap;

use super::def::{ConfigError, Scope};
use super::view::BrokerConfig;
use super::{broker_key, nearest, topic, topic_key};

/// Checks a server property that a user sets when a cluster is built.
///
/// # Errors
/// When the key is unknown, with the nearest known one; when klamm sets it itself; when the value is not valid.
pub fn validate_static_broker_config(name: &str, value: &str) -> Result<(), ConfigError> {
    let Some(key) = broker_key(name) else {
        return Err(ConfigError::UnknownBrokerKey {
            name: name.to_owned(),
            nearest: nearest(name).map(str::to_owned),
        });
    };
    if key.scope == Scope::Managed {
        let instead = match name {
            "listeners" | "advertised.listeners" => "the host and port options",
            "broker.rack" => "the racks option",
            _ => "",
        };
        return Err(ConfigError::Managed { name: name.to_owned(), instead });
    }
    key.parse(value)?;
    if key.name == "log.dirs" {
        log_dir_paths(&value.split(',').map(str::to_owned).collect::<Vec<_>>())?;
    }
    Ok(())
}

/// The directories of `log.dirs` as paths relative to a broker's disk, in the order given.
///
/// # Errors
/// When one has no name, leads out of the disk, is given twice, or lies within another.
pub fn log_dir_paths(log_dirs: &[String]) -> Result<Vec<String>, ConfigError> {
    let all = log_dirs.join(",");
    let refuse = |why: String| Err(ConfigError::Rule(format!("log.dirs={all}: {why}")));
    let within = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
    let mut paths: Vec<String> = Vec::new();
    for dir in log_dirs {
        let path = dir.trim().trim_matches('/').to_owned();
        if path.is_empty() {
            return refuse("a directory has no name; give them as in /disk1,/disk2".to_owned());
        }
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refuse(format!("{dir:?} is no plain path within the broker's disk, such as /disk1"));
        }
        if paths.contains(&path) {
            return refuse(format!("/{path} is given twice"));
        }
        if let Some(other) = paths.iter().find(|other| within(other, &path) || within(&path, other)) {
            return refuse(format!("one of /{other} and /{path} lies within the other"));
        }
        paths.push(path);
    }
    if paths.is_empty() {
        return refuse("at least one directory is needed, such as /logs".to_owned());
    }
    Ok(paths)
}

/// Checks all of a topic's own configuration, as `LogConfig.validate` does for the controller: `existing` is what the
/// topic has, `new` is what it will have.
///
/// # Errors
/// Kafka answers each with INVALID_CONFIG.
pub fn validate_topic_configs(
    broker: &BrokerConfig,
    existing: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
) -> Result<(), ConfigError> {
    if let Some(unknown) = new.keys().find(|name| topic_key(name).is_none()) {
        return Err(ConfigError::UnknownTopicKey(unknown.clone()));
    }
    for (name, value) in new {
        if let Some(key) = topic_key(name) {
            key.parse(value)?;
        }
    }
    let view = broker.topic(new);
    let min_lag = view.get(topic::MIN_COMPACTION_LAG_MS);
    let max_lag = view.get(topic::MAX_COMPACTION_LAG_MS);
    if min_lag > max_lag {
        return Err(ConfigError::Rule(format!(
            "conflict topic config setting min.compaction.lag.ms ({min_lag}) > max.compaction.lag.ms ({max_lag})"
        )));
    }
    if view.get(topic::REMOTE_STORAGE_ENABLE) {
        return Err(ConfigError::Rule(
            "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
             storage."
                .to_owned(),
        ));
    }
    let was_remote = broker.topic(existing).get(topic::REMOTE_STORAGE_ENABLE);
    if was_remote && !view.get(topic::REMOTE_LOG_DELETE_ON_DISABLE) {
        return Err(ConfigError::Rule(
            "It is invalid to disable remote storage without deleting remote data. If you want to keep the remote \
             data and turn to read only, please set `remote.storage.enable=true,remote.log.copy.disable=true`. If you \
             want to disable remote storage and delete all remote data, please set \
             `remote.storage.enable=false,remote.log.delete.on.disable=true`."
                .to_owned(),
        ));
    }
    Ok(())
}

/// Checks the dynamic configuration of one broker (`per_broker`) or of all, as `DynamicBrokerConfig.validateConfigs`
/// does. A name that is no broker key is accepted, as Kafka accepts it for plug-ins.
///
/// # Errors
/// Kafka answers each with INVALID_REQUEST or INVALID_CONFIG.
pub fn validate_dynamic_broker_configs(
    configs: &BTreeMap<String, String>,
    per_broker: bool,
) -> Result<(), ConfigError> {
    let with_scope = |scopes: &[Scope]| -> Vec<&str> {
        let has_scope = |name: &&String| broker_key(name).is_some_and(|key| scopes.contains(&key.scope));
        configs.keys().filter(has_scope).map(String::as_str).collect()
    };
    let fixed = with_scope(&[Scope::ReadOnly, Scope::Managed]);
    if !fixed.is_empty() {
        return Err(ConfigError::Rule(format!(
            "Cannot update these configs dynamically: [{}]",
            fixed.join(", ")
        )));
    }
    for (name, value) in configs {
        if let Some(key) = broker_key(name) {
            key.parse(value)?;
        }
    }
    let own = with_scope(&[Scope::PerBroker]);
    if !per_broker && !own.is_empty() {
        return Err(ConfigError::Rule(format!(
            "Cannot update these configs at default cluster level, broker id must be specified: [{}]",
            own.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    fn topic_error(entries: &[(&str, &str)]) -> String {
        let broker = BrokerConfig::new([].into()).unwrap();
        validate_topic_configs(&broker, &[].into(), &map(entries)).unwrap_err().to_string()
    }

    #[test]
    fn refuses_a_topic_configuration_in_kafkas_words() {
        for (entries, expected) in [
            (&[("retention.millis", "1")][..], "Unknown topic config name: retention.millis"),
            (
                &[("retention.ms", "soon")],
                "Invalid value soon for configuration retention.ms: Not a number of type LONG",
            ),
            (
                &[("min.insync.replicas", "0")],
                "Invalid value 0 for configuration min.insync.replicas: Value must be at least 1",
            ),
            (
                &[("min.cleanable.dirty.ratio", "1.5")],
                "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
            ),
            (
                &[("cleanup.policy", "delete, shred")],
                "Invalid value shred for configuration cleanup.policy: String must be one of: compact, delete",
            ),
            (
                &[("preallocate", "yes")],
                "Invalid value yes for configuration preallocate: Expected value to be either true or false",
            ),
            (
                &[("compression.gzip.level", "0")],
                "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
            ),
            (
                &[("min.compaction.lag.ms", "2"), ("max.compaction.lag.ms", "1")],
                "conflict topic config setting min.compaction.lag.ms (2) > max.compaction.lag.ms (1)",
            ),
            (
                &[("remote.storage.enable", "true")],
                "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.",
            ),
            (
                &[("leader.replication.throttled.replicas", "0:1,x")],
                "Invalid value [0:1, x] for configuration leader.replication.throttled.replicas: \
                 leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following \
                 format: [partitionId]:[brokerId],[partitionId]:[brokerId],...",
            ),
        ] {
            assert_eq!(topic_error(entries), expected);
        }
    }

    #[test]
    fn accepts_every_default_and_what_kafka_accepts_beside_it() {
        let broker = BrokerConfig::new([].into()).unwrap();
        let all = super::super::TOPIC_KEYS
            .iter()
            .filter_map(|key| Some((key.name.to_owned(), key.default?.to_owned())))
            .collect();
        assert_eq!(validate_topic_configs(&broker, &[].into(), &all), Ok(()));
        let odd = map(&[
            ("cleanup.policy", ""),
            ("retention.ms", " -1 "),
            ("leader.replication.throttled.replicas", "*"),
            ("internal.segment.bytes", "100"),
        ]);
        assert_eq!(validate_topic_configs(&broker, &[].into(), &odd), Ok(()));
    }

    #[test]
    fn tells_what_to_write_instead_of_an_unknown_broker_key() {
        let error = |name| validate_static_broker_config(name, "1").unwrap_err().to_string();
        assert_eq!(
            error("min.insync.replica"),
            "unknown config key min.insync.replica; did you mean min.insync.replicas?"
        );
        assert_eq!(error("xyzzy"), "unknown config key xyzzy");
        assert_eq!(error("node.id"), "node.id is set by klamm itself");
        assert_eq!(error("listeners"), "listeners is set by klamm itself; use the host and port options");
        assert_eq!(validate_static_broker_config("min.insync.replicas", "2"), Ok(()));
    }

    #[test]
    fn refuses_a_dynamic_change_of_what_is_fixed() {
        let error = |entries| validate_dynamic_broker_configs(&map(entries), false).unwrap_err().to_string();
        assert_eq!(
            error(&[("num.partitions", "2"), ("node.id", "3"), ("log.retention.ms", "1")]),
            "Cannot update these configs dynamically: [node.id, num.partitions]"
        );
        assert_eq!(
            error(&[("log.retention.ms", "x")]),
            "Invalid value x for configuration log.retention.ms: Not a number of type LONG"
        );
        assert_eq!(validate_dynamic_broker_configs(&map(&[("my.plugin", "x")]), false), Ok(()));
    }

    #[test]
    fn log_directories_are_plain_and_apart() {
        let ok = |value: &str| log_dir_paths(&value.split(',').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(ok("/a, b/c/").unwrap(), ["a", "b/c"]);
        for (bad, why) in [
            ("/a,", "has no name"),
            ("/a/../b", "no plain path"),
            ("/a,a/", "given twice"),
            ("/a,/a/b", "lies within"),
        ] {
            let error = validate_static_broker_config("log.dirs", bad).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains(bad), "{error}");
        }
    }
}
