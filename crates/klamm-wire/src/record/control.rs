//! Control records: transaction markers, and those of the metadata log.
//!
//! Their key is (version, type), both `i16`. A batch of them has the control bit set and is never shown to consumers.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::record::batch::RecordBatch;
use crate::record::builder::BatchBuilder;

/// What a control record is (`ControlRecordType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i16)]
pub enum ControlType {
    /// The transaction was aborted.
    Abort = 0,
    /// The transaction was committed.
    Commit = 1,
    /// A new leader of the metadata quorum.
    LeaderChange = 2,
    /// Begins a snapshot.
    SnapshotHeader = 3,
    /// Ends a snapshot.
    SnapshotFooter = 4,
    /// The finalised `kraft.version` (KIP-853).
    KRaftVersion = 5,
    /// The set of voters (KIP-853).
    KRaftVoters = 6,
}

impl ControlType {
    /// The type in a control record's key; `None` for a key that is too short or a type not known.
    ///
    /// The key's version is not looked at: Kafka promises that later versions keep the front of it.
    pub fn from_key(mut key: &[u8]) -> Option<Self> {
        if key.len() < 4 {
            return None;
        }
        let version = key.get_i16();
        if version < 0 {
            return None;
        }
        Some(match key.get_i16() {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            _ => return None,
        })
    }

    /// The key of a control record of this type.
    pub const fn key(self) -> [u8; 4] {
        let [high, low] = (self as i16).to_be_bytes();
        [0, 0, high, low]
    }
}

/// The end of a transaction, as written to each of its partitions (`EndTransactionMarker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Whether the transaction was committed.
    pub committed: bool,
    /// Epoch of the transaction coordinator that decided.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    /// Reads the marker in a control record's key and value; `None` when it is not one.
    pub fn read(key: &[u8], mut value: &[u8]) -> Option<Self> {
        let committed = match ControlType::from_key(key)? {
            ControlType::Abort => false,
            ControlType::Commit => true,
            _ => return None,
        };
        if value.len() < 6 || value.get_i16() < 0 {
            return None;
        }
        Some(Self { committed, coordinator_epoch: value.get_i32() })
    }

    /// A whole batch that holds the marker (`MemoryRecords.withEndTransactionMarker`). Offset and leader epoch are
    /// stamped when it is appended.
    pub fn batch(self, producer_id: i64, producer_epoch: i16, timestamp: i64) -> RecordBatch {
        let kind = if self.committed { ControlType::Commit } else { ControlType::Abort };
        let mut value = BytesMut::with_capacity(6);
        value.put_i16(0);
        value.put_i32(self.coordinator_epoch);
        let builder = BatchBuilder::new().producer(producer_id, producer_epoch, -1).transactional();
        control_batch(builder, timestamp, [(kind, value.freeze())])
    }
}

/// A batch of control records with these values, whose encoding the caller knows.
pub fn control_batch(
    builder: BatchBuilder,
    timestamp: i64,
    records: impl IntoIterator<Item = (ControlType, Bytes)>,
) -> RecordBatch {
    let mut builder = builder.control();
    for (kind, value) in records {
        builder.push(timestamp, Some(&kind.key()), Some(&value), &[]);
    }
    builder.build().expect("without compression there is nothing that can fail")
}
