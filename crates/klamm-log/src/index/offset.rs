//! Offset to position (`OffsetIndex`): 4 bytes of relative offset, 4 bytes of position in the log file.

use super::sparse::{Entry, SparseIndex};
use crate::disk::{Disk, DiskError, FileId};

/// The last offset of a batch, and where that batch begins.
#[derive(Debug, Clone, Copy)]
struct OffsetPosition {
    offset: i64,
    position: u32,
}

impl Entry for OffsetPosition {
    type Bytes = [u8; 8];

    fn read(bytes: &[u8; 8], base_offset: i64) -> Self {
        let word = u64::from_be_bytes(*bytes);
        let relative = (word >> 32) as i32;
        Self { offset: base_offset.saturating_add(relative.into()), position: word as u32 }
    }

    fn write(self, base_offset: i64) -> [u8; 8] {
        let relative = (self.offset - base_offset) as u32;
        (u64::from(relative) << 32 | u64::from(self.position)).to_be_bytes()
    }
}

/// The offset index of one segment.
#[derive(Debug, Clone)]
pub(crate) struct OffsetIndex {
    entries: SparseIndex<OffsetPosition>,
}

impl OffsetIndex {
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

    pub(crate) const fn is_full(&self) -> bool {
        self.entries.room() == 0
    }

    pub(crate) const fn set_max_bytes(&mut self, max_bytes: u32) {
        self.entries.set_max_bytes(max_bytes);
    }

    /// Every entry: (offset, position).
    pub(crate) fn all(&self, disk: &dyn Disk) -> Result<Vec<(i64, u32)>, DiskError> {
        let entries = self.entries.all(disk)?;
        Ok(entries.into_iter().map(|entry| (entry.offset, entry.position)).collect())
    }

    /// Whether entries grow in offset and position and lie within a log of `log_size` bytes. Looks at every entry.
    pub(crate) fn is_sane(&self, disk: &dyn Disk, log_size: u64) -> Result<bool, DiskError> {
        let base_offset = self.entries.base_offset();
        self.entries.is_sane(disk, |previous, OffsetPosition { offset, position }| {
            previous.is_none_or(|before| offset > before.offset && position > before.position)
                && offset >= base_offset
                && u64::from(position) < log_size
        })
    }

    /// Adds an entry; offsets must grow.
    pub(crate) fn append(
        &mut self,
        disk: &mut dyn Disk,
        offset: i64,
        position: u32,
    ) -> Result<(), DiskError> {
        if self.is_full() || self.entries.last().is_some_and(|last| offset <= last.offset) {
            return Ok(());
        }
        self.entries.append(disk, OffsetPosition { offset, position })
    }

    /// A position at or before the first batch that reaches `offset`.
    pub(crate) fn lookup(&self, disk: &dyn Disk, offset: i64) -> Result<u32, DiskError> {
        let found = self.entries.last_where(disk, |entry| entry.offset <= offset)?;
        Ok(found.map_or(0, |entry| entry.position))
    }

    /// The largest indexed position that is not above `position`.
    pub(crate) fn lookup_position(&self, disk: &dyn Disk, position: u64) -> Result<u32, DiskError> {
        let found = self.entries.last_where(disk, |entry| u64::from(entry.position) <= position)?;
        Ok(found.map_or(0, |entry| entry.position))
    }

    /// The last indexed offset; the base offset when there is no entry.
    pub(crate) fn last_offset(&self) -> i64 {
        self.entries.last().map_or_else(|| self.entries.base_offset(), |last| last.offset)
    }

    /// Drops entries at or above `offset`.
    pub(crate) fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), DiskError> {
        self.entries.keep_where(disk, |entry| entry.offset < offset)
    }

    pub(crate) fn reset(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.entries.reset(disk)
    }
}
