//! S9 and S10: a leader's high watermark never goes back, and moves only when it may.

use klamm_broker::ReplicaView;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S9: Invariant = Invariant {
    id: "S9",
    name: "HighWatermarkMonotone",
    statement: "a leader's high watermark does not go back within its epoch",
    when: When::Event,
};

pub(super) const S10: Invariant = Invariant {
    id: "S10",
    name: "HighWatermarkJustified",
    statement: "a leader raises its high watermark only to what every member of the maximal ISR has fetched up to, and only while the \
                committed ISR has min.insync.replicas members",
    when: When::Event,
};

pub(super) fn check(partition: &Partition, node: NodeId, before: Option<&ReplicaView>, report: &mut Report) {
    let (Some(replica), Some(before)) = (partition.replicas.get(&node).filter(|r| r.running), before) else {
        return;
    };
    let view = &replica.view;
    let Some(leading) = &view.leading else { return };
    if before.leading.is_none() || before.leader_epoch != view.leader_epoch {
        return;
    }
    let (from, to) = (before.high_watermark, view.high_watermark);
    if to < from {
        report.violation(
            S9,
            &partition.name,
            format!("leader {node} moved it from {from} to {to} in epoch {}", view.leader_epoch),
        );
    }
    // The log start takes the high watermark along when records are deleted.
    if to <= from || to == view.log_start {
        return;
    }
    if view.isr.len() < view.effective_min_isr && before.isr.len() < before.effective_min_isr {
        let what = format!(
            "leader {node} moved it from {from} to {to} with ISR {:?} and min.insync.replicas {}",
            view.isr, view.effective_min_isr
        );
        report.violation(S10, &partition.name, what);
    }
    let behind = leading.followers.iter().find(|f| leading.maximal_isr.contains(&f.id) && f.log_end < to);
    if let Some(follower) = behind {
        let what = format!(
            "leader {node} moved it from {from} to {to}, and {} is at {}",
            follower.id, follower.log_end
        );
        report.violation(S10, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, found, healthy, of};

    #[test]
    fn a_step_back_is_found() {
        let mut partition = healthy();
        let before = of(&mut partition, LEADER).view.clone();
        of(&mut partition, LEADER).view.high_watermark = 9;
        assert_eq!(found(|report| check(&partition, LEADER, Some(&before), report)), ["S9"]);
    }

    #[test]
    fn a_step_that_nobody_allowed_is_found() {
        let mut partition = healthy();
        let before = of(&mut partition, LEADER).view.clone();
        let view = &mut of(&mut partition, LEADER).view;
        (view.high_watermark, view.log_end) = (12, 12);
        assert_eq!(
            found(|report| check(&partition, LEADER, Some(&before), report)),
            ["S10"],
            "the followers are at 10"
        );
        let mut before = before;
        before.high_watermark = 8;
        let view = &mut of(&mut partition, LEADER).view;
        view.high_watermark = 10;
        assert!(found(|report| check(&partition, LEADER, Some(&before), report)).is_empty());
        view_of(&mut partition).isr.truncate(1);
        before.isr.truncate(1);
        assert_eq!(
            found(|report| check(&partition, LEADER, Some(&before), report)),
            ["S10"],
            "below min.insync.replicas"
        );
    }

    fn view_of(partition: &mut Partition) -> &mut ReplicaView {
        &mut of(partition, LEADER).view
    }
}
