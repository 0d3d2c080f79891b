//! P1 to P3: what is committed of an idempotent producer is there once, in order, without a hole.

use super::ghost::Partition;
use super::mirror::Entry;
use super::report::{Invariant, Report, When};

pub(super) const P1: Invariant = Invariant {
    id: "P1",
    name: "NoDuplicate",
    statement: "each (producer id, epoch, sequence) is committed at most once in a partition",
    when: When::Event,
};

pub(super) const P2: Invariant = Invariant {
    id: "P2",
    name: "NoHole",
    statement: "the committed sequences of a producer id and epoch are consecutive in a partition, from 0 unless its log knew nothing of the \
                producer",
    when: When::Event,
};

pub(super) const P3: Invariant = Invariant {
    id: "P3",
    name: "ProducerEpochMonotone",
    statement: "the producer epoch of a producer id does not go back along a log",
    when: When::Event,
};

/// Sequences wrap from `i32::MAX` to 0.
const fn after(sequence: i32, steps: i64) -> i32 {
    ((sequence as i64 + steps) % (i32::MAX as i64 + 1)) as i32
}

/// Whether the leader's log may have known something of an entry's producer when it took it. One that knows nothing takes any sequence and any epoch
/// (`ProducerAppendInfo.checkSequence`, `ProducerAppendInfo.checkProducerEpoch`). Compaction keeps the last batch that the log has of each
/// producer, committed or not (`Cleaner.cleanInto`): a log that is then truncated below that one, and reads producers' state again, may have nothing.
fn may_know(partition: &Partition, entry: &Entry) -> bool {
    let leader = partition.true_leader().filter(|_| partition.is_compacted());
    leader.is_none_or(|(_, leader)| leader.knew_producer(entry))
}

