//! P6: what a replica knows of producers is what its log says.

use std::collections::BTreeMap;

use klamm_log::producer_state::ActiveProducer;
use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const P6: Invariant = Invariant {
    id: "P6",
    name: "ProducerState",
    statement: "a replica's producer state is the one that its log gives, after a failover too",
    when: When::Checkpoint,
};

pub(super) fn scan(partition: &Partition, node: NodeId, known: &[ActiveProducer], report: &mut Report) {
    let Some(replica) = partition.replicas.get(&node).filter(|replica| replica.running) else { return };
    if replica.view.log_start > 0 || replica.view.compacted {
        return;
    }
    let mut rebuilt: BTreeMap<i64, (i16, i32)> = BTreeMap::new();
    for entry in replica.log.entries().iter().filter(|entry| entry.producer_id >= 0 && !entry.control) {
        let last = (i64::from(entry.sequence) + entry.last - entry.base) % (i64::from(i32::MAX) + 1);
        rebuilt.insert(entry.producer_id, (entry.producer_epoch, last as i32));
    }
    for producer in known {
        let here = (producer.producer_epoch, producer.last_sequence);
        match rebuilt.get(&producer.producer_id) {
            Some(log) if *log == here || producer.last_sequence < 0 => {}
            // A marker says nothing of sequences, and may be all that there is of a producer.
            None if producer.last_sequence < 0 => {}
            log => {
                let what = format!(
                    "{node} knows producer {} at {here:?}, its log says {log:?}",
                    producer.producer_id
                );
                report.violation(P6, &partition.name, what);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, entry, found, healthy, of};
    use crate::invariant::mirror::Entry;

    #[test]
    fn a_state_that_the_log_does_not_give_is_found() {
        let mut partition = healthy();
        of(&mut partition, FOLLOWER).log.push(Entry {
            producer_id: 4,
            producer_epoch: 0,
            sequence: 5,
            ..entry(10, 14, 0)
        });
        let mut known = ActiveProducer {
            producer_id: 4,
            producer_epoch: 0,
            last_sequence: 9,
            last_timestamp: 0,
            coordinator_epoch: -1,
            current_txn_start_offset: None,
        };
        assert!(found(|report| scan(&partition, FOLLOWER, &[known], report)).is_empty());
        known.last_sequence = 14;
        assert_eq!(found(|report| scan(&partition, FOLLOWER, &[known], report)), ["P6"]);
    }
}
