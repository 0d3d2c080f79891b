//! Which leader epoch begins at which offset (`LeaderEpochFileCache`, KIP-101 and KIP-279).

/// The first offset that a leader epoch wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader epoch.
    pub epoch: i32,
    /// The first offset written in it.
    pub start_offset: i64,
}

/// Where an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch of the log that is at most the one asked for, or the one asked for when the log begins after it.
    pub epoch: i32,
    /// The offset after its last record.
    pub end_offset: i64,
}

/// Epochs and their start offsets, both strictly increasing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochCache {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochCache {
    /// A cache of entries as a checkpoint held them; entries that contradict a later one are dropped.
    pub fn from_entries(entries: impl IntoIterator<Item = EpochEntry>) -> Self {
        let mut cache = Self::default();
        for entry in entries {
            cache.assign(entry.epoch, entry.start_offset);
        }
        cache
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Notes that `epoch` begins at `start_offset`, dropping entries that contradict it. False when nothing changed.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> bool {
        if epoch < 0 || start_offset < 0 {
            return false;
        }
        if let Some(last) = self.entries.last()
            && last.epoch == epoch
            && start_offset >= last.start_offset
        {
            return false;
        }
        while self.entries.last().is_some_and(|e| e.epoch >= epoch || e.start_offset >= start_offset) {
            self.entries.pop();
        }
        self.entries.push(EpochEntry { epoch, start_offset });
        true
    }

    /// The latest epoch that has records assigned to it.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.latest_entry().map(|e| e.epoch)
    }

    /// The latest entry.
    pub fn latest_entry(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The earliest entry.
    pub fn earliest_entry(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// The largest epoch below `epoch`.
    pub fn previous_epoch(&self, epoch: i32) -> Option<i32> {
        let at = self.entries.partition_point(|e| e.epoch < epoch);
        at.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// Where `epoch` ends in a log that ends at `log_end_offset`; `None` when the log cannot know
    /// (`UNDEFINED_EPOCH`: a negative epoch, or one above every known one).
    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEndOffset> {
        if epoch < 0 {
            return None;
        }
        if self.latest_epoch() == Some(epoch) {
            return Some(EpochEndOffset { epoch, end_offset: log_end_offset });
        }
        let above = self.entries.partition_point(|e| e.epoch <= epoch);
        let higher = self.entries.get(above)?;
        let floor = above.checked_sub(1).map_or(epoch, |i| self.entries[i].epoch);
        Some(EpochEndOffset { epoch: floor, end_offset: higher.start_offset })
    }

    /// The epoch that wrote `offset`.
    pub fn epoch_for_offset(&self, offset: i64) -> Option<i32> {
        let above = self.entries.partition_point(|e| e.start_offset <= offset);
        above.checked_sub(1).map(|i| self.entries[i].epoch)
    }

    /// Drops entries that begin at or after `end_offset`. False when nothing changed.
    pub fn truncate_from_end(&mut self, end_offset: i64) -> bool {
        let keep = self.entries.partition_point(|e| e.start_offset < end_offset);
        let changed = keep < self.entries.len();
        self.entries.truncate(keep);
        changed
    }

    /// Lets the log begin at `start_offset`: drops entries that end before it, and lets the one that contains it begin there.
    /// False when nothing changed.
    pub fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let above = self.entries.partition_point(|e| e.start_offset <= start_offset);
        let Some(containing) = above.checked_sub(1) else { return false };
        if containing == 0 && self.entries[0].start_offset == start_offset {
            return false;
        }
        self.entries.drain(..containing);
        self.entries[0].start_offset = start_offset;
        true
    }

    /// Forgets everything. False when there was nothing.
    pub fn clear(&mut self) -> bool {
        let changed = !self.entries.is_empty();
        self.entries.clear();
        changed
    }
}
