//! S12: a log is well formed, and its epoch cache says what its batches say.

use klamm_log::EpochEntry;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::mirror::Entry;
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
        // A truncation into a batch takes the whole batch, and the log goes on from where it was asked for (`LocalLog.truncateTo`). That happens
        // where records were deleted up to there.
        let is_hole = b.base > a.last + 1 && !replica.view.compacted && b.base > replica.begins();
        if b.base <= a.last || is_hole {
            problem = Some(format!("offset {} follows {}", b.base, a.last));
        }
        // A follower that crashed is truncated to where its cache begins, and no further: below it may lie what was deleted.
        // What a broker writes before it is registered is of an epoch that may be newer than what it fetches behind it.
        if b.epoch < a.epoch && a.last >= replica.begins() && !replica.premature.contains(&a) {
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
        // What was cut off the cache with deleted records is written down at once, where the log begins once a minute: a crash may bring
        // the records back, and not their epochs (`LeaderEpochFileCache.truncateFromStartAsyncFlush`).
        let from = replica.begins();
        let cached = view.epochs.iter().map(|entry| (entry.epoch, entry.start_offset));
        let mut cached = from_offset(from, cached);
        let batches = replica.log.range(from, i64::MAX);
        let is_premature = |entry: &&Entry| replica.premature.contains(entry);
        let batches = batches.iter().filter(|entry| !is_premature(entry));
        let rebuilt = from_offset(from, batches.map(|entry| (entry.epoch, entry.base)));
        // An epoch in which nothing was written leaves an entry at the end.
        while cached.last().is_some_and(|(_, start)| *start >= view.log_end) {
            cached.pop();
        }
        // A broker that is back before its session ends is told by old metadata that it leads, and notes that epoch at an end that lies
        // in earlier ones. The first batch that it fetches there replaces that entry, and with it the one of its own epoch
        // (`maybeTruncateNonMonotonicEntries`).
        for (epoch, start) in &mut cached {
            let led_from = |led: &EpochEntry| led.epoch > *epoch && led.start_offset == *start;
            let behind_premature = |early: &Entry| early.epoch > *epoch && early.last + 1 == *start;
            let batch = rebuilt.iter().find(|(of, first)| of == epoch && first < start);
            if let Some((_, first)) = batch
                && (replica.epochs.empty.iter().any(led_from)
                    || replica.premature.iter().any(behind_premature))
            {
                *start = *first;
            }
        }
        if cached != rebuilt {
            let what = format!("the epoch cache of {node} is {cached:?}, its batches say {rebuilt:?}");
            report.violation(S12, &partition.name, what);
        }
    }
}

/// Epochs and their first offsets, of a log that begins at `from`: what ends before it left out, what contains it begins there.
fn from_offset(from: i64, entries: impl Iterator<Item = (i32, i64)>) -> Vec<(i32, i64)> {
    let mut epochs: Vec<(i32, i64)> = Vec::new();
    for (epoch, start) in entries {
        let start = start.max(from);
        match epochs.last() {
            Some((last, _)) if *last == epoch => continue,
            Some((_, before)) if *before == start => _ = epochs.pop(),
            _ => {}
        }
        epochs.push((epoch, start));
    }
    epochs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, entry, found, healthy, log, of};

    /// Back before its session ends, a broker that lost power leads by old metadata: its coordinator writes where its log ends now.
    #[test]
    fn what_a_broker_wrote_before_it_was_registered_may_be_of_a_newer_epoch() {
        let mut partition = healthy();
        let follower = of(&mut partition, FOLLOWER);
        follower.log = log(&[(0, 4, 0), (5, 5, 1), (6, 9, 0)]);
        follower.view.epochs = vec![EpochEntry { epoch: 0, start_offset: 6 }];
        let look = |partition: &Partition| {
            let mut ids = found(|report| check(partition, FOLLOWER, 0, report));
            ids.extend(found(|report| scan(partition, report)));
            ids
        };
        assert_eq!(look(&partition), ["S12", "S12"]);
        of(&mut partition, FOLLOWER).premature = vec![entry(5, 5, 1)];
        assert!(look(&partition).is_empty());
        of(&mut partition, FOLLOWER).premature = vec![entry(5, 5, 2)];
        assert_eq!(look(&partition), ["S12", "S12"], "another batch");
    }

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
    fn entries(partition: &mut Partition, of_node: NodeId, entries: &[(i32, i64)]) {
        let entry =
            |(epoch, start_offset): &(i32, i64)| EpochEntry { epoch: *epoch, start_offset: *start_offset };
        of(partition, of_node).view.epochs = entries.iter().map(entry).collect();
    }

    #[test]
    fn records_that_a_crash_brings_back_need_no_epochs() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 0), (5, 9, 1)]);
        entries(&mut partition, FOLLOWER, &[]);
        assert_eq!(found(|report| scan(&partition, report)), ["S12"], "nothing was deleted");
        of(&mut partition, FOLLOWER).epochs.log_start = 10;
        assert!(found(|report| scan(&partition, report)).is_empty());
        of(&mut partition, FOLLOWER).epochs.log_start = 7;
        assert_eq!(found(|report| scan(&partition, report)), ["S12"], "7 was never deleted");
        entries(&mut partition, FOLLOWER, &[(1, 7)]);
        assert!(found(|report| scan(&partition, report)).is_empty());
    }

    #[test]
    fn a_hole_may_lie_only_below_what_was_deleted() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 0), (7, 9, 0)]);
        for (log_start, counted) in [(0, 1), (6, 1), (7, 0)] {
            of(&mut partition, FOLLOWER).epochs.log_start = log_start;
            assert_eq!(found(|report| check(&partition, FOLLOWER, 0, report)).len(), counted, "{log_start}");
        }
    }

    #[test]
    fn epochs_may_go_back_only_behind_records_that_were_deleted() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 6), (5, 9, 4)]);
        for (log_start, counted) in [(0, 1), (4, 1), (5, 0)] {
            of(&mut partition, FOLLOWER).epochs.log_start = log_start;
            assert_eq!(found(|report| check(&partition, FOLLOWER, 0, report)).len(), counted, "{log_start}");
        }
    }

    #[test]
    fn an_epoch_that_was_led_by_mistake_may_hide_where_the_one_before_began() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 0), (5, 6, 1), (7, 9, 1)]);
        entries(&mut partition, FOLLOWER, &[(0, 0), (1, 7)]);
        assert_eq!(found(|report| scan(&partition, report)), ["S12"]);
        let led = |epoch, start_offset| vec![EpochEntry { epoch, start_offset }];
        for (past, counted) in [(led(4, 7), 0), (led(4, 6), 1), (led(1, 7), 1)] {
            of(&mut partition, FOLLOWER).epochs.empty = past;
            assert_eq!(found(|report| scan(&partition, report)).len(), counted);
        }
    }
}
