//! S16: nobody who may lead truncates what is committed.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S16: Invariant = Invariant {
    id: "S16",
    name: "TruncationBound",
    statement: "a running member of the ISR or the ELR never truncates its log below what is committed",
    when: When::Event,
};

/// `node` truncated its log to `to`.
pub(super) fn truncated(partition: &Partition, node: NodeId, from: i64, to: i64, report: &mut Report) {
    let Some(replica) = partition.replicas.get(&node) else { return };
    let matched = replica.matches_to.min(partition.true_hw);
    if to < matched && partition.candidates().any(|(id, _)| id == node) {
        let what = format!(
            "{node}, which may be elected, truncated {from} -> {to}, and {} is committed",
            partition.true_hw
        );
        report.violation_unless(partition.excuse(), S16, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, found, healthy, registration};

    #[test]
    fn a_candidate_that_truncates_is_found() {
        let mut partition = healthy();
        assert!(found(|report| truncated(&partition, FOLLOWER, 12, 10, report)).is_empty());
        assert_eq!(found(|report| truncated(&partition, FOLLOWER, 12, 9, report)), ["S16"]);
        registration(&mut partition).isr.retain(|id| *id != FOLLOWER);
        assert!(
            found(|report| truncated(&partition, FOLLOWER, 12, 9, report)).is_empty(),
            "it cannot be elected"
        );
    }
}
