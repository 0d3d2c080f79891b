//! S14: epochs only grow, and no broker is ahead of the controller.

use klamm_metadata::PartitionRegistration;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S14: Invariant = Invariant {
    id: "S14",
    name: "EpochMonotonicity",
    statement: "a partition's leader epoch and partition epoch never go back, each change adds exactly one to the partition epoch, and no \
                replica knows a later epoch than the controller",
    when: When::Event,
};

/// The controller committed one change.
pub(super) fn changed(
    partition: &Partition,
    before: &PartitionRegistration,
    after: &PartitionRegistration,
    report: &mut Report,
) {
    let grows = after.leader_epoch == before.leader_epoch || after.leader_epoch == before.leader_epoch + 1;
    if !grows || after.partition_epoch != before.partition_epoch + 1 {
        let what = format!(
            "leader epoch {} -> {}, partition epoch {} -> {}",
            before.leader_epoch, after.leader_epoch, before.partition_epoch, after.partition_epoch
        );
        report.violation(S14, &partition.name, what);
    }
}

/// A replica's epochs against the controller's.
pub(super) fn check(partition: &Partition, node: NodeId, report: &mut Report) {
    let (Some(replica), Some(registration)) = (partition.replicas.get(&node), &partition.registration) else {
        return;
    };
    let view = &replica.view;
    if replica.running
        && (view.leader_epoch > registration.leader_epoch
            || view.partition_epoch > registration.partition_epoch)
    {
        let what = format!(
            "{node} knows leader epoch {} and partition epoch {}, the controller {} and {}",
            view.leader_epoch, view.partition_epoch, registration.leader_epoch, registration.partition_epoch
        );
        report.violation(S14, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, found, healthy, of, registration};

    #[test]
    fn epochs_that_go_back_or_jump_are_found() {
        let mut partition = healthy();
        let before = registration(&mut partition).clone();
        for (leader, epoch, expected) in [(0, 1, 0), (1, 1, 0), (1, 2, 1), (-1, 1, 1), (2, 1, 1), (0, 0, 1)] {
            let after =
                PartitionRegistration { leader_epoch: leader, partition_epoch: epoch, ..before.clone() };
            assert_eq!(
                found(|report| changed(&partition, &before, &after, report)).len(),
                expected,
                "{leader} {epoch}"
            );
        }
    }

    #[test]
    fn a_broker_ahead_of_the_controller_is_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, FOLLOWER, report)).is_empty());
        of(&mut partition, FOLLOWER).view.leader_epoch = 1;
        assert_eq!(found(|report| check(&partition, FOLLOWER, report)), ["S14"]);
    }
}
