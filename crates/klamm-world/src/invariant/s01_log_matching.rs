//! S1: replicas agree below their high watermarks, and wherever they hold the same epoch at the same offset.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S1: Invariant = Invariant {
    id: "S1",
    name: "LogMatching",
    statement: "two running replicas hold the same records below both high watermarks; and where both hold a record of the same \
                offset and leader epoch, everything before it is the same too",
    when: When::Event,
};

/// Compares what `node` shows below its high watermark with every other running replica.
pub(super) fn check(partition: &Partition, node: NodeId, report: &mut Report) {
    let Some(replica) = partition.replicas.get(&node).filter(|replica| replica.running) else { return };
    for (other_id, other) in partition.replicas.iter().filter(|(id, other)| **id != node && other.running) {
        let to = replica.view.high_watermark.min(other.view.high_watermark);
        let from = replica.matches_to.min(other.matches_to).max(replica.begins()).max(other.begins());
        let sparse = replica.view.compacted || other.view.compacted;
        if let Some(offset) = replica.differs_from(other, from, to, sparse) {
            let what = format!(
                "replicas {node} and {other_id} differ at offset {offset}, below their high watermarks {} and {}",
                replica.view.high_watermark, other.view.high_watermark
            );
            report.violation_unless(partition.excuse(), S1, &partition.name, what);
        }
    }
}

/// The epoch form, over whole logs.
pub(super) fn scan(partition: &Partition, report: &mut Report) {
    if partition.is_compacted() {
        return;
    }
    let running: Vec<_> = partition.replicas.iter().filter(|(_, replica)| replica.running).collect();
    for (i, (a_id, a)) in running.iter().enumerate() {
        for (b_id, b) in &running[i + 1..] {
            let start = a.begins().max(b.begins());
            let end = a.log.end().min(b.log.end());
            let Some(differs) = a.differs_from(b, start, end, false) else { continue };
            let same = a.log.range(differs, end).iter().find(|entry| {
                b.log.at(entry.base).is_some_and(|other| {
                    other.base == entry.base && other.epoch == entry.epoch && other.base > differs
                })
            });
            if let Some(entry) = same {
                let what = format!(
                    "replicas {a_id} and {b_id} both hold epoch {} at offset {} and differ before it, at {differs}",
                    entry.epoch, entry.base
                );
                report.violation_unless(partition.excuse(), S1, &partition.name, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, OTHER, entry, found, healthy, log, of, registration};

    #[test]
    fn another_record_below_the_high_watermark_is_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, FOLLOWER, report)).is_empty());
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 0), (5, 9, 3)]);
        of(&mut partition, FOLLOWER).matches_to = 5;
        assert_eq!(found(|report| check(&partition, FOLLOWER, report)), ["S1"]);
        of(&mut partition, FOLLOWER).view.high_watermark = 5;
        assert!(found(|report| check(&partition, LEADER, report)).is_empty(), "it is not shown yet");
    }

    #[test]
    fn what_a_broker_wrote_before_it_was_registered_stays_with_it() {
        let mut partition = healthy();
        let broken = log(&[(0, 4, 1), (5, 9, 0)]);
        let follower = of(&mut partition, FOLLOWER);
        (follower.log, follower.matches_to) = (broken, 0);
        follower.premature = vec![entry(0, 4, 1)];
        let look = |partition: &Partition| {
            let mut ids = found(|report| check(partition, FOLLOWER, report));
            ids.extend(found(|report| scan(partition, report)));
            ids
        };
        assert!(look(&partition).is_empty());
        partition.compare();
        assert_eq!(of(&mut partition, FOLLOWER).matches_to, 10, "but for that it is the same");
        of(&mut partition, FOLLOWER).premature.clear();
        of(&mut partition, FOLLOWER).matches_to = 0;
        assert_eq!(look(&partition), ["S1", "S1"]);
    }

    #[test]
    fn what_an_unclean_election_lost_may_be_shown_until_the_last_replica_of_old_is_gone() {
        let mut partition = healthy();
        partition.unclean = Some("an unclean election");
        registration(&mut partition).replicas.retain(|id| *id != OTHER);
        of(&mut partition, OTHER).log = log(&[(0, 9, 7)]);
        of(&mut partition, OTHER).matches_to = 0;
        partition.settle();
        assert!(found(|report| check(&partition, OTHER, report)).is_empty());
        of(&mut partition, OTHER).running = false;
        partition.settle();
        assert!(partition.unclean.is_none() && found(|report| check(&partition, LEADER, report)).is_empty());
    }

    #[test]
    fn deleted_records_that_a_crash_brings_back_need_not_agree() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 7), (5, 9, 0)]);
        of(&mut partition, FOLLOWER).matches_to = 0;
        assert_eq!(found(|report| check(&partition, FOLLOWER, report)), ["S1"]);
        assert_eq!(found(|report| scan(&partition, report)), ["S1"]);
        of(&mut partition, FOLLOWER).epochs.log_start = 5;
        assert!(found(|report| check(&partition, FOLLOWER, report)).is_empty());
        assert!(found(|report| scan(&partition, report)).is_empty());
    }

    #[test]
    fn equal_epochs_over_unequal_records_are_found() {
        let mut partition = healthy();
        of(&mut partition, LEADER).log = log(&[(0, 4, 0), (5, 9, 2)]);
        of(&mut partition, FOLLOWER).log = log(&[(0, 4, 1), (5, 9, 2)]);
        assert_eq!(found(|report| scan(&partition, report)), ["S1"]);
    }
}
