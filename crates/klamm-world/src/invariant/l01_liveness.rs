//! L1 to L5, L7, and L9 to L12: after the faults have healed, all becomes well within a bounded time.

use klamm_metadata::NO_LEADER;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

const fn invariant(id: &'static str, name: &'static str, statement: &'static str) -> Invariant {
    Invariant { id, name, statement, when: When::Healed }
}

pub(super) const L1: Invariant =
    invariant("L1", "LeaderElected", "every partition with a live candidate gets a leader");
pub(super) const L2: Invariant = invariant("L2", "IsrComplete", "every live replica gets into the ISR");
pub(super) const L3: Invariant =
    invariant("L3", "LogsConverge", "all replicas get the same log end and the same high watermark");
pub(super) const L4: Invariant =
    invariant("L4", "MetadataConverges", "every broker starts, and gets the controller's metadata");
pub(super) const L5: Invariant = invariant(
    "L5",
    "ProducesDecided",
    "every record that a producer sends is acknowledged or refused within its delivery timeout",
);
pub(super) const L7: Invariant = invariant(
    "L7",
    "OffsetsMeet",
    "a quiet leader's last stable offset gets to its high watermark: no transaction stays open",
);
pub(super) const L9: Invariant =
    invariant("L9", "ReassignmentsComplete", "a reassignment to live brokers completes");
pub(super) const L10: Invariant =
    invariant("L10", "HighWatermarkCovers", "the high watermark gets to the leader's log end");
pub(super) const L11: Invariant = invariant(
    "L11",
    "NoStarvation",
    "the world goes on: no nodes answer each other without end, and something always waits",
);
pub(super) const L12: Invariant =
    invariant("L12", "QuorumLed", "the metadata quorum gets a leader while a majority of it is connected");

/// `lost_transactions`: whether a record was lost, and nobody promised to keep it, that may have ended a transaction of this partition.
pub(super) fn check(partition: &Partition, lost_transactions: bool, report: &mut Report) {
    let Some(registration) = &partition.registration else { return };
    let live = |id| partition.replicas.get(id).is_some_and(|replica| replica.running);
    let candidate = registration.isr.iter().chain(&registration.elr).any(live);
    if registration.leader == NO_LEADER {
        if candidate {
            let what = format!("no leader, with ISR {:?} and ELR {:?}", registration.isr, registration.elr);
            report.violation(L1, &partition.name, what);
        }
        return;
    }
    let stuck: Vec<NodeId> = registration
        .replicas
        .iter()
        .filter(|id| live(id) && ends_inside_a_batch(partition, **id))
        .copied()
        .collect();
    if let Some(out) = registration
        .replicas
        .iter()
        .find(|id| live(id) && !registration.isr.contains(id) && !stuck.contains(id))
    {
        report.violation(
            L2,
            &partition.name,
            format!("{out} lives and is not in the ISR {:?}", registration.isr),
        );
    }
    // A replica that one reassignment adds and the next removes keeps Kafka's controller from ever ending either
    // (`PartitionReassignmentReplicas.maybeCompleteReassignment`): the user has to cancel.
    if registration.adding_replicas.iter().any(|id| registration.removing_replicas.contains(id)) {
        return;
    }
    let unfinished = !registration.adding_replicas.is_empty() || !registration.removing_replicas.is_empty();
    if unfinished && stuck.is_empty() {
        let what = format!(
            "adding {:?}, removing {:?}",
            registration.adding_replicas, registration.removing_replicas
        );
        report.violation(L9, &partition.name, what);
    }
    let Some((leader_id, leader)) = partition.true_leader() else {
        report.violation(L1, &partition.name, format!("{} does not act as its leader", registration.leader));
        return;
    };
    let view = &leader.view;
    if view.high_watermark != view.log_end {
        let what = format!(
            "leader {leader_id} ends at {}, its high watermark is {}",
            view.log_end, view.high_watermark
        );
        report.violation(L10, &partition.name, what);
    }
    if view.last_stable != view.high_watermark && !lost_transactions {
        let what = format!(
            "leader {leader_id} is stable up to {} only, its high watermark is {}",
            view.last_stable, view.high_watermark
        );
        report.violation(L7, &partition.name, what);
    }
    for (id, replica) in partition
        .replicas
        .iter()
        .filter(|(id, r)| r.running && registration.replicas.contains(id) && !stuck.contains(id))
    {
        let there = (replica.view.log_end, replica.view.high_watermark);
        if there != (view.log_end, view.high_watermark) {
            let what = format!(
                "{id} ends at {} with high watermark {}, leader {leader_id} at {} with {}",
                there.0, there.1, view.log_end, view.high_watermark
            );
            report.violation(L3, &partition.name, what);
        }
    }
}

