//! A node's own pace through the metadata log (`MetadataLoader`, `BrokerMetadataPublisher`).

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use klamm_node::NodeId;
use klamm_wire::record::batch::{BatchIter, RecordBatch};

use crate::delta::MetadataDelta;
use crate::image::{MetadataImage, Provenance};
use crate::record::{MetadataError, MetadataRecord};
use crate::snapshot::SnapshotId;

/// The most bytes that one batch may decompress to. Kafka's controller writes batches of at most 8 MiB.
const MAX_BATCH_BYTES: usize = 64 << 20;

/// Folds committed records into an image, in order, and hands out what changed when its node asks.
///
/// Records between a BeginTransactionRecord and its end are held back until the end, and dropped if it is an abort
/// (KIP-868).
#[derive(Debug, Clone, Default)]
pub struct MetadataPublisher {
    image: MetadataImage,
    delta: MetadataDelta,
    /// The records of the open metadata transaction.
    transaction: Option<Vec<MetadataRecord>>,
    next_offset: i64,
    register_offsets: BTreeMap<NodeId, i64>,
}

impl MetadataPublisher {
    /// A publisher that starts at the beginning of the log.
    pub fn new() -> Self {
        Self::default()
    }

    /// The image that every loaded record is part of.
    pub const fn image(&self) -> &MetadataImage {
        &self.image
    }

    /// The offset of the next record to load. A broker's lag behind the controller is counted from here.
    pub const fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Folds in the record at `offset`, written in leader epoch `epoch`. Offsets already loaded are skipped.
    pub fn load(&mut self, offset: i64, epoch: i32, record: MetadataRecord) -> Result<(), MetadataError> {
        if offset < self.next_offset {
            return Ok(());
        }
        if let MetadataRecord::RegisterBroker(registration) = &record {
            self.register_offsets.insert(NodeId(registration.broker_id), offset);
        }
        match (&mut self.transaction, record) {
            (None, MetadataRecord::BeginTransaction(_)) => self.transaction = Some(Vec::new()),
            (Some(_), MetadataRecord::EndTransaction(_)) => {
                for record in self.transaction.take().unwrap_or_default() {
                    self.image.apply(&record, &mut self.delta)?;
                }
            }
            (Some(_), MetadataRecord::AbortTransaction(_)) => self.transaction = None,
            (Some(held), record) => held.push(record),
            (None, record) => self.image.apply(&record, &mut self.delta)?,
        }
        self.skip(offset, epoch);
        Ok(())
    }

    /// Folds in every batch of `records` that lies wholly below `high_watermark`, as a fetch from the log brings them;
    /// what is not committed yet is left for another time, and offsets already loaded are skipped.
    pub fn load_records(&mut self, records: &[Bytes], high_watermark: i64) -> Result<(), MetadataError> {
        for batch in BatchIter::new(join(records)) {
            let batch = batch.map_err(|error| MetadataError::Malformed(error.to_string()))?;
            if batch.header.next_offset() > high_watermark {
                break;
            }
            self.load_batch(&batch)?;
        }
        Ok(())
    }

    /// Puts a snapshot's contents in the place of everything that was loaded.
    pub fn load_snapshot(&mut self, contents: &Bytes, id: SnapshotId) -> Result<(), MetadataError> {
        let mut fresh = Self::default();
        for batch in BatchIter::new(contents.clone()) {
            let batch = batch.map_err(|error| MetadataError::Malformed(error.to_string()))?;
            fresh.load_batch(&batch)?;
        }
        // The offsets of registrations lie before the snapshot's end; nobody knows better where.
        let last = id.end_offset - 1;
        fresh.register_offsets.values_mut().for_each(|offset| *offset = last);
        fresh.next_offset = id.end_offset;
        fresh.image.provenance = Provenance { last_contained_offset: last, last_contained_epoch: id.epoch };
        fresh.delta = MetadataDelta::between(&self.image, &fresh.image);
        *self = fresh;
        Ok(())
    }

    /// Folds in one batch.
    pub fn load_batch(&mut self, batch: &RecordBatch) -> Result<(), MetadataError> {
        let header = &batch.header;
        if header.last_offset() < self.next_offset {
            return Ok(());
        }
        let malformed = |error: &dyn std::fmt::Display| MetadataError::Malformed(error.to_string());
        if !header.is_control() {
            let records = batch.records(MAX_BATCH_BYTES).map_err(|error| malformed(&error))?;
            for record in &records {
                let record = record.map_err(|error| malformed(&error))?;
                let offset = header.base_offset + i64::from(record.offset_delta);
                let value = record.value.ok_or_else(|| malformed(&"a record without a value"))?;
                let value = records.bytes().slice_ref(value);
                let (record, _) = MetadataRecord::decode(&value).map_err(|error| malformed(&error))?;
                self.load(offset, header.partition_leader_epoch, record)?;
            }
        }
        self.skip(header.last_offset(), header.partition_leader_epoch);
        Ok(())
    }

