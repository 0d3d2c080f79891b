//! Duplicates: one value at two offsets, or in two partitions.

use super::anomaly::{Anomaly, Kind};
use super::known::Known;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    for (value, places) in known.places.iter().filter(|(_, places)| places.len() > 1) {
        let places: Vec<_> =
            places.iter().map(|(partition, offset)| format!("{partition}@{offset}")).collect();
        let who = known.sends.get(value).map_or("nobody", |send| send.who);
        let what = format!("{value} of {who} is at {}", places.join(" and at "));
        found.push(Anomaly::new(Kind::Duplicate, what, known.may_repeat(who)));
    }
}
