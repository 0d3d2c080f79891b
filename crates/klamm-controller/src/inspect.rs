//! A controller's part in the quorum as a checker outside of it sees it. Nothing here changes anything.

use bytes::Bytes;
use klamm_node::NodeId;
use klamm_wire::record::batch::BatchHeader;

use crate::controller::Controller;

/// A controller's part in the quorum. Offsets are exclusive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumView {
    /// The state by Kafka's name: `Unattached`, `Prospective`, `Candidate`, `Leader`, `Follower`, `Resigned`.
    pub state: &'static str,
    /// The epoch that it knows.
    pub epoch: i32,
    /// The leader that it knows; -1 for none. One that resigned still names itself.
    pub leader: NodeId,
    /// Whom it voted for in the epoch.
    pub voted_for: Option<NodeId>,
    /// First offset of its log.
    pub log_start: i64,
    /// Log end.
    pub log_end: i64,
    /// How far the log is durable.
    pub flushed: i64,
    /// High watermark; -1 where it is not known, as on a leader that has not committed a record of its epoch yet.
    pub high_watermark: i64,
    /// Where its epoch begins in the log, on a leader.
    pub epoch_start: Option<i64>,
    /// The oldest snapshot on its disk: end offset and epoch.
    pub earliest_snapshot: Option<(i64, i32)>,
    /// The newest snapshot on its disk: end offset and epoch.
    pub latest_snapshot: Option<(i64, i32)>,
}

impl Controller {
    /// This controller's part in the quorum.
    pub fn quorum_view(&self) -> QuorumView {
        self.raft.view()
    }

    /// The headers of the metadata log's batches, from the one that holds `from`.
    pub fn metadata_headers(&self, from: i64) -> Vec<BatchHeader> {
        self.raft.log().headers(self.raft.disk(), from).unwrap_or_default()
    }

    /// Batches of the metadata log from the one that holds `from`, committed or not; empty at the log's end.
    pub fn metadata_batches(&self, from: i64) -> Vec<Bytes> {
        let isolation = klamm_log::FetchIsolation::LogEnd;
        let read = self.raft.log().read(self.raft.disk(), from, 1 << 20, isolation, true);
        read.map(|data| data.records).unwrap_or_default()
    }
}