/// Whether a follower asks for an offset within a batch of its leader's, and is given the whole batch again and again, which does not fit behind its
/// log (`UnexpectedAppendOffsetException`): it was truncated to where records had been deleted, or an epoch had been noted, in the middle
/// of a batch (`LocalLog.truncateTo`). Kafka helps a follower whose log is empty, and leaves any other as it is
/// (`Partition.appendRecordsToFollowerOrFutureReplica`).
fn ends_inside_a_batch(partition: &Partition, node: NodeId) -> bool {
    let Some((_, leader)) = partition.true_leader() else { return false };
    let Some(view) = partition.replicas.get(&node).map(|replica| &replica.view) else { return false };
    let batch = leader.log.at(view.log_end);
    view.log_end > view.log_start && batch.is_some_and(|batch| batch.base < view.log_end)
}

/// A broker has applied the metadata below `applied`.
pub(super) fn metadata(node: NodeId, applied: i64, committed: i64, report: &mut Report) {
    if applied < committed {
        report.violation(
            L4,
            &format!("broker {node}"),
            format!("it has applied up to {applied} of {committed}"),
        );
    }
}

/// A broker is not up, though every node was started.
pub(super) fn down(node: NodeId, report: &mut Report) {
    report.violation(L4, &format!("broker {node}"), "it did not start".to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, OTHER, found, healthy, of, registration};

    #[test]
    fn what_does_not_become_well_is_found() {
        type Case = (fn(&mut Partition), &'static [&'static str]);
        let breaks: [Case; 7] = [
            (|_| {}, &[]),
            (|p| registration(p).leader = NO_LEADER, &["L1"]),
            (|p| registration(p).isr.retain(|id| *id != OTHER), &["L2"]),
            (|p| of(p, FOLLOWER).view.log_end = 5, &["L3"]),
            (|p| registration(p).adding_replicas.push(OTHER), &["L9"]),
            (|p| of(p, LEADER).view.log_end = 11, &["L10", "L3"]),
            (|p| of(p, LEADER).view.last_stable = 9, &["L7"]),
        ];
        for (break_it, expected) in breaks {
            let mut partition = healthy();
            break_it(&mut partition);
            let look = |lost| {
                let mut ids = found(|report| check(&partition, lost, report));
                ids.dedup();
                ids
            };
            assert_eq!(look(false), expected);
            assert_eq!(look(true), if expected == ["L7"] { &[] } else { expected }, "the decision is lost");
        }
        let mut stuck = healthy();
        of(&mut stuck, OTHER).view.log_end = 7;
        registration(&mut stuck).isr.retain(|id| *id != OTHER);
        assert!(found(|report| check(&stuck, false, report)).is_empty(), "Kafka leaves it there");
        let mut dead = healthy();
        of(&mut dead, OTHER).running = false;
        registration(&mut dead).isr.retain(|id| *id != OTHER);
        assert!(found(|report| check(&dead, false, report)).is_empty(), "nobody can ask that of the dead");
        assert_eq!(found(|report| metadata(LEADER, 4, 5, report)), ["L4"]);
        assert_eq!(found(|report| down(LEADER, report)), ["L4"]);
    }
}
