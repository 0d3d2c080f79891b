//! Time to offset (`TimeIndex`): 8 bytes of timestamp, 4 bytes of relative offset.

use super::sparse::{Entry, SparseIndex};
use crate::disk::{Disk, DiskError, FileId};

/// No record up to this offset has a larger timestamp.
#[derive(Debug, Clone, Copy)]
struct TimestampOffset {
    timestamp: i64,
    offset: i64,
}

impl Entry for TimestampOffset {
    type Bytes = [u8; 12];

    fn read(bytes: &[u8; 12], base_offset: i64) -> Self {
        let (timestamp, relative) = bytes.split_at(8);
        let timestamp = timestamp.try_into().map_or(-1, i64::from_be_bytes);
        let relative = relative.try_into().map_or(0, i32::from_be_bytes);
        Self { timestamp, offset: base_offset.saturating_add(relative.into()) }
    }

    fn write(self, base_offset: i64) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..].copy_from_slice(&((self.offset - base_offset) as i32).to_be_bytes());
        bytes
    }
}

/// The time index of one segment.
#[derive(Debug, Clone)]
pub(crate) struct TimeIndex {
    entries: SparseIndex<TimestampOffset>,
}

impl TimeIndex {
    pub(crate) fn open(
        disk: &mut dyn Disk,
        path: &str,
        base: i64,
        max_bytes: u32,
    ) -> Result<Self, DiskError> {
        Ok(Self { entries: SparseIndex::open(disk, path, base, max_bytes)? })
    }

    /// An empty index that has no file before its first entry; nothing may lie at `path`.
    pub(crate) fn unmade(path: String, base: i64, max_bytes: u32) -> Self {
        Self { entries: SparseIndex::unmade(path, base, max_bytes) }
    }

    /// The file, which is made if it is not there yet.
    pub(crate) fn make(&mut self, disk: &mut dyn Disk) -> Result<FileId, DiskError> {
        self.entries.make(disk)
    }

    /// The file, if there is one.
    pub(crate) const fn file(&self) -> Option<FileId> {
        self.entries.file()
    }

    /// Its size, in bytes.
    pub(crate) const fn size_bytes(&self) -> u64 {
        self.entries.size_bytes()
    }

    /// One entry is kept free for the one that is added when the segment ends.
    pub(crate) const fn is_full(&self) -> bool {
        self.entries.room() <= 1
    }

    pub(crate) const fn set_max_bytes(&mut self, max_bytes: u32) {
        self.entries.set_max_bytes(max_bytes);
    }

    /// Whether entries grow in time and do not fall in offset. Looks at every entry.
    pub(crate) fn is_sane(&self, disk: &dyn Disk) -> Result<bool, DiskError> {
        let base_offset = self.entries.base_offset();
        self.entries.is_sane(disk, |previous, TimestampOffset { timestamp, offset }| {
            previous.is_none_or(|before| timestamp > before.timestamp && offset >= before.offset)
                && offset >= base_offset
        })
    }

    /// Adds an entry if its timestamp is larger than the last one's.
    pub(crate) fn maybe_append(
        &mut self,
        disk: &mut dyn Disk,
        timestamp: i64,
        offset: i64,
        last_of_segment: bool,
    ) -> Result<(), DiskError> {
        let has_room = if last_of_segment { self.entries.room() > 0 } else { !self.is_full() };
        let last = self.last();
        if !has_room || timestamp <= last.0 || offset < last.1 {
            return Ok(());
        }
        self.entries.append(disk, TimestampOffset { timestamp, offset })
    }

    /// Every entry: (timestamp, offset).
    pub(crate) fn all(&self, disk: &dyn Disk) -> Result<Vec<(i64, i64)>, DiskError> {
        let entries = self.entries.all(disk)?;
        Ok(entries.into_iter().map(|entry| (entry.timestamp, entry.offset)).collect())
    }

    /// The last entry: (timestamp, offset), or (-1, base offset).
    pub(crate) fn last(&self) -> (i64, i64) {
        let none = (-1, self.entries.base_offset());
        self.entries.last().map_or(none, |last| (last.timestamp, last.offset))
    }

    /// The offset of the last entry whose timestamp is not above `timestamp`: records after it may match, none before it does.
    pub(crate) fn lookup(&self, disk: &dyn Disk, timestamp: i64) -> Result<i64, DiskError> {
        let found = self.entries.last_where(disk, |entry| entry.timestamp <= timestamp)?;
        Ok(found.map_or_else(|| self.entries.base_offset(), |entry| entry.offset))
    }

    /// Drops entries at or above `offset`.
    pub(crate) fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), DiskError> {
        self.entries.keep_where(disk, |entry| entry.offset < offset)
    }

    pub(crate) fn reset(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.entries.reset(disk)
    }
}
