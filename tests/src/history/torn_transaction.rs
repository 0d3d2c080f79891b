//! Torn transactions: a reader of committed records has seen some of a transaction, and some of it is not there.
//!
//! It does not matter what the producer was told: whoever sees one record of a transaction knows that it was committed.

use super::anomaly::{Anomaly, Kind};
use super::event::Outcome;
use super::known::Known;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    for (name, transaction) in &known.transactions {
        let (seen, unseen): (Vec<u64>, Vec<u64>) =
            transaction.values.iter().partition(|value| known.seen_committed.contains(value));
        if seen.is_empty() {
            continue;
        }
        let must_be_there = |value: &u64| {
            let send = &known.sends[value];
            let up_to = known.read_up_to.get(send.to).copied().unwrap_or(0);
            let passed = known.offset(*value).is_some_and(|offset| offset < up_to);
            send.outcome != Outcome::Failed && (passed || known.ends.contains_key(send.to))
        };
        let missing: Vec<_> = unseen.into_iter().filter(must_be_there).collect();
        if !missing.is_empty() {
            let what = format!("of {name}, {seen:?} can be seen and {missing:?} cannot");
            found.push(Anomaly::forbidden(Kind::TornTransaction, what));
        }
    }
}
