//! S12: a log is well formed, and its epoch cache says what its batches say.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S12: Invariant = Invariant {
    id: "S12",
    name: "LogWellFormed",
    statement: "offsets of a log are contiguous but for compaction, leader epochs do not decrease along it, and its epoch cache is the one \
                that its batches give, but for an epoch of the leader that has no record yet",
    when: When::Event,
};

/// The batches from `from` on, and the order of the epoch cache.
pub(super) fn check(partition: &Partition, node: NodeId, from: i64, report: &mut Report) {
    let Some(replica) = partition.replicas.get(&node).filter(|replica| replica.running) else { return };
    let mut problem = None;
    for pair in replica.log.range((from - 1).max(0), i64::MAX).windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if b.base <= a.last || (b.base != a.last + 1 && !replica.view.compacted) {
            problem = Some(format!("offset {} follows {}", b.base, a.last));
        }
        if b.epoch < a.epoch {
            problem = Some(format!("epoch {} at {} follows epoch {}", b.epoch, b.base, a.epoch));
        }
    }
    let epochs = &replica.view.epochs;
    if epochs
        .windows(2)
        .any(|pair| pair[0].epoch >= pair[1].epoch || pair[0].start_offset >= pair[1].start_offset)
        || epochs.last().is_some_and(|last| last.start_offset > replica.view.log_end)
    {
        problem = Some(format!("its epoch cache is {epochs:?} at log end {}", replica.view.log_end));
    }
    if let Some(problem) = problem {
        report.violation(S12, &partition.name, format!("in the log of {node}, {problem}"));
    }
}

/// The epoch cache against the batches.
pub(super) fn scan(partition: &Partition, report: &mut Report) {
    for (node, replica) in partition.replicas.iter().filter(|(_, r)| r.running && !r.view.compacted) {
        let view = &replica.view;
        let mut rebuilt: Vec<(i32, i64)> = Vec::new();
        for entry in replica.log.range(view.log_start, i64::MAX) {
            if rebuilt.last().is_none_or(|(epoch, _)| *epoch != entry.epoch) {
                rebuilt.push((entry.epoch, entry.base.max(view.log_start)));
            }
        }
        // An epoch in which nothing was written leaves an entry, at the end or where the next epoch's would be; a
        // leader's deletion of records moves the first.
        let mut cached: Vec<_> =
            view.epochs.iter().map(|entry| (entry.epoch, entry.start_offset.max(view.log_start))).collect();
        // Where the log began is written down later than what was cut off the cache: after a crash the first entry may begin late.
        if let Some((epoch, _)) = cached.first() {
            rebuilt.retain(|(of, _)| of >= epoch);
        }
        if let (Some(first), Some(batch)) = (cached.first_mut(), rebuilt.first())
            && first.0 == batch.0
        {
            first.1 = batch.1;
        }
        while cached.last().is_some_and(|(_, start)| *start >= view.log_end) {
            cached.pop();
        }
        // An entry that was cut off to the log's very end does not survive a crash.
        if view.epochs.is_empty() && rebuilt.len() == 1 {
            continue;
        }
        if cached != rebuilt {
            let what = format!("the epoch cache of {node} is {cached:?}, its batches say {rebuilt:?}");
            report.violation(S12, &partition.name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use klamm_log::EpochEntry;

    use super::*;
    use crate::invariant::fixture::{FOLLOWER, found, healthy, log, of};

    #[test]
    fn holes_and_epochs_that_go_back_are_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, FOLLOWER, 0, report)).is_empty());
        for broken in
            [log(&[(0, 4, 0), (6, 9, 0)]), log(&[(0, 4, 1), (5, 9, 0)]), log(&[(0, 4, 0), (4, 9, 0)])]
        {
            of(&mut partition, FOLLOWER).log = broken;
            assert_eq!(found(|report| check(&partition, FOLLOWER, 0, report)), ["S12"]);
        }
    }

    #[test]
    fn a_cache_that_says_otherwise_is_found() {
        let mut partition = healthy();
        let trailing = EpochEntry { epoch: 1, start_offset: 10 };
        of(&mut partition, FOLLOWER).view.epochs.push(trailing);
        assert!(found(|report| scan(&partition, report)).is_empty());
        of(&mut partition, FOLLOWER).view.epochs[1].start_offset = 5;
        assert_eq!(found(|report| scan(&partition, report)), ["S12"]);
        of(&mut partition, FOLLOWER).view.epochs[1].start_offset = 11;
        assert_eq!(found(|report| check(&partition, FOLLOWER, 0, report)), ["S12"]);
    }
}
