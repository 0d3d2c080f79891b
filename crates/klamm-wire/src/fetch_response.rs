//! The Fetch response with its records as slices, so that log bytes reach the socket without being joined.

use bytes::Bytes;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId,
};
use uuid::Uuid;

use crate::{ErrorCode, StrBytes};

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
