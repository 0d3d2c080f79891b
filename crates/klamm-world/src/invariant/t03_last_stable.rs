//! T3: where the last stable offset is.

use klamm_broker::ReplicaView;

use super::ghost::{Partition, Replica};
use super::mirror::Entry;
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
    let stable_up_to = |first: Option<i64>| {
        let first = first.map_or(view.high_watermark, |first| first.max(view.log_start));
        first.min(view.high_watermark)
    };
    let expected = stable_up_to(partition.txns.first_open());
    let open = partition.txns.open.iter().filter(|(id, open)| !leader.forgot_undecided(**id, open.first));
    let forgetful = stable_up_to(open.filter_map(|(id, open)| first_left(leader, *id, open.first)).min());
    if view.last_stable != expected && view.last_stable != forgetful {
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

/// Where a transaction that begins at `first` does so for a leader that started when its first records had been deleted: no snapshot at or below the
/// log's start is read (`ProducerStateManager.truncateAndReload`). `None` when nothing of it is left.
fn first_left(leader: &Replica, producer_id: i64, first: i64) -> Option<i64> {
    let (start, end) = (leader.view.log_start, leader.view.high_watermark);
    if first >= start || leader.reloaded.is_none() {
        return Some(first);
    }
    let writes = |entry: &&Entry| entry.transactional && !entry.control && entry.producer_id == producer_id;
    leader.log.range(start, end).iter().find(writes).map(|entry| entry.base)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, entry, found, healthy, log, of};
    use crate::invariant::transactions::Open;

    #[test]
    fn a_wrong_last_stable_offset_is_found() {
        let mut partition = healthy();
        partition.txns.folded = 10;
        assert!(found(|report| check(&partition, None, report)).is_empty());
        let open = Open { first: 5, epoch: 0, tag: None, records: 0, read: Vec::new() };
        partition.txns.open.insert(7, open);
        assert_eq!(found(|report| check(&partition, None, report)), ["T3"], "past an open transaction");
        let marker = Entry { producer_id: 7, control: true, transactional: true, ..entry(10, 10, 0) };
        of(&mut partition, LEADER).log.push(marker);
        assert_eq!(found(|report| check(&partition, None, report)), ["T3"], "its marker is not committed");
        of(&mut partition, LEADER).reloaded = Some(11);
        assert!(found(|report| check(&partition, None, report)).is_empty(), "it was there before a restart");
        of(&mut partition, LEADER).view.last_stable = 5;
        assert!(found(|report| check(&partition, None, report)).is_empty());
        let mut before = of(&mut partition, LEADER).view.clone();
        before.last_stable = 7;
        assert_eq!(found(|report| check(&partition, Some(&before), report)), ["T3"], "it went back");
    }

    #[test]
    fn what_was_deleted_before_a_leader_started_is_not_open_for_it() {
        let mut partition = healthy();
        partition.txns.folded = 10;
        let open = Open { first: 3, epoch: 0, tag: None, records: 0, read: Vec::new() };
        partition.txns.open.insert(7, open);
        let leader = of(&mut partition, LEADER);
        leader.view.log_start = 5;
        assert_eq!(
            found(|report| check(&partition, None, report)),
            ["T3"],
            "it was there when that was deleted"
        );
        of(&mut partition, LEADER).reloaded = Some(10);
        assert!(found(|report| check(&partition, None, report)).is_empty());
        of(&mut partition, LEADER).view.last_stable = 5;
        assert!(
            found(|report| check(&partition, None, report)).is_empty(),
            "a snapshot above the start has it"
        );
        let more = Entry { producer_id: 7, transactional: true, ..entry(8, 9, 0) };
        let leader = of(&mut partition, LEADER);
        leader.log = log(&[(5, 7, 0)]);
        leader.log.push(more);
        leader.view.last_stable = 8;
        assert!(found(|report| check(&partition, None, report)).is_empty(), "it begins with what is left");
        of(&mut partition, LEADER).view.last_stable = 10;
        assert_eq!(found(|report| check(&partition, None, report)), ["T3"]);
    }
}
