//! S5: what was acknowledged to acks=all is somewhere.

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S5: Invariant = Invariant {
    id: "S5",
    name: "NoCommittedRecordLostGlobally",
    statement: "every record acknowledged to acks=all is in some replica's log while fewer brokers than min.insync.replicas lost power \
                and no unclean election happened",
    when: When::Checkpoint,
};

pub(super) fn scan(partition: &Partition, report: &mut Report) {
    if partition.registration.is_none() || partition.is_compacted() {
        return;
    }
    for ack in partition.acked.iter().filter(|ack| ack.level == -1) {
        let held = partition.replicas.values().any(|replica| {
            ack.entry.base < replica.view.log_start
                || replica.log.at(ack.entry.base).is_some_and(|entry| entry.is_same_send(&ack.entry))
        });
        if !held {
            let what = format!("no replica holds offset {}, which {} acknowledged", ack.entry.base, ack.by);
            report.violation_unless(partition.excuse(), S5, &partition.name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, OTHER, entry, found, healthy};
    use crate::invariant::ghost::Ack;

    #[test]
    fn a_record_that_nobody_holds_is_found() {
        let mut partition = healthy();
        partition.acked.push(Ack { entry: entry(5, 9, 0), level: -1, by: LEADER });
        for node in [LEADER, FOLLOWER] {
            partition.cut(node, 5);
            assert!(found(|report| scan(&partition, report)).is_empty(), "{OTHER} holds it");
        }
        partition.cut(OTHER, 5);
        assert_eq!(found(|report| scan(&partition, report)), ["S5"]);
    }
}
