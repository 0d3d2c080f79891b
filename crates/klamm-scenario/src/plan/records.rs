//! Names of records: one each, or `r0..r9` for ten.

use super::Planner;
use super::read::Read;
use crate::error::Mistake;
use crate::line::{Line, Span};

/// The most records that one range names.
const MAX_RANGE: u64 = 100_000;

impl Planner<'_> {
    /// The records that the arguments from the `first`th on name, and where.
    pub(super) fn named_from(&mut self, line: &Line, first: usize) -> Vec<(String, Span)> {
        let mut records = Vec::new();
        for (at, arg) in line.args.iter().enumerate().skip(first) {
            let names = self.named(&line.text(at), arg.span);
            records.extend(names.into_iter().map(|name| (name, arg.span)));
        }
        records
    }

    /// The records that `text` names.
    pub(super) fn named(&mut self, text: &str, span: Span) -> Vec<String> {
        let Some((prefix, from, to)) = range(text) else { return vec![text.to_owned()] };
        if from > to {
            let message = format!("the range `{text}` is upside down");
            let right = format!("did you mean `{prefix}{to}..{prefix}{from}`?");
            self.mistakes.push(Mistake::new(message, span, "names no record").help(right));
            return Vec::new();
        }
        if to - from >= MAX_RANGE {
            self.wrong(format!("a range is at most {MAX_RANGE} records"), span, "too many");
            return Vec::new();
        }
        (from..=to).map(|number| format!("{prefix}{number}")).collect()
    }
}

/// What `r0..r9` begins with, its first and its last number; `None` for what is no range.
fn range(text: &str) -> Option<(&str, u64, u64)> {
    let split = |name: &'_ str| name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (first, last) = text.split_once("..")?;
    let ((prefix, from), (other, to)) = (first.split_at(split(first)), last.split_at(split(last)));
    (prefix == other).then_some(())?;
    Some((prefix, from.parse().ok()?, to.parse().ok()?))
}
