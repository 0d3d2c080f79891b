//! S9 and S10: a leader's high watermark never goes back, and moves only when it may.

use klamm_broker::ReplicaView;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S9: Invariant = Invariant {
    id: "S9",
    name: "HighWatermarkMonotone",
    statement: "a leader's high watermark does not go back within its epoch, and the log end that clients are told (ListOffsets) does not go \
                back from one leader epoch to the next",
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

/// A broker told a client where the log ends, in a leader epoch. What it told in earlier epochs, or in this one, was not beyond (KIP-207); a
/// stale leader may tell less than its successors did.
pub(super) fn told(partition: &mut Partition, node: NodeId, epoch: i32, end: i64, report: &mut Report) {
    if epoch < partition.told_since {
        return;
    }
    let before = partition.told.range(..=epoch).max_by_key(|(_, told)| **told);
    if let Some((earlier, told)) = before.filter(|(_, told)| **told > end) {
        let what = format!(
            "{node} told a client that the log ends at {end} in epoch {epoch}, and {told} was told in epoch {earlier}"
        );
        report.violation_unless(partition.excuse(), S9, &partition.name, what);
    }
    // What only a leader has that the controller has given up goes with it, should it lose power.
    let held = end.min(partition.true_hw);
    let known = partition.told.entry(epoch).or_insert(held);
    *known = held.max(*known);
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
    fn an_end_that_goes_back_for_a_client_is_found() {
        let mut partition = healthy();
        partition.true_hw = 12;
        let mut tell = |epoch, end| found(|report| told(&mut partition, LEADER, epoch, end, report));
        assert!(tell(0, 8).is_empty() && tell(0, 10).is_empty() && tell(2, 10).is_empty());
        assert!(tell(1, 10).is_empty() && tell(2, 12).is_empty(), "epoch 1 is a stale leader's");
        assert!(tell(1, 11).is_empty(), "who was told of epoch 2 before knows that this is older");
        assert_eq!(tell(0, 9), ["S9"]);
        assert_eq!(tell(3, 11), ["S9"]);
        partition.told_since = 4;
        partition.told.clear();
        let mut tell = |epoch, end| found(|report| told(&mut partition, LEADER, epoch, end, report));
        assert!(tell(3, 12).is_empty() && tell(4, 6).is_empty(), "a stale leader tells what was lost");
    }

    #[test]
    fn what_only_a_deposed_leader_had_binds_nobody() {
        let mut partition = healthy();
        let mut tell = |epoch, end| found(|report| told(&mut partition, LEADER, epoch, end, report));
        assert!(tell(1, 15).is_empty(), "the controller has it that 10 is committed");
        assert!(tell(3, 10).is_empty());
        assert_eq!(tell(4, 9), ["S9"]);
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
