//! S21: retention takes what is old or too much, and nothing else.

use klamm_node::NodeId;

use super::ghost::Partition;
use super::report::{Invariant, Report, When};

pub(super) const S21: Invariant = Invariant {
    id: "S21",
    name: "RetentionJustified",
    statement: "a log begins later only because records were deleted on request, are all older than retention.ms, or leave retention.bytes \
                behind them, or because another replica's log did before",
    when: When::Event,
};

/// What a topic's configuration lets retention take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Whether `cleanup.policy` has `delete`.
    pub(crate) deletes: bool,
    /// `retention.ms`; negative for ever.
    pub(crate) ms: i64,
    /// `retention.bytes`; negative for all.
    pub(crate) bytes: i64,
}

/// The log of a replica, whose node's wall clock is at `wall_ms`, begins at `to` where it began at `from`.
pub(super) fn advanced(
    partition: &Partition,
    node: NodeId,
    (from, to): (i64, i64),
    wall_ms: i64,
    report: &mut Report,
) {
    let Some(replica) = partition.replicas.get(&node) else { return };
    let others = partition.replicas.iter().filter(|(id, _)| **id != node);
    let elsewhere = others.map(|(_, other)| other.epochs.log_start).max().unwrap_or(0);
    if to <= from || to <= partition.delete_asked || to <= elsewhere.max(replica.epochs.log_start) {
        return;
    }
    let Retention { deletes, ms, bytes } = partition.retention;
    let mut taken = replica.log.range(from, to).iter().filter(|entry| entry.last < to);
    // A compacted segment is as old as what compaction left in it, and that is gone by now.
    let is_old =
        ms >= 0 && (replica.view.compacted || taken.all(|entry| wall_ms.saturating_sub(entry.time) > ms));
    let left: i64 = replica.log.range(to, i64::MAX).iter().map(|entry| i64::from(entry.size)).sum();
    if !deletes || !is_old && (bytes < 0 || left < bytes) {
        let what = format!(
            "the log of {node} begins at {to} after {from}, with {left} bytes left, at retention.ms={ms} retention.bytes={bytes}"
        );
        report.violation(S21, &partition.name, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{FOLLOWER, LEADER, found, healthy, of};

    #[test]
    fn what_nobody_may_take_is_found() {
        let keeps = Retention { deletes: true, ms: 1_000, bytes: -1 };
        // Batches of the fixture are of time 0 and 100 bytes each.
        let look = |retention, wall_ms, change: fn(&mut Partition)| {
            let mut partition = healthy();
            partition.retention = retention;
            change(&mut partition);
            found(|report| advanced(&partition, LEADER, (0, 5), wall_ms, report))
        };
        assert!(look(keeps, 1_001, |_| {}).is_empty());
        assert_eq!(look(keeps, 1_000, |_| {}), ["S21"], "not yet");
        assert_eq!(look(Retention { deletes: false, ..keeps }, 1_001, |_| {}), ["S21"]);
        assert!(look(keeps, 0, |partition| partition.delete_asked = 5).is_empty());
        assert!(look(keeps, 0, |partition| of(partition, FOLLOWER).epochs.log_start = 5).is_empty());
        assert!(look(keeps, 1_000, |partition| of(partition, LEADER).view.compacted = true).is_empty());
        let compacts = Retention { deletes: false, ..keeps };
        assert_eq!(look(compacts, 1_001, |partition| of(partition, LEADER).view.compacted = true), ["S21"]);
        let sized = |bytes| Retention { deletes: true, ms: -1, bytes };
        assert!(look(sized(100), 0, |_| {}).is_empty());
        assert_eq!(look(sized(101), 0, |_| {}), ["S21"]);
    }
}
