//! Time to offset (`TimeIndex`): 8 bytes of timestamp, 4 bytes of relative offset.

use crate::disk::{Disk, DiskError, FileId, FileKind};
use crate::index::last_where;

const ENTRY: usize = 12;

/// The time index of one segment. An entry says: no record up to this offset has a larger timestamp.
#[derive(Debug, Clone)]
pub(crate) struct TimeIndex {
    file: FileId,
    base_offset: i64,
    entries: usize,
    max_entries: usize,
    /// (timestamp, offset); (-1, base offset) without entries.
    last: (i64, i64),
}

impl TimeIndex {
    pub(crate) fn open(
        disk: &mut dyn Disk,
        path: &str,
        base: i64,
        max_bytes: u32,
    ) -> Result<Self, DiskError> {
        let max_entries = max_bytes as usize / ENTRY;
        let file = disk.open(path, FileKind::Index { max_bytes: (max_entries * ENTRY) as u64 })?;
        let entries = disk.len(file) as usize / ENTRY;
        let mut index = Self { file, base_offset: base, entries, max_entries, last: (-1, base) };
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

    /// One entry is kept free for the one that is added when the segment ends.
    pub(crate) const fn is_full(&self) -> bool {
        self.entries + 1 >= self.max_entries
    }

    pub(crate) const fn set_max_bytes(&mut self, max_bytes: u32) {
        self.max_entries = max_bytes as usize / ENTRY;
    }

    /// Whether entries grow in time and do not fall in offset. Looks at every entry.
    pub(crate) fn is_sane(&self, disk: &dyn Disk) -> Result<bool, DiskError> {
        if !disk.len(self.file).is_multiple_of(ENTRY as u64) {
            return Ok(false);
        }
        let bytes = disk.contents(self.file)?;
        let mut previous: Option<(i64, i64)> = None;
        for n in 0..self.entries {
            let (timestamp, offset) = self.parse(bytes, n);
            let grows = previous.is_none_or(|(t, o)| timestamp > t && offset >= o);
            if !grows || offset < self.base_offset {
                return Ok(false);
            }
            previous = Some((timestamp, offset));
        }
        Ok(true)
    }

    /// Adds an entry if its timestamp is larger than the last one's.
    pub(crate) fn maybe_append(
        &mut self,
        disk: &mut dyn Disk,
        timestamp: i64,
        offset: i64,
        last_of_segment: bool,
    ) -> Result<(), DiskError> {
        let room = if last_of_segment { self.entries < self.max_entries } else { !self.is_full() };
        if !room || timestamp <= self.last.0 || offset < self.last.1 {
            return Ok(());
        }
        let mut entry = [0; ENTRY];
        entry[..8].copy_from_slice(&timestamp.to_be_bytes());
        entry[8..].copy_from_slice(&((offset - self.base_offset) as i32).to_be_bytes());
        disk.append_bytes(self.file, &entry)?;
        self.entries += 1;
        self.last = (timestamp, offset);
        Ok(())
    }

    /// Every entry: (timestamp, offset).
    pub(crate) fn all(&self, disk: &dyn Disk) -> Result<Vec<(i64, i64)>, DiskError> {
        let bytes = disk.contents(self.file)?;
        Ok((0..self.entries).map(|n| self.parse(bytes, n)).collect())
    }

    /// The last entry: (timestamp, offset), or (-1, base offset).
    pub(crate) const fn last(&self) -> (i64, i64) {
        self.last
    }

    /// The offset of the last entry whose timestamp is not above `timestamp`: records after it may match, none before it does.
    pub(crate) fn lookup(&self, disk: &dyn Disk, timestamp: i64) -> Result<i64, DiskError> {
        if self.entries == 0 {
            return Ok(self.base_offset);
        }
        let bytes = disk.contents(self.file)?;
        let slot = last_where(self.entries, |n| self.parse(bytes, n).0 <= timestamp);
        Ok(slot.map_or(self.base_offset, |n| self.parse(bytes, n).1))
    }

    /// Drops entries at or above `offset`.
    pub(crate) fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), DiskError> {
        let bytes = disk.contents(self.file)?;
        let keep = last_where(self.entries, |n| self.parse(bytes, n).1 < offset).map_or(0, |n| n + 1);
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
        self.last = match self.entries.checked_sub(1) {
            Some(last) => self.parse(disk.contents(self.file)?, last),
            None => (-1, self.base_offset),
        };
        Ok(())
    }

    fn parse(&self, bytes: &[u8], n: usize) -> (i64, i64) {
        let at = n * ENTRY;
        let field = |from: usize, to: usize| bytes.get(at + from..at + to);
        let timestamp = field(0, 8).and_then(|b| b.try_into().ok()).map_or(-1, i64::from_be_bytes);
        let relative = field(8, 12).and_then(|b| b.try_into().ok()).map_or(0, i32::from_be_bytes);
        (timestamp, self.base_offset.saturating_add(relative.into()))
    }
}
