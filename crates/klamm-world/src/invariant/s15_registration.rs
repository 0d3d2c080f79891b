//! S15: what the controller commits of a partition is legal.

use klamm_metadata::{ClusterImage, LeaderRecoveryState, NO_LEADER};

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S15: Invariant = Invariant {
    id: "S15",
    name: "RegistrationLegality",
    statement: "the ISR is a subset of the replicas, the ELR is disjoint from it, and neither holds a duplicate; the leader is in the ISR, or there is none; the ELR is \
                empty while the ISR has min.insync.replicas members; no fenced broker or one that shuts down is in the ISR, but the last \
                member of one without a leader while the ELR is off; the ISR is empty only with the ELR on; adding and removing replicas \
                are replicas; a recovering leader is alone in the ISR",
    when: When::Event,
};

pub(super) fn check(partition: &Partition, cluster: &ClusterImage, report: &mut Report) {
    let Some(registration) = &partition.registration else { return };
    let r = &**registration;
    let subset = |ids: &[klamm_node::NodeId]| {
        ids.iter().enumerate().all(|(i, id)| r.replicas.contains(id) && !ids[..i].contains(id))
    };
    let last_without_leader = !partition.elr_enabled && r.isr.len() == 1 && r.leader == NO_LEADER;
    let mut problems = Vec::new();
    let mut must = |holds: bool, problem: &str| {
        if !holds {
            problems.push(problem.to_owned());
        }
    };
    must(subset(&r.replicas), "the replicas hold a duplicate");
    must(subset(&r.isr), "the ISR is no set of replicas");
    // Kafka's `PartitionChangeBuilder` may leave a replica in the ELR that the end of a reassignment took away; nobody elects it.
    let twice = r.elr.iter().enumerate().any(|(i, id)| r.elr[..i].contains(id));
    must(!twice, "the ELR holds a duplicate");
    must(r.leader == NO_LEADER || r.isr.contains(&r.leader), "the leader is not in the ISR");
    must(!r.elr.iter().any(|id| r.isr.contains(id)), "ISR and ELR overlap");
    must(
        r.isr.len() < partition.min_isr || r.elr.is_empty(),
        "there is an ELR though the ISR is large enough",
    );
    must(!r.isr.is_empty() || partition.elr_enabled, "the ISR is empty without the ELR");
    must(
        subset(&r.adding_replicas) && subset(&r.removing_replicas),
        "adding or removing replicas are no replicas",
    );
    must(
        r.leader_recovery_state == LeaderRecoveryState::Recovered || r.isr.len() <= 1,
        "a recovering leader is not alone in the ISR",
    );
    let inactive = r.isr.iter().find(|id| !cluster.is_active(**id));
    must(inactive.is_none() || last_without_leader, "a broker in the ISR is fenced or shuts down");
    for problem in problems {
        let what = format!(
            "{problem}: leader {} ISR {:?} ELR {:?} replicas {:?}, min.insync.replicas {}",
            r.leader, r.isr, r.elr, r.replicas, partition.min_isr
        );
        report.violation(S15, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use klamm_metadata::{MetadataPublisher, PartitionRegistration, record::RegisterBrokerRecord};
    use klamm_node::NodeId;

    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, OTHER, found, healthy, registration};

    fn cluster(fenced: Option<NodeId>) -> MetadataPublisher {
        let mut publisher = MetadataPublisher::new();
        for (offset, id) in [LEADER, FOLLOWER, OTHER].into_iter().enumerate() {
            let record = RegisterBrokerRecord {
                broker_id: id.0,
                broker_epoch: offset as i64,
                fenced: fenced == Some(id),
                ..RegisterBrokerRecord::default()
            };
            publisher.load(offset as i64, 1, record.into()).unwrap();
        }
        publisher
    }

    #[test]
    fn each_illegal_registration_is_found() {
        let breaks: [fn(&mut PartitionRegistration); 7] = [
            |r| r.isr = vec![LEADER, NodeId(9)],
            |r| r.leader = NodeId(9),
            |r| r.elr = vec![OTHER],
            |r| r.isr = vec![LEADER, LEADER],
            |r| r.adding_replicas = vec![NodeId(9)],
            |r| r.leader_recovery_state = LeaderRecoveryState::Recovering,
            |r| (r.isr, r.elr) = (vec![LEADER, FOLLOWER], vec![OTHER]),
        ];
        let image = cluster(None);
        assert!(found(|report| check(&healthy(), &image.image().cluster, report)).is_empty());
        for (i, break_it) in breaks.into_iter().enumerate() {
            let mut partition = healthy();
            break_it(registration(&mut partition));
            assert_eq!(
                found(|report| check(&partition, &image.image().cluster, report)),
                ["S15"],
                "case {i}"
            );
        }
        let mut partition = healthy();
        assert_eq!(found(|report| check(&partition, &cluster(Some(OTHER)).image().cluster, report)), ["S15"]);
        partition.elr_enabled = false;
        let r = registration(&mut partition);
        (r.isr, r.leader) = (Vec::new(), NO_LEADER);
        assert_eq!(found(|report| check(&partition, &image.image().cluster, report)), ["S15"]);
        registration(&mut partition).isr = vec![OTHER];
        assert!(found(|report| check(&partition, &cluster(Some(OTHER)).image().cluster, report)).is_empty());
    }
}
