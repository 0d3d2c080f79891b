//! S19: a fetch of another epoch counts for nothing.

use klamm_broker::ReplicaView;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S19: Invariant = Invariant {
    id: "S19",
    name: "Fencing",
    statement: "a follower's fetch that names another leader epoch than the leader's, or diverges from its log, changes nothing that the leader \
                knows of the follower",
    when: When::Event,
};

/// What a follower asked of one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct FollowerFetch {
    pub(super) follower: NodeId,
    pub(super) leader_epoch: i32,
    pub(super) offset: i64,
    pub(super) last_fetched_epoch: i32,
}

/// Whether a follower's log leaves the leader's before the offset that it asks for, as `Partition.readRecords` finds out.
fn diverges(leader: &ReplicaView, fetch: FollowerFetch) -> bool {
    let epoch = fetch.last_fetched_epoch;
    let above = leader.epochs.iter().position(|entry| entry.epoch > epoch);
    let known = leader.epochs.iter().rfind(|entry| entry.epoch <= epoch);
    let end = above.map_or(leader.log_end, |at| leader.epochs[at].start_offset);
    // A leader whose log begins with a later epoch cannot know where an earlier one ended.
    known.is_some_and(|known| known.epoch < epoch) || end < fetch.offset
}

/// `node` handled a follower's fetch in this event.
pub(super) fn check(
    partition: &Partition,
    node: NodeId,
    fetch: FollowerFetch,
    before: Option<&ReplicaView>,
    report: &mut Report,
) {
    let (Some(replica), Some(before)) = (partition.replicas.get(&node), before) else { return };
    let known = |view: &ReplicaView| {
        let leading = view.leading.as_ref()?;
        leading.followers.iter().find(|follower| follower.id == fetch.follower).copied()
    };
    if known(&replica.view) == known(before) || replica.view.leader_epoch != before.leader_epoch {
        return;
    }
    let fenced = fetch.leader_epoch >= 0 && fetch.leader_epoch != before.leader_epoch;
    let diverges = fetch.last_fetched_epoch >= 0 && diverges(before, fetch);
    if fenced || diverges {
        let what = format!(
            "{} fetched at {} in leader epoch {} after epoch {}, and {node} took note of it in epoch {}",
            fetch.follower, fetch.offset, fetch.leader_epoch, fetch.last_fetched_epoch, before.leader_epoch
        );
        report.violation_unless(partition.excuse(), S19, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, found, healthy, of};

    #[test]
    fn a_fenced_or_diverging_fetch_that_counts_is_found() {
        let mut partition = healthy();
        let before = of(&mut partition, LEADER).view.clone();
        let fetch = FollowerFetch { follower: FOLLOWER, leader_epoch: 0, offset: 10, last_fetched_epoch: 0 };
        let old = FollowerFetch { leader_epoch: -1, last_fetched_epoch: 3, ..fetch };
        let other = FollowerFetch { leader_epoch: 1, ..fetch };
        for (asked, counted) in [(fetch, 0), (old, 1), (other, 1)] {
            assert!(
                found(|report| check(&partition, LEADER, asked, Some(&before), report)).is_empty(),
                "it changed nothing"
            );
            let mut changed = partition.clone();
            of(&mut changed, LEADER).view.leading.as_mut().unwrap().followers[0].log_end = 9;
            let ids = found(|report| check(&changed, LEADER, asked, Some(&before), report));
            assert_eq!(ids.len(), counted, "{asked:?}");
        }
    }
}
