//! The Fetch response with its records as slices, so that log bytes reach the socket without being joined.

mod size;

pub use size::FetchSize;

use crate::messages::BrokerId;
use crate::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId,
};
use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::api::{put_response_header, seal};
use crate::record::varint::write_unsigned;
use crate::{ApiKey, ErrorCode, StrBytes};

/// A Fetch response (API key 1). Fields as in Kafka's `FetchResponse.json`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchResponse {
    /// How long the request was throttled, in milliseconds.
    pub throttle_time_ms: i32,
    /// The top-level error (version 7 and later).
    pub error_code: ErrorCode,
    /// The fetch session, 0 when there is none.
    pub session_id: i32,
    /// One entry a topic.
    pub topics: Vec<FetchTopic>,
    /// Endpoints of the leaders named in `current_leader` (version 16 and later).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The partitions of one topic in a Fetch response.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FetchTopic {
    /// The topic's name (up to version 12).
    pub topic: StrBytes,
    /// The topic's id (version 13 and later).
    pub topic_id: Uuid,
    /// One entry a partition.
    pub partitions: Vec<FetchPartition>,
}

/// What one partition answers to a Fetch.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchPartition {
    /// The partition's index.
    pub partition: i32,
    /// The partition's error.
    pub error_code: ErrorCode,
    /// First offset that is not yet committed; -1 when unknown.
    pub high_watermark: i64,
    /// First offset of an open transaction, or the high watermark; -1 when unknown.
    pub last_stable_offset: i64,
    /// First offset of the log; -1 when unknown.
    pub log_start_offset: i64,
    /// Where the fetcher's log leaves the leader's (KIP-595).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// The leader, when the asked replica is not (KIP-951).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// The snapshot to fetch instead (KIP-630).
    pub snapshot_id: Option<SnapshotId>,
    /// Aborted transactions within the returned records; `None` for read_uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The replica that a consumer should read from instead; -1 for none (KIP-392).
    pub preferred_read_replica: BrokerId,
    /// The records: consecutive slices that together are whole batches (the last may be cut for old versions).
    pub records: Vec<Bytes>,
}

impl FetchPartition {
    /// An answer without records.
    pub const fn error(partition: i32, error_code: ErrorCode) -> Self {
        Self {
            partition,
            error_code,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: BrokerId(-1),
            records: Vec::new(),
        }
    }

    /// The size of the records, in bytes.
    pub fn records_len(&self) -> usize {
        self.records.iter().map(Bytes::len).sum()
    }
}

impl FetchResponse {
    /// The whole frame, its length included, in `version` (4 to 18): slices to be written one after another, among them
    /// the records as they are. Fields that the version cannot carry are left out.
    pub fn encode_frame(&self, version: i16, correlation_id: i32) -> Vec<Bytes> {
        let mut out = Encoder { buffer: BytesMut::with_capacity(128), shared: Vec::new(), version };
        put_response_header(&mut out.buffer, ApiKey::Fetch, version, correlation_id);
        out.response(self);
        out.finish()
    }
}

/// The first version with tagged fields.
const FIRST_FLEXIBLE: i16 = 12;

/// Writes fields into a buffer, and remembers where in it records go between.
struct Encoder {
    buffer: BytesMut,
    shared: Vec<(usize, Bytes)>,
    version: i16,
}

impl Encoder {
    const fn flexible(&self) -> bool {
        self.version >= FIRST_FLEXIBLE
    }

    fn response(&mut self, response: &FetchResponse) {
        self.buffer.put_i32(response.throttle_time_ms);
        if self.version >= 7 {
            self.buffer.put_i16(response.error_code.code());
            self.buffer.put_i32(response.session_id);
        }
        self.len(response.topics.len());
        for topic in &response.topics {
            self.topic(topic);
        }
        if self.version >= 16 && !response.node_endpoints.is_empty() {
            let mut endpoints = Self { buffer: BytesMut::new(), shared: Vec::new(), version: self.version };
            endpoints.len(response.node_endpoints.len());
            for endpoint in &response.node_endpoints {
                endpoints.node_endpoint(endpoint);
            }
            self.buffer.put_u8(1);
            self.tag(0, &endpoints.buffer);
        } else {
            self.no_tags();
        }
    }

    fn node_endpoint(&mut self, endpoint: &NodeEndpoint) {
        self.buffer.put_i32(endpoint.node_id.0);
        self.string(Some(&endpoint.host));
        self.buffer.put_i32(endpoint.port);
        self.string(endpoint.rack.as_ref());
        self.no_tags();
    }

    fn topic(&mut self, topic: &FetchTopic) {
        if self.version >= 13 {
            self.buffer.put_slice(topic.topic_id.as_bytes());
        } else {
            self.string(Some(&topic.topic));
        }
        self.len(topic.partitions.len());
        for partition in &topic.partitions {
            self.partition(partition);
        }
        self.no_tags();
    }

