//! G9: a group that commits after it has read misses nothing.

use std::collections::BTreeMap;

use klamm_node::TopicPartition;
use klamm_wire::StrBytes;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const G9: Invariant = Invariant {
    id: "G9",
    name: "AtLeastOnce",
    statement: "every record below an offset that a group committed was handed to a member of it, unless it was deleted before",
    when: When::Event,
};

/// What members of groups were handed, by group and partition.
#[derive(Debug, Clone, Default)]
pub(super) struct Deliveries(BTreeMap<(StrBytes, TopicPartition), Delivered>);

#[derive(Debug, Clone, Default)]
struct Delivered {
    /// Offsets, as ranges by their beginning.
    ranges: BTreeMap<i64, i64>,
    /// Below this, nothing is asked.
    floor: i64,
}

impl Delivered {
    fn add(&mut self, offset: i64) {
        let next = self.ranges.remove(&(offset + 1)).unwrap_or(offset + 1);
        match self.ranges.range_mut(..=offset).next_back() {
            Some((_, end)) if *end >= offset => *end = (*end).max(next),
            _ => _ = self.ranges.insert(offset, next),
        }
    }

    fn has(&self, offset: i64) -> bool {
        self.ranges.range(..=offset).next_back().is_some_and(|(_, end)| offset < *end)
    }
}

impl Deliveries {
    /// A member of a group was handed a record.
    pub(super) fn read(&mut self, group: &StrBytes, partition: &TopicPartition, offset: i64) {
        self.0.entry((group.clone(), partition.clone())).or_default().add(offset);
    }

    /// Records of a partition were lost, and nobody promised to keep them: others may be at the offsets that were read.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        for (_, delivered) in self.0.iter_mut().filter(|((_, of), _)| of == partition) {
            delivered.floor = i64::MAX;
            delivered.ranges.clear();
        }
    }

    /// A member of a group committed.
    pub(super) fn committed(
        &mut self,
        group: &StrBytes,
        partition: &Partition,
        offset: i64,
        report: &mut Report,
    ) {
        let delivered = self.0.entry((group.clone(), partition.name.clone())).or_default();
        if delivered.floor == i64::MAX || partition.is_compacted() {
            return;
        }
        // A crash may bring deleted records back.
        let log_start = partition.replicas.values().map(|replica| replica.epochs.log_start).max();
        let from = delivered.floor.max(log_start.unwrap_or(0));
        let batches = partition.committed.range(from, offset).iter().filter(|entry| !entry.control);
        let mut offsets = batches.flat_map(|entry| entry.base.max(from)..(entry.last + 1).min(offset));
        if let Some(missed) = offsets.find(|offset| !delivered.has(*offset)) {
            let what =
                format!("{} of {} was handed to nobody, and {offset} is committed", missed, partition.name);
            report.violation(G9, group, what);
        }
        delivered.floor = delivered.floor.max(offset.min(partition.committed.end()));
    }

    /// A record below `end` that was handed to nobody, though it was neither deleted nor committed by anybody before.
    pub(super) fn unseen(&self, group: &StrBytes, partition: &Partition, end: i64) -> Option<i64> {
        let delivered = self.0.get(&(group.clone(), partition.name.clone()))?;
        if delivered.floor == i64::MAX || partition.is_compacted() {
            return None;
        }
        let log_start = partition.replicas.values().map(|replica| replica.epochs.log_start).max();
        let from = delivered.floor.max(log_start.unwrap_or(0));
        let batches = partition.committed.range(from, end).iter().filter(|entry| !entry.control);
        let mut offsets = batches.flat_map(|entry| entry.base.max(from)..(entry.last + 1).min(end));
        offsets.find(|offset| !delivered.has(*offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, found, healthy, of};

    #[test]
    fn a_record_that_nobody_was_handed_is_found() {
        let group = StrBytes::from_static_str("g");
        let mut partition = healthy();
        let name = partition.name.clone();
        let mut deliveries = Deliveries::default();
        for offset in [0, 1, 3, 2, 4] {
            deliveries.read(&group, &name, offset);
        }
        assert!(found(|report| deliveries.committed(&group, &partition, 5, report)).is_empty());
        for offset in [5, 7, 8, 9] {
            deliveries.read(&group, &name, offset);
        }
        assert_eq!(deliveries.unseen(&group, &partition, 10), Some(6));
        let commit = |deliveries: &Deliveries, partition: &Partition| {
            found(|report| deliveries.clone().committed(&group, partition, 10, report))
        };
        assert_eq!(commit(&deliveries, &partition), ["G9"]);
        of(&mut partition, FOLLOWER).epochs.log_start = 7;
        assert!(commit(&deliveries, &partition).is_empty(), "it was deleted");
        of(&mut partition, FOLLOWER).epochs.log_start = 0;
        deliveries.forget(&name);
        assert!(commit(&deliveries, &partition).is_empty());
    }
}
