//! Non-monotonic sends: two values of one producer lie in one partition in another order than that in which it sent them.

use std::collections::BTreeMap;

use super::anomaly::{Anomaly, Kind};
use super::known::Known;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (value, send) in &known.sends {
        if let Some(offset) = known.offset(*value) {
            lanes.entry((send.who, send.to)).or_default().push((send.at, offset, *value));
        }
    }
    for ((who, to), mut sends) in lanes {
        sends.sort_unstable();
        for pair in sends.windows(2) {
            let [(_, first_at, first), (_, second_at, second)] = [pair[0], pair[1]];
            if second_at <= first_at {
                let what = format!(
                    "{who} sent {first}, then {second}; they are at {to}@{first_at} and @{second_at}"
                );
                found.push(Anomaly::new(Kind::NonmonotonicSend, what, known.may_repeat(who)));
            }
        }
    }
}
