//! What the share coordinator keeps of one share-partition (`ShareGroupOffset`), and how states of records are put
//! together (`PersisterStateBatchCombiner`).

use std::collections::BTreeMap;

/// The start offset of a share-partition whose first reader decides where it starts.
pub(crate) const UNINITIALIZED_START_OFFSET: i64 = -1;

/// The state of some records in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StateBatch {
    /// The first record's offset.
    pub(crate) first: i64,
    /// The last record's offset.
    pub(crate) last: i64,
    /// By Kafka's numbers: 0 available, 2 acknowledged, 4 archived.
    pub(crate) state: i8,
    /// How often they were delivered.
    pub(crate) count: i16,
}

/// A share-partition's state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ShareState {
    /// How many snapshots were written before the last.
    pub(crate) snapshot_epoch: i32,
    /// Grows whenever the group's coordinator initialises the partition again.
    pub(crate) state_epoch: i32,
    /// The epoch of the partition's leader that wrote last.
    pub(crate) leader_epoch: i32,
    /// The first record that is not done with, or [`UNINITIALIZED_START_OFFSET`].
    pub(crate) start_offset: i64,
    /// How many records from the start on are done with; -1 when that is not known.
    pub(crate) delivery_complete_count: i32,
    /// When the state was made, in milliseconds.
    pub(crate) create_timestamp: i64,
    /// When it was last written whole, in milliseconds.
    pub(crate) write_timestamp: i64,
    /// The records' states, in order and without overlap; what no batch names is available.
    pub(crate) batches: Vec<StateBatch>,
}

/// Delivery count, then state: the highest counts.
type Rank = (i16, i8);

/// Puts what is written now over what was written before, without what lies before `start_offset`. Where two batches
/// overlap, the higher delivery count counts, then the higher state; neighbours that agree become one.
pub(crate) fn combine(so_far: &[StateBatch], new: &[StateBatch], start_offset: i64) -> Vec<StateBatch> {
    let kept = so_far.iter().chain(new).filter(|batch| start_offset == -1 || batch.last >= start_offset);
    let kept: Vec<StateBatch> =
        kept.map(|batch| StateBatch { first: batch.first.max(start_offset), ..*batch }).collect();
    if kept.len() < 2 {
        return kept;
    }
    // At each offset, which (count, state) begin (+1) and end (-1) there.
    let mut edges: BTreeMap<i64, Vec<(Rank, i32)>> = BTreeMap::new();
    for batch in &kept {
        let rank = (batch.count, batch.state);
        edges.entry(batch.first).or_default().push((rank, 1));
        edges.entry(batch.last + 1).or_default().push((rank, -1));
    }
    let mut open: BTreeMap<Rank, i32> = BTreeMap::new();
    let mut combined: Vec<StateBatch> = Vec::new();
    let mut since = 0;
    for (offset, changes) in edges {
        if let Some(((count, state), _)) = open.last_key_value() {
            push(&mut combined, StateBatch { first: since, last: offset - 1, state: *state, count: *count });
        }
        for (rank, by) in changes {
            let covering = open.entry(rank).or_default();
            *covering += by;
            if *covering == 0 {
                open.remove(&rank);
            }
        }
        since = offset;
    }
    combined
}

fn push(batches: &mut Vec<StateBatch>, next: StateBatch) {
    if let Some(before) = batches.last_mut()
        && before.last + 1 == next.first
        && (before.state, before.count) == (next.state, next.count)
    {
        before.last = next.last;
        return;
    }
    batches.push(next);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn batch(first: i64, last: i64, state: i8, count: i16) -> StateBatch {
        StateBatch { first, last, state, count }
    }

    #[test]
    fn what_comes_later_and_was_delivered_more_often_counts() {
        let so_far = [batch(0, 9, 0, 1)];
        assert_eq!(
            combine(&so_far, &[batch(3, 5, 2, 2)], 0),
            [batch(0, 2, 0, 1), batch(3, 5, 2, 2), batch(6, 9, 0, 1)]
        );
        assert_eq!(combine(&so_far, &[batch(10, 12, 0, 1)], 4), [batch(4, 12, 0, 1)]);
        assert_eq!(combine(&so_far, &[], 10), []);
        assert_eq!(combine(&so_far, &[batch(0, 9, 4, 1)], -1), [batch(0, 9, 4, 1)]);
    }

    prop_compose! {
        fn some_batch()(first in 0_i64..30, len in 0_i64..10, state in prop::sample::select(vec![0_i8, 2, 4]), count in 1_i16..4)
            -> StateBatch {
            batch(first, first + len, state, count)
        }
    }

    proptest! {
        /// Against a table with a row for each offset.
        #[test]
        fn each_offset_has_the_strongest_state_that_was_written(
            so_far in prop::collection::vec(some_batch(), 0..6),
            new in prop::collection::vec(some_batch(), 0..6),
            start in -1_i64..20,
        ) {
            let combined = combine(&so_far, &new, start);
            let at = |batches: &[StateBatch], offset: i64| {
                batches.iter().filter(|b| b.first <= offset && offset <= b.last).map(|b| (b.count, b.state)).max()
            };
            let all: Vec<_> = so_far.iter().chain(&new).copied().collect();
            for offset in 0..45 {
                let expected = if offset < start { None } else { at(&all, offset) };
                prop_assert_eq!(at(&combined, offset), expected, "at {}", offset);
            }
            for pair in combined.windows(2) {
                prop_assert!(pair[0].last < pair[1].first);
            }
        }
    }
}
