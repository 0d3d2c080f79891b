//! A replica's log as it lies on this broker's disk, record by record: for those who look at a cluster from outside it.

use bytes::Bytes;
use klamm_log::{EpochEntry, FetchIsolation};
use klamm_node::TopicPartition;
use klamm_wire::StrBytes;
use klamm_wire::record::batch::BatchIter;
use klamm_wire::record::inspect::DECOMPRESSED_LIMIT;

use crate::broker::Broker;

/// How many bytes one read of the log asks for.
const CHUNK: usize = 1 << 20;

/// A replica's log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredLog {
    /// Every record that can be read, in order of offsets. It ends where the log cannot be read.
    pub records: Vec<StoredRecord>,
    /// The leader-epoch cache.
    pub epochs: Vec<EpochEntry>,
}

/// A record in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its offset.
    pub offset: i64,
    /// The leader epoch that its batch is stamped with.
    pub leader_epoch: i32,
    /// The producer's id; -1 for none.
    pub producer_id: i64,
    /// Whether it is a control record (a transaction's marker).
    pub control: bool,
    /// The key, if there is one.
    pub key: Option<Bytes>,
    /// The value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

impl Broker {
    /// The whole log of a partition that this broker holds; `None` when it holds none such. It reads and decodes every
    /// record: for a person or a check, not for the road of a request.
    pub fn stored_log(&self, topic: &str, partition: i32) -> Option<StoredLog> {
        let name = TopicPartition::new(StrBytes::from_string(topic.to_owned()), partition);
        let log = &self.core.replicas.by_name(&name)?.log;
        let mut stored = StoredLog { records: Vec::new(), epochs: log.leader_epochs().entries().to_vec() };
        let mut offset = log.log_start_offset();
        while offset < log.log_end_offset() {
            let read = log.read(&*self.core.disk, offset, CHUNK, FetchIsolation::LogEnd, true);
            let Ok(read) = read else { break };
            let from = offset;
            for batch in BatchIter::new(read.records.concat().into()) {
                let Ok(batch) = batch else { return Some(stored) };
                offset = batch.header.next_offset();
                let Ok(records) = batch.records(DECOMPRESSED_LIMIT) else { return Some(stored) };
                for record in &records {
                    let Ok(record) = record else { return Some(stored) };
                    let at = batch.header.base_offset + i64::from(record.offset_delta);
                    if at < log.log_start_offset() {
                        continue;
                    }
                    stored.records.push(StoredRecord {
                        offset: at,
                        leader_epoch: batch.header.partition_leader_epoch,
                        producer_id: batch.header.producer_id,
                        control: batch.header.is_control(),
                        key: record.key.map(|key| records.bytes().slice_ref(key)),
                        value: record.value.map(|value| records.bytes().slice_ref(value)),
                    });
                }
            }
            if offset == from {
                break;
            }
        }
        Some(stored)
    }
}
