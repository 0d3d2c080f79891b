//! Looking up offsets by time.

/// The timestamps that ListOffsets gives a special meaning (`ListOffsetsRequest`).
pub mod special_timestamp {
    /// The log end offset (or high watermark, or last stable offset, by isolation).
    pub const LATEST: i64 = -1;
    /// The log start offset.
    pub const EARLIEST: i64 = -2;
    /// The offset of the record with the largest timestamp (KIP-734).
    pub const MAX_TIMESTAMP: i64 = -3;
    /// The first offset on the local disk; the log start offset without tiered storage (KIP-405).
    pub const EARLIEST_LOCAL: i64 = -4;
    /// The last offset in tiered storage (KIP-1005).
    pub const LATEST_TIERED: i64 = -5;
    /// The first offset not yet uploaded to tiered storage (KIP-1023).
    pub const EARLIEST_PENDING_UPLOAD: i64 = -6;
}

/// An offset found by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampOffset {
    /// The record's timestamp in milliseconds; -1 for special lookups.
    pub timestamp: i64,
    /// The record's offset; -1 for none.
    pub offset: i64,
    /// Epoch of the leader that wrote the record.
    pub leader_epoch: Option<i32>,
}
