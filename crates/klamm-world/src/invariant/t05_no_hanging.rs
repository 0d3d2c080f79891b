//! T5: no transaction is open that nobody will end.

use super::ghost::Partition;
use super::report::{Invariant, Report, When};
use super::t06_states::{ONGOING, PREPARE_ABORT, PREPARE_COMMIT, States, name};

pub(super) const T5: Invariant = Invariant {
    id: "T5",
    name: "NoHangingTransaction",
    statement: "where a transaction is open in a partition, its coordinator has it open or decided, with that partition in it",
    when: When::Event,
};

/// A producer has an open transaction in a partition.
pub(super) fn check(states: &States, partition: &Partition, producer_id: i64, report: &mut Report) {
    let Some(open) = partition.txns.open.get(&producer_id) else { return };
    let state = states.of_producer(producer_id).next();
    let known = states.of_producer(producer_id).any(|state| {
        state.producer_id == producer_id
            && matches!(state.status, ONGOING | PREPARE_COMMIT | PREPARE_ABORT)
            && state.partitions.contains(&partition.name)
    });
    if !known {
        let of = state.map_or_else(
            || "knows nothing of it".to_owned(),
            |state| format!("has {} of {}:{}", name(state.status), state.producer_id, state.producer_epoch),
        );
        let what = format!(
            "the transaction of {producer_id}:{} is open from {} on, and its coordinator {of}",
            open.epoch, open.first
        );
        report.violation(T5, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{found, healthy};
    use crate::invariant::t06_states::tests::states;
    use crate::invariant::t06_states::{COMPLETE_ABORT, EMPTY};
    use crate::invariant::transactions::Open;
    use klamm_node::TopicPartition;

    #[test]
    fn a_transaction_that_nobody_ends_is_found() {
        let mut partition = healthy();
        let open = Open { first: 5, epoch: 3, tag: None, records: 0, read: Vec::new() };
        partition.txns.open.insert(7, open);
        let check = |partition: &Partition, of: &[i8]| {
            found(|report| super::check(&states(of), partition, 7, report))
        };
        assert!(check(&partition, &[EMPTY, ONGOING]).is_empty());
        assert!(check(&partition, &[EMPTY, ONGOING, PREPARE_COMMIT]).is_empty());
        assert_eq!(check(&partition, &[EMPTY]), ["T5"]);
        assert_eq!(check(&partition, &[EMPTY, ONGOING, PREPARE_ABORT, COMPLETE_ABORT]), ["T5"]);
        assert_eq!(check(&partition, &[]), ["T5"]);
        partition.name = TopicPartition::new("t", 1);
        assert_eq!(check(&partition, &[EMPTY, ONGOING]), ["T5"], "the partition is not in it");
    }
}
