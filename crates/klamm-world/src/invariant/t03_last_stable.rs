//! T3: where the last stable offset is.

use klamm_broker::ReplicaView;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const T3: Invariant = Invariant {
    id: "T3",
    name: "LastStableOffset",
    statement: "a leader's last stable offset is the first offset of an open transaction, or its high watermark; in one leader epoch it does not go back",
    when: When::Event,
};

/// Looks at the leader that is no stale one; `before` is what it was before this step.
pub(super) fn check(partition: &Partition, before: Option<&ReplicaView>, report: &mut Report) {
    let Some((id, leader)) = partition.true_leader() else { return };
    let view = &leader.view;
    if partition.txns.folded != view.high_watermark {
        return;
    }
    let first = partition.txns.first_open().map(|first| first.max(view.log_start));
    let expected = first.unwrap_or(view.high_watermark).min(view.high_watermark);
    if view.last_stable != expected {
        let what = format!(
            "leader {id} has last stable offset {}, and by its log it is {expected} (high watermark {})",
            view.last_stable, view.high_watermark
        );
        report.violation(T3, &partition.name, what);
    }
    let same = before.filter(|before| before.leading.is_some() && before.leader_epoch == view.leader_epoch);
    if let Some(before) = same.filter(|before| before.last_stable > view.last_stable) {
        let what = format!("leader {id} took it back from {} to {}", before.last_stable, view.last_stable);
        report.violation(T3, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, found, healthy, of};
    use crate::invariant::transactions::Open;

    #[test]
    fn a_wrong_last_stable_offset_is_found() {
        let mut partition = healthy();
        partition.txns.folded = 10;
        assert!(found(|report| check(&partition, None, report)).is_empty());
        let open = Open { first: 5, epoch: 0, tag: None, records: 0, read: Vec::new() };
        partition.txns.open.insert(7, open);
        assert_eq!(found(|report| check(&partition, None, report)), ["T3"], "past an open transaction");
        of(&mut partition, LEADER).view.last_stable = 5;
        assert!(found(|report| check(&partition, None, report)).is_empty());
        let mut before = of(&mut partition, LEADER).view.clone();
        before.last_stable = 7;
        assert_eq!(found(|report| check(&partition, Some(&before), report)), ["T3"], "it went back");
    }
}
