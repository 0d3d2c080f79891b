//! Offset to position (`OffsetIndex`): 4 bytes of relative offset, 4 bytes of position in the log file.

use crate::disk::{Disk, DiskError, FileId, FileKind};
use crate::index::last_where;

const ENTRY: usize = 8;

/// The offset index of one segment. An entry names the last offset of a batch and where that batch begins.
#[derive(Debug, Clone)]
pub(crate) struct OffsetIndex {
    file: FileId,
    base_offset: i64,
    entries: usize,
    max_entries: usize,
    last_offset: i64,
}

impl OffsetIndex {
    pub(crate) fn open(
        disk: &mut dyn Disk,
        path: &str,
        base: i64,
        max_bytes: u32,
    ) -> Result<Self, DiskError> {
        let max_entries = max_bytes as usize / ENTRY;
        let file = disk.open(path, FileKind::Index { max_bytes: (max_entries * ENTRY) as u64 })?;
        let entries = disk.len(file) as usize / ENTRY;
        let mut index = Self { file, base_offset: base, entries, max_entries, last_offset: base };
        index.refresh(disk)?;
        Ok(index)
    }

    pub(crate) const fn file(&self) -> FileId {
        self.file
    }

    /// Its size, in bytes.
    pub(crate) const fn size_bytes(&self) -> u64 {
        (self.entries * ENTRY) as u64
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.entries >= self.max_entries
    }

    pub(crate) const fn set_max_bytes(&mut self, max_bytes: u32) {
        self.max_entries = max_bytes as usize / ENTRY;
    }

    /// Every entry: (offset, position).
    pub(crate) fn all(&self, disk: &dyn Disk) -> Result<Vec<(i64, u32)>, DiskError> {
        let bytes = disk.contents(self.file)?;
        Ok((0..self.entries).map(|n| self.parse(bytes, n)).collect())
    }

    /// Whether entries grow in offset and position and lie within a log of `log_size` bytes. Looks at every entry.
    pub(crate) fn is_sane(&self, disk: &dyn Disk, log_size: u64) -> Result<bool, DiskError> {
        if !disk.len(self.file).is_multiple_of(ENTRY as u64) {
            return Ok(false);
        }
        let bytes = disk.contents(self.file)?;
        let mut previous: Option<(i64, u32)> = None;
        for n in 0..self.entries {
            let (offset, position) = self.parse(bytes, n);
            let grows = previous.is_none_or(|(o, p)| offset > o && position > p);
            if !grows || offset < self.base_offset || u64::from(position) >= log_size {
                return Ok(false);
            }
            previous = Some((offset, position));
        }
        Ok(true)
    }

    /// Adds an entry; offsets must grow.
    pub(crate) fn append(
        &mut self,
        disk: &mut dyn Disk,
        offset: i64,
        position: u32,
    ) -> Result<(), DiskError> {
        if self.is_full() || (self.entries > 0 && offset <= self.last_offset) {
            return Ok(());
        }
        let relative = (offset - self.base_offset) as u32;
        disk.append_bytes(self.file, &(u64::from(relative) << 32 | u64::from(position)).to_be_bytes())?;
        self.entries += 1;
        self.last_offset = offset;
        Ok(())
    }

    /// A position at or before the first batch that reaches `offset`.
    pub(crate) fn lookup(&self, disk: &dyn Disk, offset: i64) -> Result<u32, DiskError> {
        if self.entries == 0 {
            return Ok(0);
        }
        let bytes = disk.contents(self.file)?;
        let slot = last_where(self.entries, |n| self.parse(bytes, n).0 <= offset);
        Ok(slot.map_or(0, |n| self.parse(bytes, n).1))
    }

    /// The largest indexed position that is not above `position`.
    pub(crate) fn lookup_position(&self, disk: &dyn Disk, position: u64) -> Result<u32, DiskError> {
        if self.entries == 0 {
            return Ok(0);
        }
        let bytes = disk.contents(self.file)?;
        let slot = last_where(self.entries, |n| u64::from(self.parse(bytes, n).1) <= position);
        Ok(slot.map_or(0, |n| self.parse(bytes, n).1))
    }

    /// The last indexed offset; the base offset when there is no entry.
    pub(crate) const fn last_offset(&self) -> i64 {
        self.last_offset
    }

    /// Drops entries at or above `offset`.
    pub(crate) fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), DiskError> {
        let bytes = disk.contents(self.file)?;
        let keep = last_where(self.entries, |n| self.parse(bytes, n).0 < offset).map_or(0, |n| n + 1);
        self.keep(disk, keep)
    }

    pub(crate) fn reset(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.keep(disk, 0)
    }

    fn keep(&mut self, disk: &mut dyn Disk, entries: usize) -> Result<(), DiskError> {
        disk.truncate(self.file, (entries * ENTRY) as u64)?;
        self.entries = entries;
        self.refresh(disk)
    }

    fn refresh(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.last_offset = match self.entries.checked_sub(1) {
            Some(last) => self.parse(disk.contents(self.file)?, last).0,
            None => self.base_offset,
        };
        Ok(())
    }

    fn parse(&self, bytes: &[u8], n: usize) -> (i64, u32) {
        let at = n * ENTRY;
        let Some(entry) = bytes.get(at..at + ENTRY).and_then(|b| <[u8; ENTRY]>::try_from(b).ok()) else {
            return (self.base_offset, 0);
        };
        let word = u64::from_be_bytes(entry);
        (self.base_offset.saturating_add(i64::from((word >> 32) as i32)), word as u32)
    }
}
