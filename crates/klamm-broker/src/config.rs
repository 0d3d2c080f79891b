//! The broker's configuration: server properties over Kafka's defaults, with the cluster's dynamic values on top.

use std::collections::BTreeMap;

/// The broker's configuration by Kafka's names.
#[derive(Debug, Clone, Default)]
pub(crate) struct BrokerConfig {
    values: BTreeMap<String, String>,
}

impl BrokerConfig {
    /// The configuration of a broker that was started with these server properties.
    pub(crate) const fn new(values: BTreeMap<String, String>) -> Self {
        Self { values }
    }

    /// A number, or `default` where none is set.
    pub(crate) fn i64(&self, key: &str, default: i64) -> i64 {
        self.values.get(key).and_then(|v| v.trim().parse().ok()).unwrap_or(default)
    }

    /// A flag, or `default` where none is set.
    pub(crate) fn bool(&self, key: &str, default: bool) -> bool {
        self.values.get(key).and_then(|v| v.trim().to_ascii_lowercase().parse().ok()).unwrap_or(default)
    }

    /// A text, or `default` where none is set.
    pub(crate) fn text<'a>(&'a self, key: &str, default: &'a str) -> &'a str {
        self.values.get(key).map_or(default, String::as_str)
    }
}
