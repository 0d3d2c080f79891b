//! S4: a leader counts on no fewer replicas than the controller may choose from.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S4: Invariant = Invariant {
    id: "S4",
    name: "ReplicationQuorumSuperset",
    statement: "the leader's maximal ISR is its committed ISR while no AlterPartition is in flight, and contains the controller's ISR, \
                and its ELR while the committed ISR is not below min.insync.replicas",
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
    // While its committed ISR is below min.insync.replicas a leader commits nothing, whomever it counts. The controller keeps those that leave the ISR as
    // eligible leaders by its own min.insync.replicas (`ReplicationControlManager.getTopicEffectiveMinIsr`,
    // `PartitionChangeBuilder.maybePopulateTargetElr`), of a larger one of which the leader hears later.
    let elr_counts = leader.view.isr.len() >= leader.view.effective_min_isr.max(partition.min_isr);
    let elr = registration.elr.iter().filter(|_| elr_counts);
    let counts = |id: &NodeId| leading.maximal_isr.contains(id) || leader.forgotten.contains(id);
    let uncounted = registration.isr.iter().chain(elr).find(|candidate| !counts(candidate));
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
    use klamm_broker::ReplicaView;

    use crate::invariant::fixture::{FOLLOWER, LEADER, OTHER, found, healthy, of, registration};

    #[test]
    fn a_candidate_that_the_leader_does_not_wait_for_is_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, report)).is_empty());
        let leader = of(&mut partition, LEADER);
        leader.view.isr.retain(|id| *id != OTHER);
        leader.view.leading.as_mut().unwrap().maximal_isr.retain(|id| *id != OTHER);
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
        partition.min_isr = 3;
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
        let registered = registration(&mut partition);
        (registered.isr, registered.elr) = (vec![LEADER, FOLLOWER], vec![OTHER]);
        assert!(found(|report| check(&partition, report)).is_empty(), "it has not heard of that yet");
        partition.min_isr = 2;
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
    }

    #[test]
    fn a_leader_forgets_whom_it_proposed_until_it_hears_of_the_next_partition_epoch() {
        for (learned, expected) in [(true, vec![]), (false, vec!["S4"])] {
            let mut partition = healthy();
            let leader = of(&mut partition, LEADER);
            leader.view.isr.retain(|id| *id != OTHER);
            let mut before = leader.view.clone();
            before.leading.as_mut().unwrap().in_flight = true;
            leader.view.leading.as_mut().unwrap().maximal_isr.retain(|id| *id != OTHER);
            let now = leader.view.clone();
            leader.forget_proposal(&before, &now, learned);
            assert_eq!(found(|report| check(&partition, report)), expected);
            let leader = of(&mut partition, LEADER);
            let later = ReplicaView { partition_epoch: 1, ..now.clone() };
            leader.forget_proposal(&now, &later, true);
            assert_eq!(found(|report| check(&partition, report)), ["S4"], "it has heard of it");
        }
    }

    #[test]
    fn a_leader_that_lags_behind_the_controller_counts_whom_that_may_elect() {
        let mut partition = healthy();
        registration(&mut partition).partition_epoch = 1;
        let leader = of(&mut partition, LEADER);
        leader.view.isr.retain(|id| *id != OTHER);
        leader.view.leading.as_mut().unwrap().maximal_isr.retain(|id| *id != OTHER);
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
    }

    #[test]
    fn counting_others_than_the_isr_without_a_proposal_is_found() {
        let mut partition = healthy();
        of(&mut partition, LEADER).view.isr.pop();
        assert_eq!(found(|report| check(&partition, report)), ["S4"]);
    }
}
