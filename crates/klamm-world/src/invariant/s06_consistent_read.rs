//! S6: what a client was shown stays what it is.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const S6: Invariant = Invariant {
    id: "S6",
    name: "ConsistentRead",
    statement: "a record that a client was shown lay below the high watermark, is shown the same to everybody, and stays in the leader's \
                log until compaction, retention or deletion takes it",
    when: When::Event,
};

/// A broker shows a client a batch, with this high watermark.
pub(super) fn shown(
    partition: &mut Partition,
    by: NodeId,
    entry: Entry,
    high_watermark: i64,
    report: &mut Report,
) {
    if entry.base >= high_watermark {
        let what = format!("{by} showed offset {} at high watermark {high_watermark}", entry.base);
        report.violation(S6, &partition.name, what);
    }
    if partition.is_compacted() {
        return;
    }
    let before = partition.consumed.entry(entry.base).or_insert(entry);
    if *before != entry {
        let what = format!("{by} showed another record at offset {} than was shown before", entry.base);
        report.violation_unless(partition.excuse(), S6, &partition.name, what);
    }
}

/// Everything that was shown, in the leader's log.
pub(super) fn scan(partition: &Partition, report: &mut Report) {
    let Some((id, leader)) = partition.true_leader() else { return };
    if partition.is_compacted() {
        return;
    }
    for (base, shown) in partition.consumed.range(leader.view.log_start..) {
        if leader.log.at(*base) != Some(shown) {
            let what = format!("leader {id} does not hold what a client was shown at offset {base}");
            report.violation_unless(partition.excuse(), S6, &partition.name, what);
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, entry, found, healthy};

    #[test]
    fn what_is_shown_too_early_or_changes_or_goes_is_found() {
        let mut partition = healthy();
        let mut show = |entry, high_watermark| {
            found(|report| shown(&mut partition, FOLLOWER, entry, high_watermark, report))
        };
        assert!(show(entry(5, 9, 0), 10).is_empty());
        assert_eq!(show(entry(10, 10, 0), 10), ["S6"]);
        assert_eq!(show(entry(5, 9, 1), 10), ["S6"]);
        partition.consumed.remove(&10);
        assert!(found(|report| scan(&partition, report)).is_empty());
        partition.cut(LEADER, 5);
        assert_eq!(found(|report| scan(&partition, report)), ["S6"]);
    }
}
