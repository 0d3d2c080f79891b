//! The sparse indexes of a segment: offset to position, time to offset, aborted transactions.
//!
//! Entries lie in the index file and are searched there ([`Disk::contents`](crate::Disk::contents)); only the last one and the
//! count are kept beside it.

mod offset;
mod sparse;
mod time;
mod transaction;

pub(crate) use offset::OffsetIndex;
pub(crate) use time::TimeIndex;
pub(crate) use transaction::TransactionIndex;

/// Whether an offset can be written relative to a base: indexes hold `i32`s.
pub(crate) const fn is_relative(offset: i64, base_offset: i64) -> bool {
    match offset.checked_sub(base_offset) {
        Some(relative) => relative >= 0 && relative <= i32::MAX as i64,
        None => false,
    }
}
