//! Poll skips and non-monotonic polls: between two records of one partition that one consumer got one after the other, a value
//! lies that it should have seen; or the second does not lie behind the first.
//!
//! Where the consumer's position began anew between the two (an assignment, a rebalance, a seek), it may be anywhere. Jepsen
//! allows both to any consumer that subscribes, since its clients do not tell when they were rebalanced; these do, and what they
//! keep through a rebalance they read on.

use std::collections::{BTreeMap, BTreeSet};

use super::anomaly::{Anomaly, Kind};
use super::event::{Event, Record};
use super::known::{Fate, Known};

/// Where the values lie that every consumer sees, by partition.
type Visible<'a> = BTreeMap<&'a str, BTreeSet<i64>>;

pub(super) fn find(known: &Known<'_>, found: &mut Vec<Anomaly>) {
    let visible = visible(known);
    let mut last: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for event in &known.history.events {
        match event {
            Event::Moved { who, partitions } => {
                for partition in partitions {
                    last.remove(&(who.as_str(), partition.as_str()));
                }
            }
            Event::Polled { who, records } => {
                for (partition, records) in records {
                    let last = last.entry((who, partition)).or_insert(-1);
                    for Record { offset, .. } in records {
                        // The first after a move may lie anywhere.
                        if *last >= 0 {
                            compare(who, partition, *last, *offset, &visible, found);
                        }
                        *last = *offset;
                    }
                }
            }
            _ => {}
        }
    }
}

fn compare(
    who: &str,
    partition: &str,
    last: i64,
    next: i64,
    visible: &Visible<'_>,
    found: &mut Vec<Anomaly>,
) {
    if next <= last {
        let what = format!("{who} read {partition}@{next} after {partition}@{last}");
        found.push(Anomaly::forbidden(Kind::NonmonotonicPoll, what));
        return;
    }
    let between = visible.get(partition).and_then(|offsets| offsets.range(last + 1..next).next());
    if let Some(skipped) = between {
        let what = format!("{who} read {partition}@{next} after {partition}@{last}, and skipped {skipped}");
        found.push(Anomaly::forbidden(Kind::PollSkip, what));
    }
}

fn visible<'a>(known: &Known<'a>) -> Visible<'a> {
    let mut visible = Visible::new();
    for (value, places) in &known.places {
        let committed = known
            .sends
            .get(value)
            .is_some_and(|send| known.fate(send) == Fate::Committed && known.may_lose(send.who).is_none());
        if committed || known.seen_committed.contains(value) {
            for (partition, offset) in places {
                visible.entry(partition).or_default().insert(*offset);
            }
        }
    }
    visible
}
