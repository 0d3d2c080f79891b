//! Inconsistent offsets: two values were seen, or acknowledged, at one offset.

use std::collections::{BTreeMap, BTreeSet};

use super::anomaly::{Anomaly, Kind};
use super::known::Known;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    let mut values: BTreeMap<(&str, i64), BTreeSet<u64>> = BTreeMap::new();
    for (value, places) in &known.places {
        for place in places {
            values.entry(*place).or_default().insert(*value);
        }
    }
    for ((partition, offset), values) in values.into_iter().filter(|(_, values)| values.len() > 1) {
        let what = format!("at {partition}@{offset} there are {values:?}");
        let who = |value: &u64| known.sends.get(value).map_or("nobody", |send| send.who);
        // What a leader acknowledged alone may be replaced by what its successor gets.
        let allowed = values.iter().find_map(|value| known.may_lose(who(value)));
        found.push(Anomaly::new(Kind::InconsistentOffset, what, allowed));
    }
}
