//! In which order an idempotent producer's batches may leave.

use std::collections::BTreeMap;

use klamm_node::TopicPartition;

use super::identity::Identities;
use super::{InFlight, Queue};

/// Whether an idempotent producer must not send a partition's first batch yet
/// (`RecordAccumulator.shouldStopDrainBatchesForPartition`).
pub(super) fn must_wait(
    identities: &Identities,
    in_flight: &BTreeMap<i32, InFlight>,
    partition: &TopicPartition,
    queue: &Queue,
) -> bool {
    let (Some(identity), Some(first)) = (identities.current, queue.waiting.front()) else { return true };
    let Some((_, sequence)) = first.sequence else {
        let stale = queue.sequences.identity.is_some_and(|known| known != identity);
        // A batch of a new epoch must not overtake those of the old one, and none may follow where a gap is possible.
        return queue.sequences.unresolved.is_some() || (stale && has_sequenced(in_flight, partition, queue));
    };
    // What is sent again waits until it is the first that is not acknowledged.
    let under_way = in_flight.values().filter(|it| it.partition == *partition && !it.batch.done);
    let sequences = under_way.map(|it| &it.batch).chain(&queue.waiting).filter_map(|batch| batch.sequence);
    sequences.map(|(_, sequence)| sequence).min() != Some(sequence)
}

/// Whether a partition has batches that have a sequence and are not through (`hasInflightBatches`).
pub(super) fn has_sequenced(
    in_flight: &BTreeMap<i32, InFlight>,
    partition: &TopicPartition,
    queue: &Queue,
) -> bool {
    queue.waiting.iter().any(|batch| batch.sequence.is_some())
        || in_flight
            .values()
            .any(|it| it.partition == *partition && !it.batch.done && it.batch.sequence.is_some())
}
