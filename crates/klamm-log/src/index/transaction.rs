//! Aborted transactions (`TransactionIndex`): version, producer id, first offset, last offset, last stable offset.

use bytes::Buf;

use crate::disk::{Disk, DiskError, FileId, FileKind};
use crate::log::AbortedTxn;

const ENTRY: usize = 34;

/// The transaction index of one segment: the transactions whose abort marker lies in it. Most segments have none, and no file.
#[derive(Debug, Clone, Default)]
pub(crate) struct TransactionIndex {
    file: Option<FileId>,
}

impl TransactionIndex {
    /// Opens the index if its file is there.
    pub(crate) fn open(disk: &mut dyn Disk, path: &str) -> Result<Self, DiskError> {
        let file = if disk.exists(path) { Some(disk.open(path, FileKind::Plain)?) } else { None };
        Ok(Self { file })
    }

    pub(crate) const fn file(&self) -> Option<FileId> {
        self.file
    }

    pub(crate) fn append(
        &mut self,
        disk: &mut dyn Disk,
        path: &str,
        txn: &AbortedTxn,
    ) -> Result<(), DiskError> {
        let file = match self.file {
            Some(file) => file,
            None => *self.file.insert(disk.open(path, FileKind::Plain)?),
        };
        let mut entry = [0; ENTRY];
        let fields = [txn.producer_id, txn.first_offset, txn.last_offset, txn.last_stable_offset];
        for (slot, field) in entry[2..].chunks_exact_mut(8).zip(fields) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        disk.append_bytes(file, &entry)
    }

    /// Every aborted transaction, in the order of their markers.
    pub(crate) fn all<'a>(
        &self,
        disk: &'a dyn Disk,
    ) -> Result<impl Iterator<Item = AbortedTxn> + use<'a>, DiskError> {
        let bytes = match self.file {
            Some(file) => disk.contents(file)?,
            None => &[],
        };
        Ok(bytes.chunks_exact(ENTRY).map(|mut entry| {
            entry.advance(2);
            AbortedTxn {
                producer_id: entry.get_i64(),
                first_offset: entry.get_i64(),
                last_offset: entry.get_i64(),
                last_stable_offset: entry.get_i64(),
            }
        }))
    }

    /// Adds to `out` what overlaps `start..upper`; true when later segments cannot hold more.
    pub(crate) fn collect(
        &self,
        disk: &dyn Disk,
        start: i64,
        upper: i64,
        out: &mut Vec<AbortedTxn>,
    ) -> Result<bool, DiskError> {
        for txn in self.all(disk)? {
            if txn.last_offset >= start && txn.first_offset < upper {
                out.push(txn);
            }
            if txn.last_stable_offset >= upper {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Drops transactions whose marker is at or above `offset`.
    pub(crate) fn truncate_to(&mut self, disk: &mut dyn Disk, offset: i64) -> Result<(), DiskError> {
        let Some(file) = self.file else { return Ok(()) };
        let keep = self.all(disk)?.take_while(|txn| txn.last_offset < offset).count();
        disk.truncate(file, (keep * ENTRY) as u64)
    }

    pub(crate) fn reset(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        self.truncate_to(disk, i64::MIN)
    }

    /// Whether every marker lies at or above the segment's base offset.
    pub(crate) fn is_sane(&self, disk: &dyn Disk, base_offset: i64) -> Result<bool, DiskError> {
        let whole = self.file.is_none_or(|file| disk.len(file) % ENTRY as u64 == 0);
        Ok(whole && self.all(disk)?.all(|txn| txn.last_offset >= base_offset))
    }
}
