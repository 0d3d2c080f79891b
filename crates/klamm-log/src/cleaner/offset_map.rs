//! The last offset of each key, within bounded memory (`SkimpyOffsetMap`): keys are told apart by a 128-bit hash.

use rustc_hash::FxHashMap;

use super::hash::hash128;

/// Bytes that Kafka counts for a key: its hash (16) and its offset (8).
const ENTRY_BYTES: usize = 24;

/// The last offset of each key.
#[derive(Debug, Clone)]
pub(super) struct OffsetMap {
    offsets: FxHashMap<[u64; 2], i64>,
    most: usize,
    latest_offset: i64,
}

impl OffsetMap {
    /// A map that holds as many keys as fit into `bytes`, filled up to `load_factor`; at least one, so that each cleaning gets on.
    pub(super) fn new(bytes: u64, load_factor: f64, latest_offset: i64) -> Self {
        let slots = usize::try_from(bytes).unwrap_or(usize::MAX) / ENTRY_BYTES;
        let most = ((slots as f64 * load_factor) as usize).max(1);
        Self { offsets: FxHashMap::default(), most, latest_offset }
    }

    /// Notes that `key` was last seen at `offset`; false when the map is full. A full map takes nothing more, not even keys that
    /// it has: everything above its latest offset waits for the next cleaning.
    pub(super) fn put(&mut self, key: &[u8], offset: i64) -> bool {
        if self.offsets.len() >= self.most {
            return false;
        }
        self.offsets.insert(hash128(key), offset);
        self.latest_offset = self.latest_offset.max(offset);
        true
    }

    /// Where `key` was last seen; -1 if it was not.
    pub(super) fn get(&self, key: &[u8]) -> i64 {
        self.offsets.get(&hash128(key)).copied().unwrap_or(-1)
    }

    /// The last offset that was looked at.
    pub(super) const fn latest_offset(&self) -> i64 {
        self.latest_offset
    }

    pub(super) fn set_latest_offset(&mut self, offset: i64) {
        self.latest_offset = self.latest_offset.max(offset);
    }
}

#[cfg(test)]
mod tests {
    use super::OffsetMap;

    #[test]
    fn a_map_holds_as_many_keys_as_fit_and_then_nothing_more() {
        let mut map = OffsetMap::new(10 * 24, 0.9, -1);
        for n in 0..9_u8 {
            assert!(map.put(&[n], n.into()));
        }
        assert!(!map.put(&[0], 9), "not even a key that it has");
        assert_eq!((map.latest_offset(), map.get(&[0]), map.get(&[9])), (8, 0, -1));
    }

    #[test]
    fn a_map_without_room_takes_one_key() {
        let mut map = OffsetMap::new(0, 0.9, 4);
        assert!(map.put(b"key", 5));
        assert!(!map.put(b"other", 6));
        assert_eq!(map.latest_offset(), 5);
    }
}
