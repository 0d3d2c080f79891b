//! A member of a share group that asks and says what a subject has it ask and say.

use klamm_wire::Uuid;
use klamm_wire::messages::share_acknowledge_request::{
    self as acknowledge, AcknowledgePartition, AcknowledgeTopic,
};
use klamm_wire::messages::share_fetch_request::{self as fetch, FetchPartition, FetchTopic};
use klamm_wire::messages::{ShareAcknowledgeRequest, ShareFetchRequest};

use crate::Session;
use crate::session::{group, text};

pub(super) const GAP: i8 = 0;
pub(super) const ACCEPT: i8 = 1;
pub(super) const RELEASE: i8 = 2;
pub(super) const REJECT: i8 = 3;
pub(super) const RENEW: i8 = 4;

/// What is said of some records: first offset, last offset, types.
pub(super) type Said<'a> = (i64, i64, &'a [i8]);

/// A member of a share group, and its share session.
pub(super) struct Member {
    pub(super) group: &'static str,
    pub(super) id: &'static str,
    /// The version in which it speaks.
    pub(super) version: i16,
    pub(super) topic: Uuid,
    pub(super) epoch: i32,
}

impl Member {
    pub(super) const fn new(group: &'static str, id: &'static str, version: i16, topic: Uuid) -> Self {
        Self { group, id, version, topic, epoch: 0 }
    }

    /// A fetch of these partitions of the topic, each with what is said of its records.
    pub(super) fn fetching(&self, partitions: &[(i32, &[Said<'_>])]) -> ShareFetchRequest {
        let partitions = partitions.iter().map(|(partition, said)| {
            let batches = said.iter().map(|(first, last, types)| {
                fetch::AcknowledgementBatch::default()
                    .with_first_offset(*first)
                    .with_last_offset(*last)
                    .with_acknowledge_types(types.to_vec())
            });
            FetchPartition::default()
                .with_partition_index(*partition)
                .with_acknowledgement_batches(batches.collect())
        });
        let topics =
            vec![FetchTopic::default().with_topic_id(self.topic).with_partitions(partitions.collect())];
        ShareFetchRequest::default()
            .with_group_id(Some(group(self.group)))
            .with_member_id(Some(text(self.id)))
            .with_share_session_epoch(self.epoch)
            .with_max_wait_ms(300)
            .with_min_bytes(1)
            .with_max_bytes(1 << 20)
            .with_max_records(100)
            .with_batch_size(100)
            .with_topics(topics)
    }

    /// Fetches, and waits until there is something.
    pub(super) fn fetch(
        &mut self,
        s: &mut Session,
        label: &str,
        partitions: &[(i32, &[Said<'_>])],
    ) -> anyhow::Result<()> {
        let request = self.fetching(partitions).with_max_wait_ms(5_000);
        self.get(s, label, request)
    }

    /// Fetches where there is nothing to be had.
    pub(super) fn nothing(
        &mut self,
        s: &mut Session,
        label: &str,
        partitions: &[(i32, &[Said<'_>])],
    ) -> anyhow::Result<()> {
        let request = self.fetching(partitions);
        self.get(s, label, request)
    }

    pub(super) fn get(
        &mut self,
        s: &mut Session,
        label: &str,
        request: ShareFetchRequest,
    ) -> anyhow::Result<()> {
        self.next(s.at(label, self.version, request)?.is_some_and(|answer| answer.error_code == 0));
        Ok(())
    }

    pub(super) fn saying(&self, topic: Uuid, partition: i32, said: &[Said<'_>]) -> ShareAcknowledgeRequest {
        let batches = said.iter().map(|(first, last, types)| {
            acknowledge::AcknowledgementBatch::default()
                .with_first_offset(*first)
                .with_last_offset(*last)
                .with_acknowledge_types(types.to_vec())
        });
        let partition = AcknowledgePartition::default()
            .with_partition_index(partition)
            .with_acknowledgement_batches(batches.collect());
        let topic = AcknowledgeTopic::default().with_topic_id(topic).with_partitions(vec![partition]);
        ShareAcknowledgeRequest::default()
            .with_group_id(Some(group(self.group)))
            .with_member_id(Some(text(self.id)))
            .with_share_session_epoch(self.epoch)
            .with_topics(vec![topic])
    }

    /// Says something of records of partition 0.
    pub(super) fn say(&mut self, s: &mut Session, label: &str, said: &[Said<'_>]) -> anyhow::Result<()> {
        let request = self.saying(self.topic, 0, said);
        self.send(s, label, request)
    }

    pub(super) fn send(
        &mut self,
        s: &mut Session,
        label: &str,
        request: ShareAcknowledgeRequest,
    ) -> anyhow::Result<()> {
        self.next(s.at(label, self.version, request)?.is_some_and(|answer| answer.error_code == 0));
        Ok(())
    }

    /// The session's epoch moves with every request that it took.
    pub(super) const fn next(&mut self, taken: bool) {
        if taken {
            self.epoch += 1;
        }
    }
}
