//! How long a Fetch response is, counted without writing it.

use crate::messages::fetch_response::{EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId};
use uuid::Uuid;

use super::{FIRST_FLEXIBLE, FetchPartition, FetchResponse};
use crate::StrBytes;

/// Counts a Fetch response as quotas do (`FetchResponse.sizeOf`): without its header, but with the four bytes of a frame's length.
#[derive(Debug, Clone)]
pub struct FetchSize {
    version: i16,
    bytes: usize,
    topics: usize,
    /// How many partitions the last topic has.
    partitions: usize,
}

impl FetchSize {
    /// Nothing yet, in `version`.
    pub const fn new(version: i16) -> Self {
        Self { version, bytes: 0, topics: 0, partitions: 0 }
    }

    /// Begins a topic.
    pub fn topic(&mut self, topic: &StrBytes) {
        self.end_topic();
        self.topics += 1;
        self.bytes += if self.version >= 13 { size_of::<Uuid>() } else { self.string(Some(topic)) };
    }

    /// Adds a partition to the topic begun last.
    pub fn partition(&mut self, partition: &FetchPartition) {
        self.partitions += 1;
        // Index, error, high watermark and last stable offset.
        self.bytes += 4 + 2 + 8 + 8;
        // The log's start and the preferred replica.
        self.bytes += if self.version >= 5 { 8 } else { 0 } + if self.version >= 11 { 4 } else { 0 };
        self.bytes += match &partition.aborted_transactions {
            Some(aborted) => self.count(aborted.len()) + aborted.len() * (16 + self.no_tags()),
            None if self.is_flexible() => 1,
            None => 4,
        };
        let records = partition.records_len();
        self.bytes += self.count(records) + records;
        if self.is_flexible() {
            self.bytes += partition_tags(partition);
        }
    }

    /// The whole size, with the endpoints of leaders.
    pub fn finish(mut self, endpoints: &[NodeEndpoint]) -> usize {
        self.end_topic();
        // The frame's length and the throttle time; then error and session.
        let head = 4 + 4 + if self.version >= 7 { 2 + 4 } else { 0 } + self.count(self.topics);
        let tags = if self.version >= 16 && !endpoints.is_empty() {
            let each = |endpoint: &NodeEndpoint| {
                8 + self.string(Some(&endpoint.host)) + self.string(endpoint.rack.as_ref()) + self.no_tags()
            };
            let len = self.count(endpoints.len()) + endpoints.iter().map(each).sum::<usize>();
            1 + tagged(len)
        } else {
            self.no_tags()
        };
        head + self.bytes + tags
    }

    fn end_topic(&mut self) {
        if self.topics > 0 {
            self.bytes += self.count(self.partitions) + self.no_tags();
        }
        self.partitions = 0;
    }

    const fn is_flexible(&self) -> bool {
        self.version >= FIRST_FLEXIBLE
    }

    fn no_tags(&self) -> usize {
        usize::from(self.is_flexible())
    }

    /// A count, or a length of bytes.
    const fn count(&self, len: usize) -> usize {
        if self.is_flexible() { varint(len + 1) } else { 4 }
    }

    fn string(&self, text: Option<&StrBytes>) -> usize {
        let len = text.map_or(0, |text| text.len());
        let prefix = match text {
            Some(_) if self.is_flexible() => varint(len + 1),
            None if self.is_flexible() => 1,
            _ => 2,
        };
        prefix + len
    }
}

impl FetchResponse {
    /// How long the response is in `version`, as [`FetchSize`] counts.
    pub fn size(&self, version: i16) -> usize {
        let mut size = FetchSize::new(version);
        for topic in &self.topics {
            size.topic(&topic.topic);
            topic.partitions.iter().for_each(|partition| size.partition(partition));
        }
        size.finish(&self.node_endpoints)
    }
}

/// The tagged fields of a partition; one that equals its default is left out.
fn partition_tags(partition: &FetchPartition) -> usize {
    let FetchPartition { diverging_epoch, current_leader, snapshot_id, .. } = partition;
    let epoch = diverging_epoch.as_ref().is_some_and(|epoch| *epoch != EpochEndOffset::default());
    let leader = current_leader.as_ref().is_some_and(|leader| *leader != LeaderIdAndEpoch::default());
    let snapshot = snapshot_id.as_ref().is_some_and(|id| *id != SnapshotId::default());
    1 + usize::from(epoch) * tagged(13) + usize::from(leader) * tagged(9) + usize::from(snapshot) * tagged(13)
}

/// A tagged field of `len` bytes: its number, its length and itself.
const fn tagged(len: usize) -> usize {
    1 + varint(len) + len
}

/// An unsigned varint.
const fn varint(value: usize) -> usize {
    let bits = usize::BITS - value.leading_zeros();
    if bits == 0 { 1 } else { bits.div_ceil(7) as usize }
}
