//! S2 and S3: whoever leads, or may lead next, holds everything that is committed.

use super::ghost::{Partition, Replica};
use super::report::{Invariant, Report, When};
use klamm_node::NodeId;

pub(super) const S2: Invariant = Invariant {
    id: "S2",
    name: "LeaderCompleteness",
    statement: "the leader holds every committed record and every record that was acknowledged to acks=all, until retention or \
                deletion takes it",
    when: When::Event,
};

pub(super) const S3: Invariant = Invariant {
    id: "S3",
    name: "LeaderCandidateCompleteness",
    statement: "every running member of the ISR and of the ELR holds every committed record",
    when: When::Event,
};

/// What is missing of what is committed.
fn missing(partition: &Partition, replica: &Replica) -> Option<String> {
    // What a crash brings back below where the log once began counts for nothing.
    let from = replica.matches_to.max(replica.begins());
    let end = replica.log.end();
    (from < partition.true_hw).then(|| {
        if end < partition.true_hw {
            format!("ends at {end}, and {} is committed", partition.true_hw)
        } else {
            format!("holds another record at {from} than was committed up to {}", partition.true_hw)
        }
    })
}

/// The leader, and every candidate.
pub(super) fn check(partition: &Partition, report: &mut Report) {
    if let Some((id, leader)) = partition.true_leader()
        && let Some(what) = missing(partition, leader)
    {
        let what = format!("the log of leader {id} {what}");
        report.violation_unless(partition.excuse(), S2, &partition.name, what);
    }
    for (id, replica) in partition.candidates() {
        if let Some(what) = missing(partition, replica) {
            let what = format!("the log of candidate {id} {what}");
            report.violation_unless(partition.excuse(), S3, &partition.name, what);
        }
    }
}

/// Every acknowledged batch, in the leader's log.
pub(super) fn scan(partition: &Partition, report: &mut Report) {
    let Some((id, leader)) = partition.true_leader() else { return };
    for ack in partition.acked.iter().filter(|ack| ack.level == -1) {
        if let Some(what) = lost(id, leader, ack.entry) {
            let what = format!("{what} (acknowledged by {})", ack.by);
            report.violation_unless(partition.excuse(), S2, &partition.name, what);
        }
    }
}

