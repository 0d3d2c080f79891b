//! Snapshots of the metadata (KIP-630): an image as the records that make it, in a file of batches between a header and
//! a footer (`RecordsSnapshotWriter`, `ImageWriter`).

use bytes::{BufMut, Bytes, BytesMut};
use klamm_wire::record::batch::{BatchIter, RecordBatch};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::record::control::{ControlType, control_batch};
use klamm_wire::{StrBytes, Uuid};

use crate::image::{BrokerRegistration, MetadataImage, PartitionRegistration};
use crate::record::{
    BrokerEndpoint, BrokerFeature, ConfigRecord, FeatureLevelRecord, MetadataError, MetadataRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord, version_of,
};

/// What a snapshot's file name ends with.
const SUFFIX: &str = ".checkpoint";
/// What the name of one ends with that is about to be removed.
pub const DELETED: &str = ".checkpoint.deleted";
/// The most records of one batch (`RaftSnapshotWriter.MAX_BATCH_SIZE`).
const BATCH: usize = 1024;

/// Which snapshot: where it ends, and the epoch of the last record in it (`OffsetAndEpoch`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    /// The offset after the last record in it.
    pub end_offset: i64,
    /// The epoch of that record.
    pub epoch: i32,
}

impl Ord for SnapshotId {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.epoch, self.end_offset).cmp(&(other.epoch, other.end_offset))
    }
}

impl PartialOrd for SnapshotId {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl SnapshotId {
    /// The snapshot that an image would make; `None` for an empty one.
    pub const fn of(image: &MetadataImage) -> Option<Self> {
        let provenance = image.provenance;
        if provenance.last_contained_offset < 0 {
            return None;
        }
        Some(Self {
            end_offset: provenance.last_contained_offset + 1,
            epoch: provenance.last_contained_epoch,
        })
    }

    /// The file's name: `00000000000000000042-0000000003.checkpoint`.
    pub fn file_name(self) -> String {
        format!("{:020}-{:010}{SUFFIX}", self.end_offset, self.epoch)
    }

    /// The snapshot of a file with this name.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let (offset, epoch) = name.strip_suffix(SUFFIX)?.split_once('-')?;
        if offset.len() != 20 || epoch.len() != 10 {
            return None;
        }
        Some(Self { end_offset: offset.parse().ok()?, epoch: epoch.parse().ok()? })
    }
}

/// An image as the contents of a snapshot's file. `timestamp_ms` is the wall time of the last record in it.
///
/// # Errors
/// When a record does not fit its schema.
pub fn write(image: &MetadataImage, timestamp_ms: i64) -> Result<Bytes, MetadataError> {
    let malformed =
        |error: klamm_wire::internal::codec::SchemaError| MetadataError::Malformed(error.to_string());
    let epoch = image.provenance.last_contained_epoch;
    let mut out = BytesMut::new();
    let mut offset = 0;
    let mut put = |batch: RecordBatch| {
        let batch = batch.stamped(offset, epoch);
        offset = batch.header.next_offset();
        out.extend_from_slice(&batch.to_bytes());
    };
    // SnapshotHeaderRecord version 0: version, timestamp of the last record contained, tagged fields.
    let mut header = BytesMut::new();
    header.put_i16(0);
    header.put_i64(timestamp_ms);
    header.put_u8(0);
    let header = [(ControlType::SnapshotHeader, header.freeze())];
    put(control_batch(BatchBuilder::new(), timestamp_ms, header));
    for chunk in records(image).chunks(BATCH) {
        let mut builder = BatchBuilder::new();
        for record in chunk {
            let value = record.encode(version_of(record)).map_err(malformed)?;
            builder.push(timestamp_ms, None, Some(&value), &[]);
        }
        put(builder.build().map_err(|error| MetadataError::Malformed(error.to_string()))?);
    }
    // SnapshotFooterRecord version 0: version, tagged fields.
    let footer = [(ControlType::SnapshotFooter, Bytes::from_static(&[0, 0, 0]))];
    put(control_batch(BatchBuilder::new(), timestamp_ms, footer));
    Ok(out.freeze())
}

