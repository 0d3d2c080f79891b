//! Precommitted reads: a reader of committed records saw a value before its producer had even asked to commit it.
//!
//! The line of a poll is written after it, and the line that asks before it is asked; so where both are of one program, the order of
//! the lines is the order in which things happened.

use super::anomaly::{Anomaly, Kind};
use super::known::Known;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    for read in &known.reads {
        let Some(name) = known.sends.get(&read.value).and_then(|send| send.transaction) else { continue };
        if known.transactions[name].asked_to_commit.is_some_and(|asked| read.at < asked) {
            let what = format!("{} read {}, and {name} was not asked to commit yet", read.who, read.value);
            let allowed = (!read.read_committed).then_some("read_uncommitted reads what is undecided too");
            found.push(Anomaly::new(Kind::PrecommittedRead, what, allowed));
        }
    }
}
