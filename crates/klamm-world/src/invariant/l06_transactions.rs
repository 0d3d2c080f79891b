//! L6: after healing, no transaction stays open for longer than it may.

use klamm_broker::TransactionView;
use klamm_wire::StrBytes;

use super::report::{Invariant, Report, When};

pub(super) const L6: Invariant = Invariant {
    id: "L6",
    name: "TransactionsDecided",
    statement: "a transaction that is open for longer than its timeout is aborted by its coordinator, and one that is decided is completed",
    when: When::Healed,
};

/// How much longer than its timeout it may take: the coordinator looks every ten seconds, and its markers are on their way.
const SLACK_MS: i64 = 20_000;

/// A transactional id as its coordinator has it, whose wall clock is at `wall_ms`.
pub(super) fn check(name: &StrBytes, view: &TransactionView, wall_ms: i64, report: &mut Report) {
    let is_open = matches!(view.state, "Ongoing" | "PrepareCommit" | "PrepareAbort" | "PrepareEpochFence");
    let due = view.start_ms.saturating_add(i64::from(view.timeout_ms)).saturating_add(SLACK_MS);
    if is_open && view.start_ms >= 0 && wall_ms > due {
        let what = format!(
            "producer {} epoch {} is {} since {} ms, and may be for {} ms",
            view.producer_id,
            view.producer_epoch,
            view.state,
            wall_ms.saturating_sub(view.start_ms),
            view.timeout_ms
        );
        report.violation(L6, name, what);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::invariant::fixture::found;

    #[test]
    fn a_transaction_that_stays_open_is_found() {
        let mut view = TransactionView {
            state: "Ongoing",
            pending: None,
            producer_id: 4,
            producer_epoch: 0,
            partitions: BTreeSet::new(),
            coordinator_epoch: 0,
            start_ms: 1_000,
            timeout_ms: 60_000,
        };
        let name = StrBytes::from_static_str("x");
        let look = |view: &TransactionView, wall| found(|report| check(&name, view, wall, report));
        assert!(look(&view, 81_000).is_empty());
        assert_eq!(look(&view, 81_001), ["L6"]);
        view.state = "PrepareAbort";
        assert_eq!(look(&view, 81_001), ["L6"]);
        view.state = "CompleteAbort";
        assert!(look(&view, 81_001).is_empty());
    }
}
