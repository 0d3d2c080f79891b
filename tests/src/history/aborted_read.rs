//! Aborted reads (G1a): somebody read a value whose send had certainly failed, or whose transaction did not commit.
//!
//! A consumer at `read_uncommitted` may read what is aborted, but not what failed.

use super::anomaly::{Anomaly, Kind};
use super::event::Outcome;
use super::known::{Fate, Known};

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    for read in &known.reads {
        let Some(send) = known.sends.get(&read.value) else { continue };
        if known.fate(send) != Fate::Aborted {
            continue;
        }
        let failed = send.outcome == Outcome::Failed;
        let why = if failed { "failed" } else { "was aborted" };
        let what =
            format!("{} read {} at {}@{}, which {why}", read.who, read.value, read.partition, read.offset);
        let allowed = !failed && !read.read_committed;
        let allowed = allowed.then_some("read_uncommitted reads what is aborted too");
        found.push(Anomaly::new(Kind::AbortedRead, what, allowed));
    }
}
