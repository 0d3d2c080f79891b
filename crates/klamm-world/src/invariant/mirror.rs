//! A log as a checker remembers it: each batch by its header. The CRC covers all that a leader does not stamp, so two
//! batches with equal headers hold equal records.

use klamm_wire::record::batch::BatchHeader;

/// What a batch's length leaves out: its base offset and the length itself (`Records.LOG_OVERHEAD`).
const LOG_OVERHEAD: i32 = 12;

/// One batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Offset of the first record.
    pub(crate) base: i64,
    /// Offset of the last record.
    pub(crate) last: i64,
    /// Epoch of the leader that appended it.
    pub(crate) epoch: i32,
    /// CRC of everything but what the leader stamps.
    pub(crate) crc: u32,
    /// Producer id, -1 for none.
    pub(crate) producer_id: i64,
    /// Producer epoch.
    pub(crate) producer_epoch: i16,
    /// Sequence of the first record, -1 for none.
    pub(crate) sequence: i32,
    /// Whether it holds control records.
    pub(crate) control: bool,
    /// The largest timestamp of its records, in milliseconds.
    pub(crate) time: i64,
    /// Its length in bytes.
    pub(crate) size: i32,
    /// Whether it is part of a transaction, or ends one.
    pub(crate) transactional: bool,
}

impl From<&BatchHeader> for Entry {
    fn from(header: &BatchHeader) -> Self {
        Self {
            base: header.base_offset,
            last: header.last_offset(),
            epoch: header.partition_leader_epoch,
            crc: header.crc,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            sequence: header.base_sequence,
            control: header.is_control(),
            time: header.max_timestamp,
            size: header.batch_length + LOG_OVERHEAD,
            transactional: header.is_transactional(),
        }
    }
}

impl Entry {
    /// Whether a batch is what compaction may have left of another, or the other way round: it keeps its place and its epoch.
    const fn is_rest_of(&self, other: &Self) -> bool {
        self.base == other.base && self.last == other.last && self.epoch == other.epoch
    }

    /// Whether two batches are the same records of the same producer: a batch sent again has another CRC when its timestamps were
    /// taken anew, but not another sequence.
    pub(crate) const fn is_same_send(&self, other: &Self) -> bool {
        if self.producer_id >= 0 {
            self.producer_id == other.producer_id
                && self.producer_epoch == other.producer_epoch
                && self.sequence == other.sequence
                && self.last - self.base == other.last - other.base
        } else {
            self.crc == other.crc
        }
    }
}

/// Batches in order of their offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mirror {
    entries: Vec<Entry>,
}

impl Mirror {
    /// No batch at all.
    pub(crate) const EMPTY: Self = Self { entries: Vec::new() };

    /// Every batch.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The offset after the last batch.
    pub(crate) fn end(&self) -> i64 {
        self.entries.last().map_or(0, |entry| entry.last + 1)
    }

    /// Adds a batch at the end.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Drops every batch that reaches `offset` or beyond.
    pub(crate) fn truncate(&mut self, offset: i64) {
        let keep = self.entries.partition_point(|entry| entry.last < offset);
        self.entries.truncate(keep);
    }

    /// The batches that reach into `from..to`.
    pub(crate) fn range(&self, from: i64, to: i64) -> &[Entry] {
        let begin = self.entries.partition_point(|entry| entry.last < from);
        let end = self.entries.partition_point(|entry| entry.base < to);
        &self.entries[begin.min(end)..end]
    }

    /// The batch that holds `offset`.
    pub(crate) fn at(&self, offset: i64) -> Option<&Entry> {
        self.range(offset, offset + 1).first()
    }

    /// The first offset in `from..to` at which two logs differ. With `sparse`, a batch that only one of them has counts for nothing,
    /// nor one that has lost records.
    pub(crate) fn first_difference(&self, other: &Self, from: i64, to: i64, sparse: bool) -> Option<i64> {
        let (mut ours, mut theirs) =
            (self.range(from, to).iter().peekable(), other.range(from, to).iter().peekable());
        loop {
            match (ours.peek(), theirs.peek()) {
                (Some(a), Some(b)) if a == b || sparse && a.is_rest_of(b) => {
                    ours.next();
                    theirs.next();
                }
                (Some(a), Some(b)) if sparse && a.last < b.base => {
                    ours.next();
                }
                (Some(a), Some(b)) if sparse && b.last < a.base => {
                    theirs.next();
                }
                (Some(a), Some(b)) => return Some(a.base.min(b.base).max(from)),
                (Some(one), None) | (None, Some(one)) if !sparse => return Some(one.base.max(from)),
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{entry, log};

    #[test]
    fn logs_differ_where_a_batch_does_or_is_missing() {
        let (a, mut b) = (log(&[(0, 2, 0), (3, 4, 1)]), log(&[(0, 2, 0), (3, 4, 2)]));
        assert_eq!(a.first_difference(&b, 0, 3, false), None);
        assert_eq!(a.first_difference(&b, 0, 5, false), Some(3));
        b.truncate(4);
        assert_eq!(b.end(), 3);
        assert_eq!(a.first_difference(&b, 0, 5, false), Some(3));
        assert_eq!(a.first_difference(&b, 0, 5, true), None);
        b.push(Entry { crc: 1, size: 61, ..entry(3, 4, 1) });
        assert_eq!(
            (a.first_difference(&b, 0, 5, false), a.first_difference(&b, 0, 5, true)),
            (Some(3), None)
        );
        b.truncate(4);
        b.push(entry(3, 4, 1));
        assert_eq!((a.first_difference(&b, 0, 5, false), a.at(4)), (None, Some(&entry(3, 4, 1))));
    }
}
