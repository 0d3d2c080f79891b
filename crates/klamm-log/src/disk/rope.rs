//! A file's bytes as a list of shared slices.

use std::cell::Cell;

use bytes::Bytes;

/// A read of more slices than this, each smaller than [`SMALL`], is copied into one: to carry a slice costs more than to copy
/// its bytes.
const MANY: usize = 8;
/// In bytes. Smaller than half a batch of one record of 1 KiB.
const SMALL: usize = 384;

/// How many slices from the last one read a reader is looked for before all are searched: a head, a body, a head.
const NEAR: usize = 4;

/// Slices one after another; appending keeps a slice, reading shares it.
#[derive(Debug, Clone, Default)]
pub(super) struct Rope {
    chunks: Vec<Chunk>,
    len: u64,
    /// Where the last reader was: batches are walked one after another.
    last_read: Cell<usize>,
}

#[derive(Debug, Clone)]
struct Chunk {
    start: u64,
    bytes: Bytes,
}

impl Rope {
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let start = self.len;
        self.len += bytes.len() as u64;
        self.chunks.push(Chunk { start, bytes });
    }

    /// Index of the chunk that holds `position`, which must be below the length.
    fn chunk_at(&self, position: u64) -> usize {
        let ends_behind = |at: usize| self.chunks.get(at + 1).is_none_or(|next| next.start > position);
        let near = self.last_read.get();
        let at = match (self.chunks.last(), self.chunks.get(near)) {
            (Some(last), _) if position >= last.start => self.chunks.len() - 1,
            (_, Some(chunk)) if chunk.start <= position && ends_behind(near + NEAR) => {
                (near..).find(|at| ends_behind(*at)).unwrap_or(near)
            }
            _ => self.search(position),
        };
        self.last_read.set(at);
        at
    }

    /// As [`Rope::chunk_at`], from the end: most readers are close behind the writer, and what lies far from it is in nobody's cache.
    fn search(&self, position: u64) -> usize {
        let count = self.chunks.len();
        let mut back = 1;
        while back < count && self.chunks[count - back].start > position {
            back *= 2;
        }
        let (from, to) = (count.saturating_sub(back), count - back / 2);
        from + self.chunks[from..to].partition_point(|chunk| chunk.start <= position) - 1
    }

    pub(super) fn read(&self, position: u64, len: usize, out: &mut Vec<Bytes>) {
        let end = self.len.min(position.saturating_add(len as u64));
        if position >= end {
            return;
        }
        let mut left = (end - position) as usize;
        let mut at = self.chunk_at(position);
        let mut skip = (position - self.chunks[at].start) as usize;
        let count = self.chunks[at..].partition_point(|c| c.start < end);
        if count > MANY && left / count < SMALL {
            let mut joined = Vec::with_capacity(left);
            for chunk in &self.chunks[at..at + count] {
                let bytes = &chunk.bytes[skip..];
                joined.extend_from_slice(&bytes[..bytes.len().min(left - joined.len())]);
                skip = 0;
            }
            out.push(joined.into());
            return;
        }
        while left > 0 {
            let bytes = &self.chunks[at].bytes;
            let take = left.min(bytes.len() - skip);
            out.push(if take == bytes.len() { bytes.clone() } else { bytes.slice(skip..skip + take) });
            left -= take;
            skip = 0;
            at += 1;
        }
    }

    pub(super) fn read_into(&self, position: u64, buffer: &mut [u8]) -> usize {
        if position >= self.len {
            return 0;
        }
        let mut at = self.chunk_at(position);
        let mut skip = (position - self.chunks[at].start) as usize;
        let mut filled = 0;
        while filled < buffer.len() && at < self.chunks.len() {
            let bytes = &self.chunks[at].bytes[skip..];
            let take = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + take].copy_from_slice(&bytes[..take]);
            filled += take;
            skip = 0;
            at += 1;
        }
        filled
    }

    pub(super) fn truncate(&mut self, len: u64) {
        if len >= self.len {
            return;
        }
        self.chunks.truncate(self.chunks.partition_point(|c| c.start < len));
        if let Some(last) = self.chunks.last_mut() {
            last.bytes.truncate((len - last.start) as usize);
        }
        self.len = len;
    }

    /// Flips bits of the byte at `position`, which must be below the length. Who shares the slice does not see it.
    pub(super) fn flip(&mut self, position: u64, mask: u8) {
        let at = self.chunk_at(position);
        let chunk = &mut self.chunks[at];
        let mut bytes = chunk.bytes.to_vec();
        bytes[(position - chunk.start) as usize] ^= mask;
        chunk.bytes = bytes.into();
    }

    /// Everything, copied into one piece.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len as usize);
        for chunk in &self.chunks {
            out.extend_from_slice(&chunk.bytes);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_from_wherever_the_last_reader_was() {
        for count in [1, 2, 3, 4, 5, 8, 13, 40] {
            let mut rope = Rope::default();
            for chunk in 0..count {
                rope.push(Bytes::from(vec![chunk; 1 + usize::from(chunk) % 3]));
            }
            let whole = rope.to_vec();
            for last in 0..usize::from(count) {
                for (position, byte) in whole.iter().enumerate() {
                    rope.last_read.set(last);
                    let mut found = [0xff];
                    rope.read_into(position as u64, &mut found);
                    assert_eq!(found, [*byte], "byte {position} of {count} chunks, last read in {last}");
                }
            }
        }
    }
}
