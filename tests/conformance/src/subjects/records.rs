//! Batches to send, good and bad.

use bytes::{Bytes, BytesMut};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{ProduceRequest, ProduceResponse};
use klamm_wire::{BatchBuilder, RecordBatch, Uuid};

use crate::Session;
use crate::session::topic;

/// A time long ago.
pub(super) const THEN: i64 = 1_600_000_000_000;

/// `count` small records from [`THEN`] on, a second apart.
pub(super) fn batch(count: usize) -> RecordBatch {
    build(BatchBuilder::new(), count)
}

/// As [`batch`], from a builder that knows more.
pub(super) fn build(mut builder: BatchBuilder, count: usize) -> RecordBatch {
    for (index, timestamp) in (0..count).zip((THEN..).step_by(1000)) {
        let value = format!("value {index}");
        builder.push(timestamp, Some(b"key"), Some(value.as_bytes()), &[]);
    }
    builder.build().expect("the codecs are built in")
}

/// Changes bytes of a batch and gives it a right CRC again.
pub(super) fn patched(batch: &RecordBatch, at: usize, bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::from(&batch.to_bytes()[..]);
    out[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = klamm_wire::record::crc::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out.freeze()
}

/// Changes bytes of a batch and nothing else.
pub(super) fn damaged(batch: &RecordBatch, at: usize, bytes: &[u8]) -> Bytes {
    let mut out = BytesMut::from(&batch.to_bytes()[..]);
    out[at..at + bytes.len()].copy_from_slice(bytes);
    out.freeze()
}

/// Where to: a topic by name and by id.
#[derive(Debug, Clone, Copy)]
pub(super) struct To<'a>(pub(super) &'a str, pub(super) Uuid);

impl To<'_> {
    /// A request to one partition.
    pub(super) fn produce(
        self,
        version: i16,
        acks: i16,
        partition: i32,
        records: Option<Bytes>,
    ) -> ProduceRequest {
        self.partitions(version, acks, vec![(partition, records)])
    }

    /// A request to several partitions.
    pub(super) fn partitions(
        self,
        version: i16,
        acks: i16,
        data: Vec<(i32, Option<Bytes>)>,
    ) -> ProduceRequest {
        let data = data
            .into_iter()
            .map(|(index, records)| PartitionProduceData::default().with_index(index).with_records(records))
            .collect();
        let to = TopicProduceData::default().with_partition_data(data);
        let to = if version < 13 { to.with_name(topic(self.0)) } else { to.with_topic_id(self.1) };
        ProduceRequest::default().with_acks(acks).with_timeout_ms(10_000).with_topic_data(vec![to])
    }

    /// Sends a batch in the newest version and records the answer.
    pub(super) fn send(
        self,
        s: &mut Session,
        label: &str,
        records: Bytes,
    ) -> anyhow::Result<Option<ProduceResponse>> {
        s.at(label, 13, self.produce(13, -1, 0, Some(records)))
    }

    /// Sends a batch whose answer nobody looks at.
    pub(super) fn fill(self, s: &mut Session, partition: i32, records: Bytes) -> anyhow::Result<()> {
        s.quiet(13, &self.produce(13, -1, partition, Some(records))).map(drop)
    }
}
