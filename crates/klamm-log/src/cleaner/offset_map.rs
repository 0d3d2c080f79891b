//! The last offset of each key, within bounded memory (`SkimpyOffsetMap`, but with the keys themselves: no collision loses a record).

use rustc_hash::FxHashMap;

/// Bytes that a key costs beside itself.
const OVERHEAD: usize = 48;

/// The last offset of each key.
#[derive(Debug)]
pub(super) struct OffsetMap {
    offsets: FxHashMap<Box<[u8]>, i64>,
    bytes_left: usize,
    latest_offset: i64,
}

impl OffsetMap {
    /// A map that holds `max_bytes` of keys.
    pub(super) fn new(max_bytes: usize, latest_offset: i64) -> Self {
        Self { offsets: FxHashMap::default(), bytes_left: max_bytes, latest_offset }
    }

    /// Notes that `key` was last seen at `offset`; false when there is no room, unless it must go in.
    pub(super) fn put(&mut self, key: &[u8], offset: i64, must: bool) -> bool {
        if let Some(last) = self.offsets.get_mut(key) {
            *last = offset;
            return true;
        }
        let cost = key.len() + OVERHEAD;
        if cost > self.bytes_left && !must {
            return false;
        }
        self.bytes_left = self.bytes_left.saturating_sub(cost);
        self.offsets.insert(key.into(), offset);
        true
    }

    /// Where `key` was last seen; -1 if it was not.
    pub(super) fn get(&self, key: &[u8]) -> i64 {
        self.offsets.get(key).copied().unwrap_or(-1)
    }

    /// The last offset that was looked at.
    pub(super) const fn latest_offset(&self) -> i64 {
        self.latest_offset
    }

    pub(super) fn set_latest_offset(&mut self, offset: i64) {
        self.latest_offset = self.latest_offset.max(offset);
    }
}
