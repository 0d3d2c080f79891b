//! Registered brokers (`ClusterImage`).

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_node::NodeId;
use klamm_wire::{StrBytes, Uuid};

use super::topics::{DIRECTORY_LOST, DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED};
use crate::delta::MetadataDelta;
use crate::record::{
    BrokerRegistrationChangeRecord, MetadataError, RegisterBrokerRecord, UnregisterBrokerRecord,
};

/// Where a broker listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The listener's name, such as `PLAINTEXT`.
    pub name: StrBytes,
    /// The advertised host.
    pub host: StrBytes,
    /// The advertised port.
    pub port: u16,
    /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL (`SecurityProtocol`).
    pub security_protocol: i16,
}

/// A broker as it registered (`BrokerRegistration`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// The broker.
    pub id: NodeId,
    /// Its epoch: the offset of its registration in the metadata log.
    pub epoch: i64,
    /// The id of the process that registered.
    pub incarnation_id: Uuid,
    /// Its listeners.
    pub endpoints: Vec<Endpoint>,
    /// The features that it supports: name, lowest and highest level.
    pub features: BTreeMap<StrBytes, (i16, i16)>,
    /// Its rack.
    pub rack: Option<StrBytes>,
    /// Whether it may lead or be in an ISR: a fenced broker is as good as down.
    pub fenced: bool,
    /// Whether it is on its way down in order.
    pub in_controlled_shutdown: bool,
    /// The ids of its available log directories (KIP-858).
    pub log_dirs: Vec<Uuid>,
}

impl BrokerRegistration {
    /// The listener called `name`.
    pub fn endpoint(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| &*endpoint.name == name)
    }

    /// Whether a replica in this directory can be served: the directory is registered, or not known yet
    /// (`BrokerRegistration.hasOnlineDir`).
    pub fn has_online_dir(&self, directory: Uuid) -> bool {
        match directory {
            DIRECTORY_UNASSIGNED | DIRECTORY_MIGRATING => true,
            DIRECTORY_LOST => false,
            other => self.log_dirs.is_empty() || self.log_dirs.contains(&other),
        }
    }

    /// Where the broker's new replicas go: its only directory, or one that it picks itself.
    pub fn default_dir(&self) -> Uuid {
        match self.log_dirs.as_slice() {
            [] => DIRECTORY_MIGRATING,
            [only] => *only,
            _ => DIRECTORY_UNASSIGNED,
        }
    }
}

/// Every registered broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterImage {
    brokers: BTreeMap<NodeId, Arc<BrokerRegistration>>,
}

impl ClusterImage {
    /// A registered broker.
    pub fn broker(&self, id: NodeId) -> Option<&Arc<BrokerRegistration>> {
        self.brokers.get(&id)
    }

    /// Every registered broker, by id.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<BrokerRegistration>> {
        self.brokers.values()
    }

    /// Whether a broker is registered and not fenced.
    pub fn is_unfenced(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced)
    }

    /// Whether a broker may lead or join an ISR: registered, not fenced, not shutting down (KIP-841).
    pub fn is_active(&self, id: NodeId) -> bool {
        self.brokers.get(&id).is_some_and(|broker| !broker.fenced && !broker.in_controlled_shutdown)
    }

    /// A broker's epoch; `None` when it is not registered.
    pub fn epoch(&self, id: NodeId) -> Option<i64> {
        self.brokers.get(&id).map(|broker| broker.epoch)
    }

    pub(crate) fn register(&mut self, r: &RegisterBrokerRecord, delta: &mut MetadataDelta) {
        let id = NodeId(r.broker_id);
        let broker = BrokerRegistration {
            id,
            epoch: r.broker_epoch,
            incarnation_id: r.incarnation_id,
            endpoints: r
                .end_points
                .iter()
                .map(|e| Endpoint {
                    name: e.name.clone(),
                    host: e.host.clone(),
                    port: e.port,
                    security_protocol: e.security_protocol,
                })
                .collect(),
            features: r
                .features
                .iter()
                .map(|f| (f.name.clone(), (f.min_supported_version, f.max_supported_version)))
                .collect(),
            rack: r.rack.clone(),
            fenced: r.fenced,
            in_controlled_shutdown: r.in_controlled_shutdown,
            log_dirs: r.log_dirs.clone(),
        };
        let before = self.brokers.insert(id, Arc::new(broker));
        delta.note_broker(id, before);
    }

    pub(crate) fn unregister(
        &mut self,
        r: &UnregisterBrokerRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        let id = NodeId(r.broker_id);
        self.check("UnregisterBrokerRecord", id, r.broker_epoch)?;
        let before = self.brokers.remove(&id);
        delta.note_broker(id, before);
        Ok(())
    }

    pub(crate) fn change(
        &mut self,
        r: &BrokerRegistrationChangeRecord,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        let id = NodeId(r.broker_id);
        let before = self.check("BrokerRegistrationChangeRecord", id, r.broker_epoch)?.clone();
        let mut broker = (*before).clone();
        match r.fenced {
            -1 => broker.fenced = false,
            0 => {}
            1 => broker.fenced = true,
            _ => {
                return Err(MetadataError::replay(
                    "BrokerRegistrationChangeRecord",
                    "an unknown fencing change",
                ));
            }
        }
        match r.in_controlled_shutdown {
            0 => {}
            1 => broker.in_controlled_shutdown = true,
            _ => {
                return Err(MetadataError::replay(
                    "BrokerRegistrationChangeRecord",
                    "an unknown shutdown change",
                ));
            }
        }
        if !r.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&r.log_dirs);
        }
        self.brokers.insert(id, Arc::new(broker));
        delta.note_broker(id, Some(before));
        Ok(())
    }

    /// Follows a FenceBrokerRecord or UnfenceBrokerRecord, which metadata.version 3.3 and later no longer writes.
    pub(crate) fn set_fenced(
        &mut self,
        id: i32,
        epoch: i64,
        fenced: bool,
        delta: &mut MetadataDelta,
    ) -> Result<(), MetadataError> {
        let change = BrokerRegistrationChangeRecord {
            broker_id: id,
            broker_epoch: epoch,
            fenced: if fenced { 1 } else { -1 },
            ..BrokerRegistrationChangeRecord::default()
        };
        self.change(&change, delta)
    }

    fn check(
        &self,
        record: &'static str,
        id: NodeId,
        epoch: i64,
    ) -> Result<&Arc<BrokerRegistration>, MetadataError> {
        let broker = self
            .brokers
            .get(&id)
            .ok_or_else(|| MetadataError::replay(record, "a broker that is not registered"))?;
        if broker.epoch != epoch {
            return Err(MetadataError::replay(record, "an epoch that is not the broker's"));
        }
        Ok(broker)
    }
}
