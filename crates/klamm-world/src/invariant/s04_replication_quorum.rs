//! S4: a leader counts on no fewer replicas than the controller may choose from.

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S4: Invariant = Invariant {
    id: "S4",
    name: "ReplicationQuorumSuperset",
    statement: "the leader's maximal ISR is its committed ISR while no AlterPartition is in flight, and contains the controller's ISR \
                and ELR while its committed ISR is not below min.insync.replicas",
    when: When::Event,
};

pub(super) fn check(partition: &Partition, report: &mut Report) {
    let Some((id, leader)) = partition.true_leader() else { return };
    let (Some(leading), Some(registration)) = (&leader.view.leading, &partition.registration) else { return };
    if !leading.in_flight && leading.maximal_isr != leader.view.isr {
        let what = format!(
            "leader {id} counts {:?} and has {:?}, with nothing in flight",
            leading.maximal_isr, leader.view.isr
        );
        report.violation(S4, &partition.name, what);
    }
    // The controller keeps an ELR as soon as it has a larger min.insync.replicas, of which the leader hears later.
    if leader.view.isr.len() < leader.view.effective_min_isr.max(partition.min_isr) {
        return;
    }
    // Metadata of the partition epoch that the leader has makes Kafka's `Partition.makeLeader` forget a proposal that is under way; until the
    // controller's answer to it comes round, the leader does not count whom it proposed.
    if leader.view.partition_epoch < registration.partition_epoch {
        return;
    }
    let uncounted = registration
        .isr
        .iter()
        .chain(&registration.elr)
        .find(|candidate| !leading.maximal_isr.contains(candidate));
    if let Some(candidate) = uncounted {
        let what = format!(
            "{candidate} may be elected (ISR {:?}, ELR {:?}), and leader {id} does not wait for it: it counts {:?}",
            registration.isr, registration.elr, leading.maximal_isr
        );
        report.violation_unless(partition.excuse(), S4, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, OTHER, found, healthy, of};

    #[test]
    fn a_candidate_that_the_leader_does_not_wait_for_is_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, report)).is_empty());
        let leader = of(&mut partition, LEADER);
        leader.view.isr.retain(|id| *id != OTHER);
        leader.view.leading.as_mut().unwrap().maximal_isr.retain(|id| *id != OTHER);
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
        partition.min_isr = 3;
        assert!(found(|report| check(&partition, report)).is_empty(), "it has not heard of that yet");
    }

    #[test]
    fn counting_others_than_the_isr_without_a_proposal_is_found() {
        let mut partition = healthy();
        of(&mut partition, LEADER).view.isr.pop();
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
    }
}
