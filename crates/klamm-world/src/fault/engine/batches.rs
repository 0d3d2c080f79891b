//! Where the batches of a log segment lie, read from its bytes alone.

/// Offset and size of a batch in front of what its header says of itself.
const OVERHEAD: usize = 12;
/// Where a batch says how far its last offset is from its base offset (`DefaultRecordBatch.LAST_OFFSET_DELTA_OFFSET`).
const LAST_OFFSET_DELTA: usize = 23;

/// One batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// Where it begins.
    pub(super) position: u64,
    /// Its bytes.
    pub(super) size: u64,
    base_offset: i64,
    /// The offset of its last record.
    pub(super) last_offset: i64,
}

impl Batch {
    /// Whether it holds the record at an offset.
    pub(super) const fn holds(&self, offset: i64) -> bool {
        self.base_offset <= offset && offset <= self.last_offset
    }
}

/// The batches of a segment, up to the first that is not whole.
pub(super) fn of(segment: &[u8]) -> impl Iterator<Item = Batch> {
    let mut position = 0;
    std::iter::from_fn(move || {
        let rest = segment.get(position..)?;
        let base_offset = i64::from_be_bytes(rest.get(..8)?.try_into().ok()?);
        let length = i32::from_be_bytes(rest.get(8..OVERHEAD)?.try_into().ok()?);
        let delta = rest.get(LAST_OFFSET_DELTA..LAST_OFFSET_DELTA + 4)?;
        let last_offset = base_offset.checked_add(i32::from_be_bytes(delta.try_into().ok()?).into())?;
        let size = usize::try_from(length).ok()?.checked_add(OVERHEAD)?;
        if size > rest.len() {
            return None;
        }
        let batch = Batch { position: position as u64, size: size as u64, base_offset, last_offset };
        position += size;
        Some(batch)
    })
}
