//! S8: a replica's offsets are in order.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S8: Invariant = Invariant {
    id: "S8",
    name: "OffsetOrder",
    statement: "0 <= log start <= high watermark <= log end; the leader's last stable offset lies between log start and high watermark; no \
                member of the ISR is known to have more than its leader",
    when: When::Event,
};

pub(super) fn check(partition: &Partition, node: NodeId, report: &mut Report) {
    let Some(replica) = partition.replicas.get(&node).filter(|replica| replica.running) else { return };
    let view = &replica.view;
    if !(0 <= view.log_start && view.log_start <= view.high_watermark && view.high_watermark <= view.log_end)
    {
        let what = format!(
            "{node} has log start {}, high watermark {}, log end {}",
            view.log_start, view.high_watermark, view.log_end
        );
        report.violation(S8, &partition.name, what);
    }
    let Some(leading) = &view.leading else { return };
    if view.last_stable < view.log_start || view.last_stable > view.high_watermark {
        let what = format!(
            "{node} has last stable offset {} at high watermark {}",
            view.last_stable, view.high_watermark
        );
        report.violation(S8, &partition.name, what);
    }
    let ahead = leading.followers.iter().find(|f| view.isr.contains(&f.id) && f.log_end > view.log_end);
    if let Some(follower) = ahead {
        let what = format!(
            "{} in the ISR is at {}, leader {node} ends at {}",
            follower.id, follower.log_end, view.log_end
        );
        report.violation_unless(partition.excuse(), S8, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, found, healthy, of};

    #[test]
    fn offsets_out_of_order_are_found() {
        let mut partition = healthy();
        assert!(found(|report| check(&partition, LEADER, report)).is_empty());
        of(&mut partition, FOLLOWER).view.high_watermark = 11;
        assert_eq!(found(|report| check(&partition, FOLLOWER, report)), ["S8"]);
        of(&mut partition, LEADER).view.last_stable = 11;
        assert_eq!(found(|report| check(&partition, LEADER, report)), ["S8"]);
        let mut partition = healthy();
        of(&mut partition, LEADER).view.leading.as_mut().unwrap().followers[0].log_end = 12;
        assert_eq!(found(|report| check(&partition, LEADER, report)), ["S8"]);
    }
}