    fn partition(&mut self, partition: &FetchPartition) {
        let buffer = &mut self.buffer;
        buffer.put_i32(partition.partition);
        buffer.put_i16(partition.error_code.code());
        buffer.put_i64(partition.high_watermark);
        buffer.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            buffer.put_i64(partition.log_start_offset);
        }
        self.aborted_transactions(partition.aborted_transactions.as_deref());
        if self.version >= 11 {
            self.buffer.put_i32(partition.preferred_read_replica.0);
        }
        self.len(partition.records_len());
        self.share(&partition.records);
        if self.flexible() {
            self.partition_tags(partition);
        }
    }

    fn aborted_transactions(&mut self, transactions: Option<&[AbortedTransaction]>) {
        match transactions {
            Some(transactions) => self.len(transactions.len()),
            None if self.flexible() => self.buffer.put_u8(0),
            None => self.buffer.put_i32(-1),
        }
        for transaction in transactions.unwrap_or_default() {
            self.buffer.put_i64(transaction.producer_id.0);
            self.buffer.put_i64(transaction.first_offset);
            self.no_tags();
        }
    }

    fn partition_tags(&mut self, partition: &FetchPartition) {
        let FetchPartition { diverging_epoch, current_leader, snapshot_id, .. } = partition;
        // A tagged struct that equals its default is left out, as Kafka leaves it out.
        let diverging_epoch = diverging_epoch.as_ref().filter(|epoch| **epoch != EpochEndOffset::default());
        let current_leader = current_leader.as_ref().filter(|leader| **leader != LeaderIdAndEpoch::default());
        let snapshot_id = snapshot_id.as_ref().filter(|id| **id != SnapshotId::default());
        let count = u8::from(diverging_epoch.is_some())
            + u8::from(current_leader.is_some())
            + u8::from(snapshot_id.is_some());
        self.buffer.put_u8(count);
        let mut field = BytesMut::new();
        if let Some(epoch) = diverging_epoch {
            field.put_i32(epoch.epoch);
            field.put_i64(epoch.end_offset);
            field.put_u8(0);
            self.tag(0, &field);
        }
        if let Some(leader) = current_leader {
            field.clear();
            field.put_i32(leader.leader_id.0);
            field.put_i32(leader.leader_epoch);
            field.put_u8(0);
            self.tag(1, &field);
        }
        if let Some(id) = snapshot_id {
            field.clear();
            field.put_i64(id.end_offset);
            field.put_i32(id.epoch);
            field.put_u8(0);
            self.tag(2, &field);
        }
    }

    fn tag(&mut self, tag: u32, field: &[u8]) {
        write_unsigned(&mut self.buffer, tag);
        write_unsigned(&mut self.buffer, field.len() as u32);
        self.buffer.put_slice(field);
    }

    fn no_tags(&mut self) {
        if self.flexible() {
            self.buffer.put_u8(0);
        }
    }

    /// A count, or a length of bytes.
    fn len(&mut self, len: usize) {
        if self.flexible() {
            write_unsigned(&mut self.buffer, len as u32 + 1);
        } else {
            self.buffer.put_i32(len as i32);
        }
    }

    fn string(&mut self, text: Option<&StrBytes>) {
        match text {
            Some(text) if self.flexible() => write_unsigned(&mut self.buffer, text.len() as u32 + 1),
            Some(text) => self.buffer.put_i16(text.len() as i16),
            None if self.flexible() => self.buffer.put_u8(0),
            None => self.buffer.put_i16(-1),
        }
        self.buffer.put_slice(text.map_or(&[], |text| text.as_bytes()));
    }

    /// Puts shared bytes behind what is written so far.
    fn share(&mut self, slices: &[Bytes]) {
        let at = self.buffer.len();
        self.shared.extend(slices.iter().filter(|slice| !slice.is_empty()).map(|slice| (at, slice.clone())));
    }

    fn finish(self) -> Vec<Bytes> {
        let Self { buffer, shared, .. } = self;
        let written = seal(buffer, shared.iter().map(|(_, slice)| slice.len()).sum());
        let mut segments = Vec::with_capacity(2 * shared.len() + 1);
        let mut from = 0;
        for (at, slice) in shared {
            if at > from {
                segments.push(written.slice(from..at));
                from = at;
            }
            segments.push(slice);
        }
        if from < written.len() {
            segments.push(written.slice(from..));
        }
        segments
    }
}

#[cfg(test)]
mod tests {
    use crate::messages::fetch_response::{FetchableTopicResponse, PartitionData};
    use crate::messages::{FetchResponse as Theirs, ProducerId};
    use kafka_protocol::protocol::Encodable;

    use super::*;

