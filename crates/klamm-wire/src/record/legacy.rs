//! Message sets of magic v0 and v1: recognised, and refused as Kafka 4 refuses them.
//!
//! Kafka 4 dropped the protocol versions that carried them (KIP-896): no request can bring one legitimately.

use crate::ErrorCode;
use crate::record::error::RecordError;

/// Where the magic byte lies, in v2 batches as in older messages (`Records.MAGIC_OFFSET`).
pub const MAGIC_OFFSET: usize = 16;
/// Smallest length field of any magic: a v0 message without key or value (`LegacyRecord.RECORD_OVERHEAD_V0`).
pub const MIN_LENGTH: i32 = 14;

/// The magic of the batch or message that `bytes` start with; `None` when they are too short to tell.
pub fn magic_of(bytes: &[u8]) -> Option<i8> {
    bytes.get(MAGIC_OFFSET).map(|&magic| magic as i8)
}

/// What to say of a message set whose magic is not 2.
pub fn refuse(magic: i8) -> RecordError {
    match magic {
        0 | 1 => RecordError::new(
            ErrorCode::UnsupportedForMessageFormat,
            format!("message format v{magic} is not supported; only record batches (magic 2) are"),
        ),
        _ => RecordError::corrupt(format!("invalid magic {magic} in record batch")),
    }
}
