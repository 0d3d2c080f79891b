//! A controller's part in the quorum as a checker outside of it sees it. Nothing here changes anything.

use bytes::Bytes;
use klamm_node::NodeId;
use klamm_wire::record::batch::BatchHeader;

use crate::controller::Controller;

/// A controller's part in the quorum. Offsets are exclusive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumView {
    /// The epoch that it knows.
    pub epoch: i32,
    /// The leader that it knows; -1 for none.
    pub leader: NodeId,
    /// First offset of its log.
    pub log_start: i64,
    /// Log end.
    pub log_end: i64,
    /// High watermark.
    pub high_watermark: i64,
}

impl Controller {
    /// This controller's part in the quorum.
    pub fn quorum_view(&self) -> QuorumView {
        QuorumView {
            epoch: self.raft.epoch(),
            leader: self.raft.leader(),
            log_start: self.raft.log_start_offset(),
            log_end: self.raft.next_offset(),
            high_watermark: self.raft.high_watermark(),
        }
    }

    /// The headers of the metadata log's batches, from the one that holds `from`.
    pub fn metadata_headers(&self, from: i64) -> Vec<BatchHeader> {
        self.raft.log().headers(self.disk.as_ref(), from).unwrap_or_default()
    }

    /// Batches of the metadata log from the one that holds `from`, committed or not; empty at the log's end.
    pub fn metadata_batches(&self, from: i64) -> Vec<Bytes> {
        let isolation = klamm_log::FetchIsolation::LogEnd;
        let read = self.raft.log().read(self.disk.as_ref(), from, 1 << 20, isolation, true);
        read.map(|data| data.records).unwrap_or_default()
    }
}