/// Batches were committed.
pub(super) fn committed(partition: &mut Partition, entries: &[Entry], report: &mut Report) {
    let begins = partition.true_leader().map_or(0, |(_, leader)| leader.view.log_start);
    // Coordinators write transactional offsets without a sequence.
    let sent = |entry: &&Entry| entry.producer_id >= 0 && entry.sequence >= 0 && !entry.control;
    for entry in entries.iter().filter(sent) {
        let last = after(entry.sequence, entry.last - entry.base);
        let before = partition.producers.insert(entry.producer_id, (entry.producer_epoch, last, entry.last));
        // A leader that started when all that the producer had written was deleted knows nothing of it: a snapshot at the log's start is not
        // read (`ProducerStateManager.truncateAndReload`).
        let may_know = before.is_some_and(|(.., offset)| offset >= begins) && may_know(partition, entry);
        let (expected, broken) = match before {
            // Epochs go back where a coordinator's log lost records.
            Some((epoch, ..)) if epoch > entry.producer_epoch => (0, may_know.then_some(P3)),
            Some((epoch, before, offset)) if epoch == entry.producer_epoch => {
                let expected = after(before, 1);
                let behind = entry.sequence <= before && before - entry.sequence < i32::MAX / 2;
                let known = entry.sequence != expected && may_know;
                // What compaction took before any leader showed it as committed leaves a hole in the log too.
                let broken = known && (behind || !partition.is_thinned(offset + 1, entry.base));
                (expected, broken.then_some(if behind { P1 } else { P2 }))
            }
            Some(_) => (0, (entry.sequence != 0).then_some(P2)),
            // A log without state of a producer takes any sequence (`ProducerAppendInfo.checkSequence`).
            None => {
                if entry.sequence != 0 {
                    let what =
                        format!("producer {} begins with sequence {}", entry.producer_id, entry.sequence);
                    let excuse = "a log that knows nothing of a producer takes any sequence".to_owned();
                    report.loss(&partition.name, what, excuse);
                }
                continue;
            }
        };
        if let Some(invariant) = broken {
            let what = format!(
                "producer {} epoch {} has sequence {} at offset {}, {expected} was next after {:?}",
                entry.producer_id,
                entry.producer_epoch,
                entry.sequence,
                entry.base,
                before.map(|(epoch, last, _)| (epoch, last))
            );
            report.violation_unless(partition.excuse(), invariant, &partition.name, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariant::fixture::{LEADER, entry, found, healthy, of};
    use crate::invariant::mirror::Mirror;

    fn batch(epoch: i16, sequence: i32) -> Entry {
        Entry { producer_id: 7, producer_epoch: epoch, sequence, ..entry(10, 14, 0) }
    }

    #[test]
    fn duplicates_holes_and_old_epochs_are_found() {
        let good = [batch(0, 0), batch(0, 5), batch(1, 0)];
        assert!(found(|report| committed(&mut healthy(), &good, report)).is_empty());
        for (next, expected) in
            [(batch(1, 0), "P1"), (batch(1, 6), "P2"), (batch(0, 10), "P3"), (batch(2, 5), "P2")]
        {
            let mut partition = healthy();
            let ids = found(|report| committed(&mut partition, &[good[0], good[1], good[2], next], report));
            assert_eq!(ids, [expected]);
        }
        let wrapped = [batch(0, 0), Entry { last: 10 + i64::from(i32::MAX) - 5, ..batch(0, 5) }, batch(0, 0)];
        assert!(
            found(|report| committed(&mut healthy(), &wrapped, report)).is_empty(),
            "sequences wrap to 0"
        );
    }

    #[test]
    fn after_a_loss_a_marker_is_no_producers_last_batch() {
        let mut partition = healthy();
        let marker = Entry { base: 15, last: 15, control: true, transactional: true, ..batch(0, -1) };
        partition.committed.push(batch(0, 0));
        partition.committed.push(marker);
        partition.true_hw = 20;
        of(&mut partition, LEADER).view.log_end = 16;
        of(&mut partition, LEADER).matches_to = 16;
        assert_eq!(partition.rebase(), Some(16..20));
        let next = Entry { base: 16, last: 20, ..batch(0, 5) };
        assert!(found(|report| committed(&mut partition, &[next], report)).is_empty());
        let hole = Entry { base: 21, last: 25, ..batch(0, 11) };
        assert_eq!(found(|report| committed(&mut partition, &[hole], report)), ["P2"]);
    }

    #[test]
    fn what_compaction_took_before_it_was_seen_leaves_no_hole() {
        let between = |base, last| Entry { producer_id: 8, ..entry(base, last, 0) };
        let next = Entry { base: 20, last: 24, ..batch(0, 10) };
        for (compacted, other, expected) in [
            (true, between(15, 19), vec!["P2"]),
            (true, between(16, 19), vec![]),
            (true, between(15, 18), vec![]),
            (false, between(16, 19), vec!["P2"]),
        ] {
            let mut partition = healthy();
            of(&mut partition, LEADER).view.compacted = compacted;
            for entry in [batch(0, 0), other, next] {
                partition.committed.push(entry);
                of(&mut partition, LEADER).log.push(entry);
            }
            let ids = found(|report| committed(&mut partition, &[batch(0, 0), next], report));
            assert_eq!(ids, expected, "{other:?}");
        }
    }

    #[test]
    fn a_log_that_was_compacted_and_then_cut_below_a_producers_last_batch_knows_nothing() {
        let hole = Entry { base: 15, last: 19, ..batch(0, 12) };
        // Whether the log is compacted, has a batch of the producer from before it was read, had one since, and its state names the producer.
        for (state, expected) in [
            ([false, false, false, false], vec!["P2"]),
            ([true, false, false, false], vec![]),
            ([true, true, false, false], vec![]),
            ([true, false, true, false], vec!["P2"]),
            ([true, false, false, true], vec!["P2"]),
        ] {
            let [compacted, before, since, named] = state;
            let mut partition = healthy();
            let leader = of(&mut partition, LEADER);
            (leader.view.compacted, leader.reloaded) = (compacted, Some(10));
            let at = |base: i64| Entry { base, last: base + 4, ..batch(0, 0) };
            // What compaction took in place is still in the checker's copy.
            leader.log = Mirror::default();
            before.then(|| leader.log.push(at(5)));
            since.then(|| leader.log.push(at(10)));
            leader.known.extend(named.then_some(7));
            let ids = found(|report| committed(&mut partition, &[batch(0, 0), hole], report));
            assert_eq!(ids, expected, "{state:?}");
        }
    }

    #[test]
    fn a_leader_whose_log_begins_behind_all_of_a_producer_takes_any_sequence() {
        for (log_start, next, expected) in [
            (14, batch(0, 12), vec!["P2"]),
            (15, batch(0, 12), vec![]),
            (14, batch(0, 0), vec!["P1"]),
            (15, batch(0, 0), vec![]),
            (15, batch(1, 3), vec!["P2"]),
            (14, batch(-1, 0), vec!["P3"]),
            (15, batch(-1, 0), vec![]),
        ] {
            let mut partition = healthy();
            assert!(found(|report| committed(&mut partition, &[batch(0, 0)], report)).is_empty());
            of(&mut partition, LEADER).view.log_start = log_start;
            assert_eq!(found(|report| committed(&mut partition, &[next], report)), expected, "{log_start}");
        }
    }
}
