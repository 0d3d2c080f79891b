//! Times with a unit, such as `30s`, which KDL itself has no word for.
//!
//! KDL lets no bare word begin with a digit. So before the text is parsed, the first digit of each time becomes a `_`:
//! every byte keeps its place, and the value is read from the text itself.

use std::collections::BTreeSet;
use std::time::Duration;

/// Units, by how many nanoseconds they have; a longer name before its own head.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];
/// Blocks, and comments in comments, may lie this deep: the parser recurses.
const MAX_DEPTH: usize = 32;

/// What a look over the text found.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The text for the parser.
    pub(super) text: String,
    /// Where times begin.
    pub(super) times: BTreeSet<usize>,
    /// Where blocks lie too deep.
    pub(super) too_deep: Option<usize>,
}

/// Looks over `text` for times, outside of strings and comments.
pub(super) fn scan(text: &str) -> Scanned {
    let mut bytes = text.as_bytes().to_vec();
    let (mut times, mut too_deep, mut depth, mut at) = (BTreeSet::new(), None, 0_usize, 0);
    let mut before = b' ';
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let skipped = if rest.starts_with(b"//") {
            rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            let (len, deep) = comment(rest);
            if deep {
                too_deep.get_or_insert(at);
            }
            len
        } else {
            string(rest).unwrap_or_default()
        };
        if skipped > 0 {
            at += skipped;
            before = b' ';
            continue;
        }
        let byte = rest[0];
        match byte {
            b'{' | b'(' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    too_deep.get_or_insert(at);
                }
            }
            b'}' | b')' => depth = depth.saturating_sub(1),
            b'0'..=b'9' if matches!(before, b' ' | b'\t' | b'\n' | b'\r' | b'=' | b';' | b'{' | b'\\') => {
                let end = rest.iter().position(|byte| !is_word(*byte)).unwrap_or(rest.len());
                if parse(&text[at..at + end]).is_some() {
                    bytes[at] = b'_';
                    times.insert(at);
                }
                at += end;
                before = b'0';
                continue;
            }
            _ => {}
        }
        before = byte;
        at += 1;
    }
    let text = String::from_utf8(bytes).expect("only ASCII digits were replaced");
    Scanned { text, times, too_deep }
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+') || byte >= 0x80
}

/// The length of the comment that begins here, and whether it lies too deep in itself.
fn comment(rest: &[u8]) -> (usize, bool) {
    let (mut depth, mut at, mut deep) = (0_usize, 0, false);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            deep |= depth > MAX_DEPTH;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return (at, deep);
            }
        } else {
            at += 1;
        }
    }
    (rest.len(), deep)
}

/// The length of the string that begins here, if one does.
fn string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    let quoted = &rest[hashes..];
    let quotes = if quoted.starts_with(b"\"\"\"") { 3 } else { usize::from(quoted.starts_with(b"\"")) };
    if quotes == 0 {
        return None;
    }
    let mut at = hashes + quotes;
    while at < rest.len() {
        if hashes == 0 && rest[at] == b'\\' {
            at += 2;
            continue;
        }
        let tail = &rest[at..];
        let closes = tail.len() >= quotes + hashes
            && tail[..quotes].iter().all(|byte| *byte == b'"')
            && tail[quotes..quotes + hashes].iter().all(|byte| *byte == b'#');
        if closes {
            return Some(at + quotes + hashes);
        }
        at += 1;
    }
    Some(rest.len())
}

/// The time that `text` is: `30s`, `1.5s`, `250ms`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| c != '.' && !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || fraction.len() > 9 || (number.contains('.') && fraction.is_empty()) {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(*nanos)?;
    let fraction = if fraction.is_empty() {
        0
    } else {
        let parts = fraction.parse::<u128>().ok()? * u128::from(*nanos);
        u64::try_from(parts / 10_u128.pow(u32::try_from(fraction.len()).ok()?)).ok()?
    };
    Some(Duration::from_nanos(whole.checked_add(fraction)?))
}

/// A time as it reads in a scenario: in the largest unit of which it is a whole number.
pub(crate) fn show(time: Duration) -> String {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (name, unit) = UNITS.iter().rev().find(|(_, unit)| nanos % unit == 0).unwrap_or(&UNITS[0]);
    if nanos == 0 {
        return "0s".to_owned();
    }
    format!("{}{name}", nanos / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_times() {
        for (text, nanos) in [
            ("30s", 30_000_000_000),
            ("250ms", 250_000_000),
            ("1.5s", 1_500_000_000),
            ("2us", 2_000),
            ("1h", 3_600_000_000_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        for text in ["30", "s", "3 s", "-1s", "1.s", ".5s", "3x", "99999999999999999999s"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(show(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show(Duration::from_secs(120)), "2m");
        assert_eq!(show(Duration::ZERO), "0s");
    }

    #[test]
    fn leaves_strings_and_comments_alone() {
        let scanned = scan("a 3s b=4ms \"5s\" #\"6s\"# // 7s\n/* 8s */ 9 t-3s \"\"\"\n1s\n\"\"\" 2s");
        assert_eq!(scanned.text, "a _s b=_ms \"5s\" #\"6s\"# // 7s\n/* 8s */ 9 t-3s \"\"\"\n1s\n\"\"\" _s");
    }
}