    fn sample(version: i16) -> FetchResponse {
        let rich = FetchPartition {
            partition: 3,
            error_code: ErrorCode::None,
            high_watermark: 1 << 40,
            last_stable_offset: 7,
            log_start_offset: 2,
            diverging_epoch: Some(EpochEndOffset::default().with_epoch(4).with_end_offset(99)),
            current_leader: Some(
                LeaderIdAndEpoch::default().with_leader_id(BrokerId(2)).with_leader_epoch(8),
            ),
            snapshot_id: Some(SnapshotId::default().with_end_offset(5).with_epoch(6)),
            aborted_transactions: Some(vec![
                AbortedTransaction::default()
                    .with_producer_id(ProducerId(9))
                    .with_first_offset(1);
                2
            ]),
            preferred_read_replica: BrokerId(if version >= 11 { 3 } else { -1 }),
            records: vec![Bytes::from_static(b"first"), Bytes::new(), Bytes::from(vec![7; 300])],
        };
        let plain = FetchPartition::error(0, ErrorCode::NotLeaderOrFollower);
        let default_tags = FetchPartition {
            diverging_epoch: Some(EpochEndOffset::default()),
            records: vec![Bytes::from_static(b"x")],
            ..FetchPartition::error(1, ErrorCode::None)
        };
        let topic = |partitions| FetchTopic {
            topic: StrBytes::from_static_str(if version >= 13 { "" } else { "orders" }),
            topic_id: if version >= 13 { Uuid::from_u128(42) } else { Uuid::nil() },
            partitions,
        };
        let endpoint = |rack| {
            NodeEndpoint::default()
                .with_node_id(BrokerId(1))
                .with_host(StrBytes::from_static_str("localhost"))
                .with_port(9092)
                .with_rack(rack)
        };
        let endpoints = vec![endpoint(None), endpoint(Some(StrBytes::from_static_str("a")))];
        FetchResponse {
            throttle_time_ms: 5,
            error_code: if version >= 7 { ErrorCode::FetchSessionIdNotFound } else { ErrorCode::None },
            session_id: if version >= 7 { 1234 } else { 0 },
            topics: vec![topic(vec![rich, plain]), topic(vec![default_tags]), topic(vec![])],
            node_endpoints: if version >= 16 { endpoints } else { vec![] },
        }
    }

    fn theirs(response: &FetchResponse) -> Theirs {
        let partition = |p: &FetchPartition| {
            PartitionData::default()
                .with_partition_index(p.partition)
                .with_error_code(p.error_code.code())
                .with_high_watermark(p.high_watermark)
                .with_last_stable_offset(p.last_stable_offset)
                .with_log_start_offset(p.log_start_offset)
                .with_diverging_epoch(p.diverging_epoch.clone().unwrap_or_default())
                .with_current_leader(p.current_leader.clone().unwrap_or_default())
                .with_snapshot_id(p.snapshot_id.clone().unwrap_or_default())
                .with_aborted_transactions(p.aborted_transactions.clone())
                .with_preferred_read_replica(p.preferred_read_replica)
                .with_records(Some(p.records.concat().into()))
        };
        let topic = |t: &FetchTopic| {
            FetchableTopicResponse::default()
                .with_topic(t.topic.clone().into())
                .with_topic_id(t.topic_id)
                .with_partitions(t.partitions.iter().map(partition).collect())
        };
        Theirs::default()
            .with_throttle_time_ms(response.throttle_time_ms)
            .with_error_code(response.error_code.code())
            .with_session_id(response.session_id)
            .with_responses(response.topics.iter().map(topic).collect())
            .with_node_endpoints(response.node_endpoints.clone())
    }

    #[test]
    fn every_version_is_what_kafka_protocol_writes() {
        for version in 4..=18 {
            for response in [sample(version), FetchResponse::default()] {
                let mut expected = BytesMut::new();
                expected.put_i32(0);
                expected.put_i32(-9);
                if version >= 12 {
                    expected.put_u8(0);
                }
                theirs(&response).encode(&mut expected, version).unwrap();
                let len = expected.len() as u32 - 4;
                expected[..4].copy_from_slice(&len.to_be_bytes());
                let ours = response.encode_frame(version, -9).concat();
                assert_eq!(ours, expected, "v{version}");
            }
        }
    }

    #[test]
    fn a_size_is_counted_as_it_is_written() {
        for version in 4..=18 {
            let mut large = sample(version);
            large.topics.extend_from_within(..);
            large.topics[0].partitions = vec![large.topics[0].partitions[0].clone(); 200];
            for response in [sample(version), FetchResponse::default(), large] {
                // Without the correlation id, and in flexible versions the tags behind it.
                let header = if version >= FIRST_FLEXIBLE { 5 } else { 4 };
                let written = response.encode_frame(version, 0).iter().map(Bytes::len).sum::<usize>();
                assert_eq!(response.size(version), written - header, "v{version}");
            }
        }
    }

    #[test]
    fn records_are_shared_and_not_copied() {
        let response = sample(18);
        let records = &response.topics[0].partitions[0].records[2];
        let frame = response.encode_frame(18, 1);
        assert!(frame.iter().any(|segment| segment.as_ptr() == records.as_ptr()));
        assert!(frame.iter().all(|segment| !segment.is_empty()));
    }
}