fn lost(id: NodeId, leader: &Replica, sent: super::mirror::Entry) -> Option<String> {
    if sent.base < leader.view.log_start || leader.view.compacted {
        return None;
    }
    match leader.log.at(sent.base) {
        Some(entry) if entry.is_same_send(&sent) => None,
        Some(_) => Some(format!("leader {id} holds another record at the acknowledged offset {}", sent.base)),
        None => Some(format!("leader {id} does not hold the acknowledged offset {}", sent.base)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use klamm_log::EpochEntry;

    use crate::invariant::fixture::{FOLLOWER, LEADER, OTHER, entry, found, healthy, log, of, registration};
    use crate::invariant::ghost::Ack;

    #[test]
    fn a_leader_or_candidate_without_a_committed_record_is_found() {
        for (node, expected) in [(LEADER, vec!["S2", "S3"]), (FOLLOWER, vec!["S3"])] {
            let mut partition = healthy();
            assert!(found(|report| check(&partition, report)).is_empty());
            partition.cut(node, 7);
            assert_eq!(found(|report| check(&partition, report)), expected);
        }
    }

    #[test]
    fn a_log_that_was_cut_below_where_it_began_is_compared_from_there() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).epochs.log_start = 12;
        partition.cut(FOLLOWER, 5);
        assert_eq!(found(|report| check(&partition, report)), ["S3"]);
        of(&mut partition, FOLLOWER).log.push(entry(5, 9, 0));
        partition.compare();
        assert!(found(|report| check(&partition, report)).is_empty());
    }

    #[test]
    fn what_a_crash_brings_back_of_what_was_deleted_is_not_asked_for() {
        let mut partition = healthy();
        let follower = of(&mut partition, FOLLOWER);
        (follower.matches_to, follower.epochs.log_start) = (0, 12);
        partition.cut(FOLLOWER, 10);
        assert!(found(|report| check(&partition, report)).is_empty());
        partition.cut(FOLLOWER, 9);
        assert_eq!(found(|report| check(&partition, report)), ["S3"]);
    }

    #[test]
    fn what_a_follower_has_of_its_own_where_its_leader_has_a_hole_stays_with_it() {
        let mut partition = healthy();
        partition.committed = log(&[(0, 4, 0), (5, 6, 1), (7, 9, 1)]);
        for node in [LEADER, FOLLOWER, OTHER] {
            let replica = of(&mut partition, node);
            (replica.view.compacted, replica.matches_to) = (true, 10);
        }
        of(&mut partition, LEADER).log = log(&[(0, 4, 0), (7, 9, 1)]);
        let epochs =
            |ends: i64| [(0, 0), (1, ends)].map(|(epoch, start_offset)| EpochEntry { epoch, start_offset });
        of(&mut partition, LEADER).view.epochs = epochs(7).into();
        let follower = of(&mut partition, FOLLOWER);
        (follower.log, follower.matches_to) = (log(&[(0, 4, 0), (5, 6, 0)]), 5);
        partition.keep_in_hole(FOLLOWER, 5);
        of(&mut partition, FOLLOWER).log.push(entry(7, 9, 1));
        partition.compare();
        assert_eq!(found(|report| check(&partition, report)), ["S3"]);
        let mut diverges = partition.clone();
        of(&mut diverges, LEADER).view.epochs = epochs(5).into();
        diverges.keep_in_hole(FOLLOWER, 7);
        diverges.compare();
        assert_eq!(
            found(|report| check(&diverges, report)),
            ["S3"],
            "a leader that knows better has it truncated"
        );
        for _ in 0..2 {
            partition.keep_in_hole(FOLLOWER, 7);
            assert_eq!(of(&mut partition, FOLLOWER).kept, [entry(5, 6, 0)], "once");
        }
        partition.compare();
        assert!(found(|report| check(&partition, report)).is_empty());
        of(&mut partition, LEADER).running = false;
        registration(&mut partition).leader = FOLLOWER;
        let leading = of(&mut partition, LEADER).view.leading.clone();
        of(&mut partition, FOLLOWER).view.leading = leading;
        partition.follow_excused();
        assert!(partition.unclean.is_some_and(|why| why.contains("hole")), "{:?}", partition.unclean);
    }

    /// Two brokers that wrote the same in the same place, one of them before it was registered: once that is cut off, the place counts again.
    #[test]
    fn what_was_excused_and_is_cut_off_is_excused_no_more() {
        let mut partition = healthy();
        let follower = of(&mut partition, FOLLOWER);
        (follower.view.compacted, follower.matches_to) = (true, 0);
        follower.log = log(&[(0, 4, 2), (5, 9, 3)]);
        (follower.premature, follower.kept) = (vec![entry(0, 4, 2)], vec![entry(5, 9, 3)]);
        partition.compare();
        assert!(found(|report| check(&partition, report)).is_empty());
        partition.cut(FOLLOWER, 5);
        let follower = of(&mut partition, FOLLOWER);
        assert_eq!((&follower.premature[..], &follower.kept[..]), (&[entry(0, 4, 2)][..], &[][..]));
        follower.log.push(entry(5, 9, 3));
        partition.compare();
        assert_eq!(found(|report| check(&partition, report)), ["S3"]);
        partition.cut(FOLLOWER, 0);
        assert!(of(&mut partition, FOLLOWER).premature.is_empty());
    }

    #[test]
    fn what_was_kept_in_a_hole_excuses_nothing_in_a_log_that_has_none() {
        let mut partition = healthy();
        let follower = of(&mut partition, FOLLOWER);
        (follower.log, follower.matches_to) = (log(&[(0, 4, 0), (5, 9, 3)]), 5);
        follower.kept = vec![entry(5, 9, 3)];
        partition.compare();
        assert_eq!(found(|report| check(&partition, report)), ["S3"]);
        of(&mut partition, FOLLOWER).view.compacted = true;
        partition.compare();
        assert!(found(|report| check(&partition, report)).is_empty());
    }

    #[test]
    fn who_wrote_before_it_was_registered_and_is_elected_has_lost_what_was_there() {
        let mut partition = healthy();
        let leader = of(&mut partition, LEADER);
        (leader.log, leader.matches_to) = (log(&[(0, 4, 0), (5, 9, 1)]), 5);
        assert_eq!(found(|report| check(&partition, report)), ["S2", "S3"]);
        of(&mut partition, LEADER).premature = vec![entry(5, 9, 1)];
        partition.follow_excused();
        let mut report = Report::default();
        check(&partition, &mut report);
        assert!(report.violations.is_empty() && report.losses.len() == 2, "{:?}", report.losses);
        assert_eq!(partition.rebase(), Some(5..10));
        partition.unclean = None;
        partition.follow_excused();
        assert_eq!(partition.unclean, None, "once");
    }

    #[test]
    fn what_is_written_before_a_broker_is_registered_is_remembered_while_it_is_there() {
        let mut partition = healthy();
        let look = |old: &Replica, running: bool, batches: &[(i64, i64, i32)]| {
            Replica::look(Some(old), running, false, old.view.clone(), log(batches), BTreeSet::new())
        };
        let first = look(of(&mut partition, LEADER), false, &[(0, 4, 0), (5, 9, 0)]);
        assert!(first.premature.is_empty(), "that was there before");
        let wrote = look(&first, false, &[(0, 4, 0), (5, 9, 0), (10, 10, 0)]);
        assert_eq!(wrote.premature, [entry(10, 10, 0)]);
        let mut registered = look(&wrote, true, &[(0, 4, 0), (5, 9, 0), (10, 10, 0), (11, 11, 0)]);
        assert_eq!(registered.premature, [entry(10, 10, 0)], "what it writes then is a leader's");
        registered.reloaded = None;
        assert_eq!(
            look(&registered, false, &[(0, 4, 0), (5, 9, 0), (10, 10, 0)]).premature,
            [entry(10, 10, 0)]
        );
        assert!(look(&registered, false, &[(0, 4, 0), (5, 9, 0)]).premature.is_empty());
    }

    #[test]
    fn a_loss_of_more_than_was_promised_is_an_expected_one() {
        let mut partition = healthy();
        partition.cut(LEADER, 7);
        partition.lossy = [LEADER].into();
        assert_eq!(found(|report| check(&partition, report)), ["S2", "S3"], "one of two is still promised");
        partition.lossy = [LEADER, OTHER].into();
        let mut report = Report::default();
        check(&partition, &mut report);
        assert!(report.violations.is_empty() && report.losses.len() == 2, "{:?}", report.losses);
    }

    #[test]
    fn an_acknowledged_record_that_is_gone_is_found() {
        let mut partition = healthy();
        partition.acked.push(Ack { entry: entry(5, 9, 0), level: -1, by: LEADER });
        assert!(found(|report| scan(&partition, report)).is_empty());
        partition.acked.push(Ack { entry: entry(10, 10, 0), level: -1, by: LEADER });
        assert_eq!(found(|report| scan(&partition, report)), ["S2"]);
    }
}
