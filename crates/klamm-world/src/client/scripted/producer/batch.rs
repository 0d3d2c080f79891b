//! One batch on its way (`ProducerBatch`).

use std::sync::Arc;

use klamm_node::{NodeId, Timestamp, TopicPartition};
use klamm_wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use klamm_wire::messages::{ProduceRequest, TopicName};
use klamm_wire::record::builder::BatchBuilder;
use klamm_wire::{Request, Uuid};

use crate::client::scripted::op::{NewRecord, OpId};

/// Producer id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) id: i64,
    pub(super) epoch: i16,
}

#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) op: OpId,
    pub(super) records: Arc<[NewRecord]>,
    /// The wall clock when it was made, for records without a time of their own.
    pub(super) wall: i64,
    /// The broker it was addressed to.
    pub(super) to: Option<NodeId>,
    /// When it was asked for, and when its partition was found in the metadata: from then on `delivery.timeout.ms` runs.
    pub(super) asked_at: Timestamp,
    pub(super) created_at: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) last_attempt_at: Timestamp,
    /// The wait before the next attempt, drawn when the last one failed.
    pub(super) not_before: Timestamp,
    /// It was sent, and put back into the queue.
    pub(super) in_retry: bool,
    /// Identity and base sequence, once it was sent by an idempotent producer.
    pub(super) sequence: Option<(Identity, i32)>,
    /// Its sequence was given anew after it had been sent (`sequenceHasBeenReset`).
    pub(super) sequence_was_reset: bool,
    /// The newest leader epoch that it saw, and after how many attempts (KIP-951's skipped backoff).
    pub(super) leader_epoch: i32,
    pub(super) attempts_at_leader_change: u32,
    /// Some attempt may have appended it although no acknowledgement came.
    pub(super) maybe_appended: bool,
    /// Its operation has ended while a request with it is still under way.
    pub(super) done: bool,
}

impl Batch {
    pub(super) fn len(&self) -> i32 {
        i32::try_from(self.records.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn last_sequence(&self) -> Option<i32> {
        let (_, base) = self.sequence?;
        Some(increment(base, self.len() - 1))
    }

    /// Notes the leader's epoch as metadata has it (`maybeUpdateLeaderEpoch`).
    pub(super) const fn saw_leader_epoch(&mut self, epoch: i32) {
        if epoch > self.leader_epoch {
            self.leader_epoch = epoch;
            self.attempts_at_leader_change = self.attempts;
        }
    }

    /// Whether the leader changed since the last attempt, so that there is no reason to wait.
    pub(super) const fn has_new_leader(&self) -> bool {
        self.attempts > 0 && self.attempts == self.attempts_at_leader_change
    }

    /// The first record's time, in milliseconds.
    pub(super) fn timestamp(&self) -> i64 {
        self.records.first().and_then(|record| record.timestamp).unwrap_or(self.wall)
    }

    /// The Produce request that carries it.
    pub(super) fn request(
        &self,
        partition: &TopicPartition,
        topic_id: Uuid,
        version: i16,
        acks: i16,
        timeout_ms: i32,
    ) -> Request {
        let mut builder = BatchBuilder::new();
        if let Some((Identity { id, epoch }, sequence)) = self.sequence {
            builder = builder.producer(id, epoch, sequence);
        }
        for record in &*self.records {
            let timestamp = record.timestamp.unwrap_or(self.wall);
            builder.push(timestamp, record.key.as_deref(), record.value.as_deref(), &[]);
        }
        let records = builder.build().expect("uncompressed batches always build").to_bytes();
        let data =
            PartitionProduceData::default().with_index(partition.partition).with_records(Some(records));
        let topic = TopicProduceData::default().with_partition_data(vec![data]);
        let topic = if version >= 13 {
            topic.with_topic_id(topic_id)
        } else {
            topic.with_name(TopicName(partition.topic.clone()))
        };
        let request = ProduceRequest::default()
            .with_transactional_id(None)
            .with_acks(acks)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(vec![topic]);
        Request::Produce(request)
    }
}

/// `sequence` and `count` more; sequences wrap from `i32::MAX` to 0 (`DefaultRecordBatch.incrementSequence`).
pub(super) const fn increment(sequence: i32, count: i32) -> i32 {
    ((sequence as i64 + count as i64) % (i32::MAX as i64 + 1)) as i32
}
