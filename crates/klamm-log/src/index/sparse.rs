//! What an index of one segment is made of: entries of one size, in order, in a file of bounded length (`AbstractIndex`).

use crate::disk::{Disk, DiskError, FileId, FileKind};

/// An entry of an index, whose offset is written relative to the segment's base offset.
pub(super) trait Entry: Copy {
    /// An entry as it lies in the file.
    type Bytes: AsRef<[u8]> + for<'a> TryFrom<&'a [u8]>;

    /// Its size, in bytes.
    const SIZE: usize = size_of::<Self::Bytes>();

    fn read(bytes: &Self::Bytes, base_offset: i64) -> Self;

    fn write(self, base_offset: i64) -> Self::Bytes;
}

/// An index file and its last entry.
#[derive(Debug, Clone)]
pub(super) struct SparseIndex<E> {
    place: Place,
    base_offset: i64,
    entries: usize,
    max_entries: usize,
    last: Option<E>,
}

/// Where an index lies.
#[derive(Debug, Clone)]
enum Place {
    File(FileId),
    /// Nowhere yet: it is empty. Its first entry makes a file of this path.
    Unmade(Box<str>),
}

impl<E: Entry> SparseIndex<E> {
    /// An empty index whose file is made with its first entry, or by [`make`](Self::make). Until then nothing may lie there, and the
    /// directory keeps its name.
    pub(super) fn unmade(path: String, base_offset: i64, max_bytes: u32) -> Self {
        let max_entries = max_bytes as usize / E::SIZE;
        Self { place: Place::Unmade(path.into()), base_offset, entries: 0, max_entries, last: None }
    }

    pub(super) fn open(
        disk: &mut dyn Disk,
        path: &str,
        base_offset: i64,
        max_bytes: u32,
    ) -> Result<Self, DiskError> {
        let max_entries = max_bytes as usize / E::SIZE;
        let mut index =
            Self { place: Place::Unmade(path.into()), base_offset, entries: 0, max_entries, last: None };
        let file = index.make(disk)?;
        index.entries = disk.len(file) as usize / E::SIZE;
        index.refresh(disk)?;
        Ok(index)
    }

    /// The file, which is made if it is not there yet.
    pub(super) fn make(&mut self, disk: &mut dyn Disk) -> Result<FileId, DiskError> {
        match &self.place {
            Place::File(file) => Ok(*file),
            Place::Unmade(path) => {
                let max_bytes = (self.max_entries * E::SIZE) as u64;
                let file = disk.open(path, FileKind::Index { max_bytes })?;
                self.place = Place::File(file);
                Ok(file)
            }
        }
    }

    /// The file, if there is one.
    pub(super) const fn file(&self) -> Option<FileId> {
        match self.place {
            Place::File(file) => Some(file),
            Place::Unmade(_) => None,
        }
    }

    fn contents<'a>(&self, disk: &'a dyn Disk) -> Result<&'a [u8], DiskError> {
        self.file().map_or(Ok(&[]), |file| disk.contents(file))
    }

    pub(super) const fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Its size, in bytes.
    pub(super) const fn size_bytes(&self) -> u64 {
        (self.entries * E::SIZE) as u64
    }

    /// How many more entries it takes.
    pub(super) const fn room(&self) -> usize {
        self.max_entries.saturating_sub(self.entries)
    }

    pub(super) const fn set_max_bytes(&mut self, max_bytes: u32) {
        self.max_entries = max_bytes as usize / E::SIZE;
    }

    /// The last entry.
    pub(super) const fn last(&self) -> Option<E> {
        self.last
    }

    /// Every entry.
    pub(super) fn all(&self, disk: &dyn Disk) -> Result<Vec<E>, DiskError> {
        let bytes = self.contents(disk)?;
        Ok((0..self.entries).filter_map(|n| self.entry(bytes, n)).collect())
    }

    /// Whether the file holds whole entries, none of which lies before the base offset or is out of order. Looks at every entry.
    pub(super) fn is_sane(
        &self,
        disk: &dyn Disk,
        follows: impl Fn(Option<E>, E) -> bool,
    ) -> Result<bool, DiskError> {
        let len = self.file().map_or(0, |file| disk.len(file));
        if !len.is_multiple_of(E::SIZE as u64) {
            return Ok(false);
        }
        let bytes = self.contents(disk)?;
        let mut previous = None;
        for n in 0..self.entries {
            let entry = self.entry(bytes, n);
            if !entry.is_some_and(|entry| follows(previous, entry)) {
                return Ok(false);
            }
            previous = entry;
        }
        Ok(true)
    }

    /// The last entry for which `before` holds, which must hold for a prefix of them.
    pub(super) fn last_where(
        &self,
        disk: &dyn Disk,
        before: impl Fn(E) -> bool,
    ) -> Result<Option<E>, DiskError> {
        if self.entries == 0 {
            return Ok(None);
        }
        let bytes = self.contents(disk)?;
        let count = self.count_where(bytes, before);
        Ok(count.checked_sub(1).and_then(|n| self.entry(bytes, n)))
    }

    /// Adds an entry; whether it is in order is the caller's to see.
    pub(super) fn append(&mut self, disk: &mut dyn Disk, entry: E) -> Result<(), DiskError> {
        let file = self.make(disk)?;
        disk.append_bytes(file, entry.write(self.base_offset).as_ref())?;
        self.entries += 1;
        self.last = Some(entry);
        Ok(())
    }

    /// Keeps the entries for which `before` holds, which must hold for a prefix of them.
    pub(super) fn keep_where(
        &mut self,
        disk: &mut dyn Disk,
        before: impl Fn(E) -> bool,
    ) -> Result<(), DiskError> {
        let keep = self.count_where(self.contents(disk)?, before);
        self.keep(disk, keep)
    }

    pub(super) fn reset(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.keep(disk, 0)
    }

    fn keep(&mut self, disk: &mut dyn Disk, entries: usize) -> Result<(), DiskError> {
        if let Some(file) = self.file() {
            disk.truncate(file, (entries * E::SIZE) as u64)?;
        }
        self.entries = entries;
        self.refresh(disk)
    }

    fn refresh(&mut self, disk: &dyn Disk) -> Result<(), DiskError> {
        self.last = match self.entries.checked_sub(1) {
            Some(last) => self.entry(self.contents(disk)?, last),
            None => None,
        };
        Ok(())
    }

    fn count_where(&self, bytes: &[u8], before: impl Fn(E) -> bool) -> usize {
        let (mut low, mut high) = (0, self.entries);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.entry(bytes, middle).is_some_and(&before) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn entry(&self, bytes: &[u8], n: usize) -> Option<E> {
        let at = n * E::SIZE;
        let entry = E::Bytes::try_from(bytes.get(at..at + E::SIZE)?).ok()?;
        Some(E::read(&entry, self.base_offset))
    }
}
