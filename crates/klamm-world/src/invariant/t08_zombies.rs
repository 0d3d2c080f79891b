//! T8 and T11: who was overtaken writes nothing more.

use super::ghost::Partition;
use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const T8: Invariant = Invariant {
    id: "T8",
    name: "ZombieFencing",
    statement: "what is written once InitProducerId has told an epoch, or behind a marker of it in a partition, is no transactional record of an earlier one",
    when: When::Event,
};

pub(super) const T11: Invariant = Invariant {
    id: "T11",
    name: "CoordinatorEpochMonotone",
    statement: "the epoch of the coordinator that writes a producer's markers does not go back along a log",
    when: When::Event,
};

/// Records of a transaction were committed; `fence` is the epoch that their producer had last been given when they were written. What a stale leader
/// commits may show later.
pub(super) fn written(partition: &Partition, entry: &Entry, fence: Option<i16>, report: &mut Report) {
    let marker = partition.txns.markers.get(&entry.producer_id).map(|(epoch, _)| *epoch);
    if let Some(newest) = fence.max(marker).filter(|newest| *newest > entry.producer_epoch) {
        let what = format!(
            "offset {} is of {}:{}, which epoch {newest} has fenced",
            entry.base, entry.producer_id, entry.producer_epoch
        );
        report.violation(T8, &partition.name, what);
    }
}

/// A marker was committed.
pub(super) fn marker(partition: &mut Partition, entry: &Entry, coordinator_epoch: i32, report: &mut Report) {
    let now = (entry.producer_epoch, coordinator_epoch);
    let before = partition.txns.markers.insert(entry.producer_id, now);
    if let Some((_, before)) = before.filter(|(_, before)| *before > coordinator_epoch) {
        let what = format!(
            "the marker of producer {} at {} is of coordinator epoch {coordinator_epoch}, the one before of {before}",
            entry.producer_id, entry.base
        );
        report.violation(T11, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{entry, found, healthy};

    #[test]
    fn a_zombie_is_found() {
        let mut partition = healthy();
        let batch =
            |epoch| Entry { producer_id: 7, producer_epoch: epoch, transactional: true, ..entry(10, 14, 0) };
        let write = |partition: &Partition, epoch, fence| {
            found(|report| written(partition, &batch(epoch), fence, report))
        };
        assert!(write(&partition, 3, None).is_empty() && write(&partition, 3, Some(3)).is_empty());
        assert_eq!(write(&partition, 3, Some(4)), ["T8"]);
        found(|report| marker(&mut partition, &batch(4), 0, report));
        assert_eq!(write(&partition, 3, None), ["T8"]);
        assert!(write(&partition, 4, None).is_empty());
    }

    #[test]
    fn a_coordinator_that_was_overtaken_is_found() {
        let mut partition = healthy();
        let batch = Entry { producer_id: 7, producer_epoch: 0, control: true, ..entry(10, 10, 0) };
        let mut mark = |epoch| found(|report| marker(&mut partition, &batch, epoch, report));
        assert!(mark(2).is_empty() && mark(2).is_empty() && mark(3).is_empty());
        assert_eq!(mark(2), ["T11"]);
    }
}
