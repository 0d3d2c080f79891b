//! S7: what any leader believes to be committed is with the whole ISR.

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S7: Invariant = Invariant {
    id: "S7",
    name: "StrongIsr",
    statement: "every record below the high watermark of a replica that believes that it leads, even a stale one, is with every running \
                member of the controller's ISR",
    when: When::Event,
};

pub(super) fn check(partition: &Partition, report: &mut Report) {
    let Some(registration) = &partition.registration else { return };
    for (id, leader) in partition.replicas.iter().filter(|(_, r)| r.running && r.view.leading.is_some()) {
        let high_watermark = leader.view.high_watermark;
        for member_id in registration.isr.iter().filter(|member| *member != id) {
            let Some(member) = partition.replicas.get(member_id).filter(|member| member.running) else {
                continue;
            };
            let from = leader
                .matches_to
                .min(member.matches_to)
                .max(leader.view.log_start)
                .max(member.view.log_start);
            if from >= high_watermark {
                continue;
            }
            let sparse = leader.view.compacted;
            if let Some(offset) = leader.differs_from(member, from, high_watermark, sparse) {
                let what = format!(
                    "{id} leads in epoch {} with high watermark {high_watermark}, and {member_id} in the ISR differs at {offset}",
                    leader.view.leader_epoch
                );
                report.violation_unless(partition.excuse(), S7, &partition.name, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{OTHER, found, healthy};

    #[test]
    fn a_member_without_what_the_leader_shows_is_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, report)).is_empty());
        partition.cut(OTHER, 5);
        assert_eq!(found(|report| check(&partition, report)), ["S7"]);
    }
}
