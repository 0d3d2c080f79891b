//! Dynamic configuration (`ConfigurationsImage`).

use std::collections::BTreeMap;

use klamm_wire::StrBytes;

use crate::delta::MetadataDelta;
use crate::record::{ConfigRecord, MetadataError};

/// What a configuration applies to (`ConfigResource.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i8)]
pub enum ConfigResourceKind {
    /// A topic.
    Topic = 2,
    /// A broker; the empty name stands for the default of all brokers.
    Broker = 4,
    /// A broker's logger. Never stored.
    BrokerLogger = 8,
    /// A subscription to client metrics.
    ClientMetrics = 16,
    /// A group.
    Group = 32,
}

impl ConfigResourceKind {
    /// The kind for a number from the wire.
    pub const fn from_code(code: i8) -> Option<Self> {
        match code {
            2 => Some(Self::Topic),
            4 => Some(Self::Broker),
            8 => Some(Self::BrokerLogger),
            16 => Some(Self::ClientMetrics),
            32 => Some(Self::Group),
            _ => None,
        }
    }

    /// The number that goes over the wire.
    pub const fn code(self) -> i8 {
        self as i8
    }
}

/// One thing that can be configured (`ConfigResource`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigResource {
    /// What kind of thing.
    pub kind: ConfigResourceKind,
    /// Its name: a topic, a broker's id in decimal, a group; empty for the default of all brokers.
    pub name: StrBytes,
}

impl ConfigResource {
    /// A topic's configuration.
    pub fn topic(name: impl Into<StrBytes>) -> Self {
        Self { kind: ConfigResourceKind::Topic, name: name.into() }
    }

    /// A broker's configuration.
    pub fn broker(id: klamm_node::NodeId) -> Self {
        Self { kind: ConfigResourceKind::Broker, name: StrBytes::from_string(id.to_string()) }
    }

    /// The default of all brokers.
    pub fn broker_default() -> Self {
        Self { kind: ConfigResourceKind::Broker, name: StrBytes::from_static_str("") }
    }

    /// A group's configuration.
    pub fn group(name: impl Into<StrBytes>) -> Self {
        Self { kind: ConfigResourceKind::Group, name: name.into() }
    }
}

/// Every key that was set on some resource. Defaults are not here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigsImage {
    resources: BTreeMap<ConfigResource, BTreeMap<StrBytes, StrBytes>>,
}

impl ConfigsImage {
    /// The keys set on a resource; `None` when there is none.
    pub fn get(&self, resource: &ConfigResource) -> Option<&BTreeMap<StrBytes, StrBytes>> {
        self.resources.get(resource)
    }

    /// The value of one key as set on a resource itself.
    pub fn value(&self, resource: &ConfigResource, key: &str) -> Option<&StrBytes> {
        self.resources.get(resource)?.get(key.as_bytes())
    }

    /// Every resource with its keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&ConfigResource, &BTreeMap<StrBytes, StrBytes>)> {
        self.resources.iter()
    }

    pub(crate) fn apply(
        &mut self,
        record: &ConfigRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        let kind = ConfigResourceKind::from_code(record.resource_type)
            .ok_or_else(|| MetadataError::replay("ConfigRecord", "an unknown resource type"))?;
        let resource = ConfigResource { kind, name: record.resource_name.clone() };
        delta.configs.entry(resource.clone()).or_default().insert(record.name.clone());
        match &record.value {
            Some(value) => {
                self.resources.entry(resource).or_default().insert(record.name.clone(), value.clone());
            }
            None => {
                if let Some(keys) = self.resources.get_mut(&resource) {
                    keys.remove(&record.name);
                    if keys.is_empty() {
                        self.resources.remove(&resource);
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn remove_topic(&mut self, name: StrBytes, delta: &mut MetadataDelta) {
        let resource = ConfigResource::topic(name);
        if let Some(keys) = self.resources.remove(&resource) {
            delta.configs.entry(resource).or_default().extend(keys.into_keys());
        }
    }
}