    /// The offset of each broker's latest registration, of brokers since unregistered too.
    pub const fn register_offsets(&self) -> &BTreeMap<NodeId, i64> {
        &self.register_offsets
    }

    /// Whether the log ends within a metadata transaction.
    pub const fn has_open_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Ends the publisher; its image goes to whoever replays records itself.
    pub fn into_image(self) -> MetadataImage {
        self.image
    }

    /// Passes over an offset without a record of ours, such as a control record of the quorum.
    pub fn skip(&mut self, offset: i64, epoch: i32) {
        if offset >= self.next_offset {
            self.next_offset = offset + 1;
            self.image.provenance = Provenance { last_contained_offset: offset, last_contained_epoch: epoch };
        }
    }

    /// What changed since this was last called; `None` when nothing did.
    pub fn publish(&mut self) -> Option<MetadataDelta> {
        if self.delta.is_empty() { None } else { Some(std::mem::take(&mut self.delta)) }
    }
}

/// Slices of a log as one. They are small beside what they change, so joining them costs nothing that matters.
fn join(slices: &[Bytes]) -> Bytes {
    if let [only] = slices {
        return only.clone();
    }
    let mut joined = BytesMut::with_capacity(slices.iter().map(Bytes::len).sum());
    for slice in slices {
        joined.extend_from_slice(slice);
    }
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use klamm_wire::record::builder::BatchBuilder;
    use klamm_wire::record::control::{ControlType, control_batch};
    use klamm_wire::{StrBytes, Uuid};

    use super::*;
    use crate::image::ConfigResource;
    use crate::record::{
        AbortTransactionRecord, BeginTransactionRecord, ConfigRecord, EndTransactionRecord,
        FeatureLevelRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
    };

    const TOPIC: Uuid = Uuid::from_u128(1000);

    fn topic(name: &'static str, id: Uuid) -> MetadataRecord {
        TopicRecord { name: name.into(), topic_id: id }.into()
    }

    fn partition(partition_id: i32) -> MetadataRecord {
        PartitionRecord {
            partition_id,
            topic_id: TOPIC,
            replicas: vec![1, 2],
            isr: vec![1, 2],
            leader: 1,
            leader_epoch: 0,
            partition_epoch: 0,
            ..PartitionRecord::default()
        }
        .into()
    }

    fn change(leader: i32, isr: &[i32]) -> MetadataRecord {
        PartitionChangeRecord {
            partition_id: 0,
            topic_id: TOPIC,
            leader,
            isr: Some(isr.to_vec()),
            ..PartitionChangeRecord::default()
        }
        .into()
    }

    fn config(value: Option<&'static str>) -> MetadataRecord {
        ConfigRecord {
            resource_type: 2,
            resource_name: "t".into(),
            name: "retention.ms".into(),
            value: value.map(StrBytes::from_static_str),
        }
        .into()
    }

    fn batch(base_offset: i64, records: &[MetadataRecord]) -> RecordBatch {
        let mut builder = BatchBuilder::new();
        for record in records {
            let version = if matches!(record, MetadataRecord::PartitionChange(_)) { 2 } else { 0 };
            builder.push(0, None, Some(&record.encode(version).unwrap()), &[]);
        }
        builder.build().unwrap().stamped(base_offset, 1)
    }

    fn load_all(publisher: &mut MetadataPublisher, records: Vec<MetadataRecord>) {
        for record in records {
            publisher.load(publisher.next_offset(), 1, record).unwrap();
        }
    }

    #[test]
    fn a_delta_holds_what_was_before_and_the_image_what_is_now() {
        let mut publisher = MetadataPublisher::new();
        load_all(&mut publisher, vec![topic("t", TOPIC), partition(0), partition(1)]);
        let delta = publisher.publish().unwrap();
        assert!(delta.topics[&TOPIC].created);
        assert_eq!(delta.topics[&TOPIC].partitions.keys().copied().collect::<Vec<_>>(), [0, 1]);

        load_all(&mut publisher, vec![change(2, &[2]), change(-2, &[2, 1])]);
        let delta = publisher.publish().unwrap();
        let before = delta.topics[&TOPIC].partitions[&0].as_ref().unwrap();
        assert_eq!((before.leader, before.leader_epoch, before.partition_epoch), (NodeId(1), 0, 0));
        let now = publisher.image().topics.partition(TOPIC, 0).unwrap();
        assert_eq!((now.leader, now.leader_epoch, now.partition_epoch), (NodeId(2), 1, 2));
        assert_eq!(now.isr, [NodeId(2), NodeId(1)]);
        assert!(!delta.topics[&TOPIC].partitions.contains_key(&1));
        assert_eq!(publisher.publish(), None);
    }

    #[test]
    fn a_deleted_topic_takes_its_configuration_along() {
        let mut publisher = MetadataPublisher::new();
        load_all(&mut publisher, vec![topic("t", TOPIC), config(Some("1")), partition(0)]);
        publisher.publish();
        load_all(&mut publisher, vec![RemoveTopicRecord { topic_id: TOPIC }.into()]);
        let delta = publisher.publish().unwrap();
        assert_eq!(delta.topics[&TOPIC].removed.as_ref().unwrap().partitions.len(), 1);
        assert!(delta.configs.contains_key(&ConfigResource::topic("t")));
        assert!(publisher.image().topics.is_empty() && publisher.image().topics.by_name("t").is_none());
        assert_eq!(publisher.image().configs.iter().len(), 0);
    }

    #[test]
    fn a_transaction_counts_as_a_whole_or_not_at_all() {
        let begin = || MetadataRecord::from(BeginTransactionRecord::default());
        let mut publisher = MetadataPublisher::new();
        load_all(&mut publisher, vec![begin(), topic("t", TOPIC)]);
        assert!(publisher.has_open_transaction() && publisher.image().topics.is_empty());
        assert_eq!(publisher.publish(), None);
        load_all(&mut publisher, vec![EndTransactionRecord::default().into()]);
        assert!(publisher.image().topics.by_name("t").is_some());
        let other = Uuid::from_u128(1001);
        let abort = AbortTransactionRecord::default().into();
        load_all(&mut publisher, vec![begin(), topic("u", other), abort]);
        assert!(publisher.image().topics.by_name("u").is_none());
        assert_eq!(publisher.next_offset(), 6);
    }

    #[test]
    fn only_committed_batches_are_read_and_each_once() {
        let first = batch(0, &[topic("t", TOPIC)]);
        let control = control_batch(BatchBuilder::new(), 0, [(ControlType::LeaderChange, Bytes::new())]);
        let control = control.stamped(1, 2);
        let feature = FeatureLevelRecord { name: "metadata.version".into(), feature_level: 27 };
        let last = batch(2, &[feature.into(), config(Some("2"))]);
        let slices: Vec<Bytes> = [&first, &control, &last]
            .into_iter()
            .flat_map(|batch| [batch.head.clone(), batch.body.clone()])
            .collect();
        let mut publisher = MetadataPublisher::new();
        publisher.load_records(&slices, 3).unwrap();
        assert_eq!(publisher.next_offset(), 2);
        assert_eq!(publisher.image().provenance.last_contained_epoch, 2);
        assert_eq!(publisher.image().features.level("metadata.version"), 0);
        publisher.load_records(&slices, 4).unwrap();
        publisher.load_records(&slices, 4).unwrap();
        assert_eq!(publisher.next_offset(), 4);
        assert_eq!(publisher.image().features.level("metadata.version"), 27);
    }

    #[test]
    fn what_cannot_be_is_an_error_and_changes_nothing() {
        let mut publisher = MetadataPublisher::new();
        load_all(&mut publisher, vec![topic("t", TOPIC), partition(0)]);
        let before = publisher.image().clone();
        for record in [
            topic("t", Uuid::from_u128(5)),
            topic("u", TOPIC),
            partition(2),
            RemoveTopicRecord { topic_id: Uuid::from_u128(5) }.into(),
            PartitionChangeRecord { partition_id: 7, topic_id: TOPIC, ..PartitionChangeRecord::default() }
                .into(),
            ConfigRecord { resource_type: 77, ..ConfigRecord::default() }.into(),
        ] {
            assert!(publisher.load(2, 1, record).is_err());
            assert_eq!(publisher.image(), &before);
        }
        let garbage = [Bytes::from_static(&[0xff; 61])];
        assert!(publisher.load_records(&garbage, i64::MAX).is_err());
    }
}
