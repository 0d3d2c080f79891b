//! S17: whoever lost data is out until it has caught up, and elections stay clean unless they may be unclean.

use klamm_metadata::{NO_LEADER, PartitionRegistration};

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S17: Invariant = Invariant {
    id: "S17",
    name: "UncleanExclusion",
    statement: "a broker that lost what it had written is not in the ISR or the ELR before it has caught up with the leader's high watermark \
                in its new life; and a leader comes from ISR or ELR unless unclean elections are allowed or it is the last known leader",
    when: When::Event,
};

/// Members that lost data and have not caught up.
pub(super) fn check(partition: &Partition, report: &mut Report) {
    let Some((_, leader)) = partition.true_leader() else { return };
    let high_watermark = leader.view.high_watermark;
    for (id, replica) in partition.candidates() {
        if replica.after_loss && replica.ends() < high_watermark {
            let what = format!(
                "{id} came back without what it had written: it ends at {}, the leader's high watermark is {high_watermark}",
                replica.ends()
            );
            report.violation_unless(partition.excuse(), S17, &partition.name, what);
        }
    }
}

/// The controller committed another leader. Whether it was an unclean election.
pub(super) fn elected(
    partition: &Partition,
    before: &PartitionRegistration,
    after: &PartitionRegistration,
    report: &mut Report,
) -> bool {
    let leader = after.leader;
    if leader == NO_LEADER || before.isr.contains(&leader) || before.elr.contains(&leader) {
        return false;
    }
    // The record that ends a reassignment may bring a replica into the ISR and make it the leader at once: one that is added, or one that stays.
    let is_moving =
        |r: &PartitionRegistration| !r.adding_replicas.is_empty() || !r.removing_replicas.is_empty();
    let may_join = before.replicas.contains(&leader) && after.isr.contains(&leader);
    if may_join && is_moving(before) && !is_moving(after) && before.has_leader() {
        return false;
    }
    let last_known = before.last_known_elr.contains(&leader);
    if !partition.unclean_allowed && !last_known {
        let what =
            format!("{leader} was elected, and ISR {:?} and ELR {:?} do not hold it", before.isr, before.elr);
        report.violation(S17, &partition.name, what);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use klamm_broker::ReplicaView;

    use crate::invariant::fixture::{FOLLOWER, OTHER, entry, found, healthy, log, of, registration};
    use crate::invariant::ghost::Replica;

    #[test]
    fn a_member_that_lost_data_is_found() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).after_loss = true;
        assert!(found(|report| check(&partition, report)).is_empty(), "it has caught up");
        partition.cut(FOLLOWER, 5);
        assert_eq!(found(|report| check(&partition, report)), ["S17"]);
        partition.cut(FOLLOWER, 0);
        assert_eq!(found(|report| check(&partition, report)), ["S17"]);
        of(&mut partition, FOLLOWER).view.log_start = 10;
        assert!(found(|report| check(&partition, report)).is_empty(), "everything was deleted");
    }

    /// A broker is looked at again and again before it is registered, and may stop once more before it has caught up.
    #[test]
    fn who_lost_data_has_not_caught_up_by_being_seen_twice() {
        let mut partition = healthy();
        let seen = |old: &Replica, running: bool, lost_power: bool| {
            let view = ReplicaView { log_end: 5, high_watermark: 5, ..old.view.clone() };
            Replica::look(Some(old), running, lost_power, view, log(&[(0, 4, 0)]), BTreeSet::new())
        };
        let first = seen(of(&mut partition, FOLLOWER), false, true);
        let mut last = seen(&seen(&first, false, true), true, true);
        *of(&mut partition, FOLLOWER) = last.clone();
        assert_eq!(found(|report| check(&partition, report)), ["S17"]);
        last.reloaded = None;
        *of(&mut partition, FOLLOWER) = seen(&last, true, false);
        assert_eq!(found(|report| check(&partition, report)), ["S17"], "and stopped cleanly after that");
        of(&mut partition, FOLLOWER).log.push(entry(5, 9, 0));
        partition.compare();
        assert!(!of(&mut partition, FOLLOWER).after_loss, "it has caught up");
        let mut whole = of(&mut partition, OTHER).clone();
        whole.reloaded = None;
        assert!(seen(&whole, true, true).after_loss && !seen(&whole, true, false).after_loss);
    }

    #[test]
    fn an_election_from_outside_is_found() {
        let mut partition = healthy();
        let mut before = registration(&mut partition).clone();
        (before.isr, before.leader) = (vec![FOLLOWER], NO_LEADER);
        let after = PartitionRegistration { leader: OTHER, isr: vec![OTHER], ..before.clone() };
        assert_eq!(found(|report| _ = elected(&partition, &before, &after, report)), ["S17"]);
        let moving =
            PartitionRegistration { leader: FOLLOWER, removing_replicas: vec![FOLLOWER], ..before.clone() };
        assert!(found(|report| assert!(!elected(&partition, &moving, &after, report))).is_empty());
        let still = PartitionRegistration { removing_replicas: vec![FOLLOWER], ..after.clone() };
        assert_eq!(found(|report| _ = elected(&partition, &moving, &still, report)), ["S17"], "it goes on");
        let leaderless = PartitionRegistration { leader: NO_LEADER, ..moving };
        assert_eq!(
            found(|report| _ = elected(&partition, &leaderless, &after, report)),
            ["S17"],
            "nobody proposed it"
        );
        partition.unclean_allowed = true;
        assert!(found(|report| assert!(elected(&partition, &before, &after, report))).is_empty());
    }
}
