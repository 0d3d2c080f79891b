//! Lost writes: a value that is known to be committed is not there.
//!
//! As Jepsen has it, a write is lost when somebody has read beyond it and nobody has read it. One that lies above all that was
//! read is merely unseen; once everything was read to its end, it has to be there too.

use super::anomaly::{Anomaly, Kind};
use super::known::{Fate, Known};

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    let missing = known.sends.iter().filter(|(value, _)| !known.seen_committed.contains(value));
    for (value, send) in missing {
        if known.fate(send) != Fate::Committed || is_torn(known, send.transaction) {
            continue;
        }
        let to = send.to;
        let up_to = known.read_up_to.get(to).copied().unwrap_or(0);
        let (kind, what) = match known.offset(*value) {
            Some(offset) if offset < up_to => {
                let what =
                    format!("{value} of {} is at {to}@{offset}, below {up_to}, and nobody saw it", send.who);
                (Kind::LostWrite, what)
            }
            // Without an offset, it lies somewhere; but it must be somewhere.
            place if known.ends.contains_key(to) => {
                let place = place.map_or_else(String::new, |offset| format!("@{offset}"));
                let what = format!(
                    "{value} of {} is at {to}{place}, and nobody who read all of it saw it",
                    send.who
                );
                (Kind::Unseen, what)
            }
            _ => continue,
        };
        found.push(Anomaly::new(kind, what, known.may_lose(send.who)));
    }
}

/// Whether some of the transaction was seen: then what is missing of it is told as a tear.
fn is_torn(known: &Known<'_>, transaction: Option<&str>) -> bool {
    transaction.is_some_and(|name| {
        known.transactions[name].values.iter().any(|value| known.seen_committed.contains(value))
    })
}
