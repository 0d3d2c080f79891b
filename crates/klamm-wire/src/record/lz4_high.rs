//! LZ4 at a level: the thorough search of `compression.lz4.level`, for which `lz4_flex` has no compressor.
//!
//! Kafka's `Lz4BlockOutputStream` uses lz4-java's fast compressor at the default level and its high compressor at any other. The
//! blocks here are not those to the byte; a higher level looks at more candidates for each match, as it does there.

/// How many bytes go into a block, which is also as far as a match may reach back.
const BLOCK: usize = 64 * 1024;
/// The shortest match that a sequence can tell.
const MIN_MATCH: usize = 4;
/// A block ends with at least so many literals.
const LAST_LITERALS: usize = 5;
/// No match begins among the last so many bytes of a block.
const MATCH_MARGIN: usize = 12;
const HASH_BITS: u32 = 15;
/// No place.
const NONE: u32 = u32::MAX;

/// The frame's magic number, version 1 with independent blocks of at most 64 KiB and no checksums, and the check byte of that.
const HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// Marks a block that is stored as it is.
const STORED: u32 = 1 << 31;

/// One frame of all of `bytes`.
pub(super) fn frame(bytes: &[u8], level: i32) -> Vec<u8> {
    let mut out = HEAD.to_vec();
    for bytes in bytes.chunks(BLOCK) {
        let start = out.len();
        out.extend([0; 4]);
        block(bytes, attempts(level), &mut out);
        let mut size = out.len() - start - 4;
        let mut mark = 0;
        if size >= bytes.len() {
            out.truncate(start + 4);
            out.extend_from_slice(bytes);
            (size, mark) = (bytes.len(), STORED);
        }
        // A block is at most 64 KiB.
        out[start..start + 4].copy_from_slice(&(size as u32 | mark).to_le_bytes());
    }
    out.extend([0; 4]);
    out
}

/// How many candidates are looked at for a match: twice as many with each level (`LZ4HCJavaSafeCompressor`), up to level 12, the last
/// that the C library tells apart.
fn attempts(level: i32) -> usize {
    1 << level.clamp(1, 12).saturating_sub(1)
}

/// Where each sequence of four bytes was seen last, and where before that.
struct Chains<'a> {
    bytes: &'a [u8],
    heads: Vec<u32>,
    before: Vec<u32>,
    /// The next place to be noted.
    next: usize,
}

/// Bytes that are there already: where they begin, and how many.
#[derive(Clone, Copy)]
struct Match {
    from: usize,
    len: usize,
}

impl<'a> Chains<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, heads: vec![NONE; 1 << HASH_BITS], before: vec![NONE; bytes.len()], next: 0 }
    }

    fn hash(&self, at: usize) -> usize {
        let bytes = &self.bytes[at..at + MIN_MATCH];
        let word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        (word.wrapping_mul(2_654_435_761) >> (32 - HASH_BITS)) as usize
    }

    /// The longest match of the bytes at a place.
    fn longest(&mut self, at: usize, attempts: usize) -> Option<Match> {
        for place in self.next..at {
            let hash = self.hash(place);
            self.before[place] = std::mem::replace(&mut self.heads[hash], place as u32);
        }
        self.next = self.next.max(at);
        let here = &self.bytes[at..self.bytes.len() - LAST_LITERALS];
        let mut best = Match { from: 0, len: MIN_MATCH - 1 };
        let mut candidate = self.heads[self.hash(at)];
        for _ in 0..attempts {
            // What reaches to the end cannot be outdone.
            if candidate == NONE || best.len == here.len() {
                break;
            }
            let from = candidate as usize;
            if self.bytes[from + best.len] == here[best.len] {
                let len = here.iter().zip(&self.bytes[from..]).take_while(|(a, b)| a == b).count();
                if len > best.len {
                    best = Match { from, len };
                }
            }
            candidate = self.before[from];
        }
        (best.len >= MIN_MATCH).then_some(best)
    }
}

/// One block: sequences of literals and a match, the last without a match.
fn block(bytes: &[u8], attempts: usize, out: &mut Vec<u8>) {
    let mut chains = Chains::new(bytes);
    // Where the literals begin that are not written yet.
    let mut anchor = 0;
    let mut at = 0;
    let ends = bytes.len().saturating_sub(MATCH_MARGIN - 1);
    while at < ends {
        let Some(mut found) = chains.longest(at, attempts) else {
            at += 1;
            continue;
        };
        // A match that begins a byte later may be worth the literal.
        while at + 1 < ends
            && let Some(later) = chains.longest(at + 1, attempts)
            && later.len > found.len
        {
            at += 1;
            found = later;
        }
        sequence(out, &bytes[anchor..at], Some((at - found.from, found.len)));
        at += found.len;
        anchor = at;
    }
    sequence(out, &bytes[anchor..], None);
}

/// Literals, and how far back how many bytes to repeat begin.
fn sequence(out: &mut Vec<u8>, literals: &[u8], repeat: Option<(usize, usize)>) {
    let more = repeat.map_or(0, |(_, len)| len - MIN_MATCH);
    // Each half of the token is at most 15.
    out.push(((literals.len().min(15) << 4) | more.min(15)) as u8);
    length(out, literals.len());
    out.extend_from_slice(literals);
    if let Some((back, _)) = repeat {
        // Within one block, less than 64 KiB.
        out.extend_from_slice(&(back as u16).to_le_bytes());
        length(out, more);
    }
}

/// What of a length a half token does not hold.
fn length(out: &mut Vec<u8>, len: usize) {
    let Some(mut rest) = len.checked_sub(15) else { return };
    while rest >= 255 {
        out.push(255);
        rest -= 255;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Read as _;

    fn unpacked(frame: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        lz4_flex::frame::FrameDecoder::new(frame).read_to_end(&mut out).unwrap();
        out
    }

    proptest! {
        /// Few different bytes, so that there is much to match, in lengths around those at which the rules change.
        #[test]
        fn what_was_packed_is_there_again(
            bytes in prop_oneof![
                proptest::collection::vec(0u8..3, 0..40),
                proptest::collection::vec(0u8..5, 0..3_000),
                proptest::collection::vec(any::<u8>(), 0..2_000),
                (proptest::collection::vec(0u8..9, 1..400), 65_000usize..66_500)
                    .prop_map(|(part, len)| part.into_iter().cycle().take(len).collect()),
            ],
            level in 1..=17i32,
        ) {
            let packed = frame(&bytes, level);
            prop_assert!(packed.len() <= bytes.len() + HEAD.len() + 4 * (2 + bytes.len() / BLOCK));
            prop_assert_eq!(unpacked(&packed), bytes);
        }
    }

    #[test]
    fn a_higher_level_packs_tighter() {
        let bytes = (0u32..100_000).scan(1u32, |state, _| {
            *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            Some((*state >> 24) as u8 & 7)
        });
        let text: Vec<u8> = bytes.collect();
        let sizes = [1, 3, 5, 8].map(|level| frame(&text, level).len());
        assert!(sizes.windows(2).all(|pair| pair[1] < pair[0]), "{sizes:?} of {}", text.len());
    }
}