/// The wall time of the last record contained, from a snapshot's header, in milliseconds.
pub fn last_timestamp(contents: &[u8]) -> Option<i64> {
    let first = BatchIter::new(Bytes::copy_from_slice(contents)).next()?.ok()?;
    let records = first.records(1 << 20).ok()?;
    let header = (&records).into_iter().next()?.ok()?;
    let value = header.value?;
    Some(i64::from_be_bytes(value.get(2..10)?.try_into().ok()?))
}

/// The records that make an image, in the order in which Kafka writes them: features first, for they say how to read
/// the rest.
pub fn records(image: &MetadataImage) -> Vec<MetadataRecord> {
    let mut out: Vec<MetadataRecord> = Vec::new();
    let feature = |(name, level): (&StrBytes, i16)| {
        MetadataRecord::from(FeatureLevelRecord { name: name.clone(), feature_level: level })
    };
    let is_version = |entry: &(&StrBytes, i16)| &**entry.0 == crate::features::METADATA_VERSION;
    out.extend(image.features.iter().filter(is_version).map(feature));
    out.extend(image.features.iter().filter(|entry| !is_version(entry)).map(feature));
    out.extend(image.cluster.brokers().map(|broker| registration(broker).into()));
    for topic in image.topics.iter() {
        out.push(TopicRecord { name: topic.name.clone(), topic_id: topic.id }.into());
        out.extend(topic.iter().map(|(index, p)| partition(topic.id, index, p).into()));
    }
    for (resource, keys) in image.configs.iter() {
        for (name, value) in keys {
            let record = ConfigRecord {
                resource_type: resource.kind.code(),
                resource_name: resource.name.clone(),
                name: name.clone(),
                value: Some(value.clone()),
            };
            out.push(record.into());
        }
    }
    out.extend(image.client_quotas.records().map(MetadataRecord::from));
    if image.producer_ids.next_producer_id > 0 {
        let next = image.producer_ids.next_producer_id;
        let record = ProducerIdsRecord { broker_id: -1, broker_epoch: -1, next_producer_id: next };
        out.push(record.into());
    }
    out
}

fn registration(broker: &BrokerRegistration) -> RegisterBrokerRecord {
    RegisterBrokerRecord {
        broker_id: broker.id.0,
        incarnation_id: broker.incarnation_id,
        broker_epoch: broker.epoch,
        end_points: broker
            .endpoints
            .iter()
            .map(|endpoint| BrokerEndpoint {
                name: endpoint.name.clone(),
                host: endpoint.host.clone(),
                port: endpoint.port,
                security_protocol: endpoint.security_protocol,
            })
            .collect(),
        features: broker
            .features
            .iter()
            .map(|(name, (min, max))| BrokerFeature {
                name: name.clone(),
                min_supported_version: *min,
                max_supported_version: *max,
            })
            .collect(),
        rack: broker.rack.clone(),
        fenced: broker.fenced,
        in_controlled_shutdown: broker.in_controlled_shutdown,
        log_dirs: broker.log_dirs.clone(),
        ..RegisterBrokerRecord::default()
    }
}

fn partition(topic_id: Uuid, partition_id: i32, p: &PartitionRegistration) -> PartitionRecord {
    let ids = |list: &[klamm_node::NodeId]| -> Vec<i32> { list.iter().map(|id| id.0).collect() };
    let some = |list: &[klamm_node::NodeId]| if list.is_empty() { None } else { Some(ids(list)) };
    PartitionRecord {
        partition_id,
        topic_id,
        replicas: ids(&p.replicas),
        isr: ids(&p.isr),
        removing_replicas: ids(&p.removing_replicas),
        adding_replicas: ids(&p.adding_replicas),
        leader: p.leader.0,
        leader_recovery_state: p.leader_recovery_state.code(),
        leader_epoch: p.leader_epoch,
        partition_epoch: p.partition_epoch,
        directories: p.directories.clone(),
        eligible_leader_replicas: some(&p.elr),
        last_known_elr: some(&p.last_known_elr),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        let id = SnapshotId { end_offset: 42, epoch: 3 };
        assert_eq!(id.file_name(), "00000000000000000042-0000000003.checkpoint");
        assert_eq!(SnapshotId::from_file_name(&id.file_name()), Some(id));
        for other in ["leader-epoch-checkpoint", "42-3.checkpoint", "00000000000000000042.log"] {
            assert_eq!(SnapshotId::from_file_name(other), None, "{other}");
        }
        assert!(SnapshotId { end_offset: 9, epoch: 4 } > id);
    }
}
