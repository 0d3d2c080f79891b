//! The image: everything that the metadata log says, at one offset of it.

mod cluster;
mod configs;
mod features;
pub mod quotas;
mod topics;

pub use cluster::{BrokerRegistration, ClusterImage, Endpoint};
pub use configs::{ConfigResource, ConfigResourceKind, ConfigsImage};
pub use features::{ELIGIBLE_LEADER_REPLICAS_VERSION, FeaturesImage, METADATA_VERSION, SHARE_VERSION};
pub use quotas::{ClientQuotasImage, QuotaEntity};
pub use topics::{
    DIRECTORY_LOST, DIRECTORY_MIGRATING, DIRECTORY_UNASSIGNED, LeaderRecoveryState, NO_LEADER,
    NO_LEADER_CHANGE, PartitionRegistration, TopicImage, TopicsImage, is_reserved_directory,
};

use std::sync::Arc;

use crate::delta::MetadataDelta;
use crate::record::{MetadataError, MetadataRecord};

/// Up to where in the log an image reaches (`MetadataProvenance`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provenance {
    /// The last offset that the image contains; -1 for an empty image.
    pub last_contained_offset: i64,
    /// The leader epoch of that offset; -1 for an empty image.
    pub last_contained_epoch: i32,
}

impl Default for Provenance {
    fn default() -> Self {
        Self { last_contained_offset: -1, last_contained_epoch: -1 }
    }
}

/// The next block of producer ids (`ProducerIdsImage`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducerIdsImage {
    /// The first producer id that no broker has been given.
    pub next_producer_id: i64,
}

/// The cluster's metadata at one offset of the log (`MetadataImage`).
///
/// A clone shares everything. [`MetadataImage::apply`] changes in place what nobody else holds and copies the path to
/// what somebody does: keep clones short-lived where records are applied often.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetadataImage {
    /// Up to where the image reaches.
    pub provenance: Provenance,
    /// Finalized features.
    pub features: Arc<FeaturesImage>,
    /// Registered brokers.
    pub cluster: Arc<ClusterImage>,
    /// Topics and their partitions.
    pub topics: Arc<TopicsImage>,
    /// Dynamic configuration.
    pub configs: Arc<ConfigsImage>,
    /// Client quotas.
    pub client_quotas: Arc<ClientQuotasImage>,
    /// Producer id blocks.
    pub producer_ids: ProducerIdsImage,
}

impl MetadataImage {
    /// Folds one record in and notes in `delta` what it changed. A record that does not fit (an unknown topic, a stale
    /// broker epoch) is an error and changes nothing: the log is not one that this cluster wrote.
    pub fn apply(&mut self, record: &MetadataRecord, delta: &mut MetadataDelta) -> Result<(), MetadataError> {
        match record {
            MetadataRecord::RegisterBroker(r) => {
                Arc::make_mut(&mut self.cluster).register(r, delta);
                Ok(())
            }
            MetadataRecord::UnregisterBroker(r) => Arc::make_mut(&mut self.cluster).unregister(r, delta),
            MetadataRecord::BrokerRegistrationChange(r) => Arc::make_mut(&mut self.cluster).change(r, delta),
            MetadataRecord::Topic(r) => Arc::make_mut(&mut self.topics).create_topic(r, delta),
            MetadataRecord::Partition(r) => Arc::make_mut(&mut self.topics).create_partition(r, delta),
            MetadataRecord::PartitionChange(r) => Arc::make_mut(&mut self.topics).change_partition(r, delta),
            MetadataRecord::RemoveTopic(r) => {
                let name = Arc::make_mut(&mut self.topics).remove_topic(r, delta)?;
                // Kafka's ConfigurationsDelta does the same: a topic's configuration dies with it, without records.
                Arc::make_mut(&mut self.configs).remove_topic(name, delta);
                Ok(())
            }
            MetadataRecord::ClearElr(r) => Arc::make_mut(&mut self.topics).clear_elr(r, delta),
            MetadataRecord::Config(r) => Arc::make_mut(&mut self.configs).apply(r, delta),
            MetadataRecord::ClientQuota(r) => {
                Arc::make_mut(&mut self.client_quotas).apply(r, delta);
                Ok(())
            }
            MetadataRecord::FeatureLevel(r) => {
                Arc::make_mut(&mut self.features).apply(r, delta);
                Ok(())
            }
            MetadataRecord::ProducerIds(r) => {
                self.producer_ids.next_producer_id = r.next_producer_id;
                delta.producer_ids = true;
                Ok(())
            }
            MetadataRecord::FenceBroker(r) => {
                Arc::make_mut(&mut self.cluster).set_fenced(r.id, r.epoch, true, delta)
            }
            MetadataRecord::UnfenceBroker(r) => {
                Arc::make_mut(&mut self.cluster).set_fenced(r.id, r.epoch, false, delta)
            }
            // Markers around a run of records (the publisher heeds them), and records whose state no node needs yet.
            _ => Ok(()),
        }
    }
}
